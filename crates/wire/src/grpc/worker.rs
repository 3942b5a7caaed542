//! The worker's contract over gRPC.

use super::MessageLimits;
use super::call::Peer;
use super::key::ClusterKey;
use super::method::Method;
use super::serve::serve;
use crate::proto::worker as pb;
use crate::proto::worker::worker_service_server::{WorkerService, WorkerServiceServer};
use crate::worker::{
    Examined, PointRecord, ShardBrowse, ShardBrowsed, ShardCount, ShardCounted, ShardExamine, ShardGet,
    ShardHits, ShardPage, ShardRead, ShardScroll, ShardSearch, ShardStatus, ShardTextStats, ShardTune,
    ShardTuned, ShardWrite, ShardWritten, SnapshotOffer, SnapshotPart, SnapshotRequest, Target, TextStats,
    Worker,
};
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use vectron_base::Fault;

pub(crate) const WRITE: Method<pb::WriteRequest, pb::WriteResponse> =
    Method::changing("/vectron.worker.v1.WorkerService/Write");
pub(crate) const GET: Method<pb::GetRequest, pb::GetResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Get");
pub(crate) const SEARCH: Method<pb::SearchRequest, pb::SearchResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Search");
pub(crate) const SCROLL: Method<pb::ScrollRequest, pb::ScrollResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Scroll");
pub(crate) const COUNT: Method<pb::CountRequest, pb::CountResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Count");
const TEXT_STATS: Method<pb::TextStatsRequest, pb::TextStatsResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/TextStats");
const EXAMINE: Method<pb::ExamineRequest, pb::ExamineResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Examine");
const TUNE: Method<pb::TuneRequest, pb::TuneResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Tune");
const BROWSE: Method<pb::BrowseRequest, pb::BrowseResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Browse");
const STATUS: Method<pb::StatusRequest, pb::StatusResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Status");
const SNAPSHOT: Method<pb::SnapshotRequest, pb::SnapshotResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/Snapshot");
const SNAPSHOT_PART: Method<pb::SnapshotPartRequest, pb::SnapshotPartResponse> =
    Method::reading("/vectron.worker.v1.WorkerService/SnapshotPart");

/// A search of one who may have the answer at an index already.
pub(crate) async fn searched(
    worker: &dyn Worker,
    (request, known): (ShardSearch, Option<u64>),
) -> Result<ShardRead<Option<ShardHits>>, Fault> {
    match known {
        Some(known) => worker.search_if_changed(request, known).await,
        None => worker.search(request).await.map(ShardRead::some),
    }
}

/// Passes calls that come over gRPC to a worker.
pub struct WorkerServer {
    worker: Arc<dyn Worker>,
    send_limit: usize,
}

impl WorkerServer {
    /// The tonic service of `worker`.
    pub fn new(worker: Arc<dyn Worker>, limits: MessageLimits) -> WorkerServiceServer<WorkerServer> {
        WorkerServiceServer::new(Self { worker, send_limit: limits.send })
            .max_decoding_message_size(limits.receive)
    }
}

#[async_trait]
impl WorkerService for WorkerServer {
    async fn write(&self, m: Request<pb::WriteRequest>) -> Result<Response<pb::WriteResponse>, Status> {
        serve(WRITE, self.send_limit, m, |request| self.worker.write(request)).await
    }

    async fn get(&self, m: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        serve(GET, self.send_limit, m, |request| self.worker.get(request)).await
    }

    async fn search(&self, m: Request<pb::SearchRequest>) -> Result<Response<pb::SearchResponse>, Status> {
        serve(SEARCH, self.send_limit, m, |request| searched(&*self.worker, request)).await
    }

    async fn scroll(&self, m: Request<pb::ScrollRequest>) -> Result<Response<pb::ScrollResponse>, Status> {
        serve(SCROLL, self.send_limit, m, |request| self.worker.scroll(request)).await
    }

    async fn count(&self, m: Request<pb::CountRequest>) -> Result<Response<pb::CountResponse>, Status> {
        serve(COUNT, self.send_limit, m, |request| self.worker.count(request)).await
    }

    async fn text_stats(
        &self,
        m: Request<pb::TextStatsRequest>,
    ) -> Result<Response<pb::TextStatsResponse>, Status> {
        serve(TEXT_STATS, self.send_limit, m, |request| self.worker.text_stats(request)).await
    }

    async fn examine(&self, m: Request<pb::ExamineRequest>) -> Result<Response<pb::ExamineResponse>, Status> {
        serve(EXAMINE, self.send_limit, m, |request| self.worker.examine(request)).await
    }

    async fn tune(&self, m: Request<pb::TuneRequest>) -> Result<Response<pb::TuneResponse>, Status> {
        serve(TUNE, self.send_limit, m, |request| self.worker.tune(request)).await
    }

    async fn browse(&self, m: Request<pb::BrowseRequest>) -> Result<Response<pb::BrowseResponse>, Status> {
        serve(BROWSE, self.send_limit, m, |request| self.worker.browse(request)).await
    }

    async fn status(&self, m: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        serve(STATUS, self.send_limit, m, |target| self.worker.status(target)).await
    }

    async fn snapshot(
        &self,
        m: Request<pb::SnapshotRequest>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        serve(SNAPSHOT, self.send_limit, m, |request| self.worker.snapshot(request)).await
    }

    async fn snapshot_part(
        &self,
        m: Request<pb::SnapshotPartRequest>,
    ) -> Result<Response<pb::SnapshotPartResponse>, Status> {
        serve(SNAPSHOT_PART, self.send_limit, m, |request| self.worker.snapshot_part(request)).await
    }
}

/// A worker in another process.
#[derive(Clone, Debug)]
pub struct WorkerConnection {
    peer: Peer,
    timeout: Duration,
}

impl WorkerConnection {
    /// The worker at the other end of `channel`. `timeout` is for calls that name none.
    pub fn new(channel: Channel, limits: MessageLimits, timeout: Duration) -> Self {
        Self { peer: Peer { channel, limits, name: "worker", key: None }, timeout }
    }

    /// The same with a key that is shown with every call.
    pub fn with_key(mut self, key: Option<ClusterKey>) -> Self {
        self.peer.key = key;
        self
    }
}

#[async_trait]
impl Worker for WorkerConnection {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(WRITE, request, wait).await
    }

    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(GET, request, wait).await
    }

    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(SEARCH, request, wait).await
    }

    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known_applied_index: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(SEARCH, (request, known_applied_index), wait).await
    }

    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(SCROLL, request, wait).await
    }

    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(COUNT, request, wait).await
    }

    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(TEXT_STATS, request, wait).await
    }

    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        let wait = Duration::from_millis(request.search.timeout_ms);
        self.peer.call(EXAMINE, request, wait).await
    }

    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(TUNE, request, wait).await
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(BROWSE, request, wait).await
    }

    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.peer.call(STATUS, target, self.timeout).await
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(SNAPSHOT, request, wait).await
    }

    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        self.peer.call(SNAPSHOT_PART, request, wait).await
    }
}
