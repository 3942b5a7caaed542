//! Replicas that come, go, catch up and hand over.

use crate::world::*;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::{ReplicaId, WorkerId};
use vectron_wire::placement::ReplicaRole::{Joining, Learner, Leaving, Voter};
use vectron_wire::placement::ShardPhase;
use vectron_wire::worker::{ReadLevel, WriteOperation};

const THREE: [(u64, u64, vectron_wire::placement::ReplicaRole); 3] =
    [(1, 1, Voter), (2, 2, Voter), (3, 3, Voter)];

fn voters(world: &World) -> Vec<u64> {
    let lead = world.catalog.lead(SHARD);
    lead.map_or_else(Vec::new, |(_, lead)| lead.members.voters.iter().map(|r| r.0).collect())
}

#[test]
fn three_replicas_take_writes_and_one_may_die() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..100);
    world.assert_equal(SHARD, &[1, 2, 3]);
    let leader = world.until_led(SHARD);
    let disk = world.kill(leader);
    world.write(100..150);
    world.start(leader, disk);
    world.assert_equal(SHARD, &[1, 2, 3]);
    let target = world.target(SHARD);
    for worker in 1..=3 {
        assert_eq!(world.count(worker, target, ReadLevel::Linearizable), Ok(150), "worker {worker}");
    }
    let (_, lead) = world.catalog.lead(SHARD).unwrap();
    assert_eq!(lead.members.voters, [1, 2, 3].map(ReplicaId));
    assert_eq!(world.catalog.report_of(WorkerId(1), SHARD).unwrap().points, 150);
}

#[test]
fn a_replica_is_added_by_a_copy_and_serves_without_indexing_again() {
    let mut world = World::of(4);
    world.create(3);
    for batch in 0..30 {
        world.write(batch * 50..(batch + 1) * 50);
    }
    world.network.broken_parts.store(5, Ordering::SeqCst);
    let mut roles = THREE.to_vec();
    roles.push((4, 4, Joining));
    world.catalog.set_roles(SHARD, &roles);
    world.until_ready(4, SHARD);
    world.assert_equal(SHARD, &[1, 2, 3, 4]);
    assert!(world.nodes[&4].metrics.fetched.get() > 0, "it came by a copy");
    assert!(world.network.parts.load(Ordering::SeqCst) > 5, "in parts, some of which failed");
    assert_eq!(voters(&world), [1, 2, 3], "it learns and does not vote");
    let target = world.target(SHARD);
    assert_eq!(world.count(4, target, ReadLevel::Linearizable), Ok(1500));
}

#[test]
fn a_move_replaces_a_replica_and_the_old_one_leaves_nothing() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..200);
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Voter), (4, 4, Joining)]);
    world.until_ready(4, SHARD);
    world.write(200..220);
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Leaving), (4, 4, Voter)]);
    world.until("the voters are 1, 2 and 4", |w| voters(w) == [1, 2, 4]);
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (4, 4, Voter)]);
    world.until("the old replica is gone", |w| w.phase(3, SHARD) == Some(ShardPhase::Removed));
    let files = world.nodes[&3].disk.files();
    assert!(files.iter().all(|(name, _)| !name.starts_with("shards/")), "{files:?}");
    world.write(220..230);
    world.assert_equal(SHARD, &[1, 2, 4]);

    // It does not come back by a restart, nor under its old number.
    world.restart(3);
    world.pass(Duration::from_secs(3));
    assert!(world.store(3, SHARD).is_none());
    // Another replica may come to the same worker.
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (4, 4, Voter), (5, 3, Joining)]);
    world.until_ready(3, SHARD);
    world.assert_equal(SHARD, &[1, 2, 3, 4]);
}

#[test]
fn a_leader_that_leaves_hands_over_first() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..50);
    let leader = world.until_led(SHARD);
    let mut roles = THREE.to_vec();
    roles.push((4, 4, Joining));
    world.catalog.set_roles(SHARD, &roles);
    world.until_ready(4, SHARD);
    for role in &mut roles {
        if role.1 == leader {
            role.2 = Leaving;
        } else if role.1 == 4 {
            role.2 = Voter;
        }
    }
    world.catalog.set_roles(SHARD, &roles);
    let left: Vec<u64> = (1..=4).filter(|r| *r != leader).collect();
    world.until("the leader has left", |w| voters(w) == left);
    assert_ne!(world.until_led(SHARD), leader);
    world.write(50..60);
}

