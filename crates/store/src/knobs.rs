//! What an operator may tune. None of it touches the logical state: replicas may differ.

use vectron_base::knob::{Affects, Bounds};

vectron_base::knobs! {
    /// Settings of the shard store.
    pub struct StoreKnobs in "store", "VECTRON_STORE" {
        /// Record bytes held in memory before a checkpoint is due. More means fewer, larger segments and a
        /// longer log to replay after a crash.
        checkpoint_bytes: u64 = 64u64 << 20, "CHECKPOINT_BYTES", Bounds::Integer(4096, 1 << 40), "bytes",
            Affects::Speed, "vectron_worker_unsaved_bytes";
        /// A segment whose live share falls below this is rewritten at the next checkpoint. Higher frees disk
        /// sooner and writes more.
        segment_live_min_percent: u64 = 50u64, "SEGMENT_LIVE_MIN_PERCENT", Bounds::Integer(0, 100), "percent",
            Affects::Speed, "vectron_worker_disk_bytes";
        /// Rows planned for the graph before their plans are carried out. More means fewer, longer steps, and more rows
        /// that did not know of each other.
        index_step_rows: u64 = 8u64, "INDEX_STEP_ROWS", Bounds::Integer(1, 100_000), "rows", Affects::Speed,
            "vectron_worker_index_lag_points";
        /// Rows read at a time when a payload index is built. More means fewer, longer pauses of writes.
        field_step_rows: u64 = 512u64, "FIELD_STEP_ROWS", Bounds::Integer(1, 1_000_000), "rows", Affects::Speed,
            "vectron_worker_memory_bytes";
        /// Longest string that a keyword index takes. Points with a longer one are looked at by every filter on
        /// the field; higher spends memory instead.
        keyword_bytes_max: u64 = 256u64, "KEYWORD_BYTES_MAX", Bounds::Integer(1, 65_536), "bytes",
            Affects::Speed, "vectron_worker_memory_bytes";
        /// Bytes of remembered removals in each shard: which point went when, by a delete or because its time had
        /// come. More explains absences that are longer ago and takes memory.
        removals_bytes: u64 = 1u64 << 20, "REMOVALS_BYTES", Bounds::Integer(0, 1 << 40), "bytes",
            Affects::Limits, "vectron_worker_memory_bytes";
        /// Graph rows looked at per clean-up step after deletions. More frees memory sooner with longer steps.
        sweep_step_rows: u64 = 512u64, "SWEEP_STEP_ROWS", Bounds::Integer(64, 10_000_000), "rows",
            Affects::Speed, "vectron_worker_tombstone_rows";
    }
}
