//! Requests to and answers of the placement driver.

use super::settings::{index_settings, quantization, storage};
use super::{choice, each, marked, required, within};
use crate::placement::{
    CatalogView, Collection, CollectionSpec, CollectionState, Distance, ReadPolicy, Registration, Replica,
    Shard, ShardPhase, ShardReport, WorkerReport,
};
use crate::proto::placement as pb;
use crate::proto::placement::read_policy::Level;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};

impl From<Distance> for pb::Distance {
    fn from(distance: Distance) -> Self {
        match distance {
            Distance::Cosine => pb::Distance::Cosine,
            Distance::Dot => pb::Distance::Dot,
            Distance::Euclidean => pb::Distance::Euclidean,
        }
    }
}

fn distance(value: i32) -> Result<Distance, Fault> {
    choice("distance", value, |distance| match distance {
        pb::Distance::Unspecified => None,
        pb::Distance::Cosine => Some(Distance::Cosine),
        pb::Distance::Dot => Some(Distance::Dot),
        pb::Distance::Euclidean => Some(Distance::Euclidean),
    })
}

impl From<ReadPolicy> for pb::ReadPolicy {
    fn from(policy: ReadPolicy) -> Self {
        let level = match policy {
            ReadPolicy::Linearizable => Level::Linearizable(true),
            ReadPolicy::Eventual => Level::Eventual(true),
            ReadPolicy::Bounded { max_staleness_ms } => Level::BoundedMs(max_staleness_ms),
        };
        Self { level: Some(level) }
    }
}

fn read_policy(message: Option<pb::ReadPolicy>) -> Result<ReadPolicy, Fault> {
    match required("read_policy.level", message.and_then(|policy| policy.level))? {
        Level::Linearizable(mark) => marked("read_policy.linearizable", mark, ReadPolicy::Linearizable),
        Level::Eventual(mark) => marked("read_policy.eventual", mark, ReadPolicy::Eventual),
        Level::BoundedMs(max_staleness_ms) => Ok(ReadPolicy::Bounded { max_staleness_ms }),
    }
}

impl From<CollectionSpec> for pb::CollectionSpec {
    fn from(spec: CollectionSpec) -> Self {
        Self {
            name: spec.name,
            dimension: spec.dimension,
            distance: pb::Distance::from(spec.distance).into(),
            shards: spec.shards,
            replication_factor: spec.replication_factor,
            read_policy: Some(spec.read_policy.into()),
            quantization: pb::Quantization::from(spec.quantization).into(),
            storage: pb::Storage::from(spec.storage).into(),
            index: Some(spec.index.into()),
        }
    }
}

fn spec(message: Option<pb::CollectionSpec>) -> Result<CollectionSpec, Fault> {
    let message = required("spec", message)?;
    let outside = |fault| within("spec", fault);
    Ok(CollectionSpec {
        name: message.name,
        dimension: message.dimension,
        distance: distance(message.distance).map_err(outside)?,
        shards: message.shards,
        replication_factor: message.replication_factor,
        read_policy: read_policy(message.read_policy).map_err(outside)?,
        quantization: quantization(message.quantization).map_err(outside)?,
        storage: storage(message.storage).map_err(outside)?,
        index: index_settings(message.index).map_err(outside)?,
    })
}

impl From<Shard> for pb::Shard {
    fn from(shard: Shard) -> Self {
        let replica = |r: Replica| pb::Replica { replica: r.replica.0, worker: r.worker.0 };
        Self {
            shard: shard.shard.0,
            first: shard.first,
            last: shard.last,
            epoch: shard.epoch,
            replicas: shard.replicas.into_iter().map(replica).collect(),
        }
    }
}

impl TryFrom<pb::Shard> for Shard {
    type Error = Fault;

