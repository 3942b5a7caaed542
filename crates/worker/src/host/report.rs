//! What a worker says of itself: reports to the placement driver, gauges, and the memory that admission counts.

use super::{Host, Slot};
use crate::hosted::Hosted;
use futures::future::select;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_base::pool::within;
use vectron_consensus::{GroupStatus, Role};
use vectron_store as store;
use vectron_wire::placement::{LeadReport, Mark, Members, ShardPhase, ShardReport, WorkerReport};

/// How long a report may take: who does not take it must not keep this worker from its duties.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);

impl Host {
    pub(super) async fn report_loop(self: Arc<Self>) {
        while !self.stopping() {
            self.patrol();
            self.report().await;
            let pause = self.parts.pool.sleep(Duration::from_millis(self.parts.knobs.report_interval_ms));
            select(Box::pin(self.report_now.notified()), pause).await;
        }
    }

    /// Tells the placement driver how every replica is.
    pub(crate) async fn report(&self) {
        let slots: Vec<(ShardId, ReplicaId, Option<Slot>)> = {
            let table = self.table.read();
            let known = |(shard, entry): (&ShardId, &super::Entry)| {
                Some((*shard, entry.replica()?, entry.slot.clone()))
            };
            table.iter().filter_map(known).collect()
        };
        let shards = slots
            .iter()
            .map(|(shard, replica, slot)| self.shard_report(*shard, *replica, slot.as_ref()))
            .collect();
        let disk_free_bytes = self.parts.disk.space().map_or(0, |space| space.free);
        self.measure(disk_free_bytes);
        let report = WorkerReport {
            worker: self.worker(),
            disk_free_bytes,
            memory_used_bytes: self.memory_bytes.load(Ordering::Relaxed),
            load: self.load.take(self.parts.clock.now()),
            shards,
        };
        // A lost report is followed by the next one.
        within(&self.parts.pool, REPORT_PATIENCE, self.parts.placement.report(report)).await;
    }

    /// What to report of a replica.
    fn shard_report(&self, shard: ShardId, replica: ReplicaId, slot: Option<&Slot>) -> ShardReport {
        let (phase, disk_bytes) = match slot {
            Some(Slot::Serving(hosted)) => return self.replica_report(hosted),
            Some(Slot::Removed(_)) => (ShardPhase::Removed, 0),
            Some(Slot::Failed(..)) => (ShardPhase::Failed, 0),
            // That these grow says that a copy makes progress.
            Some(Slot::Opening(_, fetched)) => (ShardPhase::Opening, fetched.load(Ordering::Relaxed)),
            None => (ShardPhase::Opening, 0),
        };
        ShardReport {
            shard,
            replica,
            phase,
            epoch: 0,
            points: 0,
            disk_bytes,
            memory_bytes: 0,
            index_lag: 0,
            applied_index: 0,
            mark: None,
            split_ready: false,
            lead: None,
        }
    }

    fn replica_report(&self, hosted: &Hosted) -> ShardReport {
        let (stats, status) = (hosted.shard.stats(), self.parts.consensus.status(hosted.group()));
        let quarantined = status.as_ref().is_some_and(|status| status.quarantined.is_some());
        let phase = if hosted.sealed() {
            ShardPhase::Sealed
        } else if quarantined {
            ShardPhase::Failed
        } else if hosted.proof().is_some() && !hosted.retired() {
            ShardPhase::Ready
        } else {
            ShardPhase::Opening
        };
        ShardReport {
            shard: hosted.id(),
            replica: hosted.meta.replica,
            phase,
            epoch: hosted.epoch(),
            points: stats.points,
            disk_bytes: stats.disk_bytes,
            memory_bytes: stats.memory_bytes,
            index_lag: stats.pending,
            applied_index: hosted.shard.applied_index(),
            mark: hosted.shard.marks().last().map(|mark| Mark { index: mark.index, digest: mark.digest }),
            split_ready: hosted.split_ready(),
            lead: status.filter(|status| status.role == Role::Leader).map(lead_report),
        }
    }

    /// Sets the gauges, and corrects the memory that admission counts with.
    fn measure(&self, disk_free_bytes: u64) {
        let stats: Vec<store::ShardStats> = self.serving().iter().map(|h| h.shard.stats()).collect();
        let sum = |of: fn(&store::ShardStats) -> u64| stats.iter().map(of).sum::<u64>();
        let (metrics, memory) = (&self.parts.metrics, sum(|s| s.memory_bytes));
        let idle = Duration::from_millis(self.parts.knobs.snapshot_idle_ms);
        let offers = self.offers.tidy(self.parts.clock.now(), idle) as u64;
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
            (&metrics.offers, offers),
        ];
        for (gauge, value) in figures {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

/// What only a leader can say.
fn lead_report(status: GroupStatus) -> LeadReport {
    LeadReport {
        term: status.term,
        members: Members {
            voters: status.members.voters,
            learners: status.members.learners,
            outgoing: status.members.voters_outgoing,
        },
        committed: status.committed,
        matched: status.matched.into_iter().collect(),
    }
}
