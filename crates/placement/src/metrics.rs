//! The measurements of this room.

use vectron_base::event::Events;
use vectron_base::metric::{Counter, Gauge, Registry};

/// What the placement driver counts. What workers report is known to the leader only; elsewhere those figures are
/// zero.
#[derive(Clone, Debug, Default)]
pub struct PlacementMetrics {
    /// Live collections.
    pub collections: Gauge,
    /// Shards of live collections.
    pub shards: Gauge,
    /// Registered workers.
    pub workers: Gauge,
    /// Catalog epoch.
    pub epoch: Gauge,
    /// Catalog checkpoints that failed.
    pub checkpoint_failures: Counter,
    /// 1 where this member leads.
    pub leads: Gauge,
    /// Workers that count as dead.
    pub workers_dead: Gauge,
    /// Shards with fewer good voters than they shall have.
    pub shards_degraded: Gauge,
    /// Shards that no live worker leads.
    pub shards_leaderless: Gauge,
    /// Replicas that workers report and the catalog does not list.
    pub replicas_unlisted: Gauge,
    /// Moves under way.
    pub moves: Gauge,
    /// Bytes that moves under way copy.
    pub moves_bytes: Gauge,
    /// Moves begun.
    pub moves_begun: Counter,
    /// Moves that were rolled back.
    pub moves_rolled_back: Counter,
    /// Leader transfers asked for.
    pub transfers: Counter,
    /// Splits finished.
    pub splits: Counter,
    /// Replicas found to differ from the others, or quarantined and to be made anew in place.
    pub replicas_condemned: Counter,
    /// Steps that were planned on something that had changed.
    pub steps_stale: Counter,
    /// Noteworthy happenings.
    pub events: Events,
}

impl PlacementMetrics {
    /// Metrics listed in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { events: Events::register(registry, "placement"), ..Self::default() };
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(format!("vectron_placement_{name}"), help, gauge.clone());
        };
        gauge("collections", "Live collections", &metrics.collections);
        gauge("shards", "Shards of live collections", &metrics.shards);
        gauge("workers", "Registered workers", &metrics.workers);
        gauge("epoch", "Catalog epoch", &metrics.epoch);
        gauge("leads", "Whether this member of the placement driver leads", &metrics.leads);
        gauge("workers_dead", "Workers that count as dead", &metrics.workers_dead);
        gauge("shards_degraded", "Shards with fewer good voters than wanted", &metrics.shards_degraded);
        gauge("shards_leaderless", "Shards that no live worker leads", &metrics.shards_leaderless);
        gauge(
            "replicas_unlisted",
            "Reported replicas that the catalog lists no more",
            &metrics.replicas_unlisted,
        );
        gauge("moves", "Moves under way", &metrics.moves);
        gauge("moves_bytes", "Bytes that moves under way copy", &metrics.moves_bytes);
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(format!("vectron_placement_{name}"), help, counter.clone());
        };
        counter("checkpoint_failures", "Catalog checkpoints that failed", &metrics.checkpoint_failures);
        counter("moves_begun", "Moves begun", &metrics.moves_begun);
        counter("moves_rolled_back", "Moves that were rolled back", &metrics.moves_rolled_back);
        counter("transfers", "Leader transfers asked for", &metrics.transfers);
        counter("splits", "Splits finished", &metrics.splits);
        counter(
            "replicas_condemned",
            "Replicas that differ from the others, or are of no use",
            &metrics.replicas_condemned,
        );
        counter("steps_stale", "Planned steps that had been overtaken", &metrics.steps_stale);
        metrics
    }
}
