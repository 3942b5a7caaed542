//! Routes for operators and probes.

use super::json::Json;
use super::{Problem, Shared};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use vectron_base::{Code, Fault};
use vectron_wire::placement::Collection;

/// The front page until there is a better one.
pub async fn root() -> Redirect {
    Redirect::to("/docs/")
}

/// Alive: the process answers.
#[utoipa::path(get, path = "/healthz", tag = "system", security(()),
    responses((status = 200, description = "Alive.", body = Value)))]
pub async fn healthz() -> Json<Value> {
    Json(StatusCode::OK, json!({"alive": true}))
}

/// Ready: calls can be served.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()),
    responses((status = 200, description = "Ready.", body = Value)))]
pub async fn readyz(State(gateway): State<Shared>) -> Result<Json<Value>, Problem> {
    match gateway.ready() {
        Ok(()) => Ok(Json(StatusCode::OK, json!({"ready": true}))),
        Err(reason) => Err(Problem(Fault::new(Code::Unavailable, reason))),
    }
}

/// Metrics, in the Prometheus text format, or as OpenMetrics if asked for.
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
pub async fn metrics(State(gateway): State<Shared>, request: Request) -> Response {
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepts.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let kind = match open {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    let mut response = (gateway.parts.admin.metrics_text)(open).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Health in words.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `not_ready`.
    status: &'static str,
    /// Why not, if not.
    reason: Option<String>,
    /// Of the catalog that this gateway routes by.
    catalog_epoch: u64,
    /// Collections in it.
    collections: usize,
}

/// Health of the system as this gateway sees it.
#[utoipa::path(get, path = "/v1/system/health", tag = "system",
    responses((status = 200, description = "How it is.", body = Health)))]
pub async fn health(State(gateway): State<Shared>) -> Json<Health> {
    let reason = gateway.ready().err();
    let view = gateway.catalog.view();
    let status = if reason.is_none() { "ok" } else { "not_ready" };
    let health = Health { status, reason, catalog_epoch: view.epoch, collections: view.all().count() };
    Json(StatusCode::OK, health)
}

/// Figures of the process.
#[utoipa::path(get, path = "/v1/admin/stats", tag = "admin",
    responses((status = 200, description = "The figures now.", body = Value)))]
pub async fn stats(State(gateway): State<Shared>) -> Json<Value> {
    Json(StatusCode::OK, (gateway.parts.admin.stats)())
}

/// Every knob with value and origin.
#[utoipa::path(get, path = "/v1/admin/knobs", tag = "admin",
    responses((status = 200, description = "The knobs.", body = Value)))]
pub async fn admin_knobs(State(gateway): State<Shared>) -> Json<Value> {
    Json(StatusCode::OK, gateway.parts.admin.knobs.clone())
}

/// A collection as the gateway routes by it.
#[derive(Serialize, ToSchema)]
pub struct RoutedCollection {
    name: String,
    incarnation: u64,
    dimension: u32,
    distance: &'static str,
    shards: usize,
    replication_factor: u32,
    created_at_ms: u64,
}

/// Collections at one epoch.
#[derive(Serialize, ToSchema)]
pub struct RoutedCollections {
    /// Of the catalog.
    epoch: u64,
    /// By name.
    collections: Vec<RoutedCollection>,
}

/// The collections that this gateway routes to, as it last saw the catalog.
#[utoipa::path(get, path = "/v1/admin/collections", tag = "admin",
    responses((status = 200, description = "The collections.", body = RoutedCollections)))]
pub async fn admin_collections(State(gateway): State<Shared>) -> Json<RoutedCollections> {
    let view = gateway.catalog.view();
    let routed = |c: &Collection| RoutedCollection {
        name: c.spec.name.clone(),
        incarnation: c.incarnation.0,
        dimension: c.spec.dimension,
        distance: c.spec.distance.as_str(),
        shards: c.shards.len(),
        replication_factor: c.spec.replication_factor,
        created_at_ms: c.created_at_ms,
    };
    let collections = view.all().map(|c| routed(c)).collect();
    Json(StatusCode::OK, RoutedCollections { epoch: view.epoch, collections })
}
