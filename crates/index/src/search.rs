//! Answering a query: one planner chooses between scanning and traversing, and what it chose
//! is part of the answer.
//!
//! Whatever the plan, rows of the tail are scanned exactly and merged, a deleted row is never
//! returned, and there are never fewer than min(k, matching live rows) hits.

use crate::flat::Best;
use crate::graph::{Pool, Visited};
use crate::hash::mix;
use crate::index::VectorIndex;
use crate::params::{Hit, Row};
use crate::rows::State;
use crate::rowset::RowSet;
use crate::space::{Probe, unpack};

/// Filters that match no more live rows than this are answered by scanning the matches: about
/// what a filtered traversal costs, and exact.
pub const SCAN_ALLOWED_ROWS: u64 = 8_000;
/// From this share of live rows on a filter is answered by plain traversal.
pub const PLAIN_TRAVERSAL_SHARE: f64 = 0.4;
/// A scan is cheaper than a traversal whose pool is more than one in so many rows.
const POOL_SHARE: u64 = 8;
/// Random matches from which a two-hop traversal starts besides the entry.
const STARTS: u64 = 16;
/// Rows handed to the kernels at a time by a scan.
const BLOCK: usize = 1024;

/// What to find.
#[derive(Clone, Copy, Debug)]
pub struct SearchRequest<'a> {
    /// Hits wanted.
    pub k: usize,
    /// Pool size of a traversal: more is slower and finds more. At least `k` is used. The
    /// traversal depends on `ef` and not on `k`, so with one `ef` that is at least `k` the
    /// best five are the first five of the best ten.
    pub ef: usize,
    /// Scan everything and return the true best.
    pub exact: bool,
    /// Rows that may be returned; all live rows if `None`. Rows that are not live do no harm.
    pub allowed: Option<&'a RowSet>,
}

/// How a query was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All (allowed) live rows were scanned.
    Flat,
    /// The graph was traversed; under a filter that most rows pass, matches were collected.
    Graph,
    /// The graph was traversed from match to match in two-hop steps.
    GraphFiltered,
    /// The rows the filter matches were scanned.
    ScanAllowed,
    /// A traversal spent its budget or found too little, and the matching rows were scanned.
    ScanAfterBudget,
}

impl Plan {
    /// Stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Plan::Flat => "flat",
            Plan::Graph => "graph",
            Plan::GraphFiltered => "graph_filtered",
            Plan::ScanAllowed => "scan_allowed",
            Plan::ScanAfterBudget => "scan_after_budget",
        }
    }
}

/// What a search cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Distances computed.
    pub distances: u64,
    /// Vertices whose links were followed.
    pub hops: u64,
    /// Rows of the tail scanned.
    pub tail_scanned: u64,
    /// Rows looked at, measured or not.
    pub visited: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOutcome {
    /// Best first; equal scores by row. Scores are finite.
    pub hits: Vec<Hit>,
    /// How they were found.
    pub plan: Plan,
    /// What it cost.
    pub stats: SearchStats,
}

/// Buffers of searches and plans, reused from one to the next. One per thread; fits any index.
#[derive(Default)]
pub struct Scratch {
    pub(crate) visited: Visited,
    pub(crate) pool: Pool,
    /// Rows about to be measured.
    pub(crate) fresh: Vec<Row>,
    /// Rows passed through without being measured.
    pub(crate) bridges: Vec<Row>,
    /// Key of each visited row.
    pub(crate) memo: Vec<f32>,
}

impl Scratch {
    /// Empty buffers; they grow with use.
    pub fn new() -> Self {
        Self::default()
    }
}

impl VectorIndex {
    /// The best `k` live (and allowed) rows for a query, approximately unless `exact`. A query
    /// of another dimension than the index's finds nothing.
    pub fn search(&self, query: &[f32], request: &SearchRequest<'_>, scratch: &mut Scratch) -> SearchOutcome {
        let mut stats = SearchStats::default();
        let live = &self.rows.live;
        let matching = match request.allowed {
            Some(allowed) => allowed.intersection_len(live),
            None => live.len(),
        };
        let ef = request.ef.max(request.k).max(1);
        let mut plan = self.choose(request, ef, matching);
        if request.k == 0 || matching == 0 || query.len() != self.params.dimension {
            return SearchOutcome { hits: Vec::new(), plan, stats };
        }
        let prepared = self.space.prepare(query);
        let probe = self.space.probe_query(&prepared);
        // A filter that everything passes is none.
        let allowed = request.allowed.filter(|_| matching < live.len());
        let mut best = Best::new(request.k.min(matching as usize));
        if matches!(plan, Plan::Graph | Plan::GraphFiltered) {
            let found = self.traverse(&probe, plan, ef, allowed, matching, scratch, &mut stats);
            match found {
                Some(found) => found.iter().for_each(|(rank, row)| best.offer(*rank, *row)),
                None => plan = Plan::ScanAfterBudget,
            }
        }
        let tail = &self.rows.tail;
        if matches!(plan, Plan::Graph | Plan::GraphFiltered) {
            stats.tail_scanned = self.scan_rows(&probe, tail, allowed, scratch, &mut best, &mut stats);
        } else {
            self.scan_rows(&probe, live, allowed, scratch, &mut best, &mut stats);
            stats.tail_scanned = match allowed {
                Some(allowed) => allowed.intersection_len(tail),
                None => tail.len(),
            };
        }
        let hits = best
            .into_sorted()
            .into_iter()
            .map(unpack)
            .map(|(rank, row)| Hit { row, score: self.space.score(&probe, rank) });
        SearchOutcome { hits: hits.collect(), plan, stats }
    }

