//! AVX2 with FMA, and AVX-512F. Four accumulators hide the latency of the multiply-add.

use super::Kernels;
use std::arch::x86_64::*;

static AVX512: Kernels = Kernels { name: "avx512", dot: dot_avx512_checked, squared: squared_avx512_checked };
static AVX2: Kernels = Kernels { name: "avx2", dot: dot_avx2_checked, squared: squared_avx2_checked };

/// Adds the tables this processor supports, fastest first. The `_checked` entry points of a
/// table are reachable only through it, which is what makes their calls sound.
pub(super) fn push_available(tables: &mut Vec<&'static Kernels>) {
    if is_x86_feature_detected!("avx512f") {
        tables.push(&AVX512);
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        tables.push(&AVX2);
    }
}

fn dot_avx512_checked(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table is handed out only after AVX-512F was detected.
    unsafe { dot_avx512(a, b) }
}

fn squared_avx512_checked(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table is handed out only after AVX-512F was detected.
    unsafe { squared_avx512(a, b) }
}

fn dot_avx2_checked(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table is handed out only after AVX2 and FMA were detected.
    unsafe { dot_avx2(a, b) }
}

fn squared_avx2_checked(a: &[f32], b: &[f32]) -> f32 {
    // SAFETY: this table is handed out only after AVX2 and FMA were detected.
    unsafe { squared_avx2(a, b) }
}

macro_rules! avx512_kernel {
    ($name:ident, $step:expr) => {
        #[target_feature(enable = "avx512f")]
        fn $name(a: &[f32], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut sums = [_mm512_setzero_ps(); 4];
            let mut at = 0;
            while at + 64 <= len {
                for lane in 0..4 {
                    // SAFETY: at + 64 <= len, so all four loads end inside both slices.
                    let (x, y) = unsafe {
                        (
                            _mm512_loadu_ps(left.add(at + lane * 16)),
                            _mm512_loadu_ps(right.add(at + lane * 16)),
                        )
                    };
                    sums[lane] = $step(x, y, sums[lane]);
                }
                at += 64;
            }
            while at < len {
                let mask = (u32::MAX >> (32 - (len - at).min(16))) as __mmask16;
                // SAFETY: the mask admits only the components before `len`; masked-out lanes
                // are not read.
                let (x, y) = unsafe {
                    (_mm512_maskz_loadu_ps(mask, left.add(at)), _mm512_maskz_loadu_ps(mask, right.add(at)))
                };
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

avx512_kernel!(dot_avx512, |x, y, sum| _mm512_fmadd_ps(x, y, sum));
avx512_kernel!(squared_avx512, |x, y, sum| {
    let gap = _mm512_sub_ps(x, y);
    _mm512_fmadd_ps(gap, gap, sum)
});

macro_rules! avx2_kernel {
    ($name:ident, $step:expr, $term:expr) => {
        #[target_feature(enable = "avx2,fma")]
        fn $name(a: &[f32], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut sums = [_mm256_setzero_ps(); 4];
            let mut at = 0;
            while at + 8 <= len {
                let lanes = ((len - at) / 8).min(4);
                for lane in 0..lanes {
                    // SAFETY: at + 8 * lanes <= len, so every load ends inside both slices.
                    let (x, y) = unsafe {
                        (_mm256_loadu_ps(left.add(at + lane * 8)), _mm256_loadu_ps(right.add(at + lane * 8)))
                    };
                    sums[lane] = $step(x, y, sums[lane]);
                }
                at += lanes * 8;
            }
            let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
            let half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            let mut total = _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)));
            for (x, y) in a[at..len].iter().zip(&b[at..len]) {
                total += $term(*x, *y);
            }
            total
        }
    };
}

avx2_kernel!(dot_avx2, |x, y, sum| _mm256_fmadd_ps(x, y, sum), |x: f32, y: f32| x * y);
avx2_kernel!(
    squared_avx2,
    |x, y, sum| {
        let gap = _mm256_sub_ps(x, y);
        _mm256_fmadd_ps(gap, gap, sum)
    },
    |x: f32, y: f32| (x - y) * (x - y)
);
