//! What is committed stays committed: while nothing is forgotten, no replica's term goes back, not even over a
//! restart, and no replica applies what is not committed.
//!
//! Source: Ongaro and Ousterhout 2014, figure 2 (current term is persistent state; apply follows commit).

use super::ReplicaState;
use std::collections::BTreeMap;
use vectron_base::ids::{ReplicaId, ShardId};

/// The invariant's name.
pub(super) const NAME: &str = "terms never go back";

/// The highest term of each replica.
#[derive(Default)]
pub(super) struct Steady(BTreeMap<(ShardId, ReplicaId), u64>);

impl Steady {
    pub(super) fn see(&mut self, state: &ReplicaState<'_>) -> Option<String> {
        let status = state.status;
        let term = self.0.entry((state.shard, status.replica)).or_default();
        if status.term < *term {
            return Some(format!("shard {}: term {} after {term}: {status:?}", state.shard, status.term));
        }
        *term = status.term;
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
    }

    #[test]
    fn applied_before_committed() {
        let mut early = status(1, Role::Follower, 1, 3);
        early.applied = 4;
        assert!(Steady::default().see(&state(&early, 0)).is_some());
    }
}
