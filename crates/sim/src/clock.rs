//! The clock of one node: its own idea of how fast time passes and of what time it is.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, Tick};

/// Largest error of a node's rate in parts per million. Quartz is within 100; a bound that is promised must hold
/// at five times that.
pub const DRIFT_MAX_PPM: i64 = 500;

const MILLION: i128 = 1_000_000;

#[derive(Clone, Copy)]
struct Rate {
    /// Since when, in virtual time.
    since: Tick,
    /// What the node's monotonic clock said then.
    local: Tick,
    ppm: i64,
    wall_offset_ms: i64,
}

/// A clock that runs a little fast or slow against virtual time, and whose wall reading can be off by anything.
pub struct NodeClock {
    time: Arc<ManualClock>,
    rate: Mutex<Rate>,
}

impl NodeClock {
    /// A clock of a process that starts now: its monotonic reading begins at `start`, which tells nothing.
    pub fn new(time: Arc<ManualClock>, start: Tick, ppm: i64, wall_offset_ms: i64) -> Self {
        let ppm = ppm.clamp(-DRIFT_MAX_PPM, DRIFT_MAX_PPM);
        let rate = Rate { since: time.now(), local: start, ppm, wall_offset_ms };
        Self { time, rate: Mutex::new(rate) }
    }

    /// From now on it runs at another rate.
    pub fn drift(&self, ppm: i64) {
        let (local, since) = (self.now(), self.time.now());
        let mut rate = self.rate.lock();
        *rate = Rate { since, local, ppm: ppm.clamp(-DRIFT_MAX_PPM, DRIFT_MAX_PPM), ..*rate };
    }

    /// Steps the wall reading alone, as an operator or NTP would.
    pub fn step_wall(&self, by_ms: i64) {
        self.rate.lock().wall_offset_ms += by_ms;
    }

    /// How much virtual time passes while this clock sees `duration` pass.
    pub fn virtual_duration(&self, duration: Duration) -> Duration {
        let ppm = i128::from(self.rate.lock().ppm);
        let ns = duration.as_nanos() as i128 * MILLION;
        Duration::from_nanos(u64::try_from(ns.div_euclid(MILLION + ppm) + 1).unwrap_or(u64::MAX))
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Tick {
        let rate = *self.rate.lock();
        let passed = i128::from(self.time.now().0) - i128::from(rate.since.0);
        let local = passed * (MILLION + i128::from(rate.ppm)) / MILLION;
        Tick(rate.local.0 + local as u64)
    }

    fn wall_ms(&self) -> u64 {
        self.time.wall_ms().saturating_add_signed(self.rate.lock().wall_offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_drifts_within_bounds_and_never_goes_back() {
        let time = Arc::new(ManualClock::starting_at(1_000_000));
        let clock = NodeClock::new(time.clone(), Tick(77), 500, 0);
        time.advance(Duration::from_secs(10));
        assert_eq!(clock.now(), Tick(77 + 10_005_000_000));
        clock.drift(-1_000_000);
        let before = clock.now();
        time.advance(Duration::from_secs(10));
        assert_eq!(clock.now().since(before), Duration::from_nanos(9_995_000_000));
        clock.step_wall(-3_600_000);
        assert_eq!(clock.now().since(before), Duration::from_nanos(9_995_000_000));
        assert_eq!(clock.wall_ms(), (1_000_000u64 + 20_000).saturating_sub(3_600_000));
    }

    #[test]
    fn sleeping_lasts_as_long_as_the_sleepers_own_clock_says() {
        for ppm in [-500, 0, 500] {
            let time = Arc::new(ManualClock::starting_at(0));
            let clock = NodeClock::new(time.clone(), Tick(0), ppm, 0);
            time.advance(clock.virtual_duration(Duration::from_secs(7)));
            let passed = clock.now().since(Tick(0));
            assert!(
                passed >= Duration::from_secs(7) && passed < Duration::from_micros(7_000_001),
                "{passed:?}"
            );
        }
    }
}
