//! From generated messages to answers, in one place.

use crate::answers::*;
use crate::consistency::Consistency;
use crate::error::Error;
use crate::vectors::named;
use vectron_base::Code;
use vectron_wire::proto::public as pb;

/// A message that lacks what the contract promises.
fn missing(what: &str) -> Error {
    Error::local(
        Code::Internal,
        format!("the server's answer lacks {what}; are client and server of one version?"),
    )
}

fn payload(text: Option<String>) -> Result<Option<Payload>, Error> {
    text.map(Payload::from_json).transpose()
}

fn vector(vector: Option<pb::Vector>) -> Option<Vec<f32>> {
    vector.map(|v| v.values)
}

pub(crate) fn point(p: pb::Point) -> Result<Point, Error> {
    let vectors = named(p.vectors);
    Ok(Point {
        id: p.id,
        vector: vector(p.vector),
        vectors,
        payload: payload(p.payload)?,
        version: p.version,
    })
}

pub(crate) fn points(list: Vec<pb::Point>) -> Result<Vec<Point>, Error> {
    list.into_iter().map(point).collect()
}

fn scored(p: pb::ScoredPoint) -> Result<ScoredPoint, Error> {
    let (vector, payload) = (vector(p.vector), payload(p.payload)?);
    let vectors = named(p.vectors);
    Ok(ScoredPoint { id: p.id, score: p.score, version: p.version, payload, vector, vectors })
}

pub(crate) fn meta(meta: Option<pb::ReadMeta>) -> ReadMeta {
    let meta = meta.unwrap_or_default();
    let (level, shards) = (meta.consistency.unwrap_or_default(), meta.shards.unwrap_or_default());
    let failed = shards.failed.into_iter();
    ReadMeta {
        took_ms: meta.took_ms,
        partial: meta.partial,
        degraded: meta.degraded,
        consistency: Delivered { level: level.level, staleness_ms: level.staleness_ms },
        shards: AnsweredShards {
            total: shards.total,
            answered: shards.answered,
            failed: failed.map(|f| ShardFailure { shard: f.shard, code: f.code, detail: f.detail }).collect(),
        },
        session: meta.session,
    }
}

pub(crate) fn collection(c: pb::Collection) -> Collection {
    Collection {
        name: c.name,
        dimension: c.dimension,
        distance: c.distance,
        shards: c.shards,
        replication_factor: c.replication_factor,
        read_policy: c.read_policy.map_or(Consistency::Linearizable, Consistency::from),
        quantization: c.quantization,
        storage: c.storage,
        index: c.index.map_or_else(IndexSettings::default, |index| IndexSettings {
            degree: index.degree(),
            ef_construction: index.ef_construction(),
        }),
        ttl_ms: c.ttl_ms,
        created_at_ms: c.created_at_ms,
        incarnation: c.incarnation,
        changeable: c.changeable,
    }
}

pub(crate) fn created(answer: pb::CreateCollectionResponse) -> Result<Created, Error> {
    let described = answer.collection.ok_or_else(|| missing("the collection"))?;
    Ok(Created { collection: collection(described), created: answer.created })
}

pub(crate) fn status(s: pb::CollectionStatus) -> CollectionStatus {
    CollectionStatus {
        name: s.name,
        dimension: s.dimension,
        distance: s.distance,
        points: s.points,
        index_lag: s.index_lag,
        bytes: s.bytes,
        memory_bytes: s.memory_bytes,
        bytes_per_point: s.bytes_per_point,
        memory: s.memory.map(memory),
        indexes: s.indexes.into_iter().map(index).collect(),
        recall: s.recall.into_iter().map(recall).collect(),
        shards: s.shards.into_iter().map(shard).collect(),
    }
}

fn recall(r: pb::RecallFigure) -> RecallFigure {
    RecallFigure {
        selectivity: r.selectivity,
        target: r.target,
        samples: r.samples,
        recall: r.recall,
        missed: r.missed,
    }
}

fn memory(m: pb::MemorySplit) -> MemorySplit {
    MemorySplit {
        codes: m.codes,
        vectors: m.vectors,
        links: m.links,
        payload_indexes: m.payload_indexes,
        other: m.other,
    }
}

pub(crate) fn index(i: pb::PayloadIndex) -> PayloadIndex {
    PayloadIndex {
        field: i.field,
        kind: i.r#type,
        ready: i.ready,
        points_indexed: i.points_indexed,
        points_total: i.points_total,
        bytes: i.bytes,
        points_irregular: i.points_irregular,
    }
}

fn shard(s: pb::ShardStatus) -> ShardStatus {
    ShardStatus {
        id: s.id,
        leader: s.leader,
        replicas: s.replicas.into_iter().map(|r| Replica { id: r.id, worker: r.worker }).collect(),
        ready: s.ready,
        points: s.points,
        index_lag: s.index_lag,
        bytes: s.bytes,
        memory_bytes: s.memory_bytes,
        applied_index: s.applied_index,
        durable_index: s.durable_index,
        tombstones: s.tombstones,
        damage: s.damage,
        bytes_per_point: s.bytes_per_point,
        memory: s.memory.map(memory),
        quantization: s.quantization.map(|q| QuantizationStatus {
            kind: q.kind,
            error_mean: q.error_mean,
            error_fine_mean: q.error_fine_mean,
        }),
        calibration: s.calibration.map(|c| Calibration {
            measured_at_points: c.measured_at_points,
            ef_90: c.ef_90,
            ef_95: c.ef_95,
            ef_99: c.ef_99,
        }),
        indexes: s.indexes.into_iter().map(index).collect(),
        recall: s.recall.into_iter().map(recall).collect(),
    }
}

pub(crate) fn failure(f: pb::ItemFailure) -> ItemFailure {
    ItemFailure { id: f.id, code: f.code, detail: f.detail, current_version: f.current_version }
}

pub(crate) fn deleted(answer: pb::DeleteResponse) -> DeleteAnswer {
    DeleteAnswer {
        deleted: answer.deleted,
        failed: answer.failed.into_iter().map(failure).collect(),
        session: answer.session,
        replayed: answer.replayed,
    }
}

pub(crate) fn upserted(answer: pb::UpsertResponse) -> UpsertAnswer {
    UpsertAnswer {
        upserted: answer.upserted,
        failed: answer.failed.into_iter().map(failure).collect(),
        session: answer.session,
        replayed: answer.replayed,
    }
}

pub(crate) fn got(answer: pb::GetResponse) -> Result<GetAnswer, Error> {
    let found = answer.point.ok_or_else(|| missing("the point"))?;
    Ok(GetAnswer { point: point(found)?, meta: meta(answer.meta) })
}

pub(crate) fn search(answer: pb::SearchResponse) -> Result<SearchAnswer, Error> {
    Ok(SearchAnswer {
        search_id: answer.search_id,
        results: answer.results.into_iter().map(scored).collect::<Result<_, _>>()?,
        meta: meta(answer.meta),
        explain: answer.explain.map(explain),
    })
}

fn stages(list: Vec<pb::Stage>) -> Vec<Stage> {
    list.into_iter().map(|s| Stage { name: s.name, us: s.us }).collect()
}

fn explain(e: pb::Explain) -> Explain {
    let shard = |s: pb::ShardExplain| ShardExplain {
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
        filter: s.filter.map(|f| FilterExplain {
            plan: f.plan,
            estimated: f.estimated,
            matched: f.matched,
            checked: f.checked,
            unindexed: f.unindexed,
        }),
        applied_index: s.applied_index,
        stages: stages(s.stages),
    };
    Explain { shards: e.shards.into_iter().map(shard).collect(), stages: stages(e.stages) }
}
