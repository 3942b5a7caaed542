//! Searches.

use super::{
    ReadPlan, Wanted, between_one_and, checked_query, include, multi_shown, parse_filter, sparse_shown,
};
use crate::api::{FieldVector, SearchParams, SearchRequest};
use crate::knobs::{GatewayKnobs, size};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_wire::placement::Collection;
use vectron_wire::worker::{Include, ShardQuery, ShardSearch, Target};

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
}

impl SearchPlan {
    /// Puts the query back where [`search_plan`] took it from, so that the request can be planned anew.
    pub fn give_back(&self, request: &mut SearchRequest) {
        request.vector = Some(match &self.query {
            ShardQuery::Dense { vector, .. } => FieldVector::Dense(vector.to_vec()),
            ShardQuery::Sparse { vector, .. } => sparse_shown(vector),
            ShardQuery::Multi { vectors, .. } => multi_shown(vectors),
        });
    }

    /// The same plan for one shard.
    pub fn for_shard(&self, target: Target, timeout_ms: u64) -> ShardSearch {
        ShardSearch {
            read: self.read.for_shard(target.shard),
            target,
            query: self.query.clone(),
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
    let (ef, recall_target) = thoroughness(&params, knobs)?;
    if request.score_threshold.is_some_and(|score| !score.is_finite()) {
        return Err(Fault::invalid("score_threshold", "must be a finite 32-bit float"));
    }
    let filter = parse_filter(request.filter.as_ref(), knobs)?;
    let wanted = Wanted { path: &"", subject: &|| "the query".into(), spec: &collection.spec };
    let using = request.using.as_deref();
    let query = checked_query(request.vector.take(), request.vector_b64.take(), using, &wanted, knobs)?;
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
    })
}

fn thoroughness(params: &SearchParams, knobs: &GatewayKnobs) -> Result<(Option<u32>, f32), Fault> {
    const RECALL: f32 = 0.95;
    let ef = match params.ef {
        Some(ef) => Some(between_one_and("params.ef", ef, knobs.max_ef)? as u32),
        None => None,
    };
    let recall = params.recall_target.unwrap_or(RECALL);
    if !(0.5..=0.999).contains(&recall) {
        let reason = format!("must be from 0.5 to 0.999, got {recall}; for every neighbour set params.exact");
        return Err(Fault::invalid("params.recall_target", reason));
    }
    Ok((ef, recall))
}
