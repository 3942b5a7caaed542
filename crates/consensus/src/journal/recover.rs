//! Reads the journal back. Recovery changes nothing but to remove a last segment whose creation was cut short:
//! what is not proven to be synced is written anew by the caller, and superseded by the next segment's head.
//!
//! - Below the highest sync mark of a segment, whatever is not a whole frame is damage, and so is everything
//!   unreadable in a segment that has a successor. A damaged payload is laid to its group; an unreadable frame
//!   to all groups, as nobody can tell what it held.
//! - Above the mark of the last segment, whole frames in sequence count, and the first that is not ends the
//!   log: it was never acknowledged.

use super::fold::{Fold, record};
use super::format::{FILE_HEADER, Kind, Row, SegmentName, VERSION, file_version, payload};
use super::scan::{Piece, bare, pieces, proven};
use crate::batch::Batch;
use crate::core::EntryKind;
use crate::error::OpenError;
use crate::stored::StoredEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vectron_base::disk::{Disk, FileBytes};
use vectron_base::ids::GroupId;

/// One segment of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) bytes: u64,
    /// Highest entry index per group.
    pub(crate) holds: BTreeMap<GroupId, u64>,
    /// Groups whose damage is in here: kept until they are removed.
    pub(crate) pins: BTreeSet<GroupId>,
    /// A frame in here cannot be read at all.
    pub(crate) unreadable: bool,
}

impl Segment {
    pub(crate) fn new(name: SegmentName, bytes: u64) -> Self {
        Self { name, bytes, holds: BTreeMap::new(), pins: BTreeSet::new(), unreadable: false }
    }

    pub(crate) fn hold(&mut self, group: GroupId, index: u64) {
        let highest = self.holds.entry(group).or_default();
        *highest = index.max(*highest);
    }
}

/// What the journal says.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Segment>,
    pub(crate) fold: Fold,
    /// Every damage found, with file and offset.
    pub(crate) damage: Vec<String>,
    /// The first frame that could not be read at all.
    pub(crate) unreadable: Option<String>,
    /// What was cut off at the end of the last segment.
    pub(crate) dropped: Option<String>,
    /// Records that are whole but not proven to be synced.
    pub(crate) tail: Batch,
    /// Sequence for the next frame, counting proven frames only.
    pub(crate) next_sequence: u64,
    /// Proven end of the last segment.
    pub(crate) end: u64,
}

struct File {
    name: SegmentName,
    label: String,
    bytes: Arc<dyn FileBytes>,
    pieces: Vec<Piece>,
}

/// Reads the journal in `dir`. `last_end` says how many bytes of the last segment are synced, if known.
pub(crate) fn recover(disk: &dyn Disk, dir: &str, last_end: Option<u64>) -> Result<Recovered, OpenError> {
    let mut files = read_files(disk, dir)?;
    if last_end.is_none() {
        while files.last().is_some_and(hollow) {
            if let Some(file) = files.pop() {
                disk.remove(&file.label)?;
                disk.sync_dir(dir)?;
            }
        }
    }
    let mut recovered = Recovered::default();
    let mut expected = None;
    for (number, file) in files.iter().enumerate() {
        let next = files.get(number + 1);
        let bound = if next.is_some() { next.and_then(|next| superseded_end(next, file)) } else { last_end };
        if let Some(next) = next
            && next.name.number != file.name.number + 1
        {
            let what = format!("{}: the segment after it is missing", file.label);
            recovered.note_unreadable(what, None);
        }
        expected = recovered.read(file, bound, next.is_none(), expected);
    }
    recovered.next_sequence = expected.unwrap_or(0);
    Ok(recovered)
}

fn read_files(disk: &dyn Disk, dir: &str) -> Result<Vec<File>, OpenError> {
    let mut names: Vec<SegmentName> =
        disk.list(dir)?.iter().filter_map(|name| SegmentName::parse(name)).collect();
    names.sort_unstable();
    let last = names.last().copied();
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let label = format!("{dir}/{}", name.file());
        // The last segment may still grow, and a map must never change.
        let bytes: Arc<dyn FileBytes> =
            if Some(name) == last { Arc::new(disk.read(&label)?) } else { disk.map(&label)? };
        match file_version(&bytes) {
            Some(found) if found > VERSION => {
                return Err(OpenError::Format { file: label, found, known: VERSION });
            }
            _ => {}
        }
        let pieces = pieces(&bytes, name);
        files.push(File { name, label, bytes, pieces });
    }
    Ok(files)
}

/// Whether a last segment holds nothing: power was lost while it was being created.
fn hollow(file: &File) -> bool {
    let headed = matches!(file.pieces.first(), Some(Piece::Frame { rows: Some(rows), .. })
        if rows.iter().all(|row| payload(&file.bytes, row).is_some()));
    !headed && proven(&file.pieces) == 0
}

/// How many bytes of `file` count, according to the segment after it.
fn superseded_end(next: &File, file: &File) -> Option<u64> {
    let Some(Piece::Frame { rows: Some(rows), .. }) = next.pieces.first() else { return None };
    let head = rows.first().filter(|row| row.kind == Kind::Head)?;
    (head.term == file.name.number).then_some(head.index)
}

