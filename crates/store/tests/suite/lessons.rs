//! Failures of earlier systems, each as a test that would have caught it.

use crate::support::*;
use vectron_base::disk::sim::SimDisk;
use vectron_base::random::mix64;
use vectron_store::{
    Command, ItemOutcome, Metric, Operation, Outcome, Refusal, SearchQuery, Shard, UpsertPoint, WINDOW_MS,
};

fn nearest(shard: &Shard, vector: &[f32]) -> String {
    search_ids(shard, &SearchQuery::new(vector.to_vec(), 1)).remove(0)
}

#[test]
fn l02_delete_then_upsert_is_found_again() {
    let (disk, shard) = shard_of(300, 8);
    for i in (0..300).step_by(3) {
        let id = format!("p{i:04}");
        apply(&shard, &delete(&[&id]));
        if i % 2 == 0 {
            index_all(&shard);
            shard.checkpoint().unwrap();
        }
        apply(&shard, &upsert(vec![point(&id, &vector(i, 8), "{}")]));
        assert_eq!(nearest(&shard, &vector(i, 8)), id);
    }
    index_all(&shard);
    shard.checkpoint().unwrap();
    let again = open(&disk, &config(8, Metric::Cosine));
    for i in 0..300 {
        assert_eq!(nearest(&again, &vector(i, 8)), format!("p{i:04}"));
    }
}

#[test]
fn l03_an_old_vector_never_wins_after_an_update() {
    let (disk, shard) = shard_of(300, 8);
    shard.checkpoint().unwrap();
    let moved = |i: u64| vector(i + 10_000, 8);
    for i in 0..300 {
        apply(&shard, &upsert(vec![point(&format!("p{i:04}"), &moved(i), "{}")]));
    }
    let check = |shard: &Shard| {
        for i in 0..300u64 {
            assert_eq!(nearest(shard, &moved(i)), format!("p{i:04}"));
            let mut query = SearchQuery::new(vector(i, 8), 300);
            query.score_threshold = Some(0.9999);
            assert!(!search_ids(shard, &query).contains(&format!("p{i:04}")));
        }
    };
    check(&shard);
    shard.checkpoint().unwrap();
    check(&shard);
    check(&open(&disk, &config(8, Metric::Cosine)));
}

#[test]
fn l04_upserting_everything_again_keeps_self_hits() {
    let (_, shard) = shard_of(500, 16);
    for round in 1..=3u64 {
        for i in 0..500 {
            // Once the same vectors, then others and back.
            let seed = if round == 2 { i + 7777 } else { i };
            apply(&shard, &upsert(vec![point(&format!("p{i:04}"), &vector(seed, 16), "{}")]));
        }
        index_all(&shard);
        let hits = (0..500).filter(|i| {
            let seed = if round == 2 { i + 7777 } else { *i };
            nearest(&shard, &vector(seed, 16)) == format!("p{i:04}")
        });
        assert!(hits.count() >= 498, "round {round}");
    }
    assert_eq!(shard.stats().points, 500);
}

