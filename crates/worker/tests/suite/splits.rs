//! A shard is cut in two while it is written to and read.

use crate::world::*;
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::Code;
use vectron_base::clock::Clock;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId, hash_of_id};
use vectron_wire::placement::{Replica, Shard, Split};
use vectron_wire::worker::{ReadLevel, Target, WriteOperation};

pub const CHILD: ShardId = ShardId(2);
const MIDDLE: u64 = 1 << 63;

fn replicas(count: u64) -> Vec<Replica> {
    (1..=count).map(|n| Replica::voter(ReplicaId(100 + n), WorkerId(n))).collect()
}

pub fn begin(world: &World, count: u64) {
    begin_with(world, replicas(count));
}

pub fn begin_with(world: &World, replicas: Vec<Replica>) {
    let split = Split { child: CHILD, first: MIDDLE, replicas, cut: false };
    world.catalog.change_shard(SHARD, |shard| shard.split = Some(split));
}

pub fn until_ready(world: &mut World, count: u64) {
    world.until("every copy of the upper part is ready", |w| {
        (1..=count).all(|n| w.catalog.report_of(WorkerId(n), SHARD).is_some_and(|r| r.split_ready))
    });
}

pub fn cut(world: &World) {
    world.catalog.change_shard(SHARD, |shard| shard.split.as_mut().unwrap().cut = true);
}

/// What the placement driver does when the cut is reported: two shards in the place of one.
pub fn replace_with(world: &World, parent: ShardId) {
    world.catalog.change(|view| {
        let shards = &mut view.collections[0].shards;
        let at = shards.iter().position(|s| s.shard == parent).unwrap();
        let mut lower = shards.remove(at);
        let upper = Shard {
            shard: CHILD,
            first: MIDDLE,
            epoch: lower.epoch + 1,
            config: 1,
            replicas: lower.split.as_ref().unwrap().replicas.clone(),
            leader: None,
            split: None,
            ..lower.clone()
        };
        (lower.last, lower.epoch, lower.split) = (MIDDLE - 1, lower.epoch + 1, None);
        shards.extend([lower, upper]);
    });
}

fn of(id: &str) -> ShardId {
    if hash_of_id(id) >= MIDDLE { CHILD } else { SHARD }
}

fn all_served(world: &mut World, count: u64) {
    world.until("the child is served everywhere", |w| (1..=count).all(|n| w.store(n, CHILD).is_some()));
    for worker in 1..=count {
        world.until_ready(worker, CHILD);
    }
}

/// Every id is where its hash says and nowhere else, on every replica.
fn hold(world: &mut World, count: u64, expected: &BTreeMap<String, u64>) {
    let workers: Vec<u64> = (1..=count).collect();
    world.assert_equal(SHARD, &workers);
    world.assert_equal(CHILD, &workers);
    for worker in workers {
        for shard in [SHARD, CHILD] {
            let target = world.target(shard);
            let here = expected.keys().filter(|id| of(id) == shard).count() as u64;
            assert_eq!(world.count(worker, target, ReadLevel::Linearizable), Ok(here), "{shard} on {worker}");
        }
        for (id, version) in expected {
            let target = world.target(of(id));
            let read = world.get(worker, target, ReadLevel::Eventual, id).unwrap();
            assert_eq!(read.value[0].as_ref().map(|p| p.version), Some(*version), "{id} on {worker}");
        }
    }
}

#[test]
fn a_shard_is_split_while_it_is_written() {
    let mut world = World::of(3);
    world.create(3);
    let mut expected = BTreeMap::new();
    let mut next = 0;
    let mut write = |world: &mut World, expected: &mut BTreeMap<String, u64>| {
        let version = world.write(next..next + 20).version;
        expected.extend((next..next + 20).map(|n| (format!("p{n}"), version)));
        next += 20;
    };
    (0..10).for_each(|_| write(&mut world, &mut expected));
    begin(&world, 3);
    (0..10).for_each(|_| write(&mut world, &mut expected));
    until_ready(&mut world, 3);
    (0..5).for_each(|_| write(&mut world, &mut expected));
    let old = world.target(SHARD);
    cut(&world);
    all_served(&mut world, 3);

    // The child is served before the catalog names it, and the old map is refused with a hint to look again.
    let target = Target { shard: CHILD, epoch: 2, ..old };
    let some = expected.keys().find(|id| of(id) == CHILD).unwrap().clone();
    assert!(world.get(2, target, ReadLevel::Linearizable, &some).unwrap().value[0].is_some());
    let leader = world.until_led(SHARD);
    let fault = world.try_write(leader, old, WriteOperation::Upsert(vec![point(1)])).unwrap_err();
    assert_eq!(fault.code, Code::Unavailable);
    assert!(fault.retry_after_ms.is_some());
    assert!(world.get(leader, old, ReadLevel::Eventual, &some).is_err(), "half an answer is none");

    replace_with(&world, SHARD);
    for n in 5000..5020 {
        let shard = of(&format!("p{n}"));
        let version = world.write_operation(shard, WriteOperation::Upsert(vec![point(n)])).version;
        expected.insert(format!("p{n}"), version);
    }
    hold(&mut world, 3, &expected);
    // And so it stays.
    for worker in 1..=3 {
        world.restart(worker);
    }
    for worker in 1..=3 {
        world.until_ready(worker, SHARD);
        world.until_ready(worker, CHILD);
    }
    hold(&mut world, 3, &expected);
}

