//! The journal's bytes.
//!
//! A segment is a file header followed by frames, each of which is one batch that was written and synced at
//! once. A frame is a header, a table of fixed-size rows (one per record), the records' payloads, and padding
//! to eight bytes. The header has its own checksum, bound to the segment's name and the frame's offset, so
//! that bytes copied from elsewhere never pass for a frame; the table has one, and each payload has one in its
//! row, so that damage to a payload can be laid to one record of one group.
//!
//! A frame's header also states how many bytes of the segment were known to be synced before it was written.
//! Recovery tells damage from an unsynced tail by that mark.

use crate::batch::{Batch, Record};
use crate::core::EntryKind;
use vectron_base::ids::GroupId;

/// Version of the format. Since 2 there are changes of members and resets, and a tombstone names a replica.
pub(crate) const VERSION: u32 = 2;
const FILE_MAGIC: [u8; 8] = *b"VCTRNJNL";
/// Length of a segment's own header.
pub(crate) const FILE_HEADER: usize = 16;
const FRAME_MAGIC: u32 = 0xc35a_9e17;
/// Length of a frame's header, and of a whole frame without records.
pub(crate) const HEADER: usize = 40;
/// Length of a row.
pub(crate) const ROW: usize = 40;
/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// A segment's place in the journal. The nonce keeps bytes that a client chose from posing as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub(crate) number: u64,
    pub(crate) nonce: u64,
}

impl SegmentName {
    /// The file's name.
    pub(crate) fn file(&self) -> String {
        format!("{:016x}-{:016x}.log", self.number, self.nonce)
    }

