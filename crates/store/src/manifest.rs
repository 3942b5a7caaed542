//! The manifest: the one file that says what a checkpoint consists of. Replaced atomically.
//!
//! `"VECMAN01"` · body · crc u32 of all before it. The body, little-endian: format u32 (3) · dimension u32 ·
//! metric u8 · idempotency bytes u64 · applied index u64 · log time u64 · sealed u8 · next file number u64 ·
//! segments (number u64 · length u64 · entries crc u32 · live entries as a serialised roaring bitmap) ·
//! graph files (number u64 · length u64) · graph chunks (first row u32 · file number u64 · offset u64 ·
//! length u32 · crc u32) · remembered writes (key · body hash u64 · log time u64 · outcome · id hashes u64 each) ·
//! first and last hash of the range u64 each · provisional u8 · has digest u8 \[digest u128\]. Format 4, of a shard that
//! has another vector field than the unnamed one: format 3, with the field's number u32 before the first row of each
//! graph chunk, and then the named fields (number u32 · name · shape u8: 1 dense, 2 sparse, 3 multi · dimension u32 ·
//! metric u8).
//!
//! Format 2 ends with the remembered writes, which have no id hashes; such a shard has the full range. Format 1 has, in the place of graph files and chunks, graph u8 \[number u64 · length u64 · crc u32\]: one file
//! with all of the graph. Both are read, and written as format 3 by the next checkpoint; builds that know only
//! older formats do not open the shard from then on. A shard that has the unnamed field only is still written as format 3.

use crate::bytes::{DecodeError, Decoded, Reader, Writer};
use crate::config::{FieldKind, NamedField, ShardConfig, metric_code};
use crate::idempotency::Remembered;
use crate::range::HashRange;
use crate::segment::segment_name;
use crate::vectors::schema::UNNAMED;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_index::Row;

const MAGIC: &[u8; 8] = b"VECMAN01";
/// The newest, with named vector fields.
const FORMAT: u32 = 4;
/// The format for the unnamed field only.
const UNNAMED_ONLY: u32 = 3;
/// The format without range and digest.
const WITHOUT_RANGE: u32 = 2;
/// The format with the graph in one piece.
const WHOLE_GRAPH: u32 = 1;
/// The manifest's name in the shard's directory.
pub(crate) const MANIFEST: &str = "manifest";

/// What a checkpoint covers and where it is.
pub(crate) struct Manifest {
    pub dimension: u32,
    pub metric: u8,
    /// The limit of remembered writes that the outcomes so far were decided with.
    pub idempotency_bytes: u64,
    pub applied_index: u64,
    pub log_time_ms: u64,
    pub sealed: bool,
    pub next_file: u64,
    pub segments: Vec<SegmentRef>,
    pub graph: GraphFiles,
    /// Read from format 1, never written.
    pub whole_graph: Option<WholeGraphRef>,
    pub remembered: Vec<Arc<Remembered>>,
    pub range: HashRange,
    /// Part of a child that is not whole yet: no shard.
    pub provisional: bool,
    /// Digest of the state; older formats have none, nor has the manifest before the first checkpoint.
    pub digest: Option<u128>,
    /// Fields with names.
    pub named: Vec<NamedRef>,
}

/// What a named field's records and graph were written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedRef {
    pub number: u32,
    pub name: String,
    pub shape: u8,
    pub dimension: u32,
    pub metric: u8,
}

impl NamedRef {
    pub fn of(field: &NamedField) -> NamedRef {
        let (shape, dimension, metric) = match &field.kind {
            FieldKind::Dense(dense) => (1, dense.dimension, metric_code(dense.metric)),
            FieldKind::Sparse => (2, 0, 0),
            FieldKind::Multi { dimension, metric } => (3, *dimension, metric_code(*metric)),
        };
        let (number, name) = (field.number, field.name.clone());
        NamedRef { number, name, shape, dimension: dimension as u32, metric }
    }
}

