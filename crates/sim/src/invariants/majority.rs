//! No planned step leaves a shard below its majority: who begins to vote has followed as a learner and holds the
//! state, voters never become fewer, and two sets of voters that follow each other share a majority or decide jointly.
//!
//! Source: the cluster's design, "Membership"; joint consensus and non-voting members in Ongaro and Ousterhout 2014,
//! section 6, and Ongaro's dissertation, 2014, section 4.2.1.

use super::ReplicaState;
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_consensus::Role;

/// The invariant's name.
pub(super) const NAME: &str = "no step below the majority";

#[derive(Default)]
struct Group {
    /// Index up to which the members below were applied, and the voters.
    at: u64,
    voters: BTreeSet<ReplicaId>,
    /// How many there were at first.
    first: usize,
    /// Everybody who was seen as a learner.
    learners: BTreeSet<ReplicaId>,
}

/// The members of each group, as its leaders had them.
#[derive(Default)]
pub(super) struct Majorities(BTreeMap<ShardId, Group>);

impl Majorities {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let (status, shard) = (state.status, state.shard);
        let members = &status.members;
        let group = self.0.entry(shard).or_default();
        // Whoever has applied that much has seen the learners of then; a change that was undone since counts too.
        group.learners.extend(members.learners.iter().chain(&members.learners_next));
        if status.role != Role::Leader || status.applied < group.at || members.voters.is_empty() {
            return None;
        }
        let voters: BTreeSet<ReplicaId> = members.voters.iter().copied().collect();
        let before = std::mem::replace(&mut group.voters, voters.clone());
        group.at = status.applied;
        if before == voters {
            return None;
        }
        let began = before.is_empty();
        let new: Vec<ReplicaId> = voters.difference(&before).copied().collect();
        if began {
            group.first = voters.len();
            return None;
        }
        if voters.len() < group.first {
            return Some(format!("shard {shard}: fewer voters than the first {}: {members:?}", group.first));
        }
        let skipped: Vec<&ReplicaId> = new.iter().filter(|r| !group.learners.contains(r)).collect();
        if !skipped.is_empty() {
            return Some(format!("shard {shard}: {skipped:?} vote and never were learners: {members:?}"));
        }
        let empty =
            |r: &&ReplicaId| **r != status.replica && status.matched.get(r).is_none_or(|held| *held == 0);
        let empty: Vec<&ReplicaId> = new.iter().filter(empty).collect();
        // A leader that has just begun does not know what others hold.
        let knows = status.matched.iter().any(|(replica, held)| *replica != status.replica && *held > 0);
        (knows && !members.voters_outgoing.is_empty() && !empty.is_empty())
            .then(|| format!("shard {shard}: {empty:?} begin to vote and hold nothing: {status:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_leader::tests::{state, status};
    use super::*;
    use vectron_consensus::{GroupStatus, Members};

    fn ids(of: &[u64]) -> Vec<ReplicaId> {
        of.iter().copied().map(ReplicaId).collect()
    }

    fn leader(applied: u64, voters: &[u64], learners: &[u64]) -> GroupStatus {
        let members = Members { voters: ids(voters), learners: ids(learners), ..Members::default() };
        let matched = ids(voters).into_iter().map(|replica| (replica, applied)).collect();
        GroupStatus { members, matched, ..status(1, Role::Leader, 1, applied) }
    }

    fn last(steps: &[GroupStatus]) -> Option<String> {
        let mut majorities = Majorities::default();
        steps.iter().map(|step| majorities.see(&state(step, 0))).last().flatten()
    }

    #[test]
    fn a_move_by_way_of_a_learner() {
        let steps = [leader(1, &[1, 2, 3], &[]), leader(2, &[1, 2, 3], &[4]), leader(3, &[1, 2, 4], &[])];
        assert_eq!(last(&steps), None);
    }

    #[test]
    fn a_voter_that_was_no_learner() {
        assert!(last(&[leader(1, &[1, 2, 3], &[]), leader(3, &[1, 2, 4], &[])]).is_some());
    }

    #[test]
    fn a_voter_too_few() {
        assert!(last(&[leader(1, &[1, 2, 3], &[]), leader(3, &[1, 2], &[])]).is_some());
    }

    #[test]
    fn a_voter_without_anything() {
        let mut joint = leader(3, &[1, 2, 4], &[]);
        joint.members.voters_outgoing = ids(&[1, 2, 3]);
        joint.matched.insert(ReplicaId(4), 0);
        assert!(last(&[leader(1, &[1, 2, 3], &[4]), joint]).is_some());
    }
}
