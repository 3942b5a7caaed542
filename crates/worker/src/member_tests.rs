use super::*;
use std::collections::BTreeMap;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_consensus::{Members, Role};
use vectron_wire::placement::Replica;

const R: [ReplicaId; 5] = [ReplicaId(1), ReplicaId(2), ReplicaId(3), ReplicaId(4), ReplicaId(5)];
const COMMITTED: u64 = 1000;

fn wanted(roles: &[(ReplicaId, ReplicaRole)], leader: Option<ReplicaId>) -> Shard {
    let replica = |(replica, role): &(ReplicaId, ReplicaRole)| Replica {
        replica: *replica,
        worker: WorkerId(replica.0),
        role: *role,
    };
    Shard {
        shard: ShardId(1),
        first: 0,
        last: u64::MAX,
        epoch: 1,
        config: 1,
        replicas: roles.iter().map(replica).collect(),
        leader,
        split: None,
    }
}

fn status(voters: &[ReplicaId], learners: &[ReplicaId], behind: &[ReplicaId]) -> GroupStatus {
    let held = |r: &ReplicaId| (*r, if behind.contains(r) { 1 } else { COMMITTED });
    GroupStatus {
        replica: R[0],
        role: Role::Leader,
        term: 3,
        committed: COMMITTED,
        applied: COMMITTED,
        checkpointed: 0,
        leader: Some(R[0]),
        sole: false,
        members: Members { voters: voters.to_vec(), learners: learners.to_vec(), ..Members::default() },
        members_index: COMMITTED,
        matched: voters.iter().chain(learners).map(held).collect::<BTreeMap<_, _>>(),
        lagging: None,
        at_rest: false,
        quarantined: None,
    }
}

use MemberChange::{AddLearner, AddVoter, Remove};
use ReplicaRole::{Joining, Learner, Leaving, Voter};

fn voters(ids: &[ReplicaId]) -> Vec<(ReplicaId, ReplicaRole)> {
    ids.iter().map(|r| (*r, Voter)).collect()
}

/// `l26` of the lessons: whoever joins learns first, and a leader hands over before it leaves.
#[test]
fn l26_a_voter_was_a_learner_first_and_a_leader_leaves_last() {
    let mut move_3_to_4 = voters(&R[..3]);
    move_3_to_4.push((R[3], Joining));
    let step = |roles: &[_], status: &GroupStatus| next_step(R[0], &wanted(roles, None), status);
    let added = Some(Step::Change(vec![AddLearner(R[3])]));
    assert_eq!(step(&move_3_to_4, &status(&R[..3], &[], &[])), added);
    assert_eq!(step(&move_3_to_4, &status(&R[..3], &[R[3]], &[])), None);

    let switch = [(R[0], Voter), (R[1], Voter), (R[2], Leaving), (R[3], Voter)];
    assert_eq!(step(&switch, &status(&R[..3], &[R[3]], &[R[3]])), None, "not caught up");
    let joint = Some(Step::Change(vec![AddVoter(R[3]), Remove(R[2])]));
    assert_eq!(step(&switch, &status(&R[..3], &[R[3]], &[])), joint);
    // Even if the catalog says voter at once.
    assert_eq!(step(&switch, &status(&R[..3], &[], &[])), added);

    let leader_leaves = [(R[0], Leaving), (R[1], Voter), (R[2], Voter), (R[3], Voter)];
    let handed = step(&leader_leaves, &status(&R[..3], &[R[3]], &[R[1]]));
    assert_eq!(handed, Some(Step::Transfer(R[2])), "to one that has caught up");
}

#[test]
fn a_single_replica_moves_by_way_of_two() {
    let moving = wanted(&[(R[0], Leaving), (R[1], Voter)], None);
    let step = |status: &GroupStatus| next_step(R[0], &moving, status);
    assert_eq!(step(&status(&R[..1], &[R[1]], &[])), Some(Step::Change(vec![AddVoter(R[1])])));
    assert_eq!(step(&status(&R[..2], &[], &[])), Some(Step::Transfer(R[1])));
    let rest = next_step(R[1], &moving, &status(&R[..2], &[], &[]));
    assert_eq!(rest, Some(Step::Change(vec![Remove(R[0])])));
}

