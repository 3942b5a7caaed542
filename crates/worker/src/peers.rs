//! Where the replicas of groups live, for who carries their messages: from the shards' own meta files at the start,
//! from the catalog afterwards.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_wire::placement::Replica;

#[derive(Default)]
struct Known {
    groups: BTreeMap<GroupId, BTreeMap<ReplicaId, WorkerId>>,
    addresses: BTreeMap<WorkerId, String>,
}

/// Where the replicas of this worker's groups live.
#[derive(Default)]
pub struct Peers {
    known: RwLock<Known>,
}

impl Peers {
    /// The worker that has a replica, if it is known.
    pub fn worker(&self, group: GroupId, replica: ReplicaId) -> Option<WorkerId> {
        self.known.read().groups.get(&group)?.get(&replica).copied()
    }

    /// Where a worker is reached.
    pub fn address(&self, worker: WorkerId) -> Option<String> {
        self.known.read().addresses.get(&worker).cloned()
    }

    /// Where the worker is reached that has a replica.
    pub fn address_of(&self, group: GroupId, replica: ReplicaId) -> Option<String> {
        let known = self.known.read();
        known.addresses.get(known.groups.get(&group)?.get(&replica)?).cloned()
    }

    /// These are the replicas of a group now.
    pub(crate) fn note_group(&self, group: GroupId, replicas: &[Replica]) {
        let replicas = replicas.iter().map(|r| (r.replica, r.worker)).collect();
        self.known.write().groups.insert(group, replicas);
    }

    /// Workers are reached there.
    pub(crate) fn note_addresses<'a>(&self, addresses: impl Iterator<Item = (WorkerId, &'a str)>) {
        let mut known = self.known.write();
        for (worker, address) in addresses {
            if known.addresses.get(&worker).is_none_or(|old| old != address) {
                known.addresses.insert(worker, address.to_string());
            }
        }
    }

    /// The group is not held here any more.
    pub(crate) fn forget(&self, group: GroupId) {
        self.known.write().groups.remove(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_reached_where_its_worker_is_now() {
        let (peers, group) = (Peers::default(), GroupId(7));
        peers.note_addresses([(WorkerId(1), "a:1"), (WorkerId(2), "b:1")].into_iter());
        peers.note_group(group, &[Replica::voter(ReplicaId(5), WorkerId(2))]);
        assert_eq!(peers.address_of(group, ReplicaId(5)).as_deref(), Some("b:1"));
        peers.note_addresses([(WorkerId(2), "b:2")].into_iter());
        assert_eq!(peers.address_of(group, ReplicaId(5)).as_deref(), Some("b:2"));
        peers.note_group(group, &[Replica::voter(ReplicaId(6), WorkerId(1))]);
        assert_eq!(peers.address_of(group, ReplicaId(5)), None);
        peers.forget(group);
        assert_eq!(peers.worker(group, ReplicaId(6)), None);
    }
}
