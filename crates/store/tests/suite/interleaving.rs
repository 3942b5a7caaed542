//! Writes that come in while a checkpoint is under way, and checkpoints whose end is in doubt.

use crate::support::*;
use crate::watched::Watched;
use std::sync::{Arc, OnceLock};
use vectron_base::disk::sim::SimDisk;
use vectron_store::{Metric, Shard};

fn batch(from: u64, round: u64) -> vectron_store::Command {
    let one = |i: u64| point(&format!("p{i}"), &vector(i + round, 4), &format!("{{\"round\":{round}}}"));
    upsert((from..from + 10).map(one).collect())
}

#[test]
fn writes_during_a_checkpoint_are_not_lost_and_deletes_stay_deleted() {
    let (disk, config) = (SimDisk::new(1), config(4, Metric::Dot));
    let watched = Watched::new(&disk);
    let shard = Arc::new(Shard::open(watched.clone(), DIR, config.clone()).unwrap());
    let weak = Arc::new(OnceLock::new());
    weak.set(Arc::downgrade(&shard)).unwrap();
    let mut round = 0;
    watched.on_operation(move |operation, _| {
        // The segment is written; the rows do not point at it yet.
        if operation == "map"
            && let Some(shard) = weak.get().and_then(|weak| weak.upgrade())
        {
            round += 1;
            apply(&shard, &delete(&["p1", "p14"]));
            apply(&shard, &batch(3, 100 + round));
            let payload_only = point("p15", &vector(15, 4), &format!("{{\"r\":{round}}}"));
            apply(&shard, &upsert(vec![payload_only]));
            shard.index_step(&|| false);
        }
        true
    });
    for round in 0..6 {
        apply(&shard, &batch(0, round));
        apply(&shard, &batch(10, 0));
        let before = shard.applied_index();
        assert_eq!(shard.checkpoint().unwrap(), before);
        let now = shard.digest();
        assert!(now.applied_index > before);
        // What the checkpoint holds, and the log after it, make the same state.
        assert_eq!(open(&disk, &config).applied_index(), before);
        assert!(shard.get(&["p1", "p14"], ALL).unwrap().value.iter().all(Option::is_none));
        assert_eq!(shard.digest(), now);
    }
    watched.on_operation(|_, _| true);
    shard.checkpoint().unwrap();
    let again = open(&disk, &config);
    assert_eq!(again.digest(), shard.digest());
    assert_eq!(again.stats().points, shard.stats().points);
    assert_eq!(shard.stats().bytes_since_checkpoint, 0);
}

#[test]
fn a_checkpoint_whose_end_is_in_doubt_keeps_both_sets_of_files() {
    for seed in 0..60 {
        let (disk, config) = (SimDisk::new(seed), config(4, Metric::Dot));
        let watched = Watched::new(&disk);
        let shard = Shard::open(watched.clone(), DIR, config.clone()).unwrap();
        let mut digests = vec![];
        apply(&shard, &batch(0, 0));
        shard.checkpoint().unwrap();
        digests.push(shard.digest());
        apply(&shard, &batch(0, 1));
        digests.push(shard.digest());
        let mut syncs = 0;
        watched.on_operation(move |operation, _| {
            syncs += i32::from(operation == "sync_dir");
            syncs < 2
        });
        assert!(shard.checkpoint().is_err());
        assert_eq!(shard.durable_index(), 1);
        if seed % 2 == 0 {
            // Without a crash the next attempt succeeds.
            watched.on_operation(|_, _| true);
            shard.checkpoint().unwrap();
            digests.remove(0);
        }
        // The machine crashes, or only the process.
        if seed % 3 != 1 {
            disk.lose_power();
            disk.restart();
        }
        let again = open(&disk, &config);
        assert!(digests.contains(&again.digest()));
        assert!(again.get(&["p3"], ALL).unwrap().value[0].is_some());
    }
}
