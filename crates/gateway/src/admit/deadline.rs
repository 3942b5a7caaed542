//! The time that one call has.

use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, Tick};
use vectron_base::pool::{Pool, within};
use vectron_base::{Code, Fault, Outcome};

/// When a call must be answered.
#[derive(Clone)]
pub struct Deadline {
    clock: Arc<dyn Clock>,
    pool: Arc<dyn Pool>,
    at: Tick,
    total_ms: u64,
}

impl Deadline {
    /// So much from now on.
    pub fn after(clock: &Arc<dyn Clock>, pool: &Arc<dyn Pool>, ms: u64) -> Self {
        let at = clock.now().plus(Duration::from_millis(ms));
        Self { clock: clock.clone(), pool: pool.clone(), at, total_ms: ms }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.at.since(self.clock.now())
    }

    /// What is left, in whole milliseconds and at least one, for those who are asked.
    pub fn left_ms(&self) -> u64 {
        u64::try_from(self.left().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether nothing is left.
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// The result of `work`, or `deadline_exceeded` with the outcome that a late answer would leave.
    pub async fn bound<T>(
        &self,
        late: Outcome,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        match within(&self.pool, self.left(), work).await {
            Some(result) => result,
            None => Err(self.fault(late)),
        }
    }

    /// The same, but at most `ms` from now.
    pub fn no_later_than(&self, ms: u64) -> Self {
        let at = self.at.min(self.clock.now().plus(Duration::from_millis(ms.min(self.total_ms))));
        Self { at, total_ms: self.total_ms.min(ms), ..self.clone() }
    }

    /// So many percent of what is left.
    pub fn share(&self, percent: u64) -> Self {
        self.no_later_than((self.left_ms().saturating_mul(percent) / 100).max(1))
    }

    fn fault(&self, outcome: Outcome) -> Fault {
        let detail = format!("no answer within {} ms", self.total_ms);
        Fault::new(Code::DeadlineExceeded, detail).with_outcome(outcome)
    }
}
