//! The journal's space comes back, and who keeps it is named.

use crate::flawed::{Flaw, Flawed};
use crate::world::{World, knobs};
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::GroupId;
use vectron_consensus::{ConsensusKnobs, ProposeError};

const LIMIT: u64 = 20_000;
const SEGMENT: u64 = 4_096;

fn limited() -> ConsensusKnobs {
    ConsensusKnobs { journal_limit_bytes: LIMIT, ..knobs() }
}

fn busy(world: &mut World, group: u64, times: usize) {
    for _ in 0..times {
        world.propose(group, &[7; 600]).unwrap();
        world.tend();
    }
}

/// A group that gets no command still has an entry of each time that it began to lead.
#[test]
fn idle_groups_do_not_keep_the_journal() {
    let mut world = World::start(&SimDisk::new(1), limited()).unwrap();
    for life in 0..12 {
        for group in 1..=3 {
            world.open(group).unwrap();
        }
        for _ in 0..80 {
            busy(&mut world, 2, 1);
            let journal = world.handle.journal();
            assert!(journal.bytes <= LIMIT + 3 * SEGMENT, "life {life}: {journal:?}");
        }
        assert_eq!(world.log(1), []);
        world = if life % 2 == 0 { world.restart() } else { world.power_cycle() };
    }
    world.open(2).unwrap();
    world.barrier(2).unwrap();
    assert_eq!(world.commands(2).len(), 12 * 80);
}

#[test]
fn groups_that_are_not_served_and_keep_the_journal_are_named() {
    let mut world = World::start(&SimDisk::new(2), limited()).unwrap();
    for group in 1..=4 {
        world.open(group).unwrap();
        world.propose(group, b"kept").unwrap();
    }
    assert_eq!(world.propose(3, b"poison"), Err(ProposeError::Unknown));
    let mut world = world.restart();
    // The first group's owner sets it aside; the third one's machine panics again.
    for group in 2..=4 {
        world.open(group).unwrap();
    }
    busy(&mut world, 2, 80);
    let kept = world.handle.journal();
    assert!(kept.bytes > LIMIT);
    assert_eq!(kept.holders, [GroupId(1), GroupId(3)]);
    assert!(world.handle.laggards().is_empty(), "nobody can checkpoint them");

    world.open(1).unwrap();
    assert_eq!(world.handle.laggards(), [GroupId(1)]);
    world.tend();
    assert_eq!(world.handle.journal().holders, [GroupId(3)]);
    world.remove(3).unwrap();
    busy(&mut world, 2, 10);
    let journal = world.handle.journal();
    assert!(journal.holders.is_empty() && journal.bytes <= LIMIT + SEGMENT, "{journal:?}");
    assert_eq!(world.commands(1), [b"kept".to_vec()]);
}

#[test]
fn damage_that_keeps_the_journal_is_named() {
    let disk = SimDisk::new(3);
    let mut world = World::start(&disk, limited()).unwrap();
    for group in 1..=2 {
        world.open(group).unwrap();
        world.propose(group, format!("first of {group}").as_bytes()).unwrap();
    }
    world.settle();
    let (file, _) = world.segments()[0].clone();
    let bytes = vectron_base::disk::Disk::read(&disk, &file).unwrap();
    let at = bytes.windows(10).position(|w| w == b"first of 1").unwrap() as u64;
    disk.flip_bit(&file, at * 8);
    let mut world = world.restart();
    world.open(1).unwrap_err();
    world.open(2).unwrap();
    busy(&mut world, 2, 60);
    assert_eq!(world.handle.journal().holders, [GroupId(1)]);
    world.remove(1).unwrap();
    busy(&mut world, 2, 10);
    assert!(world.handle.journal().holders.is_empty());
}

/// A segment that cannot be removed for a while is removed later, and none before it.
#[test]
fn removing_segments_is_tried_again() {
    for (seed, flaw) in (4..).zip([Flaw::NoRemove, Flaw::NoSyncDir]) {
        let disk = SimDisk::new(seed);
        let flawed = Flawed::over(&disk);
        let mut world = World::start_over(Arc::new(flawed.clone()), &disk, knobs()).unwrap();
        world.open(1).unwrap();
        busy(&mut world, 1, 40);
        let before = world.segments().len();
        flawed.set(flaw);
        world.checkpoint(1).unwrap();
        assert!(world.segments().len() + 1 >= before);
        flawed.set(Flaw::None);
        busy(&mut world, 1, 1);
        assert!(world.segments().len() <= 2, "{flaw:?}: {:?}", world.segments());
        let mut world = world.power_cycle();
        assert_eq!(world.handle.journal().damage, Vec::<String>::new());
        world.open(1).unwrap();
        world.barrier(1).unwrap();
        assert_eq!(world.commands(1).len(), 41);
    }
}
