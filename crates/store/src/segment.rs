//! Segments: immutable files of records.
//!
//! ```text
//! "VECSEG01" · dimension u32 · crc u32 of the twelve bytes before
//! records, one after the other
//! entries: offset u64 · row u32 · head crc u32 for each record
//! entry count u32 · crc u32 of entries and count
//! ```
//! The manifest holds the length and the entries' crc, the entries hold each record's head crc, the head holds
//! the vectors' crcs: whatever is read is covered by the manifest. In a shard that has another vector field than the
//! unnamed one the file begins with "VECSEG02" and the dimension 0: the manifest has the fields, each record its own.

use crate::bytes::{Decoded, Reader};
use crate::damage::Damage;
use crate::record::{Record, View};
use crate::vectors::schema::Schema;
use std::sync::Arc;
use vectron_base::disk::{Disk, DiskFile, DiskResult, FileBytes};
use vectron_index::Row;

const MAGIC: &[u8; 8] = b"VECSEG01";
/// With named vector fields.
const MAGIC_NAMED: &[u8; 8] = b"VECSEG02";
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;
const TAIL_BYTES: usize = 8;
/// Bytes gathered before they are handed to the disk.
const WRITE_BYTES: usize = 1 << 20;

/// Where a record is and what it must look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub offset: u64,
    pub row: Row,
    pub head_crc: u32,
}

/// An open segment.
pub(crate) struct Segment {
    pub number: u64,
    pub file: String,
    schema: Arc<Schema>,
    bytes: Arc<dyn FileBytes>,
    entries: Vec<Entry>,
    pub entries_crc: u32,
}

/// The name of a segment file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("segment-{number:016x}")
}

impl Segment {
    /// Opens a mapped file that must have this length and these entries.
    pub fn open(
        number: u64,
        file: String,
        bytes: Arc<dyn FileBytes>,
        schema: &Arc<Schema>,
        expected: (u64, u32),
    ) -> Result<Segment, Damage> {
        let damage = |detail: &str| Damage { file: file.clone(), detail: detail.into() };
        if bytes.len() as u64 != expected.0 {
            return Err(damage(&format!("has {} bytes, expected {}", bytes.len(), expected.0)));
        }
        if bytes.get(..HEADER_BYTES) != Some(&header(schema)) {
            return Err(damage("the header does not match its checksum or the shard's vector fields"));
        }
        let (entries, crc) = read_entries(&bytes).map_err(|e| damage(e.0))?;
        if crc != expected.1 {
            return Err(damage("the entry table does not match the manifest"));
        }
        Ok(Segment { number, file, schema: schema.clone(), bytes, entries, entries_crc: crc })
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn damage(&self, detail: &str) -> Damage {
        Damage { file: self.file.clone(), detail: detail.into() }
    }

    /// Where the records end and the table begins.
    fn table_at(&self) -> u64 {
        self.bytes.len().saturating_sub(TAIL_BYTES + self.entries.len() * ENTRY_BYTES) as u64
    }

    /// Bytes of all records, live or not.
    pub fn record_bytes(&self) -> u64 {
        self.table_at().saturating_sub(HEADER_BYTES as u64)
    }

    /// Bytes of an entry's record: up to the next record or the table.
    pub fn record_len(&self, entry: u32) -> u64 {
        let at = entry as usize;
        let end = self.entries.get(at + 1).map_or(self.table_at(), |next| next.offset);
        self.entries.get(at).map_or(0, |e| end.saturating_sub(e.offset))
    }

    /// One record, its head verified.
    pub fn view(&self, entry: u32) -> Result<View<'_>, Damage> {
        let at = self.entries.get(entry as usize).ok_or_else(|| self.damage("an entry is missing"))?;
        let bytes = self.bytes.get(at.offset as usize..).unwrap_or(&[]);
        let (row, view, _) = View::decode(bytes, &self.schema, at.head_crc).map_err(|e| self.damage(e))?;
        if row == at.row { Ok(view) } else { Err(self.damage("a record has another row than its entry")) }
    }

