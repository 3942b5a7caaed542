//! Power loss at every single disk operation of a seeded workload.

use crate::world::{Task, World, knobs};
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::Outcome;
use vectron_base::disk::Disk;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::{Applied, GroupError, ProposeError};

/// What a client knows after a run.
#[derive(Default, Debug, PartialEq)]
struct Seen {
    opened: BTreeSet<u64>,
    tried: BTreeMap<u64, Vec<Vec<u8>>>,
    acknowledged: BTreeMap<u64, Vec<(u64, Vec<u8>)>>,
    refused: BTreeMap<u64, Vec<Vec<u8>>>,
    removal_tried: BTreeSet<u64>,
    removed: BTreeSet<u64>,
}

impl Seen {
    fn note(&mut self, group: u64, command: &[u8], answer: &Result<Applied, ProposeError>) {
        self.tried.entry(group).or_default().push(command.to_vec());
        match answer {
            Ok(applied) => {
                assert_eq!(applied.reply, command);
                self.acknowledged.entry(group).or_default().push((applied.index, command.to_vec()));
            }
            Err(error) if error.outcome() == Outcome::NotApplied => {
                self.refused.entry(group).or_default().push(command.to_vec());
            }
            Err(_) => {}
        }
    }
}

/// Several groups, rounds of concurrent proposals, checkpoints, a removal, rolling segments, and an orderly
/// restart in the middle. Ends early when the power goes.
fn workload(disk: &SimDisk, seed: u64, seen: &mut Seen) {
    let random = SeededRandom::new(seed);
    for life in 0..2 {
        let Ok(mut world) = World::start(disk, knobs()) else { return };
        for group in 1..=4 {
            match world.open(group) {
                Ok(()) => seen.opened.insert(group),
                Err(GroupError::Removed) => continue,
                Err(_) => return,
            };
        }
        for round in 0..14 {
            let mut wanted = Vec::new();
            for number in 0..=random.below(4) {
                let group = 1 + random.below(4);
                let mut command = format!("{life}-{round}-{number}-").into_bytes();
                command.resize(command.len() + random.below(900) as usize, b'x');
                wanted.push((group, command));
            }
            let mut tasks: Vec<Task<_>> =
                wanted.iter().map(|(group, command)| world.propose_task(*group, command)).collect();
            for ((group, command), answer) in wanted.iter().zip(world.wait_all(&mut tasks)) {
                seen.note(*group, command, &answer);
            }
            if random.below(3) == 0 && world.checkpoint(1 + random.below(4)).is_err() {
                return;
            }
            if (life, round) == (0, 7) {
                seen.removal_tried.insert(4);
                if world.remove(4).is_ok() {
                    seen.removed.insert(4);
                }
            }
            if random.below(2) == 0 {
                world.settle();
            }
            if disk.power_lost() {
                return;
            }
        }
    }
}

/// Everything acknowledged is there, once, in order and at its index; nothing refused or made up is.
fn check(world: &mut World, seen: &Seen, context: &str) {
    assert_eq!(world.handle.journal().damage, Vec::<String>::new(), "{context}");
    for group in 1..=4 {
        match world.open(group) {
            Err(GroupError::Removed) => {
                assert!(seen.removal_tried.contains(&group), "{context}");
                continue;
            }
            other => assert_eq!(other, Ok(()), "{context}: group {group}"),
        }
        assert!(!seen.removed.contains(&group), "{context}: group {group} came back");
        world.barrier(group).unwrap();
        let log = world.log(group);
        let none = Vec::new();
        for acknowledged in seen.acknowledged.get(&group).unwrap_or(&none) {
            assert!(log.contains(acknowledged), "{context}: group {group} lost {}", acknowledged.0);
        }
        let unique: BTreeSet<_> = log.iter().map(|(_, command)| command).collect();
        assert_eq!(unique.len(), log.len(), "{context}: twice");
        for (_, command) in &log {
            assert!(seen.tried[&group].contains(command), "{context}: made up");
            assert!(!seen.refused.get(&group).is_some_and(|r| r.contains(command)), "{context}: refused");
        }
        let tried: Vec<_> = log.iter().map(|(_, c)| seen.tried[&group].iter().position(|t| t == c)).collect();
        assert!(tried.is_sorted(), "{context}: order");
    }
}

