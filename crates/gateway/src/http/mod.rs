//! REST: handlers, strict JSON, problems, the description of it all, and the router that also carries gRPC.

mod browse;
mod collections;
mod contract;
mod edge;
mod indexes;
mod insight;
mod json;
mod manage;
mod path;
mod points;
mod query;
mod strict;
mod system;
mod writes;

pub use contract::openapi;
pub use edge::{Problem, RequestId, brief};

use crate::admit::{admit, require_identity};
use crate::gateway::Gateway;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tower_http::decompression::RequestDecompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;
use vectron_base::{Code, Fault};

type Shared = Arc<Gateway>;

/// Every REST route with its description. Points whose id spells like a verb share the verb's path.
fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(collections::create_collection, collections::list_collections))
        .routes(routes!(collections::get_collection, collections::delete_collection))
        .routes(routes!(collections::get_collection_status))
        .routes(routes!(indexes::create_index, indexes::list_indexes))
        .routes(routes!(indexes::delete_index))
        .routes(routes!(points::upsert))
        .routes(routes!(points::get, points::delete_point))
        .routes(routes!(points::batch_get))
        .routes(routes!(points::delete))
        .routes(routes!(writes::payload))
        .routes(routes!(writes::batch))
        .routes(routes!(points::search))
        .routes(routes!(points::search_stream))
        .routes(routes!(insight::why_not))
        .routes(routes!(insight::tune))
        .routes(routes!(points::scroll))
        .routes(routes!(points::count))
        .routes(routes!(browse::facet))
        .routes(routes!(browse::sample))
        .routes(routes!(browse::matrix))
        .routes(routes!(browse::search_batch))
        .routes(routes!(browse::query))
        .routes(routes!(system::healthz))
        .routes(routes!(system::readyz))
        .routes(routes!(system::metrics))
        .routes(routes!(system::health))
        .routes(routes!(system::stats))
        .routes(routes!(system::admin_collections))
        .routes(routes!(manage::workers))
        .routes(routes!(manage::shards))
        .routes(routes!(manage::moves))
        .routes(routes!(manage::members, manage::add_member))
        .routes(routes!(manage::remove_member))
        .routes(routes!(manage::drain))
        .routes(routes!(manage::undrain))
        .routes(routes!(manage::remove_worker))
        .routes(routes!(manage::split))
        .routes(routes!(manage::move_replica))
        .routes(routes!(manage::transfer))
        .routes(routes!(manage::add_learner))
        .routes(routes!(manage::remove_learner))
        .routes(routes!(manage::rebalance))
        .routes(routes!(manage::pause))
        .routes(routes!(manage::resume))
        .routes(routes!(manage::cancel))
        .routes(routes!(system::admin_knobs))
}

/// A point may be named `search`: reading and deleting it must not end at the verb.
fn points_named_like_verbs() -> Router<Shared> {
    use axum::routing::get;
    let verbs = [
        "get", "delete", "payload", "batch", "search", "scroll", "count", "facet", "sample", "matrix",
        "query",
    ];
    verbs.into_iter().fold(Router::new(), |router, verb| {
        let path = format!("/v1/collections/{{collection}}/points/{verb}");
        router.route(&path, get(points::get).delete(points::delete_point))
    })
}

/// REST, gRPC, the API's description and its browsable page, under one set of layers.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let (rest, _) = described().split_for_parts();
    let docs: Router<Shared> = SwaggerUi::new("/docs").url("/openapi.json", openapi()).into();
    rest.merge(points_named_like_verbs())
        .merge(docs)
        .route("/", axum::routing::get(system::root))
        .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true))
        .merge(crate::grpc::routes(gateway.clone()))
        .fallback(no_route)
        .layer(from_fn_with_state(gateway.clone(), admit))
        .layer(from_fn_with_state(gateway.clone(), require_identity))
        .layer(from_fn_with_state(gateway.clone(), edge::finish))
        .with_state(gateway)
}

async fn no_route(request: Request) -> Response {
    if crate::admit::is_grpc(request.headers()) {
        return crate::grpc::unknown_method(request.uri().path());
    }
    let detail = format!("there is nothing at {}; the API is described at /docs", request.uri().path());
    Problem(Fault::new(Code::NotFound, detail)).into_response()
}
