//! AVX-512 over floats, and the tables. Four accumulators hide the latency of the multiply-add.

use super::avx512_codes::{floats, plain, vnni};
use crate::distance::{Kernels, hadamard};
use std::arch::x86_64::*;
use std::ops::Range;

pub(super) static AVX512_VNNI: Kernels = Kernels {
    name: "avx512vnni",
    dot_bytes: vnni::dot_bytes,
    dot_bytes_four: vnni::dot_bytes_four,
    dot_nibbles: vnni::dot_nibbles,
    dot_nibbles_four: vnni::dot_nibbles_four,
    dot_split: vnni::dot_split,
    dot_split_four: vnni::dot_split_four,
    ..AVX512
};

pub(super) static AVX512: Kernels = Kernels {
    name: "avx512",
    dot,
    squared,
    dot_half,
    squared_half,
    dot_bytes: plain::dot_bytes,
    dot_bytes_four: plain::dot_bytes_four,
    dot_bytes_float: floats::dot_bytes_float,
    dot_nibbles: plain::dot_nibbles,
    dot_nibbles_four: plain::dot_nibbles_four,
    dot_split: plain::dot_split,
    dot_split_four: plain::dot_split_four,
    dot_split_float: floats::dot_split_float,
    rotate_round,
};

/// A kernel over `$element` rows: `$load` and `$masked` bring 16 of them in as f32.
macro_rules! float_kernel {
    ($name:ident, $inner:ident, $element:ty, $load:expr, $masked:expr, $step:expr) => {
        fn $name(a: &[$element], b: &[f32]) -> f32 {
            // SAFETY: this table is handed out only after its features were detected.
            unsafe { $inner(a, b) }
        }

        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn $inner(a: &[$element], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut sums = [_mm512_setzero_ps(); 4];
            let mut at = 0;
            while at + 64 <= len {
                for lane in 0..4 {
                    // SAFETY: at + 64 <= len, so all four loads end inside both slices.
                    let (x, y) = unsafe {
                        ($load(left.add(at + lane * 16)), _mm512_loadu_ps(right.add(at + lane * 16)))
                    };
                    sums[lane] = $step(x, y, sums[lane]);
                }
                at += 64;
            }
            while at < len {
                let mask = (u32::MAX >> (32 - (len - at).min(16))) as __mmask16;
                // SAFETY: the mask admits only the components before `len`; masked-out lanes
                // are not read.
                let (x, y) =
                    unsafe { ($masked(mask, left.add(at)), _mm512_maskz_loadu_ps(mask, right.add(at))) };
                sums[0] = $step(x, y, sums[0]);
                at += 16;
            }
            _mm512_reduce_add_ps(_mm512_add_ps(
                _mm512_add_ps(sums[0], sums[1]),
                _mm512_add_ps(sums[2], sums[3]),
            ))
        }
    };
}

macro_rules! float_kernels {
    ($element:ty, $load:expr, $masked:expr, $dot:ident, $dot_inner:ident, $squared:ident, $squared_inner:ident) => {
        float_kernel!($dot, $dot_inner, $element, $load, $masked, |x, y, sum| _mm512_fmadd_ps(x, y, sum));
        float_kernel!($squared, $squared_inner, $element, $load, $masked, |x, y, sum| {
            let gap = _mm512_sub_ps(x, y);
            _mm512_fmadd_ps(gap, gap, sum)
        });
    };
}

float_kernels!(
    f32,
    |from| _mm512_loadu_ps(from),
    |mask, from| _mm512_maskz_loadu_ps(mask, from),
    dot,
    dot_inner,
    squared,
    squared_inner
);
float_kernels!(
    u16,
    |from: *const u16| _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())),
    |mask, from: *const u16| _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from.cast())),
    dot_half,
    dot_half_inner,
    squared_half,
    squared_half_inner
);

fn rotate_round(values: &mut [f32], signs: &[f32], window: Range<usize>) {
    // SAFETY: this table is handed out only after its features were detected.
    unsafe { rotate_round_inner(values, signs, window) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn rotate_round_inner(values: &mut [f32], signs: &[f32], window: Range<usize>) {
    hadamard::round(values, signs, window);
}
