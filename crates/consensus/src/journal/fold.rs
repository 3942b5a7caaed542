//! What the records of a journal amount to, group by group.

use super::format::{Kind, Row};
use super::state::State;
use crate::batch::Record;
use crate::core::Entry;
use crate::stored::StoredEntry;
use std::collections::{BTreeMap, VecDeque};
use vectron_base::ids::{GroupId, ReplicaId};

/// One group, as its records tell.
#[derive(Clone, Default)]
pub(crate) struct Folded {
    /// The last state record.
    pub(crate) state: Option<State>,
    /// Entries after the log's start, by index.
    pub(crate) entries: VecDeque<(u64, StoredEntry)>,
    /// Damaged entries that nothing has replaced, with where they are.
    damaged: BTreeMap<u64, String>,
    /// A damaged state record, with where it is.
    lost_state: Option<String>,
}

impl Folded {
    fn start(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.start.0)
    }

    fn truncate(&mut self, index: u64) {
        while self.entries.back().is_some_and(|(last, _)| *last >= index) {
            self.entries.pop_back();
        }
        self.damaged.split_off(&index);
    }

    fn trim(&mut self) {
        let start = self.start();
        while self.entries.front().is_some_and(|(first, _)| *first <= start) {
            self.entries.pop_front();
        }
        self.damaged = self.damaged.split_off(&(start + 1));
    }

    /// Why this group must not be served, if so, given a part of the journal that cannot be read. Call after
    /// the last record.
    pub(crate) fn problem(&self, unreadable: Option<&str>) -> Option<String> {
        if let Some(place) = self.damaged.values().next().or(self.lost_state.as_ref()) {
            return Some(place.clone());
        }
        if let Some(place) = unreadable {
            return Some(format!("part of the journal cannot be read: {place}"));
        }
        let Some(state) = &self.state else { return Some("the group's first record is missing".into()) };
        let mut expected = state.start.0 + 1;
        for (index, _) in &self.entries {
            if *index != expected {
                return Some(format!("log entries {expected} to {} are missing", index - 1));
            }
            expected += 1;
        }
        (expected <= state.vote.commit)
            .then(|| format!("the log ends at {} but was committed to {}", expected - 1, state.vote.commit))
    }
}

/// All groups, as their records tell.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) groups: BTreeMap<GroupId, Folded>,
    /// The highest replica of each group that was removed from here for good.
    pub(crate) tombstones: BTreeMap<GroupId, ReplicaId>,
}

impl Fold {
    /// Takes in one record whose payload is whole; `None` if the payload makes no sense.
    pub(super) fn take(&mut self, row: &Row, payload: &[u8], stored: StoredEntry) -> Option<()> {
        match row.kind {
            Kind::Head => {}
            Kind::Tombstone => {
                let gone = tombstoned(row);
                let replica = self.groups.get(&row.group).and_then(|f| Some(f.state.as_ref()?.replica));
                if replica.is_none_or(|replica| replica <= gone) {
                    self.groups.remove(&row.group);
                }
                let highest = self.tombstones.entry(row.group).or_insert(gone);
                *highest = gone.max(*highest);
            }
            Kind::State | Kind::Reset => {
                let state = State::decode(payload)?;
                if self.gone(row, state.replica) {
                    return Some(());
                }
                let folded = self.groups.entry(row.group).or_default();
                let other = folded.state.as_ref().is_some_and(|before| before.replica != state.replica);
                if row.kind == Kind::Reset || other {
                    *folded = Folded::default();
                }
                folded.state = Some(state);
                folded.lost_state = None;
                folded.trim();
            }
            Kind::Command | Kind::Noop | Kind::Members if self.ended(row) => {}
            Kind::Command | Kind::Noop | Kind::Members => {
                let folded = self.groups.entry(row.group).or_default();
                folded.truncate(row.index);
                if row.index > folded.start() {
                    folded.entries.push_back((row.index, stored));
                }
            }
        }
        Some(())
    }

    /// Whether a replica of the row's group was removed.
    fn gone(&self, row: &Row, replica: ReplicaId) -> bool {
        self.tombstones.get(&row.group).is_some_and(|gone| replica <= *gone)
    }

    /// Whether the row's group was removed and has not begun anew.
    fn ended(&self, row: &Row) -> bool {
        self.tombstones.contains_key(&row.group) && !self.groups.contains_key(&row.group)
    }

    /// Takes note of a record whose payload is damaged.
    pub(super) fn lose(&mut self, row: &Row, place: &str) {
        match row.kind {
            Kind::Head => {}
            Kind::State | Kind::Reset if self.gone(row, ReplicaId(row.index)) => {}
            // A tombstone has no payload, and a state record counts only whole; either way the group is suspect.
            Kind::Tombstone | Kind::State | Kind::Reset => {
                self.groups.entry(row.group).or_default().lost_state = Some(place.to_string());
            }
            Kind::Command | Kind::Noop | Kind::Members if self.ended(row) => {}
            Kind::Command | Kind::Noop | Kind::Members => {
                let folded = self.groups.entry(row.group).or_default();
                folded.truncate(row.index);
                if row.index > folded.start() {
                    folded.damaged.insert(row.index, place.to_string());
                }
            }
        }
    }
}

/// The record that a row and its payload stand for; `None` for a segment's head.
pub(super) fn record(row: &Row, payload: &[u8]) -> Option<Record> {
    let entry = |kind| Record::Entry(row.group, Entry::new(row.index, row.term, kind, payload.to_vec()));
    match row.kind {
        Kind::Head => None,
        Kind::State => State::decode(payload).map(|state| Record::State(row.group, state)),
        Kind::Reset => State::decode(payload).map(|state| Record::Reset(row.group, state)),
        Kind::Tombstone => Some(Record::Tombstone(row.group, tombstoned(row))),
        Kind::Command | Kind::Noop | Kind::Members => row.kind.entry().map(entry),
    }
}

/// The replica that a tombstone is for. Those of the first format name none and end the group for ever.
fn tombstoned(row: &Row) -> ReplicaId {
    ReplicaId(if row.index == 0 { u64::MAX } else { row.index })
}
