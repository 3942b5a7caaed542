//! What goes wrong stays where it is.

use crate::world::*;
use std::time::Duration;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::ReplicaRole::{Joining, Voter};
use vectron_wire::placement::{Collection, CollectionState, Replica, Shard, ShardPhase};
use vectron_wire::worker::{ReadLevel, Target, WriteOperation};

const OTHER: ShardId = ShardId(9);

/// A second collection with one replica on each of these workers.
fn other(world: &World, workers: &[u64]) {
    let shard = Shard {
        shard: OTHER,
        first: 0,
        last: u64::MAX,
        epoch: 1,
        config: 1,
        replicas: workers.iter().map(|n| Replica::voter(ReplicaId(*n), WorkerId(*n))).collect(),
        leader: None,
        split: None,
    };
    let mut spec = spec(workers.len() as u32);
    spec.name = "other".into();
    world.catalog.change(|view| {
        view.collections.push(Collection {
            spec,
            incarnation: Incarnation(8),
            created_at_ms: 0,
            state: CollectionState::Live,
            shards: vec![shard],
            field_indexes: Vec::new(),
        });
    });
}

const THERE: Target = Target { shard: OTHER, incarnation: Incarnation(8), epoch: 1 };

#[test]
fn a_damaged_replica_is_set_aside_and_the_others_serve() {
    let mut world = World::of(3);
    world.create(3);
    other(&world, &[1, 2, 3]);
    (1..=3).for_each(|worker| world.until_ready(worker, OTHER));
    (0..20).for_each(|n| drop(world.write(n * 20..(n + 1) * 20)));
    world.pass(Duration::from_secs(10));
    let bad = world.until_led(SHARD) % 3 + 1;
    let disk = world.stop(bad);
    let files = disk.files();
    let (segment, _) = files.iter().find(|(name, _)| name.starts_with("shards/1/data/segment")).unwrap();
    assert!(disk.flip_bit(segment, 8 * 300));
    world.start(bad, disk);
    world.until("it is set aside", |w| w.phase(bad, SHARD) == Some(ShardPhase::Failed));
    world.until_ready(bad, OTHER);
    let leader = world.until_led(OTHER);
    world.try_write(leader, THERE, WriteOperation::Upsert(vec![point(1)])).unwrap();
    assert_eq!(world.count(bad, THERE, ReadLevel::Linearizable), Ok(1));
    let target = world.target(SHARD);
    assert!(world.count(bad, target, ReadLevel::Eventual).is_err(), "damage is never served");
    let left = (1..=3).find(|n| *n != bad).unwrap();
    assert_eq!(world.count(left, target, ReadLevel::Linearizable), Ok(400));

    // The catalog has another replica made in its place.
    let mut roles: Vec<_> = (1..=3).filter(|n| *n != bad).map(|n| (n, n, Voter)).collect();
    roles.push((50, bad, Joining));
    world.catalog.set_roles(SHARD, &roles);
    world.until_ready(bad, SHARD);
    world.assert_equal(SHARD, &[1, 2, 3]);
}

#[test]
fn a_shard_that_cannot_be_fetched_holds_up_no_other() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..10);
    world.network.cut.lock().insert(WorkerId(4));
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Voter), (4, 4, Joining)]);
    other(&world, &[4]);
    world.until_ready(4, OTHER);
    assert_eq!(world.phase(4, SHARD), Some(ShardPhase::Opening));
    world.try_write(4, THERE, WriteOperation::Upsert(vec![point(1)])).unwrap();
    world.network.cut.lock().clear();
    world.until_ready(4, SHARD);
    world.assert_equal(SHARD, &[1, 2, 3, 4]);
}

#[test]
fn without_a_placement_driver_everything_goes_on_even_after_a_restart() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..30);
    world.catalog.set_away(true);
    world.write(30..40);
    let disks: Vec<_> = (1..=3).map(|worker| (worker, world.kill(worker))).collect();
    for (worker, disk) in disks {
        world.start(worker, disk);
    }
    world.write(40..50);
    let target = world.target(SHARD);
    for worker in 1..=3 {
        assert_eq!(world.count(worker, target, ReadLevel::Linearizable), Ok(50));
    }
    world.catalog.set_away(false);
    world.until_ready(1, SHARD);
}

#[test]
fn an_older_catalog_removes_nothing() {
    let mut world = World::of(1);
    world.create(1);
    world.write(0..20);
    let newest = world.catalog.view().epoch;
    // A driver that lost its way shows what was before, to a worker that has just started.
    let disk = world.kill(1);
    let collections = world.catalog.view().collections.clone();
    world.catalog.change(|view| {
        view.epoch = newest.saturating_sub(2);
        view.collections.clear();
    });
    world.start(1, disk);
    world.catalog.change(|view| view.epoch = newest.saturating_sub(1));
    world.pass(Duration::from_secs(30));
    assert!(world.store(1, SHARD).is_some(), "an old catalog is no reason to remove anything");
    world.catalog.change(|view| {
        view.epoch = newest + 1;
        view.collections = collections;
    });
    let target = world.target(SHARD);
    assert_eq!(world.count(1, target, ReadLevel::Linearizable), Ok(20));
}

#[test]
fn a_deleted_collection_serves_nothing_and_leaves_nothing() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..20);
    let target = world.target(SHARD);
    world.catalog.change(|view| view.collections[0].state = CollectionState::Deleting);
    world.until("all are removed", |w| (1..=3).all(|n| w.phase(n, SHARD) == Some(ShardPhase::Removed)));
    for worker in 1..=3 {
        let fault = world.count(worker, target, ReadLevel::Eventual).unwrap_err();
        assert_eq!(fault.code, vectron_base::Code::NotFound);
        let files = world.nodes[&worker].disk.files();
        assert!(files.iter().all(|(name, _)| !name.starts_with("shards/")), "{files:?}");
    }
}

#[test]
fn reports_have_the_load_of_the_last_interval() {
    let mut world = World::of(3);
    world.create(3);
    let leader = world.until_led(SHARD);
    for n in 0..40 {
        world.write(n..n + 1);
    }
    world.until("writes are reported", |w| {
        w.catalog.load_of(WorkerId(leader)).is_some_and(|l| l.writes_per_s > 0)
    });
    let report = world.catalog.report_of(WorkerId(leader), SHARD).unwrap();
    assert!(report.memory_bytes > 0 && report.applied_index > 0 && report.epoch == 1);
    let lead = report.lead.unwrap();
    assert_eq!(lead.members.voters.len(), 3);
    assert!(lead.matched.iter().all(|(_, index)| *index <= lead.committed), "{lead:?}");
}