/// Which part of which dense field's graph: the field's number and the first row.
pub(crate) type ChunkKey = (u32, Row);

/// A segment and which of its entries are live.
pub(crate) struct SegmentRef {
    pub number: u64,
    pub len: u64,
    pub entries_crc: u32,
    pub live: RoaringBitmap,
}

/// The graph, in chunks. No chunk: no graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GraphFiles {
    /// Lengths by number; each file has a chunk that is named at least.
    pub files: BTreeMap<u64, u64>,
    /// By field and first row.
    pub chunks: BTreeMap<ChunkKey, ChunkRef>,
}

/// Part of a graph file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub file: u64,
    pub offset: u64,
    pub len: u32,
    pub crc: u32,
}

/// The graph file of format 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WholeGraphRef {
    pub number: u64,
    pub len: u64,
    pub crc: u32,
}

/// The name of a graph file.
pub(crate) fn graph_name(number: u64) -> String {
    format!("graph-{number:016x}")
}

impl SegmentRef {
    /// The segment's file.
    pub fn name(&self) -> String {
        segment_name(self.number)
    }
}

impl Manifest {
    /// The files that it names, with their lengths.
    pub fn files(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let segments = self.segments.iter().map(|segment| (segment.name(), segment.len));
        let graphs = self.graph.files.iter().map(|(number, len)| (graph_name(*number), *len));
        let whole = self.whole_graph.iter().map(|graph| (graph_name(graph.number), graph.len));
        segments.chain(graphs).chain(whole)
    }

    /// The manifest of a shard of which nothing is stored yet.
    pub fn without_files(config: &ShardConfig, next_file: u64) -> Manifest {
        Manifest {
            dimension: config.dimension as u32,
            metric: config.metric_code(),
            idempotency_bytes: config.idempotency_bytes,
            applied_index: 0,
            log_time_ms: 0,
            sealed: false,
            next_file,
            segments: Vec::new(),
            graph: GraphFiles::default(),
            whole_graph: None,
            remembered: Vec::new(),
            range: HashRange::ALL,
            provisional: false,
            digest: None,
            named: config.named.iter().map(NamedRef::of).collect(),
        }
    }

    /// Whether there is another vector field than the unnamed one.
    fn has_named(&self) -> bool {
        !self.named.is_empty() || self.dimension == 0
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(MAGIC.to_vec());
        w.u32(if self.has_named() { FORMAT } else { UNNAMED_ONLY });
        w.u32(self.dimension);
        w.u8(self.metric);
        w.u64(self.idempotency_bytes);
        w.u64(self.applied_index);
        w.u64(self.log_time_ms);
        w.u8(u8::from(self.sealed));
        w.u64(self.next_file);
        w.len(self.segments.len());
        for segment in &self.segments {
            w.u64(segment.number);
            w.u64(segment.len);
            w.u32(segment.entries_crc);
            let mut live = Vec::with_capacity(segment.live.serialized_size());
            // Writing into a Vec cannot fail.
            let _ = segment.live.serialize_into(&mut live);
            w.bytes(&live);
        }
        let GraphFiles { files, chunks } = &self.graph;
        w.len(files.len());
        for (number, len) in files {
            w.u64(*number);
            w.u64(*len);
        }
        w.len(chunks.len());
        for ((field, first), chunk) in chunks {
            if self.has_named() {
                w.u32(*field);
            }
            w.u32(*first);
            w.u64(chunk.file);
            w.u64(chunk.offset);
            w.u32(chunk.len);
            w.u32(chunk.crc);
        }
        w.len(self.remembered.len());
        for entry in &self.remembered {
            w.bytes(entry.key.as_bytes());
            w.u64(entry.body_hash);
            w.u64(entry.log_time_ms);
            w.bytes(&entry.outcome);
            w.len(entry.items.len());
            entry.items.iter().for_each(|hash| w.u64(*hash));
        }
        w.u64(self.range.first);
        w.u64(self.range.last);
        w.u8(u8::from(self.provisional));
        w.u8(u8::from(self.digest.is_some()));
        for part in self.digest.into_iter().flat_map(halves) {
            w.u64(part);
        }
        if self.has_named() {
            w.len(self.named.len());
            for field in &self.named {
                w.u32(field.number);
                w.bytes(field.name.as_bytes());
                w.u8(field.shape);
                w.u32(field.dimension);
                w.u8(field.metric);
            }
        }
        let crc = crc32fast::hash(&w.0);
        w.u32(crc);
        w.0
    }

