//! Short ways to say what tests say often.

use crate::model::Model;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_store::{
    Command, DeleteItem, DenseField, FieldKind, FieldValue, Idempotency, Include, Metric, MultiVector,
    NamedField, Operation, Outcome, PointVectors, Query, SearchQuery, Shard, ShardConfig, SparseVector,
    UpsertPoint,
};

pub const DIR: &str = "shards/7";
/// Room for four or five small remembered writes.
pub const WINDOW_BYTES: u64 = 800;
pub const ALL: Include = Include { payload: true, vector: true };

/// A shape that has a graph with few rows.
pub fn config(dimension: usize, metric: Metric) -> ShardConfig {
    let mut config = ShardConfig::new(dimension, metric);
    config.degree = 8;
    config.ef_construction = 32;
    config.flat_below = 8;
    config.graph_chunk_rows = 6;
    config.idempotency_bytes = WINDOW_BYTES;
    config.knobs.index_step_rows = 5;
    // About ten: what is held for people is not what figures of memory are about.
    config.knobs.removals_bytes = 1 << 10;
    config
}

pub fn open(disk: &SimDisk, config: &ShardConfig) -> Shard {
    Shard::open(Arc::new(disk.clone()), DIR, config.clone()).unwrap()
}

pub fn filter(text: &str) -> Filter {
    Filter::parse(text, &FilterLimits::default()).unwrap()
}

pub fn point(id: &str, vector: &[f32], payload: &str) -> UpsertPoint {
    UpsertPoint { id: id.into(), vector: vector.into(), payload: payload.into(), if_version: None }
}

pub fn command(operation: Operation) -> Command {
    Command { log_time_ms: 0, idempotency: None, range: None, operation }
}

pub fn upsert(points: Vec<UpsertPoint>) -> Command {
    command(Operation::Upsert(points))
}

pub fn delete(ids: &[&str]) -> Command {
    let item = |id: &&str| DeleteItem { id: id.to_string(), if_version: None };
    command(Operation::Delete(ids.iter().map(item).collect()))
}

pub fn keyed(mut command: Command, log_time_ms: u64, key: &str, body_hash: u64) -> Command {
    command.log_time_ms = log_time_ms;
    command.idempotency = Some(Idempotency { key: key.into(), body_hash });
    command
}

/// Applies at the next index.
pub fn apply(shard: &Shard, command: &Command) -> Outcome {
    apply_bytes(shard, &command.encode())
}

pub fn apply_bytes(shard: &Shard, bytes: &[u8]) -> Outcome {
    Outcome::decode(&shard.apply(shard.applied_index() + 1, bytes)).unwrap()
}

/// An indexed shard of so many points.
pub fn shard_of(count: u64, dimension: usize) -> (SimDisk, Shard) {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &config(dimension, Metric::Cosine));
    let payload = |i: u64| format!(r#"{{"parity":{},"rare":{}}}"#, i % 2, i.is_multiple_of(100));
    let points: Vec<UpsertPoint> =
        (0..count).map(|i| point(&format!("p{i:04}"), &vector(i, dimension), &payload(i))).collect();
    for batch in points.chunks(100) {
        apply(&shard, &upsert(batch.to_vec()));
    }
    index_all(&shard);
    (disk, shard)
}

/// Steps the index until nothing waits.
pub fn index_all(shard: &Shard) {
    for _ in 0..10_000 {
        if !shard.index_step(&|| false).more {
            return;
        }
    }
    panic!("indexing does not end");
}

pub fn search_ids(shard: &Shard, query: &SearchQuery) -> Vec<String> {
    shard.search(query).unwrap().hits.into_iter().map(|hit| hit.id).collect()
}

/// A repeatable vector of small components.
pub fn vector(seed: u64, dimension: usize) -> Vec<f32> {
    let mix = |i: u64| vectron_base::random::mix64(seed.wrapping_mul(31).wrapping_add(i).wrapping_add(1));
    (0..dimension as u64).map(|i| (mix(i) % 2001) as f32 / 1000.0 - 1.0001).collect()
}

/// Adds a dense, a sparse and a multi field to a shape.
pub fn name_fields(config: &mut ShardConfig) {
    let mut dense = DenseField::new(3, config.metric);
    (dense.degree, dense.ef_construction) = (8, 32);
    let multi = FieldKind::Multi { dimension: 2, metric: config.metric };
    let kinds = [("title", FieldKind::Dense(dense)), ("terms", FieldKind::Sparse), ("tokens", multi)];
    for (at, (name, kind)) in kinds.into_iter().enumerate() {
        config.named.push(NamedField { number: at as u32 + 1, name: name.into(), kind });
    }
}