    /// The bytes of one record, all of it verified.
    pub fn verified_bytes(&self, entry: u32) -> Result<(Entry, &[u8]), Damage> {
        let view = self.view(entry)?;
        view.check_values().map_err(|e| self.damage(e))?;
        let at = self.entries.get(entry as usize).ok_or_else(|| self.damage("an entry is missing"))?;
        let end = at.offset + self.record_len(entry);
        let bytes = self.bytes.get(at.offset as usize..end as usize).unwrap_or(&[]);
        Ok((*at, bytes))
    }
}

fn header(schema: &Schema) -> Vec<u8> {
    let (magic, dimension) = match schema.plain() {
        Some(dimension) => (MAGIC, dimension as u32),
        None => (MAGIC_NAMED, 0),
    };
    let mut header = magic.to_vec();
    header.extend(dimension.to_le_bytes());
    header.extend(crc32fast::hash(&header).to_le_bytes());
    header
}

/// The table at the end of the file, and its crc.
fn read_entries(bytes: &[u8]) -> Decoded<(Vec<Entry>, u32)> {
    use crate::bytes::DecodeError;
    let tail_at = bytes.len().checked_sub(TAIL_BYTES).ok_or(DecodeError("ends too early"))?;
    let mut tail = Reader(&bytes[tail_at..]);
    let (count, crc) = (tail.u32()? as usize, tail.u32()?);
    let table_at = count
        .checked_mul(ENTRY_BYTES)
        .and_then(|table| tail_at.checked_sub(table))
        .filter(|at| *at >= HEADER_BYTES)
        .ok_or(DecodeError("the entry table is longer than the file"))?;
    if crc32fast::hash(&bytes[table_at..tail_at + 4]) != crc {
        return Err(DecodeError("the entry table does not match its checksum"));
    }
    let mut table = Reader(&bytes[table_at..tail_at]);
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(Entry { offset: table.u64()?, row: table.u32()?, head_crc: table.u32()? });
    }
    Ok((entries, crc))
}

/// A segment being written.
pub(crate) struct SegmentWriter {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    written: u64,
    entries: Vec<Entry>,
}

impl SegmentWriter {
    pub fn create(disk: &dyn Disk, path: &str, schema: &Schema) -> DiskResult<SegmentWriter> {
        let file = disk.create(path)?;
        Ok(SegmentWriter { file, buffer: header(schema), written: 0, entries: Vec::new() })
    }

    fn begin(&mut self) -> DiskResult<u64> {
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(self.written + self.buffer.len() as u64)
    }

    fn flush(&mut self) -> DiskResult<()> {
        self.file.append(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    pub fn put(&mut self, row: Row, record: &Record) -> DiskResult<()> {
        let offset = self.begin()?;
        let head_crc = record.encode(row, &mut self.buffer);
        self.entries.push(Entry { offset, row, head_crc });
        Ok(())
    }

    /// Takes over a verified record of another segment.
    pub fn copy(&mut self, entry: Entry, bytes: &[u8]) -> DiskResult<()> {
        let offset = self.begin()?;
        self.buffer.extend_from_slice(bytes);
        self.entries.push(Entry { offset, ..entry });
        Ok(())
    }

    /// Writes the table and makes the file durable; its length and the table's crc.
    pub fn finish(mut self) -> DiskResult<(u64, u32)> {
        let mut table = Vec::with_capacity(self.entries.len() * ENTRY_BYTES + TAIL_BYTES);
        for entry in &self.entries {
            table.extend(entry.offset.to_le_bytes());
            table.extend(entry.row.to_le_bytes());
            table.extend(entry.head_crc.to_le_bytes());
        }
        table.extend((self.entries.len() as u32).to_le_bytes());
        let crc = crc32fast::hash(&table);
        table.extend(crc.to_le_bytes());
        self.buffer.extend(table);
        self.flush()?;
        self.file.sync()?;
        Ok((self.written, crc))
    }
}
