//! Failures of earlier systems, by their number.

use crate::world::{Task, World};
use vectron_base::Outcome;
use vectron_base::disk::sim::Faults;
use vectron_base::ids::GroupId;
use vectron_consensus::{GroupError, ProposeError, Role};

/// Closing a segment must never stop the first write after it.
#[test]
fn l16_rolling_a_segment_does_not_stop_the_next_write() {
    let mut world = World::new(1);
    world.open(1).unwrap();
    for number in 0..200u64 {
        world.propose(1, &[7; 500]).unwrap();
        if number % 50 == 49 {
            world.clock.advance(std::time::Duration::from_secs(600));
            world.settle();
        }
    }
    assert!(world.segments().len() > 20);
}

/// One group's panic is not the process's.
#[test]
fn l17_a_panic_takes_one_group_and_not_the_process() {
    let mut world = World::new(2);
    for group in 1..=3 {
        world.open(group).unwrap();
    }
    let mut tasks: Vec<Task<_>> = vec![
        world.propose_task(1, b"fine"),
        world.propose_task(2, b"before"),
        world.propose_task(2, b"poison"),
        world.propose_task(2, b"behind"),
        world.propose_task(3, b"fine"),
    ];
    let answers = world.wait_all(&mut tasks);
    assert!(answers[0].is_ok() && answers[1].is_ok() && answers[4].is_ok());
    assert_eq!((&answers[2], &answers[3]), (&Err(ProposeError::Unknown), &Err(ProposeError::Unknown)));
    let refused = world.propose(2, b"later").unwrap_err();
    assert!(matches!(refused, ProposeError::Quarantined(_)) && refused.outcome() == Outcome::NotApplied);
    assert!(matches!(world.barrier(2), Err(ProposeError::Quarantined(_))));
    let reason = world.handle.status(GroupId(2)).unwrap().quarantined.unwrap();
    assert_eq!(reason, "applying entry 3 panicked");
    world.propose(1, b"on").unwrap();
    world.propose(3, b"on").unwrap();
}

/// A failed write stops the journal and says so; it does not make apply fail for ever in silence.
#[test]
fn l18_a_failed_sync_stops_the_journal_and_is_not_tried_again() {
    for failing in 1..=12 {
        let mut world = World::new(failing);
        let faults = Faults { fail_sync: Some(failing), ..Faults::default() };
        world.disk.set_faults(faults);
        let mut acknowledged = Vec::new();
        let mut failed = None;
        for number in 0..20u64 {
            if number == 0 && world.open(1).is_err() {
                break;
            }
            let command = [number.to_le_bytes().as_slice(), &[b'q'; 900]].concat();
            match world.propose(1, &command) {
                Ok(applied) => acknowledged.push((applied.index, command)),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        assert_eq!(world.disk.syncs(), failing, "nothing is synced after the failure");
        assert!(world.handle.journal().failed.is_some());
        assert!(failed.is_none_or(|error| error == ProposeError::Unknown));
        let syncs = world.disk.syncs();
        let after = world.propose(1, b"more").unwrap_err();
        assert!(matches!(after, ProposeError::JournalFailed | ProposeError::Closed));
        assert_eq!(world.open(2), Err(GroupError::JournalFailed));
        assert_eq!(world.disk.syncs(), syncs);

        let mut world = world.power_cycle();
        world.open(1).unwrap();
        world.barrier(1).unwrap();
        let log = world.log(1);
        assert!(acknowledged.iter().all(|entry| log.contains(entry)), "sync {failing}");
        world.propose(1, b"again").unwrap();
    }
}

/// After a failed sync and a mere process restart, bytes in the page cache look whole but are not on the
/// platter. They must be written anew before anything is built on them.
#[test]
fn l18_bytes_of_a_failed_sync_are_not_trusted_after_a_restart() {
    for round in 0..8u64 {
        let mut world = World::new(100 + round);
        world.open(1).unwrap();
        world.propose(1, b"safe").unwrap();
        let at = world.disk.syncs() + 1;
        world.disk.set_faults(Faults { fail_sync: Some(at), ..Faults::default() });
        assert_eq!(world.propose(1, b"doubtful"), Err(ProposeError::Unknown));
        world.disk.set_faults(Faults::default());
        let mut world = world.restart();
        world.open(1).unwrap();
        world.propose(1, b"built on it").unwrap();
        let before = world.commands(1);
        let mut world = world.power_cycle();
        assert_eq!(world.handle.journal().damage, Vec::<String>::new());
        world.open(1).unwrap();
        world.barrier(1).unwrap();
        assert_eq!(world.commands(1), before);
    }
}

/// A poison entry quarantines its group at every start, and keeps nobody else from starting.
#[test]
fn l19_a_poison_entry_does_not_crash_loop() {
    let mut world = World::new(3);
    world.open(1).unwrap();
    world.open(2).unwrap();
    world.propose(2, b"kept").unwrap();
    assert_eq!(world.propose(1, b"poison"), Err(ProposeError::Unknown));
    for _ in 0..3 {
        world = world.power_cycle();
        let first = world.open(1);
        world.settle();
        assert!(first.is_ok() || matches!(first, Err(GroupError::Quarantined(_))));
        assert!(world.handle.status(GroupId(1)).unwrap().quarantined.is_some());
        world.open(2).unwrap();
        world.propose(2, b"on").unwrap();
    }
    assert_eq!(world.commands(2).len(), 4);
    world.remove(1).unwrap();
}

/// What a group is must outlive any number of restarts and dropped segments.
#[test]
fn l21_votes_and_members_outlive_the_segments_they_were_written_in() {
    let mut world = World::new(4);
    world.open(1).unwrap();
    let mut term = 0;
    for life in 0..10u64 {
        for _ in 0..10 {
            world.propose(1, &[1; 700]).unwrap();
        }
        world.checkpoint(1).unwrap();
        world.settle();
        let status = world.handle.status(GroupId(1)).unwrap();
        assert!(status.term > term && status.role == Role::Leader, "life {life}");
        term = status.term;
        assert!(world.segments().len() <= 3);
        world = world.power_cycle();
        world.open(1).unwrap();
    }
    assert_eq!(world.commands(1).len(), 100);
}

/// Apply depends on the log alone: equal logs give equal indexes, however they were batched.
#[test]
fn l22_batching_does_not_show_in_the_log() {
    let run = |together: usize| {
        let mut world = World::new(5);
        world.open(1).unwrap();
        let commands: Vec<[u8; 1]> = (0..12u8).map(|n| [n]).collect();
        for chunk in commands.chunks(together) {
            let mut tasks: Vec<Task<_>> = chunk.iter().map(|c| world.propose_task(1, c)).collect();
            world.wait_all(&mut tasks);
        }
        world.log(1)
    };
    assert_eq!(run(1), run(12));
    assert_eq!(run(1), run(5));
}

/// The log is dropped only for what a durable checkpoint covers, and a sync is a sync.
#[test]
fn l25_nothing_acknowledged_hangs_on_bytes_that_were_not_synced() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.open(1).unwrap();
        for number in 0..20u8 {
            let before = world.disk.syncs();
            world.propose(1, &[number; 400]).unwrap();
            assert!(world.disk.syncs() > before, "acknowledged without a sync");
            if number % 7 == 6 {
                world.checkpoint(1).unwrap();
            }
        }
        let mut world = world.power_cycle();
        world.open(1).unwrap();
        world.barrier(1).unwrap();
        assert_eq!(world.commands(1).len(), 20, "seed {seed}");
    }
}
