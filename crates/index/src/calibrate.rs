//! Which pool size reaches which recall: found on the index itself, whose rows stand in for queries.
//!
//! A row makes a harder query than one from outside if the graph is searched as if the row were not there: what
//! surrounds it was linked in the expectation that one passes through it. So the recall that is promised is
//! met from above.

use crate::hash::mix;
use crate::index::VectorIndex;
use crate::params::Row;
use crate::request::{Scratch, SearchRequest};
use crate::rows::State;
use crate::source::FullVectors;

/// Pool sizes that are tried.
const LADDER: [usize; 13] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];
/// Neighbours that a search must find.
const K: usize = 10;
/// Pool size of the scan that tells which they are.
const TRUTH_EF: usize = 512;
/// A calibration is out of date when the rows are more or fewer by one in so many.
const GROWTH: usize = 10;
/// Draws per wanted sample: rows in the tail or above the base layer are passed over.
const DRAWS: u64 = 4;
/// Rows that must have been measured for their recall to say something.
const MEASURED_LEAST: usize = 32;
/// Standard errors by which the recall of the sample must exceed the target.
const MARGIN: f64 = 1.5;

/// The recall that pool sizes reach on an index of about this many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    rows: usize,
    /// Pool sizes and the recall@10 each reaches at least, both ascending.
    curve: Vec<(usize, f64)>,
}

impl Calibration {
    /// The smallest pool size for a share of the true neighbours; the largest tried if none
    /// reached it. `None` if too few rows could be measured to tell.
    pub fn ef(&self, recall_target: f32) -> Option<usize> {
        let target = f64::from(recall_target);
        let mut before: Option<(usize, f64)> = None;
        for (ef, recall) in self.curve.iter().copied() {
            if recall >= target {
                let Some((low, least)) = before else { return Some(ef) };
                let share = (target - least) / (recall - least).max(f64::EPSILON);
                return Some(low + (share * (ef - low) as f64).ceil() as usize);
            }
            before = Some((ef, recall));
        }
        before.map(|last| last.0)
    }

    /// Live rows when it was made.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the index has grown or shrunk so much since that it should be made again.
    pub fn is_stale(&self, index: &VectorIndex) -> bool {
        index.live().abs_diff(self.rows) > self.rows / GROWTH
    }
}

/// A calibration under way.
#[derive(Debug)]
pub struct Calibrator {
    rows: usize,
    sample: Vec<(Row, u64)>,
    at: usize,
    measured: usize,
    /// Per rung, sums over the sample of the recall and of its square.
    sums: [(f64, f64); LADDER.len()],
}

impl VectorIndex {
    /// Whether searches walk a graph, so that there is something to calibrate.
    pub fn is_calibratable(&self) -> bool {
        self.graph.entry.is_some() && self.live() >= self.params.flat_below.max(K * K)
    }

    /// Begins a calibration on up to `sample` rows; `None` without a graph.
    pub fn begin_calibration(&self, sample: usize) -> Option<Calibrator> {
        if !self.is_calibratable() {
            return None;
        }
        let live = &self.rows.live;
        let draws = (0..sample as u64 * DRAWS).map(|draw| mix(self.params.seed ^ mix(draw)));
        let rows = draws.filter_map(|draw| live.select(draw % live.len().max(1)));
        let fits = |row: &Row| self.rows.state(*row) == State::Vertex && self.graph.level(*row) == 0;
        let rows = rows.filter(fits).take(sample).map(|row| (row, self.rows.tag(row)));
        Some(Calibrator {
            rows: self.live(),
            sample: rows.collect(),
            at: 0,
            measured: 0,
            sums: Default::default(),
        })
    }

    /// Searches for one row of the sample: once by a scan, then with growing pools until two in a row find all
    /// there is to find. The calibration when the sample is used up. The index may change between
    /// steps. `full` as in [`VectorIndex::search`].
    pub fn calibrate(
        &self,
        calibrator: &mut Calibrator,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
    ) -> Option<Calibration> {
        let Some((row, tag)) = calibrator.sample.get(calibrator.at).copied() else {
            return Some(calibrator.finish());
        };
        calibrator.at += 1;
        if self.rows.state(row) == State::Vertex && self.rows.tag(row) == tag {
            let mut query = self.space.vector(row).to_vec();
            if !query.is_empty() || full.read(row, &mut query) {
                scratch.hidden = Some(row);
                self.climb(calibrator, row, &query, full, scratch);
                scratch.hidden = None;
            }
        }
        None
    }

    fn climb(
        &self,
        calibrator: &mut Calibrator,
        row: Row,
        query: &[f32],
        full: &dyn FullVectors,
        scratch: &mut Scratch,
    ) {
        let truth = self.scan_nearest(query, K + 1, TRUTH_EF, full, scratch);
        let truth: Vec<f32> =
            truth.iter().filter(|hit| hit.row != row).map(|hit| hit.score).take(K).collect();
        let Some(last) = truth.last().copied() else { return };
        calibrator.measured += 1;
        let mut perfect = 0;
        for (ef, sum) in LADDER.into_iter().zip(&mut calibrator.sums) {
            let recall = if perfect < 2 {
                let request = SearchRequest { k: K, ef, exact: false, allowed: None };
                let hits = self.search(query, &request, full, scratch).hits;
                let found = hits.iter().filter(|hit| hit.row != row && hit.score >= last).count();
                found.min(truth.len()) as f64 / truth.len() as f64
            } else {
                1.0
            };
            perfect = if recall == 1.0 { perfect + 1 } else { 0 };
            sum.0 += recall;
            sum.1 += recall * recall;
        }
    }
}

impl Calibrator {
    fn finish(&self) -> Calibration {
        let mut curve: Vec<(usize, f64)> = Vec::new();
        if self.measured < MEASURED_LEAST {
            return Calibration { rows: self.rows, curve };
        }
        let count = self.measured as f64;
        for (ef, (sum, squares)) in LADDER.into_iter().zip(self.sums) {
            let mean = sum / count;
            let error = ((squares / count - mean * mean).max(0.0) / count).sqrt();
            let least = mean - MARGIN * error;
            let before = curve.last().map_or(0.0, |last| last.1);
            curve.push((ef, least.max(before)));
        }
        Calibration { rows: self.rows, curve }
    }
}
