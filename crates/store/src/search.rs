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
use crate::fields::FilterTrace;
use crate::matching::Matched;
use crate::query::{Query, SearchQuery};
use crate::read::{Include, point_of};
use crate::record::View;
use crate::rows::Slot;
use crate::shard::Shard;
use crate::source::Stored;
use crate::state::State;
use crate::vectors::DenseField;
use crate::vectors::schema::{Schema, SchemaField};
use vectron_base::vectors::PointVectors;
use vectron_index::{Hit, RowSet, Scratch, SearchOutcome, SearchRequest};

/// The effort that no search is below.
const EFFORT_LEAST: usize = 32;
/// From one class of least effort to the next.
const EFFORT_STEP: usize = 2;
/// The effort that a recall target is never below: rows make easier queries than people do.
const EFFORT_OF_TARGET: usize = 64;

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
    pub vector: Option<PointVectors>,
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
    /// The index's plan: `flat`, `graph`, `graph_filtered`, `scan_allowed` or `scan_after_budget`; `inverted` for a
    /// sparse field, `maxsim` for a multi field; `text_or` or `text_and` of a text search.
    pub plan: &'static str,
    /// Effort used.
    pub ef: usize,
    /// Whether the whole (filtered) set was asked to be scanned.
    pub exact: bool,
    /// Live points that have the field.
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
    /// Distances computed; for a sparse field products, for a multi field pairs of vectors.
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

impl SearchTrace {
    /// Says how the filter was worked out.
    pub(crate) fn filtered(&mut self, matched: Option<&RowSet>, trace: FilterTrace) {
        self.filter_matched = matched.map(RowSet::len);
        self.filter_plan = trace.plan;
        self.filter_estimated = trace.estimated;
        self.filter_unindexed = trace.unindexed;
        self.filter_checked = trace.checked;
        if self.quantization.is_empty() {
            self.quantization = "none";
        }
    }
}

/// What a search has found, before it is ranked and cut.
pub(crate) struct Found {
    pub applied_index: u64,
    /// All that score at least what the last wanted one does.
    pub slots: Vec<(f32, Slot)>,
    pub explain: SearchTrace,
}

/// A query by vector, and the dense field that it is for.
pub(crate) struct DenseLook<'a> {
    pub query: &'a SearchQuery,
    pub vector: &'a [f32],
    pub field: &'a DenseField,
    /// Its place among the dense fields.
    at: usize,
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
        let field = self.check(query)?;
        let Found { applied_index, slots, explain } = match &query.query {
            Query::Dense { .. } => self.search_dense(query, done)?,
            Query::Sparse { vector, .. } => self.search_sparse(query, (field, vector), done)?,
            Query::Multi { vectors, among, .. } => {
                self.search_multi(query, (field, vectors, among.as_deref()), done)?
            }
        };
        done("search");
        let wanted = (query.top_k, query.include);
        let hits = ranked(&slots, wanted, &self.schema).map_err(|damage| self.report(damage))?;
        done("fetch");
        Ok(SearchResult { applied_index, hits, explain })
    }

    fn search_dense(
        &self,
        query: &SearchQuery,
        done: &mut dyn FnMut(&'static str),
    ) -> Result<Found, Refusal> {
        // A scan of everything takes long: who writes meanwhile must not make short looks wait.
        let _long = (query.exact || query.recall_target >= 1.0).then(|| self.state.long());
        let Matched { state, rows: matched, trace } = self.matching(query.filter.as_ref())?;
        done("filter");
        let look = self.dense(&state, query)?;
        let full = Stored::new(&state.rows, &self.schema, look.field.number);
        let ef = self.effort(&look);
        let nearest = |scratch: &mut Scratch| nearest(&look, ef, matched.as_ref(), &full, scratch);
        let (hits, mut explain) = self.with_scratch(nearest);
        if let Some(damage) = full.damage() {
            return Err(self.report(damage));
        }
        explain.quantization = self.quantization_of(Some(look.field)).as_str();
        explain.filtered(matched.as_ref(), trace);
        let slots = hits.iter().filter_map(|hit| Some((hit.score, state.rows.get(hit.row)?.clone())));
        Ok(Found { applied_index: state.applied_index, slots: slots.collect(), explain })
    }

    /// The dense field of a query by vector.
    pub(crate) fn dense<'a>(
        &self,
        state: &'a State,
        query: &'a SearchQuery,
    ) -> Result<DenseLook<'a>, Refusal> {
        let number = self.check(query)?.number;
        let mut fields = state.vectors.dense.iter().enumerate();
        match (&query.query, fields.find(|(_, field)| field.number == number)) {
            (Query::Dense { vector, .. }, Some((at, field))) => Ok(DenseLook { query, vector, field, at }),
            _ => {
                let reason = "is no dense field, which alone is searched by approximation".into();
                Err(Refusal::Invalid { field: "using", reason })
            }
        }
    }

    /// The effort that was asked for, or that reaches the recall that was.
    pub(crate) fn effort(&self, look: &DenseLook<'_>) -> usize {
        let DenseLook { query, at, .. } = *look;
        let target = query.recall_target;
        query.ef.unwrap_or_else(|| {
            let known = self.calibration.read();
            let measured = known.get(at).and_then(|last| last.as_ref()?.ef(target));
            measured.unwrap_or_else(|| ef_of_recall(target)).max(EFFORT_OF_TARGET)
        })
    }

    /// The field of a query that makes sense.
    pub(crate) fn check(&self, query: &SearchQuery) -> Result<&SchemaField, Refusal> {
        if query.score_threshold.is_some_and(f32::is_nan) {
            let reason = "is not a number".into();
            return Err(Refusal::Invalid { field: "score_threshold", reason });
        }
        query.query.check(&self.schema)
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
    &DenseLook { query, vector, field, .. }: &DenseLook<'_>,
    ef: usize,
    allowed: Option<&RowSet>,
    full: &Stored<'_>,
    scratch: &mut Scratch,
) -> (Vec<Hit>, SearchTrace) {
    let index = &field.index;
    let rows_live = index.live();
    let matching = allowed.map_or(rows_live, |allowed| allowed.len() as usize);
    let exact = query.exact || query.recall_target >= 1.0;
    let ef = ef.min(rows_live).max(effort_class(query.top_k.min(matching)));
    let mut trace = SearchTrace {
        plan: "none",
        ef,
        exact,
        rows_live: rows_live as u64,
        filter_plan: "none",
        quantization: "none",
        ..SearchTrace::default()
    };
    let mut ask = |k: usize, exact: bool| {
        let request = SearchRequest { k, ef, exact, allowed };
        let outcome = index.search(vector, &request, full, scratch);
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
    (top_k, include): (usize, Include),
    schema: &Schema,
) -> Result<Vec<ScoredPoint>, Damage> {
    let mut ranked = Vec::with_capacity(found.len());
    for (score, slot) in found {
        // Adding zero makes negative zero equal to zero. Sums may leave the range of f32.
        let score = (*score + 0.0).clamp(f32::MIN, f32::MAX);
        ranked.push((score, slot.view()?, slot));
    }
    ranked.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then_with(|| x.id.cmp(y.id)));
    ranked.truncate(top_k);
    let scored = |(score, view, slot): (f32, View<'_>, &Slot)| {
        let found = point_of(slot, &view, schema, include)?;
        let crate::read::Point { id, version, vector, payload } = found;
        Ok(ScoredPoint { id, score, version, payload, vector })
    };
    ranked.into_iter().map(scored).collect()
}
