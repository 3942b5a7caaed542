//! Power loss at every operation of the disk, and syncs that fail.

use crate::support::*;
use std::sync::Arc;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_store::{Metric, Operation, Shard, ShardConfig};

const COMMANDS: u64 = 36;

/// The log: upserts, updates, deletes; enough dead records that segments are rewritten.
fn log_entry(index: u64) -> Vec<u8> {
    let id = |n: u64| format!("p{}", n % 17);
    let command = match index % 6 {
        5 => delete(&[id(index).as_str(), &id(index / 2)][..1 + usize::from(index % 17 != (index / 2) % 17)]),
        4 if index > 20 => command(Operation::DeleteByFilter(r#"{"i":{"$lt":12}}"#.into())),
        _ => {
            let payload = format!("{{\"i\":{index},\"text\":\"{}\"}}", "x".repeat(100));
            let points = (0..3).map(|n| point(&id(index * 3 + n), &vector(index + n, 3), &payload));
            keyed(upsert(points.collect()), index * 1000, &format!("key{index}"), index)
        }
    };
    command.encode()
}

fn shape() -> ShardConfig {
    config(3, Metric::Euclidean)
}

fn reference() -> u128 {
    let shard = open(&SimDisk::new(9), &shape());
    (1..=COMMANDS).for_each(|index| drop(shard.apply(index, &log_entry(index))));
    shard.digest().value
}

/// Applies the rest of the log with checkpoints in between. The last durable index that was reported, and
/// whether the end was reached.
fn work(shard: &Shard, mut durable: u64) -> (u64, bool) {
    for index in shard.applied_index() + 1..=COMMANDS {
        shard.apply(index, &log_entry(index));
        shard.index_step(&|| false);
        if index % 4 == 0 {
            match shard.checkpoint() {
                Ok(covered) => durable = covered,
                Err(_) => return (durable, false),
            }
        }
    }
    (durable, true)
}

#[test]
fn power_loss_at_every_operation_loses_nothing() {
    let truth = reference();
    let undisturbed = SimDisk::new(0);
    work(&open(&undisturbed, &shape()), 0);
    let operations = undisturbed.operations();
    assert!(operations > 80, "{operations}");
    for seed in 0..4 {
        for at in 1..=operations {
            let disk = SimDisk::new(seed * 1000 + at);
            disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
            let opened = Shard::open(Arc::new(disk.clone()), DIR, shape());
            let (durable, finished) = opened.map_or((0, false), |shard| work(&shard, 0));
            assert!(!finished || disk.power_lost() || at == operations, "operation {at}");
            disk.restart();
            let shard = open(&disk, &shape());
            assert!(shard.damage().is_empty(), "operation {at}: {:?}", shard.damage());
            assert!(shard.durable_index() >= durable, "operation {at}: durable {durable} was promised");
            let (_, finished) = work(&shard, durable);
            assert!(finished);
            assert_eq!(shard.digest().value, truth, "operation {at}, seed {seed}");
            shard.checkpoint().unwrap();
            let again = open(&disk, &shape());
            assert_eq!((again.digest().value, again.applied_index()), (truth, COMMANDS));
        }
    }
}

#[test]
fn a_second_crash_while_recovering_loses_nothing() {
    let truth = reference();
    for at in (3..120).step_by(7) {
        let disk = SimDisk::new(at);
        for _ in 0..3 {
            let next = disk.operations() + at;
            disk.set_faults(Faults { power_loss_at_operation: Some(next), ..Faults::default() });
            if let Ok(shard) = Shard::open(Arc::new(disk.clone()), DIR, shape()) {
                work(&shard, 0);
            }
            disk.lose_power();
            disk.restart();
        }
        let shard = open(&disk, &shape());
        work(&shard, 0);
        assert_eq!(shard.digest().value, truth);
    }
}

#[test]
fn a_failed_sync_fails_the_checkpoint_and_the_next_one_succeeds() {
    let truth = reference();
    let undisturbed = SimDisk::new(0);
    work(&open(&undisturbed, &shape()), 0);
    for nth in 1..=undisturbed.syncs() {
        let disk = SimDisk::new(nth);
        disk.set_faults(Faults { fail_sync: Some(nth), ..Faults::default() });
        let shard = open(&disk, &shape());
        let mut failed = 0;
        for index in 1..=COMMANDS {
            shard.apply(index, &log_entry(index));
            shard.index_step(&|| false);
            if index % 4 == 0 && shard.checkpoint().is_err() {
                failed += 1;
                assert_eq!(shard.durable_index(), index - 4);
            }
        }
        assert_eq!(failed, 1, "sync {nth}");
        if shard.durable_index() < COMMANDS {
            shard.checkpoint().unwrap();
        }
        disk.lose_power();
        disk.restart();
        let again = open(&disk, &shape());
        assert_eq!((again.digest().value, again.applied_index()), (truth, COMMANDS), "sync {nth}");
    }
}
