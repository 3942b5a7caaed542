//! The settings of this room.

use vectron_base::knob::{Affects, Bounds};

const MIB: u64 = 1 << 20;

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
        /// How often the worker reports to the placement driver when nothing happens, and looks after the members of the groups that it leads. Shorter finds failures sooner and costs more messages.
        report_interval_ms: u64 = 1000u64, "REPORT_INTERVAL_MS", Bounds::Integer(50, 30_000), "ms", Affects::Speed, "";
        /// Shards that are loaded at a time, and as many more that are fetched. More are ready sooner and take disk, cores and memory from those that serve.
        settling_max: u64 = 4u64, "SETTLING_MAX", Bounds::Integer(1, 256), "shards", Affects::Speed, "vectron_worker_shards";
        /// Largest part of a replica's copy in one call. Larger parts need fewer calls and more memory on both sides.
        snapshot_part_bytes: u64 = MIB, "SNAPSHOT_PART_BYTES", Bounds::Integer(1024, 16 * MIB), "bytes", Affects::Speed, "vectron_worker_fetched_bytes_total";
        /// How fast copies of replicas are fetched, all together; 0 means as fast as they come. Faster moves are sooner done and take disk and network from requests.
        snapshot_bytes_per_s: u64 = 128 * MIB, "SNAPSHOT_BYTES_PER_S", Bounds::Integer(0, 1 << 40), "bytes/s", Affects::Speed, "vectron_worker_fetched_bytes_total";
        /// Copies that are offered to other workers at a time. More serve several moves at once and keep more old files on disk.
        snapshot_offers_max: u64 = 4u64, "SNAPSHOT_OFFERS_MAX", Bounds::Integer(1, 64), "", Affects::Limits, "vectron_worker_offers";
        /// How long an offered copy is kept after its last use, and the log behind it. Longer bridges longer interruptions and keeps old files and the log longer.
        snapshot_idle_ms: u64 = 30_000u64, "SNAPSHOT_IDLE_MS", Bounds::Integer(100, 600_000), "ms", Affects::Speed, "vectron_worker_offers";
        /// How often the leader of a shard puts a mark into its log, at which all replicas digest their state; 0 means never. More often finds a replica that went astray sooner and writes more.
        mark_interval_s: u64 = 600u64, "MARK_INTERVAL_S", Bounds::Integer(0, 86_400), "s", Affects::Durability, "vectron_worker_marks_total";
        /// How long after a point's time has come, by the clock of the shard's leader, the leader removes it although nobody writes; it looks at every report. Shorter frees space sooner, and removes fewer points at a time.
        expiry_delay_ms: u64 = 1000u64, "EXPIRY_DELAY_MS", Bounds::Integer(0, 3_600_000), "ms", Affects::Consistency, "vectron_worker_points";
        /// How fast stored records are read again to find decay, in each shard; 0 means never. Faster finds it sooner and reads more.
        scrub_bytes_per_s: u64 = 4 * MIB, "SCRUB_BYTES_PER_S", Bounds::Integer(0, 1 << 34), "bytes/s", Affects::Durability, "vectron_worker_scrubbed_bytes_total";
        /// Share of the searches that are made again in the background and measured exactly; 0 means none. More says sooner how good searches are and takes more of the budget below.
        recall_share_permyriad: u64 = 50u64, "RECALL_SHARE_PERMYRIAD", Bounds::Integer(0, 10_000), "of 10,000", Affects::Speed, "vectron_worker_recall_dropped_total";
        /// Processor time that measuring may take, as a share of one core; 0 means none. More measures more of a busy worker's searches and takes it from other background work.
        recall_cpu_percent: u64 = 2u64, "RECALL_CPU_PERCENT", Bounds::Integer(0, 100), "percent", Affects::Speed, "vectron_worker_recall_dropped_total";
        /// How long a stop waits for other replicas to take the lead. Longer spares the shards an election and delays the stop when nobody can take over.
        leave_ms: u64 = 3000u64, "LEAVE_MS", Bounds::Integer(0, 60_000), "ms", Affects::Speed, "";
    }
}
