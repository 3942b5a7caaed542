//! The simulated cluster as tests: kept seeds, fresh seeds, equal runs from equal seeds, and the museum.

use std::time::Duration;
use vectron_sim::cluster::{Mischief, Outcome, Scenario, run};
use vectron_sim::museum::EXHIBITS;

/// Seeds of a minute each in a plain test run; `cargo xtask sim cluster` takes more.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=40;

fn minute() -> Scenario {
    Scenario::everything(Duration::from_secs(60))
}

fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    let kept =
        lines.filter_map(|line| line.strip_prefix("cluster ")?.split_whitespace().next()?.parse().ok());
    kept.collect()
}

fn sound(seed: u64, outcome: &Outcome) {
    assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
}

#[test]
fn the_contract_holds_while_everything_goes_wrong_at_once() {
    let mut seeds = kept_seeds();
    seeds.extend(SEEDS);
    let (mut acknowledged, mut compared, mut kinds) = (0, 0, std::collections::BTreeSet::new());
    for seed in &seeds {
        let outcome = run(&minute(), *seed);
        sound(*seed, &outcome);
        acknowledged += outcome.acknowledged;
        compared += outcome.compared;
        kinds.extend(outcome.mischief.keys().copied());
    }
    assert!(acknowledged > 200 * seeds.len(), "{acknowledged} writes: the test tests little");
    assert!(compared > 1_000 * seeds.len() as u64, "{compared} states compared: the test tests little");
    assert_eq!(kinds.len(), Mischief::ALL.len(), "not everything went wrong: {kinds:?}");
}

#[test]
fn a_calm_cluster_refuses_nothing() {
    for seed in 1..=3 {
        let outcome = run(&Scenario { mischief: Vec::new(), ..minute() }, seed);
        sound(seed, &outcome);
        assert_eq!(outcome.refused, 0, "seed {seed}");
        assert!(outcome.acknowledged > 1_000, "seed {seed}: {}", outcome.acknowledged);
    }
}

#[test]
fn equal_seeds_are_equal_runs() {
    let scenario = Scenario::everything(Duration::from_secs(20));
    for seed in [1, 5] {
        assert_eq!(run(&scenario, seed), run(&scenario, seed), "seed {seed}");
    }
    assert_ne!(run(&scenario, 1).trace, run(&scenario, 2).trace);
}

#[test]
fn every_exhibit_of_the_museum_is_found_within_its_budget() {
    let missed: Vec<&str> =
        EXHIBITS.iter().filter(|exhibit| exhibit.hunt().is_none()).map(|exhibit| exhibit.name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What finds the exhibits finds nothing without them.
#[test]
fn the_museum_without_its_bugs_is_sound() {
    for exhibit in EXHIBITS.iter().take(8) {
        for seed in 1..=2 {
            sound(seed, &run(&exhibit.scenario(false), seed));
        }
    }
}

/// Moves, drains, splits, transfers and search-only replicas in a cluster where nothing else goes wrong: nothing is
/// refused because of them but what they must refuse, and they come to their ends.
#[test]
fn operators_change_a_calm_cluster_and_the_contract_holds() {
    let (mut shards, mut moved, mut begun) = (0, 0, std::collections::BTreeSet::new());
    for seed in 1..=6 {
        let outcome = run(&Scenario { mischief: Mischief::OPERATIONS.to_vec(), ..minute() }, seed);
        sound(seed, &outcome);
        shards += outcome.shards;
        moved += outcome.moved;
        begun.extend(outcome.asked.iter().filter(|(_, (begun, _))| *begun > 0).map(|(kind, _)| *kind));
    }
    assert!(shards > 6 * 5, "{shards} shards at the end: too few splits");
    assert!(moved > 6 * 5, "{moved} replicas moved: the test tests little");
    assert_eq!(begun.len(), Mischief::OPERATIONS.len(), "not everything was done: {begun:?}");
}
