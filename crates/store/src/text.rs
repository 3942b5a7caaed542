//! Ranked text search: the best points for some words.
//!
//! Filter → rows → text index → scores → the public order. Scores rest on how common each word is; several shards
//! are first asked for their [`TextStats`], whose sum is then given to all of them, so that a point's score does not
//! depend on which shard it is in.

use crate::damage::Refusal;
use crate::fields::text::{Parsed, Ranking, TextIndex, TextOperator, TextQuery, TextStats};
use crate::matching::Matched;
use crate::read::{Include, Read};
use crate::search::{SearchResult, SearchTrace, ranked};
use crate::shard::Shard;
use crate::state::State;
use std::borrow::Cow;
use vectron_base::filter::Filter;
use vectron_index::RowSet;

/// A text search over one shard.
#[derive(Clone, Debug)]
pub struct TextSearch {
    /// The words, and where to look for them.
    pub query: TextQuery,
    /// What scores rest on; by default this shard's own figures, at the same applied index.
    pub stats: Option<TextStats>,
    /// Results wanted.
    pub top_k: usize,
    /// Which points may be returned.
    pub filter: Option<Filter>,
    /// Results below this score are left out.
    pub score_threshold: Option<f32>,
    /// What to return of each point.
    pub include: Include,
}

impl TextSearch {
    /// The defaults of the public contract.
    pub fn new(query: TextQuery, top_k: usize) -> TextSearch {
        let include = Include::default();
        TextSearch { query, stats: None, top_k, filter: None, score_threshold: None, include }
    }
}

/// The text index of a field, if it can answer.
fn index<'a>(state: &'a State, field: &str) -> Result<&'a TextIndex, Refusal> {
    match state.fields.text(field) {
        Some((index, true)) => Ok(index),
        Some((_, false)) => Err(Refusal::Building { field: field.into() }),
        None => {
            let reason = format!("there is no text index on {field:?}");
            Err(Refusal::Invalid { field: "using", reason })
        }
    }
}

fn parsed(query: &TextQuery, index: &TextIndex) -> Result<Parsed, Refusal> {
    query.bm25.check().map_err(|(field, reason)| Refusal::Invalid { field, reason })?;
    Parsed::new(&query.text, index.analyser()).map_err(|reason| Refusal::Invalid { field: "text", reason })
}

impl Shard {
    /// What scores of a query rest on, in this shard.
    pub fn text_stats(&self, query: &TextQuery) -> Result<Read<TextStats>, Refusal> {
        let state = self.readable()?;
        let index = index(&state, &query.field)?;
        let value = index.stats(&parsed(query, index)?);
        Ok(Read { value, applied_index: state.applied_index, filter_unindexed: Vec::new() })
    }

    /// The best points for a query, of those that are visible at one applied index. Always exact.
    pub fn text_search(&self, search: &TextSearch) -> Result<SearchResult, Refusal> {
        self.text_search_in_stages(search, &mut |_| {})
    }

    /// The same, telling `done` after each stage (`filter`, `search`, `fetch`): who has a clock can time them.
    pub fn text_search_in_stages(
        &self,
        search: &TextSearch,
        done: &mut dyn FnMut(&'static str),
    ) -> Result<SearchResult, Refusal> {
        if search.score_threshold.is_some_and(f32::is_nan) {
            let reason = "is not a number".into();
            return Err(Refusal::Invalid { field: "score_threshold", reason });
        }
        let (applied_index, found, explain) = {
            let Matched { state, rows: matched, trace } = self.matching(search.filter.as_ref())?;
            done("filter");
            let index = index(&state, &search.query.field)?;
            let parsed = parsed(&search.query, index)?;
            let stats = search.stats.as_ref().map_or_else(|| Cow::Owned(index.stats(&parsed)), Cow::Borrowed);
            let ranking = Ranking {
                operator: search.query.operator,
                bm25: &search.query.bm25,
                stats: &stats,
                top_k: search.top_k,
                allowed: matched.as_ref(),
            };
            let found = index.rank(&parsed, &ranking);
            let explain = SearchTrace {
                plan: match search.query.operator {
                    TextOperator::Or => "text_or",
                    TextOperator::And => "text_and",
                },
                exact: true,
                rows_live: state.fields.live.len(),
                filter_matched: matched.as_ref().map(RowSet::len),
                filter_plan: trace.plan,
                filter_estimated: trace.estimated,
                filter_unindexed: trace.unindexed,
                filter_checked: trace.checked,
                visited: found.candidates,
                bytes: found.bytes(),
                quantization: "none",
                rounds: 1,
                ..SearchTrace::default()
            };
            let least = search.score_threshold.unwrap_or(f32::NEG_INFINITY);
            let passing = found.hits.into_iter().filter(|(score, _)| *score >= least);
            let slots = passing.filter_map(|(score, row)| Some((score, state.rows.get(row)?.clone())));
            (state.applied_index, slots.collect::<Vec<_>>(), explain)
        };
        done("search");
        let hits = ranked(&found, (search.top_k, search.include), &self.schema)
            .map_err(|damage| self.report(damage))?;
        done("fetch");
        Ok(SearchResult { applied_index, hits, explain })
    }
}
