//! One shard's state: a deterministic machine over records and an index.
//!
//! What it is. A [`Shard`] holds points (id, version, vectors, payload). Commands come in with their log index
//! and change it; reads come out at one applied index. The same commands at the same indexes give the same
//! logical state, and the same [`Shard::digest`], on every replica. The index is derived state: it makes
//! search fast, it never decides an outcome.
//!
//! How data flows through it.
//! ```text
//! command bytes ─→ apply ─→ ids, rows, idempotency window ─→ index tails, payload indexes ─→ (index_step) ─→ graphs
//!                              │                                              │
//!                              ├─ checkpoint ─→ segment, graph, manifest ──→ disk ─→ open
//!                              └─ get · scroll · count · search ─→ points at one applied index
//! ```
//! New records stay in memory until a checkpoint writes them as one immutable segment and then, in one atomic
//! step, the manifest that names it. Between checkpoints nothing is written: the log that feeds `apply` is the
//! write-ahead log, and after a restart it is replayed from [`Shard::durable_index`] on.
//!
//! What it must never know. Raft, terms, the network, protobuf, async, clocks, or where its commands come
//! from. It keeps no journal of its own.

mod admission;
mod apply;
mod batch;
mod browse;
mod bytes;
mod checkpoint;
mod command;
mod config;
mod damage;
mod edit;
mod expiry;
mod export;
mod fields;
pub mod filter;
mod fork;
mod gate;
mod graph_files;
mod idempotency;
mod import;
mod indexing;
mod knobs;
mod manifest;
mod matching;
mod open;
mod outcome;
mod planned;
mod query;
mod range;
mod read;
mod recall;
mod record;
mod removals;
mod rows;
mod scrub;
mod search;
mod segment;
mod shard;
mod source;
mod state;
mod stats;
mod text;
mod vectors;
mod why_not;

pub use admission::points_on_disk;
pub use batch::{Batch, BatchItem, Expiry, ItemWrite};
pub use browse::{Facet, FieldOrder, Ordered, OrderedPage, Sampled};
pub use bytes::DecodeError;
pub use checkpoint::CheckpointError;
pub use command::{Command, DeleteItem, IDEMPOTENCY_KEY_MAX_BYTES, Idempotency, Operation, UpsertPoint};
pub use config::{DenseField, FieldKind, NamedField, ShardConfig, estimate_bytes};
pub use damage::{Damage, Refusal};
pub use edit::{PayloadChange, PayloadEdit};
pub use export::{EXPORT_READ_MAX_BYTES, EXPORTS_MAX, Export, ExportError, ExportedFile};
pub use fields::text::{Bm25, TextOperator, TextQuery, TextStats};
pub use fields::{FieldIndexStatus, FilterEstimate};
pub use fork::{ForkError, ForkStatus};
pub use idempotency::{REMEMBERED_BYTES, WINDOW_MS};
pub use import::{Import, ImportError};
pub use indexing::{IndexProgress, IndexStep};
pub use knobs::StoreKnobs;
pub use open::OpenError;
pub use outcome::{ItemOutcome, Outcome, REFUSED_LISTED, Refused};
pub use query::{Query, SearchQuery};
pub use range::HashRange;
pub use read::{Include, Point, Read, ScrollPage};
pub use recall::{RecallSample, RecallTry};
pub use removals::{Removal, RemovalCause};
pub use scrub::{DamagedPoint, Mark, ScrubReport, ScrubStep};
pub use search::{ScoredPoint, SearchResult, SearchTrace};
pub use shard::Shard;
pub use stats::ShardStats;
pub use text::TextSearch;
pub use vectron_base::vectors::{FieldValue, MultiVector, PointVectors, SparseVector};
pub use vectron_index::{Calibration, CodeErrors, Metric, Quantization, Vectors};
pub use why_not::{Ahead, Scored, Standing};
