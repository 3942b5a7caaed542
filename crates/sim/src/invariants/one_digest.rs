//! Equal applied index, equal digest of the logical state, on every replica.
//!
//! Source: contract 3.9; state machine safety in Ongaro and Ousterhout 2014, figure 3. It covers log matching up to
//! the applied index: other entries give another state.

use super::ReplicaState;
use crate::executor::NodeId;
use std::collections::BTreeMap;
use vectron_base::ids::ShardId;

/// The invariant's name.
pub(super) const NAME: &str = "one state per index";

/// States that are remembered per shard: replicas are rarely further apart, and a replica that catches up later is
/// compared at its end.
const REMEMBERED: usize = 4096;

/// Digests by shard and index, with who had them first.
#[derive(Default)]
pub(super) struct Digests {
    shards: BTreeMap<ShardId, BTreeMap<u64, (u128, NodeId)>>,
    compared: u64,
}

impl Digests {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let seen = self.shards.entry(state.shard).or_default();
        let (digest, first) = *seen.entry(state.applied).or_insert((state.digest, state.node));
        if seen.len() > REMEMBERED {
            seen.pop_first();
        }
        if first != state.node {
            self.compared += 1;
        }
        (digest != state.digest).then(|| {
            let (shard, applied) = (state.shard, state.applied);
            format!(
                "shard {shard} at {applied}: {first:?} has {digest:x}, {:?} has {:x}",
                state.node, state.digest
            )
        })
    }

    pub(super) fn compared(&self) -> u64 {
        self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_leader::tests::{state, status};
    use super::*;
    use vectron_consensus::Role;

    #[test]
    fn two_states_of_one_index() {
        let mut digests = Digests::default();
        let follower = |replica, applied| status(replica, Role::Follower, 1, applied);
        assert_eq!(digests.see(&state(&follower(1, 5), 50)), None);
        assert_eq!(digests.see(&state(&follower(2, 5), 50)), None);
        assert_eq!(digests.see(&state(&follower(2, 6), 60)), None);
        assert_eq!(digests.compared(), 1);
        assert!(digests.see(&state(&follower(1, 6), 61)).is_some());
        // The same replica after a restart.
        assert!(digests.see(&state(&follower(1, 5), 51)).is_some());
    }
}
