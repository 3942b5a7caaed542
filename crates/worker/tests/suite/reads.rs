//! The four levels on every replica, and what a replica says that cannot meet one.

use crate::world::*;
use std::time::Duration;
use vectron_base::ids::{Incarnation, WorkerId};
use vectron_base::{Code, Outcome};
use vectron_wire::worker::{Include, ReadLevel, ShardQuery, ShardSearch, Target, Worker, WriteOperation};

#[test]
fn every_level_is_met_on_every_replica() {
    let mut world = World::of(4);
    world.create(3);
    world.catalog.set_roles(
        SHARD,
        &[
            (1, 1, vectron_wire::placement::ReplicaRole::Voter),
            (2, 2, vectron_wire::placement::ReplicaRole::Voter),
            (3, 3, vectron_wire::placement::ReplicaRole::Voter),
            (4, 4, vectron_wire::placement::ReplicaRole::Learner),
        ],
    );
    world.until_ready(4, SHARD);
    let target = world.target(SHARD);
    for round in 0..5 {
        for worker in 1..=4 {
            let number = round * 10 + worker;
            let version = world.write(number..number + 1).version;
            let id = format!("p{number}");
            let levels = [ReadLevel::Linearizable, ReadLevel::Session(version), ReadLevel::Bounded(0)];
            for level in levels {
                // Each on its own: an earlier strict read would make the later ones easy.
                let read = world.get(worker, target, level, &id).unwrap();
                let found = read.value[0].as_ref().map(|point| point.version);
                assert_eq!(found, Some(version), "worker {worker}, {level:?}");
                assert!(read.delivered.applied_index >= version, "worker {worker}, {level:?}");
                if level == ReadLevel::Linearizable {
                    assert_eq!(read.delivered.staleness_ms, 0);
                }
            }
        }
    }
    for worker in 1..=4 {
        let read = world.get(worker, target, ReadLevel::Eventual, "p1").unwrap();
        assert!(read.delivered.applied_index > 0 && read.value[0].is_some());
    }
}

#[test]
fn a_session_waits_until_its_index_is_applied() {
    let mut world = World::of(3);
    world.create(3);
    for n in 0..20 {
        let version = world.write(n..n + 1).version;
        let target = world.target(SHARD);
        let follower = world.until_led(SHARD) % 3 + 1;
        let read = world.get(follower, target, ReadLevel::Session(version), &format!("p{n}")).unwrap();
        assert_eq!(read.value[0].as_ref().map(|point| point.version), Some(version));
    }
    // An index that nobody has is waited for, and then refused.
    let target = world.target(SHARD);
    let fault = world.get(1, target, ReadLevel::Session(1 << 40), "p1").unwrap_err();
    assert_eq!(fault.code, Code::DeadlineExceeded);
}

#[test]
fn a_replica_that_is_cut_off_proves_nothing_and_says_how_old_it_is() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..10);
    let alone = world.until_led(SHARD) % 3 + 1;
    let target = world.target(SHARD);
    assert!(world.get(alone, target, ReadLevel::Bounded(500), "p1").is_ok());
    world.network.cut.lock().insert(WorkerId(alone));
    // What it has proved is good for as long as it is young.
    assert!(world.get(alone, target, ReadLevel::Bounded(60_000), "p1").is_ok());
    world.pass(Duration::from_secs(4));
    let fault = world.get(alone, target, ReadLevel::Bounded(500), "p1").unwrap_err();
    assert_eq!(fault.code, Code::StalenessUnmet, "{fault}");
    let strict = world.get(alone, target, ReadLevel::Linearizable, "p1").unwrap_err();
    assert!(matches!(strict.code, Code::DeadlineExceeded | Code::Unavailable), "{strict}");
    let read = world.get(alone, target, ReadLevel::Eventual, "p1").unwrap();
    assert!(read.delivered.staleness_ms >= 4000, "{}", read.delivered.staleness_ms);
    // The others go on.
    world.write(10..20);
    world.network.cut.lock().clear();
    world.pass(Duration::from_secs(4));
    let read = world.get(alone, target, ReadLevel::Bounded(500), "p15").unwrap();
    assert!(read.value[0].is_some());
}

#[test]
fn eventual_reads_keep_the_proof_young() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..10);
    let follower = world.until_led(SHARD) % 3 + 1;
    let target = world.target(SHARD);
    world.pass(Duration::from_secs(30));
    let old = world.get(follower, target, ReadLevel::Eventual, "p1").unwrap().delivered.staleness_ms;
    assert!(old >= 10_000, "{old}");
    world.pass(Duration::from_millis(300));
    let young = world.get(follower, target, ReadLevel::Eventual, "p1").unwrap().delivered.staleness_ms;
    assert!(young <= 1000, "{young}");
}

#[test]
fn a_follower_takes_no_write_and_names_who_does() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..1);
    let leader = world.until_led(SHARD);
    let target = world.target(SHARD);
    for worker in (1..=3).filter(|worker| *worker != leader) {
        let fault = world.try_write(worker, target, WriteOperation::Upsert(vec![point(5)])).unwrap_err();
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied));
        assert_eq!(fault.leader, Some(format!("worker-{leader}")));
    }
    assert_eq!(world.count(leader, target, ReadLevel::Linearizable), Ok(1));
}

/// A result that was kept stands only where the shard, as fresh as its reader demands, is where it was.
#[test]
fn a_search_is_not_made_again_where_nothing_was_applied_since() {
    let mut world = World::of(3);
    world.create(3);
    let target = world.target(SHARD);
    let version = world.write(0..10).version;
    let search = |world: &mut World, worker: u64, target: Target, read: ReadLevel, known: u64| {
        let host = world.nodes[&worker].host.clone();
        let request = ShardSearch {
            target,
            read,
            query: ShardQuery::unnamed(vector(3)),
            top_k: 3,
            filter: None,
            score_threshold: None,
            exact: true,
            ef: None,
            recall_target: 0.95,
            include: Include { payload: false, vector: false },
            timeout_ms: 5000,
        };
        world.run(async move { host.search_if_changed(request, known).await })
    };
    for round in 0..5 {
        for worker in 1..=3 {
            let old = search(&mut world, worker, target, ReadLevel::Linearizable, u64::MAX).unwrap();
            let known = old.delivered.applied_index;
            assert_eq!(old.value.map(|found| found.hits.len()), Some(3));
            for level in [ReadLevel::Linearizable, ReadLevel::Session(version), ReadLevel::Bounded(1)] {
                let same = search(&mut world, worker, target, level, known).unwrap();
                assert_eq!((same.value, same.delivered.applied_index), (None, known), "{worker}, {level:?}");
            }
            let version = world.write(10 + round..11 + round).version;
            for level in [ReadLevel::Linearizable, ReadLevel::Session(version)] {
                let read = search(&mut world, worker, target, level, known).unwrap();
                assert!(
                    read.value.is_some() && read.delivered.applied_index >= version,
                    "{worker}, {level:?}"
                );
            }
        }
    }
    let now = search(&mut world, 1, target, ReadLevel::Linearizable, 0).unwrap().delivered.applied_index;
    for wrong in [Target { epoch: 9, ..target }, Target { incarnation: Incarnation(9), ..target }] {
        assert!(search(&mut world, 1, wrong, ReadLevel::Eventual, now).is_err(), "a fence is passed first");
    }
}
