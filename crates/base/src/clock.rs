//! Time, as a seam: a monotonic reading for durations and a wall reading for people and log time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since an arbitrary start of this process, monotonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// Nanoseconds from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
    /// This reading moved forward by `by`.
    pub fn plus(self, by: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where every room reads the time.
pub trait Clock: Send + Sync {
    /// Monotonic reading. Never goes back, even when the wall clock is stepped.
    fn now(&self) -> Tick;
    /// Milliseconds since the Unix epoch. May be stepped in either direction; only for people and for
    /// log time, which each group forces to be non-decreasing.
    fn wall_ms(&self) -> u64;
}

/// The machine's clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Tick {
        Tick(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that moves only when told to: for tests and simulations.
#[derive(Default)]
pub struct ManualClock {
    mono_ns: AtomicU64,
    wall_ms: AtomicU64,
}

impl ManualClock {
    /// A clock at monotonic zero and the given wall time.
    pub fn starting_at(wall_ms: u64) -> Self {
        Self { mono_ns: AtomicU64::new(0), wall_ms: AtomicU64::new(wall_ms) }
    }
    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        self.mono_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        self.wall_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
    /// Steps the wall reading alone, as an operator or NTP would.
    pub fn step_wall_ms(&self, to: u64) {
        self.wall_ms.store(to, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick(self.mono_ns.load(Ordering::SeqCst))
    }
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stepping_the_wall_leaves_monotonic_time_alone() {
        let clock = ManualClock::starting_at(1_000_000);
        clock.advance(Duration::from_secs(5));
        let before = clock.now();
        clock.step_wall_ms(10);
        assert_eq!(clock.now(), before);
        assert_eq!(clock.wall_ms(), 10);
    }
}
