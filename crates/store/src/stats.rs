//! Figures for operators.

use crate::shard::Shard;
use crate::state::State;
use crate::vectors::DenseField;
use parking_lot::Mutex;
use std::sync::atomic::Ordering;
use vectron_index::{Calibration, CodeErrors, MemoryBytes, Quantization};

/// The graph is worth a checkpoint of its own when more than one in so many rows entered or left it since the
/// last, and
const GRAPH_DUE_SHARE: u64 = 20;
/// at least so many did: fewer are quickly built again.
const GRAPH_DUE_LEAST: u64 = 256;
/// The index is measured again when more than one in so many rows changed.
const MEASURE_SHARE: u64 = 32;

/// The index's bytes when they were last added up, and the state's count of changes then. Adding up takes time
/// in proportion to the rows, so it is done only when enough of them changed.
#[derive(Default)]
pub(crate) struct CountedBytes(Mutex<(MemoryBytes, u64)>);

impl CountedBytes {
    fn of(&self, state: &State) -> MemoryBytes {
        let now = state.change_count() + state.graph_changes + 1;
        let mut counted = self.0.lock();
        if counted.1 == 0 || now.saturating_sub(counted.1) > u64::from(state.next_row) / MEASURE_SHARE {
            let bytes = state.vectors.dense.iter().map(|field| field.index.bytes());
            *counted = (bytes.fold(MemoryBytes::default(), add), now);
        }
        counted.0
    }
}

/// A shard's size and backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardStats {
    /// Live points.
    pub points: u64,
    /// Points that wait for the graph: scanned exactly by every search until then. Zero in a shard too small for
    /// a graph. With several dense fields, of the one where most wait.
    pub pending: u64,
    /// Deleted rows that the graph still walks across.
    pub tombstones: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of the files that the last checkpoint consists of.
    pub disk_bytes: u64,
    /// Bytes held in memory: indexes, payload indexes, row table, id map, unsaved records, remembered writes, expiries,
    /// remembered removals. An estimate.
    pub memory_bytes: u64,
    /// Bytes of the index, part of the memory.
    pub index_bytes: MemoryBytes,
    /// Codes that stand for vectors now, in the first dense field: none while there are too few points.
    pub quantization: Quantization,
    /// Bytes of the payload indexes, part of the memory.
    pub field_index_bytes: u64,
    /// Record bytes that wait for the next checkpoint.
    pub bytes_since_checkpoint: u64,
    /// Whether a checkpoint is due, see [`Shard::checkpoint_due`].
    pub checkpoint_due: bool,
    /// Last index applied.
    pub applied_index: u64,
    /// Index that the last checkpoint covers.
    pub durable_index: u64,
}

impl Shard {
    /// Points that wait for the graph; zero in a shard too small for one. Waits for nobody.
    pub fn pending(&self) -> u64 {
        self.state.pending()
    }

    /// Whether a checkpoint is worth its cost: enough record bytes are unsaved, or no point waits for the graph
    /// and enough of it was built since it was last saved. Cheap.
    pub fn checkpoint_due(&self) -> bool {
        self.due(&self.state.read())
    }

    pub(crate) fn due(&self, state: &State) -> bool {
        if state.failure.is_some() || state.child_waits {
            return false;
        }
        let full = state.unsaved_bytes >= self.config.knobs.checkpoint_bytes;
        full || self.graph_grown(state) && pending(state) == 0
    }

    /// Whether enough rows entered or left the graph since it was last saved.
    pub(crate) fn graph_grown(&self, state: &State) -> bool {
        let saved = self.saved_graph_changes.load(Ordering::Relaxed);
        let least = GRAPH_DUE_LEAST.max(state.ids.len() as u64 / GRAPH_DUE_SHARE);
        state.graph_changes.saturating_sub(saved) >= least
    }

    /// How far codes are from the vectors they stand for, in the first dense field; `None` where there are none.
    pub fn code_errors(&self) -> Option<CodeErrors> {
        self.state.read().vectors.dense.first()?.index.code_errors()
    }

    /// Which effort reaches which recall in the first dense field, once it was measured.
    pub fn calibration(&self) -> Option<Calibration> {
        self.calibration.read().first()?.clone()
    }

    pub(crate) fn quantization_of(&self, field: Option<&DenseField>) -> Quantization {
        let coded = field.filter(|field| field.index.is_quantized());
        coded.map_or(Quantization::None, |field| field.index.params().quantization)
    }

    /// Figures of this moment.
    pub fn stats(&self) -> ShardStats {
        /// An id map entry with its key's allocation, without the key.
        const ID_BYTES: u64 = 64;
        let state = self.state.read();
        let points = state.ids.len() as u64;
        let field_index_bytes = state.fields.bytes() as u64;
        let index_bytes = self.index_bytes.of(&state);
        let quantization = self.quantization_of(state.vectors.dense.first());
        let dense = state.vectors.dense.iter();
        let tombstones = dense.map(|field| field.index.tombstones() as u64).sum();
        let segments: u64 = state.segments.values().map(|s| s.segment.len()).sum();
        ShardStats {
            points,
            pending: pending(&state),
            tombstones,
            segments: state.segments.len() as u64,
            disk_bytes: segments + self.graph_bytes.load(Ordering::Relaxed),
            memory_bytes: index_bytes.total() as u64
                + field_index_bytes
                + state.vectors.other_bytes() as u64
                + state.rows.bytes() as u64
                + points * ID_BYTES
                + state.unsaved_bytes
                + state.window.bytes()
                + state.expiries.bytes()
                + state.removals.bytes(),
            index_bytes,
            quantization,
            field_index_bytes,
            bytes_since_checkpoint: state.unsaved_bytes,
            checkpoint_due: self.due(&state),
            applied_index: state.applied_index,
            durable_index: self.durable_index(),
        }
    }
}

/// Under the size at which a graph is worth it nothing waits: the scan is the index.
pub(crate) fn pending(state: &State) -> u64 {
    let pending = |field: &DenseField| field.index.next_pending().map(|_| field.index.pending() as u64);
    state.vectors.dense.iter().filter_map(pending).max().unwrap_or(0)
}

fn add(a: MemoryBytes, b: MemoryBytes) -> MemoryBytes {
    MemoryBytes {
        codes: a.codes + b.codes,
        vectors: a.vectors + b.vectors,
        links: a.links + b.links,
        other: a.other + b.other,
    }
}
