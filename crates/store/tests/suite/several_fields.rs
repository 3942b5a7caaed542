//! Shards whose points have several vector fields: crashes, copies, splits, scrubs, and shapes that do not fit.

use crate::model::Model;
use crate::splits::split;
use crate::support::*;
use std::sync::Arc;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::ids::hash_of_id;
use vectron_store::{
    Command, FieldKind, Import, Metric, OpenError, Outcome, PointVectors, Query, Refusal, SearchQuery, Shard,
    ShardConfig, UpsertPoint,
};

const COMMANDS: u64 = 30;

fn shape() -> ShardConfig {
    let mut config = config(4, Metric::Euclidean);
    config.idempotency_bytes = 1 << 20;
    name_fields(&mut config);
    config
}

fn id(n: u64) -> String {
    format!("id-{n}")
}

/// Writes, changes of single fields, and deletes.
fn log_entry(index: u64) -> Command {
    match index % 5 {
        4 => delete(&[&id(index % 13), &id(index % 11 + 13)]),
        _ => {
            let written = |n: u64| {
                let vector = vectors(index / 3 * 7 + n, 4, true);
                let payload = format!(r#"{{"n":{}}}"#, n % 3);
                UpsertPoint { id: id((index * 3 + n) % 29), vector, payload, if_version: None }
            };
            upsert((0..4).map(written).collect())
        }
    }
}

fn filled(disk: &SimDisk) -> (Shard, Model) {
    let (shard, mut model) = (open(disk, &shape()), Model::new(Metric::Euclidean, 1 << 20));
    for index in 1..=COMMANDS {
        let command = log_entry(index);
        let outcome = Outcome::decode(&shard.apply(index, &command.encode())).unwrap();
        assert_eq!(outcome, model.apply(index, &command));
    }
    (shard, model)
}

fn assert_finds(shard: &Shard, model: &Model) {
    assert_like(shard, model);
    for seed in 0..12 {
        for which in 0..4 {
            for text in ["{}", r#"{"n":1}"#] {
                let mut query = SearchQuery::new(query_of(seed, 4, which), 5);
                (query.exact, query.filter) = (true, Some(filter(text)));
                assert_search(shard, model, &query);
            }
        }
    }
}

fn work(shard: &Shard, mut durable: u64) -> (u64, bool) {
    for index in shard.applied_index() + 1..=COMMANDS {
        shard.apply(index, &log_entry(index).encode());
        (0..3).for_each(|_| _ = shard.index_step(&|| false));
        if index % 5 == 0 {
            match shard.checkpoint() {
                Ok(covered) => durable = covered,
                Err(_) => return (durable, false),
            }
        }
    }
    (durable, true)
}

#[test]
fn power_loss_at_every_operation_loses_no_field() {
    let (reference, model) = filled(&SimDisk::new(9));
    let truth = reference.digest().value;
    let undisturbed = SimDisk::new(0);
    work(&open(&undisturbed, &shape()), 0);
    let operations = undisturbed.operations();
    assert!(operations > 60, "{operations}");
    for at in 1..=operations {
        let disk = SimDisk::new(at);
        disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
        let opened = Shard::open(Arc::new(disk.clone()), DIR, shape());
        let (durable, _) = opened.map_or((0, false), |shard| work(&shard, 0));
        disk.restart();
        let shard = open(&disk, &shape());
        assert!(shard.damage().is_empty(), "operation {at}: {:?}", shard.damage());
        assert!(shard.durable_index() >= durable, "operation {at}: durable {durable} was promised");
        assert!(work(&shard, durable).1);
        assert_eq!(shard.digest().value, truth, "operation {at}");
        shard.checkpoint().unwrap();
        let again = open(&disk, &shape());
        assert_eq!((again.digest().value, again.applied_index()), (truth, COMMANDS));
        if at % 16 == 0 {
            assert_finds(&again, &model);
        }
    }
}

#[test]
fn a_copy_has_every_field_and_its_graphs() {
    let (disk, target) = (SimDisk::new(1), SimDisk::new(2));
    let (shard, model) = filled(&disk);
    index_all(&shard);
    shard.checkpoint().unwrap();
    let export = shard.export().unwrap();
    let mut import = Import::begin(Arc::new(target.clone()), DIR, export.files()).unwrap();
    while let Some((file, have)) = import.next() {
        let (name, part) = (file.name.clone(), export.read(&file.name, have, 700).unwrap());
        import.put(&name, have, &part).unwrap();
    }
    import.finish().unwrap();
    let copy = open(&target, &shape());
    assert_eq!((copy.digest(), copy.pending()), (shard.digest(), 0));
    assert_finds(&copy, &model);
    let report = loop {
        if let Some(report) = copy.scrub_step(7).report {
            break report;
        }
    };
    assert!(report.is_clean() && report.points == model.points.len() as u64);
}

#[test]
fn both_sides_of_a_split_have_every_field() {
    let disk = SimDisk::new(1);
    let (shard, mut model) = filled(&disk);
    shard.checkpoint().unwrap();
    let middle = {
        let mut hashes: Vec<u64> = model.points.keys().map(|id| hash_of_id(id)).collect();
        hashes.sort_unstable();
        hashes[hashes.len() / 2]
    };
    let mut of_child = model.child(middle);
    let index = shard.applied_index() + 1;
    let command = split(middle);
    assert_eq!(apply(&shard, &command), model.apply(index, &command));
    assert_finds(&shard, &model);
    let child = shard.fork(Arc::new(disk.clone()), "shards/child", middle).unwrap();
    while shard.fork_step().unwrap() {}
    let child = shard.take_child(middle).unwrap().unwrap_or(child);
    of_child.range.0 = middle;
    assert_finds(&child, &of_child);
    let again = Shard::open(Arc::new(disk), "shards/child", shape()).unwrap();
    assert_eq!(again.digest(), child.digest());
}

#[test]
fn a_shard_is_not_opened_with_other_fields() {
    let disk = SimDisk::new(1);
    filled(&disk).0.checkpoint().unwrap();
    let opened = |change: &dyn Fn(&mut ShardConfig)| {
        let mut other = shape();
        change(&mut other);
        Shard::open(Arc::new(disk.clone()), DIR, other).map(drop)
    };
    assert!(opened(&|_| ()).is_ok());
    let changes: [&dyn Fn(&mut ShardConfig); 4] = [
        &|config| config.named.clear(),
        &|config| config.named[1].name = "words".into(),
        &|config| config.named[1].number = 9,
        &|config| config.named[2].kind = FieldKind::Sparse,
    ];
    for change in changes {
        assert!(matches!(opened(change), Err(OpenError::Mismatch { .. })));
    }
}

#[test]
fn what_does_not_fit_a_field_is_refused_by_name() {
    let shard = open(&SimDisk::new(1), &shape());
    let written = |name: &str, vector: PointVectors| {
        let named = PointVectors::new(
            vector.into_fields().into_iter().map(|(_, value)| (name.into(), value)).collect(),
        );
        let point =
            UpsertPoint { id: "a".into(), vector: named.unwrap(), payload: "{}".into(), if_version: None };
        match apply(&shard, &upsert(vec![point])) {
            Outcome::Written { .. } => String::new(),
            Outcome::Malformed(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(written("title", vec![1.0; 3].into()), "");
    assert!(written("title", vec![1.0; 4].into()).contains("points[0].vector.title: has 4 components"));
    assert!(written("terms", vec![1.0; 3].into()).contains("is dense, and the field is sparse"));
    assert!(written("nothing", vec![1.0; 3].into()).contains("points[0].vector.nothing"));
    let refused = |query: Query| match shard.search(&SearchQuery::new(query, 3)) {
        Err(Refusal::Invalid { field, reason }) => (field, reason),
        other => panic!("{other:?}"),
    };
    let dense = |field: &str, n: usize| Query::Dense { field: field.into(), vector: vec![1.0; n].into() };
    assert_eq!(refused(dense("nothing", 4)).0, "using");
    assert_eq!(refused(dense("title", 4)).0, "vector");
    assert!(refused(dense("terms", 4)).1.contains("is dense, and the field is sparse"));
}

#[test]
fn a_multi_field_scores_again_what_another_search_has_found() {
    let (shard, model) = filled(&SimDisk::new(1));
    let Query::Multi { field, vectors, .. } = query_of(5, 4, 3) else { panic!() };
    let all = shard.search(&SearchQuery::new(query_of(5, 4, 3), 100)).unwrap().hits;
    assert!(all.len() > 5);
    let some: Vec<String> = model.points.keys().take(9).cloned().chain(["nowhere".into()]).collect();
    let among = Query::Multi { field, vectors, among: Some(some.clone().into()) };
    let found = shard.search(&SearchQuery::new(among, 100)).unwrap();
    let expected: Vec<_> = all.into_iter().filter(|hit| some.contains(&hit.id)).collect();
    assert!(!expected.is_empty() && expected.len() < 9);
    assert_eq!(found.hits, expected);
    assert_eq!(found.explain.visited, expected.len() as u64);
}

/// A row is used again only when every index has released it, and then it is.
#[test]
fn rows_are_used_again() {
    let shard = open(&SimDisk::new(1), &shape());
    for round in 0..40u64 {
        let point = |n: u64| UpsertPoint {
            id: id(n),
            vector: vectors(round * 31 + n, 4, true),
            payload: "{}".into(),
            if_version: None,
        };
        apply(&shard, &upsert((0..25).map(point).collect()));
        index_all(&shard);
    }
    let bytes = shard.stats().index_bytes.total();
    for round in 40..80u64 {
        let ids: Vec<String> = (0..25).map(id).collect();
        apply(&shard, &delete(&ids.iter().map(String::as_str).collect::<Vec<_>>()));
        index_all(&shard);
        let point = |n: u64| UpsertPoint {
            id: id(n),
            vector: vectors(round * 31 + n, 4, true),
            payload: "{}".into(),
            if_version: None,
        };
        apply(&shard, &upsert((0..25).map(point).collect()));
        index_all(&shard);
    }
    assert!(shard.stats().index_bytes.total() <= bytes * 2, "{bytes}");
}
