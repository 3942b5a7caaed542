//! Any request to and any answer of a worker, and any fault.

use crate::filters::filter;
use crate::given_placement::field_index;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use proptest::{collection::vec, option, sample::select};
use std::sync::Arc;
use vectron_base::filter::{FieldValue, Filter, Number};
use vectron_base::ids::{Incarnation, ShardId};
use vectron_base::vectors::{self, MultiVector, PointVectors, SparseVector};
use vectron_base::{Code, Fault, FieldError, Outcome};
use vectron_wire::browse::{Browse, Browsed, FacetValue, FieldOrder, OrderPlace, OrderedPoint, SampledPoint};
use vectron_wire::worker::*;

const PLANS: [&str; 9] = [
    "none",
    "flat",
    "graph",
    "graph_filtered",
    "scan_allowed",
    "scan_after_budget",
    "text_or",
    "text_and",
    "other",
];
const STAGES: [&str; 6] = ["barrier", "queue", "filter", "search", "fetch", "other"];

pub const OUTCOMES: [Outcome; 3] = [Outcome::Applied, Outcome::NotApplied, Outcome::Unknown];

/// Runs a property on so many cases.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) })
}

/// Waits that a test can live with, and the largest that can be said.
pub fn timeout() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 5_000u64..100_000_000_000, 1 => Just(u64::MAX)]
}

pub fn target() -> impl Strategy<Value = Target> {
    any::<(u64, u64, u64)>().prop_map(|(shard, incarnation, epoch)| Target {
        shard: ShardId(shard),
        incarnation: Incarnation(incarnation),
        epoch,
    })
}

pub fn read_level() -> impl Strategy<Value = ReadLevel> {
    prop_oneof![
        Just(ReadLevel::Linearizable),
        Just(ReadLevel::Eventual),
        any::<u64>().prop_map(ReadLevel::Bounded),
        any::<u64>().prop_map(ReadLevel::Session),
    ]
}

fn include() -> impl Strategy<Value = Include> {
    any::<(bool, bool)>().prop_map(|(payload, vector)| Include { payload, vector })
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    vec(any::<f32>(), 0..9)
}

fn read_filter() -> impl Strategy<Value = Option<Arc<Filter>>> {
    option::of(filter().prop_map(Arc::new))
}

fn operation() -> impl Strategy<Value = WriteOperation> {
    let point = (any::<String>(), vectors(), any::<String>(), any::<Option<u64>>());
    let point =
        point.prop_map(|(id, vector, payload, if_version)| UpsertPoint { id, vector, payload, if_version });
    prop_oneof![
        vec(point, 0..5).prop_map(WriteOperation::Upsert),
        vec(any::<String>(), 0..5).prop_map(WriteOperation::DeleteIds),
        filter().prop_map(WriteOperation::DeleteFilter),
        batch().prop_map(WriteOperation::Batch),
        (filter(), edit()).prop_map(|(filter, edit)| WriteOperation::EditFilter(filter, edit)),
    ]
}

fn edit() -> impl Strategy<Value = PayloadEdit> {
    let change = prop_oneof![
        any::<String>().prop_map(PayloadChange::Merge),
        any::<String>().prop_map(PayloadChange::Replace),
        vec(any::<String>(), 0..3).prop_map(PayloadChange::Unset),
    ];
    (change, any::<u64>()).prop_map(|(change, bytes_max)| PayloadEdit { change, bytes_max })
}

fn batch() -> impl Strategy<Value = WriteBatch> {
    let expiry = prop_oneof![
        Just(Expiry::Never),
        any::<u64>().prop_map(Expiry::AfterMs),
        any::<u64>().prop_map(Expiry::AtMs),
    ];
    let point = (any::<String>(), vectors(), any::<String>(), any::<Option<u64>>());
    let point =
        point.prop_map(|(id, vector, payload, if_version)| UpsertPoint { id, vector, payload, if_version });
    let write =
        prop_oneof![
            (point, expiry).prop_map(|(point, expiry)| ItemWrite::Upsert(point, expiry)),
            any::<(String, Option<u64>)>().prop_map(|(id, if_version)| ItemWrite::Delete { id, if_version }),
            (any::<(String, Option<u64>)>(), 0u32..2)
                .prop_map(|((id, if_version), edit)| ItemWrite::Payload { id, if_version, edit }),
        ];
    let item = (option::of(0u32..2), write).prop_map(|(if_filter, write)| BatchItem { if_filter, write });
    (vec(edit(), 2..4), vec(filter(), 2..4), vec(item, 0..5)).prop_map(|(edits, filters, items)| WriteBatch {
        edits,
        filters,
        items,
    })
}

