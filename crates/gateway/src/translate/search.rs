//! Searches.

use super::text::{check_without_text, text_query};
use super::{
    ReadPlan, Wanted, between_one_and, checked_query, include, multi_shown, parse_filter, sparse_shown,
};
use crate::api::{FieldVector, SearchParams, SearchRequest};
use crate::knobs::{GatewayKnobs, size};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_wire::placement::Collection;
use vectron_wire::worker::{Include, ShardQuery, ShardSearch, Target, TextOperator, TextQuery};

/// A search that every shard can be asked.
pub struct SearchPlan {
    /// How fresh.
    pub read: ReadPlan,
    /// What to look for.
    pub query: ShardQuery,
    /// Results at most.
    pub top_k: usize,
    /// Only points that pass.
    pub filter: Option<Arc<Filter>>,
    /// Only hits with at least this score.
    pub score_threshold: Option<f32>,
    /// Scan everything.
    pub exact: bool,
    /// Candidates to keep.
    pub ef: Option<u32>,
    /// Share of the true neighbours to find.
    pub recall_target: f32,
    /// What of the hits.
    pub include: Include,
    /// Whether to say how each shard searched.
    pub explain: bool,
}

/// All that a shard's hits depend on beside its state, as bytes: equal for equal questions to the same range of the same
/// shard, and only for those. How fresh the state must be is no part of it.
pub type Question = Arc<[u8]>;

impl SearchPlan {
    /// Puts the query back where [`search_plan`] took it from, so that the request can be planned anew.
    pub fn give_back(&self, request: &mut SearchRequest) {
        request.vector = match &self.query {
            ShardQuery::Dense { vector, .. } => Some(FieldVector::Dense(vector.to_vec())),
            ShardQuery::Sparse { vector, .. } => Some(sparse_shown(vector)),
            ShardQuery::Multi { vectors, .. } => Some(multi_shown(vectors)),
            ShardQuery::Text { .. } => None,
        };
    }

    /// The same plan for one shard, with the query made ready for all of them.
    pub fn for_shard(&self, query: &ShardQuery, target: Target, timeout_ms: u64) -> ShardSearch {
        ShardSearch {
            read: self.read.for_shard(target.shard),
            target,
            query: query.clone(),
            top_k: self.top_k,
            filter: self.filter.clone(),
            score_threshold: self.score_threshold,
            exact: self.exact,
            ef: self.ef,
            recall_target: self.recall_target,
            include: self.include,
            timeout_ms,
        }
    }

    /// What this plan asks of a shard, with the query made ready for all of them.
    pub fn question(&self, query: &ShardQuery, target: &Target) -> Question {
        // Every field, so that a new one is not forgotten here.
        let Self {
            read: _,
            query: _,
            top_k,
            filter,
            score_threshold,
            exact,
            ef,
            recall_target,
            include,
            explain: _,
        } = self;
        let mut bytes = Vec::new();
        let mut number = |value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        number(target.shard.0);
        number(target.incarnation.0);
        number(target.epoch);
        number(*top_k as u64);
        number(u64::from(recall_target.to_bits()));
        // One more than the value, and 0 for none.
        number(score_threshold.map_or(0, |score| u64::from(score.to_bits()) + 1));
        number(ef.map_or(0, |ef| u64::from(ef) + 1));
        let flags = [*exact, include.payload, include.vector, filter.is_some()];
        bytes.extend(flags.map(u8::from));
        name_query(query, &mut bytes);
        // The last, so that it needs no length.
        bytes.extend(filter.iter().flat_map(|filter| filter.to_text().into_bytes()));
        bytes.into()
    }
}

/// Appends the query as bytes that no other query has and that no other's begin with.
fn name_query(query: &ShardQuery, bytes: &mut Vec<u8>) {
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    match query {
        ShardQuery::Dense { field, vector } => {
            part(b"dense");
            part(field.as_bytes());
            part(&little_endian(vector));
        }
        ShardQuery::Sparse { field, vector } => {
            part(b"sparse");
            part(field.as_bytes());
            part(&vector.indices().iter().flat_map(|index| index.to_le_bytes()).collect::<Vec<u8>>());
            part(&little_endian(vector.values()));
        }
        ShardQuery::Multi { field, vectors, among } => {
            part(b"multi");
            part(field.as_bytes());
            part(&(vectors.dimension() as u64).to_le_bytes());
            part(&little_endian(vectors.values()));
            let Some(among) = among else { return part(b"all") };
            part(&(among.len() as u64).to_le_bytes());
            among.iter().for_each(|id| part(id.as_bytes()));
        }
        ShardQuery::Text { query, stats } => {
            let TextQuery { field, text, operator, k1, b } = &**query;
            part(b"text");
            part(field.as_bytes());
            part(text.as_bytes());
            part(&[u8::from(*operator == TextOperator::And)]);
            part(&k1.to_le_bytes());
            part(&b.to_le_bytes());
            // Scores of one state differ with the state of the other shards.
            let Some(stats) = stats else { return part(b"own") };
            part(&stats.points.to_le_bytes());
            part(&stats.words.to_le_bytes());
            part(&(stats.terms.len() as u64).to_le_bytes());
            for (term, points) in &stats.terms {
                part(term.as_bytes());
                part(&points.to_le_bytes());
            }
        }
    }
}

fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The plan of a request against a collection.
pub fn search_plan(
    request: &mut SearchRequest,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<SearchPlan, Fault> {
    const TOP_K: u64 = 10;
    let read = ReadPlan::of(request.consistency.as_ref(), collection)?;
    let top_k = request.top_k.unwrap_or(TOP_K.min(knobs.max_top_k));
    let top_k = between_one_and("top_k", top_k, knobs.max_top_k)?;
    let params = request.params.clone().unwrap_or_default();
    let (ef, recall_target) = thoroughness("params.recall_target", &params, knobs)?;
    if request.score_threshold.is_some_and(|score| !score.is_finite()) {
        return Err(Fault::invalid("score_threshold", "must be a finite 32-bit float"));
    }
    let filter = parse_filter(request.filter.as_ref(), knobs)?;
    let query = match &request.text {
        Some(text) => {
            let query = text_query(text, request, collection, knobs)?.into();
            ShardQuery::Text { query, stats: None }
        }
        None => {
            check_without_text(&params)?;
            let wanted = Wanted { path: &"", subject: &|| "the query".into(), spec: &collection.spec };
            let using = request.using.as_deref();
            checked_query(request.vector.take(), request.vector_b64.take(), using, &wanted, knobs)?
        }
    };
    Ok(SearchPlan {
        read,
        query,
        top_k: size(top_k),
        filter,
        score_threshold: request.score_threshold,
        exact: params.exact.unwrap_or(false),
        ef,
        recall_target,
        include: include(request.include_payload, request.include_vector),
        explain: request.explain.unwrap_or(false),
    })
}

/// The effort, if one is named, and the recall target, which stands in that field.
pub fn thoroughness(
    field: &str,
    params: &SearchParams,
    knobs: &GatewayKnobs,
) -> Result<(Option<u32>, f32), Fault> {
    const RECALL: f32 = 0.95;
    let ef = match params.ef {
        Some(ef) => Some(between_one_and("params.ef", ef, knobs.max_ef)? as u32),
        None => None,
    };
    let recall = params.recall_target.unwrap_or(RECALL);
    if !(0.5..=0.999).contains(&recall) {
        let reason = format!("must be from 0.5 to 0.999, got {recall}; for every neighbour set params.exact");
        return Err(Fault::invalid(field, reason));
    }
    Ok((ef, recall))
}