#[test]
fn what_the_catalog_does_not_list_goes_and_learners_stay_learners() {
    let mut roles = voters(&R[..3]);
    let step = |roles: &[_], status: &GroupStatus| next_step(R[0], &wanted(roles, None), status);
    assert_eq!(step(&roles, &status(&R[..3], &[R[4]], &[])), Some(Step::Change(vec![Remove(R[4])])));
    assert_eq!(step(&roles, &status(&R[..4], &[], &[])), Some(Step::Change(vec![Remove(R[3])])));
    roles.push((R[4], Learner));
    assert_eq!(step(&roles, &status(&R[..3], &[R[4]], &[])), None);
}

#[test]
fn nothing_is_done_while_two_sets_decide_and_wishes_come_last() {
    let roles = voters(&R[..3]);
    let mut joint = status(&R[..2], &[], &[]);
    joint.members.voters_outgoing = R[..3].to_vec();
    assert_eq!(next_step(R[0], &wanted(&roles, Some(R[1])), &joint), None);
    let settled = status(&R[..3], &[], &[]);
    assert_eq!(next_step(R[0], &wanted(&roles, Some(R[1])), &settled), Some(Step::Transfer(R[1])));
    assert_eq!(next_step(R[0], &wanted(&roles, Some(R[0])), &settled), None);
    let behind = status(&R[..3], &[], &[R[1]]);
    assert_eq!(next_step(R[0], &wanted(&roles, Some(R[1])), &behind), None, "it would lead an old log");
}

/// Every order of changes ends where the catalog wants, and on the way there are never fewer voters than at the lower
/// of both ends.
#[test]
fn every_wish_is_reached_in_few_steps_without_fewer_voters() {
    let roles = [None, Some(Voter), Some(Joining), Some(Learner), Some(Leaving)];
    let mut tried = 0;
    for code in 0..roles.len().pow(4) {
        let wish: Vec<_> = (0..4)
            .filter_map(|i| Some((R[i], roles[code / roles.len().pow(i as u32) % roles.len()]?)))
            .collect();
        let end: Vec<ReplicaId> = wish.iter().filter(|(_, role)| *role == Voter).map(|(r, _)| *r).collect();
        if end.is_empty() {
            continue;
        }
        tried += 1;
        let wish = wanted(&wish, None);
        let (mut leader, mut now) = (R[0], status(&R[..3], &[], &[]));
        let mut steps = 0;
        while let Some(step) = next_step(leader, &wish, &now) {
            steps += 1;
            assert!(steps < 20, "{wish:?} does not settle");
            match step {
                Step::Transfer(to) => {
                    assert!(now.members.voters.contains(&to));
                    leader = to;
                }
                Step::Change(changes) => {
                    assert!(!changes.contains(&Remove(leader)), "{wish:?} removes the leader");
                    let (mut voters, mut learners) = (now.members.voters, now.members.learners);
                    for change in changes {
                        let replica = change.replica();
                        if let AddVoter(replica) = change {
                            assert!(learners.contains(&replica), "{wish:?}: never learnt");
                            voters.push(replica);
                        }
                        voters.retain(|r| change != Remove(*r));
                        learners.retain(|r| *r != replica);
                        if let AddLearner(replica) = change {
                            learners.push(replica);
                        }
                    }
                    assert!(voters.len() >= end.len().min(3), "{wish:?}: {voters:?}");
                    now = status(&voters, &learners, &[]);
                }
            }
        }
        // A voter that shall only join or learn stays as it is; nobody else votes, and all that shall do.
        assert!(end.iter().all(|r| now.members.voters.contains(r)), "{wish:?}: {:?}", now.members);
        let listed = |r: &ReplicaId| wish.replicas.iter().any(|x| x.replica == *r && x.role != Leaving);
        assert!(now.members.voters.iter().all(listed), "{wish:?}: {:?}", now.members);
    }
    assert!(tried > 300);
}
