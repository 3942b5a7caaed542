//! Routes of payload indexes.

use super::json::{Json, body_of};
use super::path::{collection_in, field_in};
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Add a payload index.
///
/// Answers at once; the index is built in the background, and until it is ready filters look at payloads. The
/// same index again is fine (200); another type for the field is refused (409).
#[utoipa::path(post, path = "/v1/collections/{collection}/indexes", tag = "indexes",
    params(("collection" = String, Path, description = "Its name.")),
    request_body = api::CreateIndexRequest,
    responses(
        (status = 201, description = "Added.", body = api::CreateIndexResponse),
        (status = 200, description = "The same index was there already.", body = api::CreateIndexResponse),
    ))]
pub async fn create_index(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::CreateIndexResponse>, Problem> {
    let collection = collection_in(request.uri().path())?;
    let body = body_of(&gateway, request).await;
    let asked: api::CreateIndexRequest =
        body.inspect_err(|fault| gateway.metrics().count(Call::CreateIndex, Some(fault.code)))?;
    let answer = gateway.create_index(api::CreateIndexRequest { collection, ..asked }).await?;
    Ok(Json(if answer.created { StatusCode::CREATED } else { StatusCode::OK }, answer))
}

/// List payload indexes and how far they are, by field.
#[utoipa::path(get, path = "/v1/collections/{collection}/indexes", tag = "indexes",
    params(("collection" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The indexes.", body = api::ListIndexesResponse)))]
pub async fn list_indexes(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::ListIndexesResponse>, Problem> {
    let collection = collection_in(request.uri().path())?;
    Ok(Json(StatusCode::OK, gateway.list_indexes(&collection).await?))
}

/// Take a payload index away. Filters on the field look at payloads again.
#[utoipa::path(delete, path = "/v1/collections/{collection}/indexes/{field}", tag = "indexes",
    params(("collection" = String, Path, description = "Its name."),
        ("field" = String, Path, description = "The field's path, percent-encoded.")),
    responses((status = 200, description = "Gone.", body = api::DeleteIndexResponse)))]
pub async fn delete_index(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::DeleteIndexResponse>, Problem> {
    let path = request.uri().path();
    let (collection, field) = (collection_in(path)?, field_in(path)?);
    Ok(Json(StatusCode::OK, gateway.delete_index(&collection, &field).await?))
}
