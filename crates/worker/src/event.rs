//! Noteworthy happenings of this room.

use vectron_base::event::{Event, Severity};
use vectron_base::ids::ShardId;

/// Noteworthy happenings in a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A shard is open and can serve.
    ShardOpened(ShardId),
    /// A shard's derived data was damaged and is being rebuilt.
    DamageRepaired(ShardId, String),
    /// A shard cannot be opened; it is set aside and named.
    ShardFailed(ShardId, String),
    /// A replica's data was removed: its collection was deleted, or the catalog has it elsewhere.
    ShardRemoved(ShardId),
    /// A copy of the leader's state could not take the place of what is here; it will be tried again.
    CopyFailed(ShardId, String),
    /// Records on the disk are damaged: the replica serves nothing any more, and is to be replaced.
    DamageFound(ShardId, String),
    /// A shard was cut in two here.
    ShardSplit(ShardId, ShardId),
    /// A checkpoint failed; it will be tried again.
    CheckpointFailed(ShardId, String),
}

impl Event for WorkerEvent {
    fn name(&self) -> &'static str {
        match self {
            WorkerEvent::ShardOpened(_) => "worker.shard_opened",
            WorkerEvent::DamageRepaired(..) => "worker.damage_repaired",
            WorkerEvent::ShardFailed(..) => "worker.shard_failed",
            WorkerEvent::ShardRemoved(_) => "worker.shard_removed",
            WorkerEvent::CopyFailed(..) => "worker.copy_failed",
            WorkerEvent::DamageFound(..) => "worker.damage_found",
            WorkerEvent::ShardSplit(..) => "worker.shard_split",
            WorkerEvent::CheckpointFailed(..) => "worker.checkpoint_failed",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            WorkerEvent::ShardOpened(_) | WorkerEvent::ShardRemoved(_) | WorkerEvent::ShardSplit(..) => {
                Severity::Info
            }
            WorkerEvent::DamageRepaired(..)
            | WorkerEvent::CheckpointFailed(..)
            | WorkerEvent::CopyFailed(..) => Severity::Warn,
            WorkerEvent::ShardFailed(..) | WorkerEvent::DamageFound(..) => Severity::Error,
        }
    }

    fn message(&self) -> String {
        match self {
            WorkerEvent::ShardOpened(shard) => format!("shard {shard} is open"),
            WorkerEvent::DamageRepaired(shard, what) => format!("shard {shard}: {what}"),
            WorkerEvent::ShardFailed(shard, why) => format!("shard {shard} cannot serve: {why}"),
            WorkerEvent::ShardRemoved(shard) => format!("shard {shard} is removed"),
            WorkerEvent::CopyFailed(shard, why) => format!("shard {shard}: a copy was not taken in: {why}"),
            WorkerEvent::DamageFound(shard, what) => format!("shard {shard} is quarantined here: {what}"),
            WorkerEvent::ShardSplit(shard, child) => {
                format!("shard {shard} was cut, {child} has its upper part")
            }
            WorkerEvent::CheckpointFailed(shard, why) => format!("shard {shard}: checkpoint failed: {why}"),
        }
    }
}
