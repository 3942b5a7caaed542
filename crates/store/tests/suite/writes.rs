//! Batches, conditions, changes of payloads, points that end by themselves, and what is remembered of removals.

use crate::support::*;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{
    Batch, BatchItem, Command, DeleteItem, Expiry, ItemOutcome, ItemWrite, Metric, Operation, Outcome,
    PayloadChange, PayloadEdit, REFUSED_LISTED, Refused, Removal, RemovalCause, Shard,
};

fn fresh() -> Shard {
    open(&SimDisk::new(1), &config(2, Metric::Dot))
}

fn put(id: &str, payload: &str, expiry: Expiry) -> BatchItem {
    BatchItem { if_filter: None, write: ItemWrite::Upsert(point(id, &[1.0, 2.0], payload), expiry) }
}

fn change(id: &str, edit: u32) -> BatchItem {
    BatchItem { if_filter: None, write: ItemWrite::Payload { id: id.into(), if_version: None, edit } }
}

fn gone(id: &str) -> BatchItem {
    BatchItem { if_filter: None, write: ItemWrite::Delete(DeleteItem { id: id.into(), if_version: None }) }
}

fn merge(text: &str, bytes_max: u64) -> PayloadEdit {
    PayloadEdit { change: PayloadChange::Merge(text.into()), bytes_max }
}

fn at(log_time_ms: u64, operation: Operation) -> Command {
    Command { log_time_ms, ..command(operation) }
}

fn batch(items: Vec<BatchItem>) -> Operation {
    Operation::Batch(Batch { items, ..Batch::default() })
}

fn items(outcome: Outcome) -> Vec<ItemOutcome> {
    match outcome {
        Outcome::Written { items, .. } => items,
        other => panic!("{other:?}"),
    }
}

fn payload(shard: &Shard, id: &str) -> Option<String> {
    shard.get(&[id], ALL).unwrap().value.remove(0)?.payload
}

