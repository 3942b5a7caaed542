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
        quantization: Some(explain.quantization.into()),
        bytes_read: Some(explain.bytes),
        precise: Some(explain.bounded),
        rescored: Some(explain.rescored),
        filter,
        recall_missed: false,
        stages,
    }
}

/// Where the shard's memory goes.
pub fn memory(stats: &store::ShardStats) -> MemorySplit {
    let index = stats.index_bytes;
    let named = (index.codes + index.vectors + index.links) as u64 + stats.field_index_bytes;
    MemorySplit {
        codes: index.codes as u64,
        vectors: index.vectors as u64,
        links: index.links as u64,
        payload_indexes: stats.field_index_bytes,
        other: stats.memory_bytes.saturating_sub(named),
    }
}

/// What the shard's codes are, and how far they are off.
pub fn quantization(shard: &store::Shard, stats: &store::ShardStats) -> CodeError {
    let errors = shard.code_errors();
    CodeError {
        kind: stats.quantization.as_str().into(),
        error_mean: errors.map(|errors| errors.coarse),
        error_fine_mean: errors.map(|errors| errors.fine),
    }
}

/// Efforts for recall targets, as the shard measured them.
pub fn calibration(shard: &store::Shard) -> Option<Calibration> {
    let measured = shard.calibration()?;
    let ef = |target: f32| Some(u32::try_from(measured.ef(target)?).unwrap_or(u32::MAX));
    Some(Calibration {
        measured_at_points: measured.rows() as u64,
        ef_90: ef(0.90)?,
        ef_95: ef(0.95)?,
        ef_99: ef(0.99)?,
    })
}

/// A stage of a read.
pub fn stage(name: &'static str, took: Duration) -> Stage {
    Stage { name, us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX) }
}
