//! One version of one point: in memory until a checkpoint, then as bytes of a segment.
//!
//! Bytes, little-endian, in a shard that has the unnamed vector field only: head crc u32 · row u32 · version u64 ·
//! id length u32 · payload length u32 · vector crc u32 · \[expiry u64\] · id · payload · vector as f32. In any other shard: head crc
//! u32 · row u32 · version u64 · id length u32 · payload length u32 · value count u32 · for each value its field
//! number u32, length u32 and crc u32 · \[expiry u64\] · id · payload · the values. The payload length's highest bit says
//! that there is an expiry. The head crc covers everything between itself
//! and the first value, so that a payload is read and verified without touching a vector, and one vector without the
//! others.

use crate::bytes::{Decoded, Reader, floats};
use crate::fields::{Extractor, Found};
use crate::rows::Slot;
use crate::vectors::schema::{Schema, UNNAMED, Values, encode_value, value_bytes};
use std::sync::Arc;
use vectron_base::vectors::FieldValue;
use vectron_index::Row;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes of a record before its id, without what is said of each value.
const FIXED_BYTES: usize = 28;
/// In the payload length: an expiry follows. Payloads are bounded far below.
const EXPIRES: u32 = 1 << 31;
/// Bytes that say what a value is.
const VALUE_BYTES: usize = 12;

/// A record with what is computed from it, so that none of that is done while readers wait.
pub(crate) struct Prepared {
    pub record: Arc<Record>,
    /// Names the content of each of the record's values, in their order.
    pub tags: Vec<u64>,
    /// Names the dense ones together.
    pub tag: u64,
    pub hash: u128,
    /// What the payload holds for the payload indexes.
    pub found: Vec<Found>,
}

impl Prepared {
    pub fn new(record: Record, extractor: Option<&Extractor>) -> Self {
        let found = extractor.map(|extractor| extractor.read(&record.payload)).unwrap_or_default();
        let Named { tags, tag, hash } = Named::of(&View::of(&record), &record.values, record.plain);
        Self { tags, tag, hash, record: Arc::new(record), found }
    }

    /// The record of another shard's slot, with what is known of it.
    pub fn of_slot(record: Arc<Record>, slot: &Slot, extractor: Option<&Extractor>) -> Self {
        let found = extractor.map(|extractor| extractor.read(&record.payload)).unwrap_or_default();
        let tags = record.values.iter().map(|(_, value)| vector_tag(&value_bytes(value))).collect();
        Self { tags, tag: slot.tag, hash: slot.hash, record, found }
    }
}

/// What is computed from a record's content.
pub(crate) struct Named {
    pub tags: Vec<u64>,
    pub tag: u64,
    pub hash: u128,
}

