//! Nearest points.
//!
//! Filter → rows → index → scores. Rows are ordered by (score descending, id ascending). The index breaks ties by
//! row, and says which further rows tie with its last hit; if it may have missed some, one exact pass finds all.
//!
//! A shorter answer is the beginning of a longer one, exactly, as long as both are searched with the same effort.
//! The effort is the requested one (or that of the recall target, at least 64, which a shard measures anew when it
//! has grown), but at least 32 for up to 16 results, 64 for up to 32, 128 for up to 64, and so on by twos. So with a
//! recall target it holds for any two `top_k` up to 32; with an effort of 128 up to 64; with 320 up to 128. Exact
//! searches have no such limit.

use crate::damage::{Damage, Refusal};
use crate::matching::Matched;
use crate::read::{Include, point_of};
use crate::record::View;
use crate::rows::Slot;
use crate::shard::Shard;
use crate::source::Stored;
use crate::state::State;
use vectron_base::filter::Filter;
use vectron_index::{Hit, RowSet, Scratch, SearchOutcome, SearchRequest};

/// The effort that no search is below.
const EFFORT_LEAST: usize = 32;
/// From one class of least effort to the next.
const EFFORT_STEP: usize = 2;
/// The effort that a recall target is never below: rows make easier queries than people do.
const EFFORT_OF_TARGET: usize = 64;

/// A search over one shard.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// As many finite components as the dimension.
    pub vector: Vec<f32>,
    /// Results wanted.
    pub top_k: usize,
    /// Which points may be returned.
    pub filter: Option<Filter>,
    /// Results below this score are left out.
    pub score_threshold: Option<f32>,
    /// Return the true best.
    pub exact: bool,
    /// Effort; by default what reaches the recall target, see [`Shard::calibration`]. Raised to 32, and to what
    /// `top_k` needs.
    pub ef: Option<usize>,
    /// The share of true neighbours to find; 1 means exact.
    pub recall_target: f32,
    /// What to return of each point.
    pub include: Include,
}

impl SearchQuery {
    /// The defaults of the public contract.
    pub fn new(vector: Vec<f32>, top_k: usize) -> Self {
        Self {
            vector,
            top_k,
            filter: None,
            score_threshold: None,
            exact: false,
            ef: None,
            recall_target: 0.95,
            include: Include::default(),
        }
    }
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPoint {
    /// Whose.
    pub id: String,
    /// Higher is better.
    pub score: f32,
    /// The version that was scored.
    pub version: u64,
    /// If asked for.
    pub payload: Option<String>,
    /// If asked for.
    pub vector: Option<Vec<f32>>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResult {
    /// Where in the log it is true.
    pub applied_index: u64,
    /// By (score descending, id ascending).
    pub hits: Vec<ScoredPoint>,
    /// How it was found.
    pub explain: SearchTrace,
}

/// How a search was answered and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchTrace {
    /// The index's plan: `flat`, `graph`, `graph_filtered`, `scan_allowed` or `scan_after_budget`; `text_or` or
    /// `text_and` of a text search.
    pub plan: &'static str,
    /// Effort used.
    pub ef: usize,
    /// Whether the whole (filtered) set was asked to be scanned.
    pub exact: bool,
    /// Live points.
    pub rows_live: u64,
    /// Points that the filter matched; `None` without one.
    pub filter_matched: Option<u64>,
    /// How the filter was worked out: `none`, `indexed` (from payload indexes), `partly` or `unindexed`.
    pub filter_plan: &'static str,
    /// Points that it was expected to match; `None` without one.
    pub filter_estimated: Option<u64>,
    /// Fields of the filter that no payload index answered for, sorted.
    pub filter_unindexed: Vec<String>,
    /// Payloads looked at for the filter.
    pub filter_checked: u64,
    /// Distances computed.
    pub distances: u64,
    /// Graph vertices expanded.
    pub hops: u64,
    /// Points scanned because they are not in the graph yet.
    pub tail_scanned: u64,
    /// Points looked at.
    pub visited: u64,
    /// Codes that stood for vectors: `none`, `8bit` or `4bit`.
    pub quantization: &'static str,
    /// Points whose score was bounded from the codes that stand for vectors.
    pub bounded: u64,
    /// Points whose full vector was compared to rank them exactly.
    pub rescored: u64,
    /// Bytes of codes, vectors and links that this takes to read; computed, not measured.
    pub bytes: u64,
    /// Times the index was asked: two when a traversal found nothing worse than the end of the results.
    pub rounds: u32,
}

/// The effort for a recall target of a shard that has not measured its own yet, see [`Shard::calibration`]: 64 up to
/// 0.90, 128 up to 0.95, 320 up to 0.99, 800 above.
fn ef_of_recall(target: f32) -> usize {
    match target {
        t if t <= 0.90 => 64,
        t if t <= 0.95 => 128,
        t if t <= 0.99 => 320,
        _ => 800,
    }
}

impl Shard {
    /// The best points for a query, of those that are visible at one applied index.
    pub fn search(&self, query: &SearchQuery) -> Result<SearchResult, Refusal> {
        self.search_in_stages(query, &mut |_| {})
    }

