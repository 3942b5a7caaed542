//! Routes of collections.

use super::json::{Json, body_of};
use super::path::collection_in;
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Create a collection.
///
/// The same name and configuration again is fine (200); another configuration under the name is refused
/// (409). Answers when every shard can commit.
#[utoipa::path(post, path = "/v1/collections", tag = "collections",
    request_body = api::CreateCollectionRequest,
    responses(
        (status = 201, description = "Created.", body = api::CreateCollectionResponse),
        (status = 200, description = "The same collection was there already.", body = api::CreateCollectionResponse),
    ))]
pub async fn create_collection(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::CreateCollectionResponse>, Problem> {
    let body = body_of(&gateway, request).await;
    let asked =
        body.inspect_err(|fault| gateway.metrics().count(Call::CreateCollection, Some(fault.code)))?;
    let answer = gateway.create_collection(asked).await?;
    Ok(Json(if answer.created { StatusCode::CREATED } else { StatusCode::OK }, answer))
}

/// List collections, by name.
#[utoipa::path(get, path = "/v1/collections", tag = "collections",
    responses((status = 200, description = "Every collection.", body = api::ListCollectionsResponse)))]
pub async fn list_collections(
    State(gateway): State<Shared>,
) -> Result<Json<api::ListCollectionsResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.list_collections().await?))
}

/// Describe a collection.
#[utoipa::path(get, path = "/v1/collections/{collection}", tag = "collections",
    params(("collection" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The collection.", body = api::Collection)))]
pub async fn get_collection(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::Collection>, Problem> {
    let name = collection_in(request.uri().path())?;
    Ok(Json(StatusCode::OK, gateway.get_collection(&name).await?))
}

/// Delete a collection.
///
/// One atomic step: afterwards no read succeeds and the name is free. Space is reclaimed in the background.
#[utoipa::path(delete, path = "/v1/collections/{collection}", tag = "collections",
    params(("collection" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Deleted.", body = api::DeleteCollectionResponse)))]
pub async fn delete_collection(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::DeleteCollectionResponse>, Problem> {
    let name = collection_in(request.uri().path())?;
    Ok(Json(StatusCode::OK, gateway.delete_collection(&name).await?))
}

/// Figures of a collection: points, sizes, indexing, shards.
#[utoipa::path(get, path = "/v1/collections/{collection}/status", tag = "collections",
    params(("collection" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The figures now.", body = api::CollectionStatus)))]
pub async fn get_collection_status(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::CollectionStatus>, Problem> {
    let name = collection_in(request.uri().path())?;
    Ok(Json(StatusCode::OK, gateway.collection_status(&name).await?))
}
