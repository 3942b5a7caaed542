//! What workers say of themselves: soft state, rebuilt from reports after a restart.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::watch;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_wire::placement::{Collection, Replica, Shard, ShardPhase, WorkerReport};

/// The last report of each worker.
pub struct Observed {
    workers: Mutex<BTreeMap<WorkerId, WorkerReport>>,
    changes: watch::Sender<u64>,
}

impl Default for Observed {
    fn default() -> Self {
        Self { workers: Mutex::default(), changes: watch::channel(0).0 }
    }
}

impl Observed {
    /// Notes a report.
    pub fn note(&self, report: WorkerReport) {
        self.workers.lock().insert(report.worker, report);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Notified with every report.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn phase(&self, worker: WorkerId, shard: ShardId) -> Option<ShardPhase> {
        let workers = self.workers.lock();
        workers.get(&worker)?.shards.iter().find(|s| s.shard == shard).map(|s| s.phase)
    }

    /// A shard of the collection of which a replica is set aside.
    pub fn failed_shard(&self, collection: &Collection) -> Option<ShardId> {
        let failed = |shard: &&Shard| {
            let phase = |replica: &Replica| self.phase(replica.worker, shard.shard);
            shard.replicas.iter().any(|replica| phase(replica) == Some(ShardPhase::Failed))
        };
        collection.shards.iter().find(failed).map(|shard| shard.shard)
    }

    /// Whether every replica of the collection is in one of these phases.
    pub fn all_in(&self, collection: &Collection, phases: &[ShardPhase]) -> bool {
        collection.shards.iter().all(|shard| {
            shard.replicas.iter().all(|replica| {
                self.phase(replica.worker, shard.shard).is_some_and(|phase| phases.contains(&phase))
            })
        })
    }
}
