//! Noteworthy happenings.

use vectron_base::event::{Event, Severity};
use vectron_base::ids::{ShardId, WorkerId};

/// Noteworthy happenings in the placement driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementEvent {
    /// The catalog's checkpoint failed; it will be tried again.
    CheckpointFailed(String),
    /// This member leads, and plans.
    Leads(u64),
    /// This member leads no more.
    Follows,
    /// A worker was silent for too long.
    WorkerDead(WorkerId),
    /// A worker that was dead is back.
    WorkerBack(WorkerId),
    /// A move begins.
    MoveBegun(u64, ShardId, String),
    /// A move is done.
    MoveDone(u64),
    /// A move is rolled back.
    MoveRolledBack(u64, String),
    /// A shard is being split off another.
    SplitBegun(ShardId),
    /// A split is done.
    SplitDone(ShardId),
    /// A split is given up.
    SplitAborted(ShardId),
    /// A replica is past hope: it differs from the others at the same index, or is quarantined.
    ReplicaCondemned(ShardId, String),
    /// This member took the catalog from another one.
    CatalogFetched(u64),
    /// The catalog could not be had from another member; it will be tried again.
    CatalogFetchFailed(String),
    /// The members of the placement driver could not be changed; it will be tried again.
    MembersNotChanged(String),
}

impl Event for PlacementEvent {
    fn name(&self) -> &'static str {
        match self {
            PlacementEvent::CheckpointFailed(_) => "placement.checkpoint_failed",
            PlacementEvent::Leads(_) => "placement.leads",
            PlacementEvent::Follows => "placement.follows",
            PlacementEvent::WorkerDead(_) => "placement.worker_dead",
            PlacementEvent::WorkerBack(_) => "placement.worker_back",
            PlacementEvent::MoveBegun(..) => "placement.move_begun",
            PlacementEvent::MoveDone(_) => "placement.move_done",
            PlacementEvent::MoveRolledBack(..) => "placement.move_rolled_back",
            PlacementEvent::SplitBegun(_) => "placement.split_begun",
            PlacementEvent::SplitDone(_) => "placement.split_done",
            PlacementEvent::SplitAborted(_) => "placement.split_aborted",
            PlacementEvent::ReplicaCondemned(..) => "placement.replica_condemned",
            PlacementEvent::CatalogFetched(_) => "placement.catalog_fetched",
            PlacementEvent::CatalogFetchFailed(_) => "placement.catalog_fetch_failed",
            PlacementEvent::MembersNotChanged(_) => "placement.members_not_changed",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            PlacementEvent::ReplicaCondemned(..) => Severity::Error,
            PlacementEvent::CheckpointFailed(_)
            | PlacementEvent::WorkerDead(_)
            | PlacementEvent::MoveRolledBack(..)
            | PlacementEvent::SplitAborted(_)
            | PlacementEvent::CatalogFetchFailed(_)
            | PlacementEvent::MembersNotChanged(_) => Severity::Warn,
            _ => Severity::Info,
        }
    }

    fn message(&self) -> String {
        match self {
            PlacementEvent::CheckpointFailed(why) => format!("the catalog's checkpoint failed: {why}"),
            PlacementEvent::Leads(term) => format!("this member leads the placement driver in term {term}"),
            PlacementEvent::Follows => "this member leads the placement driver no more".into(),
            PlacementEvent::WorkerDead(worker) => format!("worker {worker} is silent and counts as dead"),
            PlacementEvent::WorkerBack(worker) => format!("worker {worker} is back"),
            PlacementEvent::MoveBegun(id, shard, why) => format!("move {id} of shard {shard} begins: {why}"),
            PlacementEvent::MoveDone(id) => format!("move {id} is done"),
            PlacementEvent::MoveRolledBack(id, why) => format!("move {id} is rolled back: {why}"),
            PlacementEvent::SplitBegun(shard) => format!("shard {shard} is being split"),
            PlacementEvent::SplitDone(shard) => format!("shard {shard} is split"),
            PlacementEvent::SplitAborted(shard) => {
                format!("the split of shard {shard} made no progress and is given up")
            }
            PlacementEvent::ReplicaCondemned(shard, what) => {
                format!("shard {shard}: {what}; it is replaced")
            }
            PlacementEvent::CatalogFetched(index) => {
                format!("took the catalog at entry {index} from another member")
            }
            PlacementEvent::CatalogFetchFailed(why) => {
                format!("the catalog could not be had from another member: {why}")
            }
            PlacementEvent::MembersNotChanged(why) => {
                format!("the members of the placement driver could not be changed: {why}")
            }
        }
    }
}
