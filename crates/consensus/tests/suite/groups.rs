//! Opening, removing, checkpoints, limits and read points.

use crate::world::{Task, World, config, knobs};
use futures::FutureExt;
use vectron_base::Outcome;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_consensus::{ConsensusKnobs, GroupConfig, GroupError, ProposeError, Role};

#[test]
fn a_single_voter_leads_at_once_and_applies_in_order() {
    let mut world = World::new(1);
    world.open(1).unwrap();
    let status = world.handle.status(GroupId(1)).unwrap();
    assert_eq!((status.role, status.leader, status.term), (Role::Leader, Some(ReplicaId(1)), 1));
    let first = world.propose(1, b"a").unwrap();
    let empty = world.propose(1, b"").unwrap();
    assert_eq!((first.index, first.term, first.reply.as_slice()), (2, 1, &b"a"[..]));
    assert_eq!(empty.index, 3);
    assert_eq!(world.commands(1), [b"a".to_vec(), b"".to_vec()]);
    assert_eq!(world.barrier(1), Ok(3));
    let handle = world.handle.clone();
    assert_eq!(world.wait(async move { handle.applied(GroupId(1), 2).await }), Ok(3));
}

#[test]
fn waiting_work_of_all_groups_shares_one_sync() {
    let mut world = World::new(2);
    for group in 1..=8 {
        world.open(group).unwrap();
    }
    world.settle();
    let before = world.disk.syncs();
    let mut tasks: Vec<Task<_>> = (0..40u8).map(|n| world.propose_task(u64::from(n % 8) + 1, &[n])).collect();
    assert!(world.wait_all(&mut tasks).iter().all(Result::is_ok));
    assert_eq!(world.disk.syncs() - before, 1);
}

#[test]
fn an_answer_waits_for_the_sync() {
    let mut world = World::new(3);
    world.open(1).unwrap();
    let mut task = world.propose_task(1, b"x");
    assert!(task.as_mut().now_or_never().is_none());
    world.disk.set_faults(vectron_base::disk::sim::Faults {
        fail_sync: Some(world.disk.syncs() + 1),
        ..Default::default()
    });
    world.driver.turn();
    assert_eq!(task.now_or_never(), Some(Err(ProposeError::Unknown)));
    assert!(world.commands(1).is_empty());
}

#[test]
fn a_removed_group_never_comes_back_and_its_space_does() {
    let mut world = World::new(4);
    world.open(1).unwrap();
    world.open(2).unwrap();
    for _ in 0..10 {
        world.propose(1, &[1; 1_000]).unwrap();
        world.propose(2, &[2; 100]).unwrap();
    }
    world.remove(1).unwrap();
    assert_eq!(world.open(1), Err(GroupError::Removed));
    assert_eq!(world.propose(1, b"x"), Err(ProposeError::Closed));
    assert_eq!(world.handle.status(GroupId(1)), None);
    world.checkpoint(2).unwrap();
    world.propose(2, &[2; 4_000]).unwrap();
    world.propose(2, &[2; 10]).unwrap();
    world.checkpoint(2).unwrap();
    assert!(world.handle.journal().bytes < 6_000, "{:?}", world.segments());
    let mut world = world.power_cycle();
    assert_eq!(world.open(1), Err(GroupError::Removed));
    world.open(2).unwrap();
    assert_eq!(world.barrier(2).map(|_| world.commands(2).len()), Ok(12));
}

#[test]
fn wrong_configurations_are_refused() {
    let mut world = World::new(6);
    let mut attempt = |config: GroupConfig| {
        let machine = world.machine(config.group.0).unwrap();
        let handle = world.handle.clone();
        world.wait(async move { handle.open_group(config, machine).await })
    };
    let base = config(1);
    assert!(matches!(
        attempt(GroupConfig { replica: ReplicaId(0), ..base.clone() }),
        Err(GroupError::Invalid(_))
    ));
    assert!(matches!(attempt(GroupConfig { voters: vec![], ..base.clone() }), Err(GroupError::Invalid(_))));
    attempt(base.clone()).unwrap();
    assert_eq!(attempt(base.clone()), Err(GroupError::AlreadyOpen));
    let mut world = world.restart();
    let other = GroupConfig { replica: ReplicaId(2), voters: vec![ReplicaId(2)], ..base };
    let machine = world.machine(1).unwrap();
    let handle = world.handle.clone();
    let answer = world.wait(async move { handle.open_group(other, machine).await });
    assert_eq!(answer, Err(GroupError::OtherReplica { stored: ReplicaId(1) }));
    // Its log was read for the refused opening, and is read again for this one.
    world.open(1).unwrap();
}

