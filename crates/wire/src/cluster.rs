//! What operators see of a cluster, and what they may change.

use crate::placement::{ReplicaRole, WorkerEntry};
use crate::report::{ShardPhase, WorkerLoad};
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};

/// A member of the placement driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverMember {
    /// Its replica of the catalog.
    pub replica: ReplicaId,
    /// Where it is reached; empty while it is in the group and the catalog does not name it yet.
    pub address: String,
    /// Whether it votes.
    pub votes: bool,
    /// Whether it leads.
    pub leads: bool,
}

/// A worker as the placement driver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// As registered.
    pub entry: WorkerEntry,
    /// Milliseconds since its last report; none came yet when absent.
    pub silent_ms: Option<u64>,
    /// Whether it counts as alive.
    pub alive: bool,
    /// Bytes free on its disk.
    pub disk_free_bytes: u64,
    /// Bytes of memory that its shards hold.
    pub memory_used_bytes: u64,
    /// Replicas that the catalog places on it.
    pub replicas: u64,
    /// Shards that it leads.
    pub leads: u64,
    /// Live points in its replicas.
    pub points: u64,
    /// What it did lately.
    pub load: WorkerLoad,
    /// What keeps it from being drained or removed, in words.
    pub blocked_by: Vec<String>,
}

/// A replica as the placement driver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Which.
    pub replica: ReplicaId,
    /// Where.
    pub worker: WorkerId,
    /// What it shall be.
    pub role: ReplicaRole,
    /// How it is; its worker has not said yet when absent.
    pub phase: Option<ShardPhase>,
    /// Whether it leads.
    pub leads: bool,
    /// Last entry applied.
    pub applied_index: u64,
    /// Points not in the graph yet.
    pub index_lag: u64,
}

/// A shard as the placement driver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// The collection's name.
    pub collection: String,
    /// Which shard.
    pub shard: ShardId,
    /// First hash of its range.
    pub first: u64,
    /// Last hash of its range.
    pub last: u64,
    /// Epoch of the range.
    pub epoch: u64,
    /// Live points.
    pub points: u64,
    /// Bytes on one replica's disk.
    pub disk_bytes: u64,
    /// The shard that splits off, while one does.
    pub splits_off: Option<ShardId>,
    /// Its replicas.
    pub replicas: Vec<ReplicaView>,
    /// What is wrong with it, in words.
    pub problems: Vec<String>,
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveStep {
    /// The new replica is being added and fetches its data.
    Copying,
    /// The new replica becomes a voter and the old one leaves.
    Switching,
    /// The old replica's data is being removed.
    Removing,
}

impl MoveStep {
    /// Every step, in order.
    pub const ALL: [MoveStep; 3] = [MoveStep::Copying, MoveStep::Switching, MoveStep::Removing];

    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            MoveStep::Copying => "copying",
            MoveStep::Switching => "switching",
            MoveStep::Removing => "removing",
        }
    }
}

/// A move that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMove {
    /// Which shard.
    pub shard: ShardId,
    /// The worker that gives its replica; none when one is added.
    pub from: Option<WorkerId>,
    /// The worker that gets one; none when one is taken away.
    pub to: Option<WorkerId>,
    /// What is copied, in bytes.
    pub bytes: u64,
    /// Why, in words.
    pub reason: String,
}

/// A move under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveView {
    /// Its number.
    pub id: u64,
    /// What.
    pub planned: PlannedMove,
    /// How far.
    pub step: MoveStep,
    /// Wall time of its start, in milliseconds since the Unix epoch.
    pub started_ms: u64,
}

/// The cluster at one moment, as the placement driver's leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Epoch of the catalog.
    pub epoch: u64,
    /// Members of the placement driver.
    pub members: Vec<DriverMember>,
    /// Workers, by id.
    pub workers: Vec<WorkerView>,
    /// Shards of live collections, by collection and range.
    pub shards: Vec<ShardView>,
    /// Moves under way, oldest first.
    pub moves: Vec<MoveView>,
    /// Whether moves are paused.
    pub paused: bool,
}

/// What an operator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterChange {
    /// The worker gives its replicas away.
    Drain(WorkerId),
    /// The worker takes replicas again.
    Undrain(WorkerId),
    /// The worker is forgotten; refused while it has replicas.
    Remove(WorkerId),
    /// The shard is split in the middle of its range.
    Split(ShardId),
    /// Replicas are spread evenly.
    Rebalance {
        /// Only say what would move.
        dry_run: bool,
    },
    /// A replica goes from one worker to another.
    Move {
        /// Which shard.
        shard: ShardId,
        /// Who has it.
        from: WorkerId,
        /// Who shall have it.
        to: WorkerId,
        /// Only say what would be copied.
        dry_run: bool,
    },
    /// The replica on this worker shall lead.
    Transfer {
        /// Which shard.
        shard: ShardId,
        /// Where the new leader is.
        to: WorkerId,
    },
    /// A search-only replica is added on this worker.
    AddLearner {
        /// Which shard.
        shard: ShardId,
        /// Where.
        to: WorkerId,
    },
    /// The search-only replica on this worker goes.
    RemoveLearner {
        /// Which shard.
        shard: ShardId,
        /// Where.
        from: WorkerId,
    },
    /// Moves under way stop where they are safe; none begins.
    Pause,
    /// Moves go on.
    Resume,
    /// The move is rolled back.
    Cancel(u64),
    /// A member joins the placement driver.
    AddMember {
        /// Its replica of the catalog, never used before.
        replica: ReplicaId,
        /// Where it is reached.
        address: String,
    },
    /// A member leaves the placement driver.
    RemoveMember(ReplicaId),
}
