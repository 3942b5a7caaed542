//! What a history tells of the order of writes, gathered once for all checkers.

use crate::history::{Content, Ended, History, Id, NEVER, Seen, Write, WriteNumber};
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::clock::Tick;

/// A write whose place is known, because it was acknowledged or because its content was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) index: u64,
    pub(crate) number: WriteNumber,
    pub(crate) content: Option<Content>,
    /// When it was first sent.
    pub(crate) invoked: Tick,
    /// When it was first acknowledged, or never.
    pub(crate) acknowledged: Tick,
}

/// A write that may have happened anywhere since it was sent, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unplaced {
    pub(crate) invoked: Tick,
    pub(crate) content: Option<Content>,
}

/// What is known of one id.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfId {
    /// By index; of several at one index, which is a violation, all.
    pub(crate) placed: Vec<Placed>,
    pub(crate) unplaced: Vec<Unplaced>,
}

impl OfId {
    /// The last known write at or before an index.
    pub(crate) fn at(&self, index: u64) -> Option<&Placed> {
        self.before(index.saturating_add(1))
    }

    /// The last known write before an index.
    pub(crate) fn before(&self, index: u64) -> Option<&Placed> {
        let end = self.placed.partition_point(|placed| placed.index < index);
        self.placed[..end].last()
    }

    /// Whether a write that may or may not have happened was sent before `moment`.
    pub(crate) fn doubtful(&self, moment: Tick) -> bool {
        self.unplaced.iter().any(|unplaced| unplaced.invoked <= moment)
    }

    /// Whether that may have been a delete.
    pub(crate) fn maybe_deleted(&self, moment: Tick) -> bool {
        self.unplaced.iter().any(|unplaced| unplaced.content.is_none() && unplaced.invoked <= moment)
    }
}

/// A write, all its sendings together.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) id: Id,
    pub(crate) content: Option<Content>,
    pub(crate) invoked: Tick,
    pub(crate) acknowledged: Tick,
    /// Indexes that answers gave it.
    pub(crate) told: BTreeSet<u64>,
    /// Versions under which its content was seen.
    pub(crate) seen: BTreeSet<u64>,
    /// Whether any sending ended without a known outcome.
    pub(crate) doubtful: bool,
}

/// What is known of all ids.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) writes: BTreeMap<WriteNumber, Whole>,
    pub(crate) ids: BTreeMap<Id, OfId>,
    /// Contents that were seen and that nobody wrote, or at another id.
    pub(crate) foreign: Vec<(Id, Seen)>,
}

impl Known {
    pub(crate) fn of(history: &History) -> Self {
        let mut known = Self::default();
        for write in &history.writes {
            known.send(write);
        }
        for read in &history.reads {
            read.found.into_iter().for_each(|seen| known.saw(read.id, seen));
        }
        for hit in history.searches.iter().flat_map(|search| &search.hits) {
            known.saw(hit.id, hit.seen);
        }
        for (id, seen) in history.finals.iter().flat_map(|at_end| &at_end.points) {
            known.saw(*id, *seen);
        }
        known.place();
        known
    }

    fn send(&mut self, write: &Write) {
        let whole = self.writes.entry(write.number).or_insert_with(|| Whole {
            id: write.id,
            content: write.content,
            invoked: write.span.invoked,
            acknowledged: NEVER,
            told: BTreeSet::new(),
            seen: BTreeSet::new(),
            doubtful: false,
        });
        whole.invoked = whole.invoked.min(write.span.invoked);
        match write.ended {
            Ended::Applied(index) => {
                whole.acknowledged = whole.acknowledged.min(write.span.returned);
                whole.told.extend(index);
                whole.doubtful |= index.is_none();
            }
            Ended::Unknown => whole.doubtful = true,
            Ended::Mismatch(_) | Ended::NotApplied => {}
        }
    }

    fn saw(&mut self, id: Id, seen: Seen) {
        match self.writes.get_mut(&seen.number).filter(|whole| whole.id == id && whole.content.is_some()) {
            Some(whole) => drop(whole.seen.insert(seen.version)),
            None => self.foreign.push((id, seen)),
        }
    }

    fn place(&mut self) {
        for (number, whole) in &self.writes {
            let of_id = self.ids.entry(whole.id).or_default();
            let places: BTreeSet<u64> = whole.told.union(&whole.seen).copied().collect();
            of_id.placed.extend(places.iter().map(|index| Placed {
                index: *index,
                number: *number,
                content: whole.content,
                invoked: whole.invoked,
                acknowledged: whole.acknowledged,
            }));
            if places.is_empty() && whole.doubtful {
                of_id.unplaced.push(Unplaced { invoked: whole.invoked, content: whole.content });
            }
        }
        for of_id in self.ids.values_mut() {
            of_id.placed.sort_by_key(|placed| (placed.index, placed.number));
        }
    }
}