#[test]
fn checkpoints_let_the_log_go_and_laggards_are_named() {
    let disk = SimDisk::new(7);
    let limits = ConsensusKnobs { journal_limit_bytes: 20_000, ..knobs() };
    let mut world = World::start(&disk, limits).unwrap();
    for group in 1..=3 {
        world.open(group).unwrap();
        world.propose(group, b"first").unwrap();
    }
    for _ in 0..60 {
        world.propose(1, &[1; 600]).unwrap();
        world.checkpoint(1).unwrap();
    }
    assert_eq!(world.handle.laggards(), [GroupId(2), GroupId(3)]);
    assert!(world.handle.journal().bytes > 20_000);
    world.checkpoint(2).unwrap();
    assert_eq!(world.handle.laggards(), [GroupId(3)]);
    world.checkpoint(3).unwrap();
    assert!(world.handle.laggards().is_empty());
    assert!(world.handle.journal().bytes < 10_000 && world.segments().len() <= 2, "{:?}", world.segments());
    let mut world = world.power_cycle();
    for group in 1..=3 {
        world.open(group).unwrap();
    }
    world.propose(3, b"last").unwrap();
    assert_eq!(world.commands(3), [b"first".to_vec(), b"last".to_vec()]);
    assert_eq!(world.commands(1).len(), 61);
}

#[test]
fn only_what_the_machine_does_not_cover_is_replayed() {
    let mut world = World::new(8);
    world.open(1).unwrap();
    for number in 0..10u8 {
        world.propose(1, &[number]).unwrap();
    }
    world.checkpoint(1).unwrap();
    for number in 10..15u8 {
        world.propose(1, &[number]).unwrap();
    }
    // The recorder asserts that no entry comes twice.
    let mut world = world.power_cycle();
    world.open(1).unwrap();
    world.barrier(1).unwrap();
    assert_eq!(world.commands(1), (0..15u8).map(|n| vec![n]).collect::<Vec<_>>());
}

#[test]
fn a_machine_that_does_not_fit_its_log_is_quarantined() {
    let mut world = World::new(9);
    world.open(1).unwrap();
    world.open(2).unwrap();
    world.propose(1, b"a").unwrap();
    world.checkpoint(1).unwrap();
    // The checkpoint is gone, the log before it too.
    vectron_base::disk::Disk::remove(&world.disk, "machine-1").unwrap();
    let mut world = world.restart();
    let Err(GroupError::Quarantined(reason)) = world.open(1) else { panic!() };
    assert!(reason.contains("starts at 3"), "{reason}");
    // A checkpoint without a log: the journal was lost.
    world.open(2).unwrap();
    world.checkpoint(2).unwrap();
    let disk = SimDisk::new(9);
    vectron_base::disk::replace_file(
        &disk,
        "machine-2",
        &vectron_base::disk::Disk::read(&world.disk, "machine-2").unwrap(),
    )
    .unwrap();
    let mut world = World::start(&disk, knobs()).unwrap();
    let Err(GroupError::Quarantined(reason)) = world.open(2) else { panic!() };
    assert!(reason.contains("ends at 0"), "{reason}");
}

#[test]
fn limits_refuse_before_anything_happens() {
    let disk = SimDisk::new(10);
    let limits =
        ConsensusKnobs { entry_max_bytes: 1_000, queue_max_proposals: 3, queue_max_bytes: 1_500, ..knobs() };
    let mut world = World::start(&disk, limits).unwrap();
    world.open(1).unwrap();
    assert_eq!(world.propose(1, &[0; 1_001]), Err(ProposeError::TooLarge { limit: 1_000 }));
    let mut tasks: Vec<Task<_>> = (0..5).map(|_| world.propose_task(1, &[0; 10])).collect();
    let answers = world.wait_all(&mut tasks);
    assert_eq!(answers.iter().filter(|a| **a == Err(ProposeError::Overloaded)).count(), 2);
    let mut tasks: Vec<Task<_>> = (0..2).map(|_| world.propose_task(1, &[0; 900])).collect();
    let answers = world.wait_all(&mut tasks);
    assert_eq!((answers[0].is_ok(), &answers[1]), (true, &Err(ProposeError::Overloaded)));
    assert!(world.propose(1, &[0; 900]).is_ok(), "answered work gives its place back");
}

