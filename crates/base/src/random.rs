//! Randomness, as a seam: seeded in tests and simulations, from the operating system in production.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where every room draws random numbers.
pub trait Random: Send + Sync {
    /// Sixty-four uniform bits.
    fn next_u64(&self) -> u64;

    /// Uniform in `0..bound`; zero when `bound` is zero.
    fn below(&self, bound: u64) -> u64 {
        // Multiply-shift: the bias is below 2^-32 for every bound used here.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// The operating system's generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        // The OS generator does not fail after boot on the platforms we run on; if it does, a process
        // that cannot make unique ids must not go on.
        getrandom::u64().expect("operating system randomness is available")
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for schedules and ids in tests.
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

/// The SplitMix64 finaliser: a bijective mix of 64 bits.
pub fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        mix64(self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_sequences() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        assert_ne!(SeededRandom::new(8).next_u64(), SeededRandom::new(7).next_u64());
    }

    #[test]
    fn below_stays_below() {
        let random = SeededRandom::new(1);
        assert!((1..1000).all(|bound| random.below(bound) < bound));
        assert_eq!(random.below(0), 0);
    }
}
