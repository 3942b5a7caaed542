//! Routes that say how searches come to what they return.

use super::json::Json;
use super::path::id_in;
use super::points::asked;
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Why a search returns a point, or does not.
///
/// The body is that of a search. The search is made again and everything is measured exactly beside it, so it costs as
/// much as an exact search. A shard that fails fails the call.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/{id}/why-not", tag = "points",
    params(("collection" = String, Path, description = "Its name."),
        ("id" = String, Path, description = "The point's id, percent-encoded.")),
    request_body = api::SearchRequest,
    responses((status = 200, description = "The verdict, and what it rests on.", body = api::WhyNotResponse)))]
pub async fn why_not(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::WhyNotResponse>, Problem> {
    let id = id_in(request.uri().path())?;
    let (name, mut asked): (_, api::SearchRequest) = asked(&gateway, Call::WhyNot, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.why_not(&id, asked).await?))
}

/// Propose an effort by the collection's own queries.
///
/// Queries of late are measured with growing efforts against exact scans. Nothing is changed.
#[utoipa::path(post, path = "/v1/collections/{collection}/tune", tag = "collections",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::TuneRequest,
    responses((status = 200, description = "The proposal, and what it rests on.", body = api::TuneResponse)))]
pub async fn tune(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::TuneResponse>, Problem> {
    let (name, mut asked): (_, api::TuneRequest) = asked(&gateway, Call::Tune, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.tune(asked).await?))
}
