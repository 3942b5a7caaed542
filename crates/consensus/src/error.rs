//! What callers are told when something did not happen, or may not have.

use vectron_base::Outcome;
use vectron_base::disk::DiskError;
use vectron_base::ids::ReplicaId;

/// Why a proposal or a read point was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Another replica leads, or none does.
    #[error("this replica does not lead the group")]
    NotLeader {
        /// The leader, if known.
        leader: Option<ReplicaId>,
    },
    /// The queue is full.
    #[error("too much work is waiting")]
    Overloaded,
    /// The command is longer than an entry may be.
    #[error("the command is longer than {limit} bytes")]
    TooLarge {
        /// Longest command accepted, in bytes.
        limit: u64,
    },
    /// The replica here is damaged and serves nothing.
    #[error("the replica is quarantined: {0}")]
    Quarantined(String),
    /// No such group here, or the driver is stopping. Not applied.
    #[error("the group is not hosted here")]
    Closed,
    /// What was asked for cannot be done to the group as it is. Not applied.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The proposal was accepted, but its fate cannot be known here. It is applied at most once.
    #[error("the outcome is unknown")]
    Unknown,
    /// The disk has no space for more entries, or takes no new journal segment at the moment.
    #[error("the disk is full")]
    DiskFull,
    /// The journal of this process has failed and takes nothing until a restart.
    #[error("the journal has failed")]
    JournalFailed,
}

impl ProposeError {
    /// What became of the proposal.
    pub fn outcome(&self) -> Outcome {
        match self {
            ProposeError::Unknown => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }
}

/// Why a group was not opened or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The replica, or a later one of its group, was removed from this process for good.
    #[error("the replica was removed here and cannot come back")]
    Removed,
    /// The group is hosted already.
    #[error("the group is open already")]
    AlreadyOpen,
    /// Replica zero, or a replica that is not among the voters.
    #[error("the configuration is not valid: {0}")]
    Invalid(&'static str),
    /// The log here belongs to another replica of the group.
    #[error("the log here belongs to replica {stored}")]
    OtherReplica {
        /// The replica whose log this is.
        stored: ReplicaId,
    },
    /// The log already has what would be installed.
    #[error("the log needs no installing")]
    NotNeeded,
    /// The log here lacks what the machine holds: it must be [installed](crate::Handle::install).
    #[error("the log here ends before the point that the machine starts from")]
    NeedsInstall,
    /// The replica is damaged; it is kept for inspection and served to nobody.
    #[error("the replica is quarantined: {0}")]
    Quarantined(String),
    /// The disk has no space for the group's first record.
    #[error("the disk is full")]
    DiskFull,
    /// The journal of this process has failed and takes nothing until a restart.
    #[error("the journal has failed")]
    JournalFailed,
    /// The driver is stopping or gone.
    #[error("the driver has stopped")]
    Closed,
}

/// Why the journal could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("the journal cannot be read: {0}")]
    Disk(#[from] DiskError),
    /// A newer program wrote this journal.
    #[error("{file} has journal format {found}; this program reads up to {known}")]
    Format {
        /// The segment.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
}
