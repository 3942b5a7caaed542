//! A shard's own figures as the contract has them. What the store does not measure stays absent.

use crate::indexes;
use std::time::Duration;
use vectron_base::filter::Filter;
use vectron_store as store;
use vectron_wire::worker::{Calibration, CodeError, FilterTrace, MemorySplit, SearchTrace, Stage};

/// How a search went.
pub fn trace(explain: &store::SearchTrace, filter: Option<&Filter>, stages: Vec<Stage>) -> SearchTrace {
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
        filter: filter.filter(|filter| **filter != Filter::All).map(|filter| filter_trace(explain, filter)),
        stages,
    }
}

/// How a search's filter was answered.
fn filter_trace(explain: &store::SearchTrace, filter: &Filter) -> FilterTrace {
    FilterTrace {
        plan: "scan".into(),
        estimated: None,
        matched: explain.filter_matched,
        checked: None,
        unindexed: indexes::unindexed(Some(filter)),
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
