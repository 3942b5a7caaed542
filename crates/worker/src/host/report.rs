//! What a worker says of itself: reports to the placement driver, gauges, and the memory that admission counts.

use super::{Host, Slot};
use crate::hosted::Hosted;
use futures::future::select;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_consensus::Role;
use vectron_store as store;
use vectron_wire::placement::{LeadReport, Members, ShardPhase, ShardReport, WorkerLoad, WorkerReport};

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
        let shards = slots.iter().map(|(shard, slot)| self.shard_report(*shard, slot)).collect();
        let disk_free_bytes = self.parts.disk.space().map_or(0, |space| space.free);
        self.measure(disk_free_bytes);
        let report = WorkerReport {
            worker: self.parts.registration.worker,
            disk_free_bytes,
            memory_used_bytes: self.memory_bytes.load(Ordering::Relaxed),
            load: WorkerLoad::default(),
            shards,
        };
        // A lost report is followed by the next one.
        let _ = self.parts.placement.report(report).await;
    }

    /// What to report of a shard.
    fn shard_report(&self, shard: ShardId, slot: &Slot) -> ShardReport {
        match slot {
            Slot::Removed => without_figures(shard, ShardPhase::Removed),
            Slot::Failed(_) => without_figures(shard, ShardPhase::Failed),
            Slot::Serving(hosted) => {
                let phase = if hosted.sealed() {
                    ShardPhase::Sealed
                } else if self.quarantined(hosted).is_some() {
                    ShardPhase::Failed
                } else if hosted.proof().is_some() {
                    ShardPhase::Ready
                } else {
                    ShardPhase::Opening
                };
                self.replica_report(hosted, phase)
            }
        }
    }

    fn replica_report(&self, hosted: &Hosted, phase: ShardPhase) -> ShardReport {
        let (stats, shard) = (hosted.shard.stats(), &hosted.meta.shard);
        let leads = self.parts.consensus.status(hosted.group()).filter(|group| group.role == Role::Leader);
        let members =
            || Members { voters: shard.voters().map(|voter| voter.replica).collect(), ..Members::default() };
        ShardReport {
            shard: shard.shard,
            replica: hosted.meta.replica,
            phase,
            epoch: shard.epoch,
            points: stats.points,
            disk_bytes: stats.disk_bytes,
            memory_bytes: stats.memory_bytes,
            index_lag: stats.pending,
            applied_index: hosted.shard.applied_index(),
            mark: None,
            split_ready: false,
            lead: leads.map(|group| LeadReport {
                term: group.term,
                members: members(),
                committed: group.committed,
                matched: Vec::new(),
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

/// The report of a shard of which nothing is known but its phase, not even the replica.
fn without_figures(shard: ShardId, phase: ShardPhase) -> ShardReport {
    ShardReport {
        shard,
        replica: ReplicaId(0),
        phase,
        epoch: 0,
        points: 0,
        disk_bytes: 0,
        memory_bytes: 0,
        index_lag: 0,
        applied_index: 0,
        mark: None,
        split_ready: false,
        lead: None,
    }
}