    fn try_from(message: pb::Shard) -> Result<Self, Fault> {
        let replica = |r: pb::Replica| Replica { replica: ReplicaId(r.replica), worker: WorkerId(r.worker) };
        Ok(Self {
            shard: ShardId(message.shard),
            first: message.first,
            last: message.last,
            epoch: message.epoch,
            replicas: message.replicas.into_iter().map(replica).collect(),
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

/// A specification and how long the caller waits, in milliseconds.
impl From<(CollectionSpec, u64)> for pb::CreateCollectionRequest {
    fn from((spec, timeout_ms): (CollectionSpec, u64)) -> Self {
        Self { spec: Some(spec.into()), timeout_ms }
    }
}

impl TryFrom<pb::CreateCollectionRequest> for (CollectionSpec, u64) {
    type Error = Fault;

    fn try_from(message: pb::CreateCollectionRequest) -> Result<Self, Fault> {
        Ok((spec(message.spec)?, message.timeout_ms))
    }
}

/// A collection and whether it is new.
impl From<(Collection, bool)> for pb::CreateCollectionResponse {
    fn from((collection, created): (Collection, bool)) -> Self {
        Self { collection: Some(collection.into()), created }
    }
}

impl TryFrom<pb::CreateCollectionResponse> for (Collection, bool) {
    type Error = Fault;

    fn try_from(message: pb::CreateCollectionResponse) -> Result<Self, Fault> {
        let collection = Collection::try_from(required("collection", message.collection)?);
        Ok((collection.map_err(|fault| within("collection", fault))?, message.created))
    }
}

/// A name and how long the caller waits, in milliseconds.
impl From<(String, u64)> for pb::DeleteCollectionRequest {
    fn from((name, timeout_ms): (String, u64)) -> Self {
        Self { name, timeout_ms }
    }
}

impl TryFrom<pb::DeleteCollectionRequest> for (String, u64) {
    type Error = Fault;

    fn try_from(message: pb::DeleteCollectionRequest) -> Result<Self, Fault> {
        Ok((message.name, message.timeout_ms))
    }
}

impl From<()> for pb::DeleteCollectionResponse {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<pb::DeleteCollectionResponse> for () {
    type Error = Fault;

    fn try_from(_: pb::DeleteCollectionResponse) -> Result<Self, Fault> {
        Ok(())
    }
}

/// The epoch that the caller knows.
impl From<u64> for pb::WatchRequest {
    fn from(known_epoch: u64) -> Self {
        Self { known_epoch }
    }
}

impl TryFrom<pb::WatchRequest> for u64 {
    type Error = Fault;

    fn try_from(message: pb::WatchRequest) -> Result<Self, Fault> {
        Ok(message.known_epoch)
    }
}

impl From<Arc<CatalogView>> for pb::Catalog {
    fn from(view: Arc<CatalogView>) -> Self {
        let view = Arc::unwrap_or_clone(view);
        Self { epoch: view.epoch, collections: view.collections.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<pb::Catalog> for Arc<CatalogView> {
    type Error = Fault;

    fn try_from(message: pb::Catalog) -> Result<Self, Fault> {
        let collections = each("collections", message.collections)?;
        Ok(Arc::new(CatalogView { epoch: message.epoch, collections }))
    }
}

impl From<Registration> for pb::RegisterRequest {
    fn from(registration: Registration) -> Self {
        Self {
            worker: registration.worker.0,
            address: registration.address,
            cores: registration.cores,
            memory_bytes: registration.memory_bytes,
            disk_bytes: registration.disk_bytes,
        }
    }
}

impl TryFrom<pb::RegisterRequest> for Registration {
    type Error = Fault;

    fn try_from(message: pb::RegisterRequest) -> Result<Self, Fault> {
        Ok(Self {
            worker: WorkerId(message.worker),
            address: message.address,
            cores: message.cores,
            memory_bytes: message.memory_bytes,
            disk_bytes: message.disk_bytes,
        })
    }
}

impl From<()> for pb::RegisterResponse {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<pb::RegisterResponse> for () {
    type Error = Fault;

    fn try_from(_: pb::RegisterResponse) -> Result<Self, Fault> {
        Ok(())
    }
}

impl From<ShardReport> for pb::ShardReport {
    fn from(report: ShardReport) -> Self {
        let phase = match report.phase {
            ShardPhase::Ready => pb::ShardPhase::Ready,
            ShardPhase::Sealed => pb::ShardPhase::Sealed,
            ShardPhase::Removed => pb::ShardPhase::Removed,
            ShardPhase::Failed => pb::ShardPhase::Failed,
        };
        Self {
            shard: report.shard.0,
            phase: phase.into(),
            points: report.points,
            disk_bytes: report.disk_bytes,
            index_lag: report.index_lag,
        }
    }
}

impl TryFrom<pb::ShardReport> for ShardReport {
    type Error = Fault;

    fn try_from(message: pb::ShardReport) -> Result<Self, Fault> {
        let phase = choice("phase", message.phase, |phase| match phase {
            pb::ShardPhase::Unspecified => None,
            pb::ShardPhase::Ready => Some(ShardPhase::Ready),
            pb::ShardPhase::Sealed => Some(ShardPhase::Sealed),
            pb::ShardPhase::Removed => Some(ShardPhase::Removed),
            pb::ShardPhase::Failed => Some(ShardPhase::Failed),
        })?;
        Ok(Self {
            shard: ShardId(message.shard),
            phase,
            points: message.points,
            disk_bytes: message.disk_bytes,
            index_lag: message.index_lag,
        })
    }
}

impl From<WorkerReport> for pb::ReportRequest {
    fn from(report: WorkerReport) -> Self {
        Self {
            worker: report.worker.0,
            disk_free_bytes: report.disk_free_bytes,
            shards: report.shards.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ReportRequest> for WorkerReport {
    type Error = Fault;

    fn try_from(message: pb::ReportRequest) -> Result<Self, Fault> {
        Ok(Self {
            worker: WorkerId(message.worker),
            disk_free_bytes: message.disk_free_bytes,
            shards: each("shards", message.shards)?,
        })
    }
}

impl From<()> for pb::ReportResponse {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<pb::ReportResponse> for () {
    type Error = Fault;

    fn try_from(_: pb::ReportResponse) -> Result<Self, Fault> {
        Ok(())
    }
}
