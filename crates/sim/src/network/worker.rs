//! A worker at the other end of the simulated network.

use super::Network;
use super::call::Question;
use crate::executor::NodeId;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::{Fault, Outcome};
use vectron_wire::worker::{
    Examined, PointRecord, ShardBrowse, ShardBrowsed, ShardCount, ShardCounted, ShardExamine, ShardGet,
    ShardHits, ShardPage, ShardRead, ShardScroll, ShardSearch, ShardStatus, ShardTextStats, ShardTune,
    ShardTuned, ShardWrite, ShardWritten, SnapshotOffer, SnapshotPart, SnapshotRequest, Target, TextStats,
    Worker,
};

/// Finds the worker that runs on a node now, if one does.
pub type FindWorker = Arc<dyn Fn() -> Option<Arc<dyn Worker>> + Send + Sync>;

/// What a call that names no time may take, as in production.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// A connection from a node to the worker on another.
#[derive(Clone)]
pub struct RemoteWorker {
    network: Network,
    from: NodeId,
    to: NodeId,
    find: FindWorker,
}

impl RemoteWorker {
    /// From `from` to whatever worker `find` finds on `to` when a call arrives.
    pub fn new(network: Network, from: NodeId, to: NodeId, find: FindWorker) -> Self {
        Self { network, from, to, find }
    }

    fn question(&self, lost: Outcome, wait: Duration) -> Question {
        Question { from: self.from, to: self.to, name: "worker", lost, wait }
    }

    fn reading(&self, timeout_ms: u64) -> Question {
        self.question(Outcome::NotApplied, Duration::from_millis(timeout_ms))
    }
}

/// Carries a call whose service is a method of the worker that is found on arrival.
macro_rules! carried {
    ($self:ident, $question:expr, $method:ident($request:ident $(, $more:ident)?)) => {{
        let find = $self.find.clone();
        let question = $question;
        $self
            .network
            .call(question, move || {
                let worker = find()?;
                Some(Box::pin(async move { worker.$method($request $(, $more)?).await }))
            })
            .await
    }};
}

#[async_trait]
impl Worker for RemoteWorker {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        let wait = Duration::from_millis(request.timeout_ms);
        carried!(self, self.question(Outcome::Unknown, wait), write(request))
    }
    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        carried!(self, self.reading(request.timeout_ms), get(request))
    }
    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        carried!(self, self.reading(request.timeout_ms), search(request))
    }
    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        carried!(self, self.reading(request.timeout_ms), search_if_changed(request, known))
    }
    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        carried!(self, self.reading(request.timeout_ms), scroll(request))
    }
    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        carried!(self, self.reading(request.timeout_ms), count(request))
    }
    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        carried!(self, self.reading(request.timeout_ms), text_stats(request))
    }
    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        carried!(self, self.reading(request.search.timeout_ms), examine(request))
    }
    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        carried!(self, self.reading(request.timeout_ms), tune(request))
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        carried!(self, self.reading(request.timeout_ms), browse(request))
    }
    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        carried!(self, self.question(Outcome::NotApplied, STATUS_WAIT), status(target))
    }
    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        carried!(self, self.reading(request.timeout_ms), snapshot(request))
    }
    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        carried!(self, self.reading(request.timeout_ms), snapshot_part(request))
    }
}