fn sparse(seed: u64) -> SparseVector {
    let mix = |i: u64| vectron_base::random::mix64(seed.wrapping_mul(77).wrapping_add(i));
    let pairs: BTreeMap<u32, f32> =
        (0..seed % 5).map(|i| ((mix(i) % 9) as u32, (mix(i + 99) % 16) as f32 / 4.0 - 1.1)).collect();
    let (indices, values) = pairs.into_iter().unzip();
    SparseVector::new(indices, values).unwrap()
}

fn multi(seed: u64) -> MultiVector {
    MultiVector::new(2, (0..=seed % 3).flat_map(|i| vector(seed + 1000 * i, 2)).collect()).unwrap()
}

/// A repeatable point's values: with `several`, in some of the fields that [`name_fields`] adds.
pub fn vectors(seed: u64, dimension: usize, several: bool) -> PointVectors {
    if !several {
        return vector(seed, dimension).into();
    }
    let mix = vectron_base::random::mix64(seed);
    let all: [(&str, FieldValue); 4] = [
        ("", FieldValue::Dense(vector(seed, dimension))),
        ("title", FieldValue::Dense(vector(seed / 2, 3))),
        ("terms", FieldValue::Sparse(sparse(seed))),
        ("tokens", FieldValue::Multi(multi(seed))),
    ];
    let some = all.into_iter().enumerate().filter(|(at, _)| (mix >> (2 * at)) & 3 != 0);
    PointVectors::new(some.map(|(_, (name, value))| (name.into(), value)).collect()).unwrap()
}

/// A query against one of those fields.
pub fn query_of(seed: u64, dimension: usize, which: u64) -> Query {
    match which {
        0 => vector(seed, dimension).into(),
        1 => Query::Dense { field: "title".into(), vector: vector(seed, 3).into() },
        2 => Query::Sparse { field: "terms".into(), vector: Arc::new(sparse(seed + 3)) },
        _ => Query::Multi { field: "tokens".into(), vectors: Arc::new(multi(seed)), among: None },
    }
}

/// Everything that can be read must be what the model says.
pub fn assert_like(shard: &Shard, model: &Model) {
    let ids: Vec<&String> = model.points.keys().collect();
    let got = shard.get(&ids, ALL).unwrap().value;
    for (id, got) in ids.iter().zip(got) {
        let (got, expected) = (got.unwrap(), &model.points[*id]);
        assert_eq!((got.id.as_str(), got.version), (id.as_str(), expected.version));
        let (got_vector, wanted) = (got.vector.unwrap(), &expected.vector);
        let bits =
            |v: &PointVectors| v.dense().unwrap_or_default().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got_vector), bits(wanted));
        assert_eq!(&got_vector, wanted);
        let payload = got.payload.unwrap();
        // A changed payload keeps more of its text than the model does.
        if payload != expected.payload {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&payload), value(&expected.payload));
        }
    }
    assert_eq!(shard.count(None).unwrap().value, model.points.len() as u64);
    assert_eq!(shard.stats().points, model.points.len() as u64);
}

/// A search must return what the model would, up to rounding of scores and, if approximate, up to the choice
/// among points that all pass.
pub fn assert_search(shard: &Shard, model: &Model, query: &SearchQuery) {
    let found = shard.search(query).unwrap();
    let mut passing = model.matching(query.filter.as_ref());
    passing.retain(|(_, p)| model.score(&query.query, &p.vector).is_some());
    let mut truth: Vec<f64> =
        passing.iter().map(|(_, p)| model.score(&query.query, &p.vector).expect("has the field")).collect();
    truth.sort_by(|a, b| b.total_cmp(a));
    if let Some(least) = query.score_threshold {
        truth.retain(|score| *score >= f64::from(least) - 1e-4);
    } else {
        assert_eq!(found.hits.len(), query.top_k.min(passing.len()), "{query:?}");
    }
    for pair in found.hits.windows(2) {
        let ordered =
            pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].id < pair[1].id;
        assert!(ordered, "{:?} before {:?}", pair[0], pair[1]);
    }
    for (at, hit) in found.hits.iter().enumerate() {
        let point = passing.iter().find(|(id, _)| **id == hit.id).expect("a hit passes the filter").1;
        assert_eq!(point.version, hit.version);
        let score = model.score(&query.query, &point.vector).expect("has the field");
        assert!((score - f64::from(hit.score)).abs() < 1e-3, "{score} {}", hit.score);
        assert!(query.score_threshold.is_none_or(|least| hit.score >= least));
        if query.exact || !matches!(query.query, Query::Dense { .. }) {
            assert!(f64::from(hit.score) >= truth[at] - 1e-3, "rank {at}");
        }
    }
}
