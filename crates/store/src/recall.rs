//! How much of the truth a search finds: made again and measured against an exact scan, at one applied index.
//!
//! The scan takes the lock for a part of the rows at a time, so that it holds up nobody for long. Rows that changed
//! meanwhile are looked at again at the end, under the lock under which the search itself is made.

use crate::damage::Refusal;
use crate::matching::Matched;
use crate::query::SearchQuery;
use crate::search::nearest;
use crate::shard::Shard;
use crate::source::Stored;
use crate::state::State;
use vectron_index::{Hit, Row, RowSet, SearchRequest};

/// Rows that are scanned under one lock.
const PART_ROWS: u32 = 8_192;
/// Hits of each part that are kept beyond those wanted, in the place of rows that change meanwhile.
const SPARE: usize = 64;

/// What searches for one query found, and what there was to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallSample {
    /// Where in the log it was measured.
    pub applied_index: u64,
    /// True neighbours: `top_k`, or as many points as pass the filter.
    pub of: u64,
    /// Live points.
    pub rows_live: u64,
    /// Those of them that pass the filter.
    pub matching: u64,
    /// One for each effort that was tried.
    pub tries: Vec<RecallTry>,
}

/// What a search with one effort found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecallTry {
    /// The effort, raised to what the search needs at least.
    pub ef: usize,
    /// True neighbours found: hits that score no less than the last of them.
    pub found: u64,
    /// Distances computed.
    pub distances: u64,
}

impl Shard {
    /// Measures a query with each of these efforts; `None` stands for the query's own. Its threshold does not count.
    /// Nothing when `stop` says so, when there is nothing to find, or when too much changed meanwhile.
    pub fn measure_recall(
        &self,
        query: &SearchQuery,
        efforts: &[Option<usize>],
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<RecallSample>, Refusal> {
        self.check(query)?;
        let query = SearchQuery { score_threshold: None, exact: false, ..query.clone() };
        let kept = query.top_k.saturating_add(SPARE);
        let (mut wanted, end, since) = {
            let Matched { state, rows, .. } = self.matching(query.filter.as_ref())?;
            (rows, state.next_row, state.change_count())
        };
        // Hits of all parts, and for each part that had more than it could keep the last score of it.
        let (mut hits, mut cut) = (Vec::new(), Vec::new());
        for from in (0..end).step_by(PART_ROWS as usize) {
            if stop() {
                return Ok(None);
            }
            let part = part_of(wanted.as_ref(), from, end.min(from.saturating_add(PART_ROWS)));
            let found = self.scan_exactly(&*self.readable()?, &query, kept, &part)?;
            if found.len() == kept {
                cut.extend(found.last().map(|hit| hit.score));
            }
            hits.extend(found);
        }
        wanted.take();
        let Matched { state, rows, .. } = self.matching(query.filter.as_ref())?;
        let Some(changes) = state.changes_since(since) else { return Ok(None) };
        let mut changed = RowSet::new();
        changes.for_each(|row| _ = changed.insert(row));
        hits.retain(|hit| !changed.contains(hit.row));
        if let Some(rows) = &rows {
            changed.intersect_with(rows);
        }
        hits.extend(self.scan_exactly(&state, &query, kept, &changed)?);
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(query.top_k);
        let Some(last) = hits.last().map(|hit| hit.score) else { return Ok(None) };
        // A part that was cut above the last neighbour may have had more of them.
        if cut.iter().any(|least| *least > last) {
            return Ok(None);
        }
        let look = self.dense(&state, &query)?;
        let rows_live = look.field.index.live() as u64;
        let mut sample = RecallSample {
            applied_index: state.applied_index,
            of: hits.len() as u64,
            rows_live,
            matching: rows.as_ref().map_or(rows_live, RowSet::len),
            tries: Vec::with_capacity(efforts.len()),
        };
        for effort in efforts {
            let ef = effort.unwrap_or_else(|| self.effort(&look));
            let full = Stored::new(&state.rows, &self.schema, look.field.number);
            let search = |scratch: &mut _| nearest(&look, ef, rows.as_ref(), &full, scratch);
            let (found, trace) = self.with_scratch(search);
            let found = found.iter().filter(|hit| hit.score >= last).count() as u64;
            let found = found.min(sample.of);
            sample.tries.push(RecallTry { ef: trace.ef, found, distances: trace.distances });
        }
        Ok(Some(sample))
    }

    fn scan_exactly(
        &self,
        state: &State,
        query: &SearchQuery,
        k: usize,
        rows: &RowSet,
    ) -> Result<Vec<Hit>, Refusal> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let look = self.dense(state, query)?;
        let full = Stored::new(&state.rows, &self.schema, look.field.number);
        let request = SearchRequest { k, ef: k, exact: true, allowed: Some(rows) };
        let outcome =
            self.with_scratch(|scratch| look.field.index.search(look.vector, &request, &full, scratch));
        match full.damage() {
            Some(damage) => Err(self.report(damage)),
            None => Ok(outcome.hits),
        }
    }
}

/// The wanted rows from one up to another.
fn part_of(wanted: Option<&RowSet>, from: Row, to: Row) -> RowSet {
    let mut part = RowSet::new();
    match wanted {
        Some(wanted) => {
            wanted.iter_from(from).take_while(|row| *row < to).for_each(|row| _ = part.insert(row))
        }
        None => (from..to).for_each(|row| _ = part.insert(row)),
    }
    part
}
