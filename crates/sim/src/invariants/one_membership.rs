//! Equal applied index, equal members of the group, on every replica: votes are counted alike everywhere.
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
pub(super) struct Memberships(BTreeMap<ShardId, BTreeMap<u64, (Sets, NodeId)>>);

fn sets(members: &Members) -> Sets {
    let Members { voters, learners, voters_outgoing, learners_next, .. } = members;
    [voters, learners, voters_outgoing, learners_next].map(|of| of.iter().copied().collect())
}

impl Memberships {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let (applied, members) = (state.status.applied, &state.status.members);
        // Not known before the log is read.
        if members.voters.is_empty() || applied == 0 {
            return None;
        }
        let seen = self.0.entry(state.shard).or_default();
        let mine = sets(members);
        let (theirs, first) = seen.entry(applied).or_insert_with(|| (mine.clone(), state.node));
        let wrong = (*theirs != mine).then(|| {
            let shard = state.shard;
            format!("shard {shard} at {applied}: {first:?} has {theirs:?}, {:?} has {mine:?}", state.node)
        });
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

    #[test]
    fn a_replica_that_counts_others() {
        let of = |replica, voters: &[u64]| {
            let voters = voters.iter().copied().map(ReplicaId).collect();
            let members = Members { voters, ..Members::default() };
            GroupStatus { members, ..status(replica, Role::Follower, 1, 5) }
        };
        let mut memberships = Memberships::default();
        assert_eq!(memberships.see(&state(&of(1, &[1, 2, 3]), 0)), None);
        assert_eq!(memberships.see(&state(&of(2, &[3, 2, 1]), 0)), None);
        assert_eq!(memberships.see(&state(&of(3, &[]), 0)), None);
        assert!(memberships.see(&state(&of(3, &[2, 3]), 0)).is_some());
    }
}
