//! The cluster as operators see it.

use super::Service;
use crate::catalog::{Catalog, Move, Step};
use crate::observe::{Life, Reports};
use crate::plan::{Layout, drain};
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::WorkerId;
use vectron_wire::cluster::{MoveStep, MoveView, ReplicaView, ShardView, WorkerView};
use vectron_wire::placement::{
    ClusterView, Collection, CollectionState, PlannedMove, Replica, Shard, WorkerEntry, WorkerLoad,
};

impl Service {
    pub(super) fn show(&self) -> ClusterView {
        let (now, knobs) = (self.parts.clock.now(), &self.parts.knobs);
        let members = self.show_members();
        let mut view = self.parts.catalog.read(|catalog| {
            self.observed.read(|reports| {
                let layout = Layout::of(catalog, reports, now, knobs);
                cluster(catalog, reports, &layout, now, self.dead_after())
            })
        });
        view.members = members;
        view
    }
}

/// All but the members of the placement driver.
pub(super) fn cluster(
    catalog: &Catalog,
    reports: &Reports,
    layout: &Layout,
    now: Tick,
    dead_after: Duration,
) -> ClusterView {
    let mut leads: BTreeMap<WorkerId, u64> = BTreeMap::new();
    let mut points: BTreeMap<WorkerId, u64> = BTreeMap::new();
    let view = catalog.view();
    let live = || view.collections.iter().filter(|c| c.state == CollectionState::Live);
    let mut shards = Vec::new();
    for collection in live() {
        for shard in &collection.shards {
            if let Some(led) = reports.lead(shard) {
                *leads.entry(led.worker).or_default() += 1;
            }
            for replica in &shard.replicas {
                let held = reports.replica(shard.shard, replica).map_or(0, |report| report.points);
                *points.entry(replica.worker).or_default() += held;
            }
            shards.push(show_shard(catalog, reports, collection, shard, now, dead_after));
        }
    }
    let of = |counts: &BTreeMap<WorkerId, u64>, worker| counts.get(&worker).copied().unwrap_or(0);
    let show_worker = |entry: &WorkerEntry| {
        let worker = entry.registration.worker;
        let (silence, heard) = reports.silence(worker, now);
        let report = reports.of(worker).map(|(report, _)| report);
        WorkerView {
            entry: entry.clone(),
            silent_ms: heard.then(|| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX)),
            alive: reports.life(worker, now, dead_after) == Life::Alive,
            disk_free_bytes: report.map_or(0, |report| report.disk_free_bytes),
            memory_used_bytes: report.map_or(0, |report| report.memory_used_bytes),
            replicas: catalog.replicas_on(worker),
            leads: of(&leads, worker),
            points: of(&points, worker),
            load: report.map_or_else(WorkerLoad::default, |report| report.load),
            blocked_by: if catalog.draining(worker) {
                drain::blocked(layout, worker, catalog.paused())
            } else {
                Vec::new()
            },
        }
    };
    ClusterView {
        epoch: view.epoch,
        members: Vec::new(),
        workers: view.workers.iter().map(show_worker).collect(),
        shards,
        moves: catalog.moves().map(show_move).collect(),
        paused: catalog.paused(),
    }
}

fn show_shard(
    catalog: &Catalog,
    reports: &Reports,
    collection: &Collection,
    shard: &Shard,
    now: Tick,
    dead_after: Duration,
) -> ShardView {
    let led = reports.lead(shard).filter(|led| reports.life(led.worker, now, dead_after) == Life::Alive);
    let leader = led.map(|led| led.replica.replica);
    let show = |replica: &Replica| {
        let report = reports.replica(shard.shard, replica);
        ReplicaView {
            replica: replica.replica,
            worker: replica.worker,
            role: replica.role,
            phase: report.map(|report| report.phase),
            leads: leader == Some(replica.replica),
            applied_index: report.map_or(0, |report| report.applied_index),
            index_lag: report.map_or(0, |report| report.index_lag),
        }
    };
    let mut problems = Vec::new();
    if leader.is_none() {
        problems.push("no live worker leads it".to_string());
    }
    for replica in &shard.replicas {
        if let Some(why) = catalog.condemned(replica.replica) {
            problems.push(why.to_string());
        }
        if reports.life(replica.worker, now, dead_after) == Life::Dead {
            problems.push(format!("worker {} is silent", replica.worker));
        }
        let phase = reports.replica(shard.shard, replica).map(|report| report.phase);
        if phase == Some(vectron_wire::placement::ShardPhase::Failed) {
            problems.push(format!("replica {} on worker {} is quarantined", replica.replica, replica.worker));
        }
    }
    let (voters, wanted) = (shard.voters().count(), collection.spec.replication_factor as usize);
    if voters < wanted {
        problems.push(format!("{voters} voter(s) of {wanted}"));
    }
    ShardView {
        collection: collection.spec.name.clone(),
        shard: shard.shard,
        first: shard.first,
        last: shard.last,
        epoch: shard.epoch,
        points: reports.points(shard),
        disk_bytes: shard
            .replicas
            .iter()
            .filter_map(|replica| reports.replica(shard.shard, replica))
            .map(|report| report.disk_bytes)
            .max()
            .unwrap_or(0),
        splits_off: shard.split.as_ref().map(|split| split.child),
        replicas: shard.replicas.iter().map(show).collect(),
        problems,
    }
}

fn show_move(one: &Move) -> MoveView {
    let (from, to) = (one.from.map(|replica| replica.worker), one.to.map(|replica| replica.worker));
    let reason = if one.undone { format!("rolled back: {}", one.reason) } else { one.reason.clone() };
    let step = match one.step {
        Step::Copying => MoveStep::Copying,
        Step::Switching => MoveStep::Switching,
        Step::Removing => MoveStep::Removing,
    };
    let planned = PlannedMove { shard: one.shard, from, to, bytes: one.bytes, reason };
    MoveView { id: one.id, planned, step, started_ms: one.started_ms }
}
