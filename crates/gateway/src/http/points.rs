//! Routes of points.

use super::edge::{RequestId, brief};
use super::json::{Json, Read, body_of};
use super::path::{collection_in, id_in};
use super::query::{DeleteParameters, GetParameters};
use super::{Problem, Shared};
use crate::admit::Admitted;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use axum::extract::{Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::StatusCode;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_wire::fault_table::to_problem;

/// The collection of the path and the body, counted when refused.
pub(super) async fn asked<T: DeserializeOwned + Send + 'static>(
    gateway: &Gateway,
    call: Call,
    request: Request,
) -> Result<(String, T), Fault> {
    let name = collection_in(request.uri().path());
    let decoded = match name {
        Ok(name) => body_of(gateway, request).await.map(|body| (name, body)),
        Err(fault) => Err(fault),
    };
    decoded.inspect_err(|fault| gateway.metrics().count(call, Some(fault.code)))
}

/// Read one point.
///
/// The id is percent-encoded: `a/b` is `a%2Fb`.
#[utoipa::path(get, path = "/v1/collections/{collection}/points/{id}", tag = "points",
    params(("collection" = String, Path, description = "Its name."),
        ("id" = String, Path, description = "The point's id, percent-encoded."), GetParameters),
    responses((status = 200, description = "The point.", body = api::GetResponse)))]
pub async fn get(State(gateway): State<Shared>, request: Request) -> Result<Read<api::GetResponse>, Problem> {
    let path = request.uri().path();
    let mut query = GetParameters::of(&request)?;
    let asked = api::GetRequest {
        collection: collection_in(path)?,
        id: id_in(path)?,
        include_payload: query.include_payload,
        include_vector: query.include_vector,
        consistency: query.consistency()?,
        timeout_ms: query.timeout_ms,
    };
    Ok(Read(gateway.get(asked).await?))
}

/// Delete one point.
///
/// Deleting a point that is not there is fine and answers `deleted: 0`. With `if_version` only that version is deleted.
#[utoipa::path(delete, path = "/v1/collections/{collection}/points/{id}", tag = "points",
    params(("collection" = String, Path, description = "Its name."),
        ("id" = String, Path, description = "The point's id, percent-encoded."), DeleteParameters),
    responses((status = 200, description = "It is not there any more.", body = api::DeleteResponse)))]
pub async fn delete_point(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::DeleteResponse>, Problem> {
    let path = request.uri().path();
    let query = DeleteParameters::of(&request)?;
    let id = id_in(path)?;
    let asked = api::DeleteRequest {
        collection: collection_in(path)?,
        ids: query.if_version.is_none().then(|| vec![api::PointId(id.clone())]),
        points: query.if_version.map(|version| {
            vec![api::PointCondition { id: api::PointId(id), if_version: Some(version), if_filter: None }]
        }),
        filter: None,
        idempotency_key: query.idempotency_key,
        timeout_ms: query.timeout_ms,
    };
    Ok(Json(StatusCode::OK, gateway.delete(asked).await?))
}

/// Insert or replace points.
///
/// A batch is validated whole before anything is written, then atomic per shard. OK means durable. Points that
/// were not written are listed in `failed`.
#[utoipa::path(post, path = "/v1/collections/{collection}/points", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::UpsertRequest,
    responses((status = 200, description = "What became of the points.", body = api::UpsertResponse)))]
pub async fn upsert(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::UpsertResponse>, Problem> {
    let (name, mut asked): (_, api::UpsertRequest) = asked(&gateway, Call::Upsert, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.upsert(asked).await?))
}

/// Read several points by id.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/get", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::BatchGetRequest,
    responses((status = 200, description = "The points that are there.", body = api::BatchGetResponse)))]
pub async fn batch_get(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::BatchGetResponse>, Problem> {
    let (name, mut asked): (_, api::BatchGetRequest) = asked(&gateway, Call::BatchGet, request).await?;
    asked.collection = name;
    Ok(Read(gateway.batch_get(asked).await?))
}

/// Delete points by ids or by filter.
///
/// Give one of them. Points that are not there count 0.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/delete", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::DeleteRequest,
    responses((status = 200, description = "How many were deleted.", body = api::DeleteResponse)))]
pub async fn delete(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::DeleteResponse>, Problem> {
    let (name, mut asked): (_, api::DeleteRequest) = asked(&gateway, Call::Delete, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.delete(asked).await?))
}

/// Find the nearest points.
///
/// Best first, ties by id. What was written before the search began is found unless a weaker consistency is
/// asked for.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/search", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::SearchRequest,
    responses((status = 200, description = "The nearest points.", body = api::SearchResponse)))]
pub async fn search(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::SearchResponse>, Problem> {
    let (name, mut asked): (_, api::SearchRequest) = asked(&gateway, Call::Search, request).await?;
    asked.collection = name;
    Ok(Read(gateway.search(asked).await?))
}

/// Find the nearest points, answer by answer.
///
/// Server-sent events: `results` after each shard that answered, then `last`, whose `complete` says whether every
/// shard did before the time was up. An error after the first event is the event `error`, with a problem as data.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/search/stream", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::SearchRequest,
    responses((status = 200, description = "Answers.", body = api::SearchEvent, content_type = "text/event-stream")))]
pub async fn search_stream(State(gateway): State<Shared>, request: Request) -> Result<Response, Problem> {
    let place = request.extensions().get::<Arc<Admitted>>().cloned();
    let id = request.extensions().get::<RequestId>().cloned();
    let (name, mut asked): (_, api::SearchRequest) = asked(&gateway, Call::SearchStream, request).await?;
    asked.collection = name;
    let mut events = Box::pin(gateway.search_stream(asked, place));
    // What is wrong with the request is known by then, and is a problem like that of any other call.
    let first = events.next().await.transpose()?;
    let told = futures::stream::iter(first.map(Ok)).chain(events).map(move |event| {
        let shown = match event {
            Ok(event) => Event::default().event(if event.last { "last" } else { "results" }).json_data(event),
            Err(fault) => {
                let problem = to_problem(&brief(fault), id.as_ref().map(|id| &*id.0));
                Event::default().event("error").json_data(problem)
            }
        };
        shown.map_err(|error| std::io::Error::other(error.to_string()))
    });
    Ok(Sse::new(told).into_response())
}

/// Page through points, in id order or in that of a field.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/scroll", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::ScrollRequest,
    responses((status = 200, description = "A page.", body = api::ScrollResponse)))]
pub async fn scroll(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Read<api::ScrollResponse>, Problem> {
    let (name, mut asked): (_, api::ScrollRequest) = asked(&gateway, Call::Scroll, request).await?;
    asked.collection = name;
    Ok(Read(gateway.scroll(asked).await?))
}

/// Count points, exactly unless asked otherwise.
#[utoipa::path(post, path = "/v1/collections/{collection}/points/count", tag = "points",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::CountRequest,
    responses((status = 200, description = "How many.", body = api::CountResponse)))]
pub async fn count(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::CountResponse>, Problem> {
    let (name, mut asked): (_, api::CountRequest) = asked(&gateway, Call::Count, request).await?;
    asked.collection = name;
    Ok(Json(StatusCode::OK, gateway.count(asked).await?))
}
