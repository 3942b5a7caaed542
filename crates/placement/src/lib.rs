//! The placement driver: which collections exist, and which workers hold their shards.
//!
//! What it is. A replicated [`catalog`] (the truth), an [`observe`]d picture of the workers (soft, from their
//! reports), pure [`plan`]s that choose workers, and the service ([`serve`]) that gateways and workers talk to.
//!
//! How data flows through it. A request becomes a catalog command, is replicated through its own consensus
//! group, applied to the catalog, and seen by everybody who watches the epoch. Workers act on what they see
//! and report; the service answers the request when the reports say that the act is done.
//!
//! What it must never know. Points, vectors and queries; how a worker stores a shard; HTTP. A plan sees no
//! clock and does no I/O. The driver proposes; a shard's own group decides.

pub mod catalog;
pub mod observe;
pub mod plan;
pub mod serve;

use vectron_base::event::{Event, Events, Severity};
use vectron_base::knob::{Affects, Bounds};
use vectron_base::metric::{Counter, Gauge, Registry};

vectron_base::knobs! {
    /// Settings of the placement driver.
    pub struct PlacementKnobs in "placement", "VECTRON_PLACEMENT" {
        /// Shards a collection may have. More shards use more cores for one query and cost more per query and per idle shard.
        shards_max: u64 = 64u64, "SHARDS_MAX", Bounds::Integer(1, 4096), "", Affects::Limits, "vectron_placement_shards";
        /// Collections that may exist. Each costs at least one replicated log.
        collections_max: u64 = 1000u64, "COLLECTIONS_MAX", Bounds::Integer(1, 100_000), "", Affects::Limits, "vectron_placement_collections";
        /// Payload indexes a collection may have. Each takes memory for every point and time on every write.
        indexes_max: u64 = 64u64, "INDEXES_MAX", Bounds::Integer(0, 1024), "", Affects::Limits, "vectron_placement_epoch";
        /// How long a watch waits before it answers with an unchanged catalog. Shorter costs more calls and notices lost connections sooner.
        watch_timeout_ms: u64 = 10_000u64, "WATCH_TIMEOUT_MS", Bounds::Integer(100, 60_000), "ms", Affects::Speed, "";
        /// Catalog changes between two checkpoints of the catalog. Fewer make restart shorter and writes dearer.
        checkpoint_entries: u64 = 64u64, "CHECKPOINT_ENTRIES", Bounds::Integer(1, 100_000), "", Affects::Speed, "";
    }
}

/// What the placement driver counts.
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
    /// Noteworthy happenings.
    pub events: Events,
}

/// Noteworthy happenings in the placement driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementEvent {
    /// The catalog's checkpoint failed; it will be tried again.
    CheckpointFailed(String),
}

impl Event for PlacementEvent {
    fn name(&self) -> &'static str {
        "placement.checkpoint_failed"
    }
    fn severity(&self) -> Severity {
        Severity::Warn
    }
    fn message(&self) -> String {
        let PlacementEvent::CheckpointFailed(why) = self;
        format!("the catalog's checkpoint failed: {why}")
    }
}

impl PlacementMetrics {
    /// Metrics listed in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { events: Events::register(registry, "placement"), ..Self::default() };
        registry.register("vectron_placement_collections", "Live collections", metrics.collections.clone());
        registry.register("vectron_placement_shards", "Shards of live collections", metrics.shards.clone());
        registry.register("vectron_placement_workers", "Registered workers", metrics.workers.clone());
        registry.register("vectron_placement_epoch", "Catalog epoch", metrics.epoch.clone());
        registry.register(
            "vectron_placement_checkpoint_failures",
            "Catalog checkpoints that failed",
            metrics.checkpoint_failures.clone(),
        );
        metrics
    }
}
