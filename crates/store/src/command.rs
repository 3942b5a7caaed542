//! Commands: what the replicated log carries for a shard.
//!
//! Encoding, version 1, little-endian: version u8 · log time u64 · has key u8 \[key, body hash u64] ·
//! operation u8 · its items. Version 2 has the first and last hash of a range, u64 each, after the log time; commands
//! without a range are written as version 1. Version 3 has has range u8 \[first and last hash\] there, and in the place of
//! a point's vector a list of its fields: name · shape u8 (1 dense, 2 sparse, 3 multi) · value; written where some point
//! has something else than the unnamed vector. A sparse value is its indices and its values, u32 and f32; a multi one
//! its dimension u32 and all components. Operations 7 to 9 came later than version 2 and need no version of their own:
//! builds that do not know them answer that they do not. Texts and lists are preceded by a u32 length; vectors are raw f32.

use crate::batch::Batch;
use crate::bytes::{DecodeError, Decoded, Reader, Writer};
use crate::config::ShardConfig;
use crate::edit::PayloadEdit;
use crate::range::HashRange;
use crate::vectors::schema::Schema;
use vectron_base::FieldError;
use vectron_base::filter::{Filter, FilterLimits, json};
use vectron_base::ids::point_id_problem;
use vectron_base::vectors::{FieldValue, MultiVector, PointVectors, SparseVector};

const FORMAT: u8 = 1;
/// With a range.
const RANGED: u8 = 2;
/// With named fields.
const NAMED: u8 = 3;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 256;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The proposer's wall time; apply forces it to be non-decreasing.
    pub log_time_ms: u64,
    /// Makes a retry safe.
    pub idempotency: Option<Idempotency>,
    /// What the proposer believes that the shard takes at least. Where it has been split meanwhile the command is
    /// answered [`OutOfRange`](crate::Outcome::OutOfRange). Ids are held to the shard's range in any case; a delete by
    /// filter has no other way to say what it is about.
    pub range: Option<HashRange>,
    /// What to do.
    pub operation: Operation,
}

/// A client's key for one write, with what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Chosen by the client.
    pub key: String,
    /// Hash of the request's body: the same key with another body is refused.
    pub body_hash: u64,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Writes points whole.
    Upsert(Vec<UpsertPoint>),
    /// Deletes points by id.
    Delete(Vec<DeleteItem>),
    /// Deletes every point that a filter matches; the canonical filter text.
    DeleteByFilter(String),
    /// Ends the shard: every later write and read is refused.
    Seal,
    /// Notes the digest, see [`Shard::marks`](crate::Shard::marks). Changes nothing.
    Mark,
    /// Gives up the ids whose hash is `first` or more to a new shard, see [`Shard::fork`](crate::Shard::fork).
    Split {
        /// First hash of the new shard.
        first: u64,
        /// A number for the new shard, which means nothing here.
        child: u64,
    },
    /// Writes of several kinds, in order, each with its conditions.
    Batch(Batch),
    /// Changes the payload of every point that a filter matches; the canonical filter text. Answered
    /// [`Edited`](crate::Outcome::Edited).
    EditByFilter(String, PayloadEdit),
    /// Moves log time, and with it what ends by log time.
    Tick,
}

/// A point to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertPoint {
    /// 1 to 512 bytes.
    pub id: String,
    /// A value for each field that the point has.
    pub vector: PointVectors,
    /// A JSON object's text, kept to the byte.
    pub payload: String,
    /// The version that the point must have; 0: it must not exist.
    pub if_version: Option<u64>,
}

/// A point to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteItem {
    /// Whose.
    pub id: String,
    /// The version that the point must have; 0: it must not exist.
    pub if_version: Option<u64>,
}

