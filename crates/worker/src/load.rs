//! What the worker did since its last report.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_wire::placement::WorkerLoad;

/// Buckets per power of two: a percentile is at most an eighth too high.
const FINE: u32 = 8;
/// From one microsecond to more than an hour.
const BUCKETS: usize = 32 * FINE as usize;

/// Counts since the last report.
pub struct Load {
    /// Searches by their time of computing.
    searches: [AtomicU64; BUCKETS],
    writes: AtomicU64,
    since: Mutex<Tick>,
}

impl Load {
    /// Nothing since `now`.
    pub fn new(now: Tick) -> Self {
        Self {
            searches: std::array::from_fn(|_| AtomicU64::new(0)),
            writes: AtomicU64::new(0),
            since: Mutex::new(now),
        }
    }

    /// A search took this long.
    pub fn searched(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.searches.get(bucket_of(us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A write was carried out.
    pub fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures since the last call.
    pub fn take(&self, now: Tick) -> WorkerLoad {
        let passed = {
            let mut since = self.since.lock();
            let passed = now.since(*since);
            *since = now;
            u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1)
        };
        let counts: Vec<u64> = self.searches.iter().map(|bucket| bucket.swap(0, Ordering::Relaxed)).collect();
        let searches: u64 = counts.iter().sum();
        let per_s = |count: u64| count.saturating_mul(1000) / passed;
        WorkerLoad {
            searches_per_s: per_s(searches),
            writes_per_s: per_s(self.writes.swap(0, Ordering::Relaxed)),
            search_p99_us: percentile(&counts, searches),
        }
    }
}

/// Upper bound of the bucket in which 99 of 100 are reached; 0 without any.
fn percentile(counts: &[u64], all: u64) -> u64 {
    let wanted = (all * 99).div_ceil(100);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if *count > 0 && seen >= wanted {
            return bound_of(bucket);
        }
    }
    0
}

fn bucket_of(us: u64) -> usize {
    let us = us.max(1);
    let power = us.ilog2();
    let fine = if power >= FINE.ilog2() { (us >> (power - FINE.ilog2())) as u32 - FINE } else { 0 };
    ((power * FINE + fine) as usize).min(BUCKETS - 1)
}

fn bound_of(bucket: usize) -> u64 {
    let (power, fine) = (bucket as u32 / FINE, bucket as u32 % FINE);
    if power < FINE.ilog2() {
        (2 << power) - 1
    } else {
        (u64::from(FINE + fine + 1) << (power - FINE.ilog2())) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_within_its_bucket() {
        for us in (0..5000).chain([1 << 20, (1 << 20) + 1, 3_600_000_000]) {
            let bound = bound_of(bucket_of(us));
            assert!(bound >= us.max(1) && bound <= us.max(8) + us / 8 + 8, "{us}: {bound}");
        }
    }

    #[test]
    fn figures_are_of_the_last_interval() {
        let load = Load::new(Tick(0));
        for us in 1..=1000 {
            load.searched(Duration::from_micros(us));
        }
        (0..50).for_each(|_| load.wrote());
        let first = load.take(Tick(2_000_000_000));
        assert_eq!((first.searches_per_s, first.writes_per_s), (500, 25));
        assert!((990..=1130).contains(&first.search_p99_us), "{}", first.search_p99_us);
        assert_eq!(load.take(Tick(3_000_000_000)), WorkerLoad::default());
    }
}
