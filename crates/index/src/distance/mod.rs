//! Distance kernels: one table per instruction set, chosen once per process; [`reference`] is the
//! oracle they are all held to.
//!
//! **Floats.** f32 and f16 kernels read `min(a.len(), b.len())` components and sum in f32. Sums
//! differ between instruction sets in the last bits, so floats from different machines are never
//! compared.
//!
//! **Codes.** Integer kernels are exact, hence the same on every instruction set, for codes of up
//! to 65,536 components. Codes are unsigned (0..=255 or 0..=15), queries signed. Two
//! nibbles share a byte as told in [`nibbles`]. A row too short for its query counts as zeros.
//! The kernels over four rows load the query once and reduce four sums together.

mod hadamard;
pub(crate) mod half;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod nibbles;
mod portable;
pub mod reference;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;
use std::sync::OnceLock;

/// Most components the integer kernels sum without overflow: 255 · 128 · 2¹⁶ < 2³¹.
#[cfg(test)]
pub(crate) const MOST_COMPONENTS: usize = 1 << 16;

/// What is taken off an 8-bit code before it is multiplied with a float.
pub(crate) const BYTE_CENTRE: u8 = 128;

/// A kernel over two vectors of the same length.
pub(crate) type Kernel = fn(&[f32], &[f32]) -> f32;
/// A kernel over a vector of IEEE half-precision bit patterns and an f32 query.
pub(crate) type HalfKernel = fn(&[u16], &[f32]) -> f32;
/// Inner product of codes and a signed query.
pub(crate) type CodeKernel = fn(&[u8], &[i8]) -> i32;
/// Inner products of four rows of codes and one signed query.
pub(crate) type CodeKernelFour = fn(&[&[u8]; 4], &[i8]) -> [i32; 4];
/// The same of codes whose high and low nibbles are stored apart.
pub(crate) type SplitKernelFour = fn(&[&[u8]; 4], &[&[u8]; 4], &[i8]) -> [i32; 4];

/// The kernels of one instruction set.
#[allow(dead_code, reason = "vectors of half precision are measured and tested, and kept nowhere yet")]
pub(crate) struct Kernels {
    /// Name of the instruction set, for tests and measurements.
    pub name: &'static str,
    /// Inner product.
    pub dot: Kernel,
    /// Squared Euclidean distance.
    pub squared: Kernel,
    /// Inner product of a half-precision row and a query.
    pub dot_half: HalfKernel,
    /// Squared Euclidean distance of a half-precision row and a query.
    pub squared_half: HalfKernel,
    /// 8-bit codes and query.
    pub dot_bytes: CodeKernel,
    /// Four rows of 8-bit codes.
    pub dot_bytes_four: CodeKernelFour,
    /// 8-bit codes less [`BYTE_CENTRE`], and an f32 query.
    pub dot_bytes_float: fn(&[u8], &[f32]) -> f32,
    /// 4-bit codes and query.
    pub dot_nibbles: CodeKernel,
    /// Four rows of 4-bit codes.
    pub dot_nibbles_four: CodeKernelFour,
    /// 8-bit codes whose high and low nibbles are stored apart, and query.
    pub dot_split: fn(&[u8], &[u8], &[i8]) -> i32,
    /// Four rows of such codes: the four high halves, then the four low ones.
    pub dot_split_four: SplitKernelFour,
    /// Such codes less [`BYTE_CENTRE`], and an f32 query.
    pub dot_split_float: fn(&[u8], &[u8], &[f32]) -> f32,
    /// One round of the fast rotation, of a vector, its signs and the window of its transform;
    /// the same bits on every instruction set.
    pub rotate_round: fn(&mut [f32], &[f32], Range<usize>),
}

/// The fastest kernels this processor runs; detected on first use.
pub(crate) fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| available()[0])
}

/// Name of the instruction set in use (`avx512vnni`, `avx512`, `avx2`, `neon` or `portable`).
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
