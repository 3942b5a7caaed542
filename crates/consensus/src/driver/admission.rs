//! What is accepted, and what is refused before it has any effect.

use super::{Driver, Hosted};
use crate::MemberChange;
use crate::barrier::IndexReply;
use crate::error::ProposeError;
use crate::group::{Group, TransferReply};
use crate::handle::ProposalReply;
use vectron_base::ids::{GroupId, ReplicaId};

impl Driver {
    /// Puts a command into a group's log, or answers why not.
    pub(super) fn propose(&mut self, id: GroupId, command: Vec<u8>, reserved: bool, reply: ProposalReply) {
        if let Some(error) = self.refusal(id) {
            return reply.send(Err(error));
        }
        let leads = matches!(self.hosted.get(&id), Some(Hosted::Live(group)) if group.leads());
        // A replica that does not lead says so whatever its disk is like.
        if leads && !self.claim(command.len() as u64, reserved) {
            return reply.send(Err(ProposeError::DiskFull));
        }
        if leads {
            self.metrics.proposals.inc();
        }
        self.guarded(id, |group| group.propose(command, reply));
    }

    /// Puts a change of members into a group's log, or answers why not. It may free a disk that is full, by
    /// taking a replica from it.
    pub(super) fn change_members(&mut self, id: GroupId, changes: &[MemberChange], reply: ProposalReply) {
        if let Some(error) = self.refusal(id) {
            return reply.send(Err(error));
        }
        if !self.claim(0, true) {
            return reply.send(Err(ProposeError::DiskFull));
        }
        self.guarded(id, |group| group.change_members(changes, reply));
    }

    /// Begins to hand leadership over, or answers why not.
    pub(super) fn transfer(&mut self, id: GroupId, to: ReplicaId, reply: TransferReply) {
        match self.refusal(id) {
            // A caller that gave up needs no answer.
            Some(error) => drop(reply.send(Err(error))),
            None => self.guarded(id, |group| group.transfer(to, reply)),
        }
    }

    /// Takes space for an entry from what this turn may use.
    fn claim(&mut self, bytes: u64, reserved: bool) -> bool {
        /// What an entry takes in the journal beyond its bytes, frame included.
        const RECORD_BYTES: u64 = 128;
        if self.stalled {
            return false;
        }
        let reserve = self.knobs.disk_reserve_bytes;
        let (ordinary, all) = *self.room.get_or_insert_with(|| {
            // A disk that cannot tell its space will refuse the append if it must.
            let free = self.disk.space().map_or(u64::MAX, |space| space.free);
            let free = free.saturating_sub(self.batch.bytes());
            // The last part is for the logs' own records.
            (free.saturating_sub(reserve), free.saturating_sub(reserve / 8))
        });
        let need = bytes.saturating_add(RECORD_BYTES);
        let enough = need <= if reserved { all } else { ordinary };
        if enough {
            self.room = Some((ordinary.saturating_sub(need), all.saturating_sub(need)));
        }
        enough
    }

    /// Why nothing can be asked of a group, if so.
    fn refusal(&self, id: GroupId) -> Option<ProposeError> {
        if self.journal.failed().is_some() {
            return Some(ProposeError::JournalFailed);
        }
        match self.hosted.get(&id) {
            None => Some(ProposeError::Closed),
            Some(Hosted::Quarantined(reason)) => Some(ProposeError::Quarantined(reason.clone())),
            Some(Hosted::Live(_)) => None,
        }
    }

    /// Asks something of a group, or answers why not.
    pub(super) fn with(&mut self, id: GroupId, reply: IndexReply, ask: impl FnOnce(&mut Group, IndexReply)) {
        match self.refusal(id) {
            Some(error) => {
                // A caller that gave up needs no answer.
                let _ = reply.send(Err(error));
            }
            None => self.guarded(id, |group| ask(group, reply)),
        }
    }
}
