//! Beginning a segment.
//!
//! Until its head is synced nothing is built on a new segment, and the one before it stays as it is. So a
//! failure before that sync is no harm: the file is taken away again, and a later write begins another.

use super::format::{FILE_HEADER, SegmentName, file_header, write_frame};
use super::recover::Segment;
use super::{Active, DIR, Journal, WriteError};
use crate::batch::{Batch, Record};
use std::collections::BTreeSet;
use vectron_base::disk::{DiskFailure, DiskFile, DiskResult};

impl Journal {
    /// Begins a segment with what all groups must remember. The one before it is synced up to its mark; what
    /// follows there is superseded, and what of that shall stay is given as `tail`.
    pub(super) fn roll(&mut self, tail: &Batch) -> Result<(), WriteError> {
        let (end, sequence) =
            self.active.as_ref().map_or((self.end, self.sequence), |active| (active.synced, active.next));
        let previous = self.segments.back().map_or(0, |segment| segment.name.number);
        let name = SegmentName { number: previous + 1, nonce: self.config.random.next_u64() };
        let mut head = Batch::default();
        head.push(Record::Head { previous, end });
        // Tombstones first: a state after one is that of a later replica.
        for (group, replica) in &self.tombstones {
            head.push(Record::Tombstone(*group, *replica));
        }
        // What the tail superseded must not come back from the segments before it.
        let (mut anew, mut entries) = (BTreeSet::new(), Vec::new());
        for record in tail.records() {
            match record {
                Record::Reset(group, _) | Record::Tombstone(group, _) => {
                    entries.retain(|(of, _)| of != group);
                    anew.extend(matches!(record, Record::Reset(..)).then_some(*group));
                }
                Record::Entry(group, entry) => entries.push((*group, entry)),
                Record::Head { .. } | Record::State(..) => {}
            }
        }
        for (group, state) in &self.states {
            let (group, state) = (*group, state.clone());
            let reset = anew.contains(&group);
            head.push(if reset { Record::Reset(group, state) } else { Record::State(group, state) });
        }
        let mut segment = Segment::new(name, 0);
        for (group, entry) in entries {
            segment.hold(group, entry.index());
            head.push(Record::Entry(group, entry.clone()));
        }
        let mut bytes = file_header().to_vec();
        write_frame(&mut bytes, &head, name, FILE_HEADER as u64, sequence, 0);
        let file = self.begin(name, &bytes)?;
        let len = bytes.len() as u64;
        segment.bytes = len;
        self.segments.push_back(segment);
        self.active = Some(Active { file, len, synced: 0, next: sequence, marked: false });
        self.sequence = sequence + 1;
        self.sync()
    }

    /// Makes the file of a segment with its first bytes, durable in name but not in content.
    fn begin(&mut self, name: SegmentName, bytes: &[u8]) -> Result<Box<dyn DiskFile>, WriteError> {
        // Two segments of one number would look like damage: what is left of an earlier attempt goes first.
        let begun = self.aborted.map_or(Ok(()), |old| self.discard(old)).and_then(|()| {
            self.aborted = Some(name);
            let mut file = self.config.disk.create(&path(name))?;
            self.config.disk.sync_dir(DIR)?;
            file.append(bytes)?;
            Ok(file)
        });
        match begun {
            Ok(file) => {
                self.aborted = None;
                Ok(file)
            }
            // Nothing works any more, and trying again would never end.
            Err(error) if error.failure == DiskFailure::PowerLost => Err(self.fail(error.to_string())),
            Err(error) => {
                self.obstacle = error.to_string();
                // Space that the attempt took is given back at once. What fails now is done by the next one.
                if let Some(old) = self.aborted
                    && self.discard(old).is_ok()
                {
                    self.aborted = None;
                }
                Err(WriteError::Full)
            }
        }
    }

    /// Takes away what is left of a segment that could not be begun.
    fn discard(&self, name: SegmentName) -> DiskResult<()> {
        let path = path(name);
        if self.config.disk.exists(&path)? {
            self.config.disk.remove(&path)?;
        }
        self.config.disk.sync_dir(DIR)
    }
}

fn path(name: SegmentName) -> String {
    format!("{DIR}/{}", name.file())
}
