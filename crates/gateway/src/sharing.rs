//! Equal questions at the same time, asked once.
//!
//! While a question is being asked, whoever comes with an equal one waits for it to end. Then one of those who wait asks
//! for all of them, and so on. An answer thus goes only to callers that were there before its asking began, which is what
//! every read level demands of it: a barrier begun after the arrival, a fence passed after it. Joining what is already
//! under way would be sound for no level: an answer on its way may be from before a delete that was acknowledged since.

use futures::channel::oneshot;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::pool::{Pool, within};

/// What becomes of one who waits.
enum Told<Q: Hash + Eq + Clone, A> {
    Answer(A),
    Turn(Turn<Q, A>),
}

type Waiter<Q, A> = oneshot::Sender<Told<Q, A>>;

/// Questions that are being asked, with those who wait for their end.
pub struct Sharing<Q: Hash + Eq + Clone, A> {
    asked: Mutex<HashMap<Q, Vec<Waiter<Q, A>>>>,
}

/// The right to ask a question. Whoever drops it, with an answer or without one, passes it on.
struct Turn<Q: Hash + Eq + Clone, A> {
    sharing: Arc<Sharing<Q, A>>,
    question: Q,
    /// Those who get the answer too.
    others: Vec<Waiter<Q, A>>,
}

impl<Q: Hash + Eq + Clone, A> Drop for Turn<Q, A> {
    fn drop(&mut self) {
        let mut waiting = {
            let mut asked = self.sharing.asked.lock();
            let mut waiting = asked.get_mut(&self.question).map(std::mem::take).unwrap_or_default();
            waiting.retain(|waiter| !waiter.is_canceled());
            if waiting.is_empty() {
                asked.remove(&self.question);
                return;
            }
            waiting
        };
        let next = waiting.remove(0);
        let turn = Turn { sharing: self.sharing.clone(), question: self.question.clone(), others: waiting };
        // If that one left just now its turn is dropped here, or with its channel, and passed on in the same way.
        let _ = next.send(Told::Turn(turn));
    }
}

