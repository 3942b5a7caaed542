//! Learners, joint changes, transfers, removals, snapshots that are pulled.

use crate::cluster::{Proposed, Read, advance};
use crate::fleet::{Fleet, GROUP, Trouble};
use crate::world::{Log, Task};
use vectron_base::disk::sim::Faults;
use vectron_base::ids::ReplicaId;
use vectron_base::random::Random;
use vectron_consensus::*;

const R: fn(u64) -> ReplicaId = ReplicaId;

fn members(fleet: &Fleet, n: usize) -> Members {
    fleet.status(n).unwrap().members
}

/// Steps until the leader shows these voters and no joint phase.
fn settle(fleet: &mut Fleet, voters: &[u64]) -> usize {
    for _ in 0..600 {
        fleet.step();
        if let Some(leader) = fleet.leading() {
            let now = members(fleet, leader);
            if !now.joint() && now.voters == voters.iter().copied().map(R).collect::<Vec<_>>() {
                return leader;
            }
        }
    }
    panic!("{:?}", fleet.leading().map(|n| members(fleet, n)));
}

fn write(fleet: &mut Fleet, acknowledged: &mut Log, count: usize) {
    for _ in 0..count {
        let leader = fleet.leader();
        let command = format!("{}-{}", acknowledged.len(), "x".repeat(300)).into_bytes();
        if let Some(Ok(applied)) = fleet.propose(leader, &command) {
            acknowledged.push((applied.index, command));
        }
    }
}

/// One voter becomes three on other processes, as a shard moves: learners, snapshots, a joint change, a transfer.
#[test]
fn a_replica_moves_without_a_word_lost() {
    for seed in 1..=4 {
        let mut fleet = Fleet::new(seed, 4, 1);
        let mut acknowledged = Log::new();
        write(&mut fleet, &mut acknowledged, 20);
        assert!(fleet.checkpoint(0));
        fleet.step();
        for n in 1..4 {
            fleet.place(n, R(n as u64 + 10));
            fleet.change(0, &[MemberChange::AddLearner(R(n as u64 + 10))]).unwrap().unwrap();
            assert!(fleet.pull(n));
            write(&mut fleet, &mut acknowledged, 3);
        }
        (0..40).for_each(|_| fleet.step());
        let status = fleet.status(0).unwrap();
        assert_eq!(status.members.learners, [R(11), R(12), R(13)]);
        assert!(
            status.matched.len() == 4 && status.matched.values().all(|m| *m == status.applied),
            "{status:?}"
        );
        // Learners do not vote, and give read points all the same.
        assert_eq!(fleet.barrier(2).unwrap(), Ok(status.applied));
        let refused = fleet.wait({
            let handle = fleet.handle(0);
            async move { handle.transfer_leader(GROUP, R(11)).await }
        });
        assert!(matches!(refused, Some(Err(ProposeError::Refused(_)))), "{refused:?}");
        // Nobody votes who was not a learner with the log before.
        let refused = fleet.change(0, &[MemberChange::AddVoter(R(99))]).unwrap();
        assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
        let refused = fleet.change(0, &[MemberChange::Remove(R(1))]).unwrap();
        assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
        let promote = [11, 12, 13].map(|r| MemberChange::AddVoter(R(r)));
        fleet.change(0, &promote).unwrap().unwrap();
        settle(&mut fleet, &[1, 11, 12, 13]);
        let handle = fleet.handle(0);
        fleet.wait(async move { handle.transfer_leader(GROUP, R(12)).await }).unwrap().unwrap();
        assert_eq!(fleet.leader(), 2);
        fleet.change(2, &[MemberChange::Remove(R(1))]).unwrap().unwrap();
        settle(&mut fleet, &[11, 12, 13]);
        assert!(fleet.remove(0));
        write(&mut fleet, &mut acknowledged, 5);
        fleet.agree(&acknowledged, &format!("seed {seed}"));
        assert_eq!(acknowledged.len(), 34);
    }
}

