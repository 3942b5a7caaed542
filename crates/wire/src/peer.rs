//! Messages of replicated logs between processes: opaque bytes, in order while a connection lasts, lost when it
//! does not.

use async_trait::async_trait;
use std::sync::Arc;
use vectron_base::Fault;

/// Takes messages that another process sent, in order.
pub trait Inbox: Send + Sync {
    /// One message, as it was encoded. Malformed ones are dropped and counted.
    fn receive(&self, message: &[u8]);
}

/// Carries batches to one other process.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Sends a batch after all earlier ones. An error means that the connection is broken and that batches sent
    /// before may be lost; the next call tries anew.
    async fn carry(&self, batch: Vec<Vec<u8>>) -> Result<(), Fault>;
}

/// Makes connections.
pub trait Carriers: Send + Sync {
    /// A carrier to the process at an address.
    fn to(&self, address: &str) -> Arc<dyn Carrier>;
}
