//! Figures of collections, shards and payload indexes as protobuf messages.

use crate::api;
use vectron_wire::proto::public as pb;

pub fn status(s: api::CollectionStatus) -> pb::CollectionStatus {
    let replica = |r: api::Replica| pb::Replica { id: r.id, worker: r.worker };
    let shard = |s: api::ShardStatus| pb::ShardStatus {
        id: s.id,
        leader: s.leader,
        replicas: s.replicas.into_iter().map(replica).collect(),
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
        quantization: s.quantization.map(|q| pb::QuantizationStatus {
            kind: q.kind,
            error_mean: q.error_mean,
            error_fine_mean: q.error_fine_mean,
        }),
        calibration: s.calibration.map(|c| pb::Calibration {
            measured_at_points: c.measured_at_points,
            ef_90: c.ef_90,
            ef_95: c.ef_95,
            ef_99: c.ef_99,
        }),
        indexes: s.indexes.into_iter().map(index).collect(),
        recall: s.recall.into_iter().map(recall).collect(),
    };
    pb::CollectionStatus {
        name: s.name,
        dimension: s.dimension,
        distance: s.distance,
        points: s.points,
        index_lag: s.index_lag,
        bytes: s.bytes,
        memory_bytes: s.memory_bytes,
        shards: s.shards.into_iter().map(shard).collect(),
        bytes_per_point: s.bytes_per_point,
        memory: s.memory.map(memory),
        indexes: s.indexes.into_iter().map(index).collect(),
        recall: s.recall.into_iter().map(recall).collect(),
    }
}

fn memory(m: api::MemorySplit) -> pb::MemorySplit {
    pb::MemorySplit {
        codes: m.codes,
        vectors: m.vectors,
        links: m.links,
        payload_indexes: m.payload_indexes,
        other: m.other,
    }
}

fn recall(r: api::RecallFigure) -> pb::RecallFigure {
    pb::RecallFigure {
        selectivity: r.selectivity,
        target: r.target,
        samples: r.samples,
        recall: r.recall,
        missed: r.missed,
    }
}

fn index(i: api::PayloadIndex) -> pb::PayloadIndex {
    pb::PayloadIndex {
        field: i.field,
        r#type: i.kind,
        language: i.language,
        stemming: i.stemming,
        ready: i.ready,
        points_indexed: i.points_indexed,
        points_total: i.points_total,
        bytes: i.bytes,
        points_irregular: i.points_irregular,
    }
}

pub fn index_created(a: api::CreateIndexResponse) -> pb::CreateIndexResponse {
    pb::CreateIndexResponse {
        field: a.field,
        r#type: a.kind,
        created: a.created,
        language: a.language,
        stemming: a.stemming,
    }
}

pub fn indexes(a: api::ListIndexesResponse) -> pb::ListIndexesResponse {
    pb::ListIndexesResponse { indexes: a.indexes.into_iter().map(index).collect() }
}
