//! Applying what is committed, and answering those who wait for it.

use super::Group;
use crate::batch::{Batch, Record};
use crate::core::{Entry, EntryKind};
use crate::error::ProposeError;
use crate::handle::Applied;
use crate::metrics::ConsensusMetrics;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Group {
    /// Whether something is committed and not applied.
    pub(crate) fn must_apply(&self) -> bool {
        !self.committed.is_empty()
    }

    /// Applies what is committed, one entry at least, until `enough`. The reason if the machine panicked.
    pub(crate) fn apply(
        &mut self,
        batch: &mut Batch,
        metrics: &ConsensusMetrics,
        enough: impl Fn() -> bool,
    ) -> Result<(), String> {
        if self.committed.is_empty() {
            return Ok(());
        }
        while let Some(entry) = self.committed.pop_front() {
            self.apply_entry(&entry, metrics)?;
            if entry.kind() == EntryKind::Members {
                // That the change is committed must not be forgotten, or after a restart this replica would go by
                // the members of before, some of whom may be gone for good.
                self.state.vote.commit = self.state.vote.commit.max(self.applied);
                batch.push(Record::State(self.id, self.state.clone()));
            }
            if enough() {
                break;
            }
        }
        self.core.applied(self.applied);
        let waiting = self.until.split_off(&(self.applied + 1));
        for reply in std::mem::replace(&mut self.until, waiting).into_values().flatten() {
            // A caller that gave up needs no answer.
            let _ = reply.send(Ok(self.applied));
        }
        if !self.core.members().contains(self.replica()) {
            // What follows is decided without us.
            self.pending.drain(..).for_each(|pending| pending.reply.send(Err(ProposeError::Unknown)));
        }
        // A change of members that had to be applied first may have kept it from standing for election.
        if self.core.leader().is_none() && self.applied == self.core.committed() {
            self.wake();
        }
        Ok(())
    }

    fn apply_entry(&mut self, entry: &Entry, metrics: &ConsensusMetrics) -> Result<(), String> {
        let index = entry.index();
        let machine = &mut self.machine;
        // A machine that panicked is never touched again, so that nobody sees it half changed.
        let applied = catch_unwind(AssertUnwindSafe(|| match entry.kind() {
            EntryKind::Noop | EntryKind::Members => {
                machine.skip(index);
                Vec::new()
            }
            EntryKind::Command => machine.apply(index, entry.data()),
        }));
        let mut reply = applied.map_err(|_| format!("applying entry {index} panicked"))?;
        if entry.kind() == EntryKind::Members {
            self.core.apply_members(entry);
        }
        self.applied = index;
        metrics.commits.inc();
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.index <= index) {
            pending.reply.send(if (pending.index, pending.term) == (index, entry.term()) {
                Ok(Applied { index, term: entry.term(), reply: std::mem::take(&mut reply) })
            } else {
                // Another leader's entry stands in its place: it never will be applied.
                Err(ProposeError::NotLeader { leader: self.core.leader() })
            });
        }
        Ok(())
    }
}
