//! Random histories of commands, checkpoints, restarts and background work, against the model.

use crate::model::Model;
use crate::support::*;
use proptest::prelude::*;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{
    Batch, BatchItem, Command, DeleteItem, Expiry, FieldKind, Idempotency, ItemWrite, Metric, Operation,
    Outcome, PayloadChange, PayloadEdit, Quantization, SearchQuery, Shard, ShardConfig, UpsertPoint, Vectors,
};

const DIMENSION: usize = 4;
const PAYLOADS: [&str; 6] = [
    "{}",
    r#"{"section":"libs","size":10}"#,
    r#"{"section":"devel","size":20.5,"tags":["a","b"]}"#,
    r#"{"size":9007199254740993,"section":null}"#,
    r#"{ "section" : "li\u0062s", "n":{"m":[{"x":1},{"x":2}]} }"#,
    r#"{"tags":[],"section":"Fonts and libs"}"#,
];
/// What payloads may be changed by.
fn changes() -> Vec<PayloadChange> {
    vec![
        PayloadChange::Merge(r#"{"section":"libs","size":null,"n":{"k":18014398509481985}}"#.into()),
        PayloadChange::Merge(r#"{"n":{"m":{"x":null}},"tags":["c"]}"#.into()),
        PayloadChange::Replace(r#"{"size":11}"#.into()),
        PayloadChange::Unset(vec!["size".into(), "n.m".into(), "tags".into()]),
    ]
}

fn edit(at: usize) -> PayloadEdit {
    PayloadEdit { change: changes()[at].clone(), bytes_max: 1 << 20 }
}

const FILTERS: [&str; 7] = [
    "{}",
    r#"{"section":"libs"}"#,
    r#"{"size":{"$gte":10,"$lt":9007199254740993}}"#,
    r#"{"$not":{"tags":"a"}}"#,
    r#"{"n.m.x":2}"#,
    r#"{"$or":[{"section":{"$match":"LIBS"}},{"size":{"$exists":false}}]}"#,
    r#"{"nothing":1}"#,
];

#[derive(Clone, Debug)]
enum Step {
    Write { operation: Op, key: Option<(u8, u64)>, at: u64 },
    Garbage(Vec<u8>),
    Checkpoint,
    Restart,
    Index,
    Look { filter: usize, seed: u64, top_k: usize, exact: bool, threshold: bool, after: u8 },
}

#[derive(Clone, Debug)]
enum Op {
    Upsert(Vec<(u8, u64, usize, u8)>),
    Delete(Vec<(u8, u8)>),
    DeleteByFilter(usize),
    /// Kind, id, seed, payload or change, condition on the version, on the payload, expiry.
    Batch(Vec<(u8, u8, u64, usize, u8, usize, u8)>),
    EditByFilter(usize, usize),
    Tick,
}

fn op() -> impl Strategy<Value = Op> {
    let item = (0u8..24, 0u64..12, 0..PAYLOADS.len(), 0u8..10);
    let batched = (0u8..3, 0u8..24, 0u64..12, 0..PAYLOADS.len(), 0u8..10, 0..2 * FILTERS.len(), 0u8..6);
    prop_oneof![
        8 => prop::collection::vec(item, 0..6).prop_map(Op::Upsert),
        3 => prop::collection::vec((0u8..24, 0u8..10), 1..4).prop_map(Op::Delete),
        1 => (1..FILTERS.len()).prop_map(Op::DeleteByFilter),
        6 => prop::collection::vec(batched, 0..6).prop_map(Op::Batch),
        1 => (1..FILTERS.len(), 0..changes().len()).prop_map(|(filter, edit)| Op::EditByFilter(filter, edit)),
        1 => Just(Op::Tick),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop::option::weighted(0.3, (0u8..5, 0u64..2));
    let time = prop_oneof![8 => 0u64..1000, 1 => Just(30 * 60 * 60 * 1000)];
    prop_oneof![
        12 => (op(), key, time).prop_map(|(operation, key, at)| Step::Write { operation, key, at }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Garbage),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::Restart),
        3 => Just(Step::Index),
        4 => (0..FILTERS.len(), 0u64..12, 0usize..12, any::<bool>(), any::<bool>(), 0u8..24).prop_map(
            |(filter, seed, top_k, exact, threshold, after)| Step::Look {
                filter, seed, top_k, exact, threshold, after
            }
        ),
    ]
}

/// `choice` picks what is expected of the version: nothing, absence, the truth, or something else.
fn if_version(model: &Model, id: &str, choice: u8) -> Option<u64> {
    let current = model.points.get(id).map_or(0, |p| p.version);
    match choice {
        0 => Some(0),
        1 => Some(current),
        2 => Some(current + 1),
        _ => None,
    }
}

fn operation(model: &Model, op: &Op, several: bool) -> Operation {
    match op {
        Op::Upsert(items) => {
            let mut points: Vec<UpsertPoint> = Vec::new();
            for (id, seed, payload, choice) in items {
                let id = format!("id-{id:02}");
                if points.iter().all(|p| p.id != id) {
                    let if_version = if_version(model, &id, *choice);
                    let payload = PAYLOADS[*payload].to_string();
                    let vector = vectors(*seed, DIMENSION, several);
                    points.push(UpsertPoint { id, vector, payload, if_version });
                }
            }
            Operation::Upsert(points)
        }
        Op::Delete(items) => {
            let mut deletes: Vec<DeleteItem> = Vec::new();
            for (id, choice) in items {
                let id = format!("id-{id:02}");
                if deletes.iter().all(|d| d.id != id) {
                    deletes.push(DeleteItem { if_version: if_version(model, &id, *choice), id });
                }
            }
            Operation::Delete(deletes)
        }
        Op::DeleteByFilter(at) => Operation::DeleteByFilter(filter(FILTERS[*at]).to_text()),
        Op::Batch(items) => Operation::Batch(batch(model, items, several)),
        Op::EditByFilter(at, change) => {
            Operation::EditByFilter(filter(FILTERS[*at]).to_text(), edit(*change))
        }
        Op::Tick => Operation::Tick,
    }
}

/// Ids may come more than once.
fn batch(model: &Model, items: &[(u8, u8, u64, usize, u8, usize, u8)], several: bool) -> Batch {
    let item =
        |(kind, id, seed, payload, choice, condition, expiry): &(u8, u8, u64, usize, u8, usize, u8)| {
            let id = format!("id-{id:02}");
            let if_version = if_version(model, &id, *choice);
            let expiry = match expiry {
                0 => Expiry::AfterMs(seed * 100),
                1 => Expiry::AtMs(seed * 100),
                _ => Expiry::Never,
            };
            let write = match kind {
                0 => {
                    let vector = vectors(*seed, DIMENSION, several);
                    let payload = PAYLOADS[*payload].to_string();
                    ItemWrite::Upsert(UpsertPoint { id, vector, payload, if_version }, expiry)
                }
                1 => ItemWrite::Delete(DeleteItem { id, if_version }),
                _ => ItemWrite::Payload { id, if_version, edit: *payload as u32 % changes().len() as u32 },
            };
            BatchItem { if_filter: (*condition < FILTERS.len()).then_some(*condition as u32), write }
        };
    Batch {
        edits: (0..changes().len()).map(edit).collect(),
        filters: FILTERS.iter().map(|text| filter(text).to_text()).collect(),
        items: items.iter().map(item).collect(),
    }
}

struct World {
    disk: SimDisk,
    shard: Shard,
    model: Model,
    log: Vec<Vec<u8>>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    metric: Metric,
    coded: bool,
    /// With named vector fields.
    several: bool,
}

/// Half of the histories run over codes, with full vectors in the records only.
fn config_of(shape: Shape) -> ShardConfig {
    let mut config = config(DIMENSION, shape.metric);
    if shape.several {
        name_fields(&mut config);
    }
    if shape.coded {
        config.quantization = Quantization::EightBit;
        config.vectors = Vectors::Elsewhere;
        config.quantize_from = 8;
        for field in &mut config.named {
            if let FieldKind::Dense(dense) = &mut field.kind {
                (dense.quantization, dense.vectors) = (Quantization::EightBit, Vectors::Elsewhere);
            }
        }
    }
    config
}

impl World {
    fn new(shape: Shape) -> World {
        let (disk, config) = (SimDisk::new(1), config_of(shape));
        let shard = open(&disk, &config);
        World { shard, model: Model::new(shape.metric, config.idempotency_bytes), disk, log: vec![], shape }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write { operation: op, key, at } => {
                let key = key.filter(|_| !matches!(op, Op::Tick));
                let idempotency =
                    key.map(|(key, body_hash)| Idempotency { key: format!("k{key}"), body_hash });
                let command = Command {
                    log_time_ms: *at,
                    idempotency,
                    range: None,
                    operation: operation(&self.model, op, self.shape.several),
                };
                self.log.push(command.encode());
                let index = self.log.len() as u64;
                let outcome = Outcome::decode(&self.shard.apply(index, &command.encode())).unwrap();
                assert_eq!(outcome, self.model.apply(index, &command), "{command:?}");
            }
            Step::Garbage(bytes) => {
                let digest = self.shard.digest().value;
                self.log.push(bytes.clone());
                let answer = self.shard.apply(self.log.len() as u64, bytes);
                assert!(matches!(Outcome::decode(&answer), Ok(Outcome::Malformed(_))));
                assert_eq!(self.shard.digest().value, digest);
            }
            Step::Checkpoint => assert_eq!(self.shard.checkpoint().unwrap(), self.log.len() as u64),
            Step::Restart => self.restart(),
            Step::Index => drop(self.shard.index_step(&|| false)),
            Step::Look { filter: at, seed, top_k, exact, threshold, after } => {
                let which = if self.shape.several { seed % 4 } else { 0 };
                let mut query = SearchQuery::new(query_of(*seed, DIMENSION, which), *top_k);
                query.filter = Some(filter(FILTERS[*at]));
                query.exact = *exact;
                query.score_threshold = threshold.then_some(0.2);
                self.look(&query, &format!("id-{after:02}"));
            }
        }
        assert_eq!(self.shard.applied_index(), self.log.len() as u64);
        assert_like(&self.shard, &self.model);
    }

    fn restart(&mut self) {
        let (digest, durable) = (self.shard.digest(), self.shard.durable_index());
        self.shard = open(&self.disk, &config_of(self.shape));
        assert!(self.shard.damage().is_empty());
        assert_eq!((self.shard.durable_index(), self.shard.applied_index()), (durable, durable));
        for index in durable + 1..=self.log.len() as u64 {
            self.shard.apply(index, &self.log[index as usize - 1]);
        }
        assert_eq!(self.shard.digest(), digest);
    }

    fn look(&self, query: &SearchQuery, after: &str) {
        assert_search(&self.shard, &self.model, query);
        let filter = query.filter.as_ref();
        let truth: Vec<&str> = self.model.matching(filter).iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(self.shard.count(filter).unwrap().value, truth.len() as u64);
        let following: Vec<&str> = truth.into_iter().filter(|id| *id > after).collect();
        let page = self.shard.scroll(filter, Some(after), query.top_k, ALL).unwrap().value;
        let ids: Vec<&str> = page.points.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids, following[..query.top_k.min(following.len())]);
        assert_eq!(page.more, following.len() > query.top_k);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_shard_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..80),
        metric in prop::sample::select(vec![Metric::Cosine, Metric::Dot, Metric::Euclidean]),
        coded in any::<bool>(),
        several in any::<bool>(),
    ) {
        let mut world = World::new(Shape { metric, coded, several });
        for step in &steps {
            world.step(step);
        }
        // A replica of another shape that never made a checkpoint agrees.
        let mut other = config_of(Shape { metric, coded: false, several });
        other.flat_below = 1000;
        let replica = open(&SimDisk::new(2), &other);
        for (at, bytes) in world.log.iter().enumerate() {
            replica.apply(at as u64 + 1, bytes);
        }
        prop_assert_eq!(replica.digest(), world.shard.digest());
        world.step(&Step::Checkpoint);
        world.restart();
    }
}
