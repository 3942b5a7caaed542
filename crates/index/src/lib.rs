//! Nearest neighbours over rows.
//!
//! What it is. A row is a number with a vector and a tag. The index keeps live rows findable at every moment:
//! a row that is [put](VectorIndex::put) lands in the *tail*, which each search scans exactly,
//! until a background planner has linked it into the *graph*. A row that is
//! [removed](VectorIndex::remove) is never returned again; the graph still walks across it until a
//! *sweep* has taken its links out and hands the row back.
//!
//! How data flows through it.
//! ```text
//! put ─→ tail ─ plan_insert/commit_insert ─→ graph ─ remove ─→ tombstone ─ plan/commit_sweep ─→ free
//!          │                                  │
//! search ──┴── scan ────────── merge ──── walk┘──→ rows, scores, counts, the plan it chose
//! ```
//!
//! `params` says what is built; `space` turns a metric into keys that order rows, over the kernels
//! of `distance` and the codes of `quantize`; `rows` holds states and sets; `graph` links, prunes, walks,
//! sweeps and encodes; `search` chooses between walking and scanning; `rescore` turns what was found by
//! code into exact answers, by full vectors that are here or (`source`) with the caller; `calibrate` finds
//! the pool size for a recall.
//!
//! What it must never know. Points, payloads, shards, files, time, async, knobs or logs: bytes,
//! parameters, a seed and allowed rows come in; rows, scores and counts go out. The same
//! calls in the same order with the same seed give the same index on the same kind of processor.

mod above;
mod calibrate;
mod chunks;
pub mod distance;
mod flat;
mod graph;
mod hash;
mod index;
mod params;
mod quantize;
mod request;
mod rescore;
mod rows;
mod rowset;
mod search;
mod source;
mod space;

pub use above::Above;
pub use calibrate::{Calibration, Calibrator};
pub use graph::{ChunkFate, DecodedGraph, GraphDamage, InsertPlan, SweepCursor, SweepPlan, SweepProgress};
pub use index::VectorIndex;
pub use params::{CodeErrors, Hit, MemoryBytes, Metric, Params, Quantization, Reachability, Row, Vectors};
pub use request::{Plan, Scratch, SearchOutcome, SearchRequest, SearchStats};
pub use rowset::RowSet;
pub use search::{PLAIN_TRAVERSAL_SHARE, PLAIN_TRAVERSAL_SHARE_CODED, SCAN_ALLOWED_ROWS};
pub use source::FullVectors;
