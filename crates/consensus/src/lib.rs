//! Replicated logs of opaque bytes: many groups, one journal per process.
//!
//! What it is. A [`Driver`] hosts any number of groups. Each group is a Raft log that feeds a [`Machine`];
//! all groups of a process share one [journal](JournalStatus), so that one append and one sync make the
//! waiting work of all of them durable.
//!
//! How data flows through it. Callers hold a [`Handle`] and propose bytes, ask for read points, or report
//! checkpoints. These become commands in a queue. Whoever owns the driver pumps [`Driver::turn`]: commands
//! are stepped into the groups' cores, what the cores want persisted is gathered into one batch, the batch
//! is appended and synced, committed entries are applied, and only then are callers answered. The driver
//! starts no thread and reads time, disk and randomness only through the seams of `vectron-base`, so equal
//! inputs give equal runs.
//!
//! What it must never know. What an entry means; collections, points, shards, HTTP, gRPC; any other room.
//! Only `core` may name the Raft library; no bytes from disk or network reach that library's own decoder.

mod barrier;
mod batch;
mod core;
mod driver;
mod error;
mod event;
mod group;
mod handle;
mod journal;
mod knobs;
mod members;
mod metrics;
mod stored;

pub use crate::core::{Message, Role};
pub use driver::{Driver, Outbox, Turn};
pub use error::{GroupError, OpenError, ProposeError};
pub use handle::{Applied, GroupStatus, Handle, JournalStatus};
pub use knobs::ConsensusKnobs;
pub use members::{MemberChange, Members, Start};
pub use metrics::ConsensusMetrics;

use vectron_base::ids::{GroupId, ReplicaId};

/// What a group drives: a deterministic state with a durable checkpoint of its own.
pub trait Machine: Send {
    /// Highest log index that the machine's own durable state covers when it is opened; the log is replayed
    /// from the next one.
    fn durable_index(&self) -> u64;
    /// Applies one committed entry. Total: it cannot fail; a rejection is a reply. Same log, same state
    /// everywhere. Returns an opaque reply for the proposer.
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8>;
    /// An entry without a command, such as a change of members, was committed at this index, in order with
    /// [`Machine::apply`]: the machine moves its applied index, so that a later checkpoint can cover the entry and its space be given back.
    fn skip(&mut self, index: u64);
}

/// How a group is hosted here.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// The log.
    pub group: GroupId,
    /// This process's replica of it. Never reused, never zero.
    pub replica: ReplicaId,
    /// All voters at the first opening of a group that begins here, this one included. Later openings go by
    /// what the log recorded.
    pub voters: Vec<ReplicaId>,
    /// The point that the machine of a new replica starts from, or was given by a snapshot: its state covers
    /// exactly the log up to there. Counts instead of `voters`, and only if there is no log here yet.
    pub start: Option<Start>,
}
