//! A gateway at the other end of the simulated network, as clients see it.

use super::Network;
use super::call::Question;
use crate::executor::NodeId;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::{Fault, Outcome};
use vectron_gateway::Gateway;

/// Finds the gateway that runs on a node now, if one does.
pub type FindGateway = Arc<dyn Fn() -> Option<Arc<Gateway>> + Send + Sync>;

/// A client's connection to a gateway.
#[derive(Clone)]
pub struct RemoteGateway {
    network: Network,
    from: NodeId,
    to: NodeId,
    find: FindGateway,
}

impl RemoteGateway {
    /// From `from` to whatever gateway `find` finds on `to` when a call arrives.
    pub fn new(network: Network, from: NodeId, to: NodeId, find: FindGateway) -> Self {
        Self { network, from, to, find }
    }

    /// Makes one call, waiting `wait` for it. `changes` says whether its outcome is unknown when its answer is lost.
    pub async fn call<T: Send + 'static>(
        &self,
        wait: Duration,
        changes: bool,
        call: impl FnOnce(Arc<Gateway>) -> BoxFuture<'static, Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let find = self.find.clone();
        let lost = if changes { Outcome::Unknown } else { Outcome::NotApplied };
        let question = Question { from: self.from, to: self.to, name: "gateway", lost, wait };
        self.network.call(question, move || find().map(call)).await
    }
}
