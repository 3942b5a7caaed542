//! The catalog: collections, shards, replicas and workers, as a deterministic state that commands change.
//!
//! Everything that must be decided once is decided in [`Catalog::apply`]: ids are handed out by counters in
//! the state, so every replica hands out the same.

mod aliases;
mod command;
mod field_indexes;
mod file;
mod machine;
mod moves;
mod splits;
mod workers;

pub use command::{AliasRefusal, Command, MoveLimits, Reply};
pub use file::{CatalogFileError, Origin};
pub use machine::{CatalogMachine, SharedCatalog};
pub use moves::{Move, Step};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{
    CatalogView, Collection, CollectionSpec, CollectionState, Registration, Replica, Shard,
};
use vectron_wire::routing::equal_ranges;

/// The replicated truth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    epoch: u64,
    next_incarnation: u64,
    next_shard: u64,
    next_replica: u64,
    #[serde(default)]
    next_move: u64,
    pub(crate) collections: BTreeMap<Incarnation, Collection>,
    workers: BTreeMap<WorkerId, Registration>,
    /// Workers that give their replicas away.
    #[serde(default)]
    draining: BTreeSet<WorkerId>,
    #[serde(default)]
    moves: BTreeMap<u64, Move>,
    /// Replicas to be replaced although they serve, and why.
    #[serde(default)]
    condemned: BTreeMap<ReplicaId, String>,
    #[serde(default)]
    paused: bool,
    /// Whether replicas are spread until no move makes it better.
    #[serde(default)]
    rebalancing: bool,
    /// Members of the placement driver and their addresses.
    #[serde(default)]
    members: BTreeMap<ReplicaId, String>,
    #[serde(default)]
    retired_members: BTreeSet<ReplicaId>,
    /// Other names of live collections: by alias, the collection's own name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
}

