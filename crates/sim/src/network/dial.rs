//! How processes of the simulated cluster reach each other: the addresses of the catalog, `node-N`, and what answers
//! there now.

use super::{Network, RemotePlacement, RemoteWorker};
use crate::executor::NodeId;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::pool::Pool;
use vectron_base::random::Random;
use vectron_base::{Code, Fault};
use vectron_wire::connections::Dialer;
use vectron_wire::peer::{Carrier, Carriers};
use vectron_wire::placement::Placement;
use vectron_wire::worker::Worker;

/// How long it takes to notice that a connection is broken.
const BREAKS: Duration = Duration::from_millis(50);

/// The address of a node.
pub fn address_of(node: NodeId) -> String {
    format!("node-{}", node.0)
}

/// The node of an address.
pub fn node_at(address: &str) -> Option<NodeId> {
    address.strip_prefix("node-")?.parse().ok().map(NodeId)
}

/// Finds what runs on nodes now.
pub trait Residents: Send + Sync {
    /// The worker of a node that is on.
    fn worker(&self, node: NodeId) -> Option<Arc<dyn Worker>>;
    /// The member of the placement driver on a node that is on.
    fn placement(&self, node: NodeId) -> Option<Arc<dyn Placement>>;
}

/// Connections from one node to the others.
pub struct Connections {
    network: Network,
    from: NodeId,
    residents: Arc<dyn Residents>,
}

impl Connections {
    /// From `from` to whatever `residents` finds when a call arrives.
    pub fn new(network: Network, from: NodeId, residents: Arc<dyn Residents>) -> Self {
        Self { network, from, residents }
    }
}

impl Dialer for Connections {
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>> {
        let (to, residents) = (node_at(address)?, self.residents.clone());
        let find = Arc::new(move || residents.worker(to));
        Some(Arc::new(RemoteWorker::new(self.network.clone(), self.from, to, find)))
    }

    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>> {
        let (to, residents) = (node_at(address)?, self.residents.clone());
        let find = Arc::new(move || residents.placement(to));
        Some(Arc::new(RemotePlacement::new(self.network.clone(), self.from, to, find)))
    }
}

/// What becomes of a message between logs on its way: from, to, bytes.
pub type Tamper = Arc<dyn Fn(NodeId, NodeId, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// Ways of the logs' messages from one node to the others: worse than the stream that they take in production, for
/// they may overtake each other, come twice, and be lost one by one.
pub struct Wires {
    network: Network,
    from: NodeId,
    tamper: Tamper,
}

impl Wires {
    /// From `from` over `network`.
    pub fn new(network: Network, from: NodeId, tamper: Tamper) -> Self {
        Self { network, from, tamper }
    }
}

impl Carriers for Wires {
    fn to(&self, address: &str) -> Arc<dyn Carrier> {
        let (network, from, tamper) = (self.network.clone(), self.from, self.tamper.clone());
        Arc::new(Wire { network, from, to: node_at(address), tamper })
    }
}

struct Wire {
    network: Network,
    from: NodeId,
    to: Option<NodeId>,
    tamper: Tamper,
}

#[async_trait]
impl Carrier for Wire {
    async fn carry(&self, batch: Vec<Vec<u8>>) -> Result<(), Fault> {
        let broken = || Fault::new(Code::Unavailable, "the connection is broken");
        let Some(to) = self.to else { return Err(broken()) };
        // Whoever sends into a void notices some of the time; what was sent is lost either way.
        let void = !self.network.listens(to) || !self.network.passes(self.from, to);
        if void && self.network.random.below(2) == 0 {
            self.network.executor.on(self.from, None).sleep(BREAKS).await;
            return Err(broken());
        }
        for message in batch {
            self.network.send(self.from, to, (self.tamper)(self.from, to, message));
        }
        Ok(())
    }
}
