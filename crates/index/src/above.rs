//! Where a score stands among all rows, exactly.

use crate::index::VectorIndex;
use crate::params::Row;
use crate::request::{Probes, Scratch};
use crate::rowset::RowSet;
use crate::source::FullVectors;
use crate::space::Grade;

/// Rows handed to the kernels at a time.
const BLOCK: usize = 1024;

/// What stands above a score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Above {
    /// Rows that score more.
    pub more: u64,
    /// Rows that score the same, by row.
    pub equal: Vec<Row>,
    /// Rows left out because their full vector could not be read.
    pub unreadable: u64,
}

impl VectorIndex {
    /// Counts the live (and allowed) rows that score more than `score` for a query, and lists those that score the
    /// same, all by their full vectors: the scores are those of an exact search. Costs what that costs. A query of
    /// another dimension than the index's stands above nothing. `full` as in [`VectorIndex::search`].
    pub fn above(
        &self,
        query: &[f32],
        score: f32,
        allowed: Option<&RowSet>,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
    ) -> Above {
        let mut above = Above::default();
        if query.len() != self.params.dimension {
            return above;
        }
        let mut rows = self.rows.live.clone();
        if let Some(allowed) = allowed {
            rows.intersect_with(allowed);
        }
        let mut probes = Probes::default();
        self.space.prepare(query, &mut probes.prepared);
        let probe = self.space.probe_query(&probes.prepared, &mut probes.code);
        let mut count = |row: Row, rank: f32| {
            let other = self.space.score(&probe, rank);
            if other > score {
                above.more += 1;
            } else if other == score {
                above.equal.push(row);
            }
        };
        if !self.space.holds_full() {
            let mut read = Vec::new();
            let mut unreadable = 0;
            for row in rows.iter() {
                match self.space.exact_rank(&probe, row, full, &mut read) {
                    Some(rank) => count(row, rank),
                    None => unreadable += 1,
                }
            }
            above.unreadable = unreadable;
            return above;
        }
        let whole = probe.graded(Grade::Full);
        let block = &mut scratch.fresh;
        let mut rest = rows.iter();
        loop {
            block.clear();
            block.extend(rest.by_ref().take(BLOCK));
            if block.is_empty() {
                return above;
            }
            self.space.keys(&whole, block, |row, key| count(row, self.space.rank(&whole, key)));
        }
    }
}
