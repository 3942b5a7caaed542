//! Damaged files: named, or rebuilt, never served.

use crate::support::*;
use crate::watched::Watched;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{Metric, OpenError, Operation, Outcome, Refusal, SearchQuery, Shard};

fn filled(disk: &SimDisk) -> Shard {
    let shard = open(disk, &config(4, Metric::Dot));
    for round in 0..4u64 {
        let points = (0..12).map(|i| {
            let payload = format!(r#"{{"round":{round},"tags":["a","b"]}}"#);
            point(&format!("p{}", round * 6 + i), &vector(round * 12 + i, 4), &payload)
        });
        apply(&shard, &keyed(upsert(points.collect()), 1, &format!("k{round}"), round));
        index_all(&shard);
        shard.checkpoint().unwrap();
    }
    apply(&shard, &delete(&["p3", "p4"]));
    shard.checkpoint().unwrap();
    shard
}

#[test]
fn every_damaged_byte_is_named_rebuilt_or_dead() {
    let disk = SimDisk::new(5);
    let truth = filled(&disk).digest();
    let files = disk.files();
    assert!(files.iter().any(|(name, _)| name.contains("graph-")));
    let (mut named, mut rebuilt, mut dead) = (0, 0, 0);
    for (file, len) in files {
        for byte in 0..len {
            let bit = byte * 8 + byte % 8;
            assert!(disk.flip_bit(&file, bit));
            match Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot)) {
                Err(OpenError::Corrupt(damage)) => {
                    assert_eq!(damage.file, file, "byte {byte}");
                    named += 1;
                }
                Err(other) => panic!("{file} byte {byte}: {other}"),
                Ok(shard) => {
                    assert_eq!(shard.digest(), truth, "{file} byte {byte}");
                    let damage = shard.damage();
                    assert!(damage.iter().all(|damage| damage.contains(&file)), "{damage:?}");
                    if damage.is_empty() {
                        dead += 1;
                    } else {
                        assert!(file.contains("graph-"));
                        // One chunk waits, and what could be reached through it only.
                        assert!((1..15).contains(&shard.stats().pending), "{file} byte {byte}");
                        rebuilt += 1;
                    }
                }
            }
            disk.flip_bit(&file, bit);
        }
    }
    assert!(named > 1000 && rebuilt > 100 && dead < named, "{named} {rebuilt} {dead}");
}

#[test]
fn a_damaged_chunk_of_the_graph_is_indexed_again() {
    let disk = SimDisk::new(5);
    let shard = filled(&disk);
    let files = disk.files();
    let (graph, _) = files.iter().find(|(name, _)| name.contains("graph-")).unwrap();
    disk.flip_bit(graph, 99);
    let again = open(&disk, &config(4, Metric::Dot));
    assert_eq!(again.damage().len(), 1);
    assert!(again.damage()[0].contains("row 0 on"), "{:?}", again.damage());
    assert!((1..15).contains(&again.stats().pending));
    index_all(&again);
    assert_eq!(again.stats().pending, 0);
    again.checkpoint().unwrap();
    let third = open(&disk, &config(4, Metric::Dot));
    assert!(third.damage().is_empty());
    assert_eq!((third.stats().pending, third.digest()), (0, shard.digest()));
    // Without the file all of its chunks wait.
    let files = disk.files();
    files.iter().filter(|(name, _)| name.contains("graph-")).for_each(|(name, _)| disk.remove(name).unwrap());
    let fourth = open(&disk, &config(4, Metric::Dot));
    assert_eq!((fourth.stats().pending, fourth.digest()), (fourth.stats().points, shard.digest()));
    assert!(!fourth.damage().is_empty());
}

#[test]
fn a_missing_manifest_is_named_and_nothing_is_removed() {
    let disk = SimDisk::new(5);
    let truth = filled(&disk).digest();
    let manifest = format!("{DIR}/manifest");
    let bytes = disk.read(&manifest).unwrap();
    disk.remove(&manifest).unwrap();
    let files = disk.files();
    let Err(OpenError::Corrupt(damage)) = Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot))
    else {
        panic!()
    };
    assert_eq!(damage.file, manifest);
    assert_eq!(disk.files(), files);
    let mut again = disk.create(&manifest).unwrap();
    again.append(&bytes).unwrap();
    again.sync().unwrap();
    assert_eq!(open(&disk, &config(4, Metric::Dot)).digest(), truth);
}

