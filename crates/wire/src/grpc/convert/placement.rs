//! Requests to and answers of the placement driver.

use super::catalog::registration;
use super::settings::{index_settings, quantization, storage};
use super::{choice, each, marked, required, within};
use crate::placement::{Collection, CollectionSpec, Distance, ReadPolicy, Registration};
use crate::proto::placement as pb;
use crate::proto::placement::read_policy::Level;
use vectron_base::Fault;

impl From<Distance> for pb::Distance {
    fn from(distance: Distance) -> Self {
        match distance {
            Distance::Cosine => pb::Distance::Cosine,
            Distance::Dot => pb::Distance::Dot,
            Distance::Euclidean => pb::Distance::Euclidean,
        }
    }
}

pub(super) fn distance(value: i32) -> Result<Distance, Fault> {
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
            vector_fields: spec.vector_fields.into_iter().map(Into::into).collect(),
            ttl_ms: spec.ttl_ms,
        }
    }
}

pub(super) fn spec(message: Option<pb::CollectionSpec>) -> Result<CollectionSpec, Fault> {
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
        vector_fields: each("vector_fields", message.vector_fields).map_err(outside)?,
        ttl_ms: message.ttl_ms,
    })
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

impl From<Registration> for pb::RegisterRequest {
    fn from(registration: Registration) -> Self {
        Self { registration: Some(registration.into()) }
    }
}

impl TryFrom<pb::RegisterRequest> for Registration {
    type Error = Fault;

    fn try_from(message: pb::RegisterRequest) -> Result<Self, Fault> {
        registration(message.registration)
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
