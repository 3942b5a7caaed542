//! What calls answer, as plain types. Serialised, they look like the REST answers.

use crate::consistency::Consistency;
use crate::error::Error;
use crate::vectors::FieldVector;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use vectron_base::{Code, Outcome};

pub use crate::figures::*;

/// A JSON object, kept as the text it came as: numbers keep every digit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// The payload of a JSON object's text.
    pub fn from_json(text: String) -> Result<Self, Error> {
        let object = text.trim_start().starts_with('{');
        match RawValue::from_string(text) {
            Ok(raw) if object => Ok(Self(raw)),
            Ok(_) => {
                Err(Error::local(Code::InvalidArgument, "a payload is a JSON object such as {\"a\": 1}"))
            }
            Err(error) => Err(Error::local(Code::InvalidArgument, format!("payload is not JSON: {error}"))),
        }
    }

    /// The payload that `value` serialises to.
    pub fn of(value: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::local(Code::InvalidArgument, format!("payload: {error}")))?;
        Self::from_json(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The payload as a type of yours.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// A stored point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Id.
    pub id: String,
    /// Vector, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    /// Values by field, when asked for, of a point that has other fields than the unnamed one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, FieldVector>,
    /// Payload, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// Grows with every change of the point.
    pub version: u64,
}

/// A search result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredPoint {
    /// Id.
    pub id: String,
    /// Higher is better, for every distance.
    pub score: f32,
    /// Version that was scored.
    pub version: u64,
    /// Payload, unless declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// Vector, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    /// Values by field, when asked for, of a point that has other fields than the unnamed one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, FieldVector>,
}

/// A collection's settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collection {
    /// Name.
    pub name: String,
    /// Numbers per vector.
    pub dimension: u32,
    /// cosine, dot or euclidean.
    pub distance: String,
    /// Shards.
    pub shards: u32,
    /// Voters per shard.
    pub replication_factor: u32,
    /// Default consistency of reads.
    pub read_policy: Consistency,
    /// How vectors are coded for the search: auto, none, 8bit or 4bit.
    pub quantization: String,
    /// Where full vectors are kept: ram or mmap.
    pub storage: String,
    /// The shape of the graph.
    pub index: IndexSettings,
    /// How long points live that name no time of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// One life of the name.
    pub incarnation: u64,
    /// Settings that can change later.
    pub changeable: Vec<String>,
}

/// The shape of a collection's graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexSettings {
    /// Most links per point.
    pub degree: u32,
    /// Candidates kept while a point is linked.
    pub ef_construction: u32,
}

/// The answer to a creation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Created {
    /// The collection.
    pub collection: Collection,
    /// False when the same collection was there already.
    pub created: bool,
}

/// One point of a batch that was not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Id of the point.
    pub id: String,
    /// As in errors: `version_mismatch` …
    pub code: String,
    /// A sentence.
    pub detail: String,
    /// The version found, for `version_mismatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<u64>,
}

/// The answer to an upsert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsertAnswer {
    /// Points written.
    pub upserted: u64,
    /// Points refused, each with its reason.
    #[serde(default)]
    pub failed: Vec<ItemFailure>,
    /// Pass it as a session token to read your own writes.
    #[serde(default)]
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    #[serde(default)]
    pub replayed: bool,
}

impl UpsertAnswer {
    /// Why this is not the last word: the first point that may be written by the same batch under the same
    /// idempotency key later. The outcome is unknown, because other points of the batch are written.
    pub fn unfinished(&self) -> Option<Error> {
        let retryable = |item: &ItemFailure| Code::parse(&item.code).filter(|code| code.retryable());
        let (first, code) = self.failed.iter().find_map(|item| Some((item, retryable(item)?)))?;
        let waiting = self.failed.iter().filter(|item| retryable(item).is_some()).count();
        let points = if waiting == 1 { "point" } else { "points" };
        let detail = format!("{waiting} {points} of a batch could not be written: {}", first.detail);
        let mut error = Error::local(code, detail);
        error.fault.outcome = Outcome::Unknown;
        Some(error)
    }
}

/// The answer to a delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeleteAnswer {
    /// Points that were there and are gone.
    pub deleted: u64,
    /// Points under conditions that were not deleted, each with its reason.
    pub failed: Vec<ItemFailure>,
    /// Session token.
    pub session: String,
    /// As in [`UpsertAnswer::replayed`].
    pub replayed: bool,
}

/// What stands behind an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReadMeta {
    /// Time inside the server.
    pub took_ms: f64,
    /// True when a shard is missing from the answer.
    pub partial: bool,
    /// Reasons why the answer may be less than asked for.
    pub degraded: Vec<String>,
    /// Freshness delivered.
    pub consistency: Delivered,
    /// Who answered.
    pub shards: AnsweredShards,
    /// Session token.
    pub session: String,
}

/// Freshness delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// Level by name.
    pub level: String,
    /// Age of the oldest part.
    pub staleness_ms: u64,
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnsweredShards {
    /// Shards asked.
    pub total: u32,
    /// Shards that answered.
    pub answered: u32,
    /// Shards that did not.
    pub failed: Vec<ShardFailure>,
}

/// A shard that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShardFailure {
    /// Shard.
    pub shard: u64,
    /// Code of the contract.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// The answer to a get.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GetAnswer {
    /// The point.
    pub point: Point,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// The answer to a batch get.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointsAnswer {
    /// In the order of the request.
    pub points: Vec<Point>,
    /// Ids that are not there.
    pub missing: Vec<String>,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// One page of a scroll.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScrollAnswer {
    /// In id order.
    pub points: Vec<Point>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// The answer to a count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CountAnswer {
    /// Points that match.
    pub count: u64,
    /// Between which numbers it lies, if it is an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<(u64, u64)>,
    /// What stands behind it.
    pub meta: ReadMeta,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchAnswer {
    /// Ties feedback to this search.
    pub search_id: String,
    /// Best first.
    pub results: Vec<ScoredPoint>,
    /// What stands behind it.
    pub meta: ReadMeta,
    /// When asked for.
    pub explain: Option<Explain>,
}

/// How a search was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explain {
    /// By shard.
    pub shards: Vec<ShardExplain>,
    /// Where the time went, in order.
    pub stages: Vec<Stage>,
}

/// How one shard did its part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct ShardExplain {
    pub shard: u64,
    pub plan: String,
    pub ef: u32,
    pub rows_live: u64,
    pub filter_matched: Option<u64>,
    pub distances: u64,
    pub hops: u64,
    pub tail_scanned: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precise: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterExplain>,
    pub applied_index: u64,
    pub stages: Vec<Stage>,
}

/// How one shard answered a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct FilterExplain {
    pub plan: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<u64>,
    pub unindexed: Vec<String>,
}

/// A part of the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What was done.
    pub name: String,
    /// Microseconds.
    pub us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_keep_every_digit_and_are_objects() {
        let text = r#"{"n":12345678901234567890123,"x":0.1000}"#;
        let payload = Payload::from_json(text.into()).unwrap();
        assert_eq!(serde_json::to_string(&payload).unwrap(), text);
        for bad in ["[1]", "3", "{", "", "{} {}"] {
            assert!(Payload::from_json(bad.into()).is_err(), "{bad}");
        }
    }
}
