//! Equal index, equal members of the group, on every replica: votes are counted alike everywhere.
//!
//! A replica shows its members late: when they are durable, and a leader when a majority knows them. It says the index
//! that they are as of, and members of one index are compared, however late they are shown.
//!
//! Source: Ongaro and Ousterhout 2014, section 6: members are entries of the log, and figure 3, log matching.

use super::ReplicaState;
use crate::executor::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_consensus::Members;

/// The invariant's name.
pub(super) const NAME: &str = "one membership per index";

/// Indexes that are remembered per shard.
const REMEMBERED: usize = 4096;

/// Whose order says nothing.
type Sets = [BTreeSet<ReplicaId>; 4];

/// Members by shard and index, with who had them first.
#[derive(Default)]
pub(super) struct Memberships {
    shards: BTreeMap<ShardId, BTreeMap<u64, (Sets, NodeId)>>,
    /// In which life each replica showed which index last.
    last: BTreeMap<(ShardId, NodeId), (u64, ReplicaId, u64)>,
}

fn sets(members: &Members) -> Sets {
    let Members { voters, learners, voters_outgoing, learners_next, .. } = members;
    [voters, learners, voters_outgoing, learners_next].map(|of| of.iter().copied().collect())
}

impl Memberships {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let (shard, node, status) = (state.shard, state.node, state.status);
        let (index, members) = (status.members_index, &status.members);
        // Not known before the log is read.
        if members.voters.is_empty() || index == 0 {
            return None;
        }
        if index > status.applied {
            return Some(format!(
                "shard {shard}, {node:?}: members as of {index}, applied is {}",
                status.applied
            ));
        }
        let now = (state.life, status.replica, index);
        let (life, replica, before) = self.last.insert((shard, node), now).unwrap_or(now);
        if (life, replica) == (state.life, status.replica) && index < before {
            return Some(format!("shard {shard}, {node:?}: members as of {index} after those of {before}"));
        }
        let mine = sets(members);
        let seen = self.shards.entry(shard).or_default();
        let (theirs, first) = seen.entry(index).or_insert_with(|| (mine.clone(), node));
        let wrong = (*theirs != mine)
            .then(|| format!("shard {shard} at {index}: {first:?} has {theirs:?}, {node:?} has {mine:?}"));
        if seen.len() > REMEMBERED {
            seen.pop_first();
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_leader::tests::{state, status};
    use super::*;
    use vectron_consensus::{GroupStatus, Role};

    fn of(replica: u64, voters: &[u64], members_index: u64, applied: u64) -> GroupStatus {
        let voters = voters.iter().copied().map(ReplicaId).collect();
        let members = Members { voters, ..Members::default() };
        GroupStatus { members, members_index, ..status(replica, Role::Follower, 1, applied) }
    }

    #[test]
    fn a_replica_that_counts_others() {
        let mut memberships = Memberships::default();
        for (replica, voters) in [(1, [1, 2, 3]), (2, [3, 2, 1])] {
            assert_eq!(memberships.see(&state(&of(replica, &[1, 2], 5, 5), 0)), None);
            assert_eq!(memberships.see(&state(&of(replica, &voters, 6, 6), 0)), None);
        }
        assert_eq!(memberships.see(&state(&of(3, &[], 5, 5), 0)), None);
        assert!(memberships.see(&state(&of(3, &[2, 3], 6, 6), 0)).is_some());
    }

    /// Seed 88: a node goes on applying while its disk stands still, and shows the members of before all the while.
    #[test]
    fn a_replica_that_shows_its_members_late_is_right() {
        let mut memberships = Memberships::default();
        for applied in 5..20 {
            assert_eq!(memberships.see(&state(&of(1, &[1, 2], applied, applied), 0)), None);
            let shown = if applied < 8 { [1, 2] } else { [1, 3] };
            assert_eq!(memberships.see(&state(&of(2, &shown, applied + 20, applied + 20), 0)), None);
            assert_eq!(memberships.see(&state(&of(3, &[1, 2], 5, applied + 20), 0)), None);
        }
        // It may be late, but not go back, and not know what it has not applied.
        assert!(memberships.see(&state(&of(2, &[1, 2], 20, 40), 0)).is_some());
        assert!(memberships.see(&state(&of(3, &[1, 3], 41, 40), 0)).is_some());
    }
}
