//! What a group at rest needs of its core. Rest withholds ticks and nothing else: whoever counts none keeps its
//! vote, its term and its log, and a read point still takes a full round.

use super::{Core, Pulse, Role};
use raft::eraftpb::{self, MessageType};
use vectron_base::ids::ReplicaId;

impl Core {
    /// Where the log ends, if nothing is left to be done about it on any member.
    pub(crate) fn settled(&self) -> Option<u64> {
        let raft = &self.node.raft;
        let log = &raft.raft_log;
        let last = log.last_index();
        let done = self.role() == Role::Leader
            && (log.committed, log.applied, log.persisted) == (last, last, last)
            && raft.lead_transferee.is_none()
            && raft.pending_read_count() == 0
            && !self.members().joint()
            && raft.prs().iter().all(|(_, progress)| progress.matched == last)
            && !self.node.has_ready();
        done.then_some(last)
    }

    /// Whether this follower can rest under the leader that says so; it has heard of it now. If not, the leader
    /// is answered as if it had sent a heartbeat, and so learns why.
    pub(crate) fn rest(&mut self, pulse: &Pulse) -> bool {
        let leader = self.node.raft.leader_id == pulse.from.0 && self.role() == Role::Follower;
        let log = &self.node.raft.raft_log;
        let same = log.last_index() == pulse.index && log.persisted == pulse.index;
        if leader && self.node.raft.term == pulse.term && same {
            let raft = &mut self.node.raft;
            raft.raft_log.commit_to(pulse.index);
            raft.election_elapsed = 0;
            return true;
        }
        let mut heartbeat = eraftpb::Message {
            from: pulse.from.0,
            to: pulse.to.0,
            term: pulse.term,
            ..eraftpb::Message::default()
        };
        heartbeat.set_msg_type(MessageType::MsgHeartbeat);
        // A leader of an old term is told of the new one by the answer.
        let _ = self.node.step(heartbeat);
        self.fix_timeout();
        false
    }

    /// What this leader tells a member of a group at rest.
    pub(crate) fn pulse(&self, to: ReplicaId, index: u64) -> Pulse {
        Pulse { group: self.group, from: self.replica(), to, term: self.term(), index }
    }

    /// This many ticks have passed without a word from the leader.
    pub(crate) fn missed(&mut self, ticks: usize) {
        if self.role() != Role::Leader {
            self.node.raft.election_elapsed = ticks;
        }
    }
}