fn sweep(seed: u64) -> u64 {
    let disk = SimDisk::new(seed);
    let mut seen = Seen::default();
    workload(&disk, seed, &mut seen);
    let total = disk.operations();
    assert!(seen.acknowledged.values().map(Vec::len).sum::<usize>() > 20 && seen.removed.contains(&4));
    for at in 1..=total {
        let disk = SimDisk::new(seed.wrapping_mul(1_000_003) ^ at);
        disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
        let mut seen = Seen::default();
        workload(&disk, seed, &mut seen);
        assert!(disk.power_lost());
        disk.restart();
        let context = format!("seed {seed}, power lost at {at}");
        let mut world = World::start(&disk, knobs()).unwrap();
        check(&mut world, &seen, &context);
        // And again: recovery itself changes nothing that a further power loss could take away.
        let answer = world.propose(1, b"after");
        assert!(answer.is_ok(), "{context}: {answer:?}");
        seen.note(1, b"after", &answer);
        check(&mut world.power_cycle(), &seen, &format!("{context}, and again"));
    }
    total
}

#[test]
fn power_loss_at_every_operation_loses_nothing_acknowledged() {
    let operations: u64 = (1..=24).map(sweep).sum();
    assert!(operations > 600, "{operations}");
}

#[test]
fn power_loss_during_recovery_loses_nothing_acknowledged() {
    for seed in 1..=12u64 {
        let build = |extra: Option<u64>| {
            let disk = SimDisk::new(seed);
            let mut seen = Seen::default();
            let cut = 60 + seed * 7;
            disk.set_faults(Faults { power_loss_at_operation: Some(cut), ..Faults::default() });
            workload(&disk, seed, &mut seen);
            disk.restart();
            let before = disk.operations();
            disk.set_faults(Faults {
                power_loss_at_operation: extra.map(|extra| before + extra),
                ..Faults::default()
            });
            (disk, seen, before)
        };
        let (disk, _, before) = build(None);
        if let Ok(mut world) = World::start(&disk, knobs()) {
            for group in 1..=4 {
                let _ = world.open(group);
            }
        }
        for extra in 1..=disk.operations() - before {
            let (disk, seen, _) = build(Some(extra));
            if let Ok(mut world) = World::start(&disk, knobs()) {
                for group in 1..=4 {
                    let _ = world.open(group);
                }
            }
            disk.lose_power();
            disk.restart();
            let mut world = World::start(&disk, knobs()).unwrap();
            check(&mut world, &seen, &format!("seed {seed}, power lost at {extra} of recovery"));
        }
    }
}

#[test]
fn equal_seeds_leave_equal_traces() {
    let run = || {
        let disk = SimDisk::new(9);
        let mut seen = Seen::default();
        workload(&disk, 9, &mut seen);
        let files = disk.files();
        let bytes: Vec<Vec<u8>> = files.iter().map(|(name, _)| disk.read(name).unwrap()).collect();
        (seen, disk.operations(), files, bytes)
    };
    assert!(run() == run());
}

#[test]
fn a_process_that_dies_without_power_loss_keeps_everything() {
    for seed in 1..=20 {
        let disk = SimDisk::new(seed);
        let mut seen = Seen::default();
        workload(&disk, seed, &mut seen);
        // Nothing is lost with the page cache intact, and opening twice finds the same.
        for _ in 0..2 {
            let mut world = World::start(&disk, knobs()).unwrap();
            check(&mut world, &seen, "restart");
        }
    }
}