/// A leader that is taken out leads no more, and another one takes over.
#[test]
fn a_leader_that_is_removed_steps_down() {
    for seed in 11..=14 {
        let mut fleet = Fleet::new(seed, 3, 3);
        let mut acknowledged = Log::new();
        write(&mut fleet, &mut acknowledged, 3);
        let leader = fleet.leader();
        let others: Vec<u64> = (1..=3).filter(|r| *r != leader as u64 + 1).collect();
        fleet.change(leader, &[MemberChange::Remove(R(leader as u64 + 1))]).unwrap().unwrap();
        let next = settle(&mut fleet, &others);
        assert_ne!(next, leader);
        assert_ne!(fleet.status(leader).unwrap().role, Role::Leader);
        assert!(fleet.remove(leader));
        write(&mut fleet, &mut acknowledged, 3);
        fleet.agree(&acknowledged, &format!("seed {seed}"));
    }
}

/// A follower that was away for longer than the log is kept says so, and goes on from a snapshot.
#[test]
fn a_follower_that_the_log_left_behind_is_told_and_installs() {
    for seed in 21..=24 {
        let mut fleet = Fleet::new(seed, 3, 3);
        let mut acknowledged = Log::new();
        write(&mut fleet, &mut acknowledged, 2);
        let away = (fleet.leader() + 1) % 3;
        fleet.kill(away);
        write(&mut fleet, &mut acknowledged, 20);
        (0..3).filter(|n| *n != away).for_each(|n| assert!(fleet.checkpoint(n)));
        (0..5).for_each(|_| fleet.step());
        assert!(fleet.start(away));
        let mut told = None;
        for _ in 0..200 {
            fleet.step();
            told = fleet.status(away).unwrap().lagging;
            if told.is_some() {
                break;
            }
        }
        let leader = fleet.leader();
        assert_eq!(told, Some(R(leader as u64 + 1)), "seed {seed}");
        // With it as one of two voters nothing could be written.
        let third = (0..3).find(|n| *n != away && *n != leader).unwrap();
        let remove = [MemberChange::Remove(R(third as u64 + 1))];
        let refused = fleet.change(leader, &remove).unwrap();
        assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
        assert!(fleet.pull(away));
        (0..60).for_each(|_| fleet.step());
        let status = fleet.status(away).unwrap();
        assert_eq!((status.lagging, fleet.installs), (None, 1));
        let leader = fleet.status(leader).unwrap();
        assert_eq!((status.applied, leader.matched[&R(away as u64 + 1)]), (leader.applied, leader.applied));
        write(&mut fleet, &mut acknowledged, 3);
        fleet.agree(&acknowledged, &format!("seed {seed}"));
    }
}

/// Power goes at every single disk operation of an install: what is there after is the old or the new, and in
/// either case the replica goes on.
#[test]
fn power_loss_at_every_operation_of_an_install_leaves_the_old_or_the_new() {
    let mut points = 0;
    for at in 1.. {
        let mut fleet = Fleet::new(24, 3, 3);
        let mut acknowledged = Log::new();
        write(&mut fleet, &mut acknowledged, 4);
        let away = (fleet.leader() + 1) % 3;
        assert!(fleet.checkpoint(away));
        // It keeps a part that nobody else has: it led, alone with it.
        (0..3).filter(|n| *n != away).for_each(|n| fleet.cut.extend([(away, n), (n, away)]));
        (0..100).for_each(|_| fleet.step());
        write(&mut fleet, &mut acknowledged, 12);
        (0..3).filter(|n| *n != away).for_each(|n| assert!(fleet.checkpoint(n)));
        fleet.cut.clear();
        while fleet.status(away).unwrap().lagging.is_none() {
            fleet.step();
        }
        let before = (fleet.status(away).unwrap(), fleet.nodes[away].kept.lock().applied);
        let disk = fleet.nodes[away].disk.clone();
        let operation = disk.operations() + at;
        disk.set_faults(Faults { power_loss_at_operation: Some(operation), ..Faults::default() });
        let done = fleet.pull(away);
        let after = fleet.nodes[fleet.leading().unwrap()].kept.lock().applied;
        let lost = disk.power_lost();
        assert!(done || lost);
        disk.set_faults(Faults::default());
        fleet.kill(away);
        assert!(fleet.start(away), "power lost at {at}");
        let applied = fleet.nodes[away].kept.lock().applied;
        assert!(applied <= before.1 || applied == after, "power lost at {at}: {applied} of {after}");
        assert!(applied == after || lost);
        assert!(fleet.status(away).unwrap().term >= before.0.term);
        fleet.agree(&acknowledged, &format!("power lost at {at}"));
        if !lost {
            break;
        }
        points = at;
    }
    assert!(points >= 5, "{points}");
}

