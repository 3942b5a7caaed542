//! Any copy of a replica or of the catalog, and any request for one.

use crate::given::{target, timeout};
use crate::given_placement::members;
use proptest::collection::vec;
use proptest::prelude::*;
use vectron_base::ids::ReplicaId;
use vectron_wire::placement::CatalogSnapshot;
use vectron_wire::worker::{SnapshotFile, SnapshotOffer, SnapshotPart, SnapshotRequest};

pub fn request() -> impl Strategy<Value = SnapshotRequest> {
    (target(), any::<u64>(), timeout()).prop_map(|(target, replica, timeout_ms)| SnapshotRequest {
        target,
        replica: ReplicaId(replica),
        timeout_ms,
    })
}

pub fn offer() -> impl Strategy<Value = SnapshotOffer> {
    let file = any::<(String, u64, u32)>();
    let file = file.prop_map(|(name, bytes, crc)| SnapshotFile { name, bytes, crc });
    (any::<(u64, u64, u64)>(), members(), vec(file, 0..5)).prop_map(
        |((token, index, term), members, files)| SnapshotOffer { token, index, term, members, files },
    )
}

pub fn part_request() -> impl Strategy<Value = SnapshotPart> {
    (target(), any::<(u64, String, u64, u64)>(), timeout()).prop_map(
        |(target, (token, file, offset, limit), timeout_ms)| SnapshotPart {
            target,
            token,
            file,
            offset,
            limit,
            timeout_ms,
        },
    )
}

pub fn part() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

pub fn catalog() -> impl Strategy<Value = CatalogSnapshot> {
    (any::<(u64, u64)>(), members(), part()).prop_map(|((index, term), members, bytes)| CatalogSnapshot {
        index,
        term,
        members,
        bytes,
    })
}
