//! Copies of replicas and of the catalog.

use super::required;
use super::worker_request::target;
use crate::placement::CatalogSnapshot;
use crate::proto::{placement, worker as pb};
use crate::worker::{SnapshotFile, SnapshotOffer, SnapshotPart, SnapshotRequest};
use vectron_base::Fault;
use vectron_base::ids::ReplicaId;

impl From<SnapshotRequest> for pb::SnapshotRequest {
    fn from(request: SnapshotRequest) -> Self {
        Self {
            target: Some(request.target.into()),
            replica: request.replica.0,
            timeout_ms: request.timeout_ms,
        }
    }
}

impl TryFrom<pb::SnapshotRequest> for SnapshotRequest {
    type Error = Fault;

    fn try_from(message: pb::SnapshotRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            replica: ReplicaId(message.replica),
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<SnapshotOffer> for pb::SnapshotResponse {
    fn from(offer: SnapshotOffer) -> Self {
        let file = |SnapshotFile { name, bytes, crc }| pb::SnapshotFile { name, bytes, crc };
        Self {
            token: offer.token,
            index: offer.index,
            term: offer.term,
            members: Some(offer.members.into()),
            files: offer.files.into_iter().map(file).collect(),
        }
    }
}

impl TryFrom<pb::SnapshotResponse> for SnapshotOffer {
    type Error = Fault;

    fn try_from(message: pb::SnapshotResponse) -> Result<Self, Fault> {
        let file = |pb::SnapshotFile { name, bytes, crc }| SnapshotFile { name, bytes, crc };
        Ok(Self {
            token: message.token,
            index: message.index,
            term: message.term,
            members: required("members", message.members)?.into(),
            files: message.files.into_iter().map(file).collect(),
        })
    }
}

impl From<SnapshotPart> for pb::SnapshotPartRequest {
    fn from(part: SnapshotPart) -> Self {
        Self {
            target: Some(part.target.into()),
            token: part.token,
            file: part.file,
            offset: part.offset,
            limit: part.limit,
            timeout_ms: part.timeout_ms,
        }
    }
}

impl TryFrom<pb::SnapshotPartRequest> for SnapshotPart {
    type Error = Fault;

    fn try_from(message: pb::SnapshotPartRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            token: message.token,
            file: message.file,
            offset: message.offset,
            limit: message.limit,
            timeout_ms: message.timeout_ms,
        })
    }
}

/// Bytes of the file.
impl From<Vec<u8>> for pb::SnapshotPartResponse {
    fn from(part: Vec<u8>) -> Self {
        Self { part }
    }
}

impl TryFrom<pb::SnapshotPartResponse> for Vec<u8> {
    type Error = Fault;

    fn try_from(message: pb::SnapshotPartResponse) -> Result<Self, Fault> {
        Ok(message.part)
    }
}

impl From<()> for placement::CatalogSnapshotRequest {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<placement::CatalogSnapshotRequest> for () {
    type Error = Fault;

    fn try_from(_: placement::CatalogSnapshotRequest) -> Result<Self, Fault> {
        Ok(())
    }
}

impl From<CatalogSnapshot> for placement::CatalogSnapshotResponse {
    fn from(snapshot: CatalogSnapshot) -> Self {
        Self {
            index: snapshot.index,
            term: snapshot.term,
            members: Some(snapshot.members.into()),
            state: snapshot.bytes,
        }
    }
}

impl TryFrom<placement::CatalogSnapshotResponse> for CatalogSnapshot {
    type Error = Fault;

    fn try_from(message: placement::CatalogSnapshotResponse) -> Result<Self, Fault> {
        Ok(Self {
            index: message.index,
            term: message.term,
            members: required("members", message.members)?.into(),
            bytes: message.state,
        })
    }
}
