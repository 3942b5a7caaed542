//! What a leader does next so that the members of its group become what the catalog says. Pure: the caller carries
//! one step out and asks again when it is applied.

use vectron_base::ids::ReplicaId;
use vectron_consensus::{GroupStatus, MemberChange};
use vectron_wire::placement::{ReplicaRole, Shard};

/// Entries that a member may lack and still count as caught up.
const LAG_MAX: u64 = 256;

/// One step towards the catalog's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One change of members; several parts are decided jointly by the old and the new voters.
    Change(Vec<MemberChange>),
    /// Somebody else shall lead.
    Transfer(ReplicaId),
}

/// The next step of the leader `me`; none when all is as wanted, or when it must wait.
///
/// Whoever is new follows as a learner first, votes only when it has caught up, and whoever leads never leaves
/// before it has handed over. Voters join and leave in one joint change, so that there are never fewer.
pub fn next_step(me: ReplicaId, wanted: &Shard, status: &GroupStatus) -> Option<Step> {
    let members = &status.members;
    if !members.voters_outgoing.is_empty() {
        return None;
    }
    let role = |r: &ReplicaId| wanted.replicas.iter().find(|x| x.replica == *r).map(|x| x.role);
    let stays = |r: &ReplicaId| role(r).is_some_and(|role| role != ReplicaRole::Leaving);
    let (votes, follows) =
        (|r: &ReplicaId| members.voters.contains(r), |r: &ReplicaId| members.learners.contains(r));
    let held =
        |r: &ReplicaId| if *r == me { status.committed } else { status.matched.get(r).copied().unwrap_or(0) };
    let caught_up = |r: &ReplicaId| held(r).saturating_add(LAG_MAX) >= status.committed;

    let newcomer = wanted.replicas.iter().map(|r| r.replica).find(|r| stays(r) && !votes(r) && !follows(r));
    if let Some(newcomer) = newcomer {
        return Some(Step::Change(vec![MemberChange::AddLearner(newcomer)]));
    }
    if let Some(gone) = members.learners.iter().find(|r| !stays(r)) {
        return Some(Step::Change(vec![MemberChange::Remove(*gone)]));
    }
    let joining: Vec<ReplicaId> =
        members.learners.iter().copied().filter(|r| role(r) == Some(ReplicaRole::Voter)).collect();
    let leaving: Vec<ReplicaId> = members.voters.iter().copied().filter(|r| !stays(r)).collect();
    if joining.iter().any(|r| !caught_up(r)) {
        return None;
    }
    let successors = || {
        let able = |r: &&ReplicaId| **r != me && role(r) == Some(ReplicaRole::Voter) && caught_up(r);
        members.voters.iter().filter(able).copied()
    };
    if leaving.contains(&me) {
        let wished = wanted.leader.filter(|wished| successors().any(|r| r == *wished));
        return match wished.or_else(|| successors().max_by_key(held)) {
            Some(next) => Some(Step::Transfer(next)),
            // Alone: the newcomers must vote before one of them can lead.
            None if !joining.is_empty() => {
                Some(Step::Change(joining.into_iter().map(MemberChange::AddVoter).collect()))
            }
            None => None,
        };
    }
    if !joining.is_empty() || !leaving.is_empty() {
        let added = joining.into_iter().map(MemberChange::AddVoter);
        return Some(Step::Change(added.chain(leaving.into_iter().map(MemberChange::Remove)).collect()));
    }
    let wished = wanted.leader.filter(|wished| *wished != me)?;
    successors().find(|r| *r == wished).map(Step::Transfer)
}

/// Who should lead after `me`: the voter that holds most and has caught up; if one was wished for, that one.
pub fn successor(me: ReplicaId, wanted: &Shard, status: &GroupStatus) -> Option<ReplicaId> {
    let held = |r: &ReplicaId| status.matched.get(r).copied().unwrap_or(0);
    let leaving =
        |r: &ReplicaId| wanted.replicas.iter().any(|x| x.replica == *r && x.role == ReplicaRole::Leaving);
    let mut able = status.members.voters.iter().copied().filter(|r| *r != me && !leaving(r));
    let wished = wanted.leader.filter(|wished| able.clone().any(|r| r == *wished));
    wished.or_else(|| able.by_ref().max_by_key(held))
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
