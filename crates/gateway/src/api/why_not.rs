//! Why a search returns a point, or does not.

use super::{JsonText, ReadMeta};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a search returns a point, or does not. Everything is measured exactly, at the applied indexes of this answer.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"id": "a", "verdict": "approximate_miss",
    "detail": "its true rank is 7 of 10, but the search with ef 64 misses it; with ef 96 it is found",
    "version": 17, "score": 0.83, "rank": 7, "ef": 64, "ef_needed": 96, "filtered_by": []}))]
pub struct WhyNotResponse {
    /// The point's.
    pub id: String,
    /// `present`, `absent`, `deleted`, `expired`, `filtered`, `below_threshold`, `approximate_miss` or `outranked`.
    pub verdict: String,
    /// The same as a sentence for people.
    pub detail: String,
    /// Of the point, or of the write that removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The point's score, by its full vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// Its true rank among all points that pass the filter, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
    /// Its position in the search's results, from 1; only if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Candidates that the search keeps in the point's shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    /// Of an approximate miss: with so many the search finds it. Absent if only an exact search does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef_needed: Option<u32>,
    /// When it was removed, in milliseconds since the Unix epoch. Removals are remembered in bounded memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at_ms: Option<u64>,
    /// The clauses of the filter that it fails.
    pub filtered_by: Vec<FailedClause>,
    /// What the answer rests on.
    pub meta: Option<ReadMeta>,
}

/// A clause of a filter that a point fails.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailedClause {
    /// The clause as a filter of its own.
    #[schema(value_type = Object)]
    pub clause: JsonText,
    /// What the point has in the fields that it asks for.
    pub values: Vec<FieldValue>,
}

/// What a point has in a field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldValue {
    /// Dotted path.
    pub field: String,
    /// The value; absent where there is none. Of a long one the beginning, as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<JsonText>,
}
