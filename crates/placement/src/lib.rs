//! The placement driver: which collections exist, and which workers hold their shards.
//!
//! What it is. A replicated [`catalog`] (the truth), an [`observe`]d picture of the workers (soft, from their
//! reports), pure [`plan`]s that choose workers, [`moves`] that turn plans and reports into commands step by step, and
//! the service ([`serve`]) that gateways, workers and operators talk to.
//!
//! How data flows through it. A request becomes a catalog command, is replicated through its own consensus
//! group, applied to the catalog, and seen by everybody who watches the epoch. Workers act on what they see
//! and report; the service answers the request when the reports say that the act is done. Of several members only
//! the leader of that group answers and plans, and each step is in the catalog before anybody acts on it.
//!
//! What it must never know. Points, vectors and queries; how a worker stores a shard; HTTP. A plan sees no
//! clock and does no I/O. The driver proposes; a shard's own group decides.

pub mod catalog;
mod event;
mod metrics;
pub mod moves;
pub mod observe;
pub mod plan;
pub mod serve;

pub use event::PlacementEvent;
pub use metrics::PlacementMetrics;

use vectron_base::knob::{Affects, Bounds};

vectron_base::knobs! {
    /// Settings of the placement driver.
    pub struct PlacementKnobs in "placement", "VECTRON_PLACEMENT" {
        /// Shards a collection may have. More shards use more cores for one query and cost more per query and per idle shard.
        shards_max: u64 = 64u64, "SHARDS_MAX", Bounds::Integer(1, 4096), "", Affects::Limits, "vectron_placement_shards";
        /// Collections that may exist. Each costs at least one replicated log.
        collections_max: u64 = 1000u64, "COLLECTIONS_MAX", Bounds::Integer(1, 100_000), "", Affects::Limits, "vectron_placement_collections";
        /// Aliases that may exist. Each is told to every gateway and worker with every change of the catalog.
        aliases_max: u64 = 1000u64, "ALIASES_MAX", Bounds::Integer(0, 100_000), "", Affects::Limits, "vectron_placement_epoch";
        /// Payload indexes a collection may have. Each takes memory for every point and time on every write.
        indexes_max: u64 = 64u64, "INDEXES_MAX", Bounds::Integer(0, 1024), "", Affects::Limits, "vectron_placement_epoch";
        /// How long a watch waits before it answers with an unchanged catalog. Shorter costs more calls and notices lost connections sooner.
        watch_timeout_ms: u64 = 10_000u64, "WATCH_TIMEOUT_MS", Bounds::Integer(100, 60_000), "ms", Affects::Speed, "";
        /// Catalog changes between two checkpoints of the catalog. Fewer make restart shorter and writes dearer.
        checkpoint_entries: u64 = 64u64, "CHECKPOINT_ENTRIES", Bounds::Integer(1, 100_000), "", Affects::Speed, "";
        /// How often the placement driver looks for something to do when nothing happens. Shorter acts sooner and costs more idle work.
        plan_interval_ms: u64 = 1000u64, "PLAN_INTERVAL_MS", Bounds::Integer(50, 60_000), "ms", Affects::Speed, "vectron_placement_moves";
        /// Silence after which a worker counts as dead. Shorter acts sooner and takes more stalls for deaths.
        dead_after_ms: u64 = 30_000u64, "DEAD_AFTER_MS", Bounds::Integer(1000, 3_600_000), "ms", Affects::Durability, "vectron_placement_workers_dead";
        /// How long a dead worker may take to come back before its replicas are made anew elsewhere. Longer spares copies when a worker only restarts, and leaves shards with fewer replicas meanwhile.
        repair_grace_ms: u64 = 60_000u64, "REPAIR_GRACE_MS", Bounds::Integer(0, 86_400_000), "ms", Affects::Durability, "vectron_placement_shards_degraded";
        /// Entries that a replica may lack and still count as caught up. Fewer switch over more smoothly and may never be reached under load.
        caught_up_entries: u64 = 256u64, "CAUGHT_UP_ENTRIES", Bounds::Integer(1, 1_000_000), "entries", Affects::Speed, "vectron_placement_moves";
        /// How long a move or a split may make no progress before it is rolled back. Shorter frees room for others sooner and gives up on slow copies.
        move_stall_ms: u64 = 600_000u64, "MOVE_STALL_MS", Bounds::Integer(1000, 86_400_000), "ms", Affects::Speed, "vectron_placement_moves_rolled_back_total";
        /// Moves that may be under way in the cluster. More repair and drain sooner and take more of disks and networks.
        moves_max: u64 = 8u64, "MOVES_MAX", Bounds::Integer(1, 10_000), "", Affects::Speed, "vectron_placement_moves";
        /// Moves that may go to, or away from, one worker at a time. More repair and drain sooner and slow down what the worker serves.
        moves_per_worker_max: u64 = 2u64, "MOVES_PER_WORKER_MAX", Bounds::Integer(1, 1000), "", Affects::Speed, "vectron_placement_moves";
        /// How far a worker's load may exceed the mean, by its share of the cluster, before replicas move away by themselves; 0 moves them by command only. Lower evens out more and copies more.
        rebalance_percent: u64 = 30u64, "REBALANCE_PERCENT", Bounds::Integer(0, 10_000), "percent", Affects::Speed, "vectron_placement_moves_begun_total";
        /// Whether leaders are spread over the workers by themselves. Spread leaders use more cores for writes; each transfer holds a shard's writes for a moment.
        balance_leaders: bool = true, "BALANCE_LEADERS", Bounds::Flag, "", Affects::Speed, "vectron_placement_transfers_total";
        /// Live points at which a shard is split by itself; 0 splits by command only. Smaller shards use more cores for one query, copy faster and cost more when idle.
        split_points: u64 = 0u64, "SPLIT_POINTS", Bounds::Integer(0, 1_000_000_000_000), "points", Affects::Speed, "vectron_placement_splits_total";
        /// Bytes of a replica at which its shard is split by itself; 0 splits by command only. Smaller shards use more cores for one query, copy faster and cost more when idle.
        split_bytes: u64 = 0u64, "SPLIT_BYTES", Bounds::Integer(0, 1_000_000_000_000_000), "bytes", Affects::Speed, "vectron_placement_splits_total";
    }
}
