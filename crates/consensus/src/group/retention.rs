//! How much of the log is kept behind the checkpoint, for members that are behind.
//!
//! A leader knows what all members have and says so with its heartbeats; up to there nobody needs the log.
//! What some member lacks is kept, up to a limit in bytes: a member that falls further back needs a snapshot.
//! Holds keep more, for a snapshot that is on its way. A journal over its limit ends all but the holds.

use super::Group;
use crate::batch::{Batch, Record};
use vectron_base::clock::Tick;

/// What is known about who needs the log.
pub(super) struct Retention {
    /// Highest index that a checkpoint covers.
    pub(super) covered: u64,
    /// What all members have, as the leader said last.
    pub(super) everywhere: u64,
    /// Indexes after which the log is kept, and until when.
    holds: Vec<(u64, Tick)>,
}

impl Retention {
    pub(super) fn new(covered: u64) -> Self {
        Self { covered, everywhere: 0, holds: Vec::new() }
    }
}

/// What may be kept.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    /// For members that are behind, in bytes.
    pub(crate) bytes: u64,
    /// For holds, in bytes.
    pub(crate) held_bytes: u64,
    pub(crate) now: Tick,
    /// Whether the journal is over its limit because of this group.
    pub(crate) pressed: bool,
}

impl Group {
    /// The machine's checkpoint covers `index`.
    pub(crate) fn checkpointed(&mut self, index: u64) {
        self.retention.covered = self.retention.covered.max(index.min(self.applied));
    }

    /// Keeps the log after `index` until `until`.
    pub(crate) fn hold(&mut self, index: u64, until: Tick) {
        /// More than these are no snapshots on their way.
        const HOLDS_MAX: usize = 16;
        self.retention.holds.retain(|(held, _)| *held != index);
        self.retention.holds.truncate(HOLDS_MAX - 1);
        self.retention.holds.push((index, until));
    }

    /// Drops what the log need not keep; its new start goes into the batch.
    pub(crate) fn trim(&mut self, keep: Keep, batch: &mut Batch) {
        let covered = self.retention.covered;
        self.retention.holds.retain(|(_, until)| *until > keep.now);
        if covered <= self.state.start.0 {
            return;
        }
        let mut start = covered;
        if !self.core.alone() {
            if !keep.pressed {
                let everywhere = self.core.everywhere().unwrap_or(self.retention.everywhere);
                start = everywhere.min(covered).max(self.core.floor(covered, keep.bytes));
            }
            if let Some(held) = self.retention.holds.iter().map(|(index, _)| *index).min() {
                start = start.min(held.max(self.core.floor(covered, keep.held_bytes)));
            }
        }
        let (Some(term), Some(members)) = (self.core.term_of(start), self.core.members_at(start)) else {
            return;
        };
        if start <= self.state.start.0 {
            return;
        }
        self.state.members = members.clone();
        self.state.start = (start, term);
        self.state.vote.commit = self.state.vote.commit.max(start);
        self.core.start_at(start);
        batch.push(Record::State(self.id, self.state.clone()));
    }
}
