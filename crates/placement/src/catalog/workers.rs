//! Workers in the catalog, and the members of the placement driver itself.

use super::{Catalog, Reply};
use std::collections::BTreeMap;
use vectron_base::ids::{ReplicaId, WorkerId};
use vectron_wire::placement::{Registration, WorkerEntry, WorkerState};

impl Catalog {
    pub(super) fn register(&mut self, registration: Registration) -> Reply {
        if self.workers.get(&registration.worker) != Some(&registration) {
            self.epoch += 1;
            self.workers.insert(registration.worker, registration);
        }
        Reply::Done
    }

    pub(super) fn set_worker_state(&mut self, worker: WorkerId, state: WorkerState) -> Reply {
        if !self.workers.contains_key(&worker) {
            return Reply::NotFound;
        }
        let changed = match state {
            WorkerState::Active => self.draining.remove(&worker),
            WorkerState::Draining => self.draining.insert(worker),
        };
        self.epoch += u64::from(changed);
        Reply::Done
    }

    pub(super) fn remove_worker(&mut self, worker: WorkerId) -> Reply {
        if !self.workers.contains_key(&worker) {
            return Reply::NotFound;
        }
        let held = self.replicas_on(worker);
        if held > 0 {
            return Reply::Refused { why: format!("worker {worker} has {held} replica(s); drain it first") };
        }
        self.workers.remove(&worker);
        self.draining.remove(&worker);
        self.epoch += 1;
        Reply::Done
    }

    /// Replicas that the catalog places on a worker, those of shards to be included.
    pub fn replicas_on(&self, worker: WorkerId) -> u64 {
        let shards = self.collections.values().flat_map(|c| &c.shards);
        let replicas =
            shards.flat_map(|s| s.replicas.iter().chain(s.split.iter().flat_map(|split| &split.replicas)));
        replicas.filter(|replica| replica.worker == worker).count() as u64
    }

    /// Every registered worker, in order of id.
    pub fn workers(&self) -> impl Iterator<Item = &Registration> {
        self.workers.values()
    }

    /// Whether a worker gives its replicas away.
    pub fn draining(&self, worker: WorkerId) -> bool {
        self.draining.contains(&worker)
    }

    pub(super) fn worker_entries(&self) -> Vec<WorkerEntry> {
        let entry = |registration: &Registration| WorkerEntry {
            registration: registration.clone(),
            state: if self.draining(registration.worker) {
                WorkerState::Draining
            } else {
                WorkerState::Active
            },
        };
        self.workers.values().map(entry).collect()
    }

    pub(super) fn add_member(&mut self, replica: ReplicaId, address: String) -> Reply {
        if self.retired_members.contains(&replica) || replica.0 == 0 {
            return Reply::Refused { why: format!("member {replica} was removed, or is no valid number") };
        }
        self.members.insert(replica, address);
        Reply::Done
    }

    pub(super) fn remove_member(&mut self, replica: ReplicaId) -> Reply {
        if !self.members.contains_key(&replica) {
            return Reply::NotFound;
        }
        if self.members.len() == 1 {
            return Reply::Refused { why: "it is the last member of the placement driver".into() };
        }
        self.members.remove(&replica);
        self.retired_members.insert(replica);
        Reply::Done
    }

    /// The placement driver's own members, with their addresses, as they shall be.
    pub fn members(&self) -> &BTreeMap<ReplicaId, String> {
        &self.members
    }
}
