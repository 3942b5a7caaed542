//! What both sides of a call know of it: its address, its messages, and whether it changes anything.

use prost::Message;
use std::marker::PhantomData;
use vectron_base::{Code, Fault, Outcome};

/// One method of a service, from messages `M` to messages `R`.
pub(crate) struct Method<M, R> {
    /// Service and method as in the `:path` of a request.
    pub(crate) path: &'static str,
    changes: bool,
    messages: PhantomData<fn(M) -> R>,
}

impl<M, R> Clone for Method<M, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M, R> Copy for Method<M, R> {}

impl<M: Message, R: Message> Method<M, R> {
    /// A method without effect: its faults are always `not_applied`.
    pub(crate) const fn reading(path: &'static str) -> Self {
        Self { path, changes: false, messages: PhantomData }
    }

    /// A method with an effect.
    pub(crate) const fn changing(path: &'static str) -> Self {
        Self { path, changes: true, messages: PhantomData }
    }

    /// What became of the call when its answer is lost.
    pub(crate) fn lost(self) -> Outcome {
        if self.changes { Outcome::Unknown } else { Outcome::NotApplied }
    }

    /// Refuses a request over the limit, before anything happened.
    pub(crate) fn check_request(self, message: &M, limit: usize) -> Result<(), Fault> {
        let reason = "split the request, or raise the limit on message size on both sides";
        check("request", message, limit, reason)
    }

    /// Refuses an answer over the limit, after everything happened.
    pub(crate) fn check_answer(self, message: &R, limit: usize) -> Result<(), Fault> {
        let outcome = if self.changes { Outcome::Applied } else { Outcome::NotApplied };
        let reason = "ask for less, or raise the limit on message size on both sides";
        check("answer", message, limit, reason).map_err(|fault| fault.with_outcome(outcome))
    }
}

fn check(what: &str, message: &impl Message, limit: usize, advice: &str) -> Result<(), Fault> {
    let bytes = message.encoded_len();
    if bytes <= limit {
        return Ok(());
    }
    let detail = format!("the {what} has {bytes} bytes, the limit between processes is {limit}; {advice}");
    Err(Fault::new(Code::TooLarge, detail))
}
