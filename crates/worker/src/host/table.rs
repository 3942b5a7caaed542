//! What the host knows of each shard: what is here, what the catalog wants, and what follows from the two.

use crate::hosted::Hosted;
use crate::meta::ShardMeta;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use vectron_base::ids::{Incarnation, ReplicaId};

/// What is here of a shard.
#[derive(Clone)]
pub(crate) enum Slot {
    /// Being fetched, so many bytes so far.
    Opening(ReplicaId, Arc<AtomicU64>),
    Serving(Arc<Hosted>),
    /// Cannot be opened; named in status and reports, and kept on disk for inspection.
    Failed(ReplicaId, Arc<str>),
    Removed(ReplicaId),
}

/// What the catalog wants of a shard here.
#[derive(Clone)]
pub(crate) enum Wanted {
    /// A replica shall be here.
    Held(Arc<ShardMeta>),
    /// A shard shall split off from one that is here, which makes it; see `host::split`.
    Child(Arc<ShardMeta>),
    /// The collection is being deleted.
    Deleted(Incarnation),
    /// The shard has no replica here, says the catalog at this epoch.
    Elsewhere(u64),
}

/// Everything about one shard.
#[derive(Clone, Default)]
pub(crate) struct Entry {
    pub slot: Option<Slot>,
    pub wanted: Option<Wanted>,
    /// There are files on the disk that were not opened yet.
    pub unread: bool,
    /// Somebody works on it.
    pub busy: bool,
    /// A replica is being made, from a peer's copy or by a split: by one of the two at a time.
    pub claimed: bool,
}

/// What is to be done for a shard.
#[derive(Clone)]
pub(crate) enum Job {
    /// Open what is on the disk.
    Load,
    /// Make the replica that the catalog assigns.
    TakeUp(Arc<ShardMeta>),
    /// The catalog says something new of a replica that is served.
    Follow(Arc<Hosted>, Arc<ShardMeta>),
    /// Seal and remove.
    Delete(Incarnation),
    /// Remove a replica that the catalog of this epoch does not list.
    Leave(u64),
}

impl Entry {
    /// Takes the making of a replica upon oneself; false when there is one, or somebody else is at it.
    pub fn claim(&mut self) -> bool {
        let free = matches!(self.slot, None | Some(Slot::Removed(_))) && !self.unread && !self.claimed;
        self.claimed |= free;
        free
    }

    /// What to do next; nothing when all is as the catalog wants it, or cannot be.
    pub fn job(&self) -> Option<Job> {
        match (&self.wanted, &self.slot) {
            (Some(Wanted::Deleted(_)), Some(Slot::Removed(_))) => None,
            (Some(Wanted::Deleted(incarnation)), _) => Some(Job::Delete(*incarnation)),
            (Some(Wanted::Elsewhere(_)), Some(Slot::Removed(_))) => None,
            (Some(Wanted::Elsewhere(_)), None) if !self.unread => None,
            (Some(Wanted::Elsewhere(epoch)), _) => Some(Job::Leave(*epoch)),
            (_, None) if self.unread => Some(Job::Load),
            (None | Some(Wanted::Child(_)), _) => None,
            (Some(Wanted::Held(meta)), None) => Some(Job::TakeUp(meta.clone())),
            (Some(Wanted::Held(meta)), Some(slot)) => held(meta, slot),
        }
    }

    /// The replica that is here, or shall be.
    pub fn replica(&self) -> Option<ReplicaId> {
        match (&self.slot, &self.wanted) {
            (Some(Slot::Serving(hosted)), _) => Some(hosted.meta.replica),
            (Some(Slot::Opening(replica, _) | Slot::Failed(replica, _) | Slot::Removed(replica)), _) => {
                Some(*replica)
            }
            (None, Some(Wanted::Held(meta))) => Some(meta.replica),
            (None, _) => None,
        }
    }
}

/// What to do where the catalog assigns a replica and there is one, perhaps another one.
fn held(meta: &Arc<ShardMeta>, slot: &Slot) -> Option<Job> {
    let here = match slot {
        Slot::Serving(hosted) if hosted.meta.replica == meta.replica => {
            return (!hosted.assigned().agrees(meta)).then(|| Job::Follow(hosted.clone(), meta.clone()));
        }
        Slot::Serving(hosted) => hosted.meta.replica,
        Slot::Removed(replica) => {
            // A replica that was removed never comes back under its old number.
            return (meta.replica > *replica).then(|| Job::TakeUp(meta.clone()));
        }
        Slot::Opening(replica, _) | Slot::Failed(replica, _) => *replica,
    };
    // Numbers grow: a lower one here is a replica that the catalog has replaced.
    (meta.replica > here).then_some(Job::Leave(meta.catalog))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A split's end and a copy from a peer once made the same replica, and the second failed it for good: "the group
    /// is open already".
    #[test]
    fn a_replica_is_made_by_one_at_a_time() {
        let mut entry = Entry::default();
        assert!(entry.claim(), "nothing is here");
        assert!(!entry.claim(), "somebody is at it");
        entry.claimed = false;
        entry.unread = true;
        assert!(!entry.claim(), "what is on the disk is opened first");
        entry.unread = false;
        entry.slot = Some(Slot::Failed(ReplicaId(1), "damaged".into()));
        assert!(!entry.claim(), "there is one");
        entry.slot = Some(Slot::Removed(ReplicaId(1)));
        assert!(entry.claim(), "there was one");
    }
}
