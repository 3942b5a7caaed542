//! What waits: for the graph, for a checkpoint; and what is read in pieces while it does not wait.

use crate::support::*;
use crate::watched::Watched;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{Include, Metric, Operation, Outcome, SearchQuery, Shard};

fn fill(shard: &Shard, points: std::ops::Range<u64>) {
    let payload = |i: u64| format!(r#"{{"third":{}}}"#, i.is_multiple_of(3));
    let all: Vec<_> = points.map(|i| point(&format!("p{i:05}"), &vector(i, 4), &payload(i))).collect();
    for batch in all.chunks(100) {
        apply(shard, &upsert(batch.to_vec()));
    }
}

#[test]
fn a_shard_too_small_for_a_graph_is_not_behind() {
    let mut config = config(4, Metric::Cosine);
    config.flat_below = 200;
    let shard = open(&SimDisk::new(1), &config);
    fill(&shard, 0..199);
    assert_eq!((shard.pending(), shard.stats().pending), (0, 0));
    fill(&shard, 199..200);
    assert_eq!((shard.pending(), shard.stats().pending), (200, 200));
    index_all(&shard);
    assert_eq!(shard.pending(), 0);
}

#[test]
fn a_graph_finished_after_the_last_write_is_saved() {
    let (disk, config) = (SimDisk::new(1), config(4, Metric::Cosine));
    let shard = open(&disk, &config);
    fill(&shard, 0..1000);
    let applied = shard.checkpoint().unwrap();
    assert!(!shard.checkpoint_due());
    shard.index_step(&|| false);
    // As long as points wait the graph would soon be written again.
    assert!(!shard.checkpoint_due() && shard.pending() > 0);
    index_all(&shard);
    assert!(shard.checkpoint_due() && shard.stats().checkpoint_due);
    assert_eq!(open(&disk, &config).pending(), 1000);
    assert_eq!(shard.checkpoint().unwrap(), applied);
    assert!(!shard.checkpoint_due());
    assert_eq!(open(&disk, &config).pending(), 0);
    // Too little to be due, and saved all the same when asked for.
    fill(&shard, 1000..1010);
    shard.checkpoint().unwrap();
    index_all(&shard);
    assert!(!shard.checkpoint_due());
    shard.checkpoint().unwrap();
    assert_eq!(open(&disk, &config).pending(), 0);
}

#[test]
fn a_checkpoint_of_nothing_new_writes_nothing() {
    let (disk, config) = (SimDisk::new(1), config(4, Metric::Cosine));
    let shard = open(&disk, &config);
    fill(&shard, 0..100);
    index_all(&shard);
    let covered = shard.checkpoint().unwrap();
    let operations = disk.operations();
    assert_eq!(shard.checkpoint().unwrap(), covered);
    assert_eq!(disk.operations(), operations);
    shard.advance(covered + 1);
    assert_eq!(shard.checkpoint().unwrap(), covered + 1);
    assert!(disk.operations() > operations);
}

#[test]
fn a_segment_that_is_all_live_is_not_rewritten() {
    let mut config = config(1, Metric::Dot);
    config.knobs.segment_live_min_percent = 100;
    let shard = open(&SimDisk::new(1), &config);
    let one = |i: u64| point(&format!("p{i:03}"), &[i as f32], "{}");
    apply(&shard, &upsert((0..100).map(one).collect()));
    shard.checkpoint().unwrap();
    apply(&shard, &upsert(vec![one(100)]));
    shard.checkpoint().unwrap();
    assert_eq!(shard.stats().segments, 2);
    apply(&shard, &delete(&["p000"]));
    shard.checkpoint().unwrap();
    assert_eq!(shard.stats().segments, 1);
}

#[test]
fn memory_follows_the_points() {
    let shard = open(&SimDisk::new(1), &config(4, Metric::Cosine));
    let empty = shard.stats().memory_bytes;
    fill(&shard, 0..5000);
    let full = shard.stats().memory_bytes;
    assert!(full > empty + 5000 * 16, "{empty} {full}");
    apply(&shard, &command(Operation::DeleteByFilter("{}".into())));
    index_all(&shard);
    shard.checkpoint().unwrap();
    let left = shard.stats().memory_bytes;
    assert!(left < full / 5, "{empty} {full} {left}");
}

/// A stored shard whose reads of stored bytes are watched.
fn watched_shard() -> (Arc<Watched>, Arc<Shard>) {
    let (disk, config) = (SimDisk::new(1), config(4, Metric::Cosine));
    let shard = open(&disk, &config);
    fill(&shard, 0..1000);
    shard.checkpoint().unwrap();
    let watched = Watched::new(&disk);
    let shard = Arc::new(Shard::open(watched.clone(), DIR, config).unwrap());
    watched.reads.store(0, Ordering::SeqCst);
    (watched, shard)
}

#[test]
fn a_filtered_page_reads_no_more_than_it_needs() {
    let (watched, shard) = watched_shard();
    let third = filter(r#"{"third":true}"#);
    let page = shard.scroll(Some(&third), Some("p00299"), 10, ALL).unwrap().value;
    let ids: Vec<String> = (0..10).map(|i| format!("p{:05}", 300 + i * 3)).collect();
    assert_eq!(page.points.iter().map(|p| p.id.clone()).collect::<Vec<_>>(), ids);
    assert!(page.more);
    assert!(watched.reads.load(Ordering::SeqCst) < 200, "{:?}", watched.reads);
}

#[test]
fn a_page_ends_where_a_write_came_in() {
    let (watched, shard) = watched_shard();
    let third = filter(r#"{"third":true}"#);
    let (at, writer) = (shard.applied_index(), shard.clone());
    watched.on_next_read(move || drop(apply(&writer, &delete(&["p00003", "p00900"]))));
    let page = shard.scroll(Some(&third), None, 300, ALL).unwrap();
    let found = page.value.points.len();
    assert!(page.value.more && found > 50 && found < 300, "{found}");
    assert_eq!(page.applied_index, at);
    assert_eq!(page.value.points[1].id, "p00003");
    // Nothing in the first batch: then the page is one of the later state, and whole.
    let (at, writer) = (shard.applied_index(), shard.clone());
    watched.on_next_read(move || drop(apply(&writer, &delete(&["p00999"]))));
    let none = shard.scroll(Some(&filter(r#"{"third":3}"#)), None, 10, ALL).unwrap();
    assert_eq!((none.value.points.len(), none.value.more, none.applied_index), (0, false, at + 1));
    let mut ids = vec![];
    while let Some(page) =
        Some(shard.scroll(Some(&third), ids.last().map(String::as_str), 7, ALL).unwrap().value)
    {
        ids.extend(page.points.into_iter().map(|p| p.id));
        if !page.more {
            break;
        }
    }
    assert_eq!(ids.len(), 334 - 3);
}

#[test]
fn results_are_verified_once() {
    let (watched, shard) = watched_shard();
    let mut query = SearchQuery::new(vector(5, 4), 10);
    query.include = Include { payload: true, vector: true };
    shard.search(&query).unwrap();
    assert!(watched.reads.load(Ordering::SeqCst) <= 10, "{:?}", watched.reads);
}

#[test]
fn a_delete_by_filter_that_is_not_carried_out_reads_nothing() {
    let (watched, shard) = watched_shard();
    let by_filter = |text: &str| command(Operation::DeleteByFilter(text.into()));
    let first = keyed(by_filter(r#"{"third":true}"#), 1, "key", 1);
    assert!(matches!(apply(&shard, &first), Outcome::Written { deleted: 334, .. }));
    watched.reads.store(0, Ordering::SeqCst);
    assert!(matches!(apply(&shard, &first), Outcome::Written { deleted: 334, replayed: true, .. }));
    let other = keyed(by_filter("{}"), 1, "key", 2);
    assert_eq!(apply(&shard, &other), Outcome::KeyReused);
    let stale = Outcome::decode(&shard.apply(1, &by_filter("{}").encode())).unwrap();
    assert!(matches!(stale, Outcome::Malformed(_)));
    apply(&shard, &command(Operation::Seal));
    assert_eq!(apply(&shard, &by_filter("{}")), Outcome::Sealed);
    assert_eq!(watched.reads.load(Ordering::SeqCst), 0);
}