#[test]
fn the_only_replica_moves_away() {
    let mut world = World::of(2);
    world.create(1);
    world.write(0..300);
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Joining)]);
    world.until_ready(2, SHARD);
    world.catalog.set_roles(SHARD, &[(1, 1, Leaving), (2, 2, Voter)]);
    world.until("the new one votes alone", |w| voters(w) == [2]);
    world.catalog.set_roles(SHARD, &[(2, 2, Voter)]);
    world.until("the old one is gone", |w| w.phase(1, SHARD) == Some(ShardPhase::Removed));
    world.write(300..310);
    let target = world.target(SHARD);
    assert_eq!(world.count(2, target, ReadLevel::Linearizable), Ok(310));
}

#[test]
fn a_wished_leader_leads_and_a_stop_hands_over() {
    let mut world = World::of(3);
    world.create(3);
    world.write(0..10);
    let leader = world.until_led(SHARD);
    let wished = leader % 3 + 1;
    world.catalog.change_shard(SHARD, |shard| shard.leader = Some(ReplicaId(wished)));
    world.until("the wished one leads", |w| w.leader(SHARD) == Some(wished));
    world.catalog.change_shard(SHARD, |shard| shard.leader = None);
    let before = world.group(wished, SHARD).unwrap().term;
    let disk = world.stop(wished);
    let next = world.leader(SHARD).expect("somebody leads as soon as the stop is done");
    assert_eq!(world.group(next, SHARD).unwrap().term, before + 1, "by a transfer, without an election");
    world.start(wished, disk);
    world.assert_equal(SHARD, &[1, 2, 3]);
}

#[test]
fn a_replica_that_was_away_too_long_takes_a_copy_in_the_place_of_its_data() {
    let mut world = World::of(3);
    world.consensus_knobs.journal_limit_bytes = 32 << 10;
    for id in 1..=3 {
        world.restart(id);
    }
    world.create(3);
    world.write(0..50);
    let away = world.until_led(SHARD) % 3 + 1;
    let disk = world.kill(away);
    for batch in 1..40 {
        world.write(batch * 50..(batch + 1) * 50);
        world.write_operation(SHARD, WriteOperation::DeleteIds(vec![format!("p{batch}")]));
    }
    world.pass(Duration::from_secs(20));
    let offers = world.network.offers.load(Ordering::SeqCst);
    world.start(away, disk);
    world.assert_equal(SHARD, &[1, 2, 3]);
    assert!(world.network.offers.load(Ordering::SeqCst) > offers, "the log alone would have done");
    let target = world.target(SHARD);
    assert_eq!(world.count(away, target, ReadLevel::Linearizable), Ok(2000 - 39));
    // And goes on as it was.
    world.write(5000..5010);
    world.restart(away);
    world.assert_equal(SHARD, &[1, 2, 3]);
    let left = world.nodes[&away].disk.files();
    let dirs: std::collections::BTreeSet<&str> =
        left.iter().filter_map(|(name, _)| name.strip_prefix("shards/1/")?.split('/').next()).collect();
    assert_eq!(dirs.len(), 2, "the meta file and one data directory: {dirs:?}");
}

#[test]
fn a_search_only_replica_learns_reads_and_goes() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..50);
    let mut roles = THREE.to_vec();
    roles.push((4, 4, Learner));
    world.catalog.set_roles(SHARD, &roles);
    world.until_ready(4, SHARD);
    let target = world.target(SHARD);
    assert_eq!(world.count(4, target, ReadLevel::Linearizable), Ok(50));
    world.pass(Duration::from_secs(5));
    assert_eq!(voters(&world), [1, 2, 3]);
    world.catalog.set_roles(SHARD, &THREE);
    world.until("it is gone", |w| w.phase(4, SHARD) == Some(ShardPhase::Removed));
    world.until("and no member", |w| w.catalog.lead(SHARD).unwrap().1.members.learners.is_empty());
}
