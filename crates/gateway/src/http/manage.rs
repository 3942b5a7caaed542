//! Routes that show and change the cluster.

use super::json::{Json, body_of};
use super::path::number_in;
use super::{Problem, Shared};
use crate::api;
use axum::extract::{Request, State};
use http::StatusCode;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_wire::cluster::ClusterChange;

type Changed = Result<Json<api::ChangeResponse>, Problem>;

async fn change(gateway: &Shared, change: ClusterChange) -> Changed {
    Ok(Json(StatusCode::OK, gateway.change_cluster(change).await?))
}

/// Workers: where they are, what they hold, whether they are alive.
#[utoipa::path(get, path = "/v1/admin/workers", tag = "admin",
    responses((status = 200, description = "The workers.", body = api::WorkersResponse)))]
pub async fn workers(State(gateway): State<Shared>) -> Result<Json<api::WorkersResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.workers().await?))
}

/// Shards with their replicas.
#[utoipa::path(get, path = "/v1/admin/shards", tag = "admin",
    responses((status = 200, description = "The shards.", body = api::ShardsResponse)))]
pub async fn shards(State(gateway): State<Shared>) -> Result<Json<api::ShardsResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.shards().await?))
}

/// Moves under way.
#[utoipa::path(get, path = "/v1/admin/moves", tag = "admin",
    responses((status = 200, description = "The moves.", body = api::MovesResponse)))]
pub async fn moves(State(gateway): State<Shared>) -> Result<Json<api::MovesResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.moves().await?))
}

/// Members of the placement driver.
#[utoipa::path(get, path = "/v1/admin/members", tag = "admin",
    responses((status = 200, description = "The members.", body = api::MembersResponse)))]
pub async fn members(State(gateway): State<Shared>) -> Result<Json<api::MembersResponse>, Problem> {
    Ok(Json(StatusCode::OK, gateway.members().await?))
}

/// A worker gives its replicas away and takes none; it serves until they are gone.
#[utoipa::path(post, path = "/v1/admin/workers/{worker}/drain", tag = "admin",
    params(("worker" = u64, Path, description = "Its id.")), request_body = api::EmptyRequest,
    responses((status = 200, description = "What moves.", body = api::ChangeResponse)))]
pub async fn drain(State(gateway): State<Shared>, request: Request) -> Changed {
    let worker = WorkerId(number_in("worker", request.uri().path(), 4)?);
    let api::EmptyRequest {} = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Drain(worker)).await
}

/// A worker takes replicas again.
#[utoipa::path(post, path = "/v1/admin/workers/{worker}/undrain", tag = "admin",
    params(("worker" = u64, Path, description = "Its id.")), request_body = api::EmptyRequest,
    responses((status = 200, description = "Done.", body = api::ChangeResponse)))]
pub async fn undrain(State(gateway): State<Shared>, request: Request) -> Changed {
    let worker = WorkerId(number_in("worker", request.uri().path(), 4)?);
    let api::EmptyRequest {} = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Undrain(worker)).await
}

/// Forget a worker that holds nothing any more.
#[utoipa::path(delete, path = "/v1/admin/workers/{worker}", tag = "admin",
    params(("worker" = u64, Path, description = "Its id.")),
    responses((status = 200, description = "Forgotten.", body = api::ChangeResponse)))]
pub async fn remove_worker(State(gateway): State<Shared>, request: Request) -> Changed {
    let worker = WorkerId(number_in("worker", request.uri().path(), 4)?);
    change(&gateway, ClusterChange::Remove(worker)).await
}

/// Split a shard in the middle of its range, while it is read and written.
#[utoipa::path(post, path = "/v1/admin/shards/{shard}/split", tag = "admin",
    params(("shard" = u64, Path, description = "Its id.")), request_body = api::EmptyRequest,
    responses((status = 200, description = "Begun.", body = api::ChangeResponse)))]
pub async fn split(State(gateway): State<Shared>, request: Request) -> Changed {
    let shard = ShardId(number_in("shard", request.uri().path(), 4)?);
    let api::EmptyRequest {} = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Split(shard)).await
}

/// Move one replica from a worker to another.
#[utoipa::path(post, path = "/v1/admin/shards/{shard}/move", tag = "admin",
    params(("shard" = u64, Path, description = "Its id.")), request_body = api::MoveRequest,
    responses((status = 200, description = "What is copied.", body = api::ChangeResponse)))]
