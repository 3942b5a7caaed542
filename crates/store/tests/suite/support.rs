//! Short ways to say what tests say often.

use crate::model::Model;
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_store::{
    Command, DeleteItem, Idempotency, Include, Metric, Operation, Outcome, SearchQuery, Shard, ShardConfig,
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

/// Everything that can be read must be what the model says.
pub fn assert_like(shard: &Shard, model: &Model) {
    let ids: Vec<&String> = model.points.keys().collect();
    let got = shard.get(&ids, ALL).unwrap().value;
    for (id, got) in ids.iter().zip(got) {
        let (got, expected) = (got.unwrap(), &model.points[*id]);
        assert_eq!((got.id.as_str(), got.version), (id.as_str(), expected.version));
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&got.vector.unwrap()), bits(&expected.vector));
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
    let passing = model.matching(query.filter.as_ref());
    let mut truth: Vec<f64> = passing.iter().map(|(_, p)| model.score(&query.vector, &p.vector)).collect();
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
        let score = model.score(&query.vector, &point.vector);
        assert!((score - f64::from(hit.score)).abs() < 1e-3, "{score} {}", hit.score);
        assert!(query.score_threshold.is_none_or(|least| hit.score >= least));
        if query.exact {
            assert!(f64::from(hit.score) >= truth[at] - 1e-3, "rank {at}");
        }
    }
}