impl Command {
    /// The bytes for the log.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let format = self.format();
        w.u8(format);
        w.u64(self.log_time_ms);
        if format == NAMED {
            w.u8(u8::from(self.range.is_some()));
        }
        if let Some(HashRange { first, last }) = self.range {
            w.u64(first);
            w.u64(last);
        }
        w.u8(u8::from(self.idempotency.is_some()));
        if let Some(Idempotency { key, body_hash }) = &self.idempotency {
            w.bytes(key.as_bytes());
            w.u64(*body_hash);
        }
        match &self.operation {
            Operation::Upsert(points) => {
                w.u8(1);
                w.len(points.len());
                points.iter().for_each(|point| point.encode(&mut w, format == NAMED));
            }
            Operation::Delete(items) => {
                w.u8(2);
                w.len(items.len());
                items.iter().for_each(|item| item.encode(&mut w));
            }
            Operation::DeleteByFilter(filter) => {
                w.u8(3);
                w.bytes(filter.as_bytes());
            }
            Operation::Seal => w.u8(4),
            Operation::Mark => w.u8(5),
            Operation::Split { first, child } => {
                w.u8(6);
                w.u64(*first);
                w.u64(*child);
            }
            Operation::Batch(batch) => {
                w.u8(7);
                batch.encode(&mut w, format == NAMED);
            }
            Operation::EditByFilter(filter, edit) => {
                w.u8(8);
                w.bytes(filter.as_bytes());
                edit.encode(&mut w);
            }
            Operation::Tick => w.u8(9),
        }
        w.0
    }

    /// The command of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        let mut r = Reader(bytes);
        let format = r.u8()?;
        if !(FORMAT..=NAMED).contains(&format) {
            return Err(DecodeError("unknown command format"));
        }
        let log_time_ms = r.u64()?;
        let ranged = format == RANGED || format == NAMED && r.flag()?;
        let range = match ranged {
            true => Some(HashRange { first: r.u64()?, last: r.u64()? }),
            false => None,
        };
        let idempotency = match r.flag()? {
            true => Some(Idempotency { key: r.text()?.into(), body_hash: r.u64()? }),
            false => None,
        };
        let operation = match r.u8()? {
            1 => Operation::Upsert(r.list(13, |r| upsert_point(r, format == NAMED))?),
            2 => Operation::Delete(r.list(5, delete_item)?),
            3 => Operation::DeleteByFilter(r.text()?.into()),
            4 => Operation::Seal,
            5 => Operation::Mark,
            6 => Operation::Split { first: r.u64()?, child: r.u64()? },
            7 => Operation::Batch(Batch::decode(&mut r, format == NAMED)?),
            8 => Operation::EditByFilter(r.text()?.into(), PayloadEdit::decode(&mut r)?),
            9 => Operation::Tick,
            _ => return Err(DecodeError("unknown operation")),
        };
        r.end()?;
        Ok(Command { log_time_ms, idempotency, range, operation })
    }

    /// The oldest format that can say it.
    fn format(&self) -> u8 {
        let named = |point: &UpsertPoint| point.vector.only_unnamed().is_none();
        match &self.operation {
            Operation::Upsert(points) if points.iter().any(named) => NAMED,
            Operation::Batch(batch) if batch.points().any(named) => NAMED,
            _ if self.range.is_some() => RANGED,
            _ => FORMAT,
        }
    }

    /// Why such a shard would answer `Malformed`; `None` when it would not. Proposers ask first, so that a bad request
    /// never reaches the log; apply asks again, because it trusts nobody.
    pub fn problem(&self, config: &ShardConfig) -> Option<FieldError> {
        self.problem_with(&Schema::of(config))
    }

    pub(crate) fn problem_with(&self, schema: &Schema) -> Option<FieldError> {
        let refuse = |field: String, reason: String| Some(FieldError { field, reason });
        if let Some(Idempotency { key, .. }) = &self.idempotency
            && (key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX_BYTES)
        {
            let reason = format!("has {} bytes, expected 1 to {IDEMPOTENCY_KEY_MAX_BYTES}", key.len());
            return refuse("idempotency_key".into(), reason);
        }
        if self.idempotency.is_some()
            && matches!(self.operation, Operation::Mark | Operation::Split { .. } | Operation::Tick)
        {
            return refuse("idempotency_key".into(), "marks, splits and ticks take none".into());
        }
        match &self.operation {
            Operation::Upsert(points) => {
                for (i, point) in points.iter().enumerate() {
                    if let Some((part, reason)) = point.problem(schema) {
                        return refuse(format!("points[{i}].{part}"), reason);
                    }
                }
                twice("points", points.iter().map(|p| p.id.as_str()))
            }
            Operation::Delete(items) => {
                for (i, item) in items.iter().enumerate() {
                    if let Some(reason) = point_id_problem(&item.id) {
                        return refuse(format!("ids[{i}]"), reason);
                    }
                }
                twice("ids", items.iter().map(|item| item.id.as_str()))
            }
            Operation::DeleteByFilter(text) => filter_problem(text),
            Operation::EditByFilter(text, edit) => match edit.problem() {
                Some(reason) => refuse("payload".into(), reason),
                None => filter_problem(text),
            },
            Operation::Batch(batch) => batch.problem(schema),
            Operation::Seal | Operation::Mark | Operation::Split { .. } | Operation::Tick => None,
        }
    }
}