impl<Q: Hash + Eq + Clone, A: Clone> Sharing<Q, A> {
    /// Nothing asked.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default() })
    }

    /// The answer of `ask`, or of an equal question that somebody begins to ask after now; and whether it was another's.
    /// Whoever waits longer than `patience`, or for one that failed, asks for itself alone.
    pub async fn answer(
        self: &Arc<Self>,
        question: Q,
        patience: Duration,
        pool: &Arc<dyn Pool>,
        ask: impl Future<Output = Result<A, Fault>>,
    ) -> (Result<A, Fault>, bool)
    where
        Q: Send,
        A: Send,
    {
        let turn = match self.enter(question) {
            Ok(turn) => Some(turn),
            Err(told) => match within(pool, patience, told).await {
                Some(Ok(Told::Answer(answer))) => return (Ok(answer), true),
                Some(Ok(Told::Turn(turn))) => Some(turn),
                Some(Err(oneshot::Canceled)) | None => None,
            },
        };
        let answer = ask.await;
        if let (Some(mut turn), Ok(answer)) = (turn, &answer) {
            for other in turn.others.drain(..) {
                // One that left needs no answer.
                let _ = other.send(Told::Answer(answer.clone()));
            }
        }
        (answer, false)
    }

    /// The turn if nobody asks; else where to wait.
    fn enter(self: &Arc<Self>, question: Q) -> Result<Turn<Q, A>, oneshot::Receiver<Told<Q, A>>> {
        let mut asked = self.asked.lock();
        if let Some(waiting) = asked.get_mut(&question) {
            let (waiter, told) = oneshot::channel();
            waiting.push(waiter);
            return Err(told);
        }
        asked.insert(question.clone(), Vec::new());
        drop(asked);
        Ok(Turn { sharing: self.clone(), question, others: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{BoxFuture, join_all};
    use futures::{FutureExt, executor::block_on};
    use std::sync::atomic::{AtomicU64, Ordering};
    use vectron_base::Code;
    use vectron_base::pool::Lane;

    /// Patience never ends, unless it was none.
    struct Still;

    impl Pool for Still {
        fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            if duration.is_zero() {
                Box::pin(std::future::ready(()))
            } else {
                Box::pin(std::future::pending())
            }
        }
        fn run(&self, _: Lane, _: Box<dyn FnOnce() + Send>) {}
    }

    struct Bench {
        sharing: Arc<Sharing<u8, u64>>,
        pool: Arc<dyn Pool>,
        begun: AtomicU64,
    }

    type Asked<'a> = BoxFuture<'a, (Result<u64, Fault>, bool)>;

    impl Bench {
        fn new() -> Self {
            Self { sharing: Sharing::new(), pool: Arc::new(Still), begun: AtomicU64::new(0) }
        }

        /// Answers with the number of askings begun so far, once `open` is.
        fn ask<'a>(
            &'a self,
            question: u8,
            patience_ms: u64,
            open: impl Future<Output = Result<(), Fault>> + Send + 'a,
        ) -> Asked<'a> {
            let ask = async move {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                open.await.map(|()| number)
            };
            Box::pin(self.sharing.answer(question, Duration::from_millis(patience_ms), &self.pool, ask))
        }
    }

    fn gate() -> (oneshot::Sender<()>, impl Future<Output = Result<(), Fault>> + Send) {
        let (open, opened) = oneshot::channel();
        (open, async move { opened.await.map_err(|_| Fault::new(Code::Unavailable, "as told")) })
    }

    async fn at_once() -> Result<(), Fault> {
        Ok(())
    }

    #[test]
    fn who_comes_during_an_asking_shares_the_next_and_never_the_one_under_way() {
        let bench = Bench::new();
        let (open, opened) = gate();
        let mut first = bench.ask(1, 9, opened);
        assert!((&mut first).now_or_never().is_none());
        let mut later: Vec<_> = (0..10).map(|_| bench.ask(1, 9, at_once())).collect();
        for one in &mut later {
            assert!(one.now_or_never().is_none());
        }
        assert_eq!(bench.ask(2, 9, at_once()).now_or_never(), Some((Ok(2), false)), "another question");
        open.send(()).expect("it waits");
        assert_eq!(block_on(first), (Ok(1), false));
        let answers = block_on(join_all(later));
        assert!(answers.iter().all(|(answer, _)| *answer == Ok(3)), "{answers:?}");
        assert_eq!(answers.iter().filter(|(_, shared)| *shared).count(), 9);
        assert_eq!(bench.ask(1, 9, at_once()).now_or_never(), Some((Ok(4), false)), "nothing is kept");
        assert!(bench.sharing.asked.lock().is_empty());
    }

    #[test]
    fn a_turn_whose_caller_leaves_is_passed_on_and_a_fault_is_nobody_elses() {
        let bench = Bench::new();
        let (_open, opened) = gate();
        let mut first = bench.ask(1, 9, opened);
        assert!((&mut first).now_or_never().is_none());
        let (fail, failed) = gate();
        let (mut second, mut third) = (bench.ask(1, 9, failed), bench.ask(1, 9, at_once()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        // The second has the turn now; a fourth waits for its end.
        assert!((&mut second).now_or_never().is_none());
        let mut fourth = bench.ask(1, 9, at_once());
        assert!((&mut fourth).now_or_never().is_none());
        drop(fail);
        assert!(block_on(second).0.is_err());
        assert_eq!(block_on(third), (Ok(3), false));
        assert_eq!(block_on(fourth), (Ok(4), false));
        // A caller that left before its turn came.
        let (open, opened) = gate();
        let mut first = bench.ask(1, 9, opened);
        assert!((&mut first).now_or_never().is_none());
        let mut gone = bench.ask(1, 9, at_once());
        let mut last = bench.ask(1, 9, at_once());
        assert!((&mut gone).now_or_never().is_none() && (&mut last).now_or_never().is_none());
        open.send(()).expect("it waits");
        block_on(first).0.expect("an answer");
        drop(gone);
        assert!(block_on(last).0.is_ok());
        assert!(bench.sharing.asked.lock().is_empty());
    }

    #[test]
    fn who_has_no_patience_asks_alone() {
        let bench = Bench::new();
        let (_open, opened) = gate();
        let mut first = bench.ask(1, 9, opened);
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(bench.ask(1, 0, at_once()).now_or_never(), Some((Ok(2), false)));
    }
}
