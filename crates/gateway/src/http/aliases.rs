//! Routes of aliases.

use super::json::{Json, body_of};
use super::{Problem, Shared};
use crate::api;
use crate::metrics::Call;
use axum::extract::{Request, State};
use http::StatusCode;

/// Change aliases.
///
/// One atomic step: all actions, in order, or none. Every call takes an alias where it takes a collection's name,
/// except the deletion of a collection; answers say the collection's own name.
#[utoipa::path(post, path = "/v1/aliases", tag = "collections",
    request_body = api::ChangeAliasesRequest,
    responses((status = 200, description = "Every alias there is then.", body = api::AliasesResponse)))]
pub async fn change_aliases(
    State(gateway): State<Shared>,
    request: Request,
) -> Result<Json<api::AliasesResponse>, Problem> {
    let body = body_of(&gateway, request).await;
    let asked = body.inspect_err(|fault| gateway.metrics().count(Call::ChangeAliases, Some(fault.code)))?;
    Ok(Json(StatusCode::OK, gateway.change_aliases(asked).await?))
}

/// List aliases, in order.
#[utoipa::path(get, path = "/v1/aliases", tag = "collections",
    responses((status = 200, description = "Every alias.", body = api::AliasesResponse)))]
pub async fn list_aliases(State(gateway): State<Shared>) -> Result<Json<api::AliasesResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.list_aliases().await?))
}
