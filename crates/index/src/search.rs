//! Answering a query: one planner chooses between scanning and traversing, and what it chose
//! is part of the answer.
//!
//! Whatever the plan, rows of the tail are found too, a deleted row is never returned, and there are never
//! fewer than min(k, matching live rows) hits.

use crate::hash::mix;
use crate::index::VectorIndex;
use crate::params::{Hit, Row};
use crate::request::{Answer, Plan, Probes, Scratch, SearchOutcome, SearchRequest, SearchStats};
use crate::rescore::Measure;
use crate::rows::State;
use crate::rowset::RowSet;
use crate::source::FullVectors;
use crate::space::{Probe, unpack};

/// Filters that match no more live rows than this are answered by scanning the matches: about
/// what a filtered traversal costs, and exact in practice.
pub const SCAN_ALLOWED_ROWS: u64 = 4_000;
/// From this share of live rows on a filter is answered by plain traversal of full vectors.
pub const PLAIN_TRAVERSAL_SHARE: f64 = 0.4;
/// The same by codes: measuring a row by its code costs less than finding out whether its neighbours match.
pub const PLAIN_TRAVERSAL_SHARE_CODED: f64 = 0.05;
/// A scan is cheaper than a traversal whose pool is more than one in so many rows.
const POOL_SHARE: u64 = 8;
/// Random matches from which a two-hop traversal starts besides the entry.
const STARTS: u64 = 16;

/// Which rows a search is about.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub allowed: Option<&'a RowSet>,
    /// Live rows among them.
    pub matching: u64,
}

impl VectorIndex {
    /// The best `k` live (and allowed) rows for a query, approximately unless `exact`. A query
    /// of another dimension than the index's finds nothing. `full` is asked for vectors that are
    /// [`crate::Vectors::Elsewhere`]; else it may be `&()`.
    pub fn search(
        &self,
        query: &[f32],
        request: &SearchRequest<'_>,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
    ) -> SearchOutcome {
        let live = &self.rows.live;
        let matching = request.allowed.map_or(live.len(), |allowed| allowed.intersection_len(live));
        let ef = request.ef.max(request.k).max(1);
        // A filter that everything passes is none.
        let scope = Scope { allowed: request.allowed.filter(|_| matching < live.len()), matching };
        let stats = SearchStats { matching, ..SearchStats::default() };
        let plan = self.choose(request, ef, scope);
        if request.k == 0 || matching == 0 || query.len() != self.params.dimension {
            return SearchOutcome { hits: Vec::new(), ties: Vec::new(), ties_cut: false, plan, stats };
        }
        self.answer_in(scratch, |scratch, probes, answer| {
            self.answer(query, request, full, scratch, (plan, ef, scope), probes, answer)
        })
    }

    /// Takes the buffers of an answer out of the scratch while it is made.
    fn answer_in(
        &self,
        scratch: &mut Scratch,
        make: impl FnOnce(&mut Scratch, &mut Probes, &mut Answer) -> SearchOutcome,
    ) -> SearchOutcome {
        let mut probes = std::mem::take(&mut scratch.probes);
        let mut answer = std::mem::take(&mut scratch.answer);
        let outcome = make(scratch, &mut probes, &mut answer);
        scratch.probes = probes;
        scratch.answer = answer;
        outcome
    }