#[test]
fn power_is_lost_everywhere_around_the_cut_and_the_child_is_there() {
    for delay_ms in [0, 20, 60, 150, 400, 1000] {
        let mut world = World::of(3);
        world.create(3);
        let mut expected = BTreeMap::new();
        for n in 0..10 {
            let version = world.write(n * 20..(n + 1) * 20).version;
            expected.extend((n * 20..(n + 1) * 20).map(|n| (format!("p{n}"), version)));
        }
        begin(&world, 3);
        until_ready(&mut world, 3);
        cut(&world);
        world.pass(Duration::from_millis(delay_ms));
        let disks: Vec<_> = (1..=3).map(|worker| (worker, world.kill(worker))).collect();
        for (worker, disk) in disks {
            world.start(worker, disk);
        }
        all_served(&mut world, 3);
        replace_with(&world, SHARD);
        hold(&mut world, 3, &expected);
    }
}

#[test]
fn a_replica_that_slept_through_the_split_has_both_parts_afterwards() {
    let mut world = World::of(3);
    world.create(3);
    let mut expected = BTreeMap::new();
    for n in 0..5 {
        let version = world.write(n * 20..(n + 1) * 20).version;
        expected.extend((n * 20..(n + 1) * 20).map(|n| (format!("p{n}"), version)));
    }
    begin(&world, 3);
    until_ready(&mut world, 3);
    let away = world.until_led(SHARD) % 3 + 1;
    let disk = world.kill(away);
    cut(&world);
    let awake: Vec<u64> = (1..=3).filter(|n| *n != away).collect();
    world.until("the others serve the child", |w| awake.iter().all(|n| w.store(*n, CHILD).is_some()));
    replace_with(&world, SHARD);
    world.start(away, disk);
    all_served(&mut world, 3);
    hold(&mut world, 3, &expected);
}

#[test]
fn a_split_that_is_called_off_leaves_the_shard_whole() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..100);
    begin(&world, 3);
    until_ready(&mut world, 3);
    world.catalog.change_shard(SHARD, |shard| shard.split = None);
    world.until("nobody builds a part", |w| {
        (1..=3).all(|n| w.catalog.report_of(WorkerId(n), SHARD).is_some_and(|r| !r.split_ready))
    });
    world.write(100..120);
    world.assert_equal(SHARD, &[1, 2, 3]);
    world.pass(Duration::from_secs(2));
    for worker in 1..=3 {
        let files = world.nodes[&worker].disk.files();
        assert!(files.iter().all(|(name, _)| !name.starts_with("shards/2/")), "{files:?}");
    }
}

/// Whoever leads the shard leads the part that is split off, and at once: its writes wait for no election timeout, the
/// shortest of which is a second and a half.
#[test]
fn the_leader_of_a_shard_leads_its_child_at_once() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..100);
    begin(&world, 3);
    until_ready(&mut world, 3);
    let leader = world.until_led(SHARD);
    cut(&world);
    let patience = |world: &mut World, what: &dyn Fn(&World) -> bool| {
        let steps = (0..200).take_while(|_| {
            world.pass(Duration::from_millis(50));
            !what(world)
        });
        Duration::from_millis(50) * steps.count() as u32
    };
    patience(&mut world, &|w| w.group(leader, CHILD).is_some());
    let waited = patience(&mut world, &|w| w.leader(CHILD).is_some());
    assert_eq!(world.leader(CHILD), Some(leader));
    assert!(waited < Duration::from_secs(1), "{waited:?}");
}

/// Lesson 28: a change of the map costs no seconds of writes.
#[test]
fn l28_a_split_and_a_move_stop_writes_for_less_than_an_outage() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..100);
    begin(&world, 3);
    until_ready(&mut world, 3);
    let target = world.target(SHARD);
    cut(&world);
    world.until("the cut is applied by its leader", |w| {
        w.leader(SHARD).is_some_and(|n| w.catalog.report_of(WorkerId(n), SHARD).is_some_and(|r| r.epoch == 2))
    });
    let begun = world.clock.now();
    replace_with(&world, SHARD);
    for shard in [SHARD, CHILD] {
        let numbers = (1000..).filter(|n| of(&format!("p{n}")) == shard).take(1);
        world.write_operation(shard, WriteOperation::Upsert(numbers.map(point).collect()));
    }
    let outage = world.clock.now().since(begun);
    assert!(outage < Duration::from_secs(5), "{outage:?}");
    // A change of replicas is no change of the range: not one write is refused for it.
    assert_ne!(world.target(SHARD), target);
    let target = world.target(SHARD);
    use vectron_wire::placement::ReplicaRole::{Joining, Voter};
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Voter), (4, 4, Joining)]);
    assert_eq!(world.target(SHARD), target);
    let leader = world.until_led(SHARD);
    let own = (2000..).filter(|n| of(&format!("p{n}")) == SHARD);
    for n in own.take(50) {
        world.try_write(leader, target, WriteOperation::Upsert(vec![point(n)])).unwrap();
    }
    world.until_ready(4, SHARD);
}
