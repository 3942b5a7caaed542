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

/// Entries over which members must differ.
const LASTS: u64 = 4;

/// Whose order says nothing.
type Sets = [BTreeSet<ReplicaId>; 4];

/// Members by shard and index, with who had them first.
#[derive(Default)]
pub(super) struct Memberships {
    shards: BTreeMap<ShardId, BTreeMap<u64, (Sets, NodeId)>>,
    /// What each replica showed last: what counts is the last of an index.
    last: BTreeMap<(ShardId, NodeId), (u64, u64, Sets)>,
    /// Replicas that show other members than others did, since which index. A status that is shown while a change is
    /// being applied may be one step behind, so that only what lasts counts.
    astray: BTreeMap<(ShardId, NodeId), (u64, Sets)>,
}

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
        let now = (state.life, applied, sets(members));
        let (life, applied, mine) = self.last.insert((state.shard, state.node), now)?;
        if life != state.life || applied >= state.status.applied {
            return None;
        }
        let seen = self.shards.entry(state.shard).or_default();
        let (theirs, first) = seen.entry(applied).or_insert_with(|| (mine.clone(), state.node));
        let key = (state.shard, state.node);
        let mut wrong = None;
        if *theirs == mine {
            self.astray.remove(&key);
        } else {
            let since = self.astray.entry(key).or_insert_with(|| (applied, mine.clone()));
            if since.1 != mine {
                *since = (applied, mine.clone());
            }
            wrong = (applied >= since.0 + LASTS).then(|| {
                let shard = state.shard;
                format!("shard {shard} at {applied}: {first:?} has {theirs:?}, {:?} has {mine:?}", state.node)
            });
        }
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
        let of = |replica, voters: &[u64], applied| {
            let voters = voters.iter().copied().map(ReplicaId).collect();
            let members = Members { voters, ..Members::default() };
            GroupStatus { members, ..status(replica, Role::Follower, 1, applied) }
        };
        let mut memberships = Memberships::default();
        for (replica, voters) in [(1, [1, 2, 3]), (2, [3, 2, 1])] {
            for index in 5..20 {
                assert_eq!(memberships.see(&state(&of(replica, &[1, 2], index), 0)), None);
                assert_eq!(memberships.see(&state(&of(replica, &voters, index), 0)), None);
            }
        }
        assert_eq!(memberships.see(&state(&of(3, &[], 5), 0)), None);
        assert_eq!(memberships.see(&state(&of(3, &[2, 3], 5), 0)), None);
        let found = (6..15).find_map(|index| memberships.see(&state(&of(3, &[2, 3], index), 0)));
        assert!(found.is_some());
    }
}