pub async fn move_replica(State(gateway): State<Shared>, request: Request) -> Changed {
    let shard = ShardId(number_in("shard", request.uri().path(), 4)?);
    let api::MoveRequest { from, to, dry_run } = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Move { shard, from: WorkerId(from), to: WorkerId(to), dry_run }).await
}

/// Let the replica on a worker lead its shard.
#[utoipa::path(post, path = "/v1/admin/shards/{shard}/transfer", tag = "admin",
    params(("shard" = u64, Path, description = "Its id.")), request_body = api::TransferRequest,
    responses((status = 200, description = "Wished for.", body = api::ChangeResponse)))]
pub async fn transfer(State(gateway): State<Shared>, request: Request) -> Changed {
    let shard = ShardId(number_in("shard", request.uri().path(), 4)?);
    let api::TransferRequest { to } = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Transfer { shard, to: WorkerId(to) }).await
}

/// Add a search-only replica.
#[utoipa::path(post, path = "/v1/admin/shards/{shard}/learners", tag = "admin",
    params(("shard" = u64, Path, description = "Its id.")), request_body = api::LearnerRequest,
    responses((status = 200, description = "What is copied.", body = api::ChangeResponse)))]
pub async fn add_learner(State(gateway): State<Shared>, request: Request) -> Changed {
    let shard = ShardId(number_in("shard", request.uri().path(), 4)?);
    let api::LearnerRequest { worker } = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::AddLearner { shard, to: WorkerId(worker) }).await
}

/// Take a search-only replica away.
#[utoipa::path(delete, path = "/v1/admin/shards/{shard}/learners/{worker}", tag = "admin",
    params(("shard" = u64, Path, description = "Its id."), ("worker" = u64, Path, description = "Who has it.")),
    responses((status = 200, description = "Begun.", body = api::ChangeResponse)))]
pub async fn remove_learner(State(gateway): State<Shared>, request: Request) -> Changed {
    let path = request.uri().path();
    let shard = ShardId(number_in("shard", path, 4)?);
    let from = WorkerId(number_in("worker", path, 6)?);
    change(&gateway, ClusterChange::RemoveLearner { shard, from }).await
}

/// Spread replicas evenly.
#[utoipa::path(post, path = "/v1/admin/rebalance", tag = "admin", request_body = api::RebalanceRequest,
    responses((status = 200, description = "What moves, or would.", body = api::ChangeResponse)))]
pub async fn rebalance(State(gateway): State<Shared>, request: Request) -> Changed {
    let api::RebalanceRequest { dry_run } = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Rebalance { dry_run }).await
}

/// Stop moves where they are safe, and begin none.
#[utoipa::path(post, path = "/v1/admin/moves/pause", tag = "admin", request_body = api::EmptyRequest,
    responses((status = 200, description = "Paused.", body = api::ChangeResponse)))]
pub async fn pause(State(gateway): State<Shared>, request: Request) -> Changed {
    let api::EmptyRequest {} = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Pause).await
}

/// Go on with moves.
#[utoipa::path(post, path = "/v1/admin/moves/resume", tag = "admin", request_body = api::EmptyRequest,
    responses((status = 200, description = "Going on.", body = api::ChangeResponse)))]
pub async fn resume(State(gateway): State<Shared>, request: Request) -> Changed {
    let api::EmptyRequest {} = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::Resume).await
}

/// Roll a move back.
#[utoipa::path(delete, path = "/v1/admin/moves/{move}", tag = "admin",
    params(("move" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "Begun.", body = api::ChangeResponse)))]
pub async fn cancel(State(gateway): State<Shared>, request: Request) -> Changed {
    let id = number_in("move", request.uri().path(), 4)?;
    change(&gateway, ClusterChange::Cancel(id)).await
}

/// Let a member join the placement driver.
#[utoipa::path(post, path = "/v1/admin/members", tag = "admin", request_body = api::MemberRequest,
    responses((status = 200, description = "It joins.", body = api::ChangeResponse)))]
pub async fn add_member(State(gateway): State<Shared>, request: Request) -> Changed {
    let api::MemberRequest { member, address } = body_of(&gateway, request).await?;
    change(&gateway, ClusterChange::AddMember { replica: ReplicaId(member), address }).await
}

/// Let a member leave the placement driver.
#[utoipa::path(delete, path = "/v1/admin/members/{member}", tag = "admin",
    params(("member" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "It leaves.", body = api::ChangeResponse)))]
pub async fn remove_member(State(gateway): State<Shared>, request: Request) -> Changed {
    let member = ReplicaId(number_in("member", request.uri().path(), 4)?);
    change(&gateway, ClusterChange::RemoveMember(member)).await
}