#[test]
fn outcomes_are_known_but_for_one() {
    let errors = [
        ProposeError::NotLeader { leader: None },
        ProposeError::Overloaded,
        ProposeError::TooLarge { limit: 1 },
        ProposeError::Quarantined(String::new()),
        ProposeError::Closed,
        ProposeError::DiskFull,
        ProposeError::JournalFailed,
    ];
    assert!(errors.iter().all(|error| error.outcome() == Outcome::NotApplied));
    assert_eq!(ProposeError::Unknown.outcome(), Outcome::Unknown);
}

#[test]
fn a_read_point_covers_everything_answered_before_it() {
    let mut world = World::new(11);
    world.open(1).unwrap();
    for number in 0..20u64 {
        let applied = world.propose(1, &number.to_le_bytes()).unwrap();
        let mut reads: Vec<Task<_>> = Vec::new();
        for _ in 0..5 {
            let handle = world.handle.clone();
            reads.push(Box::pin(async move { handle.barrier(GroupId(1)).await }));
        }
        let mut write = world.propose_task(1, b"racing");
        assert!(write.as_mut().now_or_never().is_none());
        for read in world.wait_all(&mut reads) {
            assert!(read.unwrap() >= applied.index);
        }
    }
}

#[test]
fn stopping_answers_everybody() {
    let mut world = World::new(12);
    world.open(1).unwrap();
    let mut before = world.propose_task(1, b"before");
    assert!(before.as_mut().now_or_never().is_none());
    world.handle.stop();
    let mut after = world.propose_task(1, b"after");
    assert!(after.as_mut().now_or_never().is_none());
    assert!(world.driver.turn().stopped);
    assert!(matches!(before.now_or_never(), Some(Ok(_))), "what came before the stop is done");
    assert_eq!(after.now_or_never(), Some(Err(ProposeError::Closed)));
    drop(world.driver);
    let handle = world.handle;
    assert_eq!(handle.propose(GroupId(1), vec![]).now_or_never(), Some(Err(ProposeError::Closed)));
    assert_eq!(handle.remove_group(GroupId(1)).now_or_never(), Some(Err(GroupError::Closed)));
}

#[test]
fn a_group_that_decides_alone_gives_read_points_without_a_turn() {
    let mut world = World::new(11);
    world.open(1).unwrap();
    let asked = |world: &World| {
        let handle = world.handle.clone();
        async move { handle.barrier(GroupId(1)).await }.now_or_never()
    };
    world.propose(1, b"a").unwrap();
    let mut late = world.propose_task(1, b"b");
    assert!(late.as_mut().now_or_never().is_none());
    // Nobody was told of the second one yet.
    assert_eq!(asked(&world), Some(Ok(2)));
    world.driver.turn();
    assert!(matches!(late.now_or_never(), Some(Ok(_))));
    assert_eq!(asked(&world), Some(Ok(3)));

    // After a restart not before everything is replayed that anybody was told of.
    let mut world = world.power_cycle();
    let machine = world.machine(1).unwrap();
    let handle = world.handle.clone();
    let mut opening = Box::pin(async move { handle.open_group(config(1), machine).await });
    assert!(opening.as_mut().now_or_never().is_none());
    while world.log(1).len() < 2 {
        assert_eq!(asked(&world), None);
        assert!(world.driver.turn().worked);
    }
    world.settle();
    assert!(matches!(asked(&world), Some(Ok(4))));

    world.disk.set_faults(vectron_base::disk::sim::Faults {
        fail_sync: Some(world.disk.syncs() + 1),
        ..Default::default()
    });
    assert_eq!(world.propose(1, b"c"), Err(ProposeError::Unknown));
    assert_eq!(asked(&world), None);
    assert_eq!(world.barrier(1), Err(ProposeError::JournalFailed));
}
