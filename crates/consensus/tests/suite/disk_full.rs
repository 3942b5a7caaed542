//! A full disk, or one that makes no files, refuses, keeps what it has, and recovers without a restart.

use crate::flawed::{Flaw, Flawed};
use crate::world::{Task, World, knobs};
use std::sync::Arc;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::ids::GroupId;
use vectron_consensus::{ConsensusKnobs, ProposeError};

fn used(disk: &SimDisk) -> u64 {
    disk.files().iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn proposals_are_refused_before_the_disk_is_full_and_accepted_when_it_is_not() {
    let disk = SimDisk::new(1);
    let knobs = ConsensusKnobs { disk_reserve_bytes: 8_000, ..knobs() };
    let mut world = World::start(&disk, knobs).unwrap();
    world.open(1).unwrap();
    disk.set_capacity(Some(used(&disk) + 12_000));
    let mut accepted = Vec::new();
    let refused = loop {
        let command = format!("{}{}", accepted.len(), "z".repeat(400)).into_bytes();
        match world.propose(1, &command) {
            Ok(_) => accepted.push(command),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ProposeError::DiskFull);
    assert_eq!(world.barrier(1).unwrap(), accepted.len() as u64 + 1, "reads go on");

    let handle = world.handle.clone();
    let freeing = world.wait(async move { handle.propose_reserved(GroupId(1), b"delete".to_vec()).await });
    assert!(freeing.is_ok(), "{freeing:?}");
    accepted.push(b"delete".to_vec());
    let handle = world.handle.clone();
    world.wait(async move { handle.remove_group(GroupId(9)).await }).unwrap();

    disk.set_capacity(None);
    world.propose(1, b"freed").unwrap();
    accepted.push(b"freed".to_vec());
    let mut world = world.power_cycle();
    world.open(1).unwrap();
    world.barrier(1).unwrap();
    assert_eq!(world.commands(1), accepted);
}

#[test]
fn a_batch_that_does_not_fit_waits_and_is_written_when_it_does() {
    for spare in [0, 3, 40, 200, 900, 2_500] {
        let disk = SimDisk::new(spare + 7);
        let flawed = Flawed::over(&disk);
        flawed.set(Flaw::Boasts);
        let mut world = World::start_over(Arc::new(flawed), &disk, knobs()).unwrap();
        world.open(1).unwrap();
        world.open(2).unwrap();
        world.propose(1, &[b'a'; 3_000]).unwrap();
        world.settle();

        disk.set_capacity(Some(used(&disk) + spare));
        let mut pending: Vec<Task<_>> =
            vec![world.propose_task(1, &[b'b'; 2_600]), world.propose_task(2, b"other group")];
        let mut done = vec![None, None];
        for _ in 0..20 {
            crate::world::poll(&mut pending, &mut done);
            world.clock.advance(std::time::Duration::from_millis(100));
            world.driver.turn();
        }
        assert!(done.iter().all(Option::is_none), "{spare}: neither applied nor refused");
        assert!(world.handle.journal().full);
        assert_eq!(world.propose(1, b"late"), Err(ProposeError::DiskFull));
        assert!(world.barrier(1).is_ok(), "reads go on");

        disk.set_capacity(None);
        for answer in world.wait_all(&mut pending) {
            answer.unwrap();
        }
        assert!(!world.handle.journal().full);
        world.propose(2, b"more").unwrap();
        let mut world = world.power_cycle();
        assert_eq!(world.handle.journal().damage, Vec::<String>::new());
        for group in [1, 2] {
            world.open(group).unwrap();
            world.barrier(group).unwrap();
        }
        assert_eq!(world.commands(1), [vec![b'a'; 3_000], vec![b'b'; 2_600]]);
        assert_eq!(world.commands(2), [b"other group".to_vec(), b"more".to_vec()]);
    }
}

/// Out of file descriptors, say: a segment that cannot be begun is waited for, whatever step of it fails.
#[test]
fn a_segment_that_cannot_be_begun_is_waited_for() {
    for (seed, flaw) in (1..).zip([Flaw::NoCreate, Flaw::NoSyncDir, Flaw::NoAppendToNew, Flaw::NoSyncDir]) {
        let disk = SimDisk::new(seed);
        let flawed = Flawed::over(&disk);
        let mut world = World::start_over(Arc::new(flawed.clone()), &disk, knobs()).unwrap();
        world.open(1).unwrap();
        // The segment is full: what comes next begins another.
        world.propose(1, &[b'a'; 5_000]).unwrap();
        world.settle();
        let before = world.segments().len();
        flawed.set(flaw);
        let mut pending = vec![world.propose_task(1, b"waits")];
        let mut done = vec![None];
        for _ in 0..20 {
            crate::world::poll(&mut pending, &mut done);
            world.clock.advance(std::time::Duration::from_millis(100));
            world.driver.turn();
        }
        assert_eq!(done, [None], "{flaw:?}: neither applied nor refused");
        let journal = world.handle.journal();
        assert!(journal.full && journal.failed.is_none(), "{flaw:?}: {journal:?}");
        assert_eq!(world.propose(1, b"late"), Err(ProposeError::DiskFull));
        assert!(world.barrier(1).is_ok(), "reads go on");
        assert!(world.segments().len() <= before + 1, "{flaw:?}: attempts do not pile up");

        if seed == 4 {
            // What an attempt left behind harms no restart.
            let mut world = world.power_cycle();
            assert_eq!(world.handle.journal().damage, Vec::<String>::new());
            world.open(1).unwrap();
            world.barrier(1).unwrap();
            assert_eq!(world.commands(1), [vec![b'a'; 5_000]]);
            continue;
        }
        flawed.set(Flaw::None);
        world.wait_all(&mut pending).pop().unwrap().unwrap();
        world.propose(1, b"more").unwrap();
        assert!(!world.handle.journal().full);
        assert_eq!(world.segments().len(), before + 1);
        let mut world = world.power_cycle();
        assert_eq!(world.handle.journal().damage, Vec::<String>::new());
        world.open(1).unwrap();
        world.barrier(1).unwrap();
        assert_eq!(world.commands(1), [vec![b'a'; 5_000], b"waits".to_vec(), b"more".to_vec()]);
    }
}

/// A new segment's first sync is a sync like any other: after it failed, nothing is trusted.
#[test]
fn a_new_segment_whose_sync_fails_stops_the_journal() {
    let mut world = World::new(9);
    world.open(1).unwrap();
    world.propose(1, &[b'a'; 5_000]).unwrap();
    world.disk.set_faults(Faults { fail_sync: Some(world.disk.syncs() + 1), ..Faults::default() });
    assert_eq!(world.propose(1, b"doubtful"), Err(ProposeError::Unknown));
    assert!(world.handle.journal().failed.is_some());
}
