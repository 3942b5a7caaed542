//! gRPC: the same calls as REST, by the same methods.

mod browse;
mod convert;
mod convert_catalog;
mod convert_insight;
mod convert_writes;
mod edge;
mod figures;
mod health;
mod service;
mod upserts;
mod vectors;

pub use edge::{own_words, unknown_method};

use crate::gateway::Gateway;
use crate::knobs::size;
use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use std::convert::Infallible;
use std::sync::Arc;
use tonic_health::pb::health_server::HealthServer;
use tower::{Service, ServiceExt};
use vectron_wire::proto::PUBLIC_DESCRIPTORS;
use vectron_wire::proto::public::vectron_service_server::{SERVICE_NAME, VectronServiceServer};

type Request = http::Request<Body>;

/// The public service, health and reflection.
pub fn routes(gateway: Arc<Gateway>) -> Router<Arc<Gateway>> {
    let limit = size(gateway.knobs().max_body_bytes);
    let service = VectronServiceServer::new(service::Service { gateway: gateway.clone() })
        .max_decoding_message_size(limit);
    let health = HealthServer::new(health::Readiness { gateway: gateway.clone() });
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(PUBLIC_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut router = Router::new();
    router = add(router, SERVICE_NAME, service);
    router = add(router, "grpc.health.v1.Health", health);
    // The descriptors are ours and valid, which a test holds; without reflection everything else still works.
    // Some tools know the older protocol only.
    if let (Ok(reflection), Ok(older)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        router = add(router, "grpc.reflection.v1.ServerReflection", reflection);
        router = add(router, "grpc.reflection.v1alpha.ServerReflection", older);
    }
    router.layer(from_fn_with_state(gateway, edge::pace_body))
}

fn add<S>(router: Router<Arc<Gateway>>, name: &str, service: S) -> Router<Arc<Gateway>>
where
    S: Service<http::Request<tonic::body::Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: axum::response::IntoResponse,
    S::Future: Send + 'static,
{
    let service = service.map_request(|request: Request| request.map(tonic::body::Body::new));
    router.route_service(&format!("/{name}/{{*rest}}"), service)
}
