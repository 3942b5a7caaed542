//! Which segments can go, and who keeps the others.

use super::recover::Segment;
use super::{DIR, Journal};
use std::collections::BTreeSet;
use vectron_base::disk::DiskFailure;
use vectron_base::ids::GroupId;

impl Journal {
    /// Removes the oldest segments that nothing needs any more.
    pub(crate) fn drop_covered(&mut self) {
        while self.failed.is_none() && self.active.is_some() && self.segments.len() > 1 {
            let Some(oldest) = self.segments.front().filter(|oldest| self.keepers(oldest).is_empty()) else {
                return;
            };
            let path = format!("{DIR}/{}", oldest.name.file());
            let removed = match self.config.disk.remove(&path) {
                // An earlier attempt got as far as that.
                Err(error) if error.failure == DiskFailure::NotFound => Ok(()),
                other => other,
            };
            // Each removal is made durable before the next, as a gap in the middle would look like damage. One
            // that fails is tried again after the next work.
            if removed.and_then(|()| self.config.disk.sync_dir(DIR)).is_err() {
                return;
            }
            self.segments.pop_front();
        }
    }

    /// Groups that need a segment: their entries in it are not covered by a checkpoint, or it shows their
    /// damage.
    fn keepers(&self, segment: &Segment) -> BTreeSet<GroupId> {
        let uncovered = |group: &GroupId, highest: u64| {
            self.states.get(group).is_some_and(|state| state.start.0 < highest)
        };
        let held = segment.holds.iter().filter(|(group, highest)| uncovered(group, **highest));
        let damaged = |group: &&GroupId| segment.unreadable || segment.pins.contains(group);
        let pinned = self.quarantined.keys().filter(damaged);
        held.map(|(group, _)| *group).chain(pinned.copied()).collect()
    }

    /// Groups that keep the oldest segment of a journal that is over its limit.
    pub(crate) fn holders(&self) -> Vec<GroupId> {
        match self.segments.front() {
            Some(oldest) if self.bytes() > self.config.limit_bytes => {
                self.keepers(oldest).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}