pub fn write() -> impl Strategy<Value = ShardWrite> {
    (target(), any::<Option<(String, u64)>>(), operation(), timeout()).prop_map(
        |(target, key, operation, timeout_ms)| ShardWrite {
            target,
            idempotency: key.map(|(key, body_hash)| IdempotencyKey { key, body_hash }),
            operation,
            timeout_ms,
        },
    )
}

pub fn get() -> impl Strategy<Value = ShardGet> {
    (target(), read_level(), vec(any::<String>(), 0..5), include(), timeout()).prop_map(
        |(target, read, ids, include, timeout_ms)| ShardGet { target, read, ids, include, timeout_ms },
    )
}

fn sparse() -> impl Strategy<Value = SparseVector> {
    let value = any::<f32>().prop_filter("has a meaning", |value| value.is_finite() && *value != 0.0);
    proptest::collection::btree_map(any::<u32>(), value, 0..5).prop_map(|pairs| {
        let (indices, values) = pairs.into_iter().unzip();
        SparseVector::new(indices, values).unwrap()
    })
}

fn multi() -> impl Strategy<Value = MultiVector> {
    vec([any::<f32>(), any::<f32>()], 1..4)
        .prop_map(|vectors| MultiVector::new(2, vectors.into_iter().flatten().collect()).unwrap())
}

fn vectors() -> impl Strategy<Value = PointVectors> {
    let value = prop_oneof![
        vector().prop_map(vectors::FieldValue::Dense),
        sparse().prop_map(vectors::FieldValue::Sparse),
        multi().prop_map(vectors::FieldValue::Multi),
    ];
    let named = proptest::collection::btree_map(any::<String>(), value, 0..4).prop_map(|fields| {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value));
        PointVectors::new(fields.collect()).unwrap()
    });
    prop_oneof![vector().prop_map(PointVectors::from), named]
}

fn query() -> impl Strategy<Value = ShardQuery> {
    let text = (text_query(), option::of(text_stats()))
        .prop_map(|(query, stats)| ShardQuery::Text { query: query.into(), stats: stats.map(Into::into) });
    prop_oneof![
        (any::<String>(), vector())
            .prop_map(|(field, vector)| ShardQuery::Dense { field: field.into(), vector: vector.into() }),
        (any::<String>(), sparse())
            .prop_map(|(field, vector)| ShardQuery::Sparse { field: field.into(), vector: vector.into() }),
        (any::<String>(), multi(), option::of(vec(any::<String>(), 0..4))).prop_map(
            |(field, vectors, among)| ShardQuery::Multi {
                field: field.into(),
                vectors: vectors.into(),
                among: among.map(Into::into),
            }
        ),
        text,
    ]
}

fn text_query() -> impl Strategy<Value = TextQuery> {
    let operator = select(vec![TextOperator::Or, TextOperator::And]);
    (any::<(String, String, f32, f32)>(), operator).prop_map(|((field, text, k1, b), operator)| TextQuery {
        field,
        text,
        operator,
        k1,
        b,
    })
}

fn text_stats() -> impl Strategy<Value = TextStats> {
    any::<(u64, u64, std::collections::BTreeMap<String, u64>)>()
        .prop_map(|(points, words, terms)| TextStats { points, words, terms })
}

pub fn text_question() -> impl Strategy<Value = ShardTextStats> {
    (target(), read_level(), text_query(), timeout()).prop_map(|(target, read, query, timeout_ms)| {
        ShardTextStats { target, read, query: query.into(), timeout_ms }
    })
}

pub fn text_counted() -> impl Strategy<Value = ShardRead<TextStats>> {
    read(text_stats())
}

pub fn search() -> impl Strategy<Value = ShardSearch> {
    let how = any::<(usize, Option<f32>, bool, Option<u32>, f32)>();
    (target(), read_level(), query(), read_filter(), include(), timeout(), how).prop_map(
        |(target, read, query, filter, include, timeout_ms, how)| ShardSearch {
            target,
            read,
            query,
            top_k: how.0,
            filter,
            score_threshold: how.1,
            exact: how.2,
            ef: how.3,
            recall_target: how.4,
            include,
            timeout_ms,
        },
    )
}

pub fn scroll() -> impl Strategy<Value = ShardScroll> {
    let page = any::<(Option<String>, usize)>();
    (target(), read_level(), read_filter(), page, include(), timeout()).prop_map(
        |(target, read, filter, (after, limit), include, timeout_ms)| ShardScroll {
            target,
            read,
            filter,
            after,
            limit,
            include,
            timeout_ms,
        },
    )
}

pub fn count() -> impl Strategy<Value = ShardCount> {
    (target(), read_level(), read_filter(), timeout())
        .prop_map(|(target, read, filter, timeout_ms)| ShardCount { target, read, filter, timeout_ms })
}