#[test]
fn a_later_item_finds_what_an_earlier_one_left_and_nothing_between_is_seen() {
    let shard = fresh();
    let operation = Operation::Batch(Batch {
        edits: vec![merge(r#"{"b":2}"#, 100), merge(r#"{"c":3}"#, 100)],
        filters: vec![filter(r#"{"b":2}"#).to_text()],
        items: vec![
            change("x", 0),
            put("x", r#"{"a":1}"#, Expiry::Never),
            BatchItem { if_filter: Some(0), ..change("x", 1) },
            change("x", 0),
            BatchItem { if_filter: Some(0), ..change("x", 1) },
            put("y", "{}", Expiry::Never),
            gone("y"),
            gone("y"),
            BatchItem { if_filter: Some(0), ..put("y", "{}", Expiry::Never) },
        ],
    });
    use ItemOutcome::{Applied, FilterMismatch, Missing};
    let expected = [
        Missing,
        Applied,
        FilterMismatch { current: 1 },
        Applied,
        Applied,
        Applied,
        Applied,
        Missing,
        FilterMismatch { current: 0 },
    ];
    assert_eq!(items(apply(&shard, &command(operation))), expected);
    assert_eq!(payload(&shard, "x").as_deref(), Some(r#"{"a":1,"b":2,"c":3}"#));
    assert_eq!(payload(&shard, "y"), None);
}

#[test]
fn the_limit_of_payloads_holds_where_they_are_changed() {
    let shard = fresh();
    let names: Vec<String> = (0..REFUSED_LISTED + 7).map(|i| format!("p{i:03}")).collect();
    let mut points: Vec<BatchItem> =
        names.iter().map(|id| put(id, r#"{"s":"long enough"}"#, Expiry::Never)).collect();
    points.push(put("short", "{}", Expiry::Never));
    apply(&shard, &command(batch(points)));
    let edit = merge(r#"{"n":1}"#, 20);
    let by_id = Batch {
        edits: vec![edit.clone()],
        items: vec![change("p000", 0), change("short", 0)],
        ..Batch::default()
    };
    let too_large = ItemOutcome::PayloadTooLarge { bytes: 25 };
    assert_eq!(items(apply(&shard, &command(Operation::Batch(by_id)))), [too_large, ItemOutcome::Applied]);

    let by_filter = keyed(command(Operation::EditByFilter("{}".into(), edit)), 5, "k", 1);
    let Outcome::Edited { version: 3, updated: 1, refused, refused_more: 7, replayed: false } =
        apply(&shard, &by_filter)
    else {
        panic!()
    };
    assert_eq!(refused.len(), REFUSED_LISTED);
    assert_eq!(refused[1], Refused { id: "p001".into(), item: too_large });
    assert!(matches!(
        apply(&shard, &by_filter),
        Outcome::Edited { version: 3, updated: 1, replayed: true, .. }
    ));
    assert_eq!(payload(&shard, "p001").as_deref(), Some(r#"{"s":"long enough"}"#));
}

#[test]
fn a_changed_payload_keeps_vector_row_and_expiry_also_after_a_restart() {
    let disk = SimDisk::new(1);
    let config = config(2, Metric::Dot);
    let shard = open(&disk, &config);
    apply(&shard, &at(10, batch(vec![put("x", "{}", Expiry::AfterMs(90))])));
    shard.checkpoint().unwrap();
    let edit =
        Batch { edits: vec![merge(r#"{"n":1}"#, 20)], items: vec![change("x", 0)], ..Batch::default() };
    apply(&shard, &at(20, Operation::Batch(edit)));
    assert_eq!(shard.next_expiry_ms(), Some(100));
    shard.checkpoint().unwrap();
    let digest = shard.digest();
    let shard = open(&disk, &config);
    assert_eq!((shard.digest(), shard.next_expiry_ms()), (digest, Some(100)));
    let point = shard.get(&["x"], ALL).unwrap().value.remove(0).unwrap();
    assert_eq!(
        (point.version, point.vector, point.payload.as_deref()),
        (2, Some(vec![1.0, 2.0].into()), Some(r#"{"n":1}"#))
    );
}

/// Lesson 23 asks for state that all replicas agree on: what ends a point is the log's time alone.
#[test]
fn points_end_by_log_time_which_never_goes_back() {
    let shard = fresh();
    let points = vec![
        put("after", "{}", Expiry::AfterMs(50)),
        put("at", "{}", Expiry::AtMs(1_200)),
        put("never", "{}", Expiry::Never),
        put("past", "{}", Expiry::AtMs(999)),
    ];
    // A point that has ended when it is written takes the one there with it.
    apply(&shard, &upsert(vec![point("past", &[3.0, 4.0], "{}")]));
    assert_eq!(items(apply(&shard, &at(1_000, batch(points)))), [ItemOutcome::Applied; 4]);
    assert_eq!(payload(&shard, "past"), None);
    assert_eq!(shard.next_expiry_ms(), Some(1_050));
    // Marks are no part of the state.
    apply(&shard, &at(5_000, Operation::Mark));
    apply(&shard, &at(1_049, Operation::Tick));
    assert!(payload(&shard, "after").is_some());
    apply(&shard, &at(1_050, Operation::Tick));
    assert!(payload(&shard, "after").is_none() && payload(&shard, "at").is_some());
    let removal = Removal { version: 5, log_time_ms: 1_050, cause: RemovalCause::Expired };
    assert_eq!(shard.removal("after"), Some(removal));
    // A clock that was set back does not bring time back: what is written now ends later.
    apply(&shard, &at(0, batch(vec![put("late", "{}", Expiry::AfterMs(100))])));
    assert_eq!(shard.next_expiry_ms(), Some(1_150));
    // A write sees what its own time leaves: the condition finds no point.
    let absent = BatchItem {
        if_filter: None,
        write: ItemWrite::Upsert(
            vectron_store::UpsertPoint { if_version: Some(0), ..point("late", &[1.0, 1.0], "{}") },
            Expiry::Never,
        ),
    };
    assert_eq!(items(apply(&shard, &at(1_150, batch(vec![absent])))), [ItemOutcome::Applied]);
    assert_eq!(shard.next_expiry_ms(), Some(1_200));
    apply(&shard, &at(2_000, Operation::Delete(vec![])));
    assert_eq!(shard.next_expiry_ms(), None);
    assert_eq!(shard.count(None).unwrap().value, 2);
    // A point that is written whole without an expiry loses the one that it had.
    apply(&shard, &at(2_000, batch(vec![put("never", "{}", Expiry::AfterMs(1))])));
    apply(&shard, &at(2_000, upsert(vec![point("never", &[1.0, 2.0], "{}")]).operation));
    apply(&shard, &at(9_000, Operation::Tick));
    assert_eq!(shard.count(None).unwrap().value, 2);
}

#[test]
fn a_repeated_write_moves_time_and_is_answered_as_before() {
    let shard = fresh();
    apply(&shard, &at(1_000, batch(vec![put("x", "{}", Expiry::AfterMs(50))])));
    let write =
        |time| keyed(command(batch(vec![put("y", "{}", Expiry::AfterMs(10)), gone("x")])), time, "k", 1);
    let first = items(apply(&shard, &write(1_001)));
    assert_eq!(first, [ItemOutcome::Applied; 2]);
    assert_eq!(shard.removal("x").map(|removal| removal.cause), Some(RemovalCause::Deleted));
    assert_eq!(items(apply(&shard, &write(1_100))), first);
    assert_eq!(payload(&shard, "y"), None);
    assert_eq!(shard.removal("y").map(|removal| removal.cause), Some(RemovalCause::Expired));
    assert_eq!(shard.removal("z"), None);
}

#[test]
fn removals_are_remembered_within_their_bytes() {
    let mut config = config(2, Metric::Dot);
    config.knobs.removals_bytes = 10 * 120;
    let shard = open(&SimDisk::new(1), &config);
    let names: Vec<String> = (0..50).map(|i| format!("p{i:03}")).collect();
    apply(&shard, &upsert(names.iter().map(|id| point(id, &[1.0, 2.0], "{}")).collect()));
    apply(&shard, &command(Operation::DeleteByFilter("{}".into())));
    let known: Vec<&String> = names.iter().filter(|id| shard.removal(id).is_some()).collect();
    assert_eq!(known.len(), 10);
    apply(&shard, &upsert(vec![point(known[0], &[1.0, 2.0], "{}")]));
    assert_eq!(shard.removal(known[0]), None);
    assert_eq!(
        shard.removal(known[1]).map(|removal| (removal.version, removal.cause)),
        Some((2, RemovalCause::Deleted))
    );
}

#[test]
fn a_split_takes_expiries_and_repeated_items_along() {
    let disk = SimDisk::new(1);
    let shard = open(&disk, &config(2, Metric::Dot));
    let names: Vec<String> = (0..40).map(|i| format!("p{i:03}")).collect();
    let points = names.iter().map(|id| put(id, "{}", Expiry::AfterMs(100)));
    // Each id twice: the second time it is not there any more.
    let points: Vec<BatchItem> = points
        .chain(names.iter().flat_map(|id| [gone(id), gone(id), put(id, "{}", Expiry::AfterMs(100))]))
        .collect();
    apply(&shard, &keyed(command(batch(points.clone())), 0, "k", 1));
    let first = 1 << 63;
    shard.fork(std::sync::Arc::new(disk.clone()), "shards/8", first).unwrap();
    while shard.fork_step().unwrap() {}
    // Behind the place of the copy: brought along.
    let early = names.iter().map(|id| put(id, r#"{"again":1}"#, Expiry::AtMs(50))).take(10).collect();
    apply(&shard, &at(10, batch(early)));
    // The split is the command that ends them.
    apply(&shard, &at(50, Operation::Split { first, child: 8 }));
    let child = shard.take_child(first).unwrap().unwrap();
    assert_eq!(shard.count(None).unwrap().value + child.count(None).unwrap().value, 30);
    // A retry of either part finds the outcome of each time that an id was named.
    for part in [&shard, &*child] {
        let owned = |item: &&BatchItem| part.range().contains(vectron_base::ids::hash_of_id(item.id()));
        let asked: Vec<BatchItem> = points.iter().filter(owned).cloned().collect();
        let own = asked.len() / 4;
        let answers = items(apply(part, &keyed(command(batch(asked)), 60, "k", 1)));
        use ItemOutcome::{Applied, Missing};
        let expected: Vec<ItemOutcome> = std::iter::repeat_n(Applied, own)
            .chain((0..own).flat_map(|_| [Applied, Missing, Applied]))
            .collect();
        assert_eq!(answers, expected);
        assert_eq!(part.next_expiry_ms(), Some(100));
        apply(part, &at(100, Operation::Tick));
        assert_eq!(part.count(None).unwrap().value, 0);
    }
}
