//! NEON, which every aarch64 processor has.

use super::Kernels;
use std::arch::aarch64::*;

pub(super) static NEON: Kernels = Kernels { name: "neon", dot, squared };

macro_rules! neon_kernel {
    ($name:ident, $step:expr, $term:expr) => {
        fn $name(a: &[f32], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut at = 0;
            // SAFETY: NEON is part of the aarch64 baseline, and every load ends at or before
            // at + 16 <= len inside both slices.
            let mut total = unsafe {
                let mut sums = [vdupq_n_f32(0.0); 4];
                while at + 16 <= len {
                    for lane in 0..4 {
                        let x = vld1q_f32(left.add(at + lane * 4));
                        let y = vld1q_f32(right.add(at + lane * 4));
                        sums[lane] = $step(x, y, sums[lane]);
                    }
                    at += 16;
                }
                vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])))
            };
            for (x, y) in a[at..len].iter().zip(&b[at..len]) {
                total += $term(*x, *y);
            }
            total
        }
    };
}

neon_kernel!(dot, |x, y, sum| vfmaq_f32(sum, x, y), |x: f32, y: f32| x * y);
neon_kernel!(
    squared,
    |x, y, sum| {
        let gap = vsubq_f32(x, y);
        vfmaq_f32(sum, gap, gap)
    },
    |x: f32, y: f32| (x - y) * (x - y)
);
