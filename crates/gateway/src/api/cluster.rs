//! The cluster as operators see and change it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Workers, by id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkersResponse {
    /// Epoch of the catalog.
    pub epoch: u64,
    /// The workers.
    pub workers: Vec<ClusterWorker>,
}

/// A worker as the placement driver sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterWorker {
    /// Its id.
    pub worker: u64,
    /// Where other processes reach it.
    pub address: String,
    /// Where it stands.
    pub region: String,
    /// The zone in that.
    pub zone: String,
    /// The rack in that.
    pub rack: String,
    /// `active` or `draining`.
    pub state: &'static str,
    /// Whether it reports.
    pub alive: bool,
    /// Milliseconds since its last report.
    pub silent_ms: Option<u64>,
    /// Processor cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes that its shards hold of it.
    pub memory_used_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
    /// Bytes free of it.
    pub disk_free_bytes: u64,
    /// Replicas placed on it.
    pub replicas: u64,
    /// Shards that it leads.
    pub leads: u64,
    /// Live points in its replicas.
    pub points: u64,
    /// Searches per second.
    pub searches_per_s: u64,
    /// Writes per second.
    pub writes_per_s: u64,
    /// 99th percentile of a search in one shard, in microseconds.
    pub search_p99_us: u64,
    /// What keeps it from being drained or removed.
    pub blocked_by: Vec<String>,
}

/// Shards of live collections, by collection and range.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShardsResponse {
    /// Epoch of the catalog.
    pub epoch: u64,
    /// The shards.
    pub shards: Vec<ClusterShard>,
}

/// A shard as the placement driver sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterShard {
    /// Its id.
    pub shard: u64,
    /// Its collection.
    pub collection: String,
    /// First hash of its range, in hexadecimal.
    pub first: String,
    /// Last hash of its range, in hexadecimal.
    pub last: String,
    /// Epoch of the range.
    pub epoch: u64,
    /// Live points.
    pub points: u64,
    /// Bytes on one replica's disk.
    pub disk_bytes: u64,
    /// The worker that leads it.
    pub leader: Option<u64>,
    /// The shard that splits off, while one does.
    pub splits_off: Option<u64>,
    /// Its replicas.
    pub replicas: Vec<ClusterReplica>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// A replica as the placement driver sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterReplica {
    /// Its id.
    pub replica: u64,
    /// Its worker.
    pub worker: u64,
    /// What it shall be: `voter`, `joining`, `learner` or `leaving`.
    pub role: &'static str,
    /// How it is: `ready`, `opening`, `sealed`, `removed` or `failed`.
    pub phase: Option<&'static str>,
    /// Whether it leads.
    pub leads: bool,
    /// Last entry applied.
    pub applied_index: u64,
    /// Points not in the graph yet.
    pub index_lag: u64,
}

/// Moves under way, oldest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MovesResponse {
    /// Whether moves are paused.
    pub paused: bool,
    /// The moves.
    pub moves: Vec<ClusterMove>,
}

/// A move under way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterMove {
    /// Its number.
    pub id: u64,
    /// `copying`, `switching` or `removing`.
    pub step: &'static str,
    /// Wall time of its start, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// What.
    #[serde(flatten)]
    pub planned: PlannedMove,
}

/// A move that follows from a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedMove {
    /// Which shard.
    pub shard: u64,
    /// The worker that gives its replica.
    pub from: Option<u64>,
    /// The worker that gets one.
    pub to: Option<u64>,
    /// What is copied.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// What follows from a change. The moves go on in the background.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeResponse {
    /// The moves.
    pub planned: Vec<PlannedMove>,
}

/// Members of the placement driver.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MembersResponse {
    /// By number.
    pub members: Vec<ClusterMember>,
}

/// A member of the placement driver.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClusterMember {
    /// Its number.
    pub member: u64,
    /// Where it is reached.
    pub address: String,
    /// Whether it votes.
    pub votes: bool,
    /// Whether it leads.
    pub leads: bool,
}

/// A change without details: `{}`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyRequest {}

/// Replicas are spread evenly.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebalanceRequest {
    /// Only say what would move.
    #[serde(default)]
    pub dry_run: bool,
}

/// A replica goes from one worker to another.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The worker that has it.
    pub from: u64,
    /// The worker that shall have it.
    pub to: u64,
    /// Only say what would be copied.
    #[serde(default)]
    pub dry_run: bool,
}

/// The replica on a worker shall lead.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// The worker.
    pub to: u64,
}

/// A search-only replica is added.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnerRequest {
    /// The worker that shall have it.
    pub worker: u64,
}

/// A member joins the placement driver.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// Its number, never used before.
    pub member: u64,
    /// Where it is reached.
    pub address: String,
}
