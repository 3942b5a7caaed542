//! What waits to be made durable, for all groups together.

use crate::core::{Entry, EntryKind};
use crate::journal::{Kind, State};
use std::collections::BTreeSet;
use vectron_base::ids::{GroupId, ReplicaId};

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// First in every segment: the segment before it, and how many of that one's bytes count.
    Head { previous: u64, end: u64 },
    /// All that a group must remember but its entries.
    State(GroupId, State),
    /// As a state, and the log before it counts no more.
    Reset(GroupId, State),
    /// This replica of the group, and those with lower numbers, are gone from here for good.
    Tombstone(GroupId, ReplicaId),
    /// One log entry.
    Entry(GroupId, Entry),
}

impl Record {
    /// Kind, group, index and term as the journal's table has them.
    pub(crate) fn position(&self) -> (Kind, GroupId, u64, u64) {
        match self {
            Record::Head { previous, end } => (Kind::Head, GroupId(0), *end, *previous),
            Record::State(group, state) => (Kind::State, *group, state.replica.0, 0),
            Record::Reset(group, state) => (Kind::Reset, *group, state.replica.0, 0),
            Record::Tombstone(group, replica) => (Kind::Tombstone, *group, replica.0, 0),
            Record::Entry(group, entry) => {
                let kind = match entry.kind() {
                    EntryKind::Command => Kind::Command,
                    EntryKind::Noop => Kind::Noop,
                    EntryKind::Members => Kind::Members,
                };
                (kind, *group, entry.index(), entry.term())
            }
        }
    }
}

/// Records that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    records: Vec<Record>,
    groups: BTreeSet<GroupId>,
    bytes: u64,
}

impl Batch {
    /// Adds a record.
    pub(crate) fn push(&mut self, record: Record) {
        let (_, group, ..) = record.position();
        if let Record::Entry(_, entry) = &record {
            self.bytes += entry.data().len() as u64;
        }
        self.groups.insert(group);
        self.records.push(record);
    }

    /// The records, in order.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The groups that have records here.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.iter().copied()
    }

    /// Bytes of the entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of entries.
    pub(crate) fn entries(&self) -> usize {
        self.records.iter().filter(|record| matches!(record, Record::Entry(..))).count()
    }

    /// Forgets everything, keeping the room.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.groups.clear();
        self.bytes = 0;
    }
}
