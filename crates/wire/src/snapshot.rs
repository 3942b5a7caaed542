//! Copying a replica: a checkpoint is offered as a list of files, and fetched in parts by who needs it.

use crate::report::Members;
use crate::worker::Target;
use vectron_base::ids::ReplicaId;

/// A replica asks for a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Of which shard.
    pub target: Target,
    /// Who asks. It must be a member of the group already, so that the copy's members name it.
    pub replica: ReplicaId,
    /// How long the caller waits.
    pub timeout_ms: u64,
}

/// One file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name within the shard's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc: u32,
}

/// A copy that is kept for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotOffer {
    /// Names it in calls for parts.
    pub token: u64,
    /// Index of the last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// Who were members then.
    pub members: Members,
    /// What to fetch.
    pub files: Vec<SnapshotFile>,
}

/// A call for a part of a file. Calls may be repeated: that is how a transfer is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPart {
    /// Of which shard.
    pub target: Target,
    /// Of which copy.
    pub token: u64,
    /// Of which file.
    pub file: String,
    /// From where.
    pub offset: u64,
    /// How many bytes at most.
    pub limit: u64,
    /// How long the caller waits.
    pub timeout_ms: u64,
}
