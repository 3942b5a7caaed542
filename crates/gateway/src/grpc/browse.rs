//! Messages of queries, and of looking over a collection, to and from the public contract's types.

use super::convert::{consistency, json, meta, packed, params, point, search, searched};
use super::vectors;
use crate::api::{self, JsonText, PointId};
use vectron_wire::proto::public as pb;

pub fn facet(r: pb::FacetRequest) -> api::FacetRequest {
    api::FacetRequest {
        collection: r.collection,
        field: r.field,
        filter: json(r.filter),
        limit: r.limit.map(u64::from),
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn faceted(a: api::FacetResponse) -> pb::FacetResponse {
    let value = |v: api::FacetValue| pb::FacetValue { value: v.value.into_string(), count: v.count };
    pb::FacetResponse { values: a.values.into_iter().map(value).collect(), more: a.more, meta: meta(a.meta) }
}

pub fn sample(r: pb::SampleRequest) -> api::SampleRequest {
    api::SampleRequest {
        collection: r.collection,
        filter: json(r.filter),
        limit: r.limit.map(u64::from),
        seed: r.seed,
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn sampled(a: api::SampleResponse) -> pb::SampleResponse {
    let points = a.points.into_iter().map(point).collect();
    pb::SampleResponse { points, seed: a.seed, meta: meta(a.meta) }
}

pub fn matrix(r: pb::MatrixRequest) -> api::MatrixRequest {
    api::MatrixRequest {
        collection: r.collection,
        filter: json(r.filter),
        limit: r.limit.map(u64::from),
        seed: r.seed,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn matrix_made(a: api::MatrixResponse) -> pb::MatrixResponse {
    let scores = a.scores.into_iter().map(|scores| pb::MatrixRow { scores }).collect();
    pb::MatrixResponse { ids: a.ids, scores, seed: a.seed, meta: meta(a.meta) }
}

pub fn search_batch(r: pb::SearchBatchRequest) -> api::SearchBatchRequest {
    api::SearchBatchRequest {
        collection: r.collection,
        searches: r.searches.into_iter().map(search).collect(),
        timeout_ms: r.timeout_ms,
    }
}

pub fn batch_searched(a: api::SearchBatchResponse) -> pb::SearchBatchResponse {
    pb::SearchBatchResponse { answers: a.answers.into_iter().map(searched).collect() }
}

fn example(e: pb::Example) -> api::Example {
    match e.example {
        Some(pb::example::Example::Vector(vector)) => api::Example::Vector(vector.values),
        Some(pb::example::Example::Id(id)) => api::Example::Id(PointId(id)),
        // Refused as an id that is empty.
        None => api::Example::Id(PointId(String::new())),
    }
}

fn recommend(r: pb::Recommend) -> api::Recommend {
    api::Recommend {
        positive: r.positive.into_iter().map(example).collect(),
        negative: r.negative.into_iter().map(example).collect(),
        strategy: r.strategy,
    }
}

fn leg(l: pb::QueryLeg) -> api::QueryLeg {
    api::QueryLeg {
        vector: vectors::query(l.vector, l.sparse, l.multi),
        vector_b64: packed(l.vector_f32),
        text: l.text,
        using: l.using,
        recommend: l.recommend.map(recommend),
        filter: json(l.filter),
        limit: l.limit.map(u64::from),
        params: l.params.map(params),
        score_threshold: l.score_threshold,
    }
}

pub fn query(r: pb::QueryRequest) -> api::QueryRequest {
    let fusion = |f: pb::Fusion| api::Fusion {
        method: f.method,
        k: f.k,
        // An empty list is not distinguishable from none.
        weights: Some(f.weights).filter(|weights| !weights.is_empty()),
        normalize: f.normalize,
    };
    let group_by = |g: pb::GroupBy| api::GroupBy {
        field: g.field,
        groups: g.groups.map(u64::from),
        group_size: g.group_size.map(u64::from),
    };
    let mmr = |m: pb::Mmr| api::Mmr { diversity: m.diversity, candidates: m.candidates.map(u64::from) };
    api::QueryRequest {
        collection: r.collection,
        prefetch: r.prefetch.into_iter().map(leg).collect(),
        recommend: r.recommend.map(recommend),
        fusion: r.fusion.map(fusion),
        formula: json(r.formula),
        filter: json(r.filter),
        top_k: r.top_k.map(u64::from),
        score_threshold: r.score_threshold,
        mmr: r.mmr.map(mmr),
        group_by: r.group_by.map(group_by),
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
        allow_partial: r.allow_partial,
    }
}

fn result(r: api::QueryResult) -> pb::QueryResult {
    let rank = |l: api::LegRank| pb::LegRank { leg: l.leg, rank: l.rank, score: l.score };
    let (vector, vectors) = vectors::shown(r.vector);
    pb::QueryResult {
        vector,
        vectors,
        id: r.id,
        score: r.score,
        version: r.version,
        payload: r.payload.map(JsonText::into_string),
        legs: r.legs.into_iter().map(rank).collect(),
    }
}

pub fn queried(a: api::QueryResponse) -> pb::QueryResponse {
    let group = |g: api::QueryGroup| pb::QueryGroup {
        value: g.value.into_string(),
        results: g.results.into_iter().map(result).collect(),
    };
    pb::QueryResponse {
        search_id: a.search_id,
        results: a.results.into_iter().map(result).collect(),
        groups: a.groups.into_iter().flatten().map(group).collect(),
        meta: meta(a.meta),
    }
}
