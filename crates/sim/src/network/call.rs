//! A question and its answer, with what the caller can know when one of them is lost.

use super::{Network, RETRANSMISSION};
use crate::executor::NodeId;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, select};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vectron_base::pool::Pool;
use vectron_base::random::Random;
use vectron_base::{Code, Fault, Outcome};

/// Time on top of what the callee was given, as the production adapter has it.
const ANSWER_SLACK: Duration = Duration::from_millis(200);
/// How long a connection is tried for.
const CONNECT: Duration = Duration::from_secs(1);

/// One question: who asks whom, for how long, and what a lost answer means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// What the callee is, for people.
    pub(super) name: &'static str,
    /// What became of the call when its answer is lost.
    pub(super) lost: Outcome,
    /// What the callee was given.
    pub(super) wait: Duration,
}

impl Question {
    /// Nothing was sent, so nothing happened.
    fn unreachable(&self) -> Fault {
        Fault::new(Code::Unavailable, format!("the {} cannot be reached", self.name))
    }

    fn late(&self) -> Fault {
        Fault::new(Code::DeadlineExceeded, format!("the {} did not answer in time", self.name))
            .with_outcome(self.lost)
    }

    fn broken(&self) -> Fault {
        Fault::new(Code::Unavailable, format!("the {} gave no answer: connection reset", self.name))
            .with_outcome(self.lost)
    }
}

impl Network {
    /// Carries a question to its callee and the answer back. The callee works on its own node: if that crashes
    /// the connection breaks; if the caller gives up the callee may or may not notice.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        question: Question,
        service: impl FnOnce() -> Option<BoxFuture<'static, Result<T, Fault>>> + Send + 'static,
    ) -> Result<T, Fault> {
        let Question { from, to, .. } = question;
        let caller = self.executor.on(from, None);
        self.state.lock().counts.calls += 1;
        // A fresh connection finds out that nobody is there before anything is sent; on an open one the request
        // leaves, and nobody can say whether it arrived.
        let fresh = self.random.below(3) == 0;
        if !self.passes(from, to) || (fresh && !self.passes(to, from)) {
            return if fresh {
                caller.sleep(CONNECT.min(question.wait)).await;
                Err(question.unreachable())
            } else {
                self.state.lock().counts.unanswered += 1;
                caller.sleep(question.wait + ANSWER_SLACK).await;
                Err(question.late())
            };
        }
        let (done, answer) = oneshot::channel();
        let (network, arrives) = (self.clone(), self.stream_delay(from, to));
        let heeds = self.random.below(2) == 0;
        let arrived = Arc::new(AtomicBool::new(false));
        let noted = arrived.clone();
        self.executor.on(to, None).after(arrives, move || {
            if network.listens(to) {
                noted.store(true, Ordering::SeqCst);
                network.serve(question, heeds, service, done);
            }
        });
        let patience = caller.sleep(question.wait + ANSWER_SLACK);
        match select(answer, patience).await {
            Either::Left((Ok(answer), _)) => answer,
            // The callee, and the connection with it, is gone.
            Either::Left((Err(_), _)) => {
                caller.sleep(Duration::from_micros(200)).await;
                let refused = fresh && !arrived.load(Ordering::SeqCst);
                Err(if refused { question.unreachable() } else { question.broken() })
            }
            Either::Right(_) => {
                self.state.lock().counts.unanswered += 1;
                Err(question.late())
            }
        }
    }

    fn serve<T: Send + 'static>(
        &self,
        question: Question,
        heeds: bool,
        service: impl FnOnce() -> Option<BoxFuture<'static, Result<T, Fault>>> + Send + 'static,
        mut done: oneshot::Sender<Result<T, Fault>>,
    ) {
        let Question { from, to, .. } = question;
        let Some(work) = service() else { return };
        let network = self.clone();
        let serving = async move {
            let answer = if heeds {
                // The caller's cancellation reaches the callee, which drops what it was doing.
                match select(work, done.cancellation()).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => return,
                }
            } else {
                work.await
            };
            if !network.passes(to, from) {
                // Held for ever: the caller waits out its patience, not a broken connection.
                network.executor.on(from, None).after(Duration::from_secs(3600), move || drop(done));
                return;
            }
            let arrives = network.stream_delay(to, from);
            network.executor.on(from, None).after(arrives, move || {
                // A caller that gave up needs no answer.
                let _ = done.send(answer);
            });
        };
        self.executor.on(to, None).spawn("call", Box::pin(serving));
    }

    /// How long something on a stream is on its way: what is lost is sent again.
    fn stream_delay(&self, from: NodeId, to: NodeId) -> Duration {
        let link = self.link(from, to);
        let mut delay = self.delay(link);
        while self.chance(link.loss_ppm) {
            delay += RETRANSMISSION;
        }
        delay
    }
}
