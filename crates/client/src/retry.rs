//! Trying again: only what the server calls retryable, after the pause it asks for, within a budget.

use crate::answers::UpsertAnswer;
use crate::error::Error;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::random::{Random, SystemRandom};
use vectron_base::{Code, Outcome};

/// Hears of every pause before another attempt: why, and how long.
pub type RetryWatch = Arc<dyn Fn(&Error, Duration) + Send + Sync>;

/// How often and how long to try again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Longest pause before the second attempt; it doubles from there.
    pub first_pause: Duration,
    /// Longest pause between any two attempts.
    pub longest_pause: Duration,
    /// Time for all attempts and pauses; when the next pause would pass it, the last error is returned. The
    /// time in which the server answers that it has too much to do counts against `overload_budget` alone.
    pub budget: Duration,
    /// Time to wait in all for a server that is there and says it has too much to do.
    pub overload_budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            budget: Duration::from_secs(15),
            overload_budget: Duration::from_secs(15),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// For bulk work: outlasts a restart, an election, and the time a graph needs to catch up with its rows.
    pub fn patient() -> Self {
        Self {
            attempts: u32::MAX,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            budget: Duration::from_secs(120),
            overload_budget: Duration::from_secs(30 * 60),
        }
    }

    /// Runs `attempt` until it succeeds, fails for good, or the budget ends. Gives the last error.
    pub async fn run<T, F>(&self, attempt: impl FnMut(u32) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let rules = Rules { may_retry: &Error::retryable, unfinished: &|_| None, watch: None };
        self.run_by(rules, attempt).await
    }

    /// Runs `attempt` at an upsert, always the same one under the same idempotency key, until every point is
    /// decided: shards that are done replay their answer, the others get another chance. When the budget ends
    /// first, the last answer still holds the points that may be tried again ([`UpsertAnswer::unfinished`]).
    pub async fn run_upsert<F>(
        &self,
        watch: Option<&RetryWatch>,
        attempt: impl FnMut(u32) -> F,
    ) -> Result<UpsertAnswer, Error>
    where
        F: Future<Output = Result<UpsertAnswer, Error>>,
    {
        let rules = Rules { may_retry: &Error::retryable, unfinished: &UpsertAnswer::unfinished, watch };
        self.run_by(rules, attempt).await
    }

    /// The one loop behind every retry.
    pub(crate) async fn run_by<T, F>(
        &self,
        rules: Rules<'_, T>,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let clock = SystemClock::new();
        let start = clock.now();
        let (mut number, mut silent_since, mut in_doubt) = (0, start, false);
        loop {
            let result = attempt(number).await;
            let error = match &result {
                Ok(value) => match (rules.unfinished)(value) {
                    None => return result,
                    Some(error) => error,
                },
                Err(error) => error.clone(),
            };
            number += 1;
            let busy = matches!(error.code(), Code::Overloaded | Code::RateLimited);
            let now = clock.now();
            if busy {
                silent_since = now;
            }
            let pause = self.pause(number, error.fault.retry_after_ms, &SystemRandom);
            let (spent, budget) = if busy {
                (now.since(start), self.overload_budget)
            } else {
                (now.since(silent_since), self.budget)
            };
            if number >= self.attempts || !(rules.may_retry)(&error) || spent + pause > budget {
                return result.map_err(|error| doubted(error, in_doubt));
            }
            in_doubt |= error.outcome() != Outcome::NotApplied;
            if let Some(watch) = rules.watch {
                watch(&error, pause);
            }
            sleep(pause).await;
        }
    }

    /// The pause before attempt `number` (counted from 0): what the server asked for plus a little, or a
    /// random share of the doubled limit, so that clients which failed together do not return together.
    fn pause(&self, number: u32, retry_after_ms: Option<u64>, random: &dyn Random) -> Duration {
        let doubled = self.first_pause.saturating_mul(1_u32 << (number - 1).min(20));
        let limit = doubled.min(self.longest_pause);
        let jitter = |limit: Duration| {
            let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            Duration::from_millis(random.below(ms.saturating_add(1)))
        };
        match retry_after_ms {
            Some(ms) => {
                let asked = Duration::from_millis(ms);
                asked + jitter(asked / 4)
            }
            None => jitter(limit),
        }
    }
}

