//! Points that end by themselves, on several replicas whose clock is the only one that knows.

use crate::world::*;
use std::time::Duration;
use vectron_wire::worker::{BatchItem, Expiry, ItemWrite, ReadLevel, WriteBatch, WriteOperation};

fn write_for(world: &mut World, numbers: std::ops::Range<u64>, expiry: Expiry) {
    let item = |n| BatchItem { if_filter: None, write: ItemWrite::Upsert(point(n), expiry) };
    let batch = WriteBatch { items: numbers.map(item).collect(), ..WriteBatch::default() };
    world.write_operation(SHARD, WriteOperation::Batch(batch));
}

#[test]
fn where_nobody_writes_the_leader_moves_time_and_all_replicas_agree() {
    let mut world = World::of(3);
    world.create(3);
    write_for(&mut world, 0..5, Expiry::AfterMs(5_000));
    write_for(&mut world, 5..7, Expiry::Never);
    let target = world.target(SHARD);
    for worker in 1..=3 {
        assert_eq!(world.count(worker, target, ReadLevel::Linearizable).unwrap(), 7);
    }
    world.pass(Duration::from_secs(6));
    let shown = |w: &World, worker| w.store(worker, SHARD).and_then(|s| s.count(None).ok()).map(|r| r.value);
    world.until("every replica let them go", |w| (1..=3).all(|worker| shown(w, worker) == Some(2)));
    world.assert_equal(SHARD, &[1, 2, 3]);
    // Nothing is due any more: time is left alone.
    let before = world.store(1, SHARD).expect("a store").applied_index();
    world.pass(Duration::from_secs(10));
    assert_eq!(world.store(1, SHARD).expect("a store").applied_index(), before);
}

#[test]
fn a_strict_read_at_the_leader_shows_nothing_that_it_knows_to_be_over() {
    let mut world = World::of(3);
    world.create(3);
    write_for(&mut world, 0..3, Expiry::AfterMs(3_000));
    let leader = world.until_led(SHARD);
    let target = world.target(SHARD);
    assert!(world.get(leader, target, ReadLevel::Linearizable, "p1").unwrap().value[0].is_some());
    // Sooner than the leader would look by itself.
    world.pass(Duration::from_millis(3_050));
    let due = world.store(leader, SHARD).expect("a store").next_expiry_ms();
    if due.is_some() {
        let read = world.get(leader, target, ReadLevel::Linearizable, "p1").unwrap();
        assert!(read.value[0].is_none());
    }
    assert_eq!(world.count(leader, target, ReadLevel::Linearizable).unwrap(), 0);
}
