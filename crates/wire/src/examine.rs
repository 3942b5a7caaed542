//! What a worker is asked about one point in a search: how it stands, or what comes before it.

use crate::worker::ShardSearch;

/// A question about one point.
#[derive(Clone, Debug)]
pub struct ShardExamine {
    /// The search. What to include is of no matter.
    pub search: ShardSearch,
    /// Whom it is about.
    pub subject: Subject,
}

/// Whom a question is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A point that the shard takes.
    Id(String),
    /// A point of another shard: what comes before it here?
    Elsewhere {
        /// Its id.
        id: String,
        /// Its score.
        score: f32,
    },
}

/// Why a point went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalCause {
    /// A write deleted it.
    Deleted,
    /// Its time had come.
    Expired,
}

/// A clause of a filter that a point fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedClause {
    /// As a filter of its own, as JSON text.
    pub clause: String,
    /// The fields that it asks for, each with the JSON text of what the point has there, if anything.
    pub values: Vec<(String, Option<String>)>,
}

/// How a point that passes the filter ranks in its shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Of the point.
    pub version: u64,
    /// By its full vector.
    pub score: f32,
    /// Points of the shard that pass and come before it.
    pub ahead: u64,
    /// At which position the shard's search returns it, from 0; `None` if it does not.
    pub position: Option<u64>,
    /// The search's effort.
    pub ef: u32,
    /// The least effort found that returns it, where the search's own does not.
    pub ef_needed: Option<u32>,
}

/// What a shard says of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Examined {
    /// There is none, and none is remembered.
    Absent,
    /// There was one.
    Removed {
        /// Why it went.
        cause: RemovalCause,
        /// Log index at which it went.
        version: u64,
        /// Log time then.
        log_time_ms: u64,
    },
    /// It does not pass.
    Filtered {
        /// Of the point.
        version: u64,
        /// What it fails.
        failed: Vec<FailedClause>,
    },
    /// It passes.
    Scored(Scored),
    /// It is elsewhere.
    Ahead {
        /// Points here that pass and come before it.
        ahead: u64,
        /// Those of them that the shard's search returns.
        returned: u64,
    },
}