pub fn written() -> impl Strategy<Value = ShardWritten> {
    (any::<(u64, u64, bool)>(), vec(item_outcome(), 0..6), option::of(edited())).prop_map(
        |((version, deleted, replayed), items, edited)| ShardWritten {
            version,
            items,
            deleted,
            replayed,
            edited,
        },
    )
}

fn item_outcome() -> impl Strategy<Value = ItemOutcome> {
    prop_oneof![
        Just(ItemOutcome::Applied),
        Just(ItemOutcome::Missing),
        any::<u64>().prop_map(ItemOutcome::VersionMismatch),
        any::<u64>().prop_map(ItemOutcome::FilterMismatch),
        any::<u64>().prop_map(ItemOutcome::PayloadTooLarge),
    ]
}

fn edited() -> impl Strategy<Value = Edited> {
    let refused = (any::<String>(), item_outcome()).prop_map(|(id, outcome)| RefusedPoint { id, outcome });
    (any::<(u64, u64)>(), vec(refused, 0..3)).prop_map(|((updated, refused_more), refused)| Edited {
        updated,
        refused,
        refused_more,
    })
}

fn point() -> impl Strategy<Value = PointRecord> {
    (any::<String>(), any::<u64>(), option::of(vectors()), any::<Option<String>>())
        .prop_map(|(id, version, vector, payload)| PointRecord { id, version, vector, payload })
}

pub fn read<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = ShardRead<T>> {
    (value, any::<(u64, u64)>()).prop_map(|(value, (applied_index, staleness_ms))| ShardRead {
        value,
        delivered: Delivered { applied_index, staleness_ms },
    })
}

pub fn got() -> impl Strategy<Value = ShardRead<Vec<Option<PointRecord>>>> {
    read(vec(option::of(point()), 0..5))
}

fn filter_trace() -> impl Strategy<Value = FilterTrace> {
    let figures = any::<(Option<u64>, Option<u64>, Option<u64>)>();
    (any::<String>(), figures, vec(any::<String>(), 0..3)).prop_map(|(plan, f, unindexed)| FilterTrace {
        plan: plan.into(),
        estimated: f.0,
        matched: f.1,
        checked: f.2,
        unindexed,
    })
}

pub fn found() -> impl Strategy<Value = ShardRead<ShardHits>> {
    let hit = (point(), any::<f32>()).prop_map(|(point, score)| Hit { point, score });
    let stage = (select(&STAGES[..]), any::<u64>()).prop_map(|(name, us)| Stage { name, us });
    let figures = any::<(u32, u64, Option<u64>, u64, u64, u64)>();
    let measured = any::<(Option<String>, Option<u64>, Option<u64>, Option<u64>, bool)>();
    let trace = (select(&PLANS[..]), figures, vec(stage, 0..6), measured, option::of(filter_trace()));
    let trace = trace.prop_map(|(plan, f, stages, m, filter)| SearchTrace {
        plan,
        ef: f.0,
        rows_live: f.1,
        filter_matched: f.2,
        distances: f.3,
        hops: f.4,
        tail_scanned: f.5,
        quantization: m.0.map(Into::into),
        bytes_read: m.1,
        precise: m.2,
        rescored: m.3,
        filter,
        recall_missed: m.4,
        stages,
    });
    read((vec(hit, 0..5), trace).prop_map(|(hits, trace)| ShardHits { hits, trace }))
}

pub fn page() -> impl Strategy<Value = ShardRead<ShardPage>> {
    let page = (vec(point(), 0..5), any::<bool>(), vec(any::<String>(), 0..3));
    read(page.prop_map(|(points, more, unindexed)| ShardPage { points, more, unindexed }))
}

pub fn counted() -> impl Strategy<Value = ShardRead<ShardCounted>> {
    let counted = (any::<u64>(), vec(any::<String>(), 0..3));
    read(counted.prop_map(|(count, unindexed)| ShardCounted { count, unindexed }))
}

fn field_value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i128>().prop_map(|n| FieldValue::number(Number::Integer(n))),
        any::<f64>().prop_map(|n| FieldValue::number(Number::Real(n))),
        any::<String>().prop_map(FieldValue::text),
        Just(FieldValue::text("2024-05-01T12:00:00Z")),
    ]
}