#[test]
fn l04_an_unchanged_vector_is_not_indexed_again() {
    let (_, shard) = shard_of(100, 8);
    apply(&shard, &upsert(vec![point("p0005", &vector(5, 8), r#"{"new":"payload"}"#)]));
    assert_eq!((shard.stats().pending, shard.stats().tombstones), (0, 0));
    let got = shard.get(&["p0005"], ALL).unwrap().value.remove(0).unwrap();
    assert_eq!((got.version, got.payload.as_deref()), (2, Some(r#"{"new":"payload"}"#)));
}

#[test]
fn l11_a_filter_never_starves_the_results() {
    let (_, shard) = shard_of(2000, 8);
    for (text, matching) in [(r#"{"parity":1}"#, 1000), (r#"{"rare":true}"#, 20), (r#"{"none":1}"#, 0)] {
        for top_k in [1, 10, 25, 1500] {
            let mut query = SearchQuery::new(vector(99_999, 8), top_k);
            query.filter = Some(filter(text));
            let result = shard.search(&query).unwrap();
            assert_eq!(result.hits.len(), top_k.min(matching), "{text} {top_k}");
            assert_eq!(result.explain.filter_matched, Some(matching as u64));
        }
    }
}

#[test]
fn l14_a_hit_names_the_version_it_was_scored_on() {
    let (_, shard) = shard_of(50, 4);
    for i in 0..50 {
        apply(&shard, &upsert(vec![point(&format!("p{i:04}"), &vector(i + 500, 4), "{}")]));
    }
    let hits = shard.search(&SearchQuery::new(vector(7, 4), 50)).unwrap();
    assert_eq!(hits.applied_index, 51);
    let ids: Vec<&str> = hits.hits.iter().map(|h| h.id.as_str()).collect();
    let points = shard.get(&ids, ALL).unwrap().value;
    for (hit, point) in hits.hits.iter().zip(points) {
        assert_eq!(hit.version, point.unwrap().version);
    }
}

#[test]
fn l16_sealing_ends_writes_and_reads_and_blocks_nothing() {
    let (disk, shard) = shard_of(100, 4);
    let sealed = apply(&shard, &keyed(command(Operation::Seal), 5, "seal", 1));
    assert!(matches!(sealed, Outcome::Written { .. }));
    assert!(shard.sealed());
    assert_eq!(apply(&shard, &upsert(vec![point("x", &[1.0; 4], "{}")])), Outcome::Sealed);
    assert_eq!(apply(&shard, &keyed(command(Operation::Seal), 5, "seal", 1)), Outcome::Sealed);
    assert_eq!(shard.get(&["p0001"], ALL), Err(Refusal::Sealed));
    assert_eq!(shard.search(&SearchQuery::new(vec![1.0; 4], 1)), Err(Refusal::Sealed));
    assert_eq!(shard.scroll(None, None, 1, ALL), Err(Refusal::Sealed));
    assert_eq!(shard.count(None), Err(Refusal::Sealed));
    assert!(!shard.index_step(&|| false).more);
    shard.checkpoint().unwrap();
    let again = open(&disk, &config(4, Metric::Cosine));
    assert!(again.sealed());
    assert_eq!(again.digest(), shard.digest());
}

#[test]
fn l17_search_after_delete_works_to_the_last_point() {
    let (_, shard) = shard_of(60, 4);
    for i in 0..60 {
        apply(&shard, &delete(&[&format!("p{i:04}")]));
        let found = search_ids(&shard, &SearchQuery::new(vector(i, 4), 60));
        assert_eq!(found.len() as u64, 59 - i);
        assert!(!found.contains(&format!("p{i:04}")));
        if i % 7 == 0 {
            index_all(&shard);
        }
    }
    assert_eq!(
        apply(&shard, &delete(&["p0000"])),
        Outcome::Written { version: 62, items: vec![ItemOutcome::Missing], deleted: 0, replayed: false }
    );
    index_all(&shard);
    assert!(search_ids(&shard, &SearchQuery::new(vector(1, 4), 5)).is_empty());
}

#[test]
fn l18_readers_keep_their_files_and_a_failed_checkpoint_blocks_nothing() {
    let (disk, shard) = shard_of(200, 8);
    disk.set_capacity(Some(64));
    assert!(shard.checkpoint().is_err());
    assert!(matches!(apply(&shard, &delete(&["p0001"])), Outcome::Written { deleted: 1, .. }));
    disk.set_capacity(None);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2u64 {
            let (shard, stop) = (&shard, &stop);
            scope.spawn(move || {
                let mut rounds = 0;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) || rounds < 5 {
                    let mut query = SearchQuery::new(vector(rounds + reader, 8), 10);
                    query.filter = (rounds % 2 == 0).then(|| filter(r#"{"parity":1}"#));
                    assert_eq!(shard.search(&query).unwrap().hits.len(), 10);
                    assert!(shard.scroll(query.filter.as_ref(), None, 20, ALL).unwrap().value.more);
                    rounds += 1;
                }
            });
        }
        scope.spawn(|| (0..200).filter(|_| shard.index_step(&|| false).more).count());
        for round in 0..30u64 {
            let points = (0..40).map(|i| {
                let id = (i * 5 + round) % 200;
                point(&format!("p{id:04}"), &vector(id + round, 8), &format!(r#"{{"parity":{}}}"#, id % 2))
            });
            apply(&shard, &upsert(points.collect()));
            shard.checkpoint().unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert_eq!(open(&disk, &config(8, Metric::Cosine)).digest(), shard.digest());
}

#[test]
fn l19_poison_commands_are_answered_and_change_nothing() {
    let (_, shard) = shard_of(20, 3);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    let bad_points = [
        point("", &[1.0; 3], "{}"),
        point("a\0b", &[1.0; 3], "{}"),
        point(&"x".repeat(513), &[1.0; 3], "{}"),
        point("a", &[1.0; 2], "{}"),
        point("a", &[], "{}"),
        point("a", &[1.0, f32::NAN, 1.0], "{}"),
        point("a", &[f32::INFINITY, 1.0, 1.0], "{}"),
        point("a", &[0.0, -0.0, 0.0], "{}"),
        point("a", &[1.0; 3], ""),
        point("a", &[1.0; 3], "[]"),
        point("a", &[1.0; 3], "{\"a\":1"),
        point("a", &[1.0; 3], "{\"a\":\"\\ud800\"}"),
        point("a", &[1.0; 3], &deep),
    ];
    let mut poison: Vec<Vec<u8>> = bad_points.map(|p| upsert(vec![p]).encode()).into();
    let good = || point("a", &[1.0; 3], "{}");
    poison.push(upsert(vec![good(), good()]).encode());
    poison.push(upsert(vec![good(), point("b", &[1.0], "{}")]).encode());
    poison.push(delete(&["p0001", "p0001"]).encode());
    poison.push(delete(&[""]).encode());
    poison.push(keyed(upsert(vec![good()]), 1, "", 1).encode());
    poison.push(keyed(upsert(vec![good()]), 1, &"k".repeat(257), 1).encode());
    for text in ["", "[]", "{\"a\":{\"$bad\":1}}", "{\"a\":1", &"{\"$not\":".repeat(100_000)] {
        poison.push(command(Operation::DeleteByFilter(text.into())).encode());
    }
    poison.extend([vec![], vec![1], vec![255; 100], b"{\"json\":true}".to_vec()]);
    let mut whole = upsert(vec![good()]).encode();
    whole.push(0);
    poison.push(whole);
    let digest = shard.digest().value;
    for bytes in &poison {
        let before = shard.applied_index();
        let outcome = apply_bytes(&shard, bytes);
        assert!(matches!(outcome, Outcome::Malformed(_)), "{outcome:?}");
        assert_eq!((shard.applied_index(), shard.digest().value), (before + 1, digest));
        // Who asks before proposing is told the same.
        if let Ok(command) = Command::decode(bytes) {
            assert!(command.problem(&config(3, Metric::Cosine)).is_some());
        }
    }
    assert!(matches!(apply(&shard, &upsert(vec![good()])), Outcome::Written { .. }));
    // An index that was applied is not applied again.
    let digest = shard.digest();
    let stale = Outcome::decode(&shard.apply(3, &delete(&["a"]).encode())).unwrap();
    assert!(matches!(stale, Outcome::Malformed(_)));
    assert_eq!(shard.digest(), digest);
    // Filters reach values past 2^53 and zero vectors are fine where they have a meaning.
    let dot = open(&SimDisk::new(1), &config(3, Metric::Dot));
    assert!(matches!(apply(&dot, &upsert(vec![point("z", &[0.0; 3], "{}")])), Outcome::Written { .. }));
}

#[test]
fn l22_apply_reads_nothing_but_its_input() {
    let log: Vec<Vec<u8>> = (0..200u64)
        .map(|i| {
            let points = (0..3)
                .map(|n| point(&format!("p{}", mix64(i * 3 + n) % 40), &vector(i, 4), r#"{"a":[1,2]}"#));
            let mut points: Vec<UpsertPoint> = points.collect();
            points.sort_by(|a, b| a.id.cmp(&b.id));
            points.dedup_by(|a, b| a.id == b.id);
            let command = match i % 9 {
                8 => delete(&[&format!("p{}", i % 40)]),
                7 => command(Operation::DeleteByFilter(r#"{"b":{"$exists":true}}"#.into())),
                _ => upsert(points),
            };
            // Log time goes back and forth; keys repeat.
            keyed(command, mix64(i) % (3 * WINDOW_MS), &format!("k{}", i % 11), i % 2).encode()
        })
        .collect();
    let shards: Vec<Shard> = [(8, 4), (1000, 9), (2, 64)]
        .map(|(flat_below, degree)| {
            let mut config = config(4, Metric::Euclidean);
            (config.flat_below, config.degree, config.seed) = (flat_below, degree, degree as u64);
            open(&SimDisk::new(degree as u64), &config)
        })
        .into();
    for (at, bytes) in log.iter().enumerate() {
        let index = at as u64 + 1;
        let answers: Vec<Vec<u8>> = shards.iter().map(|shard| shard.apply(index, bytes)).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        if at % 10 == 3 {
            shards[0].checkpoint().unwrap();
            index_all(&shards[2]);
        }
        assert!(shards.windows(2).all(|pair| pair[0].digest() == pair[1].digest()), "index {index}");
    }
}

#[test]
fn l24_a_restored_state_has_the_digest_of_its_source_and_another_state_has_not() {
    let (disk, shard) = shard_of(100, 4);
    let digest = shard.digest();
    shard.checkpoint().unwrap();
    assert_eq!(open(&disk, &config(4, Metric::Cosine)).digest(), digest);
    let differs = |command: Command| {
        let (_, other) = shard_of(100, 4);
        assert_eq!(other.digest(), digest);
        apply(&other, &command);
        assert_ne!(other.digest().value, digest.value, "{command:?}");
    };
    differs(delete(&["p0000"]));
    differs(upsert(vec![point("p0000", &vector(0, 4), r#"{"parity":0,"rare":true}"#)]));
    differs(upsert(vec![point("new", &vector(0, 4), "{}")]));
    differs(keyed(delete(&["not there"]), 0, "key", 1));
    differs(command(Operation::Seal));
}

#[test]
fn l38_a_payload_is_fetched_without_its_vector() {
    let (_, shard) = shard_of(30, 4);
    shard.checkpoint().unwrap();
    let query = SearchQuery::new(vector(3, 4), 5);
    for hit in shard.search(&query).unwrap().hits {
        assert!(hit.payload.is_some() && hit.vector.is_none());
    }
    let mut bare = query.clone();
    bare.include = vectron_store::Include { payload: false, vector: true };
    for hit in shard.search(&bare).unwrap().hits {
        assert!(hit.payload.is_none() && hit.vector.is_some());
    }
}

#[test]
fn l42_deleting_frees_disk_and_rows() {
    let (disk, shard) = shard_of(1000, 8);
    shard.checkpoint().unwrap();
    let size = || disk.files().iter().map(|(_, len)| len).sum::<u64>();
    let full = size();
    let memory = shard.stats().memory_bytes;
    for i in 0..900 {
        apply(&shard, &delete(&[&format!("p{i:04}")]));
    }
    index_all(&shard);
    shard.checkpoint().unwrap();
    assert!(size() < full / 5, "{} of {full}", size());
    assert_eq!(shard.stats().tombstones, 0);
    let kept = open(&disk, &config(8, Metric::Cosine));
    assert_eq!((kept.digest(), kept.stats().points), (shard.digest(), 100));
    // Rows are used again: as many points later, memory is what it was.
    for i in 0..900 {
        apply(
            &shard,
            &upsert(vec![point(&format!("n{i:04}"), &vector(i + 5000, 8), r#"{"parity":0,"rare":false}"#)]),
        );
    }
    index_all(&shard);
    shard.checkpoint().unwrap();
    assert!(shard.stats().memory_bytes < memory * 12 / 10);
    for i in 100..1000 {
        apply(&shard, &delete(&[&format!("p{i:04}"), &format!("n{:04}", i - 100)]));
    }
    shard.checkpoint().unwrap();
    assert_eq!((shard.stats().segments, shard.stats().points), (0, 0));
}

#[test]
fn l42_segments_stay_few() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &config(4, Metric::Cosine));
    for i in 0..200 {
        apply(&shard, &upsert(vec![point(&format!("p{i}"), &vector(i, 4), "{}")]));
        shard.checkpoint().unwrap();
    }
    assert!(shard.stats().segments <= 9, "{}", shard.stats().segments);
    assert_eq!(open(&disk, &config(4, Metric::Cosine)).digest(), shard.digest());
}
