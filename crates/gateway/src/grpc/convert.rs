//! Protobuf messages to and from the public contract's types. Nothing is checked here.

use super::vectors;
use crate::api::{self, JsonText, PackedVector, PointId};
use vectron_wire::proto::public as pb;

pub(super) fn consistency(asked: Option<pb::Consistency>) -> Option<api::Consistency> {
    let pb::Consistency { level, max_staleness_ms, token } = asked?;
    Some(api::Consistency { level, max_staleness_ms, token })
}

pub(super) fn json(text: Option<String>) -> Option<JsonText> {
    text.map(JsonText::unparsed)
}

pub(super) fn packed(bytes: Option<Vec<u8>>) -> Option<PackedVector> {
    bytes.map(|bytes| PackedVector { bytes, field: "vector_f32" })
}

pub(super) fn ids(ids: Vec<String>) -> Vec<PointId> {
    ids.into_iter().map(PointId).collect()
}

pub fn create(r: pb::CreateCollectionRequest) -> api::CreateCollectionRequest {
    api::CreateCollectionRequest {
        name: r.name,
        dimension: r.dimension.into(),
        distance: r.distance,
        vectors: Some(vectors::dense_asked(r.vectors).collect()),
        sparse_vectors: Some(r.sparse_vectors.into_keys().map(|name| (name, api::SparseField {})).collect()),
        multi_vectors: Some(vectors::multi_asked(r.multi_vectors).collect()),
        shards: r.shards.map(u64::from),
        replication_factor: r.replication_factor.map(u64::from),
        read_policy: consistency(r.read_policy),
        quantization: r.quantization,
        storage: r.storage,
        index: r.index.map(|index| api::IndexRequest {
            degree: index.degree.map(u64::from),
            ef_construction: index.ef_construction.map(u64::from),
        }),
        ttl_ms: r.ttl_ms,
        text_fields: (!r.text_fields.is_empty()).then(|| r.text_fields.into_iter().map(text_field).collect()),
    }
}

fn text_field((field, text): (String, pb::TextField)) -> (String, api::TextFieldRequest) {
    (field, api::TextFieldRequest { language: text.language, stemming: text.stemming })
}

pub fn create_index(r: pb::CreateIndexRequest) -> api::CreateIndexRequest {
    api::CreateIndexRequest {
        collection: r.collection,
        field: r.field,
        kind: r.r#type,
        language: r.language,
        stemming: r.stemming,
    }
}

pub(super) fn point_input(p: pb::PointInput) -> api::PointInput {
    let (vector, vector_b64) = vectors::values(p.vector, p.vector_f32, p.vectors);
    api::PointInput {
        id: PointId(p.id),
        vector,
        vector_b64,
        payload: json(p.payload),
        if_version: p.if_version,
        if_filter: json(p.if_filter),
        ttl_ms: p.ttl_ms,
        expires_at_ms: p.expires_at_ms,
    }
}

pub fn upsert(r: pb::UpsertRequest) -> api::UpsertRequest {
    api::UpsertRequest {
        collection: r.collection,
        points: r.points.into_iter().map(point_input).collect(),
        idempotency_key: r.idempotency_key,
        timeout_ms: r.timeout_ms,
    }
}

