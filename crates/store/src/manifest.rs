//! The manifest: the one file that says what a checkpoint consists of. Replaced atomically.
//!
//! `"VECMAN01"` · body · crc u32 of all before it. The body, little-endian: format u32 · dimension u32 ·
//! metric u8 · idempotency bytes u64 · applied index u64 · log time u64 · sealed u8 · next file number u64 ·
//! segments (number u64 · length u64 · entries crc u32 · live entries as a serialised roaring bitmap) · graph u8
//! \[number u64 · length u64 · crc u32\] · remembered writes (key · body hash u64 · log time u64 · outcome).

use crate::bytes::{DecodeError, Decoded, Reader, Writer};
use crate::config::ShardConfig;
use crate::idempotency::Remembered;
use roaring::RoaringBitmap;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"VECMAN01";
const FORMAT: u32 = 1;
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
    pub graph: Option<GraphRef>,
    pub remembered: Vec<Arc<Remembered>>,
}

/// A segment and which of its entries are live.
pub(crate) struct SegmentRef {
    pub number: u64,
    pub len: u64,
    pub entries_crc: u32,
    pub live: RoaringBitmap,
}

/// The graph file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GraphRef {
    pub number: u64,
    pub len: u64,
    pub crc: u32,
}

/// The name of a graph file.
pub(crate) fn graph_name(number: u64) -> String {
    format!("graph-{number:016x}")
}

impl Manifest {
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
            graph: None,
            remembered: Vec::new(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(MAGIC.to_vec());
        w.u32(FORMAT);
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
        w.u8(u8::from(self.graph.is_some()));
        if let Some(graph) = &self.graph {
            w.u64(graph.number);
            w.u64(graph.len);
            w.u32(graph.crc);
        }
        w.len(self.remembered.len());
        for entry in &self.remembered {
            w.bytes(entry.key.as_bytes());
            w.u64(entry.body_hash);
            w.u64(entry.log_time_ms);
            w.bytes(&entry.outcome);
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
        if r.u32()? != FORMAT {
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
            graph: if r.flag()? { Some(graph_ref(&mut r)?) } else { None },
            remembered: r.list(24, remembered)?,
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

fn graph_ref(r: &mut Reader<'_>) -> Decoded<GraphRef> {
    Ok(GraphRef { number: r.u64()?, len: r.u64()?, crc: r.u32()? })
}

fn remembered(r: &mut Reader<'_>) -> Decoded<Arc<Remembered>> {
    Ok(Arc::new(Remembered {
        key: r.text()?.into(),
        body_hash: r.u64()?,
        log_time_ms: r.u64()?,
        outcome: r.bytes()?.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let remembered =
            Remembered { key: "k".into(), body_hash: 1, log_time_ms: 2, outcome: Box::new([1, 2]) };
        Manifest {
            dimension: 3,
            metric: 1,
            idempotency_bytes: 55,
            applied_index: 77,
            log_time_ms: 5,
            sealed: true,
            next_file: 9,
            segments: vec![SegmentRef { number: 4, len: 99, entries_crc: 8, live: (0..700).collect() }],
            graph: Some(GraphRef { number: 5, len: 6, crc: 7 }),
            remembered: vec![Arc::new(remembered)],
        }
    }

    #[test]
    fn it_comes_back() {
        let read = Manifest::decode(&manifest().encode()).unwrap();
        assert_eq!((read.dimension, read.metric, read.applied_index, read.log_time_ms), (3, 1, 77, 5));
        assert!(read.sealed && read.next_file == 9 && read.idempotency_bytes == 55);
        assert_eq!(read.graph, manifest().graph);
        assert_eq!(read.segments[0].live, manifest().segments[0].live);
        assert_eq!((&*read.remembered[0].key, read.remembered.len()), ("k", 1));
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
