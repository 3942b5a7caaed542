//! What the public contract says of single writes and reads: versions, retries, one applied index per read.

use crate::model::Model;
use crate::support::*;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{ItemOutcome, Metric, Outcome, SearchQuery, Shard, WINDOW_MS};

#[test]
fn idempotent_retries_get_the_first_answer_across_restarts() {
    let disk = SimDisk::new(1);
    let mut config = config(2, Metric::Dot);
    config.idempotency_keys = 100;
    let shard = open(&disk, &config);
    let mut conditional = point("a", &[1.0, 2.0], "{}");
    conditional.if_version = Some(0);
    let write = keyed(upsert(vec![conditional]), 1000, "key", 42);
    let first = apply(&shard, &write);
    let Outcome::Written { version: 1, items, replayed: false, .. } = first else { panic!("{first:?}") };
    let again = |shard: &Shard, at: u64| {
        let mut retry = write.clone();
        retry.log_time_ms = at;
        apply(shard, &retry)
    };
    let replay = Outcome::Written { version: 1, items, deleted: 0, replayed: true };
    assert_eq!(again(&shard, 2000), replay);
    shard.checkpoint().unwrap();
    let shard = open(&disk, &config);
    assert_eq!(again(&shard, 3000), replay);
    let other = keyed(delete(&["a"]), 3000, "key", 43);
    assert_eq!(apply(&shard, &other), Outcome::KeyReused);
    assert_eq!(shard.get(&["a"], ALL).unwrap().value[0].as_ref().unwrap().version, 1);
    // One millisecond before the window ends, and when it ends. Time that goes back does not bring keys back.
    assert_eq!(again(&shard, 1000 + WINDOW_MS - 1), replay);
    let late = again(&shard, 1000 + WINDOW_MS);
    let mismatch = vec![ItemOutcome::VersionMismatch { current: 1 }];
    assert_eq!(late, Outcome::Written { version: 6, items: mismatch, deleted: 0, replayed: false });
    assert!(matches!(again(&shard, 5), Outcome::Written { version: 6, replayed: true, .. }));
}

#[test]
fn versions_are_log_indexes_and_rise_across_deletion() {
    let shard = open(&SimDisk::new(1), &config(2, Metric::Dot));
    let mut model = Model::new(Metric::Dot, 4);
    let write = |if_version| {
        let mut p = point("a", &[1.0, 2.0], "{\"same\":1}");
        p.if_version = if_version;
        upsert(vec![p])
    };
    let steps = [write(Some(0)), write(Some(0)), write(Some(1)), write(None), delete(&["a"]), write(Some(0))];
    for command in steps {
        let index = shard.applied_index() + 1;
        assert_eq!(apply(&shard, &command), model.apply(index, &command));
        assert_like(&shard, &model);
    }
    assert_eq!(model.points["a"].version, 6);
    shard.advance(50);
    shard.advance(7);
    assert_eq!(shard.applied_index(), 50);
    apply(&shard, &write(None));
    assert_eq!(shard.get(&["a", "b"], ALL).unwrap().value[0].as_ref().unwrap().version, 51);
}

#[test]
fn a_filtered_read_is_true_at_the_index_it_names() {
    use std::sync::atomic::{AtomicBool, Ordering};
    const POINTS: u64 = 300;
    let shard = open(&SimDisk::new(1), &config(4, Metric::Dot));
    // At even indexes every point matches, at odd ones none does; every other write moves the rows too.
    let write = |index: u64| {
        let payload = format!(r#"{{"even":{}}}"#, index.is_multiple_of(2));
        let one = |i| point(&format!("p{i:03}"), &vector(i + index / 2, 4), &payload);
        upsert((0..POINTS).map(one).collect())
    };
    apply(&shard, &write(1));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut query = SearchQuery::new(vector(9, 4), POINTS as usize);
            query.filter = Some(filter(r#"{"even":true}"#));
            while !stop.load(Ordering::SeqCst) {
                let found = shard.search(&query).unwrap();
                let expected = if found.applied_index.is_multiple_of(2) { POINTS } else { 0 };
                assert_eq!(found.hits.len() as u64, expected, "index {}", found.applied_index);
                let count = shard.count(query.filter.as_ref()).unwrap();
                assert_eq!(count.value, if count.applied_index.is_multiple_of(2) { POINTS } else { 0 });
            }
        });
        for index in 2..600 {
            apply(&shard, &write(index));
            if index % 50 == 0 {
                shard.checkpoint().unwrap();
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
}
