//! Figures of collections and their shards.

use super::PayloadIndex;
use serde::Serialize;
use utoipa::ToSchema;

/// Figures of a collection, as they are now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CollectionStatus {
    /// Its name.
    pub name: String,
    /// Numbers per vector.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
    /// Points in the shards that answered.
    pub points: u64,
    /// Points that are searched exactly because the graph does not hold them yet.
    pub index_lag: u64,
    /// On disk.
    pub bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// Memory per point; absent without points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_point: Option<f64>,
    /// Where the memory goes; absent unless every shard gave its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySplit>,
    /// Payload indexes, by field.
    pub indexes: Vec<PayloadIndex>,
    /// The recall of live searches over all shards, by selectivity and target: a share of them is measured exactly in
    /// the background.
    pub recall: Vec<RecallFigure>,
    /// Each shard.
    pub shards: Vec<ShardStatus>,
}

/// Figures of one shard.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ShardStatus {
    /// Its number in the cluster.
    pub id: u64,
    /// The worker that leads it; null while there is none.
    pub leader: Option<u64>,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// Whether a leader answered.
    pub ready: bool,
    /// Points.
    pub points: u64,
    /// Points that the graph does not hold yet.
    pub index_lag: u64,
    /// On disk.
    pub bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// Last log entry applied.
    pub applied_index: u64,
    /// Last log entry covered by a checkpoint.
    pub durable_index: u64,
    /// Deleted rows that the graph still passes through until the next sweep.
    pub tombstones: u64,
    /// Damage found and repaired since the start, in words.
    pub damage: Vec<String>,
    /// Memory per point; absent without points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_point: Option<f64>,
    /// Where the memory goes; absent where the shard does not measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemorySplit>,
    /// What the codes are, and how far they are off; absent where the shard does not measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationStatus>,
    /// Efforts that reach recall targets; absent until the shard has measured them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Payload indexes, by field.
    pub indexes: Vec<PayloadIndex>,
    /// The recall of live searches, by selectivity and target.
    pub recall: Vec<RecallFigure>,
}

/// The recall of the last searches of one kind that were measured.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecallFigure {
    /// What share of the points their filters let pass: `all` without one, `over_10_percent`, `1_to_10_percent` or
    /// `under_1_percent`.
    pub selectivity: String,
    /// The recall that was asked for; absent where an effort was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f32>,
    /// How many were measured: of each shard the last 256.
    pub samples: u64,
    /// The mean share of true neighbours that they found.
    pub recall: f64,
    /// In some shard the mean is below the target by more than chance explains.
    pub missed: bool,
}

/// Where memory goes, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct MemorySplit {
    /// Quantized vectors.
    pub codes: u64,
    /// Full vectors in memory; none when they are mapped.
    pub vectors: u64,
    /// The graph.
    pub links: u64,
    /// Payload indexes.
    pub payload_indexes: u64,
    /// Ids, row tables, unsaved records, remembered writes.
    pub other: u64,
}

/// What a shard's codes are, and how far they are off.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QuantizationStatus {
    /// `none`, `8bit` or `4bit`.
    pub kind: String,
    /// Mean distance between a vector and its code, as a share of the vector's length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_mean: Option<f64>,
    /// The same of the finer codes that the graph is built by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_fine_mean: Option<f64>,
}

/// Efforts that reach recall targets, as measured on a shard's own points.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Calibration {
    /// Points in the shard when it was measured.
    pub measured_at_points: u64,
    /// `ef` for a recall of 0.90.
    pub ef_90: u32,
    /// `ef` for a recall of 0.95.
    pub ef_95: u32,
    /// `ef` for a recall of 0.99.
    pub ef_99: u32,
}

/// A replica and where it lives.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Replica {
    /// Its number, never reused.
    pub id: u64,
    /// Its worker.
    pub worker: u64,
}
