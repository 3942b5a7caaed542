//! Noteworthy happenings of this room.

use vectron_base::event::{Event, Severity};
use vectron_base::ids::GroupId;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConsensusEvent {
    /// The journal holds bytes that are not what was written.
    DamageFound { what: String },
    /// The end of the journal was never synced and is cut off.
    TailDropped { what: String },
    /// A replica serves nothing from now on.
    Quarantined { group: GroupId, reason: String },
    /// The journal takes nothing until a restart.
    JournalFailed { reason: String },
    /// The journal cannot append for want of space, or begin a segment.
    DiskFull { reason: String },
    /// The journal appends again.
    DiskFreed,
    /// A replica began to lead.
    Elected { group: GroupId, term: u64 },
}

impl Event for ConsensusEvent {
    fn name(&self) -> &'static str {
        match self {
            ConsensusEvent::DamageFound { .. } => "consensus.damage_found",
            ConsensusEvent::TailDropped { .. } => "consensus.tail_dropped",
            ConsensusEvent::Quarantined { .. } => "consensus.replica_quarantined",
            ConsensusEvent::JournalFailed { .. } => "consensus.journal_failed",
            ConsensusEvent::DiskFull { .. } => "consensus.disk_filled",
            ConsensusEvent::DiskFreed => "consensus.disk_freed",
            ConsensusEvent::Elected { .. } => "consensus.leader_elected",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            ConsensusEvent::DamageFound { .. }
            | ConsensusEvent::Quarantined { .. }
            | ConsensusEvent::JournalFailed { .. } => Severity::Error,
            ConsensusEvent::DiskFull { .. } => Severity::Warn,
            ConsensusEvent::TailDropped { .. }
            | ConsensusEvent::DiskFreed
            | ConsensusEvent::Elected { .. } => Severity::Info,
        }
    }

    fn message(&self) -> String {
        match self {
            ConsensusEvent::DamageFound { what } => format!("damage in the journal: {what}"),
            ConsensusEvent::TailDropped { what } => format!("cut off the end of the journal: {what}"),
            ConsensusEvent::Quarantined { group, reason } => {
                format!("group {group} is quarantined: {reason}")
            }
            ConsensusEvent::JournalFailed { reason } => {
                format!("the journal has stopped and needs a restart: {reason}")
            }
            ConsensusEvent::DiskFull { reason } => {
                format!("the journal waits and proposals are refused: {reason}")
            }
            ConsensusEvent::DiskFreed => "the journal appends again".into(),
            ConsensusEvent::Elected { group, term } => format!("leading group {group} in term {term}"),
        }
    }
}
