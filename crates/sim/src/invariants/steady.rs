//! Within one life no replica's term or applied index goes back, and no replica applies what is not committed.
//!
//! Over a power loss a term may go back as far as nobody was told of it: that votes are not given twice is a matter
//! of the one leader per term. Source: Ongaro and Ousterhout 2014, figure 2 (apply follows commit).

use super::ReplicaState;
use crate::executor::NodeId;
use std::collections::BTreeMap;
use vectron_base::ids::{ReplicaId, ShardId};

/// The invariant's name.
pub(super) const NAME: &str = "terms and states never go back";

/// The last life of each replica, with its highest term and applied index.
#[derive(Default)]
pub(super) struct Steady(BTreeMap<(ShardId, NodeId, ReplicaId), (u64, u64, u64)>);

impl Steady {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let status = state.status;
        let now = (state.life, status.term, state.applied);
        let before = self
            .0
            .insert((state.shard, state.node, status.replica), now)
            .filter(|(life, ..)| *life == state.life);
        if let Some((_, term, applied)) = before
            && (status.term < term || state.applied < applied)
        {
            return Some(format!("shard {}: {status:?} after term {term}, applied {applied}", state.shard));
        }
        (status.applied > status.committed)
            .then(|| format!("shard {}: applied what is not committed: {status:?}", state.shard))
    }
}

#[cfg(test)]
mod tests {
    use super::super::one_leader::tests::{state, status};
    use super::*;
    use vectron_consensus::Role;

    #[test]
    fn a_term_that_goes_back() {
        let mut steady = Steady::default();
        let at = |term| status(1, Role::Follower, term, 3);
        assert_eq!(steady.see(&state(&at(4), 0)), None);
        assert_eq!(steady.see(&state(&at(5), 0)), None);
        assert!(steady.see(&state(&at(4), 0)).is_some());
        let earlier = at(3);
        let next_life = ReplicaState { life: 2, ..state(&earlier, 0) };
        assert_eq!(steady.see(&next_life), None);
    }

    #[test]
    fn applied_before_committed() {
        let mut early = status(1, Role::Follower, 1, 3);
        early.applied = 4;
        assert!(Steady::default().see(&state(&early, 0)).is_some());
    }
}