/// A short absence needs no snapshot, though everybody else has checkpointed.
#[test]
fn the_log_is_kept_for_a_member_that_is_a_little_behind() {
    let mut fleet = Fleet::new(31, 3, 3);
    let mut acknowledged = Log::new();
    write(&mut fleet, &mut acknowledged, 20);
    (0..3).for_each(|n| assert!(fleet.checkpoint(n)));
    (0..60).for_each(|_| fleet.step());
    let away = (fleet.leader() + 1) % 3;
    fleet.kill(away);
    write(&mut fleet, &mut acknowledged, 4);
    (0..3).filter(|n| *n != away).for_each(|n| assert!(fleet.checkpoint(n)));
    (0..5).for_each(|_| fleet.step());
    assert!(fleet.start(away));
    for _ in 0..100 {
        fleet.step();
        assert_eq!(fleet.status(away).unwrap().lagging, None);
    }
    fleet.agree(&acknowledged, "kept");
    assert_eq!(fleet.installs, 0);
}

/// A barrier of a leader that was cut off succeeds at no time after another one has committed.
#[test]
fn l29_a_leader_that_was_cut_off_gives_no_read_points() {
    for seed in 41..=46 {
        let mut fleet = Fleet::new(seed, 3, 3);
        let old = fleet.leader();
        (0..3).filter(|n| *n != old).for_each(|n| fleet.cut.extend([(old, n), (n, old)]));
        let handle = fleet.handle(old);
        let ask = || -> Task<Read> {
            let handle = handle.clone();
            Box::pin(async move { handle.barrier(GROUP).await })
        };
        let mut written = None;
        let mut asked: Vec<(Option<u64>, Task<Read>)> = Vec::new();
        let mut proposed: Vec<((), Task<Proposed>)> = Vec::new();
        for round in 0..300 {
            asked.push((written, ask()));
            if let Some(new) = fleet.leading().filter(|n| *n != old)
                && proposed.is_empty()
                && written.is_none()
            {
                let handle = fleet.handle(new);
                proposed.push(((), Box::pin(async move { handle.propose(GROUP, b"new".to_vec()).await })));
            }
            advance(&mut proposed, |(), answer| written = written.or(answer.ok().map(|a| a.index)));
            if round == 250 {
                fleet.cut.clear();
            }
            advance(&mut asked, |known, answer| {
                if let (Some(known), Ok(index)) = (known, answer) {
                    assert!(index >= known, "seed {seed}");
                }
            });
            fleet.step();
        }
        assert!(written.is_some(), "seed {seed}");
        assert!(fleet.barrier(old).unwrap().unwrap() >= written.unwrap());
    }
}

/// A voter's number is never used again; the process may host a later one. The old one is silent for good.
#[test]
fn l26_a_removed_replica_never_speaks_again_and_its_place_is_free() {
    let mut fleet = Fleet::new(51, 3, 3);
    let mut acknowledged = Log::new();
    write(&mut fleet, &mut acknowledged, 5);
    for round in 0..3u64 {
        let leader = fleet.leader();
        let n = (leader + 1) % 3;
        let old = fleet.nodes[n].replica.unwrap();
        fleet.change(leader, &[MemberChange::Remove(old)]).unwrap().unwrap();
        write(&mut fleet, &mut acknowledged, 2);
        assert!(fleet.remove(n));
        fleet.kill(n);
        assert!(fleet.start(n));
        let new = R(10 + round);
        fleet.place(n, new);
        let leader = fleet.leader();
        fleet.change(leader, &[MemberChange::AddLearner(new)]).unwrap().unwrap();
        assert!(fleet.pull(n));
        write(&mut fleet, &mut acknowledged, 2);
        let leader = fleet.leader();
        fleet.change(leader, &[MemberChange::AddVoter(new)]).unwrap().unwrap();
        write(&mut fleet, &mut acknowledged, 2);
        fleet.kill(n);
        assert!(fleet.start(n));
    }
    fleet.agree(&acknowledged, "places");
    assert_eq!(fleet.removed.len(), 3);
}

