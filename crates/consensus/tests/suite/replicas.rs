//! Three voters: elections, replication, a leader's death, read points.

use crate::cluster::{Cluster, GROUP, Proposed, Read, advance};
use crate::world::{Log, Task, poll};
use std::time::Duration;
use vectron_base::disk::sim::Faults;
use vectron_base::ids::ReplicaId;
use vectron_base::random::Random;
use vectron_consensus::*;

/// No time passes, so that nothing comes with a heartbeat.
#[test]
fn what_is_proposed_in_a_turn_goes_out_at_once_and_is_answered_once() {
    let mut cluster = Cluster::new(3, false);
    let leader = cluster.leader();
    (0..20).for_each(|_| cluster.step());
    cluster.pace = Duration::ZERO;
    (0..5).for_each(|_| cluster.step());
    let before = cluster.sent;
    let handle = cluster.handle(leader);
    let propose = |number: u8| -> Task<_> {
        let handle = handle.clone();
        Box::pin(async move { handle.propose(GROUP, vec![number]).await })
    };
    let mut tasks: Vec<Task<_>> = (0..9).map(propose).collect();
    let mut done: Vec<Option<Result<Applied, ProposeError>>> = (0..9).map(|_| None).collect();
    for _ in 0..10 {
        poll(&mut tasks, &mut done);
        cluster.step();
    }
    assert!(done.iter().all(|answer| matches!(answer, Some(Ok(_)))));
    for (n, (after, before)) in cluster.sent.iter().zip(before).enumerate() {
        let sent = after - before;
        // The entries, and that they are committed; each is answered.
        assert_eq!(sent, if n == leader { 4 } else { 2 }, "node {n}");
    }
}

fn kill_leaders(seed: u64, losing: bool) {
    let mut cluster = Cluster::new(seed, losing);
    let mut acknowledged: Log = Vec::new();
    for round in 0..4u64 {
        let leader = cluster.leader();
        for number in 0..5u64 {
            let command = format!("{round}-{number}").into_bytes();
            if let Some(Ok(applied)) = cluster.propose(leader, command.clone()) {
                assert_eq!(applied.reply, command);
                acknowledged.push((applied.index, command));
            }
        }
        // Proposals in flight when the leader dies: each happens once or not at all.
        let handle = cluster.handle(leader);
        let mut flying: Vec<Task<_>> =
            vec![Box::pin(
                async move { handle.propose(GROUP, format!("flying-{round}").into_bytes()).await },
            )];
        let mut done: Vec<Option<Result<Applied, ProposeError>>> = vec![None];
        poll(&mut flying, &mut done);
        if round % 2 == 0 {
            cluster.step();
        }
        cluster.kill(leader);
        let next = cluster.leader();
        assert_ne!(next, leader);
        let read = cluster.barrier(next).unwrap().unwrap();
        assert!(acknowledged.iter().all(|(index, _)| *index <= read));
        cluster.start(leader);
    }
    cluster.losing = false;
    cluster.agree(&acknowledged, &format!("seed {seed}"));
    assert!(acknowledged.len() > 10);
}

