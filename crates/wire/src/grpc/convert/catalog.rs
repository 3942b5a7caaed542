//! The catalog: shards with their replicas, collections and workers.

use super::placement::spec;
use super::{choice, each, required, within};
use crate::placement::{
    CatalogView, Collection, CollectionState, Locality, Registration, Replica, ReplicaRole, Shard, Split,
    WorkerEntry, WorkerState,
};
use crate::proto::placement as pb;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};

impl From<Replica> for pb::Replica {
    fn from(replica: Replica) -> Self {
        let role = match replica.role {
            ReplicaRole::Voter => pb::ReplicaRole::Voter,
            ReplicaRole::Joining => pb::ReplicaRole::Joining,
            ReplicaRole::Learner => pb::ReplicaRole::Learner,
            ReplicaRole::Leaving => pb::ReplicaRole::Leaving,
        };
        Self { replica: replica.replica.0, worker: replica.worker.0, role: role.into() }
    }
}

impl TryFrom<pb::Replica> for Replica {
    type Error = Fault;

    fn try_from(message: pb::Replica) -> Result<Self, Fault> {
        let role = choice("role", message.role, |role| match role {
            pb::ReplicaRole::Unspecified => None,
            pb::ReplicaRole::Voter => Some(ReplicaRole::Voter),
            pb::ReplicaRole::Joining => Some(ReplicaRole::Joining),
            pb::ReplicaRole::Learner => Some(ReplicaRole::Learner),
            pb::ReplicaRole::Leaving => Some(ReplicaRole::Leaving),
        })?;
        Ok(Self { replica: ReplicaId(message.replica), worker: WorkerId(message.worker), role })
    }
}

impl From<Split> for pb::Split {
    fn from(split: Split) -> Self {
        Self {
            child: split.child.0,
            first: split.first,
            replicas: split.replicas.into_iter().map(Into::into).collect(),
            cut: split.cut,
        }
    }
}

impl TryFrom<pb::Split> for Split {
    type Error = Fault;

    fn try_from(message: pb::Split) -> Result<Self, Fault> {
        Ok(Self {
            child: ShardId(message.child),
            first: message.first,
            replicas: each("replicas", message.replicas)?,
            cut: message.cut,
        })
    }
}

impl From<Shard> for pb::Shard {
    fn from(shard: Shard) -> Self {
        Self {
            shard: shard.shard.0,
            first: shard.first,
            last: shard.last,
            epoch: shard.epoch,
            replicas: shard.replicas.into_iter().map(Into::into).collect(),
            config: shard.config,
            leader: shard.leader.map(|leader| leader.0),
            split: shard.split.map(Into::into),
        }
    }
}

impl TryFrom<pb::Shard> for Shard {
    type Error = Fault;

    fn try_from(message: pb::Shard) -> Result<Self, Fault> {
        let split = message.split.map(Split::try_from).transpose();
        Ok(Self {
            shard: ShardId(message.shard),
            first: message.first,
            last: message.last,
            epoch: message.epoch,
            config: message.config,
            replicas: each("replicas", message.replicas)?,
            leader: message.leader.map(ReplicaId),
            split: split.map_err(|fault| within("split", fault))?,
        })
    }
}

impl From<Collection> for pb::Collection {
    fn from(collection: Collection) -> Self {
        let state = match collection.state {
            CollectionState::Live => pb::CollectionState::Live,
            CollectionState::Deleting => pb::CollectionState::Deleting,
        };
        Self {
            spec: Some(collection.spec.into()),
            incarnation: collection.incarnation.0,
            created_at_ms: collection.created_at_ms,
            state: state.into(),
            shards: collection.shards.into_iter().map(Into::into).collect(),
            field_indexes: collection.field_indexes.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Collection> for Collection {
    type Error = Fault;

    fn try_from(message: pb::Collection) -> Result<Self, Fault> {
        let state = choice("state", message.state, |state| match state {
            pb::CollectionState::Unspecified => None,
            pb::CollectionState::Live => Some(CollectionState::Live),
            pb::CollectionState::Deleting => Some(CollectionState::Deleting),
        })?;
        Ok(Self {
            spec: spec(message.spec)?,
            incarnation: Incarnation(message.incarnation),
            created_at_ms: message.created_at_ms,
            state,
            shards: each("shards", message.shards)?,
            field_indexes: each("field_indexes", message.field_indexes)?,
        })
    }
}

impl From<Registration> for pb::Registration {
    fn from(registration: Registration) -> Self {
        let Locality { region, zone, rack } = registration.locality;
        Self {
            worker: registration.worker.0,
            address: registration.address,
            cores: registration.cores,
            memory_bytes: registration.memory_bytes,
            disk_bytes: registration.disk_bytes,
            locality: Some(pb::Locality { region, zone, rack }),
        }
    }
}

/// A worker that names no place stands in one of its own.
pub(super) fn registration(message: Option<pb::Registration>) -> Result<Registration, Fault> {
    let message = required("registration", message)?;
    let pb::Locality { region, zone, rack } = message.locality.unwrap_or_default();
    Ok(Registration {
        worker: WorkerId(message.worker),
        address: message.address,
        locality: Locality { region, zone, rack },
        cores: message.cores,
        memory_bytes: message.memory_bytes,
        disk_bytes: message.disk_bytes,
    })
}

impl From<WorkerEntry> for pb::WorkerEntry {
    fn from(entry: WorkerEntry) -> Self {
        let state = match entry.state {
            WorkerState::Active => pb::WorkerState::Active,
            WorkerState::Draining => pb::WorkerState::Draining,
        };
        Self { registration: Some(entry.registration.into()), state: state.into() }
    }
}

impl TryFrom<pb::WorkerEntry> for WorkerEntry {
    type Error = Fault;

    fn try_from(message: pb::WorkerEntry) -> Result<Self, Fault> {
        let state = choice("state", message.state, |state| match state {
            pb::WorkerState::Unspecified => None,
            pb::WorkerState::Active => Some(WorkerState::Active),
            pb::WorkerState::Draining => Some(WorkerState::Draining),
        })?;
        Ok(Self { registration: registration(message.registration)?, state })
    }
}

impl From<Arc<CatalogView>> for pb::Catalog {
    fn from(view: Arc<CatalogView>) -> Self {
        let view = Arc::unwrap_or_clone(view);
        Self {
            epoch: view.epoch,
            collections: view.collections.into_iter().map(Into::into).collect(),
            workers: view.workers.into_iter().map(Into::into).collect(),
            aliases: view.aliases.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Catalog> for Arc<CatalogView> {
    type Error = Fault;

    fn try_from(message: pb::Catalog) -> Result<Self, Fault> {
        let collections = each("collections", message.collections)?;
        let workers = each("workers", message.workers)?;
        let aliases = message.aliases.into_iter().map(Into::into).collect();
        Ok(Arc::new(CatalogView { epoch: message.epoch, collections, workers, aliases }))
    }
}
