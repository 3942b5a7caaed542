//! Connections by address: frames for what workers are asked often, gRPC for the rest.

use super::{FrameOptions, FrameWorker};
use crate::connections::Dialer;
use crate::grpc::dial::GrpcDialer;
use crate::placement::Placement;
use crate::worker::Worker;
use std::sync::Arc;

/// Makes connections over frames and gRPC to the same addresses.
#[derive(Clone, Debug)]
pub struct FrameDialer {
    grpc: Arc<GrpcDialer>,
    options: FrameOptions,
}

impl FrameDialer {
    /// Connections with the times, limits and key of `grpc`, and through it what does not go in frames.
    pub fn new(grpc: Arc<GrpcDialer>, options: FrameOptions) -> Self {
        Self { grpc, options }
    }
}

impl Dialer for FrameDialer {
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>> {
        let rest = self.grpc.worker(address)?;
        let (options, pool) = (self.grpc.options().clone(), self.grpc.pool().clone());
        Some(Arc::new(FrameWorker::new(address.to_string(), options, self.options, pool, rest)))
    }

    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>> {
        self.grpc.placement(address)
    }
}