#[test]
fn a_damaged_graph_file_stays_until_another_replaces_it() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let graph = || disk.files().into_iter().find(|(name, _)| name.contains("graph-")).unwrap().0;
    let damaged = graph();
    disk.flip_bit(&damaged, 99);
    let shard = open(&disk, &config(4, Metric::Dot));
    assert_eq!(graph(), damaged);
    index_all(&shard);
    shard.checkpoint().unwrap();
    assert_ne!(graph(), damaged);
}

#[test]
fn a_write_that_panics_half_way_is_neither_read_nor_saved() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let watched = Watched::new(&disk);
    let shard = Shard::open(watched.clone(), DIR, config(4, Metric::Dot)).unwrap();
    let durable = open(&disk, &config(4, Metric::Dot)).digest();
    let applied = shard.applied_index();
    // The first point is written; the second has its stored vector again, which is looked at.
    let half = upsert(vec![point("new", &[1.0; 4], "{}"), point("p20", &vector(3 * 12 + 2, 4), "{}")]);
    watched.on_next_read(|| panic!("the middle of a write"));
    let apply_it = || apply(&shard, &half);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(apply_it)).is_err());
    assert!(matches!(shard.get(&["new"], ALL), Err(Refusal::Damaged(_))));
    assert!(matches!(shard.count(None), Err(Refusal::Damaged(_))));
    assert!(matches!(apply(&shard, &half), Outcome::Damaged(_)));
    assert_eq!((shard.applied_index(), shard.index_step(&|| false).more), (applied, false));
    assert!(shard.checkpoint().is_err() && !shard.checkpoint_due());
    let again = open(&disk, &config(4, Metric::Dot));
    assert_eq!(again.digest(), durable);
    assert!(matches!(apply(&again, &half), Outcome::Written { .. }));
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let files = disk.files();
    let (segment, _) = files.iter().find(|(name, _)| name.contains("segment-")).unwrap();
    disk.remove(segment).unwrap();
    let Err(OpenError::Corrupt(damage)) = Shard::open(Arc::new(disk.clone()), DIR, config(4, Metric::Dot))
    else {
        panic!()
    };
    assert_eq!((damage.file, damage.detail.as_str()), (segment.clone(), "is missing"));
}

#[test]
fn another_configuration_is_refused() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let mut window = config(4, Metric::Dot);
    window.idempotency_bytes += 1;
    for other in [config(5, Metric::Dot), config(4, Metric::Cosine), window] {
        let opened = Shard::open(Arc::new(disk.clone()), DIR, other);
        assert!(matches!(opened, Err(OpenError::Mismatch { .. })));
    }
}

#[test]
fn damage_under_an_open_shard_is_refused_and_stops_the_replica_when_an_apply_needs_it() {
    let disk = SimDisk::new(5);
    drop(filled(&disk));
    let watched = Watched::new(&disk);
    let decayed = watched.decayed.clone();
    let shard = Shard::open(watched, DIR, config(4, Metric::Dot)).unwrap();
    let query = SearchQuery::new(vector(1, 4), 3);
    assert_eq!(shard.search(&query).unwrap().hits.len(), 3);
    decayed.store(true, Ordering::SeqCst);
    assert!(matches!(shard.get(&["p5"], ALL), Err(Refusal::Damaged(_))));
    assert!(matches!(shard.search(&query), Err(Refusal::Damaged(_))));
    assert!(matches!(shard.scroll(None, None, 5, ALL), Err(Refusal::Damaged(_))));
    let some = filter(r#"{"round":1}"#);
    assert!(matches!(shard.count(Some(&some)), Err(Refusal::Damaged(_))));
    assert!(!shard.damage().is_empty());
    // A write that needs no stored record goes on: its outcome does not depend on the damage.
    let before = shard.digest().value;
    let written = apply(&shard, &upsert(vec![point("p5", &vector(3, 4), "{}")]));
    assert!(matches!(written, Outcome::Written { .. }));
    assert_ne!(shard.digest().value, before);
    // One that needs them cannot be decided here.
    let applied = shard.applied_index();
    let by_filter = command(Operation::DeleteByFilter(some.to_text()));
    assert!(matches!(apply(&shard, &by_filter), Outcome::Damaged(_)));
    assert!(matches!(apply(&shard, &delete(&["p1"])), Outcome::Damaged(_)));
    assert_eq!(shard.applied_index(), applied);
    assert!(shard.checkpoint().is_err());
    assert!(matches!(shard.count(None), Err(Refusal::Damaged(_))));
    // The last checkpoint and the log are as good as ever.
    decayed.store(false, Ordering::SeqCst);
    assert!(open(&disk, &config(4, Metric::Dot)).damage().is_empty());
}