impl Catalog {
    /// Carries a command out. Total: a refusal is a reply.
    pub fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::RegisterWorker { registration } => self.register(registration),
            Command::SetWorkerState { worker, state } => self.set_worker_state(worker, state),
            Command::RemoveWorker { worker } => self.remove_worker(worker),
            Command::CreateCollection { spec, created_at_ms, placements, collections_max } => {
                self.create(spec, created_at_ms, &placements, collections_max)
            }
            Command::DeleteCollection { name } => self.delete(&name),
            Command::ChangeAliases { actions, aliases_max } => self.change_aliases(&actions, aliases_max),
            Command::CreateIndex { collection, index, indexes_max } => {
                self.create_index(&collection, index, indexes_max)
            }
            Command::DeleteIndex { collection, field } => self.delete_index(&collection, &field),
            Command::ForgetCollection { incarnation } => self.forget(incarnation),
            Command::BeginMove { shard, config, from, to, learner, bytes, reason, started_ms, limits } => {
                self.begin_move(moves::Begin {
                    shard,
                    config,
                    from,
                    to,
                    learner,
                    bytes,
                    reason,
                    started_ms,
                    limits,
                })
            }
            Command::SwitchMove { id, config } => self.switch_move(id, config),
            Command::RetireSource { id, config } => self.retire_source(id, config),
            Command::DropReplica { id, config } => self.drop_replica(id, config),
            Command::FinishMove { id } => self.finish_move(id),
            Command::CancelMove { id, config } => self.cancel_move(id, config),
            Command::SetLeader { shard, config, leader } => self.set_leader(shard, config, leader),
            Command::Condemn { shard, replica, why } => self.condemn(shard, replica, why),
            Command::PlanSplit { shard, config, first, shards_max } => {
                self.plan_split(shard, config, first, shards_max)
            }
            Command::CutSplit { shard, config } => self.cut_split(shard, config),
            Command::AbortSplit { shard, config } => self.abort_split(shard, config),
            Command::FinishSplit { shard, epoch } => self.finish_split(shard, epoch),
            Command::SetPaused { paused } => {
                self.paused = paused;
                Reply::Done
            }
            Command::SetRebalancing { rebalancing } => {
                self.rebalancing = rebalancing;
                Reply::Done
            }
            Command::AddMember { replica, address } => self.add_member(replica, address),
            Command::RemoveMember { replica } => self.remove_member(replica),
        }
    }

    fn create(&mut self, spec: CollectionSpec, at_ms: u64, placements: &[Vec<WorkerId>], max: u64) -> Reply {
        if let Some(existing) = self.live(&spec.name) {
            let differs = differences(&existing.spec, &spec);
            return if differs.is_empty() {
                Reply::Collection { incarnation: existing.incarnation, created: false }
            } else {
                Reply::Conflict { differs }
            };
        }
        if let Some(collection) = self.aliases.get(&spec.name) {
            return Reply::IsAlias { collection: collection.clone() };
        }
        if self.live_collections().count() as u64 >= max {
            return Reply::Full;
        }
        // A worker may have gone since the placement was planned.
        let known = |workers: &Vec<WorkerId>| {
            let distinct: BTreeSet<&WorkerId> = workers.iter().collect();
            distinct.len() == workers.len() && workers.iter().all(|w| self.workers.contains_key(w))
        };
        if placements.len() != spec.shards as usize || !placements.iter().all(known) {
            return Reply::Stale;
        }
        self.epoch += 1;
        self.next_incarnation += 1;
        let incarnation = Incarnation(self.next_incarnation);
        let ranges = equal_ranges(spec.shards);
        let shards = ranges.iter().zip(placements).map(|(range, workers)| self.new_shard(*range, workers));
        let shards = shards.collect();
        let collection = Collection {
            spec,
            incarnation,
            created_at_ms: at_ms,
            state: CollectionState::Live,
            shards,
            field_indexes: Vec::new(),
        };
        self.collections.insert(incarnation, collection);
        Reply::Collection { incarnation, created: true }
    }

    fn new_shard(&mut self, (first, last): (u64, u64), workers: &[WorkerId]) -> Shard {
        self.next_shard += 1;
        let mut replica = |worker: &WorkerId| {
            self.next_replica += 1;
            Replica::voter(ReplicaId(self.next_replica), *worker)
        };
        let replicas = workers.iter().map(&mut replica).collect();
        let shard = ShardId(self.next_shard);
        Shard { shard, first, last, epoch: 1, config: 1, replicas, leader: None, split: None }
    }

    fn delete(&mut self, name: &str) -> Reply {
        if let Some(collection) = self.aliases.get(name) {
            return Reply::IsAlias { collection: collection.clone() };
        }
        let Some(collection) = self.live_mut(name) else {
            return Reply::NotFound;
        };
        collection.state = CollectionState::Deleting;
        let incarnation = collection.incarnation;
        let shards: Vec<ShardId> = collection.shards.iter().map(|shard| shard.shard).collect();
        // Whatever was under way ends here. A replica or a child that is not listed any more is removed by its
        // worker.
        for shard in &mut collection.shards {
            shard.split = None;
            shard.leader = None;
        }
        self.moves.retain(|_, found| !shards.contains(&found.shard));
        // An alias never means nothing, nor whatever is made under the name next.
        self.aliases.retain(|_, collection| collection != name);
        self.epoch += 1;
        Reply::Collection { incarnation, created: false }
    }

    fn forget(&mut self, incarnation: Incarnation) -> Reply {
        let deleting = |c: &Collection| c.state == CollectionState::Deleting;
        if !self.collections.get(&incarnation).is_some_and(deleting) {
            return Reply::Done;
        }
        if let Some(gone) = self.collections.remove(&incarnation) {
            for replica in gone.shards.iter().flat_map(|shard| &shard.replicas) {
                self.condemned.remove(&replica.replica);
            }
            self.epoch += 1;
        }
        Reply::Done
    }

    fn live_collections(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values().filter(|c| c.state == CollectionState::Live)
    }

    /// The live collection of a name.
    pub fn live(&self, name: &str) -> Option<&Collection> {
        self.live_collections().find(|c| c.spec.name == name)
    }

    fn live_mut(&mut self, name: &str) -> Option<&mut Collection> {
        let incarnation = self.live(name)?.incarnation;
        self.collections.get_mut(&incarnation)
    }

    /// A collection by incarnation, live or deleting.
    pub fn collection(&self, incarnation: Incarnation) -> Option<&Collection> {
        self.collections.get(&incarnation)
    }

    /// Every collection, live or deleting, by incarnation.
    pub fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values()
    }

    /// A shard and its collection.
    pub fn shard(&self, id: ShardId) -> Option<(&Collection, &Shard)> {
        let found = |c: &'_ Collection| c.shards.iter().position(|shard| shard.shard == id);
        self.collections.values().find_map(|c| Some((c, c.shards.get(found(c)?)?)))
    }

    /// Whether moves stop where they are safe and none begins.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Whether replicas are being spread until no move makes it better.
    pub fn rebalancing(&self) -> bool {
        self.rebalancing
    }

    /// Whether this number was given to a replica that is not listed any more. Such a replica never comes back,
    /// for numbers are given once.
    pub fn retired(&self, replica: ReplicaId) -> bool {
        let shards = self.collections.values().flat_map(|c| &c.shards);
        let mut listed =
            shards.flat_map(|s| s.replicas.iter().chain(s.split.iter().flat_map(|split| &split.replicas)));
        replica.0 <= self.next_replica && !listed.any(|r| r.replica == replica)
    }

    /// Grows with every change; 1 at first, so that 0 is older than any.
    pub fn epoch(&self) -> u64 {
        self.epoch + 1
    }

    /// What gateways and workers see.
    pub fn view(&self) -> CatalogView {
        let mut collections: Vec<Collection> = self.collections.values().cloned().collect();
        collections.sort_by(|a, b| (&a.spec.name, a.incarnation).cmp(&(&b.spec.name, b.incarnation)));
        let workers = self.worker_entries();
        CatalogView { epoch: self.epoch(), collections, workers, aliases: self.aliases() }
    }
}

/// Names of the settings in which two specs differ.
fn differences(have: &CollectionSpec, want: &CollectionSpec) -> Vec<String> {
    let checks = [
        ("dimension", have.dimension != want.dimension),
        ("distance", have.distance != want.distance),
        ("shards", have.shards != want.shards),
        ("replication_factor", have.replication_factor != want.replication_factor),
        ("read_policy", have.read_policy != want.read_policy),
        ("quantization", have.quantization != want.quantization),
        ("storage", have.storage != want.storage),
        ("index", have.index != want.index),
        ("vectors", have.vector_fields != want.vector_fields),
    ];
    checks.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_string()).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
