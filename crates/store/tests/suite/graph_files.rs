//! The graph on disk: what a checkpoint writes of it, what comes back, and from which moments.

use crate::model::Model;
use crate::support::*;
use crate::watched::Watched;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{HashRange, Metric, Outcome, SearchQuery, Shard, ShardConfig};

fn graph_files(disk: &SimDisk) -> Vec<(String, u64)> {
    disk.files().into_iter().filter(|(name, _)| name.contains("graph-")).collect()
}

fn graph_bytes(disk: &SimDisk) -> u64 {
    graph_files(disk).iter().map(|(_, len)| len).sum()
}

fn fill(shard: &Shard, points: std::ops::Range<u64>) {
    let all: Vec<_> = points.map(|i| point(&format!("p{i:05}"), &vector(i, 4), "{}")).collect();
    for batch in all.chunks(100) {
        apply(shard, &upsert(batch.to_vec()));
    }
}

fn shape() -> ShardConfig {
    ShardConfig { graph_chunk_rows: 20, ..config(4, Metric::Euclidean) }
}

/// Every point is found exactly, and nearly every one by the graph.
fn assert_finds(shard: &Shard, points: &[u64]) {
    let mut found = 0;
    for i in points {
        let mut query = SearchQuery::new(vector(*i, 4), 1);
        found += usize::from(search_ids(shard, &query) == [format!("p{i:05}")]);
        query.exact = true;
        assert_eq!(search_ids(shard, &query), [format!("p{i:05}")]);
    }
    assert!(found * 100 >= points.len() * 97, "{found} of {}", points.len());
}

#[test]
fn only_chunks_that_changed_are_written_and_payloads_change_none() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &shape());
    fill(&shard, 0..1000);
    index_all(&shard);
    shard.checkpoint().unwrap();
    let whole = graph_files(&disk);
    assert_eq!(whole.len(), 1);
    apply(
        &shard,
        &upsert((0..500).map(|i| point(&format!("p{i:05}"), &vector(i, 4), "{\"a\":1}")).collect()),
    );
    shard.checkpoint().unwrap();
    assert_eq!(graph_files(&disk), whole);
    fill(&shard, 1000..1001);
    index_all(&shard);
    shard.checkpoint().unwrap();
    let now = graph_files(&disk);
    assert!(now.len() == 2 && now[0] == whole[0] && now[1].1 < whole[0].1 / 2, "{whole:?} {now:?}");
    let again = open(&disk, &shape());
    assert_eq!((again.pending(), again.damage().len()), (0, 0));
    assert_finds(&again, &(0..1001).step_by(10).collect::<Vec<_>>());
}

/// Deleting the first of some equal points hands its links to the next: the graph on disk must follow.
#[test]
fn a_deletion_that_changes_links_is_saved() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &shape());
    fill(&shard, 0..100);
    let twins: Vec<_> = (0..100).map(|i| point(&format!("twin{i}"), &vector(i, 4), "{}")).collect();
    apply(&shard, &upsert(twins));
    index_all(&shard);
    shard.checkpoint().unwrap();
    apply(&shard, &delete(&["p00003", "p00050"]));
    shard.checkpoint().unwrap();
    assert_eq!(open(&disk, &shape()).pending(), 0);
}

#[test]
fn files_stay_few_and_little_of_them_is_waste() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &shape());
    fill(&shard, 0..1000);
    index_all(&shard);
    shard.checkpoint().unwrap();
    let whole = graph_bytes(&disk);
    for i in 1000..1100 {
        fill(&shard, i..i + 1 + i % 3);
        apply(&shard, &delete(&[format!("p{:05}", i - 900).as_str()]));
        index_all(&shard);
        shard.checkpoint().unwrap();
        let files = graph_files(&disk);
        assert!(files.len() <= 7, "{files:?}");
        assert!(graph_bytes(&disk) < whole * 5 / 2, "{files:?}, {whole} at first");
    }
    let again = open(&disk, &shape());
    assert_eq!((again.pending(), again.damage().len()), (0, 0));
    assert_eq!(again.digest(), shard.digest());
}

/// Otherwise a shard ten times as large would write ten times as much of its graph for each row that comes in.
#[test]
fn a_checkpoint_of_records_leaves_a_graph_that_hardly_changed() {
    let disk = SimDisk::new(1);
    let mut shape = shape();
    shape.knobs.checkpoint_bytes = 4096;
    let shard = open(&disk, &shape);
    fill(&shard, 0..6000);
    index_all(&shard);
    shard.checkpoint().unwrap();
    let before = graph_files(&disk);
    fill(&shard, 6000..6100);
    index_all(&shard);
    assert!(shard.checkpoint_due());
    shard.checkpoint().unwrap();
    assert_eq!(graph_files(&disk), before);
    // What the graph on disk lacks waits after a restart, and is found all the same.
    let again = open(&disk, &shape);
    assert_eq!((again.pending(), again.damage().len()), (100, 0));
    assert_finds(&again, &[5, 4000, 6001, 6099]);
    // Asked for without such a reason, it is saved.
    fill(&shard, 6100..6101);
    shard.checkpoint().unwrap();
    assert_ne!(graph_files(&disk), before);
    assert_eq!(open(&disk, &shape).pending(), 1);
    // And with one, once enough has changed.
    fill(&shard, 6101..6500);
    index_all(&shard);
    shard.checkpoint().unwrap();
    assert_eq!(open(&disk, &shape).pending(), 0);
}

