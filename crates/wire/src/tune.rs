//! What a worker is asked to find an effort by, and what it measured.

use crate::worker::{ReadLevel, Target};

/// A question for the efforts of a shard's own queries.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardTune {
    /// Where.
    pub target: Target,
    /// How fresh.
    pub read: ReadLevel,
    /// The recall to reach.
    pub recall_target: f32,
    /// How long the caller waits. What was measured until then is the answer.
    pub timeout_ms: u64,
}

/// What searches with one effort found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuneRung {
    /// The effort.
    pub ef: u32,
    /// True neighbours found, over all queries.
    pub found: u64,
    /// Distances computed.
    pub distances: u64,
}

/// What a shard measured on queries that it was asked lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardTuned {
    /// How many queries.
    pub queries: u64,
    /// True neighbours that there were.
    pub wanted: u64,
    /// By effort, ascending; the same efforts in every shard.
    pub rungs: Vec<TuneRung>,
    /// The effort for the target as measured on stored points, where it was.
    pub calibrated_ef: Option<u32>,
}