pub fn browse() -> impl Strategy<Value = ShardBrowse> {
    let place = (option::of(field_value()), any::<String>()).prop_map(|(value, id)| OrderPlace { value, id });
    let order = any::<(String, bool)>().prop_map(|(field, descending)| FieldOrder { field, descending });
    let what = prop_oneof![
        any::<(String, usize)>().prop_map(|(field, limit)| Browse::Facet { field, limit }),
        (any::<(u64, usize)>(), include()).prop_map(|((seed, limit), include)| Browse::Sample {
            seed,
            limit,
            include
        }),
        (order, option::of(place), any::<usize>(), include())
            .prop_map(|(order, after, limit, include)| Browse::Ordered { order, after, limit, include }),
        Just(Browse::Estimate),
    ];
    (target(), read_level(), read_filter(), what, timeout()).prop_map(
        |(target, read, filter, what, timeout_ms)| ShardBrowse { target, read, filter, what, timeout_ms },
    )
}

pub fn browsed() -> impl Strategy<Value = ShardRead<ShardBrowsed>> {
    let value = (field_value(), any::<u64>()).prop_map(|(value, count)| FacetValue { value, count });
    let sampled = (any::<u64>(), point()).prop_map(|(rank, point)| SampledPoint { rank, point });
    let ordered =
        (option::of(field_value()), point()).prop_map(|(value, point)| OrderedPoint { value, point });
    let found = prop_oneof![
        (vec(value, 0..5), any::<(bool, bool)>()).prop_map(|(values, (more, indexed))| Browsed::Facet {
            values,
            more,
            indexed
        }),
        vec(sampled, 0..5).prop_map(Browsed::Sample),
        (vec(ordered, 0..5), any::<bool>()).prop_map(|(points, more)| Browsed::Ordered { points, more }),
        any::<(u64, u64, u64)>().prop_map(|(low, high, expected)| Browsed::Estimate { low, high, expected }),
    ];
    let unindexed = vec(any::<String>(), 0..3);
    read((found, unindexed).prop_map(|(found, unindexed)| ShardBrowsed { found, unindexed }))
}

fn field_index_status() -> impl Strategy<Value = FieldIndexStatus> {
    (field_index(), any::<(bool, u64, u64, u64, u64)>()).prop_map(|(index, f)| FieldIndexStatus {
        index,
        ready: f.0,
        points_indexed: f.1,
        points_total: f.2,
        bytes: f.3,
        irregular: f.4,
    })
}

/// What only some shards measure.
fn measured() -> impl Strategy<Value = (Option<MemorySplit>, Option<CodeError>, Option<Calibration>)> {
    let memory = any::<(u64, u64, u64, u64, u64)>().prop_map(|m| MemorySplit {
        codes: m.0,
        vectors: m.1,
        links: m.2,
        payload_indexes: m.3,
        other: m.4,
    });
    let codes =
        any::<(String, Option<f64>, Option<f64>)>().prop_map(|(kind, error_mean, error_fine_mean)| {
            CodeError { kind: kind.into(), error_mean, error_fine_mean }
        });
    let calibration = any::<(u64, u32, u32, u32)>().prop_map(|c| Calibration {
        measured_at_points: c.0,
        ef_90: c.1,
        ef_95: c.2,
        ef_99: c.3,
    });
    (option::of(memory), option::of(codes), option::of(calibration))
}

fn recall() -> impl Strategy<Value = RecallFigure> {
    let figures = any::<(Option<f32>, u64, f64, bool)>();
    (select(&Selectivity::EVERY[..]), figures).prop_map(|(selectivity, f)| RecallFigure {
        selectivity,
        target: f.0,
        samples: f.1,
        recall: f.2,
        missed: f.3,
    })
}

pub fn status() -> impl Strategy<Value = ShardStatus> {
    let figures = any::<(u64, u64, u64, u64, u64, u64, u64, bool)>();
    let lists = (vec(any::<String>(), 0..3), vec(field_index_status(), 0..3), vec(recall(), 0..3));
    (figures, lists, measured()).prop_map(|(f, (damage, field_indexes, recall), m)| ShardStatus {
        points: f.0,
        index_lag: f.1,
        tombstones: f.2,
        disk_bytes: f.3,
        memory_bytes: f.4,
        applied_index: f.5,
        durable_index: f.6,
        leads: f.7,
        damage,
        memory: m.0,
        quantization: m.1,
        calibration: m.2,
        field_indexes,
        recall,
    })
}

pub fn fault() -> impl Strategy<Value = Fault> {
    let error = any::<(String, String)>().prop_map(|(field, reason)| FieldError { field, reason });
    let retry = option::of(0u64..10_000_000_000);
    (
        select(&Code::ALL[..]),
        select(&OUTCOMES[..]),
        any::<String>(),
        vec(error, 0..4),
        retry,
        any::<(Option<u64>, Option<String>)>(),
    )
        .prop_map(|(code, outcome, detail, errors, retry_after_ms, (current_version, leader))| Fault {
            code,
            outcome,
            detail,
            errors,
            retry_after_ms,
            current_version,
            leader,
        })
}
