//! Reads and writes of a worker in frames: the messages of its contract on one long-lived connection for each pair
//! of processes, without HTTP around them.
//!
//! A gateway that passes a search on pays for the way there and back on top of the search itself, and HTTP/2's share
//! of that is larger than the search. Here a call is one frame there and one back ([`format`]), written by whoever
//! makes or answers it; calls of one connection are told apart by their numbers and answered in any order.
//!
//! A connection begins with [`PREFACE`], which no HTTP connection does, the caller's hello with the cluster's key,
//! and the server's welcome with the number of calls that it takes at a time. Dropping a call cancels it. A server
//! that stops says which call was the last that it began; those after it were not applied. When a connection breaks,
//! what the system had not taken in whole was not applied, and a change that it had taken is unknown.
//!
//! Only what is called often and answered soon goes here. Everything else stays on [`crate::grpc`], and so do
//! writes that are so large that others would wait behind them.

mod calls;
mod connect;
mod dial;
mod fault;
mod format;
mod outgoing;
mod serve;
mod worker;

pub use dial::FrameDialer;
pub use format::PREFACE;
pub use serve::FrameServer;
pub use worker::FrameWorker;

/// Bytes of a write that is not sent in a frame, and of a request that is worked on in a task of its own.
const LARGE_BYTES: usize = 256 << 10;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameOptions {
    /// Calls that a server works on at a time; callers wait for their turn.
    pub calls_max: usize,
    /// Bytes that may wait to be sent; when more do, a caller waits before it sends and a server before it reads.
    pub queued_bytes_max: u64,
}
