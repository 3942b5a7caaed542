//! Connections by address. Each is made when it is first used and made again after it broke.

use super::MessageLimits;
use super::key::ClusterKey;
use super::placement::PlacementConnection;
use super::worker::WorkerConnection;
use crate::connections::Dialer;
use crate::placement::Placement;
use crate::worker::Worker;
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use vectron_base::pool::Pool;

/// How connections between processes are made.
#[derive(Clone, Debug)]
pub struct DialOptions {
    /// How long connecting may take. Small, so that a machine that is gone is noticed while somebody waits.
    pub connect_timeout: Duration,
    /// How often a connection is asked whether it still is one.
    pub keep_alive_interval: Duration,
    /// How long it may be silent before it counts as broken.
    pub keep_alive_timeout: Duration,
    /// How large messages may be.
    pub limits: MessageLimits,
    /// For calls that name no timeout.
    pub call_timeout: Duration,
    /// For watches: longer than the placement driver lets one wait for a change.
    pub watch_timeout: Duration,
    /// Shown with every call.
    pub key: Option<ClusterKey>,
}

/// Makes connections over gRPC.
#[derive(Clone)]
pub struct GrpcDialer {
    options: DialOptions,
    pool: Arc<dyn Pool>,
}

impl GrpcDialer {
    /// A dialer whose connections do their work on `pool`.
    pub fn new(options: DialOptions, pool: Arc<dyn Pool>) -> Self {
        Self { options, pool }
    }

    pub(crate) fn options(&self) -> &DialOptions {
        &self.options
    }

    pub(crate) fn pool(&self) -> &Arc<dyn Pool> {
        &self.pool
    }

    /// The other end of an address such as `10.0.0.7:7102`; none when it is not an address.
    pub(super) fn endpoint(&self, address: &str) -> Option<Endpoint> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        Some(
            endpoint
                .connect_timeout(self.options.connect_timeout)
                .http2_keep_alive_interval(self.options.keep_alive_interval)
                .keep_alive_timeout(self.options.keep_alive_timeout)
                .keep_alive_while_idle(true)
                .executor(OnPool(self.pool.clone())),
        )
    }

    fn channel(&self, address: &str) -> Option<Channel> {
        self.endpoint(address).map(|endpoint| endpoint.connect_lazy())
    }
}

impl fmt::Debug for GrpcDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcDialer").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Dialer for GrpcDialer {
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>> {
        let (channel, options) = (self.channel(address)?, &self.options);
        let connection = WorkerConnection::new(channel, options.limits, options.call_timeout);
        Some(Arc::new(connection.with_key(options.key.clone())))
    }

    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>> {
        let (channel, options) = (self.channel(address)?, &self.options);
        let connection =
            PlacementConnection::new(channel, options.limits, options.call_timeout, options.watch_timeout);
        Some(Arc::new(connection.with_key(options.key.clone())))
    }
}

/// Tasks of a connection, on the pool.
struct OnPool(Arc<dyn Pool>);

impl hyper::rt::Executor<BoxFuture<'static, ()>> for OnPool {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn("connection", task);
    }
}
