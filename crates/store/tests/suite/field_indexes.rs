//! Filters answered from payload indexes, against the obvious evaluator.

use crate::filters;
use crate::model::Model;
use crate::support::*;
use crate::watched::Watched;
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::{FieldIndex, FieldType, Filter};
use vectron_store::{Command, DeleteItem, Metric, Operation, SearchQuery, Shard, ShardConfig};

const FIELDS: [&str; 6] = ["a", "b", "c", "a.b", "c.a", "q\"t"];

fn index(field: &str, kind: FieldType) -> FieldIndex {
    FieldIndex { field: field.into(), kind }
}

pub fn indexes() -> impl Strategy<Value = Vec<FieldIndex>> {
    let one = (prop::sample::select(FIELDS.to_vec()), prop::sample::select(FieldType::ALL.to_vec()));
    prop::collection::vec(one.prop_map(|(field, kind)| index(field, kind)), 0..5)
}

/// A value that an index of some type takes, mostly.
fn value() -> impl Strategy<Value = String> {
    let integers = vec!["0", "1", "2", "-1", "10", "1.0", "9007199254740993", "18446744073709551616"];
    let reals = vec!["0.1", "-2.5", "1e300", "1e400", "-0.0", "2", "9007199254740993"];
    let texts = vec![r#""a""#, r#""ab""#, r#""b""#, r#""Two Words""#, r#""\u0061""#, r#""""#];
    let times = vec![
        r#""2024-05-01T12:00:00Z""#,
        r#""2024-05-01T14:00:00+02:00""#,
        r#""2024-05-01T12:00:00.5Z""#,
        r#""9999-12-31T23:59:59Z""#,
        r#""2024""#,
    ];
    let leaf = |texts: Vec<&'static str>| prop::sample::select(texts).prop_map(str::to_string);
    let one = prop_oneof![
        3 => leaf(integers),
        2 => leaf(reals),
        3 => leaf(texts),
        2 => leaf(times),
        1 => leaf(vec!["true", "false"]),
        1 => leaf(vec!["null", "[]", "{}", r#"{"lat":1,"lon":2}"#, "[[1]]"]),
    ];
    let list = prop::collection::vec(one.clone().boxed(), 0..4);
    prop_oneof![5 => one, 2 => list.prop_map(|list| format!("[{}]", list.join(",")))]
}

pub fn payload() -> impl Strategy<Value = String> {
    let typed = (value(), value(), value(), value(), 0..4usize).prop_map(|(a, b, x, y, shape)| match shape {
        0 => format!(r#"{{"a":{a},"b":{b},"c":{x}}}"#),
        1 => format!(r#"{{"a":{{"b":{a}}},"b":{b},"c":{{"a":{x}}}}}"#),
        2 => format!(r#"{{"a":[{{"b":{a}}},{{"b":{b}}},{y}],"c":[{{"a":{x}}}]}}"#),
        _ => format!(r#"{{"b":{a},"q\"t":{y}}}"#),
    });
    prop_oneof![4 => typed, 1 => filters::payload()]
}

/// Filters on fields that payloads have, besides any filter.
pub fn filter() -> impl Strategy<Value = Filter> {
    let leaf = (prop::sample::select(FIELDS.to_vec()), filters::test())
        .prop_map(|(path, test)| Filter::Field { path: path.into(), test });
    let near = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::Or),
            1 => inner.prop_map(|f| Filter::Not(Box::new(f))),
        ]
    });
    prop_oneof![6 => near, 1 => filters::filter()]
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(u8, u64, String)>),
    Delete(u8),
    DeleteByFilter(Filter),
    Want(Vec<FieldIndex>),
    /// So many rows or slices of them.
    Build(usize),
    Checkpoint,
    Restart(Vec<FieldIndex>),
    Look(Filter),
}

fn step() -> impl Strategy<Value = Step> {
    let point = (0u8..40, 0u64..8, payload());
    prop_oneof![
        8 => prop::collection::vec(point, 1..8).prop_map(Step::Upsert),
        3 => (0u8..40).prop_map(Step::Delete),
        1 => filter().prop_map(Step::DeleteByFilter),
        2 => indexes().prop_map(Step::Want),
        6 => (0usize..6).prop_map(Step::Build),
        1 => Just(Step::Checkpoint),
        1 => indexes().prop_map(Step::Restart),
        12 => filter().prop_map(Step::Look),
    ]
}

fn shape() -> ShardConfig {
    let mut shape = config(2, Metric::Cosine);
    shape.knobs.field_step_rows = 3;
    shape.knobs.keyword_bytes_max = 8;
    shape
}

struct World {
    disk: SimDisk,
    shard: Shard,
    model: Model,
    log: Vec<Command>,
}

impl World {
    fn write(&mut self, operation: Operation) {
        let command = command(operation);
        self.log.push(command.clone());
        let index = self.log.len() as u64;
        assert_eq!(apply(&self.shard, &command), self.model.apply(index, &command));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Upsert(points) => {
                let mut batch = Vec::new();
                for (id, seed, payload) in points {
                    let id = format!("{id:02}");
                    batch.retain(|p: &vectron_store::UpsertPoint| p.id != id);
                    batch.push(point(&id, &vector(seed, 2), &payload));
                }
                self.write(Operation::Upsert(batch));
            }
            Step::Delete(id) => {
                let item = DeleteItem { id: format!("{id:02}"), if_version: None };
                self.write(Operation::Delete(vec![item]));
            }
            Step::DeleteByFilter(filter) => self.write(Operation::DeleteByFilter(filter.to_text())),
            Step::Want(indexes) => self.shard.set_field_indexes(&indexes),
            Step::Build(rows) => {
                let left = Cell::new(rows);
                self.shard.index_step(&|| left.replace(left.get().saturating_sub(1)) == 0);
            }
            Step::Checkpoint => _ = self.shard.checkpoint().unwrap(),
            Step::Restart(indexes) => {
                self.shard = open(&self.disk, &shape());
                // The log comes again before or after the indexes do.
                if indexes.len() % 2 == 0 {
                    self.shard.set_field_indexes(&indexes);
                }
                for at in self.shard.applied_index() as usize..self.log.len() {
                    apply(&self.shard, &self.log[at]);
                }
                self.shard.set_field_indexes(&indexes);
            }
            Step::Look(filter) => self.look(&filter),
        }
    }

    fn look(&self, filter: &Filter) {
        let truth: Vec<&str> = self.model.matching(Some(filter)).iter().map(|(id, _)| id.as_str()).collect();
        let text = filter.to_text();
        let (matching, points) = (truth.len() as u64, self.model.points.len() as u64);
        assert_eq!(self.shard.count(Some(filter)).unwrap().value, matching, "{text}");
        let page = self.shard.scroll(Some(filter), None, 100, ALL).unwrap().value;
        let ids: Vec<&str> = page.points.iter().map(|p| p.id.as_str()).collect();
        assert_eq!((ids, page.more), (truth, false), "{text}");
        let estimate = self.shard.filter_estimate(filter).unwrap();
        assert!(estimate.low <= matching && matching <= estimate.high, "{text}: {estimate:?} {matching}");
        assert!(estimate.low <= estimate.high && estimate.high <= points && estimate.expected <= points);
        let mut query = SearchQuery::new(vector(3, 2), 5);
        query.filter = Some(filter.clone());
        let trace = self.shard.search(&query).unwrap().explain;
        if *filter != Filter::All {
            assert_eq!(trace.filter_matched, Some(matching), "{text}");
        }
        let status = self.shard.field_indexes();
        let ready = |field: &str| status.iter().any(|s| s.ready && s.index.field == field);
        let fields = filter.fields();
        if !fields.iter().any(|field| ready(field)) && !fields.is_empty() {
            assert_eq!(trace.filter_plan, "unindexed");
            assert!(trace.filter_checked <= points);
            assert_eq!(trace.filter_unindexed, fields);
        }
        if trace.filter_plan == "indexed" {
            let irregular = status.iter().filter(|s| fields.contains(&&*s.index.field)).map(|s| s.irregular);
            let open = |kind| matches!(kind, FieldType::Datetime | FieldType::Text(_));
            let texts = status.iter().any(|s| open(s.index.kind));
            assert!(trace.filter_checked <= irregular.sum::<u64>() || texts, "{text}: {trace:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn indexes_answer_what_reading_every_payload_answers(steps in prop::collection::vec(step(), 1..60)) {
        let disk = SimDisk::new(1);
        let shard = open(&disk, &shape());
        let mut world = World { shard, disk, model: Model::new(Metric::Cosine, 800), log: vec![] };
        for step in steps {
            world.step(step);
        }
        // Derived state: whoever never had an index is in the same state.
        let plain = open(&SimDisk::new(2), &shape());
        world.log.iter().for_each(|command| drop(apply(&plain, command)));
        prop_assert_eq!(plain.digest(), world.shard.digest());
        // In the end every index gets ready and holds every point.
        index_all(&world.shard);
        for status in world.shard.field_indexes() {
            prop_assert!(status.ready);
            prop_assert_eq!(status.points_indexed, world.model.points.len() as u64);
        }
    }
}

fn explain(shard: &Shard, text: &str) -> vectron_store::SearchTrace {
    let mut query = SearchQuery::new(vector(1, 4), 3);
    query.filter = Some(filter_of(text));
    shard.search(&query).unwrap().explain
}

fn filter_of(text: &str) -> Filter {
    crate::support::filter(text)
}

#[test]
fn the_trace_says_what_was_answered_from_indexes() {
    let (_disk, shard) = shard_of(1000, 4);
    let two = r#"{"parity":1,"rare":true}"#;
    let trace = explain(&shard, two);
    assert_eq!((trace.filter_plan, trace.filter_checked, trace.filter_matched), ("unindexed", 1000, Some(0)));
    assert_eq!(trace.filter_unindexed, ["parity", "rare"]);
    shard.set_field_indexes(&[index("rare", FieldType::Bool)]);
    let status = shard.field_indexes().remove(0);
    assert_eq!((status.ready, status.points_indexed, status.points_total), (false, 0, 1000));
    assert_eq!(explain(&shard, two).filter_plan, "unindexed");
    index_all(&shard);
    let status = shard.field_indexes().remove(0);
    assert_eq!((status.ready, status.points_indexed, status.irregular), (true, 1000, 0));
    // Only the ten rare points are looked at.
    let trace = explain(&shard, two);
    assert_eq!((trace.filter_plan, trace.filter_checked), ("partly", 10));
    assert_eq!(trace.filter_unindexed, ["parity"]);
    shard.set_field_indexes(&[index("rare", FieldType::Bool), index("parity", FieldType::Integer)]);
    index_all(&shard);
    let trace = explain(&shard, r#"{"parity":{"$gt":0},"rare":{"$ne":true}}"#);
    assert_eq!((trace.filter_plan, trace.filter_checked, trace.filter_matched), ("indexed", 0, Some(500)));
    assert_eq!(trace.filter_estimated, Some(495));
    assert!(trace.filter_unindexed.is_empty());
    let estimate = shard.filter_estimate(&filter_of(r#"{"parity":0}"#)).unwrap();
    assert_eq!((estimate.low, estimate.high, estimate.expected), (500, 500, 500));
    assert!(shard.count(Some(&filter_of(two))).unwrap().filter_unindexed.is_empty());
    let bytes = shard.stats().field_index_bytes;
    shard.set_field_indexes(&[]);
    assert!(shard.stats().field_index_bytes < bytes && shard.field_indexes().is_empty());
    assert_eq!(explain(&shard, two).filter_plan, "unindexed");
    assert_eq!(shard.count(Some(&filter_of(two))).unwrap().filter_unindexed, ["parity", "rare"]);
    let page = shard.scroll(Some(&filter_of(two)), None, 2, ALL).unwrap();
    assert_eq!(page.filter_unindexed, ["parity", "rare"]);
}

#[test]
fn a_few_matches_are_paged_in_id_order() {
    let (_disk, shard) = shard_of(1000, 4);
    let rare = filter_of(r#"{"rare":true}"#);
    let page = |after: Option<&str>| {
        let page = shard.scroll(Some(&rare), after, 4, ALL).unwrap().value;
        (page.points.into_iter().map(|p| p.id).collect::<Vec<_>>(), page.more)
    };
    let all = || [page(None), page(Some("p0300")), page(Some("p0650"))];
    let unindexed = all();
    shard.set_field_indexes(&[index("rare", FieldType::Bool)]);
    index_all(&shard);
    assert_eq!(all(), unindexed);
    assert_eq!(unindexed[1].0, ["p0400", "p0500", "p0600", "p0700"]);
}

#[test]
fn a_write_during_a_slice_is_in_the_index() {
    let disk = SimDisk::new(1);
    let watched = Watched::new(&disk);
    let shard = Arc::new(Shard::open(watched.clone(), DIR, config(4, Metric::Cosine)).unwrap());
    let payload = |n: usize| format!(r#"{{"n":{n}}}"#);
    let points = (0..20).map(|i| point(&format!("p{i}"), &vector(i, 4), &payload(1))).collect();
    apply(&shard, &upsert(points));
    shard.checkpoint().unwrap();
    shard.set_field_indexes(&[index("n", FieldType::Integer)]);
    let writer = shard.clone();
    watched.on_next_read(move || {
        apply(&writer, &upsert(vec![point("p3", &vector(3, 4), &payload(2))]));
        apply(&writer, &upsert(vec![point("new", &vector(99, 4), &payload(2))]));
        apply(&writer, &delete(&["p4"]));
    });
    index_all(&shard);
    let count = |n: usize| shard.count(Some(&filter_of(&payload(n)))).unwrap();
    assert_eq!((count(1).value, count(2).value), (18, 2));
    assert!(count(1).filter_unindexed.is_empty());
    // Half a slice that cannot be read is no index, and nothing waits for ever.
    shard.checkpoint().unwrap();
    shard.set_field_indexes(&[index("n", FieldType::Float)]);
    watched.decayed.store(true, std::sync::atomic::Ordering::SeqCst);
    index_all(&shard);
    assert!(!shard.field_indexes()[0].ready && !shard.damage().is_empty());
}

#[test]
fn a_test_of_too_many_strings_reads_payloads_without_the_lock() {
    let shard = open(&SimDisk::new(1), &config(4, Metric::Cosine));
    let one = |i: u64| point(&format!("p{i}"), &vector(i, 4), &format!(r#"{{"name":"n{i} word"}}"#));
    let points: Vec<_> = (0..4200).map(one).collect();
    apply(&shard, &upsert(points));
    shard.set_field_indexes(&[index("name", FieldType::Keyword)]);
    while !shard.field_indexes()[0].ready {
        shard.index_step(&|| false);
    }
    let wide = [
        r#"{"name":{"$match":"word"}}"#,
        r#"{"name":{"$prefix":"n"}}"#,
        r#"{"name":{"$gte":""}}"#,
        r#"{"name":{"$gt":"2000-01-01T00:00:00Z"}}"#,
    ];
    for text in wide {
        let trace = explain(&shard, text);
        assert_eq!((trace.filter_plan, trace.filter_checked), ("unindexed", 4200), "{text}");
        assert_eq!(trace.filter_matched, Some(4200), "{text}");
    }
    for (text, matched) in [(r#"{"name":"n7 word"}"#, 1), (r#"{"name":{"$prefix":"n1"}}"#, 1111)] {
        let trace = explain(&shard, text);
        assert_eq!((trace.filter_plan, trace.filter_matched), ("indexed", Some(matched)), "{text}");
    }
}
