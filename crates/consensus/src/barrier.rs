//! Linearizable read points. All that wait for one group share a round: one request for the leader's commit
//! index, begun after the last of them arrived. A round is never reused; one that gets no answer is begun anew.

use crate::core::{Core, Role};
use crate::error::ProposeError;
use futures::channel::oneshot;

/// Where a read point's index goes.
pub(crate) type IndexReply = oneshot::Sender<Result<u64, ProposeError>>;

struct Round {
    context: Vec<u8>,
    waiters: Vec<IndexReply>,
    age: usize,
}

/// The read points that one group owes.
pub(crate) struct Barriers {
    waiting: Vec<IndexReply>,
    round: Option<Round>,
    rounds: u64,
    /// Makes contexts of different replicas, lives and openings differ: an answer to an old one is none.
    salt: [u64; 3],
    leaderless: usize,
}

impl Barriers {
    pub(crate) fn new(salt: [u64; 3]) -> Self {
        Self { waiting: Vec::new(), round: None, rounds: 0, salt, leaderless: 0 }
    }

    /// Adds one that arrived now.
    pub(crate) fn add(&mut self, reply: IndexReply) {
        self.waiting.push(reply);
    }

    /// Begins a round if somebody waits, none is under way, and the core can take it.
    pub(crate) fn begin(&mut self, core: &mut Core) {
        if self.waiting.is_empty() || self.round.is_some() || !core.can_read() {
            return;
        }
        self.rounds += 1;
        let numbers = self.salt.iter().chain([&self.rounds]);
        let context: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
        core.read_index(context.clone());
        self.round = Some(Round { context, waiters: std::mem::take(&mut self.waiting), age: 0 });
    }

    /// Those whose round this read point answers.
    pub(crate) fn answered(&mut self, context: &[u8]) -> Vec<IndexReply> {
        if self.round.as_ref().is_none_or(|round| round.context != context) {
            return Vec::new();
        }
        self.round.take().map(|round| round.waiters).unwrap_or_default()
    }

    /// Lets a tick pass: an old round goes back to waiting, and without a leader the waiting ends.
    pub(crate) fn tick(&mut self, core: &Core, patience: usize) {
        self.waiting.retain(|reply| !reply.is_canceled());
        if let Some(mut round) = self.round.take() {
            round.age += 1;
            if round.age < patience {
                self.round = Some(round);
            } else {
                self.waiting.append(&mut round.waiters);
            }
        }
        let led = core.leader().is_some() || core.role() == Role::Leader;
        self.leaderless = if led { 0 } else { self.leaderless + 1 };
        if self.leaderless > 2 * patience {
            self.fail(&ProposeError::NotLeader { leader: None });
        }
    }

    /// Whether anything is owed.
    pub(crate) fn idle(&self) -> bool {
        self.waiting.is_empty() && self.round.is_none()
    }

    /// Answers everybody with an error.
    pub(crate) fn fail(&mut self, error: &ProposeError) {
        let round = self.round.take().map(|round| round.waiters).unwrap_or_default();
        for reply in self.waiting.drain(..).chain(round) {
            // A caller that gave up needs no answer.
            let _ = reply.send(Err(error.clone()));
        }
    }
}
