//! Reading again what is stored, and comparing replicas.

use crate::support::*;
use crate::watched::Watched;
use std::sync::atomic::Ordering;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{Metric, Operation, Outcome, ScrubReport, Shard};

fn whole_pass(shard: &Shard, points: u64) -> ScrubReport {
    for _ in 0..1000 {
        if let Some(report) = shard.scrub_step(points).report {
            return report;
        }
    }
    panic!("the pass does not end");
}

#[test]
fn l31_replicas_are_compared_at_marks_and_one_that_differs_shows() {
    let (disk, shard) = shard_of(100, 4);
    let (_, other) = shard_of(100, 4);
    let mark = || command(Operation::Mark);
    let digest = shard.digest();
    assert!(matches!(apply(&shard, &mark()), Outcome::Written { deleted: 0, .. }));
    assert_eq!(shard.digest().value, digest.value);
    assert_eq!((shard.marks().len(), shard.marks()[0].index), (1, digest.applied_index + 1));
    assert_eq!(shard.marks()[0].digest, digest.value);
    apply(&other, &mark());
    assert_eq!(shard.marks(), other.marks());
    // One replica misses a delete.
    apply(&shard, &delete(&["p0007"]));
    other.advance(other.applied_index() + 1);
    apply(&shard, &mark());
    apply(&other, &mark());
    assert_eq!(shard.marks()[0], other.marks()[0]);
    assert_eq!(shard.marks()[1].index, other.marks()[1].index);
    assert_ne!(shard.marks()[1].digest, other.marks()[1].digest);
    for _ in 0..100 {
        apply(&shard, &mark());
    }
    assert_eq!(shard.marks().len(), 16);
    shard.checkpoint().unwrap();
    let again = open(&disk, &config(4, Metric::Cosine));
    assert_eq!((again.marks(), again.digest()), (vec![], shard.digest()));
    apply(&shard, &command(Operation::Seal));
    assert_eq!(apply(&shard, &mark()), Outcome::Sealed);
}

#[test]
fn a_pass_reads_every_point_and_finds_nothing_where_nothing_is() {
    let (_, shard) = shard_of(1500, 4);
    for round in 0..3 {
        let report = whole_pass(&shard, 1 + round * 700);
        assert_eq!((report.points, report.is_clean()), (1500, true));
        shard.checkpoint().unwrap();
    }
    // Writes, deletes and checkpoints in the middle of a pass are no findings.
    let mut steps = 0;
    let report = loop {
        let step = shard.scrub_step(100);
        if let Some(report) = step.report {
            break report;
        }
        steps += 1;
        apply(&shard, &upsert(vec![point(&format!("p{:04}", steps * 100), &vector(steps, 4), "{}")]));
        apply(&shard, &delete(&[&format!("p{:04}", steps * 100 + 1)]));
        shard.checkpoint().unwrap();
    };
    assert!(report.is_clean() && steps > 1, "{report:?} {steps}");
}

#[test]
fn every_damaged_record_is_found_and_its_point_named() {
    let disk = SimDisk::new(5);
    let watched = Watched::new(&disk);
    let decayed = watched.decayed.clone();
    let shard = Shard::open(watched, DIR, config(4, Metric::Dot)).unwrap();
    let points = (0..100).map(|i| point(&format!("p{i}"), &vector(i, 4), r#"{"a":1}"#));
    apply(&shard, &upsert(points.collect()));
    shard.checkpoint().unwrap();
    apply(&shard, &upsert(vec![point("memory", &vector(1, 4), "{}")]));
    assert!(whole_pass(&shard, 50).is_clean());
    decayed.store(true, Ordering::SeqCst);
    let report = whole_pass(&shard, 50);
    assert_eq!((report.points, report.damaged, report.sum_differs), (101, 100, false));
    assert_eq!(report.named.len(), 64);
    assert_eq!(report.named[0].id.as_deref(), Some("p0"));
    assert!(report.named.iter().all(|named| named.damage.file.contains("segment-")));
    assert!(!shard.damage().is_empty());
    decayed.store(false, Ordering::SeqCst);
    assert!(whole_pass(&shard, 50).is_clean());
}

#[test]
fn one_flipped_bit_of_a_live_record_is_found_wherever_it_is() {
    let disk = SimDisk::new(5);
    let shard = open(&disk, &config(4, Metric::Dot));
    apply(&shard, &upsert((0..6).map(|i| point(&format!("p{i}"), &vector(i, 4), "{}")).collect()));
    shard.checkpoint().unwrap();
    let (file, _) = disk.files().into_iter().find(|(name, _)| name.contains("segment-")).unwrap();
    let records = 16..16 + 6 * (28 + 2 + 2 + 16);
    for byte in records {
        // The shard is loaded before the decay; what it reads then is decayed.
        let watched = Watched::new(&disk);
        *watched.flips.lock() = Some((byte, 1 << (byte % 8)));
        let shard = Shard::open(watched.clone(), DIR, config(4, Metric::Dot)).unwrap();
        watched.decayed.store(true, Ordering::SeqCst);
        let report = whole_pass(&shard, 100);
        assert_eq!((report.damaged, report.named[0].damage.file.as_str()), (1, file.as_str()), "byte {byte}");
    }
}
