//! Why a read is refused, and bytes that are not what was written.

/// Stored bytes that fail their checksum or make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged: {detail}")]
pub struct Damage {
    /// The file, below the data directory.
    pub file: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The shard was sealed: its collection is deleted.
    #[error("the shard is sealed")]
    Sealed,
    /// Stored bytes are damaged: this replica must be replaced.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The text index that the query needs is being built.
    #[error("the text index on {field:?} is being built")]
    Building {
        /// Its field.
        field: String,
    },
    /// The query makes no sense here.
    #[error("{field}: {reason}")]
    Invalid {
        /// The part of the query at fault.
        field: &'static str,
        /// What was expected and what came.
        reason: String,
    },
}
