//! A reference to an entry's bytes in a journal segment.

use crate::core::{Entry, EntryKind};
use std::sync::Arc;
use vectron_base::disk::FileBytes;

/// An entry that is in the journal but not in memory. Its bytes were verified when the journal was opened and
/// are verified again when they are read.
#[derive(Clone)]
pub(crate) struct StoredEntry {
    pub(crate) term: u64,
    pub(crate) kind: EntryKind,
    /// Length of its bytes.
    pub(crate) len: u32,
    pub(crate) crc: u32,
    /// Where its bytes are in the segment.
    pub(crate) at: u64,
    pub(crate) segment: Arc<dyn FileBytes>,
}

impl StoredEntry {
    /// The entry, if its bytes are still what they were.
    pub(crate) fn load(&self, index: u64) -> Option<Entry> {
        let from = usize::try_from(self.at).ok()?;
        let bytes = self.segment.get(from..from.checked_add(self.len as usize)?)?;
        (crc32fast::hash(bytes) == self.crc).then(|| Entry::new(index, self.term, self.kind, bytes.to_vec()))
    }
}