#[test]
fn another_chunk_size_keeps_the_graph() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &shape());
    fill(&shard, 0..300);
    index_all(&shard);
    shard.checkpoint().unwrap();
    for graph_chunk_rows in [7, 64, 0] {
        let shape = ShardConfig { graph_chunk_rows, ..shape() };
        let shard = open(&disk, &shape);
        assert_eq!((shard.pending(), shard.damage().len()), (0, 0));
        fill(&shard, 300..310);
        apply(&shard, &delete(&["p00305"]));
        index_all(&shard);
        shard.checkpoint().unwrap();
        assert_eq!(open(&disk, &shape).pending(), 0);
    }
}

/// A shard as a build left it behind that wrote format 1: 57 points, of which the graph, saved before the last
/// deletions, lacks one: a twin whose head was deleted.
fn format_1() -> SimDisk {
    on_disk(&[
        ("graph-0000000000000005", include_bytes!("../format-1/graph-0000000000000005")),
        ("manifest", include_bytes!("../format-1/manifest")),
        ("segment-0000000000000002", include_bytes!("../format-1/segment-0000000000000002")),
        ("segment-0000000000000004", include_bytes!("../format-1/segment-0000000000000004")),
    ])
}

/// A shard as a build left it behind that wrote format 2.
fn format_2() -> SimDisk {
    on_disk(&[
        ("graph-0000000000000007", include_bytes!("../format-2/graph-0000000000000007")),
        ("manifest", include_bytes!("../format-2/manifest")),
        ("segment-0000000000000000", include_bytes!("../format-2/segment-0000000000000000")),
        ("segment-0000000000000002", include_bytes!("../format-2/segment-0000000000000002")),
        ("segment-0000000000000004", include_bytes!("../format-2/segment-0000000000000004")),
        ("segment-0000000000000006", include_bytes!("../format-2/segment-0000000000000006")),
    ])
}

fn on_disk(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new(2);
    disk.create_dir(DIR).unwrap();
    for (name, bytes) in files {
        let mut file = disk.create(&format!("{DIR}/{name}")).unwrap();
        file.append(bytes).unwrap();
        file.sync().unwrap();
    }
    disk.sync_dir(DIR).unwrap();
    disk
}

#[test]
fn format_1_opens_and_the_next_checkpoint_writes_the_current_format() {
    let disk = format_1();
    let files = disk.files();
    let shard = open(&disk, &config(4, Metric::Dot));
    let digest = shard.digest();
    assert_eq!(digest.value, 225386113784204384248939317345004218261);
    assert_eq!((shard.stats().points, shard.pending(), shard.damage().len()), (57, 1, 0));
    // Nothing changed, so nothing is written; the graph of the old format stays.
    shard.checkpoint().unwrap();
    assert_eq!(disk.files(), files);
    assert_eq!(open(&disk, &config(4, Metric::Dot)).pending(), 1);
    shard.advance(5);
    shard.checkpoint().unwrap();
    assert_eq!(open(&disk, &config(4, Metric::Dot)).pending(), 1);
    index_all(&shard);
    shard.checkpoint().unwrap();
    assert!(graph_files(&disk)[0].0.as_str() > files[0].0.as_str() && graph_files(&disk).len() == 1);
    let again = open(&disk, &config(4, Metric::Dot));
    assert_eq!((again.digest().value, again.pending(), again.damage().len()), (digest.value, 0, 0));
}

#[test]
fn format_2_opens_with_its_digest_and_takes_every_id() {
    let disk = format_2();
    let shard = open(&disk, &config(4, Metric::Dot));
    let digest = shard.digest();
    assert_eq!(digest.value, 256247823186722973201815233877327974087);
    assert_eq!((shard.stats().points, shard.pending(), shard.damage()), (30, 0, vec![]));
    assert_eq!(shard.range(), HashRange::ALL);
    // A key of then is remembered.
    let retry = keyed(upsert(vec![point("p15", &vector(20, 4), "{}")]), 1, "k1", 1);
    assert!(matches!(apply(&shard, &retry), Outcome::Written { version: 2, replayed: true, .. }));
    shard.checkpoint().unwrap();
    assert_eq!(disk.read(&format!("{DIR}/manifest")).unwrap()[8], 3);
    assert_eq!(open(&disk, &config(4, Metric::Dot)).digest().value, digest.value);
}

