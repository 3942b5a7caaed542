//! An effort by a collection's own queries.

use super::ReadMeta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which effort reaches a recall on the queries that the collection was asked lately?
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"recall_target": 0.99}))]
pub struct TuneRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Share of the true neighbours to find, 0.5 to 0.999. Default 0.95.
    #[schema(minimum = 0.5, maximum = 0.999)]
    pub recall_target: Option<f32>,
    /// Default: the server's. Half of it may be spent on measuring.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// A proposal, and what it rests on. Nothing is changed: searches take it as `params.ef`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TuneResponse {
    /// The recall to reach.
    pub recall_target: f32,
    /// The least effort tried that reaches it; absent if none does, or if nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<u32>,
    /// The recall that it reaches; absent if it was not measured on queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// `queries` of late, `points` where there were none, or `nothing`.
    pub source: String,
    /// How many queries were measured, over all shards.
    pub queries: u64,
    /// What each effort found on them.
    pub rungs: Vec<TuneRung>,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// What one effort found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TuneRung {
    /// The effort.
    pub ef: u32,
    /// The mean share of true neighbours that it found.
    pub recall: f64,
    /// Distances per query and shard.
    pub distances_mean: f64,
}
