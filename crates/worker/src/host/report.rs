//! What a worker says of itself: reports to the placement driver, gauges, and the memory that admission counts.

use super::{Host, Slot};
use futures::future::select;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::ShardId;
use vectron_store as store;
use vectron_wire::placement::{ShardPhase, ShardReport, WorkerReport};

impl Host {
    pub(super) async fn report_loop(self: Arc<Self>) {
        while !self.stopping() {
            self.report().await;
            let pause = self.parts.pool.sleep(Duration::from_millis(self.parts.knobs.report_interval_ms));
            select(Box::pin(self.report_now.notified()), pause).await;
        }
    }

    /// Tells the placement driver how every shard is.
    pub(crate) async fn report(&self) {
        let slots: Vec<(ShardId, Slot)> =
            self.slots.read().iter().map(|(shard, slot)| (*shard, slot.clone())).collect();
        let shards = slots.iter().filter_map(|(shard, slot)| self.shard_report(*shard, slot)).collect();
        let disk_free_bytes = self.parts.disk.space().map_or(0, |space| space.free);
        self.measure(disk_free_bytes);
        let report = WorkerReport { worker: self.parts.registration.worker, disk_free_bytes, shards };
        // A lost report is followed by the next one.
        let _ = self.parts.placement.report(report).await;
    }

    /// What to report of a shard; nothing until it has proved that it can commit.
    fn shard_report(&self, shard: ShardId, slot: &Slot) -> Option<ShardReport> {
        let empty = |phase| ShardReport { shard, phase, points: 0, disk_bytes: 0, index_lag: 0 };
        match slot {
            Slot::Removed => Some(empty(ShardPhase::Removed)),
            Slot::Failed(_) => Some(empty(ShardPhase::Failed)),
            Slot::Serving(hosted) if hosted.sealed() => Some(empty(ShardPhase::Sealed)),
            Slot::Serving(hosted) if self.quarantined(hosted).is_some() => Some(empty(ShardPhase::Failed)),
            Slot::Serving(hosted) => hosted.proof().map(|_| {
                let stats = hosted.shard.stats();
                ShardReport {
                    shard,
                    phase: ShardPhase::Ready,
                    points: stats.points,
                    disk_bytes: stats.disk_bytes,
                    index_lag: stats.pending,
                }
            }),
        }
    }

    /// Sets the gauges, and corrects the memory that admission counts with.
    fn measure(&self, disk_free_bytes: u64) {
        let stats: Vec<store::ShardStats> = self.serving().iter().map(|h| h.shard.stats()).collect();
        let sum = |of: fn(&store::ShardStats) -> u64| stats.iter().map(of).sum::<u64>();
        let (metrics, memory) = (&self.parts.metrics, sum(|s| s.memory_bytes));
        self.memory_bytes.store(memory, Ordering::Relaxed);
        let figures = [
            (&metrics.shards, stats.len() as u64),
            (&metrics.points, sum(|s| s.points)),
            (&metrics.index_lag, sum(|s| s.pending)),
            (&metrics.memory, memory),
            (&metrics.unsaved, sum(|s| s.bytes_since_checkpoint)),
            (&metrics.tombstones, sum(|s| s.tombstones)),
            (&metrics.disk, sum(|s| s.disk_bytes)),
            (&metrics.disk_free, disk_free_bytes),
        ];
        for (gauge, value) in figures {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}
