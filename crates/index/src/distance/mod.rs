//! Distance kernels: one pair (inner product, squared Euclidean) per instruction set,
//! chosen once per process; [`reference`] is the f64 oracle they are all held to.
//!
//! Every kernel reads `min(a.len(), b.len())` components and sums in f32. Sums differ between
//! instruction sets in the last bits, so floats from different machines are never compared.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub mod reference;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// A kernel over two vectors of the same length.
pub(crate) type Kernel = fn(&[f32], &[f32]) -> f32;

/// The kernels of one instruction set.
pub(crate) struct Kernels {
    /// Name of the instruction set, for tests and measurements.
    pub name: &'static str,
    /// Inner product.
    pub dot: Kernel,
    /// Squared Euclidean distance.
    pub squared: Kernel,
}

/// The fastest kernels this processor runs; detected on first use.
pub(crate) fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| available()[0])
}

/// Name of the instruction set in use (`avx512`, `avx2`, `neon` or `portable`).
pub fn instruction_set() -> &'static str {
    kernels().name
}

/// Every kernel table this processor can run, fastest first.
pub(crate) fn available() -> Vec<&'static Kernels> {
    let mut tables: Vec<&'static Kernels> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    x86::push_available(&mut tables);
    #[cfg(target_arch = "aarch64")]
    tables.push(&neon::NEON);
    tables.push(&portable::PORTABLE);
    tables
}

/// Asks the memory system for a vector that will be read soon; a hint without effect on results.
#[inline(always)]
pub(crate) fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let bytes = std::mem::size_of_val(data);
        let start = data.as_ptr().cast::<i8>();
        let mut offset = 0;
        while offset < bytes {
            // SAFETY: `offset` stays inside the slice, and a prefetch neither faults nor
            // changes any value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(offset)) };
            offset += LINE;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(seed: u64, len: usize) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = crate::hash::mix(state);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn check(a: &[f32], b: &[f32]) {
        // The rounding of a sum grows with the sum of magnitudes, not with the sum.
        let size: f64 = a.iter().zip(b).map(|(x, y)| f64::from((x * y).abs())).sum();
        let spread = reference::squared(a, b);
        for table in available() {
            let dot = f64::from((table.dot)(a, b));
            let gap = (dot - reference::dot(a, b)).abs();
            assert!(gap <= 1e-5 * size + 1e-6, "{} dot at {}: {gap}", table.name, a.len());
            let squared = f64::from((table.squared)(a, b));
            let gap = (squared - spread).abs();
            assert!(gap <= 1e-5 * spread + 1e-6, "{} squared at {}: {gap}", table.name, a.len());
        }
    }

    #[test]
    fn every_length_agrees_with_the_reference() {
        let a = sample(1, 4096 + 8);
        let b = sample(2, 4096 + 8);
        for len in 0..=4096 {
            let (x, y) = (len % 7, len % 5);
            check(&a[x..x + len], &b[y..y + len]);
        }
    }

    proptest! {
        #[test]
        fn any_offset_agrees_with_the_reference(
            seed in any::<u64>(), len in 0usize..300, left in 0usize..17, right in 0usize..17,
        ) {
            let a = sample(seed, len + left);
            let b = sample(seed ^ 0x5555, len + right);
            check(&a[left..], &b[right..]);
        }
    }

    #[test]
    fn the_chosen_kernels_are_the_first_available() {
        assert_eq!(instruction_set(), available()[0].name);
    }
}
