//! What the public contract says of single writes and reads: versions, retries, one applied index per read.

use crate::model::Model;
use crate::support::*;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{ItemOutcome, Metric, Outcome, SearchQuery, Shard, WINDOW_MS};

#[test]
fn idempotent_retries_get_the_first_answer_across_restarts() {
    let disk = SimDisk::new(1);
    let mut config = config(2, Metric::Dot);
    config.idempotency_bytes = 1 << 20;
    let shard = open(&disk, &config);
    let mut conditional = point("a", &[1.0, 2.0], "{}");
    conditional.if_version = Some(0);
    let write = keyed(upsert(vec![conditional]), 1000, "key", 42);
    let first = apply(&shard, &write);
    let Outcome::Written { version: 1, items, replayed: false, .. } = first else { panic!("{first:?}") };
    let again = |shard: &Shard, at: u64| {
        let mut retry = write.clone();
        retry.log_time_ms = at;
        apply(shard, &retry)
    };
    let replay = Outcome::Written { version: 1, items, deleted: 0, replayed: true };
    assert_eq!(again(&shard, 2000), replay);
    shard.checkpoint().unwrap();
    let shard = open(&disk, &config);
    assert_eq!(again(&shard, 3000), replay);
    let other = keyed(delete(&["a"]), 3000, "key", 43);
    assert_eq!(apply(&shard, &other), Outcome::KeyReused);
    assert_eq!(shard.get(&["a"], ALL).unwrap().value[0].as_ref().unwrap().version, 1);
    // One millisecond before the window ends, and when it ends. Time that goes back does not bring keys back.
    assert_eq!(again(&shard, 1000 + WINDOW_MS - 1), replay);
    let late = again(&shard, 1000 + WINDOW_MS);
    let mismatch = vec![ItemOutcome::VersionMismatch { current: 1 }];
    assert_eq!(late, Outcome::Written { version: 6, items: mismatch, deleted: 0, replayed: false });
    assert!(matches!(again(&shard, 5), Outcome::Written { version: 6, replayed: true, .. }));
}

#[test]
fn a_full_window_refuses_new_keys_and_forgets_none_early() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &config(2, Metric::Dot));
    let write = |n: u64, at: u64| {
        keyed(upsert(vec![point(&format!("p{n}"), &[1.0, 2.0], "{}")]), at, &format!("key{n}"), n)
    };
    let memory = shard.stats().memory_bytes;
    let taken = (0..20).take_while(|n| apply(&shard, &write(*n, *n)) != Outcome::WindowFull).count() as u64;
    assert!((2..10).contains(&taken), "{taken}");
    assert!(shard.stats().memory_bytes >= memory + WINDOW_BYTES);
    let replayed = |outcome| matches!(outcome, Outcome::Written { replayed: true, .. });
    let check = |shard: &Shard, at: u64| {
        let points = shard.count(None).unwrap().value;
        assert_eq!(apply(shard, &write(50, at)), Outcome::WindowFull);
        let mut by_filter = write(51, at);
        by_filter.operation = vectron_store::Operation::DeleteByFilter("{}".into());
        assert_eq!(apply(shard, &by_filter), Outcome::WindowFull);
        assert_eq!(shard.count(None).unwrap().value, points);
        // Who is known is answered, who has no key is served.
        assert!((0..taken).all(|n| replayed(apply(shard, &write(n, at)))));
        assert!(matches!(apply(shard, &upsert(vec![point("q", &[1.0; 2], "{}")])), Outcome::Written { .. }));
    };
    check(&shard, 100);
    shard.checkpoint().unwrap();
    let shard = open(&disk, &config(2, Metric::Dot));
    check(&shard, WINDOW_MS - 1);
    // The oldest key expires, and one new key is taken.
    assert!(matches!(apply(&shard, &write(60, WINDOW_MS)), Outcome::Written { replayed: false, .. }));
    assert_eq!(apply(&shard, &write(61, WINDOW_MS)), Outcome::WindowFull);
    // A shard can be sealed all the same.
    let seal = keyed(command(vectron_store::Operation::Seal), WINDOW_MS, "seal", 1);
    assert!(matches!(apply(&shard, &seal), Outcome::Written { .. }));
}

#[test]
fn versions_are_log_indexes_and_rise_across_deletion() {
    let shard = open(&SimDisk::new(1), &config(2, Metric::Dot));
    let mut model = Model::new(Metric::Dot, WINDOW_BYTES);
    let write = |if_version| {
        let mut p = point("a", &[1.0, 2.0], "{\"same\":1}");
        p.if_version = if_version;
        upsert(vec![p])
    };
    let steps = [write(Some(0)), write(Some(0)), write(Some(1)), write(None), delete(&["a"]), write(Some(0))];
    for command in steps {
        let index = shard.applied_index() + 1;
        assert_eq!(apply(&shard, &command), model.apply(index, &command));
        assert_like(&shard, &model);
    }
    assert_eq!(model.points["a"].version, 6);
    shard.advance(50);
    shard.advance(7);
    assert_eq!(shard.applied_index(), 50);
    apply(&shard, &write(None));
    assert_eq!(shard.get(&["a", "b"], ALL).unwrap().value[0].as_ref().unwrap().version, 51);
}

#[test]
fn a_filtered_read_is_true_at_the_index_it_names() {
    use std::sync::atomic::{AtomicBool, Ordering};
    const POINTS: u64 = 300;
    let shard = open(&SimDisk::new(1), &config(4, Metric::Dot));
    // At even indexes every point matches, at odd ones none does; every other write moves the rows too.
    let write = |index: u64| {
        let payload = |i| format!(r#"{{"even":{},"rest":{}}}"#, index.is_multiple_of(2), i % 4);
        let one = |i| point(&format!("p{i:03}"), &vector(i + index / 2, 4), &payload(i));
        upsert((0..POINTS).map(one).collect())
    };
    apply(&shard, &write(1));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut query = SearchQuery::new(vector(9, 4), POINTS as usize);
            query.filter = Some(filter(r#"{"even":true}"#));
            let quarter = filter(r#"{"even":true,"rest":3}"#);
            while !stop.load(Ordering::SeqCst) {
                let page = shard.scroll(Some(&quarter), None, 70, ALL).unwrap();
                let (points, more) = (page.value.points, page.value.more);
                assert!(points.iter().all(|p| p.version == page.applied_index));
                assert!(points.iter().enumerate().all(|(i, p)| p.id == format!("p{:03}", i * 4 + 3)));
                let matching = page.applied_index.is_multiple_of(2);
                assert!(if matching { !points.is_empty() && more } else { points.is_empty() && !more });
                let found = shard.search(&query).unwrap();
                let expected = if found.applied_index.is_multiple_of(2) { POINTS } else { 0 };
                assert_eq!(found.hits.len() as u64, expected, "index {}", found.applied_index);
                let count = shard.count(query.filter.as_ref()).unwrap();
                assert_eq!(count.value, if count.applied_index.is_multiple_of(2) { POINTS } else { 0 });
            }
        });
        for index in 2..600 {
            apply(&shard, &write(index));
            if index % 50 == 0 {
                shard.checkpoint().unwrap();
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
}
