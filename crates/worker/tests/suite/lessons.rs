//! Failures of earlier systems, by the number that they have among the lessons.

use crate::world::*;
use std::time::Duration;
use vectron_base::ids::WorkerId;
use vectron_wire::placement::ReplicaRole::{Joining, Leaving, Voter};
use vectron_wire::placement::ShardPhase;
use vectron_wire::worker::{ReadLevel, WriteOperation};

/// Shard snapshots exported nothing, and repaired replicas started empty.
#[test]
fn l24_a_copied_replica_has_the_digest_of_its_source() {
    let mut world = World::of(4);
    world.create(3);
    for n in 0..10 {
        world.write(n * 30..(n + 1) * 30);
        world.write_operation(SHARD, WriteOperation::DeleteIds(vec![format!("p{}", n * 30)]));
    }
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Voter), (4, 4, Joining)]);
    world.until_ready(4, SHARD);
    let digest = world.assert_equal(SHARD, &[1, 2, 3, 4]);
    assert_ne!(digest, 0);
    let target = world.target(SHARD);
    assert_eq!(world.count(4, target, ReadLevel::Linearizable), Ok(290));
}

/// Removed node ids were never usable again, and what was removed could vote.
#[test]
fn l26_a_worker_that_gave_a_replica_away_can_have_another() {
    let mut world = World::of(4);
    world.create(3);
    world.write(0..50);
    let voters = [(1, 1, Voter), (2, 2, Voter), (3, 3, Voter)];
    for round in 0..3 {
        let (old, new) = (world.catalog.shard(SHARD).replicas[2], 10 + round);
        let to = if old.worker == WorkerId(3) { 4 } else { 3 };
        let (old, from) = (old.replica.0, old.worker.0);
        let kept = [voters[0], voters[1]];
        world.catalog.set_roles(SHARD, &[kept[0], kept[1], (old, from, Voter), (new, to, Joining)]);
        world.until_ready(to, SHARD);
        world.catalog.set_roles(SHARD, &[kept[0], kept[1], (old, from, Leaving), (new, to, Voter)]);
        world.until("the new one votes and the old one does not", |w| {
            w.catalog.lead(SHARD).is_some_and(|(_, lead)| {
                let votes = |id: u64| lead.members.voters.iter().any(|r| r.0 == id);
                votes(new) && !votes(old) && lead.members.outgoing.is_empty()
            })
        });
        world.catalog.set_roles(SHARD, &[kept[0], kept[1], (new, to, Voter)]);
        world.until("the old one is gone", |w| w.phase(from, SHARD) == Some(ShardPhase::Removed));
        world.write(100 + round * 10..110 + round * 10);
        world.assert_equal(SHARD, &[1, 2, to]);
    }
}

/// Replicas diverged in silence, and deletes came back after a repair.
#[test]
fn l31_marks_compare_replicas_and_a_repair_brings_nothing_back() {
    let mut world = World::of(4);
    world.knobs.mark_interval_s = 2;
    for id in 1..=4 {
        world.restart(id);
    }
    world.create(3);
    world.write(0..100);
    world.write_operation(SHARD, WriteOperation::DeleteIds((0..50).map(|n| format!("p{n}")).collect()));
    let marks = |w: &World, workers: &[u64]| -> Option<Vec<_>> {
        workers.iter().map(|n| w.catalog.report_of(WorkerId(*n), SHARD)?.mark).collect()
    };
    world.pass(Duration::from_secs(5));
    world.until("all report one mark", |w| {
        marks(w, &[1, 2, 3]).is_some_and(|marks| marks.windows(2).all(|pair| pair[0].index == pair[1].index))
    });
    let compared = marks(&world, &[1, 2, 3]).unwrap();
    assert!(compared.windows(2).all(|pair| pair[0] == pair[1]), "{compared:?}");

    // One replica is replaced by a new one elsewhere.
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Voter), (4, 4, Joining)]);
    world.until_ready(4, SHARD);
    world.catalog.set_roles(SHARD, &[(1, 1, Voter), (2, 2, Voter), (3, 3, Leaving), (4, 4, Voter)]);
    world.until("the new one votes", |w| {
        w.catalog.lead(SHARD).is_some_and(|(_, lead)| lead.members.voters.iter().any(|r| r.0 == 4))
    });
    let target = world.target(SHARD);
    assert_eq!(world.count(4, target, ReadLevel::Linearizable), Ok(50));
    assert!(world.get(4, target, ReadLevel::Linearizable, "p7").unwrap().value[0].is_none());
    world.assert_equal(SHARD, &[1, 2, 4]);
}
