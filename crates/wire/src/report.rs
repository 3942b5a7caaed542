//! What a worker says of itself and its shards, to the placement driver.

use serde::{Deserialize, Serialize};
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPhase {
    /// Has proved that it holds what its group committed.
    Ready,
    /// Accepts nothing any more.
    Sealed,
    /// Its data is gone.
    Removed,
    /// Quarantined.
    Failed,
    /// Fetches its data, replays its log, or waits for a leader.
    Opening,
}

/// Who takes part in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Those that vote.
    pub voters: Vec<ReplicaId>,
    /// Those that only follow.
    pub learners: Vec<ReplicaId>,
    /// Voters of the former set, while two sets decide together.
    pub outgoing: Vec<ReplicaId>,
}

/// What only the leader of a shard's group can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadReport {
    /// Its term: the report of a higher one counts.
    pub term: u64,
    /// Who takes part, as committed.
    pub members: Members,
    /// Last committed entry.
    pub committed: u64,
    /// Last entry that each other member is known to hold.
    pub matched: Vec<(ReplicaId, u64)>,
}

/// A state by its digest: equal on every replica at an equal index, or something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Index of the entry that asked for it.
    pub index: u64,
    /// Digest of the logical state there.
    pub digest: u128,
}

/// A worker's figures of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// Which shard.
    pub shard: ShardId,
    /// Which replica of it.
    pub replica: ReplicaId,
    /// How it is.
    pub phase: ShardPhase,
    /// Epoch of the range that it holds.
    pub epoch: u64,
    /// Live points.
    pub points: u64,
    /// On disk, in bytes.
    pub disk_bytes: u64,
    /// In memory, in bytes.
    pub memory_bytes: u64,
    /// Points not in the graph yet.
    pub index_lag: u64,
    /// Last entry applied.
    pub applied_index: u64,
    /// The last mark in the log that it passed.
    pub mark: Option<Mark>,
    /// Whether its copy of the upper part is ready, while the shard is split.
    pub split_ready: bool,
    /// Given by the leader of the group.
    pub lead: Option<LeadReport>,
}

/// What a worker did lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerLoad {
    /// Searches per second.
    pub searches_per_s: u64,
    /// Writes per second.
    pub writes_per_s: u64,
    /// 99th percentile of a search in one shard, in microseconds.
    pub search_p99_us: u64,
}

/// A worker's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// Who.
    pub worker: WorkerId,
    /// Bytes free on its disk.
    pub disk_free_bytes: u64,
    /// Bytes of memory that its shards hold.
    pub memory_used_bytes: u64,
    /// What it did lately.
    pub load: WorkerLoad,
    /// Its replicas.
    pub shards: Vec<ShardReport>,
}
