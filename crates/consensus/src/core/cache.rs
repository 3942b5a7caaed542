//! The log as the Raft library sees it: entries in memory, or a reference to verified journal bytes for
//! entries that a restart has not replayed yet.

use super::Vote;
use super::conf::conf_state;
use super::entry::Entry;
use crate::Members;
use crate::stored::StoredEntry;
use raft::eraftpb::{self, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};
use std::collections::VecDeque;

enum Slot {
    Held(Entry),
    Stored(StoredEntry),
}

/// The log since its start.
pub(super) struct Cache {
    /// The entry before the first one that can be read.
    base: u64,
    slots: VecDeque<Slot>,
    /// First index of each run of equal terms, since the log's start; survives dropping the entries.
    terms: VecDeque<(u64, u64)>,
    vote: Vote,
    members: Members,
}

impl Cache {
    /// A log that starts after `start` (index and term) and holds `entries`, in order and without gaps.
    pub(super) fn new(
        start: (u64, u64),
        entries: VecDeque<StoredEntry>,
        vote: Vote,
        members: Members,
    ) -> Self {
        let mut cache =
            Self { base: start.0, slots: VecDeque::new(), terms: VecDeque::from([start]), vote, members };
        for (index, entry) in (start.0 + 1..).zip(entries) {
            cache.note_term(index, entry.term);
            cache.slots.push_back(Slot::Stored(entry));
        }
        cache
    }

    fn note_term(&mut self, index: u64, term: u64) {
        if self.terms.back().is_none_or(|&(_, last)| last != term) {
            self.terms.push_back((index, term));
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    pub(super) fn vote(&self) -> Vote {
        self.vote
    }

    pub(super) fn set_vote(&mut self, vote: Vote) {
        self.vote = vote;
    }

    /// The index before the first entry that can be read.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes of an entry that can be read, with what it weighs beyond them.
    fn weight(slot: &Slot) -> u64 {
        ENTRY_OVERHEAD
            + match slot {
                Slot::Held(entry) => entry.data().len() as u64,
                Slot::Stored(stored) => u64::from(stored.len),
            }
    }

    /// The lowest index after which the entries up to `end` weigh at most `bytes`.
    pub(super) fn floor(&self, end: u64, bytes: u64) -> u64 {
        let mut floor = end.min(self.last());
        let mut left = bytes;
        while floor > self.base {
            let Some(slot) = self.slots.get((floor - self.base - 1) as usize) else { break };
            let Some(rest) = left.checked_sub(Self::weight(slot)) else { break };
            (floor, left) = (floor - 1, rest);
        }
        floor
    }

    /// Term of any index between the log's start and its end.
    pub(super) fn term_of(&self, index: u64) -> Option<u64> {
        if index > self.last() {
            return None;
        }
        self.terms.iter().rev().find(|(from, _)| *from <= index).map(|(_, term)| *term)
    }

    /// Takes in entries that the library hands over, replacing any at or after the first of them.
    pub(super) fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            let index = entry.index();
            if index <= self.base {
                continue;
            }
            if index <= self.last() {
                self.slots.truncate((index - self.base - 1) as usize);
                while self.terms.len() > 1 && self.terms.back().is_some_and(|(from, _)| *from >= index) {
                    self.terms.pop_back();
                }
            }
            self.note_term(index, entry.term());
            self.slots.push_back(Slot::Held(entry.clone()));
        }
    }

    /// Drops the entries up to `index`; their terms stay known.
    pub(super) fn release(&mut self, index: u64) {
        while self.base < index && self.slots.pop_front().is_some() {
            self.base += 1;
        }
    }

    /// The log now starts after `index`: older terms are forgotten.
    pub(super) fn start_at(&mut self, index: u64) {
        while self.terms.get(1).is_some_and(|(from, _)| *from <= index) {
            self.terms.pop_front();
        }
    }
}

impl Storage for Cache {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let Vote { term, vote, commit } = self.vote;
        let hard_state = HardState { term, vote, commit, ..HardState::default() };
        Ok(RaftState { hard_state, conf_state: conf_state(&self.members) })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.base {
            return Err(Error::Store(StorageError::Compacted));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0u64;
        let mut entries = Vec::new();
        let from = (low - self.base - 1) as usize;
        for (index, slot) in (low..high).zip(self.slots.iter().skip(from)) {
            size = size.saturating_add(Self::weight(slot));
            if size > limit && !entries.is_empty() {
                break;
            }
            entries.push(match slot {
                Slot::Held(entry) => entry.0.clone(),
                // Verified when the journal was opened; a failure now is decay since, and the panic that
                // the library answers with quarantines this group alone.
                Slot::Stored(stored) => stored.load(index).ok_or(Error::Store(StorageError::Unavailable))?.0,
            });
        }
        if entries.is_empty() && low < high {
            return Err(Error::Store(StorageError::Unavailable));
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.base {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_of(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.base + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// No data: the position before the first entry here, which the replica that needs it is told of.
    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        let term = self.term_of(self.base).filter(|_| self.base > 0);
        let term = term.ok_or(Error::Store(StorageError::SnapshotTemporarilyUnavailable))?;
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = self.base;
        snapshot.mut_metadata().term = term;
        Ok(snapshot)
    }
}

/// What an entry weighs beyond its bytes.
const ENTRY_OVERHEAD: u64 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::EntryKind;

    fn entry(index: u64, term: u64) -> Entry {
        Entry::new(index, term, EntryKind::Command, vec![index as u8; 10])
    }

    fn cache() -> Cache {
        let mut cache = Cache::new((4, 1), VecDeque::new(), Vote::default(), Members::default());
        cache.append(&[entry(5, 1), entry(6, 2), entry(7, 2)]);
        cache
    }

    #[test]
    fn terms_outlive_released_entries() {
        let mut cache = cache();
        cache.release(6);
        assert_eq!((4..8).map(|i| cache.term_of(i)).collect::<Vec<_>>(), [1, 1, 2, 2].map(Some));
        assert_eq!(cache.term_of(8), None);
        assert!(cache.term(5).is_err());
        assert_eq!(cache.first_index().unwrap(), 7);
        cache.start_at(6);
        assert_eq!(cache.term_of(6), Some(2));
    }

    #[test]
    fn a_conflicting_suffix_is_replaced() {
        let mut cache = cache();
        cache.append(&[entry(6, 3)]);
        assert_eq!((cache.last(), cache.term_of(6), cache.term_of(5)), (6, Some(3), Some(1)));
    }

    #[test]
    fn reads_are_limited_by_size_but_never_empty() {
        let cache = cache();
        let read = |limit: u64| cache.entries(5, 8, limit, GetEntriesContext::empty(false)).unwrap().len();
        assert_eq!((read(0), read(44), read(u64::MAX)), (1, 2, 3));
        assert!(cache.entries(4, 6, None, GetEntriesContext::empty(false)).is_err());
    }
}
