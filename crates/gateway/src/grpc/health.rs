//! The standard health service: serving means ready.

use crate::gateway::Gateway;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use vectron_wire::proto::public::vectron_service_server::SERVICE_NAME;

/// Answers from the gateway's own readiness.
pub struct Readiness {
    pub gateway: Arc<Gateway>,
}

#[tonic::async_trait]
impl Health for Readiness {
    type WatchStream = tokio_stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !name.is_empty() && name != SERVICE_NAME {
            return Err(Status::not_found("there is no such service here"));
        }
        let status = match self.gateway.ready() {
            Ok(()) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        };
        Ok(Response::new(HealthCheckResponse { status: status as i32 }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        // Permitted by the protocol: clients then poll `check`.
        Err(Status::unimplemented("health is not streamed; call Check"))
    }
}
