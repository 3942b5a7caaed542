//! The worker: hosts shards, writes to them through their replicated logs, and reads from them.
//!
//! What it is. A [`host`] that makes the shards it holds agree with the catalog's assignments, and the
//! service that gateways call: [`write`], [`read`] at four levels, and the background [`tend`]ing of graphs
//! and checkpoints.
//!
//! How data flows through it. A write is fenced, encoded as a store command, proposed to the shard's group,
//! applied by the shard and answered with its outcome. A read passes the barrier that its level needs, then
//! looks at the shard in a read lane. Background steps follow every write until the graph has caught up.
//!
//! What it must never know. HTTP, users, other collections' names; how consensus orders entries; how the store
//! lays out its files. It never waits for the placement driver to serve a shard that it already holds.

mod faults;
pub mod host;
mod hosted;
mod indexes;
mod meta;
mod read;
mod serve;
mod shape;
mod shown;
mod tend;
mod write;

pub use host::{Host, HostError, Parts};

use vectron_base::event::{Event, Events, Severity};
use vectron_base::ids::ShardId;
use vectron_base::knob::{Affects, Bounds};
use vectron_base::metric::{Counter, Gauge, Histogram, Registry, duration_histogram};

vectron_base::knobs! {
    /// Settings of the worker.
    pub struct WorkerKnobs in "worker", "VECTRON_WORKER" {
        /// Points that may wait for the graph before upserts are slowed down by refusal. More points make bursts smoother and searches slower meanwhile, for waiting points are scanned.
        tail_points_max: u64 = 250_000u64, "TAIL_POINTS_MAX", Bounds::Integer(1000, 100_000_000), "points", Affects::Limits, "vectron_worker_index_lag_points";
        /// Points that may wait for the graph before upserts to a shard that is searched are held back for up to two seconds. More points take bursts faster in and make searches meanwhile slower, for waiting points are scanned.
        tail_points_paced: u64 = 4096u64, "TAIL_POINTS_PACED", Bounds::Integer(256, 100_000_000), "points", Affects::Speed, "vectron_worker_index_lag_points";
        /// Threads of the background lane that may build one shard's graph at a time; 0 means one per core. More index a burst sooner and take cores from other shards' background work.
        inserters_max: u64 = 0u64, "INSERTERS_MAX", Bounds::Integer(0, 1024), "threads", Affects::Speed, "vectron_worker_index_lag_points";
        /// Used share of the disk at which upserts are refused; deletes pass. Higher uses more of the disk and leaves less room to recover.
        disk_full_percent: u64 = 90u64, "DISK_FULL_PERCENT", Bounds::Integer(10, 99), "percent", Affects::Limits, "vectron_worker_disk_free_bytes";
        /// Share of the machine's memory that shards may hold, by estimate, before upserts are refused. Higher holds more points and leaves less for bursts; past 100 the machine swaps or kills.
        memory_percent: u64 = 80u64, "MEMORY_PERCENT", Bounds::Integer(1, 100), "percent", Affects::Limits, "vectron_worker_memory_bytes";
        /// How often the worker reports to the placement driver when nothing happens. Shorter finds failures sooner and costs more messages.
        report_interval_ms: u64 = 1000u64, "REPORT_INTERVAL_MS", Bounds::Integer(50, 30_000), "ms", Affects::Speed, "";
    }
}

/// What the worker counts.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    /// Shards held.
    pub shards: Gauge,
    /// Live points in them.
    pub points: Gauge,
    /// Points that wait for the graph.
    pub index_lag: Gauge,
    /// Bytes of memory that the shards hold, by estimate.
    pub memory: Gauge,
    /// Record bytes that wait for a checkpoint.
    pub unsaved: Gauge,
    /// Deleted rows that graphs still pass through.
    pub tombstones: Gauge,
    /// Bytes of the shards' files, without the journal.
    pub disk: Gauge,
    /// Bytes free on the disk.
    pub disk_free: Gauge,
    /// Checkpoints written.
    pub checkpoints: Counter,
    /// Checkpoints that failed.
    pub checkpoint_failures: Counter,
    /// Points inserted into graphs.
    pub indexed: Counter,
    /// Seconds of computing per search, without waiting.
    pub search: Histogram,
    /// Seconds from proposal to applied, per write.
    pub write: Histogram,
    /// Seconds waited at the barrier, per strict read.
    pub barrier: Histogram,
    /// Noteworthy happenings.
    pub events: Events,
}

impl WorkerMetrics {
    /// Metrics listed in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let mut metrics = Self::unlisted();
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| registry.register(name, help, gauge.clone());
        gauge("vectron_worker_shards", "Shards held", &metrics.shards);
        gauge("vectron_worker_points", "Live points in the shards held", &metrics.points);
        gauge("vectron_worker_index_lag_points", "Points that wait for the graph", &metrics.index_lag);
        gauge("vectron_worker_memory_bytes", "Memory held by shards, by estimate", &metrics.memory);
        gauge("vectron_worker_unsaved_bytes", "Record bytes that wait for a checkpoint", &metrics.unsaved);
        gauge(
            "vectron_worker_tombstone_rows",
            "Deleted rows that graphs still pass through",
            &metrics.tombstones,
        );
        gauge("vectron_worker_disk_bytes", "Bytes of the shards' files, without the journal", &metrics.disk);
        gauge("vectron_worker_disk_free_bytes", "Bytes free on the data disk", &metrics.disk_free);
        let mut counter = |name: &str, help: &str, one: &Counter| registry.register(name, help, one.clone());
        counter("vectron_worker_checkpoints", "Checkpoints written", &metrics.checkpoints);
        counter(
            "vectron_worker_checkpoint_failures",
            "Checkpoints that failed",
            &metrics.checkpoint_failures,
        );
        counter("vectron_worker_indexed_points", "Points inserted into graphs", &metrics.indexed);
        let mut seconds =
            |name: &str, help: &str, one: &Histogram| registry.register(name, help, one.clone());
        seconds("vectron_worker_search_seconds", "Computing time of a search in one shard", &metrics.search);
        seconds("vectron_worker_write_seconds", "Time from proposal to applied", &metrics.write);
        seconds("vectron_worker_barrier_seconds", "Time a strict read waited", &metrics.barrier);
        metrics.events = Events::register(registry, "worker");
        metrics
    }

    /// Metrics that nobody lists: for tests and simulations.
    pub fn unlisted() -> Self {
        Self {
            shards: Gauge::default(),
            points: Gauge::default(),
            index_lag: Gauge::default(),
            memory: Gauge::default(),
            unsaved: Gauge::default(),
            tombstones: Gauge::default(),
            disk: Gauge::default(),
            disk_free: Gauge::default(),
            checkpoints: Counter::default(),
            checkpoint_failures: Counter::default(),
            indexed: Counter::default(),
            search: duration_histogram(),
            write: duration_histogram(),
            barrier: duration_histogram(),
            events: Events::default(),
        }
    }
}

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