impl Named {
    /// `values` are those of the record that is viewed.
    pub fn of(view: &View<'_>, values: &Values, plain: bool) -> Named {
        let bytes: Vec<Vec<u8>> = values.iter().map(|(_, value)| value_bytes(value)).collect();
        let tags: Vec<u64> = bytes.iter().map(|bits| vector_tag(bits)).collect();
        let mut dense = values.iter().zip(&tags).filter(|((_, v), _)| matches!(v, FieldValue::Dense(_)));
        let tag = match (plain, tags.as_slice()) {
            (true, [tag]) => *tag,
            _ => {
                let mut hash = Xxh3::new();
                dense.by_ref().for_each(|((number, _), tag)| {
                    hash.update(&number.to_le_bytes());
                    hash.update(&tag.to_le_bytes());
                });
                hash.digest()
            }
        };
        let mut hash = Xxh3::new();
        hash.update(&view.version.to_le_bytes());
        for text in [view.id, view.payload] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        for ((number, _), bits) in values.iter().zip(&bytes) {
            if !plain {
                hash.update(&number.to_le_bytes());
                hash.update(&(bits.len() as u64).to_le_bytes());
            }
            hash.update(bits);
        }
        if let Some(at) = view.expires_at_ms {
            hash.update(&at.to_le_bytes());
        }
        Named { tags, tag, hash: hash.digest128() }
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
    pub values: Values,
    /// Of a shard that has the unnamed field only.
    pub plain: bool,
}

impl Record {
    pub fn encoded_len(&self) -> usize {
        let heads = if self.plain { 0 } else { VALUE_BYTES * self.values.len() };
        let values: usize = self.values.iter().map(|(_, value)| value.bytes()).sum();
        let expiry = self.expires_at_ms.map_or(0, |_| 8);
        FIXED_BYTES + heads + expiry + self.id.len() + self.payload.len() + values
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
        let mut values = Vec::new();
        if !self.plain {
            out.extend((self.values.len() as u32).to_le_bytes());
        }
        for (number, value) in &self.values {
            let from = values.len();
            encode_value(value, &mut values);
            if !self.plain {
                out.extend(number.to_le_bytes());
                out.extend(((values.len() - from) as u32).to_le_bytes());
            }
            out.extend(crc32fast::hash(&values[from..]).to_le_bytes());
        }
        self.expires_at_ms.into_iter().for_each(|at| out.extend(at.to_le_bytes()));
        out.extend(self.id.as_bytes());
        out.extend(self.payload.as_bytes());
        let head_crc = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&head_crc.to_le_bytes());
        out.extend(values);
        head_crc
    }
}

/// A record to be read, wherever it is. Its head has been verified.
pub(crate) struct View<'a> {
    pub id: &'a str,
    pub version: u64,
    pub payload: &'a str,
    pub expires_at_ms: Option<u64>,
    values: Stored<'a>,
}

enum Stored<'a> {
    Memory(&'a Values),
    Bytes(Vec<Part<'a>>),
    /// The one of a plain record: no list is made for it.
    Plain(Part<'a>),
}

/// A value in bytes.
#[derive(Clone, Copy)]
struct Part<'a> {
    number: u32,
    bytes: &'a [u8],
    crc: u32,
}

impl Part<'_> {
    fn check(&self) -> Result<(), &'static str> {
        match crc32fast::hash(self.bytes) == self.crc {
            true => Ok(()),
            false => Err("a vector does not match its checksum"),
        }
    }
}

/// What a record's bytes say.
struct Fields<'a> {
    row: Row,
    version: u64,
    id: &'a [u8],
    payload: &'a [u8],
    expires_at_ms: Option<u64>,
    values: Stored<'a>,
    /// Bytes before the values.
    head: usize,
    /// Bytes of all of it.
    len: usize,
}

impl<'a> View<'a> {
    pub fn of(record: &'a Record) -> Self {
        let Record { id, version, payload, expires_at_ms, values, .. } = record;
        let (version, expires_at_ms) = (*version, *expires_at_ms);
        Self { id, version, payload, expires_at_ms, values: Stored::Memory(values) }
    }