/// Power goes anywhere in the middle of a turn, on any node, on all of them if it so happens.
fn lose_power_everywhere(seed: u64) {
    let mut cluster = Cluster::new(seed, true);
    let mut acknowledged: Log = Vec::new();
    let mut tasks: Vec<(Vec<u8>, Task<Proposed>)> = Vec::new();
    let mut reads: Vec<(u64, Task<Read>)> = Vec::new();
    let mut down = [0u64; 3];
    let (mut losses, mut read) = (0, 0);
    for round in 0..3_000u64 {
        let n = cluster.random.below(3) as usize;
        if down[n] == 0 && cluster.random.below(100) == 0 {
            let at = cluster.nodes[n].disk.operations() + 1 + cluster.random.below(6);
            let faults = Faults { power_loss_at_operation: Some(at), ..Faults::default() };
            cluster.nodes[n].disk.set_faults(faults);
        }
        if let Some((_, handle)) = &cluster.nodes[n].running {
            let (handle, other) = (handle.clone(), handle.clone());
            let command = format!("{round}").into_bytes();
            let proposed = command.clone();
            tasks.push((command, Box::pin(async move { handle.propose(GROUP, proposed).await })));
            let known = acknowledged.iter().map(|(index, _)| *index).max().unwrap_or(0);
            reads.push((known, Box::pin(async move { other.barrier(GROUP).await })));
        }
        advance(&mut tasks, |command, answer| {
            if let Ok(applied) = answer {
                acknowledged.push((applied.index, command));
            }
        });
        advance(&mut reads, |known, answer| {
            if let Ok(index) = answer {
                read += 1;
                assert!(index >= known, "seed {seed}: a stale read point");
            }
        });
        cluster.step();
        for (n, down) in down.iter_mut().enumerate() {
            if cluster.nodes[n].disk.power_lost() {
                cluster.kill(n);
                losses += 1;
                *down = 1 + cluster.random.below(30);
            } else if *down > 0 {
                *down -= 1;
                if *down == 0 {
                    cluster.start(n);
                }
            }
        }
    }
    cluster.losing = false;
    for n in 0..3 {
        cluster.nodes[n].disk.set_faults(Faults::default());
        if cluster.nodes[n].running.is_none() {
            cluster.start(n);
        }
    }
    let context = format!("seed {seed}: {losses} losses, {} answers, {read} reads", acknowledged.len());
    assert!(losses > 10 && acknowledged.len() > 50 && read > 50, "{context}");
    cluster.agree(&acknowledged, &context);
}

#[test]
fn power_loss_amid_turns_of_any_replica_loses_nothing_acknowledged() {
    (31..=42).for_each(lose_power_everywhere);
}

#[test]
fn no_acknowledged_entry_dies_with_its_leader() {
    (1..=6).for_each(|seed| kill_leaders(seed, false));
}

#[test]
fn no_acknowledged_entry_dies_when_messages_are_lost() {
    (11..=16).for_each(|seed| kill_leaders(seed, true));
}

#[test]
fn a_follower_refuses_proposals_and_names_the_leader() {
    let mut cluster = Cluster::new(21, false);
    let leader = cluster.leader();
    (0..20).for_each(|_| cluster.step());
    let follower = (leader + 1) % 3;
    let refused = cluster.propose(follower, b"x".to_vec()).unwrap();
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(ReplicaId(leader as u64 + 1)) }));
}

#[test]
fn a_minority_gives_no_read_points() {
    let mut cluster = Cluster::new(22, false);
    let leader = cluster.leader();
    cluster.propose(leader, b"x".to_vec()).unwrap().unwrap();
    for n in (0..3).filter(|n| *n != leader) {
        cluster.kill(n);
    }
    let read = cluster.barrier(leader);
    assert!(matches!(read, None | Some(Err(ProposeError::NotLeader { .. }))), "{read:?}");
    let write = cluster.propose(leader, b"y".to_vec());
    assert!(!matches!(write, Some(Ok(_))), "{write:?}");
}

