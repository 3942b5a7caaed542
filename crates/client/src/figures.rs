//! What collections, shards and payload indexes say of themselves. Serialised, it looks like the REST answers.

use serde::Serialize;

/// What a collection holds and who serves it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct CollectionStatus {
    pub name: String,
    pub dimension: u32,
    pub distance: String,
    pub points: u64,
    pub index_lag: u64,
    pub bytes: u64,
    pub memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_point: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySplit>,
    pub indexes: Vec<PayloadIndex>,
    pub recall: Vec<RecallFigure>,
    pub shards: Vec<ShardStatus>,
}

/// One shard's state.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct ShardStatus {
    pub id: u64,
    pub leader: Option<u64>,
    pub replicas: Vec<Replica>,
    pub ready: bool,
    pub points: u64,
    pub index_lag: u64,
    pub bytes: u64,
    pub memory_bytes: u64,
    pub applied_index: u64,
    pub durable_index: u64,
    pub tombstones: u64,
    pub damage: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_point: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySplit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    pub indexes: Vec<PayloadIndex>,
    pub recall: Vec<RecallFigure>,
}

/// The recall of the last searches of one kind that were measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct RecallFigure {
    pub selectivity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f32>,
    pub samples: u64,
    pub recall: f64,
    pub missed: bool,
}

/// Where memory goes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct MemorySplit {
    pub codes: u64,
    pub vectors: u64,
    pub links: u64,
    pub payload_indexes: u64,
    pub other: u64,
}

/// What a shard's codes are, and how far they are off.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct QuantizationStatus {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_fine_mean: Option<f64>,
}

/// Efforts that reach recall targets, as measured on a shard's own points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct Calibration {
    pub measured_at_points: u64,
    pub ef_90: u32,
    pub ef_95: u32,
    pub ef_99: u32,
}

/// A payload index and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are the public contract's; see proto/apigateway.proto")]
pub struct PayloadIndex {
    pub field: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub ready: bool,
    pub points_indexed: u64,
    pub points_total: u64,
    pub bytes: u64,
    pub points_irregular: u64,
}

/// The answer to adding a payload index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IndexCreated {
    /// The field.
    pub field: String,
    /// What its values are indexed as.
    #[serde(rename = "type")]
    pub kind: String,
    /// False when the same index was there already.
    pub created: bool,
}

/// A copy of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// Number, never reused.
    pub id: u64,
    /// Worker that holds it.
    pub worker: u64,
}