pub fn get(r: pb::GetRequest) -> api::GetRequest {
    api::GetRequest {
        collection: r.collection,
        id: r.id,
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn batch_get(r: pb::BatchGetRequest) -> api::BatchGetRequest {
    api::BatchGetRequest {
        collection: r.collection,
        ids: ids(r.ids),
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn delete(r: pb::DeleteRequest) -> api::DeleteRequest {
    // An empty list is not distinguishable from none; without a filter it deletes nothing.
    let by_ids = !r.ids.is_empty() || r.filter.is_none() && r.points.is_empty();
    api::DeleteRequest {
        collection: r.collection,
        ids: by_ids.then(|| ids(r.ids)),
        points: (!r.points.is_empty())
            .then(|| r.points.into_iter().map(super::convert_writes::condition).collect()),
        filter: json(r.filter),
        idempotency_key: r.idempotency_key,
        timeout_ms: r.timeout_ms,
    }
}

pub(super) fn params(p: pb::SearchParams) -> api::SearchParams {
    api::SearchParams {
        recall_target: p.recall_target,
        ef: p.ef.map(u64::from),
        exact: p.exact,
        operator: p.operator,
        k1: p.k1,
        b: p.b,
    }
}

pub fn search(r: pb::SearchRequest) -> api::SearchRequest {
    api::SearchRequest {
        collection: r.collection,
        vector: vectors::query(r.vector, r.sparse, r.multi),
        vector_b64: packed(r.vector_f32),
        text: r.text,
        using: r.using,
        top_k: r.top_k.map(u64::from),
        filter: json(r.filter),
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        score_threshold: r.score_threshold,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
        allow_partial: r.allow_partial,
        params: r.params.map(params),
        explain: r.explain,
    }
}

pub fn scroll(r: pb::ScrollRequest) -> api::ScrollRequest {
    api::ScrollRequest {
        collection: r.collection,
        filter: json(r.filter),
        limit: r.limit.map(u64::from),
        order_by: r.order_by.map(|order| api::OrderBy { field: order.field, direction: order.direction }),
        cursor: r.cursor,
        include_payload: r.include_payload,
        include_vector: r.include_vector,
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

pub fn count(r: pb::CountRequest) -> api::CountRequest {
    api::CountRequest {
        collection: r.collection,
        exact: r.exact,
        filter: json(r.filter),
        consistency: consistency(r.consistency),
        timeout_ms: r.timeout_ms,
    }
}

fn shown_consistency(c: api::Consistency) -> pb::Consistency {
    pb::Consistency { level: c.level, max_staleness_ms: c.max_staleness_ms, token: c.token }
}

pub fn collection(c: api::Collection) -> pb::Collection {
    pb::Collection {
        name: c.name,
        dimension: c.dimension,
        distance: c.distance,
        vectors: c.vectors.into_iter().map(|(name, field)| (name, vectors::dense_shown(field))).collect(),
        sparse_vectors: c.sparse_vectors.into_keys().map(|name| (name, pb::SparseField {})).collect(),
        multi_vectors: {
            let multi = |field: api::MultiField| pb::MultiField {
                dimension: field.dimension,
                distance: field.distance,
            };
            c.multi_vectors.into_iter().map(|(name, field)| (name, multi(field))).collect()
        },
        shards: c.shards,
        replication_factor: c.replication_factor,
        read_policy: Some(shown_consistency(c.read_policy)),
        created_at_ms: c.created_at_ms,
        incarnation: c.incarnation,
        changeable: c.changeable,
        quantization: c.quantization,
        storage: c.storage,
        index: Some(pb::IndexSettings {
            degree: Some(c.index.degree),
            ef_construction: Some(c.index.ef_construction),
        }),
        ttl_ms: c.ttl_ms,
    }
}

pub fn created(a: api::CreateCollectionResponse) -> pb::CreateCollectionResponse {
    pb::CreateCollectionResponse { collection: Some(collection(a.collection)), created: a.created }
}

pub fn listed(a: api::ListCollectionsResponse) -> pb::ListCollectionsResponse {
    pb::ListCollectionsResponse { collections: a.collections.into_iter().map(collection).collect() }
}

pub(super) fn failure(f: api::ItemFailure) -> pb::ItemFailure {
    pb::ItemFailure { id: f.id, code: f.code, detail: f.detail, current_version: f.current_version }
}

pub fn upserted(a: api::UpsertResponse) -> pb::UpsertResponse {
    pb::UpsertResponse {
        upserted: a.upserted,
        failed: a.failed.into_iter().map(failure).collect(),
        session: a.session,
        replayed: a.replayed,
    }
}

pub fn deleted(a: api::DeleteResponse) -> pb::DeleteResponse {
    let failed = a.failed.into_iter().map(failure).collect();
    pb::DeleteResponse { deleted: a.deleted, session: a.session, replayed: a.replayed, failed }
}

pub(super) fn point(p: api::Point) -> pb::Point {
    let (vector, vectors) = vectors::shown(p.vector);
    pb::Point { id: p.id, vector, vectors, payload: p.payload.map(JsonText::into_string), version: p.version }
}

pub(super) fn meta(m: api::ReadMeta) -> Option<pb::ReadMeta> {
    let failure = |f: api::ShardFailure| pb::ShardFailure { shard: f.shard, code: f.code, detail: f.detail };
    Some(pb::ReadMeta {
        took_ms: m.took_ms,
        partial: m.partial,
        degraded: m.degraded,
        consistency: Some(pb::DeliveredConsistency {
            level: m.consistency.level,
            staleness_ms: m.consistency.staleness_ms,
        }),
        shards: Some(pb::AnsweredShards {
            total: m.shards.total,
            answered: m.shards.answered,
            failed: m.shards.failed.into_iter().map(failure).collect(),
        }),
        session: m.session,
    })
}

pub fn got(a: api::GetResponse) -> pb::GetResponse {
    pb::GetResponse { point: Some(point(a.point)), meta: meta(a.meta) }
}

pub fn batch_got(a: api::BatchGetResponse) -> pb::BatchGetResponse {
    pb::BatchGetResponse {
        points: a.points.into_iter().map(point).collect(),
        missing: a.missing,
        meta: meta(a.meta),
    }
}

fn stages(stages: Vec<api::Stage>) -> Vec<pb::Stage> {
    stages.into_iter().map(|s| pb::Stage { name: s.name, us: s.us }).collect()
}

fn explain(e: api::Explain) -> pb::Explain {
    let shard = |s: api::ShardExplain| pb::ShardExplain {
        shard: s.shard,
        plan: s.plan,
        ef: s.ef,
        rows_live: s.rows_live,
        filter_matched: s.filter_matched,
        distances: s.distances,
        hops: s.hops,
        tail_scanned: s.tail_scanned,
        quantization: s.quantization,
        bytes_read: s.bytes_read,
        precise: s.precise,
        rescored: s.rescored,
        filter: s.filter.map(|f| pb::FilterExplain {
            plan: f.plan,
            estimated: f.estimated,
            matched: f.matched,
            checked: f.checked,
            unindexed: f.unindexed,
        }),
        applied_index: s.applied_index,
        stages: stages(s.stages),
    };
    pb::Explain { shards: e.shards.into_iter().map(shard).collect(), stages: stages(e.stages) }
}

fn result(p: api::ScoredPoint) -> pb::ScoredPoint {
    let (vector, vectors) = vectors::shown(p.vector);
    pb::ScoredPoint {
        vector,
        vectors,
        id: p.id,
        score: p.score,
        version: p.version,
        payload: p.payload.map(JsonText::into_string),
    }
}

pub fn search_event(a: api::SearchEvent) -> pb::SearchEvent {
    pb::SearchEvent {
        search_id: a.search_id,
        results: a.results.into_iter().map(result).collect(),
        last: a.last,
        complete: a.complete,
        meta: meta(a.meta),
    }
}

pub fn searched(a: api::SearchResponse) -> pb::SearchResponse {
    pb::SearchResponse {
        search_id: a.search_id,
        results: a.results.into_iter().map(result).collect(),
        meta: meta(a.meta),
        explain: a.explain.map(explain),
    }
}

pub fn scrolled(a: api::ScrollResponse) -> pb::ScrollResponse {
    pb::ScrollResponse {
        points: a.points.into_iter().map(point).collect(),
        next_cursor: a.next_cursor,
        meta: meta(a.meta),
    }
}

pub fn counted(a: api::CountResponse) -> pb::CountResponse {
    let estimate = a.estimate.map(|of| pb::CountEstimate { low: of.low, high: of.high });
    pb::CountResponse { count: a.count, estimate, meta: meta(a.meta) }
}
