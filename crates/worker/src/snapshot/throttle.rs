//! How fast copies are fetched, all together.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, Tick};
use vectron_base::pool::Pool;

/// Bytes wait here for their turn.
pub(crate) struct Throttle {
    /// When the bytes so far are paid for.
    free_at: Mutex<Tick>,
}

impl Throttle {
    /// Nothing was fetched yet.
    pub fn new(now: Tick) -> Self {
        Self { free_at: Mutex::new(now) }
    }

    /// Waits until `bytes` more may come, at so many a second; 0 means at once.
    pub async fn wait(&self, clock: &Arc<dyn Clock>, pool: &Arc<dyn Pool>, bytes: u64, bytes_per_s: u64) {
        let pause = self.take(clock.now(), bytes, bytes_per_s);
        if !pause.is_zero() {
            pool.sleep(pause).await;
        }
    }

    fn take(&self, now: Tick, bytes: u64, bytes_per_s: u64) -> Duration {
        if bytes_per_s == 0 {
            return Duration::ZERO;
        }
        let mut free_at = self.free_at.lock();
        let from = (*free_at).max(now);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_s);
        *free_at = from.plus(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        from.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them_and_idle_time_is_not_saved_up() {
        let throttle = Throttle::new(Tick(0));
        let second = Duration::from_secs(1);
        assert_eq!(throttle.take(Tick(0), 1000, 1000), Duration::ZERO);
        assert_eq!(throttle.take(Tick(0), 500, 1000), second);
        assert_eq!(throttle.take(Tick(0), 500, 1000), second * 3 / 2);
        let later = Tick(0).plus(second * 60);
        assert_eq!(throttle.take(later, 1000, 1000), Duration::ZERO);
        assert_eq!(throttle.take(later, 1000, 1000), second);
        assert_eq!(throttle.take(later, u64::MAX, 0), Duration::ZERO);
    }
}
