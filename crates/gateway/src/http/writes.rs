//! Routes that change payloads, and of batches of several kinds.

use super::json::Json;
use super::points::asked;
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Change payloads.
///
/// One of `merge`, `replace` and `unset`, for the points of one of `ids`, `points` and `filter`. Vectors stay as they
/// are, and so does the time at which a point ends. What a change does not name keeps its text.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/payload", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::PayloadRequest,
    responses((status = 200, description = "What became of the points.", body = api::PayloadResponse)))]
pub async fn payload(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::PayloadResponse>, Problem> {
    let (name, mut asked): (_, api::PayloadRequest) = asked(&gateway, Call::Payload, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.payload(asked).await?))
}

/// Writes of several kinds, in order.
///
/// Validated whole before anything is written, then atomic per shard: nothing between two operations is ever seen.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/batch", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::BatchRequest,
    responses((status = 200, description = "What became of each.", body = api::BatchResponse)))]
pub async fn batch(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::BatchResponse>, Problem> {
    let (name, mut asked): (_, api::BatchRequest) = asked(&gateway, Call::Batch, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.batch(asked).await?))
}