    /// The record that starts at `bytes`; its row, its view and its length. Verifies the head against its own
    /// checksum and against the one that the segment's table has for it.
    pub fn decode(
        bytes: &'a [u8],
        schema: &Schema,
        head_crc: u32,
    ) -> Result<(Row, Self, usize), &'static str> {
        let fields = Self::fields(bytes, schema.plain()).map_err(|e| e.0)?;
        let head = bytes.get(4..fields.head).unwrap_or(&[]);
        let stored = bytes.first_chunk().map(|b| u32::from_le_bytes(*b));
        if stored != Some(head_crc) || crc32fast::hash(head) != head_crc {
            return Err("a record does not match its checksum");
        }
        let (Ok(id), Ok(payload)) = (std::str::from_utf8(fields.id), std::str::from_utf8(fields.payload))
        else {
            return Err("a record's text is not UTF-8");
        };
        let Fields { row, version, expires_at_ms, values, len, .. } = fields;
        Ok((row, Self { id, version, payload, expires_at_ms, values }, len))
    }

    fn fields(bytes: &'a [u8], plain: Option<usize>) -> Decoded<Fields<'a>> {
        let mut r = Reader(bytes);
        r.u32()?;
        let (row, version) = (r.u32()?, r.u64()?);
        let (id_len, payload_len) = (r.u32()? as usize, r.u32()?);
        let expires = payload_len & EXPIRES != 0;
        let payload_len = (payload_len & !EXPIRES) as usize;
        let expiry = |r: &mut Reader<'_>| if expires { r.u64().map(Some) } else { Ok(None) };
        let read = |r: &Reader<'_>| bytes.len() - r.0.len();
        if let Some(dimension) = plain {
            let crc = r.u32()?;
            let expires_at_ms = expiry(&mut r)?;
            let (id, payload) = (r.take(id_len)?, r.take(payload_len)?);
            let head = read(&r);
            let values = Stored::Plain(Part { number: UNNAMED, bytes: r.take(dimension * 4)?, crc });
            return Ok(Fields { row, version, id, payload, expires_at_ms, values, head, len: read(&r) });
        }
        let heads = r.list(VALUE_BYTES, |r| Ok((r.u32()?, r.u32()? as usize, r.u32()?)))?;
        let expires_at_ms = expiry(&mut r)?;
        let (id, payload) = (r.take(id_len)?, r.take(payload_len)?);
        let head = read(&r);
        let mut part = |(number, len, crc)| Ok(Part { number, bytes: r.take(len)?, crc });
        let values = Stored::Bytes(heads.into_iter().map(&mut part).collect::<Decoded<_>>()?);
        Ok(Fields { row, version, id, payload, expires_at_ms, values, head, len: read(&r) })
    }

    fn parts(&self) -> &[Part<'a>] {
        match &self.values {
            Stored::Memory(_) => &[],
            Stored::Bytes(parts) => parts,
            Stored::Plain(part) => std::slice::from_ref(part),
        }
    }

    /// All values, verified. Those of fields that the schema does not have are left out.
    pub fn values(&self, schema: &Schema) -> Result<Values, &'static str> {
        if let Stored::Memory(values) = self.values {
            return Ok(values.clone());
        }
        let mut values = Values::new();
        for part in self.parts() {
            part.check()?;
            if let Some(field) = schema.by_number(part.number) {
                values.push((part.number, field.shape.decode(part.bytes)?));
            }
        }
        Ok(values)
    }

    /// The value in a field, verified; `None` if it has none.
    pub fn value(&self, schema: &Schema, number: u32) -> Result<Option<FieldValue>, &'static str> {
        if let Stored::Memory(values) = self.values {
            return Ok(values.iter().find(|(known, _)| *known == number).map(|(_, value)| value.clone()));
        }
        let part = self.parts().iter().find(|part| part.number == number);
        let Some((part, field)) = part.zip(schema.by_number(number)) else { return Ok(None) };
        part.check()?;
        field.shape.decode(part.bytes).map(Some)
    }

    /// Appends the vector of a dense field, verified; whether it has one.
    pub fn read_dense(&self, number: u32, into: &mut Vec<f32>) -> Result<bool, &'static str> {
        if let Stored::Memory(values) = self.values {
            let value = values.iter().find(|(known, _)| *known == number);
            if let Some((_, FieldValue::Dense(vector))) = value {
                into.extend_from_slice(vector);
            }
            return Ok(value.is_some());
        }
        let part = self.parts().iter().find(|part| part.number == number);
        let Some(part) = part else { return Ok(false) };
        part.check()?;
        into.extend(floats(part.bytes));
        Ok(true)
    }

    /// Whether all values are intact.
    pub fn check_values(&self) -> Result<(), &'static str> {
        self.parts().iter().try_for_each(Part::check)
    }

    /// Whether the dense values have exactly the bits of these.
    pub fn has_dense(&self, wanted: &Values, schema: &Schema) -> bool {
        let Ok(mine) = self.values(schema) else { return false };
        let dense = |values: &Values| -> Vec<(u32, Vec<u8>)> {
            let dense = values.iter().filter(|(_, value)| matches!(value, FieldValue::Dense(_)));
            dense.map(|(number, value)| (*number, value_bytes(value))).collect()
        };
        dense(&mine) == dense(wanted)
    }
}

