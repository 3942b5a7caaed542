//! One log entry, in our terms. It wraps the library's entry, whose payload is reference counted, so that log,
//! journal batch and apply share one copy of the bytes.

use raft::eraftpb::{self, EntryType};

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// Bytes for the machine.
    Command,
    /// The first entry of a leader; it carries nothing.
    Noop,
    /// A change of members, as [`MemberChange`](crate::MemberChange) encodes it.
    Members,
}

/// One log entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry(pub(super) eraftpb::Entry);

/// Marks an empty command, which would otherwise look like a leader's first entry.
const EMPTY_COMMAND: &[u8] = b"c";

impl Entry {
    /// An entry of the given position and content.
    pub(crate) fn new(index: u64, term: u64, kind: EntryKind, data: Vec<u8>) -> Self {
        let mut entry = eraftpb::Entry { term, index, ..eraftpb::Entry::default() };
        match kind {
            EntryKind::Noop => {}
            EntryKind::Command => {
                if data.is_empty() {
                    entry.context = EMPTY_COMMAND.into();
                }
                entry.data = data.into();
            }
            EntryKind::Members => {
                entry.set_entry_type(EntryType::EntryConfChangeV2);
                entry.data = data.into();
            }
        }
        Self(entry)
    }

    /// Position in the log.
    pub(crate) fn index(&self) -> u64 {
        self.0.index
    }

    /// Term of the leader that wrote it.
    pub(crate) fn term(&self) -> u64 {
        self.0.term
    }

    /// What it is for.
    pub(crate) fn kind(&self) -> EntryKind {
        kind_of(&self.0)
    }

    /// The bytes.
    pub(crate) fn data(&self) -> &[u8] {
        &self.0.data
    }
}

/// What an entry of the library is for.
pub(super) fn kind_of(entry: &eraftpb::Entry) -> EntryKind {
    match entry.get_entry_type() {
        EntryType::EntryNormal if entry.data.is_empty() && entry.context.is_empty() => EntryKind::Noop,
        EntryType::EntryNormal => EntryKind::Command,
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => EntryKind::Members,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_command_is_not_a_noop() {
        assert_eq!(Entry::new(1, 1, EntryKind::Command, Vec::new()).kind(), EntryKind::Command);
        assert_eq!(Entry::new(1, 1, EntryKind::Noop, Vec::new()).kind(), EntryKind::Noop);
        assert_eq!(Entry::new(1, 1, EntryKind::Members, Vec::new()).kind(), EntryKind::Members);
        let entry = Entry::new(7, 3, EntryKind::Command, vec![1, 2]);
        assert_eq!((entry.index(), entry.term(), entry.data()), (7, 3, &[1u8, 2][..]));
    }
}
