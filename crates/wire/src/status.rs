//! What a worker says of one shard when it is asked for its status.

use crate::recall::RecallFigure;
use crate::worker::Name;
use vectron_base::filter::FieldIndex;

/// Where a shard's memory goes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct CodeError {
    /// `none`, `8bit` or `4bit`.
    pub kind: Name,
    /// Mean distance between a vector and its code, as a share of the vector's length.
    pub error_mean: Option<f64>,
    /// The same of the finer codes that the graph is built by.
    pub error_fine_mean: Option<f64>,
}

/// Efforts that reach recall targets, as measured on a shard's own points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// How far a payload index is in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldIndexStatus {
    /// Which.
    pub index: FieldIndex,
    /// Whether filters use it.
    pub ready: bool,
    /// Points it covers.
    pub points_indexed: u64,
    /// Points it has to cover.
    pub points_total: u64,
    /// In memory.
    pub bytes: u64,
    /// Points with a value that is not of the index's type; filters look at their payloads.
    pub irregular: u64,
}

/// Figures of one shard replica, as they are now. What a shard does not measure is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardStatus {
    /// Live points.
    pub points: u64,
    /// Points that the graph does not hold yet.
    pub index_lag: u64,
    /// Deleted rows that the graph still passes through.
    pub tombstones: u64,
    /// On disk, without the shared journal.
    pub disk_bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// Last entry that the checkpoint covers.
    pub durable_index: u64,
    /// Whether this replica leads its shard.
    pub leads: bool,
    /// Damage found and repaired since the start, in words.
    pub damage: Vec<String>,
    /// Where `memory_bytes` goes.
    pub memory: Option<MemorySplit>,
    /// What the codes are, and how far they are off.
    pub quantization: Option<CodeError>,
    /// Efforts for recall targets.
    pub calibration: Option<Calibration>,
    /// How far each payload index is, by field.
    pub field_indexes: Vec<FieldIndexStatus>,
    /// The recall of live searches, by selectivity and target.
    pub recall: Vec<RecallFigure>,
}
