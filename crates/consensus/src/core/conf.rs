//! Members in the Raft library's terms.

use crate::{MemberChange, Members};
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};
use vectron_base::ids::ReplicaId;

/// The library's form of `members`.
pub(super) fn conf_state(members: &Members) -> ConfState {
    let ids = |list: &[ReplicaId]| list.iter().map(|replica| replica.0).collect();
    ConfState {
        voters: ids(&members.voters),
        learners: ids(&members.learners),
        voters_outgoing: ids(&members.voters_outgoing),
        learners_next: ids(&members.learners_next),
        auto_leave: members.auto_leave,
        ..ConfState::default()
    }
}

/// The members that the library tells of.
pub(super) fn members(state: &ConfState) -> Members {
    let list = |ids: &[u64]| {
        let mut list: Vec<ReplicaId> = ids.iter().copied().map(ReplicaId).collect();
        list.sort_unstable();
        list
    };
    Members {
        voters: list(&state.voters),
        learners: list(&state.learners),
        voters_outgoing: list(&state.voters_outgoing),
        learners_next: list(&state.learners_next),
        auto_leave: state.auto_leave,
    }
}

/// The library's form of the changes in an entry. Several at once, and none, which ends what several began, are
/// joint consensus.
pub(super) fn conf_change(changes: &[MemberChange]) -> ConfChangeV2 {
    let single = |change: &MemberChange| {
        let kind = match change {
            MemberChange::AddLearner(_) => ConfChangeType::AddLearnerNode,
            MemberChange::AddVoter(_) => ConfChangeType::AddNode,
            MemberChange::Remove(_) => ConfChangeType::RemoveNode,
        };
        let mut single = ConfChangeSingle { node_id: change.replica().0, ..ConfChangeSingle::default() };
        single.set_change_type(kind);
        single
    };
    let mut change = ConfChangeV2::default();
    change.set_changes(changes.iter().map(single).collect::<Vec<_>>().into());
    change
}
