//! Figures for operators.

use crate::shard::Shard;

/// A shard's size and backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardStats {
    /// Live points.
    pub points: u64,
    /// Points that wait for the graph: scanned exactly by every search until then. Zero in a shard too small for
    /// a graph.
    pub pending: u64,
    /// Deleted rows that the graph still walks across.
    pub tombstones: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of the files that the last checkpoint consists of.
    pub disk_bytes: u64,
    /// Bytes held in memory: index, row table, id map, unsaved records. An estimate.
    pub memory_bytes: u64,
    /// Record bytes that wait for the next checkpoint.
    pub bytes_since_checkpoint: u64,
    /// Whether those are enough for a checkpoint to be due.
    pub checkpoint_due: bool,
    /// Last index applied.
    pub applied_index: u64,
    /// Index that the last checkpoint covers.
    pub durable_index: u64,
}

impl Shard {
    /// Figures of this moment.
    pub fn stats(&self) -> ShardStats {
        /// An id map entry with its key's allocation, without the key.
        const ID_BYTES: u64 = 64;
        let state = self.state.read();
        let points = state.ids.len() as u64;
        let segments: u64 = state.segments.values().map(|s| s.segment.len()).sum();
        ShardStats {
            points,
            // Under the size at which a graph is worth it, nothing waits: the scan is the index.
            pending: state.index.next_pending().map_or(0, |_| state.index.pending() as u64),
            tombstones: state.index.tombstones() as u64,
            segments: state.segments.len() as u64,
            disk_bytes: segments + self.graph_bytes.load(std::sync::atomic::Ordering::Relaxed),
            memory_bytes: state.index.bytes().total() as u64
                + state.rows.bytes() as u64
                + points * ID_BYTES
                + state.unsaved_bytes,
            bytes_since_checkpoint: state.unsaved_bytes,
            checkpoint_due: state.unsaved_bytes >= self.config.knobs.checkpoint_bytes,
            applied_index: state.applied_index,
            durable_index: self.durable_index(),
        }
    }
}
