//! What this room counts.

use vectron_base::event::Events;
use vectron_base::metric::{Counter, Family, Gauge, Histogram, Registry, duration_histogram};

/// A collection's name and a selectivity's.
type ByCollection = [(&'static str, String); 2];

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
    /// Bytes of copies fetched from other workers.
    pub fetched: Counter,
    /// Copies offered to other workers now.
    pub offers: Gauge,
    /// Marks put into logs as their leader.
    pub marks: Counter,
    /// Bytes of stored records read again to find decay.
    pub scrubbed: Counter,
    /// True neighbours that measured searches were to find, and that they found, by collection and selectivity.
    recall_wanted: Family<ByCollection, Counter>,
    recall_found: Family<ByCollection, Counter>,
    /// Searches that were to be measured and could not be.
    pub recall_dropped: Counter,
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
        gauge("vectron_worker_offers", "Copies offered to other workers", &metrics.offers);
        let mut counter = |name: &str, help: &str, one: &Counter| registry.register(name, help, one.clone());
        counter("vectron_worker_checkpoints", "Checkpoints written", &metrics.checkpoints);
        counter(
            "vectron_worker_checkpoint_failures",
            "Checkpoints that failed",
            &metrics.checkpoint_failures,
        );
        counter("vectron_worker_indexed_points", "Points inserted into graphs", &metrics.indexed);
        counter(
            "vectron_worker_fetched_bytes",
            "Bytes of replicas' copies fetched from other workers",
            &metrics.fetched,
        );
        counter("vectron_worker_marks", "Marks put into the logs of shards led here", &metrics.marks);
        counter("vectron_worker_scrubbed_bytes", "Bytes of stored records read again", &metrics.scrubbed);
        counter(
            "vectron_worker_recall_dropped",
            "Searches that were to be measured and were not: too much changed meanwhile",
            &metrics.recall_dropped,
        );
        registry.register(
            "vectron_worker_recall_wanted",
            "True neighbours that measured searches were to find",
            metrics.recall_wanted.clone(),
        );
        registry.register(
            "vectron_worker_recall_found",
            "True neighbours that measured searches found",
            metrics.recall_found.clone(),
        );
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
            fetched: Counter::default(),
            offers: Gauge::default(),
            marks: Counter::default(),
            scrubbed: Counter::default(),
            recall_wanted: Family::default(),
            recall_found: Family::default(),
            recall_dropped: Counter::default(),
            events: Events::default(),
        }
    }

    /// A search of a collection was measured. Collections are few, and chosen by operators.
    pub fn recall_measured(&self, collection: &str, selectivity: &'static str, found: u64, of: u64) {
        let labels = [("collection", collection.to_string()), ("selectivity", selectivity.to_string())];
        self.recall_wanted.get_or_create(&labels).inc_by(of);
        self.recall_found.get_or_create(&labels).inc_by(found);
    }
}
