//! Changes of members, handing over leadership, and points of the log that others may start from.

use super::Group;
use crate::error::ProposeError;
use crate::handle::ProposalReply;
use crate::{MemberChange, Start};
use futures::channel::oneshot;
use vectron_base::ids::ReplicaId;

/// Where the answer to a transfer goes.
pub(crate) type TransferReply = oneshot::Sender<Result<(), ProposeError>>;

/// Leadership that is being handed over.
pub(super) struct Transfer {
    to: ReplicaId,
    age: usize,
    reply: TransferReply,
}

impl Group {
    /// Puts a change of members into the log.
    pub(crate) fn change_members(&mut self, changes: &[MemberChange], reply: ProposalReply) {
        match self.core.change_members(changes) {
            Ok((index, term)) => self.await_answer(index, term, reply),
            Err(error) => reply.send(Err(error)),
        }
    }

    /// Begins to hand leadership over; answers when `to` leads.
    pub(crate) fn transfer(&mut self, to: ReplicaId, reply: TransferReply) {
        self.end_transfer(Err(ProposeError::Refused("another transfer began")));
        self.transfer = Some(Transfer { to, age: 0, reply });
        if self.leads() && to == self.replica() {
            self.end_transfer(Ok(()));
        } else if let Err(error) = self.core.transfer(to) {
            self.end_transfer(Err(error));
        }
    }

    pub(super) fn end_transfer(&mut self, answer: Result<(), ProposeError>) {
        if let Some(transfer) = self.transfer.take() {
            // A caller that gave up needs no answer.
            let _ = transfer.reply.send(answer);
        }
    }

    pub(super) fn tick_transfer(&mut self, patience: usize) {
        let Some(transfer) = &mut self.transfer else { return };
        transfer.age += 1;
        let (to, late) = (transfer.to, transfer.age > 2 * patience);
        let leader = self.core.leader();
        if leader == Some(to) {
            self.end_transfer(Ok(()));
        } else if self.leads() && (late || self.core.successor() != Some(to)) {
            self.end_transfer(Err(ProposeError::Refused("it did not take over in time")));
        } else if late || (leader.is_some() && !self.leads()) {
            self.end_transfer(Err(ProposeError::NotLeader { leader }));
        }
    }

    /// Term and members as of an applied entry since the log's start.
    pub(crate) fn point(&self, index: u64) -> Option<Start> {
        if index > self.applied || index < self.state.start.0 {
            return None;
        }
        let (term, members) = (self.core.term_of(index)?, self.core.members_at(index)?.clone());
        Some(Start { index, term, members })
    }

    /// Whether the log here contains a point, or went past it.
    pub(crate) fn contains(&self, start: &Start) -> bool {
        start.index <= self.core.committed() || self.core.term_of(start.index) == Some(start.term)
    }

    /// What a log that replaces this one must not forget.
    pub(crate) fn vote(&self) -> crate::core::Vote {
        self.state.vote
    }
}
