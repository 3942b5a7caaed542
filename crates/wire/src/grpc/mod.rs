//! The service traits over gRPC: a server that passes calls to a trait object, and a connection that is one.
//!
//! A call goes domain request → message → wire → message → domain request → trait, and its answer the same
//! way back. Each conversion is written once, in `convert`: `From` towards the message, which cannot fail, and
//! `TryFrom` from it, which names the field that is malformed. Faults travel as statuses through
//! [`crate::fault_table`] and keep their code, outcome, fields and hints.
//!
//! A connection adds what only it can know: a write whose connection broke has an unknown outcome, one that
//! was never sent was not applied. It does not retry: [`crate::connections`] does. How long connecting may take and when a silent
//! connection is given up are settings of the channel that it gets.

mod call;
mod convert;
pub mod dial;
pub mod key;
pub(crate) mod method;
pub mod peer;
pub mod placement;
pub(crate) mod serve;
pub mod worker;

pub(crate) use call::ANSWER_SLACK;

/// How large one message may be, in bytes. What one side may send should not exceed what the other receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageLimits {
    /// Largest message sent; a larger one is refused before it is on the wire.
    pub send: usize,
    /// Largest message accepted; a larger one is refused by its announced length, without reading it.
    pub receive: usize,
}