    /// The same, telling `done` after each stage (`filter`, `search`, `fetch`): who has a clock can time them.
    pub fn search_in_stages(
        &self,
        query: &SearchQuery,
        done: &mut dyn FnMut(&'static str),
    ) -> Result<SearchResult, Refusal> {
        self.check(query)?;
        let (applied_index, found, explain) = {
            // A scan of everything takes long: who writes meanwhile must not make short looks wait.
            let _long = (query.exact || query.recall_target >= 1.0).then(|| self.state.long());
            let Matched { state, rows: matched, trace } = self.matching(query.filter.as_ref())?;
            done("filter");
            let full = Stored::new(&state.rows);
            let wanted = self.effort(query);
            let nearest =
                |scratch: &mut Scratch| nearest(&state, (query, wanted), matched.as_ref(), &full, scratch);
            let (hits, mut explain) = self.with_scratch(nearest);
            if let Some(damage) = full.damage() {
                return Err(self.report(damage));
            }
            explain.quantization = self.quantization_of(&state).as_str();
            explain.filter_plan = trace.plan;
            explain.filter_estimated = trace.estimated;
            explain.filter_unindexed = trace.unindexed;
            explain.filter_checked = trace.checked;
            let slots = hits.iter().filter_map(|hit| Some((hit.score, state.rows.get(hit.row)?.clone())));
            (state.applied_index, slots.collect::<Vec<_>>(), explain)
        };
        done("search");
        let hits = ranked(&found, query.top_k, query.include).map_err(|damage| self.report(damage))?;
        done("fetch");
        Ok(SearchResult { applied_index, hits, explain })
    }

    /// The effort that was asked for, or that reaches the recall that was.
    pub(crate) fn effort(&self, query: &SearchQuery) -> usize {
        let target = query.recall_target;
        query.ef.unwrap_or_else(|| {
            let measured = self.calibration.read().as_ref().and_then(|calibration| calibration.ef(target));
            measured.unwrap_or_else(|| ef_of_recall(target)).max(EFFORT_OF_TARGET)
        })
    }

    pub(crate) fn check(&self, query: &SearchQuery) -> Result<(), Refusal> {
        if query.score_threshold.is_some_and(f32::is_nan) {
            let reason = "is not a number".into();
            return Err(Refusal::Invalid { field: "score_threshold", reason });
        }
        let refuse = |reason| Err(Refusal::Invalid { field: "vector", reason });
        let (expected, got) = (self.config.dimension, query.vector.len());
        if got != expected {
            return refuse(format!("has {got} components, expected {expected}"));
        }
        match query.vector.iter().position(|v| !v.is_finite()) {
            Some(at) => refuse(format!("component {at} is not a finite number")),
            None => Ok(()),
        }
    }
}

/// The least effort for so many results: at least twice as many, of few fixed values.
fn effort_class(top_k: usize) -> usize {
    let mut class = EFFORT_LEAST;
    while class / 2 < top_k && class < usize::MAX / EFFORT_STEP {
        class *= EFFORT_STEP;
    }
    class
}

/// The hits that may be among the first `top_k`: all that score at least what the last of those does.
pub(crate) fn nearest(
    state: &State,
    (query, ef): (&SearchQuery, usize),
    allowed: Option<&RowSet>,
    full: &Stored<'_>,
    scratch: &mut Scratch,
) -> (Vec<Hit>, SearchTrace) {
    let rows_live = state.index.live();
    let matching = allowed.map_or(rows_live, |allowed| allowed.len() as usize);
    let exact = query.exact || query.recall_target >= 1.0;
    let ef = ef.min(rows_live).max(effort_class(query.top_k.min(matching)));
    let mut trace = SearchTrace {
        plan: "none",
        ef,
        exact,
        rows_live: rows_live as u64,
        filter_matched: allowed.map(RowSet::len),
        filter_plan: "none",
        filter_estimated: None,
        filter_unindexed: Vec::new(),
        filter_checked: 0,
        distances: 0,
        hops: 0,
        tail_scanned: 0,
        visited: 0,
        quantization: "none",
        bounded: 0,
        rescored: 0,
        bytes: 0,
        rounds: 0,
    };
    let mut ask = |k: usize, exact: bool| {
        let request = SearchRequest { k, ef, exact, allowed };
        let outcome = state.index.search(&query.vector, &request, full, scratch);
        let SearchOutcome { stats, plan, .. } = &outcome;
        trace.distances += stats.distances;
        trace.hops += stats.hops;
        trace.tail_scanned += stats.tail_scanned;
        trace.visited += stats.visited;
        trace.bounded += stats.bounded;
        trace.rescored += stats.rescored;
        trace.bytes += stats.bytes;
        trace.rounds += 1;
        if trace.rounds == 1 {
            trace.plan = plan.as_str();
        }
        outcome
    };
    let SearchOutcome { mut hits, mut ties, ties_cut, .. } = ask(query.top_k, exact);
    let least = query.score_threshold.unwrap_or(f32::NEG_INFINITY);
    let boundary = hits.last().map_or(f32::NEG_INFINITY, |hit| hit.score);
    if ties_cut && boundary >= least && hits.len() < matching {
        // Rows that score the same may have been left out. All of them are found; what is better stays. There may be
        // more of what is better than was found, so that it takes more than top_k to get to them.
        let mut k = query.top_k;
        let exact = loop {
            let exact = ask(k, true);
            if k >= matching || exact.hits.last().is_none_or(|hit| hit.score <= boundary) {
                break exact;
            }
            k = k.saturating_mul(4).min(matching);
        };
        ties.extend(exact.hits.into_iter().chain(exact.ties).filter(|hit| hit.score == boundary));
        ties.retain(|tie| hits.iter().all(|hit| hit.row != tie.row));
        ties.sort_unstable_by_key(|hit| hit.row);
        ties.dedup_by_key(|hit| hit.row);
    }
    hits.append(&mut ties);
    hits.retain(|hit| hit.score >= least);
    (hits, trace)
}

/// Hits with their points, in the public order, cut to what was asked for.
pub(crate) fn ranked(
    found: &[(f32, Slot)],
    top_k: usize,
    include: Include,
) -> Result<Vec<ScoredPoint>, Damage> {
    let mut ranked = Vec::with_capacity(found.len());
    for (score, slot) in found {
        // Adding zero makes negative zero equal to zero.
        ranked.push((*score + 0.0, slot.view()?, slot));
    }
    ranked.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then_with(|| x.id.cmp(y.id)));
    ranked.truncate(top_k);
    let scored = |(score, view, slot): (f32, View<'_>, &Slot)| {
        let found = point_of(slot, &view, include)?;
        let crate::read::Point { id, version, vector, payload } = found;
        Ok(ScoredPoint { id, score, version, payload, vector })
    };
    ranked.into_iter().map(scored).collect()
}
