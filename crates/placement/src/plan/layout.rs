//! Who holds what once all that is under way has ended.

use super::Planned;
use crate::PlacementKnobs;
use crate::catalog::Catalog;
use crate::observe::{Life, Reports};
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{
    CollectionState, Locality, Registration, Replica, ReplicaRole, Shard, ShardPhase,
};

/// What an empty shard counts as: its log, its files and its share of every heartbeat are not free.
pub const UNIT_BYTES: u64 = 64 << 20;

/// A worker, as plans see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub locality: Locality,
    /// Its share of the cluster's cores, memory and disk, in millionths; at least 1.
    pub share: u64,
    /// Whether it was heard lately.
    pub alive: bool,
    /// Whether it was heard within a third of what makes it dead: new collections prefer such workers.
    pub fresh: bool,
    /// Whether it was silent for so long that its replicas are made anew elsewhere.
    pub gone: bool,
    /// Whether it gives its replicas away.
    pub draining: bool,
    /// Bytes free on its disk, if it said so.
    pub free_bytes: Option<u64>,
    /// Bytes of its disk.
    pub disk_bytes: u64,
}

impl Node {
    /// Whether it may get a replica of this size: it is there, it stays, and the copy leaves a tenth of its disk free.
    pub fn takes(&self, bytes: u64) -> bool {
        let left = self.free_bytes.is_none_or(|free| free.saturating_sub(bytes) >= self.disk_bytes / 10);
        self.alive && !self.draining && (bytes == 0 || left)
    }
}

/// A replica, or one that is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where.
    pub worker: WorkerId,
    /// Which, if it is there already.
    pub replica: Option<ReplicaId>,
    /// Whether it only follows.
    pub learner: bool,
    /// Why it must be replaced, in words.
    pub bad: Option<String>,
    /// Whether its data is of no use: it is quarantined, or differs from the others.
    pub spoiled: bool,
}

/// A shard, as plans see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The collection's life.
    pub incarnation: Incarnation,
    /// Voters that it shall have.
    pub voters_wanted: usize,
    /// Its replicas.
    pub holders: Vec<Holder>,
    /// Bytes of a copy.
    pub bytes: u64,
    /// Whether a move is under way.
    pub busy: bool,
    /// Whether it is being split: its replicas stay where they are.
    pub splitting: bool,
    /// Whether a live worker leads it: without a leader nothing can change.
    pub led: bool,
}

impl Placed {
    /// The replicas that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(|holder| !holder.learner)
    }

    /// The replica on a worker.
    pub fn on(&self, worker: WorkerId) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.worker == worker)
    }

    /// What a replica counts as when loads are compared.
    pub fn weight(&self) -> u64 {
        self.bytes + UNIT_BYTES
    }

    /// Whether its replicas may be planned anew.
    pub fn movable(&self) -> bool {
        self.led && !self.busy && !self.splitting
    }
}

/// Who holds what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Registered workers.
    pub workers: BTreeMap<WorkerId, Node>,
    /// Shards of live collections.
    pub shards: BTreeMap<ShardId, Placed>,
}

