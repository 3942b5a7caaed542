//! The worker's contract over frames, for those who call.

use super::FrameOptions;
use super::calls::Answer;
use super::connect::{Connections, unreachable};
use super::fault::fault_of;
use super::format::Kind;
use crate::grpc::ANSWER_SLACK;
use crate::grpc::dial::DialOptions;
use crate::grpc::method::Method;
use crate::grpc::worker::{COUNT, GET, SCROLL, SEARCH, WRITE};
use crate::worker::{
    Examined, ItemWrite, PayloadChange, PayloadEdit, PointRecord, ShardBrowse, ShardBrowsed, ShardCount,
    ShardCounted, ShardExamine, ShardGet, ShardHits, ShardPage, ShardRead, ShardScroll, ShardSearch,
    ShardStatus, ShardTextStats, ShardTune, ShardTuned, ShardWrite, ShardWritten, SnapshotOffer,
    SnapshotPart, SnapshotRequest, Target, TextStats, UpsertPoint, Worker, WriteOperation,
};
use async_trait::async_trait;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vectron_base::pool::{Pool, within};
use vectron_base::{Code, Fault, Outcome};

/// A worker in another process, whose reads and writes are called in frames. What is rare, and requests that are
/// so large that others should not wait behind them, go the way of `rest`.
pub struct FrameWorker {
    connections: Connections,
    rest: Arc<dyn Worker>,
}

impl FrameWorker {
    /// The worker at an address such as `10.0.0.7:7102`, which `rest` reaches too.
    pub fn new(
        address: String,
        options: DialOptions,
        frames: FrameOptions,
        pool: Arc<dyn Pool>,
        rest: Arc<dyn Worker>,
    ) -> Self {
        Self { connections: Connections::new(address, options, frames, pool), rest }
    }

    /// Sends the request and reads the answer; the worker has `wait_ms` to give it.
    async fn call<M, R, A>(
        &self,
        kind: Kind,
        method: Method<M, R>,
        request: M,
        wait_ms: u64,
    ) -> Result<A, Fault>
    where
        M: Message,
        R: Message + Default,
        A: TryFrom<R, Error = Fault>,
    {
        method.check_request(&request, self.connections.options().limits.send)?;
        let request = request.encode_to_vec();
        let sent = AtomicBool::new(false);
        let calling = async {
            let live = self.connections.live().await?;
            Ok::<Answer, Fault>(live.call(kind, &request, &sent).await)
        };
        let limit = Duration::from_millis(wait_ms).saturating_add(ANSWER_SLACK);
        let pool: &Arc<dyn Pool> = self.connections.pool();
        let answer = match within(pool, limit, calling).await {
            Some(answer) => answer?,
            None => {
                let outcome = if sent.load(Ordering::Relaxed) { method.lost() } else { Outcome::NotApplied };
                let late = Fault::new(Code::DeadlineExceeded, "the worker did not answer in time");
                return Err(late.with_outcome(outcome));
            }
        };
        let malformed = |what: String| {
            Fault::internal(format!("the worker gave a malformed answer: {what}")).with_outcome(method.lost())
        };
        match answer {
            Answer::Response(bytes) => {
                let message = R::decode(bytes).map_err(|error| malformed(error.to_string()))?;
                A::try_from(message).map_err(|fault| malformed(fault.detail))
            }
            Answer::Refusal(bytes) => {
                Err(fault_of(&bytes).unwrap_or_else(|| malformed("a refusal without a fault".into())))
            }
            Answer::TooLarge => {
                let detail = "a message to or from the worker is over its size limit";
                Err(Fault::new(Code::TooLarge, detail).with_outcome(method.lost()))
            }
            Answer::Lost { sent: false } => Err(unreachable()),
            Answer::Lost { sent: true } => {
                let detail = "the worker gave no answer: the connection broke";
                Err(Fault::new(Code::Unavailable, detail).with_outcome(method.lost()))
            }
        }
    }
}

/// About how many bytes a write takes.
fn weight(operation: &WriteOperation) -> usize {
    let of_point = |point: &UpsertPoint| point.id.len() + point.vector.bytes() + point.payload.len();
    let of_edit = |edit: &PayloadEdit| match &edit.change {
        PayloadChange::Merge(text) | PayloadChange::Replace(text) => text.len(),
        PayloadChange::Unset(paths) => paths.iter().map(String::len).sum(),
    };
    match operation {
        WriteOperation::Upsert(points) => points.iter().map(of_point).sum(),
        WriteOperation::DeleteIds(ids) => ids.iter().map(String::len).sum(),
        // Filters are bounded where they are accepted.
        WriteOperation::DeleteFilter(_) => 0,
        WriteOperation::EditFilter(_, edit) => of_edit(edit),
        WriteOperation::Batch(batch) => {
            let items = batch.items.iter().map(|item| match &item.write {
                ItemWrite::Upsert(point, _) => of_point(point),
                ItemWrite::Delete { id, .. } | ItemWrite::Payload { id, .. } => id.len(),
            });
            items.chain(batch.edits.iter().map(of_edit)).sum()
        }
    }
}

#[async_trait]
impl Worker for FrameWorker {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        if weight(&request.operation) > super::LARGE_BYTES {
            return self.rest.write(request).await;
        }
        let wait_ms = request.timeout_ms;
        self.call(Kind::Write, WRITE, request.into(), wait_ms).await
    }

    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        let wait_ms = request.timeout_ms;
        self.call(Kind::Get, GET, request.into(), wait_ms).await
    }

    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        let wait_ms = request.timeout_ms;
        self.call(Kind::Search, SEARCH, request.into(), wait_ms).await
    }

    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known_applied_index: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        let wait_ms = request.timeout_ms;
        self.call(Kind::Search, SEARCH, (request, known_applied_index).into(), wait_ms).await
    }

    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        let wait_ms = request.timeout_ms;
        self.call(Kind::Scroll, SCROLL, request.into(), wait_ms).await
    }

    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        let wait_ms = request.timeout_ms;
        self.call(Kind::Count, COUNT, request.into(), wait_ms).await
    }

    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        self.rest.text_stats(request).await
    }

    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        self.rest.examine(request).await
    }

    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        self.rest.tune(request).await
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        self.rest.browse(request).await
    }
    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.rest.status(target).await
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        self.rest.snapshot(request).await
    }

    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        self.rest.snapshot_part(request).await
    }
}