#[test]
fn a_damaged_graph_of_format_1_is_named_and_built_again() {
    let disk = format_1();
    let (file, len) = graph_files(&disk)[0].clone();
    for byte in (0..len).step_by(11) {
        disk.flip_bit(&file, byte * 8 + byte % 8);
        let shard = open(&disk, &config(4, Metric::Dot));
        assert_eq!((shard.pending(), shard.damage().len()), (57, 1));
        assert!(shard.damage()[0].contains(&file));
        disk.flip_bit(&file, byte * 8 + byte % 8);
    }
    disk.flip_bit(&file, 99);
    let shard = open(&disk, &config(4, Metric::Dot));
    index_all(&shard);
    shard.checkpoint().unwrap();
    let again = open(&disk, &config(4, Metric::Dot));
    assert_eq!((again.pending(), again.damage().len()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Writes, deletions, insertions and sweeps go on between the chunks of each checkpoint; then the process dies
    /// and the log is applied again from where the checkpoint says.
    #[test]
    fn chunks_of_many_moments_make_a_sound_graph(
        seed in any::<u64>(),
        metric in prop::sample::select(vec![Metric::Cosine, Metric::Dot, Metric::Euclidean]),
        full in any::<bool>(),
    ) {
        let disk = SimDisk::new(seed);
        let mut config = config(4, metric);
        if full {
            config.knobs.checkpoint_bytes = 4096;
        }
        let log: Arc<parking_lot::Mutex<Vec<Vec<u8>>>> = Arc::default();
        for round in 0..4u64 {
            let watched = Watched::new(&disk);
            let shard = Arc::new(Shard::open(watched.clone(), DIR, config.clone()).unwrap());
            prop_assert!(shard.damage().is_empty(), "{:?}", shard.damage());
            let entries = log.lock().clone();
            for (index, bytes) in (1..).zip(&entries).skip(shard.applied_index() as usize) {
                shard.apply(index, bytes);
            }
            let mut chance = seed.wrapping_add(round << 32);
            let work = move |log: &mut Vec<Vec<u8>>, shard: &Shard| {
                let mut draw = |below: u64| {
                    chance = vectron_base::random::mix64(chance.wrapping_add(1));
                    chance % below
                };
                for _ in 0..draw(6) {
                    let ids: Vec<String> = (0..3).map(|n| format!("p{}", draw(40) * 3 + n)).collect();
                    let command = if draw(3) == 0 {
                        delete(&ids.iter().map(String::as_str).collect::<Vec<_>>())
                    } else {
                        upsert(ids.iter().map(|id| point(id, &vector(draw(90), 4), "{}")).collect())
                    };
                    log.push(command.encode());
                    shard.apply(log.len() as u64, &command.encode());
                    (0..draw(8)).for_each(|_| _ = shard.index_step(&|| false));
                }
            };
            let work = Arc::new(parking_lot::Mutex::new(work));
            (0..20).for_each(|_| work.lock()(&mut log.lock(), &shard));
            let weak = Arc::new(OnceLock::new());
            weak.set(Arc::downgrade(&shard)).unwrap();
            let (entries, beside) = (log.clone(), work.clone());
            watched.on_operation(move |operation, path| {
                if operation == "append" && path.contains("graph-")
                    && let Some(shard) = weak.get().and_then(|weak| weak.upgrade())
                {
                    beside.lock()(&mut entries.lock(), &shard);
                }
                true
            });
            for _ in 0..3 {
                shard.checkpoint().unwrap();
                (0..3).for_each(|_| work.lock()(&mut log.lock(), &shard));
            }
        }
        let shard = open(&disk, &config);
        prop_assert!(shard.damage().is_empty());
        let mut model = Model::new(metric, WINDOW_BYTES);
        for (at, bytes) in log.lock().iter().enumerate() {
            let index = at as u64 + 1;
            shard.apply(index, bytes);
            model.apply(index, &vectron_store::Command::decode(bytes).unwrap());
        }
        assert_like(&shard, &model);
        for seed in 0..20 {
            for exact in [true, false] {
                let mut query = SearchQuery::new(vector(seed * 7, 4), 10);
                query.exact = exact;
                assert_search(&shard, &model, &query);
            }
        }
        let (mut hits, mut wanted) = (0, 0);
        for seed in 0..40 {
            let mut query = SearchQuery::new(vector(seed * 5, 4), 5);
            let found = search_ids(&shard, &query);
            query.exact = true;
            let truth = search_ids(&shard, &query);
            wanted += truth.len();
            hits += truth.iter().filter(|id| found.contains(id)).count();
        }
        prop_assert!(hits * 100 >= wanted * 95, "{hits} of {wanted}");
    }
}
