//! How this process reaches the rooms of others: connections over gRPC in production, a seeded network in
//! simulation.

use std::sync::Arc;
use vectron_wire::peer::Carriers;
use vectron_wire::placement::Placement;
use vectron_wire::worker::Worker;

/// Makes connections to other processes. None is opened before it is used.
pub trait Network: Send + Sync {
    /// The placement driver's member at an address.
    fn placement(&self, address: &str) -> Arc<dyn Placement>;
    /// The worker at an address.
    fn worker(&self, address: &str) -> Arc<dyn Worker>;
    /// The way of the logs' messages.
    fn carriers(&self) -> Arc<dyn Carriers>;
}
