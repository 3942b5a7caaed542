//! After the write: groups go on, and what is committed is applied.

use super::{Driver, Hosted};
use std::panic::{AssertUnwindSafe, catch_unwind};
use vectron_base::ids::GroupId;

impl Driver {
    /// Lets groups whose effects are durable go on, and applies what is committed. Whether there is more to do.
    ///
    /// Applying takes no longer than half a tick, but for the entry that it is at: heartbeats of other groups
    /// must not wait for it. Who did not get a turn is first in the next.
    pub(super) fn settle(&mut self, written: bool) -> bool {
        let mut worked = false;
        let dirty = std::mem::take(&mut self.dirty);
        for id in &dirty {
            let (batch, out, metrics) = (&mut self.batch, &mut self.outgoing, &self.metrics);
            let Some(Hosted::Live(group)) = self.hosted.get_mut(id) else { continue };
            let stalled = self.stalled;
            let gone = catch_unwind(AssertUnwindSafe(|| {
                if written || !stalled {
                    group.persisted(out);
                }
                group.collect(batch, out, metrics);
            }));
            if gone.is_err() {
                self.quarantine(*id, "its log could not go on".into());
            }
        }
        let end = self.clock.now().plus(self.knobs.tick() / 2);
        let clock = self.clock.clone();
        let enough = || clock.now() >= end;
        let behind = dirty.range(..=self.applied_last).copied().collect::<Vec<GroupId>>();
        let ahead = dirty.into_iter().filter(|id| *id > self.applied_last).collect::<Vec<GroupId>>();
        let mut full = false;
        for id in ahead.into_iter().chain(behind) {
            let Some(Hosted::Live(group)) = self.hosted.get_mut(&id) else { continue };
            let (batch, metrics) = (&mut self.batch, &self.metrics);
            let applied = if full || !group.must_apply() {
                Ok(Ok(()))
            } else {
                self.applied_last = id;
                let applied = catch_unwind(AssertUnwindSafe(|| group.apply(batch, metrics, enough)));
                full = enough();
                applied
            };
            if group.has_work() {
                self.dirty.insert(id);
                worked = true;
            }
            match applied {
                Ok(Ok(())) => self.publish(id),
                Ok(Err(reason)) => self.quarantine(id, reason),
                Err(_) => self.quarantine(id, "its log could not go on".into()),
            }
        }
        worked || (!self.stalled && !self.batch.is_empty())
    }
}
