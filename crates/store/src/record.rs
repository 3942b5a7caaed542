//! One version of one point: in memory until a checkpoint, then as bytes of a segment.
//!
//! Bytes, little-endian: head crc u32 · row u32 · version u64 · id length u32 · payload length u32 ·
//! vector crc u32 · \[expiry u64\] · id · payload · vector as f32. The payload length's highest bit says that there is an
//! expiry. The head crc covers everything between itself and the
//! vector, so that a payload is read and verified without touching the vector.

use crate::bytes::{Decoded, Reader, floats};
use crate::fields::{Extractor, Found};
use crate::rows::Slot;
use std::sync::Arc;
use vectron_index::Row;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes of a record before its expiry and its id.
pub(crate) const FIXED_BYTES: usize = 28;
/// In the payload length: an expiry follows. Payloads are bounded far below.
const EXPIRES: u32 = 1 << 31;

/// A record with what is computed from it, so that none of that is done while readers wait.
pub(crate) struct Prepared {
    pub record: Arc<Record>,
    pub tag: u64,
    pub hash: u128,
    /// What the payload holds for the payload indexes.
    pub found: Vec<Found>,
}

impl Prepared {
    pub fn new(record: Record, extractor: Option<&Extractor>) -> Self {
        let bits = vector_bits(&record.vector);
        let hash = point_hash(&record.id, record.version, &record.payload, record.expires_at_ms, &bits);
        let found = extractor.map(|extractor| extractor.read(&record.payload)).unwrap_or_default();
        Self { tag: vector_tag(&bits), hash, record: Arc::new(record), found }
    }

    /// The record of another shard's slot, with what is known of it.
    pub fn of_slot(record: Arc<Record>, slot: &Slot, extractor: Option<&Extractor>) -> Self {
        let found = extractor.map(|extractor| extractor.read(&record.payload)).unwrap_or_default();
        Self { tag: slot.tag, hash: slot.hash, record, found }
    }
}

/// A record that no checkpoint has written yet.
#[derive(Debug)]
pub(crate) struct Record {
    pub id: Box<str>,
    pub version: u64,
    pub payload: Box<str>,
    /// The log time at which it ends by itself.
    pub expires_at_ms: Option<u64>,
    pub vector: Box<[f32]>,
}

impl Record {
    pub fn encoded_len(&self) -> usize {
        FIXED_BYTES
            + self.expires_at_ms.map_or(0, |_| 8)
            + self.id.len()
            + self.payload.len()
            + self.vector.len() * 4
    }

    /// Appends the record's bytes and returns its head crc.
    pub fn encode(&self, row: Row, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        out.extend([0; 4]);
        out.extend(row.to_le_bytes());
        out.extend(self.version.to_le_bytes());
        out.extend((self.id.len() as u32).to_le_bytes());
        let expires = if self.expires_at_ms.is_some() { EXPIRES } else { 0 };
        out.extend((self.payload.len() as u32 | expires).to_le_bytes());
        out.extend([0; 4]);
        self.expires_at_ms.into_iter().for_each(|at| out.extend(at.to_le_bytes()));
        out.extend(self.id.as_bytes());
        out.extend(self.payload.as_bytes());
        let vector_at = out.len();
        self.vector.iter().for_each(|v| out.extend(v.to_le_bytes()));
        let vector_crc = crc32fast::hash(&out[vector_at..]);
        out[start + FIXED_BYTES - 4..start + FIXED_BYTES].copy_from_slice(&vector_crc.to_le_bytes());
        let head_crc = crc32fast::hash(&out[start + 4..vector_at]);
        out[start..start + 4].copy_from_slice(&head_crc.to_le_bytes());
        head_crc
    }
}

/// A record to be read, wherever it is. Its head has been verified.
pub(crate) struct View<'a> {
    pub id: &'a str,
    pub version: u64,
    pub payload: &'a str,
    pub expires_at_ms: Option<u64>,
    vector: Vector<'a>,
}

