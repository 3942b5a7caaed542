//! Points: writing, reading by id, deleting, paging, counting.

use super::{
    Consistency, CountEstimate, JsonText, OrderBy, PackedValue, PointId, ReadMeta, VectorValue, filter_schema,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A point to write. Give `vector` or `vector_b64`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "a42", "vector": [0.1, 0.2, 0.3], "payload": {"section": "libs"}}))]
pub struct PointInput {
    /// Its id.
    pub id: PointId,
    /// Finite 32-bit numbers, as many as the collection's dimension; or an object with a value for each vector field
    /// that the point has.
    pub vector: Option<VectorValue>,
    /// In place of `vector`: base64 of little-endian 32-bit floats, or an object of such by field. Cheaper for large
    /// batches.
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    pub vector_b64: Option<PackedValue>,
    /// Any JSON object. Default {}.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<JsonText>,
    /// Write only if the point has this version; 0 = must not exist.
    pub if_version: Option<u64>,
    /// Write only if the point exists and its payload passes.
    #[schema(schema_with = filter_schema)]
    pub if_filter: Option<JsonText>,
    /// The point ends by itself this long after it is written; 0 = never. Default: the collection's.
    pub ttl_ms: Option<u64>,
    /// In place of `ttl_ms`: the time at which it ends, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
}

/// Points to insert or replace.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpsertRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// The points: validated whole, then atomic per shard. An empty list is fine.
    pub points: Vec<PointInput>,
    /// A retry with the same key applies exactly once (window 24 h).
    #[schema(min_length = 1, max_length = 256)]
    pub idempotency_key: Option<String>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// An item that was not written.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ItemFailure {
    /// Its point.
    pub id: String,
    /// As in problems: `version_mismatch` …
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// The version found, for `version_mismatch`; 0 when the point is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version: Option<u64>,
}

/// What became of an upsert.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"upserted": 1, "failed": [], "session": "AQEBARGnc2Yx", "replayed": false}))]
pub struct UpsertResponse {
    /// Points written, durably.
    pub upserted: u64,
    /// Points not written, with the reason of each.
    pub failed: Vec<ItemFailure>,
    /// Pass it as a session token to read your own writes.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}

/// A point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Point {
    /// Its id.
    pub id: String,
    /// Grows with every change of the point.
    pub version: u64,
    /// The JSON object as written, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<JsonText>,
    /// The vectors as written, if asked for: a list for the unnamed one alone, else an object by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorValue>,
}

/// One point to read.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// From the path.
    pub collection: String,
    /// From the path.
    pub id: String,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    pub timeout_ms: Option<u64>,
}

/// The point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GetResponse {
    /// The point.
    pub point: Point,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// Points to read.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["a42", 7]}))]
pub struct BatchGetRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Which. An empty list is fine.
    pub ids: Vec<PointId>,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// The points that are there, and the ids of those that are not.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchGetResponse {
    /// In the order of the request.
    pub points: Vec<Point>,
    /// Ids without a point, in the order of the request.
    pub missing: Vec<String>,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// Points to delete: by `ids`, by `points` with conditions, or by `filter`; one of them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["a42"]}))]
pub struct DeleteRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// These points. An empty list is fine.
    pub ids: Option<Vec<PointId>>,
    /// These points, each under its conditions.
    pub points: Option<Vec<super::PointCondition>>,
    /// Every point that passes.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// A retry with the same key applies exactly once (window 24 h).
    #[schema(min_length = 1, max_length = 256)]
    pub idempotency_key: Option<String>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// What became of a delete.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeleteResponse {
    /// Points that were there and are gone. Deleting what is not there is fine and counts 0.
    pub deleted: u64,
    /// Points of `points` that were not deleted, with the reason of each.
    pub failed: Vec<ItemFailure>,
    /// Pass it as a session token to read your own writes.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}

/// A page of points to read.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limit": 100}))]
pub struct ScrollRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// Default 100.
    #[schema(minimum = 1)]
    pub limit: Option<u64>,
    /// Default: by id.
    pub order_by: Option<OrderBy>,
    /// `next_cursor` of the page before, with the same filter and order.
    pub cursor: Option<String>,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// A page in the order asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScrollResponse {
    /// The points.
    pub points: Vec<Point>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// Points to count.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"filter": {"section": "libs"}}))]
pub struct CountRequest {
    /// False: about how many, by what payload indexes say at once. Default true.
    pub exact: Option<bool>,
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// A count, exact unless asked otherwise.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CountResponse {
    /// How many.
    pub count: u64,
    /// Between which numbers it lies, if it is not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<CountEstimate>,
    /// What the answer rests on.
    pub meta: ReadMeta,
}