    /// The exact score of one live row; `None` if the row is not live.
    pub fn score(&self, query: &[f32], row: Row) -> Option<f32> {
        if !self.rows.live.contains(row) || query.len() != self.params.dimension {
            return None;
        }
        let prepared = self.space.prepare(query);
        let probe = self.space.probe_query(&prepared);
        let rank = self.space.rank(&probe, self.space.key(&probe, row));
        Some(self.space.score(&probe, rank))
    }

    fn choose(&self, request: &SearchRequest<'_>, ef: usize, matching: u64) -> Plan {
        if request.exact {
            return Plan::Flat;
        }
        let live = self.rows.live.len();
        let filtered = request.allowed.is_some() && matching < live;
        let scan = self.graph.entry.is_none()
            || (live as usize) < self.params.flat_below
            || (ef as u64).saturating_mul(POOL_SHARE) >= matching
            || (filtered && matching <= SCAN_ALLOWED_ROWS);
        match (scan, filtered) {
            (true, false) => Plan::Flat,
            (true, true) => Plan::ScanAllowed,
            (false, true) if (matching as f64) < PLAIN_TRAVERSAL_SHARE * live as f64 => Plan::GraphFiltered,
            (false, _) => Plan::Graph,
        }
    }

    /// Ranks of the rows a traversal of the graph finds. `None` when it cost more distances
    /// than there are rows to scan, or found fewer rows than a full pool.
    #[allow(clippy::too_many_arguments)]
    fn traverse(
        &self,
        probe: &Probe<'_>,
        plan: Plan,
        ef: usize,
        allowed: Option<&RowSet>,
        matching: u64,
        scratch: &mut Scratch,
        stats: &mut SearchStats,
    ) -> Option<Vec<(f32, Row)>> {
        let (_, near) = self.descend(probe, 0, stats)?;
        let matches = |row: Row| self.is_match(row, allowed);
        let mut seeds = vec![near];
        seeds.extend(self.graph.lengths.peaks(matches));
        let converged = if plan == Plan::GraphFiltered {
            allowed.into_iter().for_each(|allowed| self.random_starts(allowed, &mut seeds));
            self.seed_walk(probe, &seeds, ef, scratch, stats, matches);
            self.walk_two_hop(probe, matching, scratch, stats, matches)
        } else {
            self.seed_walk(probe, &seeds, ef, scratch, stats, matches);
            self.walk_layer(probe, 0, matching, scratch, stats, matches)
        };
        let mut found = Vec::with_capacity(ef);
        for (key, row) in scratch.pool.found() {
            let rank = self.space.rank(probe, key);
            let passes = |row: &Row| allowed.is_none_or(|allowed| allowed.contains(*row));
            found.extend(Some(row).filter(|row| passes(row)).map(|row| (rank, row)));
            if self.rows.state(row) == State::Head {
                found.extend(self.graph.twins(row).filter(passes).map(|row| (rank, row)));
            }
        }
        let tail = &self.rows.tail;
        let in_tail = allowed.map_or(tail.len(), |allowed| allowed.intersection_len(tail));
        // Judged against ef and not k, so that the choice does not depend on k.
        let enough = found.len() as u64 >= (ef as u64).min(matching - in_tail);
        (converged && enough).then_some(found)
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

    /// Offers every row of `rows` that is allowed; the number of rows measured.
    fn scan_rows(
        &self,
        probe: &Probe<'_>,
        rows: &RowSet,
        allowed: Option<&RowSet>,
        scratch: &mut Scratch,
        best: &mut Best,
        stats: &mut SearchStats,
    ) -> u64 {
        let both = allowed.map(|allowed| {
            let mut both = allowed.clone();
            both.intersect_with(rows);
            both
        });
        let rows = both.as_ref().unwrap_or(rows);
        let block = &mut scratch.fresh;
        let mut rest = rows.iter();
        loop {
            block.clear();
            block.extend(rest.by_ref().take(BLOCK));
            if block.is_empty() {
                break;
            }
            self.space.keys(probe, block, |row, key| best.offer(self.space.rank(probe, key), row));
        }
        stats.distances += rows.len();
        stats.visited += rows.len();
        rows.len()
    }
}
