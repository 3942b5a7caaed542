//! A shard's own figures as the contract has them. What the store does not measure stays absent.

use std::time::Duration;
use vectron_store as store;
use vectron_wire::worker::{Calibration, CodeError, FilterTrace, MemorySplit, SearchTrace, Stage};

/// How a search went.
pub fn trace(explain: store::SearchTrace, stages: Vec<Stage>) -> SearchTrace {
    // Only a filter has an estimate.
    let filter = explain.filter_estimated.map(|estimated| FilterTrace {
        plan: explain.filter_plan.into(),
        estimated: Some(estimated),
        matched: explain.filter_matched,
        checked: Some(explain.filter_checked),
        unindexed: explain.filter_unindexed,
    });
    SearchTrace {
        plan: explain.plan,
        ef: u32::try_from(explain.ef).unwrap_or(u32::MAX),
        rows_live: explain.rows_live,
        filter_matched: explain.filter_matched,
        distances: explain.distances,
        hops: explain.hops,
        tail_scanned: explain.tail_scanned,
        quantization: None,
        bytes_read: None,
        precise: None,
        rescored: None,
        filter,
        stages,
    }
}

/// Where the shard's memory goes.
pub fn memory(_shard: &store::Shard) -> Option<MemorySplit> {
    None
}

/// What the shard's codes are, and how far they are off.
pub fn quantization(_shard: &store::Shard) -> Option<CodeError> {
    None
}

/// Efforts for recall targets, as the shard measured them.
pub fn calibration(_shard: &store::Shard) -> Option<Calibration> {
    None
}

/// A stage of a read.
pub fn stage(name: &'static str, took: Duration) -> Stage {
    Stage { name, us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }
}