/// Groups at rest say nothing but beats, and wake for whatever is asked of them.
#[test]
fn a_group_at_rest_wakes_for_writes_reads_and_a_leader_that_dies() {
    for seed in 61..=64 {
        let mut fleet = Fleet::new(seed, 3, 3);
        let mut acknowledged = Log::new();
        let rest = |fleet: &mut Fleet| {
            for _ in 0..400 {
                fleet.step();
                if (0..3).all(|n| fleet.status(n).is_some_and(|s| s.at_rest)) {
                    return;
                }
            }
            panic!("seed {seed}: no rest {:?}", (0..3).map(|n| fleet.status(n)).collect::<Vec<_>>());
        };
        write(&mut fleet, &mut acknowledged, 3);
        rest(&mut fleet);
        let before = fleet.sent;
        (0..200).for_each(|_| fleet.step());
        // Ten virtual seconds: a beat to each of two processes every half second, and its echo.
        assert!(fleet.sent - before <= 90, "seed {seed}: {}", fleet.sent - before);
        write(&mut fleet, &mut acknowledged, 1);
        rest(&mut fleet);
        let leader = fleet.leading().unwrap();
        let end = acknowledged.last().unwrap().0;
        assert_eq!(fleet.barrier((leader + 1) % 3).unwrap(), Ok(end));
        rest(&mut fleet);
        // Beats that do not arrive wake the followers.
        fleet.kill(leader);
        let mut steps = 0;
        while fleet.leading().is_none() {
            fleet.step();
            steps += 1;
            assert!(steps < 200, "seed {seed}");
        }
        assert!(fleet.start(leader));
        write(&mut fleet, &mut acknowledged, 1);
        rest(&mut fleet);
        // A leader that stops hosting the group, though its process beats on.
        let leader = fleet.leading().unwrap();
        let handle = fleet.handle(leader);
        fleet.wait(async move { handle.close_group(GROUP).await }).unwrap().unwrap();
        let mut steps = 0;
        while fleet.leading().is_none() {
            fleet.step();
            steps += 1;
            assert!(steps < 200, "seed {seed}");
        }
        fleet.kill(leader);
        fleet.agree(&acknowledged, &format!("seed {seed}"));
    }
}