/// What an attempt's result means for the next one.
pub(crate) struct Rules<'a, T> {
    /// Whether a failed attempt may be repeated.
    pub may_retry: &'a (dyn Fn(&Error) -> bool + Sync),
    /// Why an answer is not the last word yet.
    pub unfinished: &'a (dyn Fn(&T) -> Option<Error> + Sync),
    /// Told before every pause.
    pub watch: Option<&'a RetryWatch>,
}

/// The last error, after attempts of which one may have had an effect: that the last had none does not say
/// that nothing was done.
fn doubted(mut error: Error, in_doubt: bool) -> Error {
    if in_doubt && error.fault.outcome == Outcome::NotApplied {
        error.fault.outcome = Outcome::Unknown;
    }
    error
}

#[allow(clippy::disallowed_methods, reason = "the client runs in its user's runtime, not on our pools")]
async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use vectron_base::Fault;
    use vectron_base::random::SeededRandom;

    fn quick() -> RetryPolicy {
        RetryPolicy { first_pause: Duration::from_millis(1), ..RetryPolicy::default() }
    }

    fn failing(code: Code) -> Error {
        Error { fault: Fault::new(code, "no"), request_id: None }
    }

    #[tokio::test]
    async fn retryable_faults_are_tried_again_and_others_are_not() {
        for (code, expected) in [(Code::Unavailable, 5), (Code::InvalidArgument, 1), (Code::NotFound, 1)] {
            let tries = Cell::new(0);
            let result: Result<(), Error> = quick()
                .run(|_| {
                    tries.set(tries.get() + 1);
                    async { Err(failing(code)) }
                })
                .await;
            assert_eq!(result.unwrap_err().code(), code);
            assert_eq!(tries.get(), expected, "{code}");
        }
    }

    #[tokio::test]
    async fn success_ends_it() {
        let result =
            quick().run(|n| async move { if n < 2 { Err(failing(Code::Overloaded)) } else { Ok(n) } }).await;
        assert_eq!(result.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_pause_past_the_budget_is_not_taken() {
        let policy = RetryPolicy { budget: Duration::from_secs(1), ..quick() };
        let tries = Cell::new(0);
        let result: Result<(), Error> = policy
            .run(|_| {
                tries.set(tries.get() + 1);
                async {
                    let mut error = failing(Code::RateLimited);
                    error.fault.retry_after_ms = Some(60_000);
                    Err(error)
                }
            })
            .await;
        assert!(result.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn a_busy_server_is_given_more_time_than_a_silent_one() {
        let policy = RetryPolicy {
            attempts: u32::MAX,
            budget: Duration::ZERO,
            overload_budget: Duration::from_secs(60),
            ..quick()
        };
        let tries = Cell::new(0);
        let result: Result<(), Error> = policy
            .run(|n| {
                tries.set(n + 1);
                let mut error = failing(if n < 20 { Code::Overloaded } else { Code::Unavailable });
                error.fault.retry_after_ms = Some(1);
                async { Err(error) }
            })
            .await;
        assert_eq!((result.unwrap_err().code(), tries.get()), (Code::Unavailable, 21));
    }

    #[tokio::test]
    async fn what_was_in_doubt_once_stays_in_doubt() {
        let result: Result<(), Error> = quick()
            .run(|n| async move {
                let mut error = failing(if n == 0 { Code::DeadlineExceeded } else { Code::NotFound });
                error.fault.outcome = if n == 0 { Outcome::Unknown } else { Outcome::NotApplied };
                Err(error)
            })
            .await;
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Code::NotFound, Outcome::Unknown));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_honour_the_server() {
        let (policy, random) = (RetryPolicy::default(), SeededRandom::new(1));
        for number in 1..40 {
            assert!(policy.pause(number, None, &random) <= policy.longest_pause);
            let asked = policy.pause(number, Some(700), &random);
            assert!((700..=875).contains(&asked.as_millis()));
        }
    }
}