impl Layout {
    /// The layout that the catalog wants, with what the reports say of it.
    pub fn of(catalog: &Catalog, reports: &Reports, now: Tick, knobs: &PlacementKnobs) -> Self {
        let dead_after = Duration::from_millis(knobs.dead_after_ms);
        let gone_after = dead_after + Duration::from_millis(knobs.repair_grace_ms);
        let shares = shares(catalog);
        let node = |registration: &Registration| {
            let worker = registration.worker;
            let (silence, heard) = reports.silence(worker, now);
            let node = Node {
                locality: registration.locality.clone(),
                share: shares.get(&worker).copied().unwrap_or(1),
                alive: reports.life(worker, now, dead_after) == Life::Alive,
                fresh: heard && silence < dead_after / 3,
                gone: silence >= gone_after,
                draining: catalog.draining(worker),
                free_bytes: reports.of(worker).map(|(report, _)| report.disk_free_bytes),
                disk_bytes: registration.disk_bytes,
            };
            (worker, node)
        };
        let workers: BTreeMap<WorkerId, Node> = catalog.workers().map(node).collect();
        let mut shards = BTreeMap::new();
        let live = catalog.collections().filter(|c| c.state == CollectionState::Live);
        for collection in live {
            for shard in &collection.shards {
                let replicas = shard.replicas.iter().filter(|r| r.role != ReplicaRole::Leaving);
                let under_way = catalog.move_of(shard.shard);
                // A lone voter that waits for its successor to lead goes too.
                let going = under_way.and_then(|m| m.leaving()).map(|replica| replica.replica);
                let holders = replicas
                    .filter(|replica| Some(replica.replica) != going)
                    .map(|replica| holder(catalog, reports, &workers, shard, replica))
                    .collect();
                let placed = Placed {
                    incarnation: collection.incarnation,
                    voters_wanted: collection.spec.replication_factor as usize,
                    holders,
                    bytes: reports.bytes(shard),
                    busy: under_way.is_some(),
                    splitting: shard.split.is_some(),
                    led: reports
                        .lead(shard)
                        .is_some_and(|led| workers.get(&led.worker).is_some_and(|node| node.alive)),
                };
                shards.insert(shard.shard, placed);
            }
        }
        Self { workers, shards }
    }

    /// The layout after a step.
    pub fn apply(&mut self, step: &Planned) {
        let Some(shard) = self.shards.get_mut(&step.shard) else { return };
        let gone = step.from.and_then(|from| shard.holders.iter().position(|h| h.worker == from));
        let learner = gone.map_or(step.learner, |at| shard.holders.remove(at).learner);
        if let Some(worker) = step.to {
            shard.holders.push(Holder { worker, replica: None, learner, bad: None, spoiled: false });
        }
        shard.busy = true;
    }

    /// Weight of the replicas on each worker, workers without any included.
    pub fn loads(&self) -> BTreeMap<WorkerId, u64> {
        let mut loads: BTreeMap<WorkerId, u64> = self.workers.keys().map(|worker| (*worker, 0)).collect();
        for shard in self.shards.values() {
            for holder in &shard.holders {
                *loads.entry(holder.worker).or_default() += shard.weight();
            }
        }
        loads
    }
}

fn holder(
    catalog: &Catalog,
    reports: &Reports,
    workers: &BTreeMap<WorkerId, Node>,
    shard: &Shard,
    replica: &Replica,
) -> Holder {
    let phase = reports.replica(shard.shard, replica).map(|report| report.phase);
    let bad = if let Some(why) = catalog.condemned(replica.replica) {
        Some(why.to_string())
    } else if phase == Some(ShardPhase::Failed) {
        Some(format!("replica {} on worker {} is quarantined", replica.replica, replica.worker))
    } else if workers.get(&replica.worker).is_none_or(|node| node.gone) {
        Some(format!("worker {} is silent", replica.worker))
    } else {
        None
    };
    let spoiled = catalog.condemned(replica.replica).is_some() || phase == Some(ShardPhase::Failed);
    let learner = replica.role == ReplicaRole::Learner;
    Holder { worker: replica.worker, replica: Some(replica.replica), learner, bad, spoiled }
}

/// Each worker's share of what all workers have, in millionths: the mean of its shares of cores, memory and disk.
fn shares(catalog: &Catalog) -> BTreeMap<WorkerId, u64> {
    type Figure = fn(&Registration) -> u64;
    let figures: [Figure; 3] = [|w| u64::from(w.cores), |w| w.memory_bytes, |w| w.disk_bytes];
    let mut shares: BTreeMap<WorkerId, u64> = catalog.workers().map(|w| (w.worker, 0)).collect();
    let count = shares.len().max(1) as u128;
    for figure in figures {
        let total: u128 = catalog.workers().map(|w| u128::from(figure(w))).sum();
        for worker in catalog.workers() {
            let part = (u128::from(figure(worker)) * 1_000_000).checked_div(total);
            // What nobody names does not tell workers apart.
            *shares.entry(worker.worker).or_default() += part.unwrap_or(1_000_000 / count) as u64;
        }
    }
    shares.values_mut().for_each(|share| *share = (*share / 3).max(1));
    shares
}