/// Proposals of a first life as leader are cut off by another leader; in a second life, at the same indexes,
/// what is applied is answered so.
#[test]
fn proposals_cut_off_by_another_leader_hide_no_later_answers() {
    for seed in 51..=56 {
        let mut cluster = Cluster::new(seed, false);
        let first = cluster.leader();
        cluster.isolated = Some(first);
        let handle = cluster.handle(first);
        let propose = |command: String| -> Task<Proposed> {
            let handle = handle.clone();
            Box::pin(async move { handle.propose(GROUP, command.into_bytes()).await })
        };
        let mut cut: Vec<(u64, Task<Proposed>)> = (0..40).map(|n| (n, propose(format!("cut-{n}")))).collect();
        advance(&mut cut, |_, answer| panic!("seed {seed}: {answer:?} without a majority"));
        let mut leader = first;
        while leader == first {
            leader = cluster.leader();
        }
        for _ in 0..40 {
            if leader == first {
                break;
            }
            // All catch up with this leader, then it is cut off and another is elected.
            cluster.isolated = None;
            (0..40).for_each(|_| cluster.step());
            leader = cluster.leader();
            if leader != first {
                cluster.isolated = Some(leader);
                (0..80).for_each(|_| cluster.step());
                leader = cluster.leader();
            }
        }
        assert_eq!(leader, first, "seed {seed}: the first leader leads again");
        let before: Log = cluster.nodes[first].log.lock().clone();
        assert!(before.is_empty(), "seed {seed}: {before:?}");
        let mut again: Vec<(u64, Task<Proposed>)> =
            (0..60).map(|n| (n, propose(format!("again-{n}")))).collect();
        let mut unknown = 0;
        for _ in 0..40 {
            cluster.step();
            advance(&mut again, |n, answer| assert!(answer.is_ok(), "seed {seed}: {n} {answer:?}"));
            advance(&mut cut, |n, answer| match answer {
                Err(ProposeError::Unknown) => unknown += 1,
                Err(ProposeError::NotLeader { .. }) => {}
                other => panic!("seed {seed}: {n} {other:?}"),
            });
        }
        assert!(again.is_empty() && cut.is_empty() && unknown > 0, "seed {seed}: everybody is answered");
        cluster.isolated = None;
        cluster.agree(&Log::new(), &format!("seed {seed}"));
        assert_eq!(cluster.nodes[first].log.lock().len(), 61, "seed {seed}");
    }
}

/// What a failed sync did not make durable is not promised to the leader later either.
#[test]
fn a_follower_whose_sync_failed_says_nothing_more() {
    for seed in 61..=64 {
        let mut cluster = Cluster::new(seed, false);
        let leader = cluster.leader();
        cluster.propose(leader, b"safe".to_vec()).unwrap().unwrap();
        (0..20).for_each(|_| cluster.step());
        let (follower, third) = ((leader + 1) % 3, (leader + 2) % 3);
        cluster.kill(third);
        let disk = &cluster.nodes[follower].disk;
        disk.set_faults(Faults { fail_sync: Some(disk.syncs() + 1), ..Faults::default() });
        let handle = cluster.handle(leader);
        let mut task: Vec<((), Task<Proposed>)> =
            vec![((), Box::pin(async move { handle.propose(GROUP, b"doubtful".to_vec()).await }))];
        advance(&mut task, |(), _| ());
        while cluster.handle(follower).journal().failed.is_none() {
            cluster.step();
        }
        let sent = cluster.sent[follower];
        // Heartbeats keep coming, and an append is sent again.
        for _ in 0..100 {
            cluster.step();
            advance(&mut task, |(), answer| assert!(answer.is_err(), "seed {seed}: on one disk only"));
        }
        assert_eq!(cluster.sent[follower], sent, "seed {seed}");
    }
}

/// A group that has just begun need not wait for a timeout; one that is led is left alone.
#[test]
fn a_replica_that_is_told_to_stands_before_its_time_where_nobody_leads() {
    for seed in 61..=66 {
        let mut cluster = Cluster::new(seed, false);
        let status = |cluster: &Cluster, n: usize| cluster.handle(n).status(GROUP).unwrap();
        // Somebody who is asked while the others are away gets no vote, and asks again.
        let others: Vec<Handle> = [0, 2].map(|n| cluster.handle(n)).into();
        cluster.isolated = Some(1);
        for _ in 0..5 {
            cluster.handle(1).campaign(GROUP);
            cluster.step();
        }
        assert_eq!(status(&cluster, 1).role, Role::Candidate, "seed {seed}");
        cluster.isolated = None;
        // An election timeout is 1.5 s at least, which are 30 steps.
        for _ in 0..10 {
            cluster.handle(1).campaign(GROUP);
            cluster.step();
        }
        let led = status(&cluster, 1);
        assert_eq!(led.role, Role::Leader, "seed {seed}");
        for _ in 0..40 {
            others.iter().for_each(|other| other.campaign(GROUP));
            cluster.step();
        }
        let now = status(&cluster, 1);
        assert_eq!((now.role, now.term), (Role::Leader, led.term), "seed {seed}");
    }
}
