//! Format 2: the graph in chunks of consecutive rows, each of them whole in itself. See the module above.

use super::parsed::{Parsed, Part};
use super::reader::Reader;
use super::{GraphDamage, MAGIC, params_bytes};
use crate::index::VectorIndex;
use crate::params::{Params, Row};
use std::ops::Range;

const VERSION: u32 = 2;
/// Where the checksum is: it covers all bytes but its own.
const CRC: Range<usize> = 12..16;

impl VectorIndex {
    /// Number of chunks the graph is encoded in: chunk `n` has the rows from `n` × [`chunk_rows`] on, as many.
    ///
    /// [`chunk_rows`]: crate::Params::chunk_rows
    pub fn graph_chunks(&self) -> usize {
        self.graph.chunks()
    }

    /// How often links or chains of a chunk's rows have changed: while it stays the same, so do the bytes.
    pub fn graph_chunk_changes(&self, chunk: usize) -> u64 {
        self.graph.chunk_changes(chunk)
    }

    /// One chunk of the graph as bytes, for [`Self::decode_graph`]; `None` if none of its rows is in the
    /// graph. Takes well under a millisecond for a thousand rows. Chunks may be encoded at different moments, with
    /// any changes in between.
    pub fn encode_graph_chunk(&self, chunk: usize) -> Option<Vec<u8>> {
        let per = self.params.chunk_rows;
        let from = Row::try_from(chunk.checked_mul(per)?).ok()?;
        let to = from.saturating_add(per as Row).min(self.rows.end() as Row);
        let mut bytes =
            Vec::with_capacity(64 + (to.saturating_sub(from)) as usize * (self.params.degree * 4 + 20));
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; CRC.end - CRC.start]);
        bytes.extend(params_bytes(&self.params));
        bytes.extend(from.to_le_bytes());
        bytes.extend((per as u32).to_le_bytes());
        let counts = bytes.len();
        bytes.extend([0; 8]);
        let (mut vertices, mut twins) = (0u32, 0u32);
        for row in (from..to).filter(|row| self.rows.state(*row).is_vertex()) {
            vertices += 1;
            let level = self.graph.level(row);
            bytes.extend(row.to_le_bytes());
            bytes.extend(self.rows.tag(row).to_le_bytes());
            bytes.extend([level, self.graph.diverse(row) as u8]);
            (0..=level).for_each(|layer| push_list(&mut bytes, self.graph.links(row, layer)));
        }
        for (twin, head) in self.graph.chained(from..to.max(from)) {
            twins += 1;
            bytes.extend(twin.to_le_bytes());
            bytes.extend(self.rows.tag(twin).to_le_bytes());
            bytes.extend(head.to_le_bytes());
        }
        if (vertices, twins) == (0, 0) {
            return None;
        }
        bytes[counts..counts + 4].copy_from_slice(&vertices.to_le_bytes());
        bytes[counts + 4..counts + 8].copy_from_slice(&twins.to_le_bytes());
        let crc = checksum(&bytes);
        bytes[CRC].copy_from_slice(&crc.to_le_bytes());
        Some(bytes)
    }
}

fn push_list(bytes: &mut Vec<u8>, list: &[Row]) {
    bytes.push(list.len() as u8);
    list.iter().for_each(|row| bytes.extend(row.to_le_bytes()));
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CRC.start]);
    hasher.update(&bytes[CRC.end..]);
    hasher.finalize()
}

/// Appends a chunk that must begin with row `first`; what it gave, and its range of rows. After an error nothing
/// is appended.
pub(super) fn parse(
    bytes: &[u8],
    first: Row,
    params: &Params,
    parsed: &mut Parsed,
) -> Result<(Part, Range<Row>), GraphDamage> {
    let before = (parsed.vertices.len(), parsed.twins.len());
    let lists = parsed.lists.len();
    let result = append(bytes, first, params, parsed);
    if result.is_err() {
        parsed.vertices.truncate(before.0);
        parsed.twins.truncate(before.1);
        parsed.lists.truncate(lists);
    }
    Ok((parsed.since(before), result?))
}

fn append(bytes: &[u8], first: Row, params: &Params, parsed: &mut Parsed) -> Result<Range<Row>, GraphDamage> {
    let mut reader = Reader { bytes, section: "header" };
    if reader.take(MAGIC.len())? != MAGIC {
        return reader.damage("not a chunk of a graph");
    }
    let (version, crc) = (reader.u32()?, reader.u32()?);
    if checksum(bytes) != crc {
        return reader.damage("checksum mismatch");
    }
    if version != VERSION {
        return reader.damage("unknown format version");
    }
    reader.section = "params";
    let expected = params_bytes(params);
    if reader.take(expected.len())? != expected {
        return reader.damage("made with other parameters");
    }
    reader.section = "rows";
    let from = reader.u32()?;
    let range = from..from.saturating_add(reader.u32()?);
    if from != first {
        return reader.damage("other rows than named");
    }
    let (vertices, twins) = (reader.u32()?, reader.u32()?);
    let mut last = None;
    for _ in 0..vertices {
        let (row, level) = parsed.begin_vertex(&mut reader, last)?;
        if !range.contains(&row) {
            return reader.damage("row out of range");
        }
        last = Some(row);
        for layer in 0..=level {
            let most = if layer == 0 { params.degree } else { params.degree / 2 };
            reader.list(most, &mut parsed.lists)?;
        }
    }
    reader.section = "chains";
    for _ in 0..twins {
        if !range.contains(&parsed.push_twin(&mut reader)?) {
            return reader.damage("row out of range");
        }
    }
    reader.section = "end";
    reader.finish()?;
    Ok(range)
}