impl Recovered {
    fn note_unreadable(&mut self, what: String, segment: Option<&mut Segment>) {
        if let Some(segment) = segment {
            segment.unreadable = true;
        } else if let Some(segment) = self.segments.last_mut() {
            segment.unreadable = true;
        }
        self.unreadable.get_or_insert_with(|| what.clone());
        self.damage.push(what);
    }

    /// Reads one segment; gives the sequence that the frame after its proven part must have.
    fn read(
        &mut self,
        file: &File,
        bound: Option<u64>,
        last: bool,
        mut expected: Option<u64>,
    ) -> Option<u64> {
        let mut segment = Segment::new(file.name, file.bytes.len() as u64);
        let proven = bound.unwrap_or_else(|| proven(&file.pieces));
        let mut counted = expected;
        if file_version(&file.bytes).is_none() && proven > 0 {
            self.damage.push(format!("{} at byte 0: the file's header is damaged", file.label));
        }
        let mut reached = FILE_HEADER as u64;
        for (number, piece) in file.pieces.iter().enumerate() {
            let at = piece.start();
            let strict = at < proven;
            if !strict && bound.is_some() {
                break;
            }
            let skipped = skippable(file, number, expected);
            if skipped {
                let what =
                    format!("{} at byte {at}: an empty frame is damaged; nothing was in it", file.label);
                self.damage.extend(strict.then_some(what));
            }
            let problem = if skipped { None } else { problem(piece, expected) };
            if let Some(problem) = problem {
                if !strict {
                    break;
                }
                let what = format!("{} at byte {at}: {problem}", file.label);
                self.note_unreadable(what, Some(&mut segment));
            }
            expected = match piece {
                Piece::Frame { header, rows: Some(rows), .. } => {
                    if !strict && !whole(file, rows) {
                        break;
                    }
                    self.take_frame(file, rows, last && !strict, &mut segment);
                    header.sequence.checked_add(1)
                }
                Piece::Frame { header, .. } => header.sequence.checked_add(1),
                Piece::Bad { .. } => expected.filter(|_| skipped).and_then(|e| e.checked_add(1)),
            };
            reached = piece.end();
            if strict {
                counted = expected;
            }
        }
        if bound.is_some_and(|bound| reached < bound) {
            let what = format!("{} at byte {reached}: the file ends early", file.label);
            self.note_unreadable(what, Some(&mut segment));
        }
        let rest = (file.bytes.len() as u64).saturating_sub(reached);
        if last && bound.is_none() && rest > 0 {
            let what = format!("{} at byte {reached}: {rest} bytes that were never synced", file.label);
            self.dropped = Some(what);
        }
        self.end = proven;
        self.segments.push(segment);
        // Without a sequence to go on from, a first segment that is not proven restarts with its own.
        let first = file.pieces.first().and_then(|piece| match piece {
            Piece::Frame { header, .. } => Some(header.sequence),
            Piece::Bad { .. } => None,
        });
        if last { counted.or(first) } else { counted }
    }

    fn take_frame(&mut self, file: &File, rows: &[Row], tail: bool, segment: &mut Segment) {
        for row in rows {
            let entry = row.kind.entry();
            if entry.is_some() {
                segment.hold(row.group, row.index);
            }
            let stored = StoredEntry {
                term: row.term,
                kind: entry.unwrap_or(EntryKind::Noop),
                len: row.len,
                crc: row.crc,
                at: row.at,
                segment: file.bytes.clone(),
            };
            let taken = payload(&file.bytes, row).and_then(|payload| {
                if tail && let Some(record) = record(row, payload) {
                    self.tail.push(record);
                }
                self.fold.take(row, payload, stored)
            });
            let lives = self.fold.groups.contains_key(&row.group);
            if (row.kind == Kind::Reset && lives) || (row.kind == Kind::Tombstone && !lives) {
                let segments = self.segments.iter_mut().chain([&mut *segment]);
                segments.for_each(|segment| {
                    segment.holds.remove(&row.group);
                });
            }
            if taken.is_none() {
                let what = format!(
                    "{} at byte {}: a record of group {} (index {}) is damaged",
                    file.label, row.at, row.group, row.index
                );
                self.fold.lose(row, &what);
                self.damage.push(what);
                segment.pins.insert(row.group);
            }
        }
    }
}

/// Whether a piece is a damaged frame without records.
fn skippable(file: &File, number: usize, expected: Option<u64>) -> bool {
    matches!(file.pieces.get(number), Some(Piece::Bad { from, to })
        if bare(*from, *to, file.pieces.get(number + 1), expected))
}

/// What is wrong with a piece as a whole.
fn problem(piece: &Piece, expected: Option<u64>) -> Option<&'static str> {
    match piece {
        Piece::Bad { .. } => Some("unreadable bytes"),
        Piece::Frame { header, .. } if expected.is_some_and(|e| e != header.sequence) => {
            Some("frames before this one are missing")
        }
        Piece::Frame { rows: None, .. } => Some("the frame's table is damaged"),
        Piece::Frame { .. } => None,
    }
}

fn whole(file: &File, rows: &[Row]) -> bool {
    rows.iter().all(|row| payload(&file.bytes, row).is_some())
}