    /// The place that a file name stands for.
    pub(crate) fn parse(file: &str) -> Option<Self> {
        let (number, nonce) = file.strip_suffix(".log")?.split_once('-')?;
        let hex = |text: &str| (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
        let name = Self { number: hex(number)?, nonce: hex(nonce)? };
        (name.file() == file).then_some(name)
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Head = 1,
    State = 2,
    Tombstone = 3,
    Command = 4,
    Noop = 5,
    /// An entry that changes the members.
    Members = 6,
    /// A state that replaces the log before it.
    Reset = 7,
}

impl Kind {
    /// What an entry of this kind is, if it is one.
    pub(crate) fn entry(self) -> Option<EntryKind> {
        match self {
            Kind::Command => Some(EntryKind::Command),
            Kind::Noop => Some(EntryKind::Noop),
            Kind::Members => Some(EntryKind::Members),
            Kind::Head | Kind::State | Kind::Tombstone | Kind::Reset => None,
        }
    }

    fn parse(byte: u8) -> Option<Self> {
        let kinds =
            [Kind::Head, Kind::State, Kind::Tombstone, Kind::Command, Kind::Noop, Kind::Members, Kind::Reset];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) rows: u32,
    /// Counts frames across all segments without gaps.
    pub(crate) sequence: u64,
    /// Bytes of the segment that were synced before this frame was written.
    pub(crate) synced: u64,
    /// Length of table, payloads and padding.
    pub(crate) body: u64,
    table_crc: u32,
}

/// One row of a frame's table: a record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) group: GroupId,
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
    /// Where the payload starts in the segment; not stored.
    pub(crate) at: u64,
}

/// The header of a segment.
pub(crate) fn file_header() -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(&FILE_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The format version of a segment, if its header is whole.
pub(crate) fn file_version(bytes: &[u8]) -> Option<u32> {
    let (body, rest) = bytes.split_first_chunk::<12>()?;
    let crc = u32::from_le_bytes(*rest.first_chunk()?);
    (body.starts_with(&FILE_MAGIC) && crc32fast::hash(body) == crc).then(|| u32_at(body, 8)).flatten()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

fn header_crc(name: SegmentName, at: u64, header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [name.number, name.nonce, at] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(header);
    hasher.finalize()
}

/// Appends the frame of a batch, to stand at `at` in the segment `name`.
pub(crate) fn write_frame(
    out: &mut Vec<u8>,
    batch: &Batch,
    name: SegmentName,
    at: u64,
    sequence: u64,
    synced: u64,
) {
    let start = out.len();
    let rows = batch.records().len();
    let table = start + HEADER;
    out.resize(table + rows * ROW, 0);
    for (number, record) in batch.records().iter().enumerate() {
        let from = out.len();
        match record {
            Record::State(_, state) | Record::Reset(_, state) => state.encode(out),
            Record::Entry(_, entry) => out.extend_from_slice(entry.data()),
            Record::Head { .. } | Record::Tombstone(..) => {}
        }
        let (kind, group, index, term) = record.position();
        let (len, crc) = ((out.len() - from) as u32, crc32fast::hash(&out[from..]));
        let row = &mut out[table + number * ROW..][..ROW];
        row[..8].copy_from_slice(&group.0.to_le_bytes());
        row[8..16].copy_from_slice(&index.to_le_bytes());
        row[16..24].copy_from_slice(&term.to_le_bytes());
        row[24..28].copy_from_slice(&len.to_le_bytes());
        row[28..32].copy_from_slice(&crc.to_le_bytes());
        row[32] = kind as u8;
    }
    let length = (out.len() - start).next_multiple_of(ALIGN);
    out.resize(start + length, 0);
    let table_crc = crc32fast::hash(&out[table..table + rows * ROW]);
    let header = &mut out[start..table];
    header[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&(rows as u32).to_le_bytes());
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    header[16..24].copy_from_slice(&synced.to_le_bytes());
    header[24..32].copy_from_slice(&((length - HEADER) as u64).to_le_bytes());
    header[32..36].copy_from_slice(&table_crc.to_le_bytes());
    let crc = header_crc(name, at, &header[..36]);
    header[36..].copy_from_slice(&crc.to_le_bytes());
}

/// The frame header at `at`, if there is one.
pub(crate) fn read_header(bytes: &[u8], at: usize, name: SegmentName) -> Option<Header> {
    let header = bytes.get(at..)?.first_chunk::<HEADER>()?;
    if u32_at(header, 0)? != FRAME_MAGIC || header_crc(name, at as u64, &header[..36]) != u32_at(header, 36)?
    {
        return None;
    }
    let (rows, body) = (u32_at(header, 4)?, u64_at(header, 24)?);
    let (sequence, synced) = (u64_at(header, 8)?, u64_at(header, 16)?);
    // A checksum can be right by chance; these cannot all be.
    let sane = u64::from(rows) * ROW as u64 <= body && body % ALIGN as u64 == 0 && synced <= at as u64;
    let end = (at as u64).checked_add(HEADER as u64)?.checked_add(body);
    (sane && end.is_some()).then_some(Header { rows, sequence, synced, body, table_crc: u32_at(header, 32)? })
}

/// The table of the frame at `at`; `None` if it is damaged or cut short.
pub(crate) fn read_rows(bytes: &[u8], at: usize, header: &Header) -> Option<Vec<Row>> {
    let from = at + HEADER;
    let body = bytes.get(from..from.checked_add(usize::try_from(header.body).ok()?)?)?;
    let (table, payloads) = body.split_at_checked(header.rows as usize * ROW)?;
    if crc32fast::hash(table) != header.table_crc {
        return None;
    }
    let mut next = from + table.len();
    let mut rows = Vec::with_capacity(header.rows as usize);
    for row in table.chunks_exact(ROW) {
        let len = u32_at(row, 24)?;
        rows.push(Row {
            kind: Kind::parse(*row.get(32)?)?,
            group: GroupId(u64_at(row, 0)?),
            index: u64_at(row, 8)?,
            term: u64_at(row, 16)?,
            len,
            crc: u32_at(row, 28)?,
            at: next as u64,
        });
        next += len as usize;
    }
    let used = next - from - table.len();
    (payloads.len() >= used && payloads.len() - used < ALIGN).then_some(rows)
}

/// The payload of a row; `None` if it is damaged.
pub(crate) fn payload<'a>(bytes: &'a [u8], row: &Row) -> Option<&'a [u8]> {
    let from = usize::try_from(row.at).ok()?;
    let payload = bytes.get(from..from.checked_add(row.len as usize)?)?;
    (crc32fast::hash(payload) == row.crc).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Entry;
    use proptest::prelude::*;
    use vectron_base::ids::ReplicaId;

    const NAME: SegmentName = SegmentName { number: 3, nonce: 77 };

    fn frame() -> Vec<u8> {
        let mut batch = Batch::default();
        batch.push(Record::Head { previous: 2, end: 900 });
        batch.push(Record::Entry(GroupId(5), Entry::new(9, 2, EntryKind::Command, vec![8; 13])));
        batch.push(Record::Tombstone(GroupId(6), ReplicaId(4)));
        let mut out = file_header().to_vec();
        write_frame(&mut out, &batch, NAME, FILE_HEADER as u64, 41, 0);
        out
    }

    #[test]
    fn a_frame_reads_back() {
        let bytes = frame();
        assert_eq!(bytes.len() % ALIGN, 0);
        assert_eq!(file_version(&bytes), Some(VERSION));
        let header = read_header(&bytes, FILE_HEADER, NAME).unwrap();
        assert_eq!((header.rows, header.sequence, header.synced), (3, 41, 0));
        let rows = read_rows(&bytes, FILE_HEADER, &header).unwrap();
        assert_eq!((rows[0].kind, rows[0].term, rows[0].index), (Kind::Head, 2, 900));
        assert_eq!((rows[1].kind, rows[1].group, rows[1].index), (Kind::Command, GroupId(5), 9));
        assert_eq!(payload(&bytes, &rows[1]), Some(&[8u8; 13][..]));
        assert_eq!(SegmentName::parse(&NAME.file()), Some(NAME));
    }

    #[test]
    fn a_frame_is_bound_to_its_place() {
        let bytes = frame();
        let other = SegmentName { nonce: 78, ..NAME };
        assert_eq!(read_header(&bytes, FILE_HEADER, other), None);
        let moved = [&bytes[..FILE_HEADER], &bytes[..]].concat();
        assert_eq!(read_header(&moved, 2 * FILE_HEADER, NAME), None);
    }

    #[test]
    fn every_single_bit_of_a_frame_is_guarded() {
        let whole = frame();
        let verdict = |bytes: &[u8]| {
            let header = read_header(bytes, FILE_HEADER, NAME)?;
            let rows = read_rows(bytes, FILE_HEADER, &header)?;
            rows.iter().map(|row| payload(bytes, row).map(<[u8]>::to_vec)).collect::<Option<Vec<_>>>()
        };
        let padding = whole.len() - 3;
        for bit in FILE_HEADER * 8..padding * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verdict(&bytes), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), body in 0u64..500) {
            let _ = (file_version(&bytes), read_header(&bytes, 0, NAME));
            let header = Header { rows: 2, sequence: 1, synced: 0, body, table_crc: crc32fast::hash(
                bytes.get(HEADER..HEADER + 2 * ROW).unwrap_or_default()) };
            let _ = read_rows(&bytes, 0, &header);
        }
    }
}