fn filter_problem(text: &str) -> Option<FieldError> {
    let error = Filter::parse(text, &FilterLimits::REPLICATED).err()?;
    Some(FieldError { field: error.path, reason: error.reason })
}

/// One version names one content, so one command names an id once.
fn twice<'a>(list: &str, ids: impl Iterator<Item = &'a str>) -> Option<FieldError> {
    let mut sorted: Vec<(&str, usize)> = ids.enumerate().map(|(i, id)| (id, i)).collect();
    sorted.sort_unstable();
    let pair = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    let (first, second) = (pair[0].1, pair[1].1);
    Some(FieldError {
        field: format!("{list}[{second}]"),
        reason: format!("has the same id as {list}[{first}]; send each id once per batch"),
    })
}

impl UpsertPoint {
    /// With `named` fields, or with the unnamed vector only.
    pub(crate) fn encode(&self, w: &mut Writer, named: bool) {
        w.bytes(self.id.as_bytes());
        match self.vector.only_unnamed().filter(|_| !named) {
            Some(vector) => write_floats(w, vector),
            None => write_fields(w, &self.vector),
        }
        w.bytes(self.payload.as_bytes());
        w.option(self.if_version);
    }

    pub(crate) fn problem(&self, schema: &Schema) -> Option<(String, String)> {
        if let Some(reason) = point_id_problem(&self.id) {
            return Some(("id".into(), reason));
        }
        if let Some(problem) = schema.problem(&self.vector) {
            return Some(problem);
        }
        json::check_object(&self.payload).err().map(|e| ("payload".into(), e.to_string()))
    }
}

impl DeleteItem {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.bytes(self.id.as_bytes());
        w.option(self.if_version);
    }
}

pub(crate) fn upsert_point(r: &mut Reader<'_>, named: bool) -> Decoded<UpsertPoint> {
    let id = r.text()?.into();
    let vector = if named { read_fields(r)? } else { PointVectors::unnamed(read_floats(r)?) };
    Ok(UpsertPoint { id, vector, payload: r.text()?.into(), if_version: r.option()? })
}

fn write_floats(w: &mut Writer, values: &[f32]) {
    w.len(values.len());
    w.floats(values);
}

fn read_floats(r: &mut Reader<'_>) -> Decoded<Vec<f32>> {
    let n = r.u32()? as usize;
    r.floats(n)
}

fn write_fields(w: &mut Writer, vectors: &PointVectors) {
    w.len(vectors.len());
    for (name, value) in vectors.iter() {
        w.bytes(name.as_bytes());
        match value {
            FieldValue::Dense(vector) => {
                w.u8(1);
                write_floats(w, vector);
            }
            FieldValue::Sparse(vector) => {
                w.u8(2);
                w.len(vector.len());
                vector.indices().iter().for_each(|index| w.u32(*index));
                w.floats(vector.values());
            }
            FieldValue::Multi(vectors) => {
                w.u8(3);
                w.len(vectors.dimension());
                write_floats(w, vectors.values());
            }
        }
    }
}

fn read_fields(r: &mut Reader<'_>) -> Decoded<PointVectors> {
    let fields = r.list(9, |r| {
        let name = r.text()?.into();
        let value = match r.u8()? {
            1 => FieldValue::Dense(read_floats(r)?),
            2 => {
                let indices = r.list(8, Reader::u32)?;
                let values = r.floats(indices.len())?;
                let vector = SparseVector::new(indices, values);
                FieldValue::Sparse(vector.map_err(|_| DecodeError("has a bad sparse vector"))?)
            }
            3 => {
                let dimension = r.u32()? as usize;
                let vectors = MultiVector::new(dimension, read_floats(r)?);
                FieldValue::Multi(vectors.map_err(|_| DecodeError("has a bad list of vectors"))?)
            }
            _ => return Err(DecodeError("a value has an unknown shape")),
        };
        Ok((name, value))
    })?;
    PointVectors::new(fields).map_err(|_| DecodeError("a field has two values"))
}

pub(crate) fn delete_item(r: &mut Reader<'_>) -> Decoded<DeleteItem> {
    Ok(DeleteItem { id: r.text()?.into(), if_version: r.option()? })
}