    #[allow(clippy::too_many_arguments)]
    fn answer(
        &self,
        query: &[f32],
        request: &SearchRequest<'_>,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
        (mut plan, ef, scope): (Plan, usize, Scope<'_>),
        probes: &mut Probes,
        answer: &mut Answer,
    ) -> SearchOutcome {
        let mut stats = SearchStats { matching: scope.matching, ..SearchStats::default() };
        let Probes { prepared, code, .. } = probes;
        self.space.prepare(query, prepared);
        let probe = self.space.probe_query(prepared, code);
        let blind = !self.space.comparable(&probe);
        if blind {
            plan = Plan::Flat;
        }
        let measure = if request.exact || blind { Measure::Full } else { Measure::Held };
        answer.best.begin(request.k.min(scope.matching as usize));
        answer.candidates.clear();
        let mut whole = true;
        if matches!(plan, Plan::Graph | Plan::GraphFiltered) {
            whole = false;
            if !self.traverse(&probe, (plan, ef, request.k), scope, scratch, answer, &mut stats) {
                plan = Plan::ScanAfterBudget;
            }
        }
        let tail = &self.rows.tail;
        let rows = if whole || plan == Plan::ScanAfterBudget { &self.rows.live } else { tail };
        whole |= plan == Plan::ScanAfterBudget;
        let scan = (rows, scope.allowed, ef, measure);
        whole &= self.scan(&probe, scan, full, scratch, answer, &mut stats);
        stats.tail_scanned = scope.allowed.map_or(tail.len(), |allowed| allowed.intersection_len(tail));
        let cut = self.rescore(&probe, full, answer, &mut stats);
        stats.bytes += stats.hops * self.graph.list_bytes() as u64;
        let ties_cut = !whole && !cut && answer.best.ends_in_ties();
        let (hits, ties) = answer.best.take_sorted();
        let scored = |packed: u64| {
            let (rank, row) = unpack(packed);
            Hit { row, score: self.space.score(&probe, rank) }
        };
        let hits = hits.into_iter().map(scored).collect();
        SearchOutcome { hits, ties: ties.into_iter().map(scored).collect(), ties_cut, plan, stats }
    }

    /// The best `k` live rows by a scan that is exact in practice: of codes where there are any.
    pub(crate) fn scan_nearest(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        full: &dyn FullVectors,
        scratch: &mut Scratch,
    ) -> Vec<Hit> {
        let scope = Scope { allowed: None, matching: self.rows.live.len() };
        let request = SearchRequest { k, ef, exact: false, allowed: None };
        let plan = (Plan::Flat, ef, scope);
        let make = |scratch: &mut Scratch, probes: &mut Probes, answer: &mut Answer| {
            self.answer(query, &request, full, scratch, plan, probes, answer)
        };
        self.answer_in(scratch, make).hits
    }

    /// The exact score of one live row; `None` if the row is not live or its vector cannot be
    /// read.
    pub fn score(&self, query: &[f32], row: Row, full: &dyn FullVectors) -> Option<f32> {
        if !self.rows.live.contains(row) || query.len() != self.params.dimension {
            return None;
        }
        let mut probes = Probes::default();
        self.space.prepare(query, &mut probes.prepared);
        let probe = self.space.probe_query(&probes.prepared, &mut probes.code);
        let rank = self.space.exact_rank(&probe, row, full, &mut Vec::new())?;
        Some(self.space.score(&probe, rank))
    }

    fn choose(&self, request: &SearchRequest<'_>, ef: usize, scope: Scope<'_>) -> Plan {
        if request.exact {
            return Plan::Flat;
        }
        let live = self.rows.live.len();
        let Scope { allowed, matching } = scope;
        let filtered = allowed.is_some();
        let scan = self.graph.entry.is_none()
            || (live as usize) < self.params.flat_below
            || (ef as u64).saturating_mul(POOL_SHARE) >= matching
            || (filtered && matching <= SCAN_ALLOWED_ROWS);
        let plain = if self.space.coded() { PLAIN_TRAVERSAL_SHARE_CODED } else { PLAIN_TRAVERSAL_SHARE };
        match (scan, filtered) {
            (true, false) => Plan::Flat,
            (true, true) => Plan::ScanAllowed,
            (false, true) if (matching as f64) < plain * live as f64 => Plan::GraphFiltered,
            (false, _) => Plan::Graph,
        }
    }

    /// Adds what a traversal of the graph finds to the candidates. False, and nothing is added, when it cost
    /// more distances than there are rows to scan, or found fewer rows than a full pool.
    fn traverse(
        &self,
        probe: &Probe<'_>,
        (plan, ef, least): (Plan, usize, usize),
        scope: Scope<'_>,
        scratch: &mut Scratch,
        answer: &mut Answer,
        stats: &mut SearchStats,
    ) -> bool {
        let Scope { allowed, matching } = scope;
        let Some((_, near)) = self.descend(probe, 0, stats) else { return false };
        let matches = |row: Row| self.is_match(row, allowed);
        // The pool of a plain traversal also holds what does not match: it reaches as far with fewer that do.
        let share = matching as f64 / self.rows.live.len().max(1) as f64;
        let fewer = if plan == Plan::Graph { (ef as f64 * share.sqrt()).ceil() as usize } else { ef };
        // Half of it in any case: answers of up to as many do not depend on how many are wanted.
        let ef = fewer.max(ef.div_ceil(2)).max(least);
        let mut seeds = vec![near];
        seeds.extend(self.graph.lengths.peaks(matches));
        let converged = if plan == Plan::GraphFiltered {
            allowed.into_iter().for_each(|allowed| self.random_starts(allowed, &mut seeds));
            self.seed_walk::<false>(probe, &seeds, ef, scratch, stats, matches);
            self.walk_two_hop(probe, matching, scratch, stats, matches)
        } else if allowed.is_none() && self.rows.dead.is_empty() {
            self.seed_walk::<false>(probe, &seeds, ef, scratch, stats, |_| true);
            self.walk_layer::<false>(probe, 0, (matching, 0.0), scratch, stats, |_| true)
        } else {
            self.seed_walk::<false>(probe, &seeds, ef, scratch, stats, matches);
            let share = if allowed.is_some() { share } else { 0.0 };
            self.walk_layer::<false>(probe, 0, (matching, share), scratch, stats, matches)
        };
        stats.bytes += stats.distances * self.space.key_bytes(probe) as u64;
        let found = &mut answer.candidates;
        let chained = self.graph.has_chains();
        for (key, row) in scratch.pool.found() {
            let passes = |row: &Row| allowed.is_none_or(|allowed| allowed.contains(*row));
            found.extend(Some(row).filter(passes).map(|row| (key, row)));
            if chained && self.rows.state(row) == State::Head {
                found.extend(self.graph.twins(row).filter(passes).map(|row| (key, row)));
            }
        }
        let tail = &self.rows.tail;
        let in_tail = allowed.map_or(tail.len(), |allowed| allowed.intersection_len(tail));
        // Judged against ef and not k, so that the choice does not depend on k.
        let enough = found.len() as u64 >= (ef as u64).min(matching - in_tail);
        if !(converged && enough) {
            found.clear();
        }
        converged && enough
    }

    /// Whether a vertex, or a row chained to it, may be returned.
    #[inline]
    fn is_match(&self, row: Row, allowed: Option<&RowSet>) -> bool {
        match (self.rows.state(row), allowed) {
            (State::Vertex | State::Head, None) => true,
            (State::Vertex, Some(allowed)) => allowed.contains(row),
            (State::Head, Some(allowed)) => {
                allowed.contains(row) || self.graph.twins(row).any(|twin| allowed.contains(twin))
            }
            _ => false,
        }
    }

    /// Adds vertices drawn from the allowed rows: the filter's own regions may lie far from
    /// where the entry leads.
    fn random_starts(&self, allowed: &RowSet, seeds: &mut Vec<Row>) {
        for draw in 0..STARTS {
            let place = mix(self.params.seed ^ draw) % allowed.len().max(1);
            let row = allowed.select(place);
            let vertex = row.map(|row| self.graph.head_of(row).unwrap_or(row));
            seeds.extend(vertex.filter(|row| self.rows.state(*row).is_live_vertex()));
        }
    }
}
