//! Changing payloads, and writes of several kinds in one request.

use super::{ItemFailure, JsonText, PointId, PointInput, filter_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A point, and under which conditions it is touched.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PointCondition {
    /// Its id.
    pub id: PointId,
    /// Only if the point has this version.
    pub if_version: Option<u64>,
    /// Only if its payload passes.
    #[schema(schema_with = filter_schema)]
    pub if_filter: Option<JsonText>,
}

/// A change of payloads: one of `merge`, `replace` and `unset`, for the points of one of `ids`, `points` and `filter`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["a42"], "merge": {"section": "devel", "old": null}}))]
pub struct PayloadRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// A JSON merge patch (RFC 7396): a member that is null is removed, an object is merged into the object there,
    /// anything else replaces. Values that it does not name keep their text.
    #[schema(value_type = Option<Object>)]
    pub merge: Option<JsonText>,
    /// The whole payload.
    #[schema(value_type = Option<Object>)]
    pub replace: Option<JsonText>,
    /// Dotted paths to remove, through objects; one that leads to nothing is fine.
    pub unset: Option<Vec<String>>,
    /// These points.
    pub ids: Option<Vec<PointId>>,
    /// These points, each under its conditions.
    pub points: Option<Vec<PointCondition>>,
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

/// What became of a change of payloads.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"updated": 1, "failed": [], "failed_unlisted": 0, "missing": [], "session": "AQEBARGnc2Yx", "replayed": false}))]
pub struct PayloadResponse {
    /// Points changed, durably.
    pub updated: u64,
    /// Points not changed, with the reason of each.
    pub failed: Vec<ItemFailure>,
    /// By filter a shard lists its first 100 failures; how many more there are.
    pub failed_unlisted: u64,
    /// Ids without a point.
    pub missing: Vec<String>,
    /// Pass it as a session token to read your own writes.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}

/// One write: exactly one of the members.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchOperation {
    /// Insert or replace a point.
    pub upsert: Option<PointInput>,
    /// Delete a point.
    pub delete: Option<PointCondition>,
    /// Change a point's payload.
    pub payload: Option<PayloadOperation>,
}

/// A change of one payload: one of `merge`, `replace` and `unset`, as in a change of payloads.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadOperation {
    /// Whose.
    pub id: PointId,
    /// Only if the point has this version.
    pub if_version: Option<u64>,
    /// Only if its payload passes.
    #[schema(schema_with = filter_schema)]
    pub if_filter: Option<JsonText>,
    /// A JSON merge patch (RFC 7396).
    #[schema(value_type = Option<Object>)]
    pub merge: Option<JsonText>,
    /// The whole payload.
    #[schema(value_type = Option<Object>)]
    pub replace: Option<JsonText>,
    /// Dotted paths to remove.
    pub unset: Option<Vec<String>>,
}

/// Writes of several kinds.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"operations": [{"delete": {"id": "a41"}}, {"payload": {"id": "a42", "unset": ["old"]}}]}))]
pub struct BatchRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// In order; validated whole, then atomic per shard. An id may come more than once: a later operation finds what
    /// an earlier one left.
    pub operations: Vec<BatchOperation>,
    /// A retry with the same key applies exactly once (window 24 h).
    #[schema(min_length = 1, max_length = 256)]
    pub idempotency_key: Option<String>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BatchResult {
    /// Its point.
    pub id: String,
    /// `applied`, `missing` (nothing to delete or change) or `failed`.
    pub status: String,
    /// Of what was applied: the point's version, or the version at which it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Of what failed: as in problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of what failed: a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of a condition that did not hold: the version found; 0 when the point is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_version: Option<u64>,
}

/// What became of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BatchResponse {
    /// One for each operation, in order.
    pub results: Vec<BatchResult>,
    /// Pass it as a session token to read your own writes.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}
