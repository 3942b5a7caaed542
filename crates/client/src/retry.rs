//! Trying again: only what the server calls retryable, after the pause it asks for, within a budget.

use crate::error::Error;
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::random::{Random, SystemRandom};

/// How often and how long to try again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// Longest pause before the second attempt; it doubles from there.
    pub first_pause: Duration,
    /// Longest pause between any two attempts.
    pub longest_pause: Duration,
    /// Time for all attempts and pauses; when the next pause would pass it, the last error is returned.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            budget: Duration::from_secs(15),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// For bulk work: outlasts a restart or an election.
    pub fn patient() -> Self {
        Self {
            attempts: 1_000,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            budget: Duration::from_secs(120),
        }
    }

    /// Runs `attempt` until it succeeds, fails for good, or the budget ends. Gives the last error.
    pub async fn run<T, F>(&self, attempt: impl FnMut(u32) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.run_while(Error::retryable, attempt).await
    }

    /// The same, with a narrower idea of what may be tried again.
    pub(crate) async fn run_while<T, F>(
        &self,
        may_retry: impl Fn(&Error) -> bool,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let clock = SystemClock::new();
        let start = clock.now();
        let mut number = 0;
        loop {
            let error = match attempt(number).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            number += 1;
            if number >= self.attempts || !may_retry(&error) {
                return Err(error);
            }
            let pause = self.pause(number, error.fault.retry_after_ms, &SystemRandom);
            if clock.now().since(start) + pause > self.budget {
                return Err(error);
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

#[allow(clippy::disallowed_methods, reason = "the client runs in its user's runtime, not on our pools")]
async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use vectron_base::random::SeededRandom;
    use vectron_base::{Code, Fault};

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
