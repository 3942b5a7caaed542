//! From rows that were looked at to exact answers: scans, and rescoring by full vectors.
//!
//! A rescored answer is the best of all candidates under full vectors, not of a guess at how many must be
//! compared: codes bound each candidate's rank from below, and candidates are compared in the order
//! of these bounds until the last that is kept is below all that are left (as in filter-and-refine search: Seidl &
//! Kriegel 1998, "Optimal Multi-Step k-Nearest Neighbor Search").

use crate::index::VectorIndex;
use crate::params::Row;
use crate::request::{Answer, Scratch, SearchStats};
use crate::rowset::RowSet;
use crate::source::FullVectors;
use crate::space::{Grade, Probe, pack, unpack};

/// Rows handed to the kernels at a time by a scan.
const BLOCK: usize = 1024;
/// Scans of up to this many rows bound the rank of each; longer ones of the nearest by coarse
/// codes.
const BOUND_ALL: u64 = 512;
/// Candidates a scan by coarse codes keeps per place of the pool, and at least.
const KEPT: usize = 2;
const KEPT_LEAST: usize = 128;
/// Candidates ahead whose codes or full vectors are prefetched.
const AHEAD: usize = 4;

/// What a scan compares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Full vectors.
    Full,
    /// Codes where there are any.
    Held,
}

/// Rows, those of them that count, the pool size to match, what to compare.
pub(crate) type Scan<'a> = (&'a RowSet, Option<&'a RowSet>, usize, Measure);

impl VectorIndex {
    /// Offers every row that is allowed to the answer: to the best by its full vector, or to the
    /// candidates by its code. Whether all are there, none left aside for its coarse code.
    pub(crate) fn scan(
        &self,
        probe: &Probe<'_>,
        (rows, allowed, ef, measure): Scan<'_>,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
        answer: &mut Answer,
        stats: &mut SearchStats,
    ) -> bool {
        let both = allowed.map(|allowed| {
            let mut both = allowed.clone();
            both.intersect_with(rows);
            both
        });
        let rows = both.as_ref().unwrap_or(rows);
        stats.visited += rows.len();
        if measure == Measure::Full || probe.grade() == Grade::Full {
            stats.distances += rows.len();
            stats.bytes += rows.len() * self.space.full_bytes() as u64;
            self.scan_full(probe, rows, full, scratch, answer, stats);
            return true;
        }
        if rows.len() <= BOUND_ALL {
            answer.candidates.extend(rows.iter().map(|row| (f32::NEG_INFINITY, row)));
            return true;
        }
        stats.distances += rows.len();
        stats.bytes += rows.len() * self.space.key_bytes(probe) as u64;
        answer.lowest.begin(ef.saturating_mul(KEPT).max(KEPT_LEAST).min(rows.len() as usize));
        let block = &mut scratch.fresh;
        let mut rest = rows.iter();
        loop {
            block.clear();
            block.extend(rest.by_ref().take(BLOCK));
            if block.is_empty() {
                break;
            }
            self.space.keys(probe, block, |row, key| answer.lowest.offer(key, row));
        }
        let (kept, _) = answer.lowest.take_sorted();
        answer.candidates.extend(kept.into_iter().map(unpack));
        false
    }

    fn scan_full(
        &self,
        probe: &Probe<'_>,
        rows: &RowSet,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
        answer: &mut Answer,
        stats: &mut SearchStats,
    ) {
        let Answer { best, read, .. } = answer;
        if !self.space.holds_full() {
            for row in rows.iter() {
                match self.space.exact_rank(probe, row, full, read) {
                    Some(rank) => best.offer(rank, row),
                    None => stats.unreadable += 1,
                }
            }
            return;
        }
        let probe = probe.graded(Grade::Full);
        let block = &mut scratch.fresh;
        let mut rest = rows.iter();
        loop {
            block.clear();
            block.extend(rest.by_ref().take(BLOCK));
            if block.is_empty() {
                break;
            }
            self.space.keys(&probe, block, |row, key| best.offer(self.space.rank(&probe, key), row));
        }
    }

    /// Offers the candidates that may be among the best to the best. Whether some were left out
    /// because all of the best are better.
    pub(crate) fn rescore(
        &self,
        probe: &Probe<'_>,
        full: &dyn FullVectors,
        answer: &mut Answer,
        stats: &mut SearchStats,
    ) -> bool {
        let Answer { best, candidates, bounds, read, .. } = answer;
        if probe.grade() == Grade::Full {
            // Found by full vectors in the first place.
            candidates.iter().for_each(|(key, row)| best.offer(self.space.rank(probe, *key), *row));
            return false;
        }
        stats.bounded += candidates.len() as u64;
        stats.bytes += candidates.len() as u64 * self.space.fine_bytes() as u64;
        bounds.clear();
        candidates.iter().take(AHEAD).for_each(|(_, row)| self.space.prefetch_fine(*row));
        for (at, (_, row)) in candidates.iter().enumerate() {
            if let Some((_, next)) = candidates.get(at + AHEAD) {
                self.space.prefetch_fine(*next);
            }
            bounds.push(pack(self.space.least_rank(probe, *row), *row));
        }
        bounds.sort_unstable();
        bounds.iter().take(AHEAD).for_each(|bound| self.space.prefetch_full(*bound as Row));
        for (at, bound) in bounds.iter().enumerate() {
            let (least, row) = unpack(*bound);
            if best.excludes(least) {
                return true;
            }
            if let Some(next) = bounds.get(at + AHEAD) {
                self.space.prefetch_full(*next as Row);
            }
            stats.rescored += 1;
            stats.bytes += self.space.full_bytes() as u64;
            match self.space.exact_rank(probe, row, full, read) {
                Some(rank) => best.offer(rank, row),
                None => stats.unreadable += 1,
            }
        }
        false
    }
}