enum Vector<'a> {
    Memory(&'a [f32]),
    Stored { bytes: &'a [u8], crc: u32 },
}

impl<'a> View<'a> {
    pub fn of(record: &'a Record) -> Self {
        let Record { id, version, payload, expires_at_ms, vector } = record;
        let (version, expires_at_ms) = (*version, *expires_at_ms);
        Self { id, version, payload, expires_at_ms, vector: Vector::Memory(vector) }
    }

    /// The record that starts at `bytes`; its row, its view and its length. Verifies the head against its own
    /// checksum and against the one that the segment's table has for it.
    pub fn decode(
        bytes: &'a [u8],
        dimension: usize,
        head_crc: u32,
    ) -> Result<(Row, Self, usize), &'static str> {
        let (row, view, len) = Self::fields(bytes, dimension).map_err(|e| e.0)?;
        let head = bytes.get(4..len - dimension * 4).unwrap_or(&[]);
        let stored = bytes.first_chunk().map(|b| u32::from_le_bytes(*b));
        if stored != Some(head_crc) || crc32fast::hash(head) != head_crc {
            return Err("a record does not match its checksum");
        }
        let (Ok(id), Ok(payload)) = (std::str::from_utf8(view.0), std::str::from_utf8(view.1)) else {
            return Err("a record's text is not UTF-8");
        };
        let vector = Vector::Stored { bytes: view.3, crc: view.4 };
        Ok((row, Self { id, version: view.2, payload, expires_at_ms: view.5, vector }, len))
    }

    #[allow(clippy::type_complexity, reason = "taken apart at once by the only caller")]
    fn fields(
        bytes: &'a [u8],
        dimension: usize,
    ) -> Decoded<(Row, (&'a [u8], &'a [u8], u64, &'a [u8], u32, Option<u64>), usize)> {
        let mut r = Reader(bytes);
        r.u32()?;
        let (row, version) = (r.u32()?, r.u64()?);
        let (id_len, payload_len) = (r.u32()? as usize, r.u32()?);
        let vector_crc = r.u32()?;
        let expires_at_ms = if payload_len & EXPIRES != 0 { Some(r.u64()?) } else { None };
        let payload_len = (payload_len & !EXPIRES) as usize;
        let (id, payload) = (r.take(id_len)?, r.take(payload_len)?);
        let vector = r.take(dimension * 4)?;
        Ok((row, (id, payload, version, vector, vector_crc, expires_at_ms), bytes.len() - r.0.len()))
    }

    /// The vector, verified.
    pub fn vector(&self) -> Result<Vec<f32>, &'static str> {
        let mut values = Vec::new();
        self.read_vector(&mut values)?;
        Ok(values)
    }

    /// Appends the vector, verified.
    pub fn read_vector(&self, into: &mut Vec<f32>) -> Result<(), &'static str> {
        self.check_vector()?;
        match self.vector {
            Vector::Memory(values) => into.extend_from_slice(values),
            Vector::Stored { bytes, .. } => into.extend(floats(bytes)),
        }
        Ok(())
    }

    /// Whether the vector is intact.
    pub fn check_vector(&self) -> Result<(), &'static str> {
        match self.vector {
            Vector::Stored { bytes, crc } if crc32fast::hash(bytes) != crc => {
                Err("a vector does not match its checksum")
            }
            _ => Ok(()),
        }
    }

    /// Whether the vector has exactly the bits of this one.
    pub fn has_vector(&self, wanted: &[f32]) -> bool {
        match self.vector {
            Vector::Memory(values) => {
                values.len() == wanted.len()
                    && values.iter().zip(wanted).all(|(a, b)| a.to_bits() == b.to_bits())
            }
            Vector::Stored { bytes, crc } => {
                bytes.len() == wanted.len() * 4
                    && floats(bytes).zip(wanted).all(|(a, b)| a.to_bits() == b.to_bits())
                    && crc32fast::hash(bytes) == crc
            }
        }
    }
}

/// The bits of a vector, as they are stored.
pub(crate) fn vector_bits(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Names the content of a row for the index: a graph is adopted where rows still hold the same vectors.
pub(crate) fn vector_tag(bits: &[u8]) -> u64 {
    xxh3_64(bits)
}

/// A point's part of the state digest.
pub(crate) fn point_hash(
    id: &str,
    version: u64,
    payload: &str,
    expires_at_ms: Option<u64>,
    bits: &[u8],
) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&version.to_le_bytes());
    hash.update(&(id.len() as u64).to_le_bytes());
    hash.update(id.as_bytes());
    hash.update(&(payload.len() as u64).to_le_bytes());
    hash.update(payload.as_bytes());
    hash.update(bits);
    if let Some(at) = expires_at_ms {
        hash.update(&at.to_le_bytes());
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_every_flipped_bit_is_noticed() {
        come_back(None);
        come_back(Some(u64::MAX - 4));
    }

    fn come_back(expires_at_ms: Option<u64>) {
        let vector: Box<[f32]> = vec![1.5, -0.0, f32::MIN_POSITIVE].into();
        let record =
            Record { id: "ä".into(), version: 9, payload: "{\"x\":1}".into(), expires_at_ms, vector };
        let mut bytes = vec![];
        let crc = record.encode(7, &mut bytes);
        assert_eq!(bytes.len(), record.encoded_len());
        let (row, view, len) = View::decode(&bytes, 3, crc).unwrap();
        assert_eq!((row, view.id, view.version, view.payload, len), (7, "ä", 9, "{\"x\":1}", bytes.len()));
        assert_eq!(view.expires_at_ms, expires_at_ms);
        assert_eq!(vector_bits(&view.vector().unwrap()), vector_bits(&record.vector));
        assert!(view.has_vector(&record.vector));
        assert!(!view.has_vector(&[1.5, 0.0, f32::MIN_POSITIVE]));
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let read = View::decode(&broken, 3, crc);
            assert!(read.is_err() || read.unwrap().1.vector().is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(View::decode(&bytes[..cut], 3, crc).is_err());
        }
    }
}
