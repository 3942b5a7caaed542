//! The simulation as a test: kept seeds, fresh seeds, every crash point, and equal runs from equal seeds.

use vectron_sim::scenarios::{
    clock_steps, crash_churn, every_crash_point, failed_sync, full_disk, idle_shard,
};

/// Seeds per scenario in a plain test run; `cargo xtask sim` takes more.
const SEEDS: std::ops::Range<u64> = 1..61;

fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn acknowledged_writes_survive_power_loss_under_churn() {
    let reports: Vec<_> = kept_seeds().into_iter().chain(SEEDS).map(crash_churn).collect();
    let answered: u64 = reports.iter().map(|report| report.answered).sum();
    assert!(
        answered > 50 * reports.len() as u64,
        "only {answered} calls were answered: the test tests nothing"
    );
}

/// Lesson 25: acknowledged data was gone after a power loss, because a sync did nothing.
#[test]
fn l25_power_loss_at_every_disk_operation() {
    let points = every_crash_point(1);
    assert!(points > 50, "only {points} operations: the sweep covers nothing");
}

#[test]
fn equal_seeds_are_equal_runs() {
    for seed in [3, 7, 11] {
        assert_eq!(crash_churn(seed), crash_churn(seed), "seed {seed}");
    }
    assert_ne!(crash_churn(3).trace, crash_churn(4).trace);
}

#[test]
fn a_failed_sync_loses_nothing_acknowledged() {
    SEEDS.for_each(failed_sync);
}

#[test]
fn a_full_disk_refuses_and_recovers_without_a_restart() {
    SEEDS.for_each(full_disk);
}

#[test]
fn stepping_the_wall_clock_by_an_hour_harms_nothing() {
    SEEDS.for_each(clock_steps);
}

#[test]
fn an_idle_shard_does_not_hold_the_journal() {
    (1..6).for_each(idle_shard);
}