/// Names the content of a row for the index: a graph is adopted where rows still hold the same vectors.
fn vector_tag(bits: &[u8]) -> u64 {
    xxh3_64(bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::{DenseField, FieldKind, NamedField, ShardConfig};
    use vectron_base::vectors::{MultiVector, SparseVector};
    use vectron_index::Metric;

    fn several() -> Schema {
        let mut config = ShardConfig::new(3, Metric::Dot);
        let kinds = [
            FieldKind::Dense(DenseField::new(2, Metric::Dot)),
            FieldKind::Sparse,
            FieldKind::Multi { dimension: 2, metric: Metric::Dot },
        ];
        for (at, kind) in kinds.into_iter().enumerate() {
            config.named.push(NamedField { number: at as u32 + 1, name: format!("f{at}"), kind });
        }
        Schema::of(&config)
    }

    fn check(schema: &Schema, values: Values) {
        check_ending(schema, values.clone(), None);
        check_ending(schema, values, Some(u64::MAX - 3));
    }

    fn check_ending(schema: &Schema, values: Values, expires_at_ms: Option<u64>) {
        let plain = schema.plain().is_some();
        let record =
            Record { id: "ä".into(), version: 9, payload: "{\"x\":1}".into(), expires_at_ms, values, plain };
        let mut bytes = vec![];
        let crc = record.encode(7, &mut bytes);
        assert_eq!(bytes.len(), record.encoded_len());
        let (row, view, len) = View::decode(&bytes, schema, crc).unwrap();
        assert_eq!((row, view.id, view.version, view.payload, len), (7, "ä", 9, "{\"x\":1}", bytes.len()));
        assert_eq!(view.expires_at_ms, expires_at_ms);
        assert_eq!(view.values(schema).unwrap(), record.values);
        assert!(view.has_dense(&record.values, schema));
        for (number, value) in &record.values {
            assert_eq!(view.value(schema, *number).unwrap().as_ref(), Some(value));
        }
        assert_eq!(view.value(schema, 99).unwrap(), None);
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let read = View::decode(&broken, schema, crc);
            assert!(read.is_err() || read.unwrap().1.check_values().is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(View::decode(&bytes[..cut], schema, crc).is_err());
        }
    }

    #[test]
    fn records_come_back_and_every_flipped_bit_is_noticed() {
        let first = (0, FieldValue::Dense(vec![1.5, -0.0, f32::MIN_POSITIVE]));
        let plain = Schema::of(&ShardConfig::new(3, Metric::Dot));
        check(&plain, vec![first.clone()]);
        let second = (1, FieldValue::Dense(vec![4.0, 5.0]));
        let sparse = (2, FieldValue::Sparse(SparseVector::new(vec![8, 3], vec![1.0, 2.0]).unwrap()));
        let multi = (3, FieldValue::Multi(MultiVector::new(2, vec![1.0, 2.0, 3.0, 4.0]).unwrap()));
        check(&several(), vec![first.clone(), second.clone(), sparse.clone(), multi.clone()]);
        check(&several(), vec![second, sparse]);
        check(&several(), vec![(2, FieldValue::Sparse(SparseVector::default()))]);
        check(&several(), vec![]);
    }

    #[test]
    fn the_sign_of_a_zero_is_another_vector() {
        let values = |x: f32| vec![(0, FieldValue::Dense(vec![1.5, x, 2.0]))];
        let plain = Schema::of(&ShardConfig::new(3, Metric::Dot));
        let record = Record {
            id: "a".into(),
            version: 1,
            payload: "{}".into(),
            expires_at_ms: None,
            values: values(-0.0),
            plain: true,
        };
        assert!(View::of(&record).has_dense(&values(-0.0), &plain));
        assert!(!View::of(&record).has_dense(&values(0.0), &plain));
    }
}
