//! Changes of members, handing over leadership, and replicas that the log left behind.

use super::conf::{conf_change, members};
use super::{Core, Entry, EntryKind, Role};
use crate::error::ProposeError;
use crate::{MemberChange, Members};
use raft::eraftpb::{self, MessageType};
use std::collections::BTreeMap;
use vectron_base::ids::ReplicaId;

impl Core {
    /// The members by all entries that were applied.
    pub(crate) fn members(&self) -> &Members {
        static NOBODY: Members = Members {
            voters: Vec::new(),
            learners: Vec::new(),
            voters_outgoing: Vec::new(),
            learners_next: Vec::new(),
            auto_leave: false,
        };
        self.history.back().map_or(&NOBODY, |(_, members)| members)
    }

    /// The members as of an applied entry since the log's start.
    pub(crate) fn members_at(&self, index: u64) -> Option<&Members> {
        self.history.iter().rev().find(|(from, _)| *from <= index).map(|(_, members)| members)
    }

    /// Puts a change of members into the log; its index and term. One at a time.
    pub(crate) fn change_members(&mut self, changes: &[MemberChange]) -> Result<(u64, u64), ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader { leader: self.leader() });
        }
        if self.node.raft.lead_transferee.is_some() {
            return Err(ProposeError::Refused("leadership is being handed over"));
        }
        if self.node.raft.has_pending_conf() || self.members().joint() {
            return Err(ProposeError::Refused("another change of members is under way"));
        }
        if let Some(objection) = self.members().objection(changes) {
            return Err(ProposeError::Refused(objection));
        }
        for change in changes {
            if let MemberChange::AddVoter(voter) = change
                && !self.members().votes(*voter)
                && !self.caught_up(*voter)
            {
                return Err(ProposeError::Refused("a new voter must be a learner that has the log first"));
            }
        }
        let after = self.members().voters_after(changes);
        let able = after.iter().filter(|voter| **voter == self.replica() || self.caught_up(**voter)).count();
        if 2 * able <= after.len() {
            return Err(ProposeError::Refused("too many of the voters left lack log that is gone here"));
        }
        // Not by the library's own way in, which would parse the content.
        let entry = Entry::new(0, 0, EntryKind::Members, MemberChange::encode(changes)).0;
        let raft = &mut self.node.raft;
        if !raft.append_entry(&mut [entry]) {
            return Err(ProposeError::Overloaded);
        }
        raft.pending_conf_index = raft.raft_log.last_index();
        raft.bcast_append();
        Ok((raft.pending_conf_index, raft.term))
    }

    /// Whether the log that a member lacks is here, as far as this leader knows.
    fn caught_up(&self, member: ReplicaId) -> bool {
        let base = self.node.store().base();
        self.node.raft.prs().get(member.0).is_some_and(|progress| progress.matched >= base.max(1))
    }

    /// Makes a committed change of members, in order with all that is applied. One that cannot be made is none,
    /// on every replica alike.
    pub(crate) fn apply_members(&mut self, entry: &Entry) {
        let Some(changes) = MemberChange::decode(entry.data()) else { return };
        let Ok(state) = self.node.apply_conf_change(&conf_change(&changes)) else { return };
        self.history.push_back((entry.index(), members(&state)));
        if self.role() == Role::Leader && !self.members().votes(self.replica()) {
            self.step_down();
        }
    }

    /// Leads no more, being no voter any more. The most advanced voter may stand for election at once.
    fn step_down(&mut self) {
        let matched = self.matched();
        let voters = self.members().voters.iter();
        let next = voters.max_by_key(|voter| matched.get(*voter)).map(|voter| voter.0);
        let raft = &mut self.node.raft;
        if let Some(next) = next {
            raft.send_timeout_now(next);
        }
        let term = raft.term;
        raft.become_follower(term, 0);
    }

    /// Whether enough members know that the last change is committed for it to stand without the members of
    /// before. A leader goes by what they said last; others know it of themselves.
    pub(crate) fn members_known(&self) -> bool {
        let changed = self.history.back().map_or(0, |(index, _)| *index);
        let prs = self.node.raft.prs();
        let known = prs.iter().filter(|(_, progress)| progress.committed_index >= changed);
        let known = known.map(|(id, _)| *id).chain([self.node.raft.id]).collect();
        self.role() != Role::Leader || prs.has_quorum(&known)
    }

    /// What each member has of the log, as far as this leader knows; empty elsewhere.
    pub(crate) fn matched(&self) -> BTreeMap<ReplicaId, u64> {
        if self.role() != Role::Leader {
            return BTreeMap::new();
        }
        self.node.raft.prs().iter().map(|(id, progress)| (ReplicaId(*id), progress.matched)).collect()
    }

    /// The part of the log that all members have, as far as this leader knows.
    pub(crate) fn everywhere(&self) -> Option<u64> {
        let leads = self.role() == Role::Leader;
        leads.then(|| self.node.raft.prs().iter().map(|(_, progress)| progress.matched).min()).flatten()
    }

    /// Begins to hand leadership over. Nothing can be proposed until it is done, or an election timeout over.
    pub(crate) fn transfer(&mut self, to: ReplicaId) -> Result<(), ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader { leader: self.leader() });
        }
        if !self.members().voters.contains(&to) {
            return Err(ProposeError::Refused("it is no voter"));
        }
        self.node.transfer_leader(to.0);
        Ok(())
    }

    /// The replica that leadership is being handed to.
    pub(crate) fn successor(&self) -> Option<ReplicaId> {
        self.node.raft.lead_transferee.map(ReplicaId)
    }

    /// Stands for election because the leader asks for it; after what is committed is applied, if that changes
    /// the members.
    pub(super) fn handed(&mut self, message: eraftpb::Message) {
        let again = message.clone();
        // Refused only if it comes from nobody.
        let _ = self.node.step(message);
        let raft = &self.node.raft;
        let waits = raft.raft_log.applied < raft.raft_log.committed && self.role() == Role::Follower;
        if waits && again.term == raft.term {
            self.handed = Some(again);
        }
    }

    /// The leader has no log after what we have: it needs to know better, or we need a snapshot.
    pub(super) fn told_to_catch_up(&mut self, message: &eraftpb::Message) {
        let raft = &mut self.node.raft;
        if message.term != raft.term || self.node.raft.leader_id != message.from {
            return;
        }
        let raft = &mut self.node.raft;
        let committed = raft.raft_log.committed;
        if message.index > committed && !raft.raft_log.match_term(message.index, message.log_term) {
            self.lagging = Some((ReplicaId(message.from), message.index));
            return;
        }
        // All logs agree up to what is committed, and up to an entry of equal index and term.
        let mut answer = eraftpb::Message {
            from: raft.id,
            to: message.from,
            term: raft.term,
            index: committed.max(message.index),
            commit: committed,
            ..eraftpb::Message::default()
        };
        answer.set_msg_type(MessageType::MsgAppendResponse);
        raft.msgs.push(answer);
    }

    /// The leader that says that this replica needs a snapshot, while it does.
    pub(crate) fn lagging(&self) -> Option<ReplicaId> {
        self.lagging.filter(|(_, index)| self.committed() < *index).map(|(leader, _)| leader)
    }
}
