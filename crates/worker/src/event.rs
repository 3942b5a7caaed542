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
    /// A shard's data was removed after its collection was deleted.
    ShardRemoved(ShardId),
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
            WorkerEvent::CheckpointFailed(..) => "worker.checkpoint_failed",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            WorkerEvent::ShardOpened(_) | WorkerEvent::ShardRemoved(_) => Severity::Info,
            WorkerEvent::DamageRepaired(..) | WorkerEvent::CheckpointFailed(..) => Severity::Warn,
            WorkerEvent::ShardFailed(..) => Severity::Error,
        }
    }

    fn message(&self) -> String {
        match self {
            WorkerEvent::ShardOpened(shard) => format!("shard {shard} is open"),
            WorkerEvent::DamageRepaired(shard, what) => format!("shard {shard}: {what}"),
            WorkerEvent::ShardFailed(shard, why) => format!("shard {shard} cannot serve: {why}"),
            WorkerEvent::ShardRemoved(shard) => format!("shard {shard} is removed"),
            WorkerEvent::CheckpointFailed(shard, why) => format!("shard {shard}: checkpoint failed: {why}"),
        }
    }
}