    pub fn decode(bytes: &[u8]) -> Decoded<Manifest> {
        let body_len = bytes.len().checked_sub(4).ok_or(DecodeError("ends too early"))?;
        let (body, crc) = bytes.split_at(body_len);
        if Reader(crc).u32()? != crc32fast::hash(body) {
            return Err(DecodeError("does not match its checksum"));
        }
        let mut r = Reader(body);
        if r.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError("is not a manifest"));
        }
        let format = r.u32()?;
        if !(WHOLE_GRAPH..=FORMAT).contains(&format) {
            return Err(DecodeError("has a format that this version does not know"));
        }
        let manifest = Manifest {
            dimension: r.u32()?,
            metric: r.u8()?,
            idempotency_bytes: r.u64()?,
            applied_index: r.u64()?,
            log_time_ms: r.u64()?,
            sealed: r.flag()?,
            next_file: r.u64()?,
            segments: r.list(24, segment_ref)?,
            graph: if format == WHOLE_GRAPH { GraphFiles::default() } else { graph_files(&mut r, format)? },
            whole_graph: if format == WHOLE_GRAPH && r.flag()? { Some(whole_graph(&mut r)?) } else { None },
            remembered: r.list(24, |r| remembered(r, format))?,
            range: if format <= WITHOUT_RANGE { HashRange::ALL } else { range(&mut r)? },
            provisional: format > WITHOUT_RANGE && r.flag()?,
            digest: if format > WITHOUT_RANGE && r.flag()? { Some(whole(r.u64()?, r.u64()?)) } else { None },
            named: if format > UNNAMED_ONLY { r.list(14, named_ref)? } else { Vec::new() },
        };
        r.end()?;
        Ok(manifest)
    }
}

fn segment_ref(r: &mut Reader<'_>) -> Decoded<SegmentRef> {
    let (number, len, entries_crc) = (r.u64()?, r.u64()?, r.u32()?);
    let live = RoaringBitmap::deserialize_from(r.bytes()?).map_err(|_| DecodeError("has a bad bitmap"))?;
    Ok(SegmentRef { number, len, entries_crc, live })
}

fn whole_graph(r: &mut Reader<'_>) -> Decoded<WholeGraphRef> {
    Ok(WholeGraphRef { number: r.u64()?, len: r.u64()?, crc: r.u32()? })
}

fn named_ref(r: &mut Reader<'_>) -> Decoded<NamedRef> {
    let (number, name) = (r.u32()?, r.text()?.into());
    Ok(NamedRef { number, name, shape: r.u8()?, dimension: r.u32()?, metric: r.u8()? })
}

fn graph_files(r: &mut Reader<'_>, format: u32) -> Decoded<GraphFiles> {
    let files = r.list(16, |r| Ok((r.u64()?, r.u64()?)))?;
    let chunk = |r: &mut Reader<'_>| {
        let field = if format > UNNAMED_ONLY { r.u32()? } else { UNNAMED };
        let first = r.u32()?;
        Ok(((field, first), ChunkRef { file: r.u64()?, offset: r.u64()?, len: r.u32()?, crc: r.u32()? }))
    };
    let chunks = r.list(28, chunk)?;
    Ok(GraphFiles { files: files.into_iter().collect(), chunks: chunks.into_iter().collect() })
}

