//! At most one leader per term of a group.
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014, figure 3, election
//! safety.

use super::ReplicaState;
use std::collections::BTreeMap;
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_consensus::Role;

/// The invariant's name.
pub(super) const NAME: &str = "one leader per term";

/// The leader of each term.
#[derive(Default)]
pub(super) struct Leaders(BTreeMap<(ShardId, u64), ReplicaId>);

impl Leaders {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let status = state.status;
        if status.role != Role::Leader {
            return None;
        }
        let leader = *self.0.entry((state.shard, status.term)).or_insert(status.replica);
        (leader != status.replica).then(|| {
            let (shard, term) = (state.shard, status.term);
            format!("shard {shard}, term {term}: replicas {leader} and {} lead", status.replica)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::executor::NodeId;
    use std::collections::BTreeMap;
    use vectron_consensus::{GroupStatus, Members};

    pub(in super::super) fn status(replica: u64, role: Role, term: u64, committed: u64) -> GroupStatus {
        GroupStatus {
            replica: ReplicaId(replica),
            role,
            term,
            committed,
            applied: committed,
            checkpointed: 0,
            leader: None,
            sole: false,
            members: Members::default(),
            members_index: committed,
            matched: BTreeMap::new(),
            lagging: None,
            at_rest: false,
            quarantined: None,
        }
    }

    pub(in super::super) fn state(status: &GroupStatus, digest: u128) -> ReplicaState<'_> {
        let node = NodeId(status.replica.0 as u32);
        ReplicaState { node, life: 1, shard: ShardId(1), status, applied: status.applied, digest }
    }

    #[test]
    fn two_leaders_of_one_term() {
        let mut leaders = Leaders::default();
        for (replica, term) in [(1, 1), (1, 1), (2, 2), (1, 3)] {
            assert_eq!(leaders.see(&state(&status(replica, Role::Leader, term, 0), 0)), None);
        }
        assert_eq!(leaders.see(&state(&status(3, Role::Follower, 2, 0), 0)), None);
        assert!(leaders.see(&state(&status(3, Role::Leader, 2, 0), 0)).is_some());
    }
}
