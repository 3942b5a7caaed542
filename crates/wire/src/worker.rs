//! The worker's contract: writes to and reads from one shard.

use async_trait::async_trait;
use std::borrow::Cow;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_base::ids::{Incarnation, ShardId};
use vectron_base::vectors::PointVectors;

pub use crate::batch::{
    BatchItem, Edited, Expiry, ItemWrite, PayloadChange, PayloadEdit, RefusedPoint, WriteBatch,
};
pub use crate::browse::{ShardBrowse, ShardBrowsed};
pub use crate::examine::{Examined, FailedClause, RemovalCause, Scored, ShardExamine, Subject};
pub use crate::query::ShardQuery;
pub use crate::recall::{RecallFigure, Selectivity};
pub use crate::snapshot::{SnapshotFile, SnapshotOffer, SnapshotPart, SnapshotRequest};
pub use crate::status::{Calibration, CodeError, FieldIndexStatus, MemorySplit, ShardStatus};
pub use crate::text::{ShardTextStats, TextOperator, TextQuery, TextStats};
pub use crate::tune::{ShardTune, ShardTuned, TuneRung};

/// Which shard a call means, fenced: a worker that knows the shard under another incarnation answers
/// `not_found`, under a later epoch `unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The shard.
    pub shard: ShardId,
    /// The life of the collection that the caller means.
    pub incarnation: Incarnation,
    /// Epoch of the shard in the caller's map.
    pub epoch: u64,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// Everything acknowledged before the read began.
    Linearizable,
    /// Some committed prefix.
    Eventual,
    /// Everything acknowledged more than this many milliseconds ago.
    Bounded(u64),
    /// At least this applied index.
    Session(u64),
}

/// What a read delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The state that was read, as the index of the last entry applied to it.
    pub applied_index: u64,
    /// Everything acknowledged longer ago than this was in that state, in milliseconds. Zero for
    /// linearizable reads.
    pub staleness_ms: u64,
}

/// A read's answer with what was delivered.
#[derive(Clone, Debug)]
pub struct ShardRead<T> {
    /// The answer.
    pub value: T,
    /// At which state.
    pub delivered: Delivered,
}

impl<T> ShardRead<T> {
    /// The same, of an answer that need not be there.
    pub fn some(self) -> ShardRead<Option<T>> {
        ShardRead { value: Some(self.value), delivered: self.delivered }
    }
}

/// Which parts of a point to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include {
    /// The JSON payload.
    pub payload: bool,
    /// The vectors, as they were written.
    pub vector: bool,
}

/// A point as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRecord {
    /// Its id.
    pub id: String,
    /// Log index of its last change.
    pub version: u64,
    /// The vectors, if asked for.
    pub vector: Option<PointVectors>,
    /// The JSON object text, if asked for.
    pub payload: Option<String>,
}

/// One point to write.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertPoint {
    /// A valid point id.
    pub id: String,
    /// A value for each vector field that the point has.
    pub vector: PointVectors,
    /// A valid JSON object as text.
    pub payload: String,
    /// Write only over this version; 0 = must not exist.
    pub if_version: Option<u64>,
}

/// What to write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteOperation {
    /// Insert or replace.
    Upsert(Vec<UpsertPoint>),
    /// Delete these ids.
    DeleteIds(Vec<String>),
    /// Delete every point that passes.
    DeleteFilter(Filter),
    /// Several kinds, in order, each with its conditions.
    Batch(WriteBatch),
    /// Change the payload of every point that passes.
    EditFilter(Filter, PayloadEdit),
}

/// A caller's promise that equal keys mean the same write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Chosen by the caller.
    pub key: String,
    /// Hash of the whole request, so that another body under the same key is refused.
    pub body_hash: u64,
}

/// A write to one shard: validated by the gateway, atomic.
#[derive(Clone, Debug)]
pub struct ShardWrite {
    /// Where.
    pub target: Target,
    /// For safe retries.
    pub idempotency: Option<IdempotencyKey>,
    /// What.
    pub operation: WriteOperation,
    /// How long the caller waits; afterwards the outcome is unknown.
    pub timeout_ms: u64,
}

/// What became of one item of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Written, changed or deleted.
    Applied,
    /// Asked to delete or change what was not there.
    Missing,
    /// `if_version` did not hold; the version found, 0 when the point is not there.
    VersionMismatch(u64),
    /// `if_filter` did not hold; the version found, 0 when the point is not there.
    FilterMismatch(u64),
    /// The payload would have grown over the limit, to this many bytes.
    PayloadTooLarge(u64),
}

/// A durable, applied write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardWritten {
    /// Log index; the version of every point written.
    pub version: u64,
    /// One for each point, id or item, in order; empty for a write by filter.
    pub items: Vec<ItemOutcome>,
    /// Points deleted.
    pub deleted: u64,
    /// The result of an earlier call with the same idempotency key.
    pub replayed: bool,
    /// Of a change by filter only.
    pub edited: Option<Edited>,
}

