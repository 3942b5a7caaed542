//! Routes of queries, and of looking over a collection.

use super::json::{Json, Read};
use super::points::asked;
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Count the values of a field.
///
/// Exact, over all points that pass the filter: most points first, equal numbers by value.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/facet", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::FacetRequest,
    responses((status = 200, description = "The values.", body = api::FacetResponse)))]
pub async fn facet(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::FacetResponse>, Problem> {
    let (name, mut asked): (_, api::FacetRequest) = asked(&gateway, Call::Facet, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.facet(asked).await?))
}

/// Read points by chance.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/sample", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::SampleRequest,
    responses((status = 200, description = "The points.", body = api::SampleResponse)))]
pub async fn sample(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::SampleResponse>, Problem> {
    let (name, mut asked): (_, api::SampleRequest) = asked(&gateway, Call::Sample, request).await?;
    asked.collection = name;
    Ok(Read(gateway.sample(asked).await?))
}

/// Score the points of a sample for each other.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/matrix", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::MatrixRequest,
    responses((status = 200, description = "The scores.", body = api::MatrixResponse)))]
pub async fn matrix(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::MatrixResponse>, Problem> {
    let (name, mut asked): (_, api::MatrixRequest) = asked(&gateway, Call::Matrix, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.matrix(asked).await?))
}

/// Make several searches at once.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/search/batch", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::SearchBatchRequest,
    responses((status = 200, description = "The answers.", body = api::SearchBatchResponse)))]
pub async fn search_batch(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::SearchBatchResponse>, Problem> {
    let (name, mut asked): (_, api::SearchBatchRequest) = asked(&gateway, Call::SearchBatch, request).await?;
    asked.collection = name;
    Ok(Read(gateway.search_batch(asked).await?))
}

/// Fuse several searches into one ranking.
///
/// Each leg of `prefetch` is a search of the whole collection. Their hits are fused, scored anew by the formula, made
/// diverse or grouped, and cut to `top_k`.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/query", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::QueryRequest,
    responses((status = 200, description = "The results.", body = api::QueryResponse)))]
pub async fn query(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::QueryResponse>, Problem> {
    let (name, mut asked): (_, api::QueryRequest) = asked(&gateway, Call::Query, request).await?;
    asked.collection = name;
    Ok(Read(gateway.query(asked).await?))
}
