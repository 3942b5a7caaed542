//! What workers say of themselves: soft state, rebuilt from reports after a restart.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use tokio::sync::watch;
use vectron_base::clock::Tick;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_wire::placement::{Collection, ShardPhase, WorkerReport};

/// The last report of each worker.
pub struct Observed {
    workers: Mutex<BTreeMap<WorkerId, Seen>>,
    changes: watch::Sender<u64>,
}

struct Seen {
    report: WorkerReport,
    at: Tick,
}

impl Default for Observed {
    fn default() -> Self {
        Self { workers: Mutex::default(), changes: watch::channel(0).0 }
    }
}

impl Observed {
    /// Notes a report that arrived at `at`.
    pub fn note(&self, report: WorkerReport, at: Tick) {
        self.workers.lock().insert(report.worker, Seen { report, at });
        self.changes.send_modify(|count| *count += 1);
    }

    /// Notified with every report.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// When a worker was last heard, with its free disk space in bytes.
    pub fn last_heard(&self, worker: WorkerId) -> Option<(Tick, u64)> {
        self.workers.lock().get(&worker).map(|seen| (seen.at, seen.report.disk_free_bytes))
    }

    fn phase(&self, worker: WorkerId, shard: ShardId) -> Option<ShardPhase> {
        let workers = self.workers.lock();
        let seen = workers.get(&worker)?;
        seen.report.shards.iter().find(|s| s.shard == shard).map(|s| s.phase)
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