/// A read of points by id.
#[derive(Clone, Debug)]
pub struct ShardGet {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// Which.
    pub ids: Vec<String>,
    /// What of them.
    pub include: Include,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// A search in one shard.
#[derive(Clone, Debug)]
pub struct ShardSearch {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// What to look for, in which field.
    pub query: ShardQuery,
    /// How many hits at most.
    pub top_k: usize,
    /// Only points that pass.
    pub filter: Option<Arc<Filter>>,
    /// Only hits with at least this score.
    pub score_threshold: Option<f32>,
    /// Scan everything.
    pub exact: bool,
    /// Candidates to keep, in place of `recall_target`.
    pub ef: Option<u32>,
    /// Share of the true neighbours to find.
    pub recall_target: f32,
    /// What of the hits.
    pub include: Include,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// One hit. Higher scores are better for every distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The point.
    pub point: PointRecord,
    /// Its score.
    pub score: f32,
}

/// How long one stage of a read took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What was done.
    pub name: &'static str,
    /// Microseconds.
    pub us: u64,
}

/// A short name out of a closed list that grows: borrowed where it was made, owned where it came over the wire.
pub type Name = Cow<'static, str>;

/// How a filter was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterTrace {
    /// The plan's name.
    pub plan: Name,
    /// Points that were expected to pass.
    pub estimated: Option<u64>,
    /// Points that passed, where they were counted.
    pub matched: Option<u64>,
    /// Payloads that were looked at.
    pub checked: Option<u64>,
    /// Fields without a ready index.
    pub unindexed: Vec<String>,
}

/// How a shard found its hits. What a shard does not measure is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchTrace {
    /// The plan's name.
    pub plan: &'static str,
    /// Candidates kept.
    pub ef: u32,
    /// Live points in the shard.
    pub rows_live: u64,
    /// Points that pass the filter, if there is one.
    pub filter_matched: Option<u64>,
    /// Distances computed.
    pub distances: u64,
    /// Graph vertices expanded.
    pub hops: u64,
    /// Points scanned exactly because the graph does not hold them yet.
    pub tail_scanned: u64,
    /// What the codes were that distances were estimated from: `none`, `8bit` or `4bit`.
    pub quantization: Option<Name>,
    /// Bytes of codes, vectors and links read.
    pub bytes_read: Option<u64>,
    /// Points whose score was bounded from the finer codes.
    pub precise: Option<u64>,
    /// Candidates whose score was computed anew from their full vectors.
    pub rescored: Option<u64>,
    /// How the filter was answered, if there is one.
    pub filter: Option<FilterTrace>,
    /// Searches of this kind have found less than their recall target lately.
    pub recall_missed: bool,
    /// Where the time went, in order.
    pub stages: Vec<Stage>,
}

/// A shard's hits, best first, ties by id.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardHits {
    /// The hits.
    pub hits: Vec<Hit>,
    /// How they were found.
    pub trace: SearchTrace,
}

/// A page of points in id order.
#[derive(Clone, Debug)]
pub struct ShardScroll {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// Only points that pass.
    pub filter: Option<Arc<Filter>>,
    /// Only ids after this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// What of them.
    pub include: Include,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// A page and whether more follow.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardPage {
    /// The points, in id order.
    pub points: Vec<PointRecord>,
    /// Whether the shard has more after them.
    pub more: bool,
    /// Fields of the filter without a ready index.
    pub unindexed: Vec<String>,
}

/// An exact count.
#[derive(Clone, Debug)]
pub struct ShardCount {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// Only points that pass.
    pub filter: Option<Arc<Filter>>,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// A count, and how the filter was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardCounted {
    /// Points that pass.
    pub count: u64,
    /// Fields of the filter without a ready index.
    pub unindexed: Vec<String>,
}

/// What a gateway may ask of a worker. Every read states what it delivered; none is quietly weaker than
/// asked. Faults carry the outcome: after `deadline_exceeded` on a write it is unknown.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Durable on a majority and applied when it returns.
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault>;
    /// One entry for each id, in order; `None` when it is not there.
    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault>;
    /// Best first, ties by id.
    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault>;
    /// As `search`, or `None` when the shard, once it is as fresh as the level demands, is at `known_applied_index`:
    /// then what a search with the same question found at that index stands. Every check of a search is made.
    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known_applied_index: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        let _ = known_applied_index;
        self.search(request).await.map(ShardRead::some)
    }
    /// In id order.
    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault>;
    /// Exact.
    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault>;
    /// What scores of a text query rest on.
    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault>;
    /// How one point stands in a search, exactly. Costs as much as an exact search.
    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault>;
    /// What efforts find on queries that the shard was asked lately.
    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault>;
    /// Facets, samples, points by a field, estimates: the answer is of the kind that was asked for.
    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault>;
    /// Figures, without any barrier.
    async fn status(&self, target: Target) -> Result<ShardStatus, Fault>;
    /// Offers a copy of a replica to another replica of the same shard. Only the leader gives one.
    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault>;
    /// A part of an offered copy: at least one byte, or none past the file's end. `not_found` when the offer has
    /// lapsed.
    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault>;
}

/// Where a gateway finds workers: the one in its own process, or connections by address.
pub trait WorkerDirectory: Send + Sync {
    /// The worker, if it can be reached at all.
    fn worker(&self, id: vectron_base::ids::WorkerId) -> Option<Arc<dyn Worker>>;
}
