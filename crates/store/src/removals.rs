//! Points that are there no more: when they went, and why, as far as it is remembered.
//!
//! Answers questions of people. It is no part of the replicated state: bounded by bytes, the oldest is forgotten
//! first, and empty after a restart but for what the log brings again.

use crate::shard::Shard;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What an entry takes besides its id: queue, map, the rest of the entry.
const ENTRY_BYTES: u64 = 112;

/// Why a point went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// A write deleted it.
    Deleted,
    /// Its time had come.
    Expired,
}

/// How a point went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The log index at which it went.
    pub version: u64,
    /// Log time then.
    pub log_time_ms: u64,
    /// Why.
    pub cause: RemovalCause,
}

/// The last removals.
#[derive(Default)]
pub(crate) struct Removals {
    by_id: BTreeMap<Arc<str>, Removal>,
    /// Oldest first, with the version by which an entry is known to be the one that `by_id` has.
    by_age: VecDeque<(Arc<str>, u64)>,
    bytes: u64,
}

impl Removals {
    /// Remembers removals, and forgets the oldest beyond `limit` bytes.
    pub fn note<'a>(&mut self, ids: impl Iterator<Item = &'a Box<str>>, removal: Removal, limit: u64) {
        for id in ids {
            let id: Arc<str> = (**id).into();
            self.bytes += ENTRY_BYTES + id.len() as u64;
            self.by_age.push_back((id.clone(), removal.version));
            self.by_id.insert(id, removal);
        }
        while self.bytes > limit
            && let Some((id, version)) = self.by_age.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(ENTRY_BYTES + id.len() as u64);
            if self.by_id.get(&id).is_some_and(|last| last.version == version) {
                self.by_id.remove(&id);
            }
        }
    }

    /// What is remembered of an id.
    pub fn get(&self, id: &str) -> Option<Removal> {
        self.by_id.get(id).copied()
    }

    /// Bytes in memory, by estimate.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Shard {
    /// How the point of this id went, if there is none and it is remembered.
    pub fn removal(&self, id: &str) -> Option<Removal> {
        let state = self.state.read();
        if state.ids.contains_key(id) { None } else { state.removals.get(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first_and_the_last_of_an_id_counts() {
        let one = ENTRY_BYTES + 1;
        let mut removals = Removals::default();
        for version in 1..=9u64 {
            let id: Box<str> = ["a", "b", "c"][version as usize % 3].into();
            let removal = Removal { version, log_time_ms: 0, cause: RemovalCause::Deleted };
            removals.note([id].iter(), removal, 2 * one);
        }
        let versions = |id| removals.get(id).map(|removal| removal.version);
        assert_eq!((versions("a"), versions("b"), versions("c")), (Some(9), None, Some(8)));
        assert_eq!(removals.bytes(), 2 * one);
        assert_eq!((removals.by_id.len(), removals.by_age.len()), (2, 2));
    }
}
