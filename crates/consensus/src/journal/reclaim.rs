//! Which segments can go, and who keeps the others.

use super::recover::Segment;
use super::{DIR, Journal};
use vectron_base::ids::GroupId;

impl Journal {
    /// Removes the oldest segments that nothing needs any more.
    pub(crate) fn drop_covered(&mut self) {
        while self.failed.is_none()
            && !self.keeps_segments
            && self.active.is_some()
            && self.segments.len() > 1
        {
            let Some(oldest) = self.segments.front().filter(|oldest| !self.needs(oldest)) else { return };
            let path = format!("{DIR}/{}", oldest.name.file());
            // Each removal is made durable before the next, as a gap in the middle would look like damage.
            let removed = self.config.disk.remove(&path).and_then(|()| self.config.disk.sync_dir(DIR));
            self.keeps_segments = removed.is_err();
            self.segments.pop_front();
        }
    }

    fn needs(&self, segment: &Segment) -> bool {
        (segment.unreadable && !self.quarantined.is_empty())
            || segment.pins.iter().any(|group| self.quarantined.contains_key(group))
            || self.holders(segment).next().is_some()
    }

    /// Groups whose entries in a segment no checkpoint covers.
    fn holders<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = GroupId> + 'a {
        let held = segment
            .holds
            .iter()
            .filter(|(group, highest)| self.states.get(group).is_some_and(|state| state.start.0 < **highest));
        held.map(|(group, _)| *group)
    }

    /// Groups that should checkpoint: they hold the oldest segment of a journal that is over its limit.
    pub(crate) fn laggards(&self) -> Vec<GroupId> {
        match self.segments.front() {
            Some(oldest) if self.bytes() > self.config.limit_bytes => {
                self.holders(oldest).filter(|group| !self.quarantined.contains_key(group)).collect()
            }
            _ => Vec::new(),
        }
    }
}
