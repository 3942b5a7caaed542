//! A placement driver at the other end of the simulated network.

use super::Network;
use super::call::Question;
use crate::executor::NodeId;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::filter::FieldIndex;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, Placement,
    PlannedMove, Registration, WorkerReport,
};

/// Finds the placement driver that runs on a node now, if one does.
pub type FindPlacement = Arc<dyn Fn() -> Option<Arc<dyn Placement>> + Send + Sync>;

/// What a call that names no time may take, as in production.
const WAIT: Duration = Duration::from_secs(5);
/// A watch waits at the other end for news.
const WATCH_WAIT: Duration = Duration::from_secs(30);

/// A connection from a node to the placement driver on another.
#[derive(Clone)]
pub struct RemotePlacement {
    network: Network,
    from: NodeId,
    to: NodeId,
    find: FindPlacement,
}

impl RemotePlacement {
    /// From `from` to whatever placement driver `find` finds on `to` when a call arrives.
    pub fn new(network: Network, from: NodeId, to: NodeId, find: FindPlacement) -> Self {
        Self { network, from, to, find }
    }

    fn question(&self, lost: Outcome, wait: Duration) -> Question {
        Question { from: self.from, to: self.to, name: "placement driver", lost, wait }
    }

    fn changing(&self, wait: Duration) -> Question {
        self.question(Outcome::Unknown, wait)
    }
}

/// Carries a call; `$placement` is what is found on arrival.
macro_rules! carried {
    ($self:ident, $question:expr, |$placement:ident| $call:expr) => {{
        let find = $self.find.clone();
        let question = $question;
        $self
            .network
            .call(question, move || {
                let $placement = find()?;
                Some(Box::pin(async move { $call.await }))
            })
            .await
    }};
}

#[async_trait]
impl Placement for RemotePlacement {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        let question = self.changing(Duration::from_millis(timeout_ms));
        carried!(self, question, |placement| placement.create_collection(spec, timeout_ms))
    }
    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        let (question, name) = (self.changing(Duration::from_millis(timeout_ms)), name.to_string());
        carried!(self, question, |placement| placement.delete_collection(&name, timeout_ms))
    }
    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        let collection = collection.to_string();
        carried!(self, self.changing(WAIT), |placement| placement.create_index(&collection, index))
    }
    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        let (collection, field) = (collection.to_string(), field.to_string());
        carried!(self, self.changing(WAIT), |placement| placement.delete_index(&collection, &field))
    }
    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        let question = self.question(Outcome::NotApplied, WATCH_WAIT);
        carried!(self, question, |placement| placement.watch(known_epoch))
    }
    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        carried!(self, self.changing(WAIT), |placement| placement.register(registration))
    }
    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        carried!(self, self.changing(WAIT), |placement| placement.report(report))
    }
    async fn cluster(&self) -> Result<ClusterView, Fault> {
        carried!(self, self.question(Outcome::NotApplied, WAIT), |placement| placement.cluster())
    }
    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        carried!(self, self.changing(WAIT), |placement| placement.change(change))
    }
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        carried!(self, self.question(Outcome::NotApplied, WAIT), |placement| placement.catalog_snapshot())
    }
}