/// Everything at once.
fn storm(seed: u64) -> [u64; 4] {
    let mut fleet = Fleet::new(seed, 5, 3);
    let mut acknowledged = Log::new();
    let mut proposals: Vec<(Vec<u8>, Task<Proposed>)> = Vec::new();
    let mut changes: Vec<((), Task<Proposed>)> = Vec::new();
    let mut reads: Vec<(u64, Task<Read>)> = Vec::new();
    let mut transfers: Vec<((), Task<Result<(), ProposeError>>)> = Vec::new();
    let (mut next, mut losses, mut changed, mut read) = (100, 0, 0, 0);
    for round in 0..3_000u64 {
        if round % 100 == 0 {
            let below = |fleet: &mut Fleet, n| fleet.random.below(n);
            let calm = below(&mut fleet, 4) == 0;
            let (lost, doubled, delayed) =
                (below(&mut fleet, 10), below(&mut fleet, 10), below(&mut fleet, 40));
            fleet.trouble = if calm { Trouble::default() } else { Trouble { lost, doubled, delayed } };
            fleet.cut.clear();
            for _ in 0..below(&mut fleet, 3) {
                let (a, b) = (below(&mut fleet, 5) as usize, below(&mut fleet, 5) as usize);
                fleet.cut.insert((a, b));
                if below(&mut fleet, 2) == 0 {
                    fleet.cut.insert((b, a));
                }
            }
        }
        let n = fleet.random.below(5) as usize;
        if fleet.nodes[n].running.is_some() && fleet.random.below(60) == 0 {
            let at = fleet.nodes[n].disk.operations() + 1 + fleet.random.below(8);
            fleet.nodes[n].disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
        }
        if let Some((_, handle)) = &fleet.nodes[n].running {
            let (handle, other) = (handle.clone(), handle.clone());
            let command = format!("{round}-{}", "x".repeat((round % 7 * 60) as usize)).into_bytes();
            let proposed = command.clone();
            proposals.push((command, Box::pin(async move { handle.propose(GROUP, proposed).await })));
            let known = acknowledged.iter().map(|(index, _)| *index).max().unwrap_or(0);
            reads.push((known, Box::pin(async move { other.barrier(GROUP).await })));
        }
        if fleet.random.below(30) == 0 {
            // One that fails is tried again later.
            let _ = fleet.nodes[n].running.is_some() && fleet.checkpoint(n);
        }
        if let Some(leader) = fleet.leading().filter(|_| fleet.random.below(40) == 0) {
            let now = members(&fleet, leader);
            let free = (0..5).find(|n| fleet.nodes[*n].replica.is_none());
            let wanted = match (free, fleet.random.below(4)) {
                (Some(n), 0 | 1) if now.learners.is_empty() => {
                    next += 1;
                    fleet.place(n, R(next));
                    vec![MemberChange::AddLearner(R(next))]
                }
                (_, 2) if now.voters.len() > 2 => {
                    let voter = now.voters[fleet.random.below(now.voters.len() as u64) as usize];
                    let mut wanted = vec![MemberChange::Remove(voter)];
                    wanted.extend(now.learners.first().map(|learner| MemberChange::AddVoter(*learner)));
                    wanted
                }
                _ => {
                    now.learners.first().map(|learner| MemberChange::AddVoter(*learner)).into_iter().collect()
                }
            };
            let (handle, other) = (fleet.handle(leader), fleet.handle(leader));
            changes.push(((), Box::pin(async move { handle.change_members(GROUP, wanted).await })));
            if fleet.random.below(3) == 0 {
                let to = now.voters[0];
                transfers.push(((), Box::pin(async move { other.transfer_leader(GROUP, to).await })));
            }
        }
        if round % 20 == 0 {
            for n in 0..5 {
                let _ = fleet.pull(n);
            }
            tidy(&mut fleet);
        }
        advance(&mut proposals, |command, answer| {
            if let Ok(applied) = answer {
                acknowledged.push((applied.index, command));
            }
        });
        advance(&mut changes, |(), answer| changed += u64::from(answer.is_ok()));
        advance(&mut transfers, |(), _| ());
        advance(&mut reads, |known, answer| {
            if let Ok(index) = answer {
                read += 1;
                assert!(index >= known, "seed {seed}: a stale read point");
            }
        });
        fleet.step();
        losses += u64::from(fleet.mend());
    }
    let context = format!(
        "seed {seed}: {losses} losses, {} answers, {read} reads, {changed} changes, {} installs, {} removed",
        acknowledged.len(),
        fleet.installs,
        fleet.removed.len()
    );
    println!("{context}");
    assert!(losses > 5 && acknowledged.len() > 50, "{context}");
    fleet.agree(&acknowledged, &context);
    [changed, fleet.installs, fleet.removed.len() as u64, read]
}

/// Removes replicas that a leader says are no members any more, and those that never became one.
fn tidy(fleet: &mut Fleet) {
    let Some(leader) = fleet.leading() else { return };
    let now = members(fleet, leader);
    for n in 0..fleet.nodes.len() {
        let Some(replica) = fleet.nodes[n].replica else { continue };
        // A leader of before may not know of it yet, and whether its change will come to be is not known.
        let was = fleet.status(n).is_some_and(|s| s.term <= fleet.status(leader).unwrap().term);
        if !now.joint() && !now.contains(replica) && was && replica.0 < newest(&now) {
            let _ = fleet.remove(n);
        }
    }
}

fn newest(members: &Members) -> u64 {
    members.all().last().map_or(0, |replica| replica.0)
}

#[test]
fn storms_of_faults_and_changes_lose_nothing_acknowledged() {
    // 1178: the answer to a read point of before a replica was installed passed for one of after.
    let totals =
        (101..=112).chain([1178]).map(storm).fold([0; 4], |a, b| std::array::from_fn(|i| a[i] + b[i]));
    assert!(totals.iter().all(|total| *total >= 5), "{totals:?}");
}

#[test]
#[ignore = "many more seeds than a usual run has time for"]
fn many_storms() {
    let only = std::env::args().find_map(|a| a.strip_prefix("seed=").and_then(|s| s.parse().ok()));
    for seed in only.map_or(1_000..1_400, |seed: u64| seed..seed + 1) {
        storm(seed);
    }
}