fn range(r: &mut Reader<'_>) -> Decoded<HashRange> {
    Ok(HashRange { first: r.u64()?, last: r.u64()? })
}

fn halves(digest: u128) -> [u64; 2] {
    [digest as u64, (digest >> 64) as u64]
}

fn whole(low: u64, high: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

fn remembered(r: &mut Reader<'_>, format: u32) -> Decoded<Arc<Remembered>> {
    Ok(Arc::new(Remembered {
        key: r.text()?.into(),
        body_hash: r.u64()?,
        log_time_ms: r.u64()?,
        outcome: r.bytes()?.into(),
        items: if format <= WITHOUT_RANGE { Box::default() } else { r.list(8, Reader::u64)?.into() },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let remembered = Remembered {
            key: "k".into(),
            body_hash: 1,
            log_time_ms: 2,
            outcome: [1, 2].into(),
            items: [9, 8].into(),
        };
        Manifest {
            dimension: 3,
            metric: 1,
            idempotency_bytes: 55,
            applied_index: 77,
            log_time_ms: 5,
            sealed: true,
            next_file: 9,
            segments: vec![SegmentRef { number: 4, len: 99, entries_crc: 8, live: (0..700).collect() }],
            graph: GraphFiles {
                files: BTreeMap::from([(5, 60), (6, 7)]),
                chunks: BTreeMap::from([
                    ((0, 0), ChunkRef { file: 5, offset: 20, len: 40, crc: 7 }),
                    ((0, 1024), ChunkRef { file: 6, offset: 0, len: 7, crc: 9 }),
                ]),
            },
            whole_graph: None,
            remembered: vec![Arc::new(remembered)],
            range: HashRange { first: 3, last: 1 << 60 },
            provisional: true,
            digest: Some(u128::MAX - 5),
            named: Vec::new(),
        }
    }

    #[test]
    fn named_fields_and_their_graphs_come_back_and_are_no_format_of_older_builds() {
        let mut several = manifest();
        let named = |number, shape| NamedRef { number, name: "n".into(), shape, dimension: 7, metric: 2 };
        several.named = vec![named(1, 1), named(4, 3)];
        several.graph.chunks.insert((4, 1024), ChunkRef { file: 6, offset: 1, len: 2, crc: 3 });
        let bytes = several.encode();
        assert_eq!((bytes[8], manifest().encode()[8]), (4, 3));
        let read = Manifest::decode(&bytes).unwrap();
        assert_eq!((read.named, read.graph, read.digest), (several.named, several.graph, several.digest));
    }

    #[test]
    fn it_comes_back() {
        let read = Manifest::decode(&manifest().encode()).unwrap();
        assert_eq!((read.dimension, read.metric, read.applied_index, read.log_time_ms), (3, 1, 77, 5));
        assert!(read.sealed && read.next_file == 9 && read.idempotency_bytes == 55);
        assert_eq!(read.graph, manifest().graph);
        assert_eq!(read.segments[0].live, manifest().segments[0].live);
        assert_eq!((&*read.remembered[0].key, read.remembered.len()), ("k", 1));
        assert_eq!(*read.remembered[0].items, [9, 8]);
        assert_eq!((read.range, read.provisional, read.digest), (manifest().range, true, manifest().digest));
    }

    #[test]
    fn damage_is_noticed_and_a_forged_checksum_does_no_harm() {
        let bytes = manifest().encode();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x40;
            assert!(Manifest::decode(&broken).is_err());
            assert!(Manifest::decode(&bytes[..at]).is_err());
            let body = bytes.len() - 4;
            let crc = crc32fast::hash(&broken[..body]);
            broken[body..].copy_from_slice(&crc.to_le_bytes());
            // Whatever it reads as: no panic, no memory for counts that cannot be.
            let _ = Manifest::decode(&broken);
        }
    }
}
