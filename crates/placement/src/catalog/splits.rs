//! Splits in the catalog: one range becomes two. Workers prepare, the cut goes through the shard's own log, and only
//! then the catalog lists two shards.

use super::{Catalog, Reply};
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_wire::placement::{CollectionState, Replica, ReplicaRole, Shard, Split};

impl Catalog {
    pub(super) fn plan_split(&mut self, id: ShardId, config: u64, first: u64, shards_max: u64) -> Reply {
        let Some((collection, shard)) = self.shard(id) else { return Reply::Stale };
        let settled =
            shard.replicas.iter().all(|r| matches!(r.role, ReplicaRole::Voter | ReplicaRole::Learner));
        let voters = shard.replicas.iter().filter(|r| r.role == ReplicaRole::Voter).count();
        let settled = settled && voters == collection.spec.replication_factor as usize;
        let free = collection.state == CollectionState::Live
            && shard.config == config
            && shard.split.is_none()
            && settled
            && self.move_of(id).is_none();
        if !free {
            return Reply::Stale;
        }
        if first <= shard.first || first > shard.last {
            return Reply::Refused { why: "the range has no such inner point".into() };
        }
        // Shards that are about to be count too.
        let splitting = collection.shards.iter().filter(|s| s.split.is_some()).count();
        if (collection.shards.len() + splitting) as u64 >= shards_max {
            return Reply::Full;
        }
        let mut replicas = shard.replicas.clone();
        self.next_shard += 1;
        let child = ShardId(self.next_shard);
        for replica in &mut replicas {
            self.next_replica += 1;
            *replica = Replica { replica: ReplicaId(self.next_replica), ..*replica };
        }
        self.change_shard(id, |shard| shard.split = Some(Split { child, first, replicas, cut: false }));
        Reply::Done
    }

    pub(super) fn cut_split(&mut self, id: ShardId, config: u64) -> Reply {
        if !self.splits(id, |shard, split| shard.config == config && !split.cut) {
            return Reply::Stale;
        }
        self.change_shard(id, |shard| {
            if let Some(split) = &mut shard.split {
                split.cut = true;
            }
        });
        Reply::Done
    }

    pub(super) fn abort_split(&mut self, id: ShardId, config: u64) -> Reply {
        if !self.splits(id, |shard, split| shard.config == config && !split.cut) {
            return Reply::Stale;
        }
        self.change_shard(id, |shard| shard.split = None);
        Reply::Done
    }

    pub(super) fn finish_split(&mut self, id: ShardId, epoch: u64) -> Reply {
        if !self.splits(id, |shard, split| shard.epoch == epoch && split.cut) {
            return Reply::Stale;
        }
        let Some(collection) = self.collections.values_mut().find(|c| c.shards.iter().any(|s| s.shard == id))
        else {
            return Reply::Stale;
        };
        let Some(at) = collection.shards.iter().position(|s| s.shard == id) else { return Reply::Stale };
        let Some(shard) = collection.shards.get_mut(at) else { return Reply::Stale };
        let Some(split) = shard.split.take() else { return Reply::Stale };
        shard.epoch += 1;
        shard.config += 1;
        let child = Shard {
            shard: split.child,
            first: split.first,
            last: shard.last,
            epoch: shard.epoch,
            config: 1,
            replicas: split.replicas,
            leader: None,
            split: None,
        };
        shard.last = split.first - 1;
        collection.shards.insert(at + 1, child);
        self.epoch += 1;
        Reply::Done
    }

    /// Whether a shard of a live collection is being split, in this way.
    fn splits(&self, id: ShardId, how: impl FnOnce(&Shard, &Split) -> bool) -> bool {
        self.shard(id).is_some_and(|(collection, shard)| {
            collection.state == CollectionState::Live
                && shard.split.as_ref().is_some_and(|split| how(shard, split))
        })
    }
}
