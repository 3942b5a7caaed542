//! NEON, which every aarch64 processor has; nothing beyond its baseline is used.

use super::nibbles::{self, BLOCK, BLOCK_BYTES};
use super::{BYTE_CENTRE, Kernels, hadamard, half};
use std::arch::aarch64::*;

pub(super) static NEON: Kernels = Kernels {
    name: "neon",
    dot,
    squared,
    dot_half,
    squared_half,
    dot_bytes,
    dot_bytes_four: |codes, query| codes.map(|codes| dot_bytes(codes, query)),
    dot_bytes_float,
    dot_nibbles,
    dot_nibbles_four,
    dot_split,
    dot_split_four,
    dot_split_float,
    // Its vectors are the baseline: the compiler uses them by itself.
    rotate_round: hadamard::round,
};

/// A kernel over `$element` rows: `$load` brings 4 of them in as f32, `$widen` one.
macro_rules! float_kernel {
    ($name:ident, $element:ty, $load:expr, $widen:expr, $step:expr, $term:expr) => {
        fn $name(a: &[$element], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut at = 0;
            // SAFETY: NEON is part of the aarch64 baseline, and every load ends at or before
            // at + 16 <= len inside both slices.
            let mut total = unsafe {
                let mut sums = [vdupq_n_f32(0.0); 4];
                while at + 16 <= len {
                    for lane in 0..4 {
                        let x = $load(left.add(at + lane * 4));
                        let y = vld1q_f32(right.add(at + lane * 4));
                        sums[lane] = $step(x, y, sums[lane]);
                    }
                    at += 16;
                }
                vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])))
            };
            for (x, y) in a[at..len].iter().zip(&b[at..len]) {
                total += $term($widen(*x), *y);
            }
            total
        }
    };
}

macro_rules! float_kernels {
    ($element:ty, $load:expr, $widen:expr, $dot:ident, $squared:ident) => {
        float_kernel!($dot, $element, $load, $widen, |x, y, sum| vfmaq_f32(sum, x, y), |x: f32, y: f32| x
            * y);
        float_kernel!(
            $squared,
            $element,
            $load,
            $widen,
            |x, y, sum| {
                let gap = vsubq_f32(x, y);
                vfmaq_f32(sum, gap, gap)
            },
            |x: f32, y: f32| (x - y) * (x - y)
        );
    };
}

float_kernels!(f32, |from| vld1q_f32(from), |value: f32| value, dot, squared);
float_kernels!(u16, |from| widen_four(from), half::widen, dot_half, squared_half);

/// Four half-precision values, by the same steps as [`half::widen`].
///
/// # Safety
/// Four values can be read at `from`.
#[inline(always)]
unsafe fn widen_four(from: *const u16) -> float32x4_t {
    // SAFETY: the caller's promise; NEON is part of the baseline.
    unsafe {
        let bits = vmovl_u16(vld1_u16(from));
        let magnitude = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7FFF)));
        let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
        let scale = vdupq_n_f32(f32::from_bits((127 + 112) << 23));
        let value = vreinterpretq_u32_f32(vmulq_f32(vreinterpretq_f32_u32(magnitude), scale));
        let special = vandq_u32(vcgeq_u32(magnitude, vdupq_n_u32(0x7C00 << 13)), vdupq_n_u32(0x7F80_0000));
        vreinterpretq_f32_u32(vorrq_u32(vorrq_u32(value, special), sign))
    }
}

fn dot_bytes(codes: &[u8], query: &[i8]) -> i32 {
    let len = codes.len().min(query.len());
    let mut at = 0;
    // SAFETY: NEON is part of the baseline, and every load ends at or before at + 16 <= len.
    let mut total = unsafe {
        let mut sums = [vdupq_n_s32(0); 4];
        while at + 16 <= len {
            let bytes = vld1q_u8(codes.as_ptr().add(at));
            let part = vld1q_s8(query.as_ptr().add(at));
            let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
            let high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
            let (first, last) = (vmovl_s8(vget_low_s8(part)), vmovl_high_s8(part));
            sums[0] = vmlal_s16(sums[0], vget_low_s16(low), vget_low_s16(first));
            sums[1] = vmlal_high_s16(sums[1], low, first);
            sums[2] = vmlal_s16(sums[2], vget_low_s16(high), vget_low_s16(last));
            sums[3] = vmlal_high_s16(sums[3], high, last);
            at += 16;
        }
        vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])))
    };
    for (code, query) in codes[at..len].iter().zip(&query[at..len]) {
        total += i32::from(*code) * i32::from(*query);
    }
    total
}

fn dot_nibbles(codes: &[u8], query: &[i8]) -> i32 {
    if codes.len() < nibbles::bytes(query.len()) {
        return 0;
    }
    // SAFETY: the row has as many nibbles as the query has components.
    unsafe { packed([codes.as_ptr()], query)[0] }
}

fn dot_nibbles_four(codes: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
    let needed = nibbles::bytes(query.len());
    if codes.iter().any(|codes| codes.len() < needed) {
        return codes.map(|codes| dot_nibbles(codes, query));
    }
    // SAFETY: as above, for each of the rows.
    unsafe { packed(codes.map(<[u8]>::as_ptr), query) }
}

fn dot_split(high: &[u8], low: &[u8], query: &[i8]) -> i32 {
    if high.len().min(low.len()) < nibbles::bytes(query.len()) {
        return 0;
    }
    16 * dot_nibbles(high, query) + dot_nibbles(low, query)
}

fn dot_split_four(high: &[&[u8]; 4], low: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
    if high.iter().chain(low).any(|codes| codes.len() < nibbles::bytes(query.len())) {
        return std::array::from_fn(|row| dot_split(high[row], low[row], query));
    }
    let (high, low) = (dot_nibbles_four(high, query), dot_nibbles_four(low, query));
    std::array::from_fn(|row| 16 * high[row] + low[row])
}

/// Adds the products of a block's 128 nibbles and a query part. A 16-bit lane sums four products,
/// at most 4 · 15 · 128 in size, before it is widened.
///
/// # Safety
/// 64 bytes can be read at `codes` and 128 at `query`.
#[inline(always)]
unsafe fn nibble_step(mut sums: [int32x4_t; 2], codes: *const u8, query: *const i8) -> [int32x4_t; 2] {
    // SAFETY: the caller's promise; NEON is part of the baseline.
    unsafe {
        for quarter in 0..4 {
            let bytes = vld1q_u8(codes.add(16 * quarter));
            let low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
            let high = vreinterpretq_s8_u8(vshrq_n_u8::<4>(bytes));
            let first = vld1q_s8(query.add(16 * quarter));
            let last = vld1q_s8(query.add(64 + 16 * quarter));
            let near = vmlal_s8(
                vmull_s8(vget_low_s8(low), vget_low_s8(first)),
                vget_low_s8(high),
                vget_low_s8(last),
            );
            let far = vmlal_high_s8(vmull_high_s8(low, first), high, last);
            sums[0] = vpadalq_s16(sums[0], near);
            sums[1] = vpadalq_s16(sums[1], far);
        }
    }
    sums
}

/// # Safety
/// Every row has `nibbles::bytes(query.len())` bytes.
unsafe fn packed<const R: usize>(rows: [*const u8; R], query: &[i8]) -> [i32; R] {
    let blocks = query.len() / BLOCK;
    let last = &query[blocks * BLOCK..];
    // SAFETY: whole blocks lie inside the query and every row; a last block is copied into
    // buffers that hold a whole one.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); 2]; R];
        for block in 0..blocks {
            for row in 0..R {
                let (codes, part) = (rows[row].add(block * BLOCK_BYTES), query.as_ptr().add(block * BLOCK));
                sums[row] = nibble_step(sums[row], codes, part);
            }
        }
        if !last.is_empty() {
            let half = last.len().div_ceil(2);
            let mut rest = [0i8; BLOCK];
            rest[..half].copy_from_slice(&last[..half]);
            rest[64..64 + last.len() - half].copy_from_slice(&last[half..]);
            for row in 0..R {
                let mut codes = [0u8; BLOCK_BYTES];
                codes.as_mut_ptr().copy_from_nonoverlapping(rows[row].add(blocks * BLOCK_BYTES), half);
                sums[row] = nibble_step(sums[row], codes.as_ptr(), rest.as_ptr());
            }
        }
        sums.map(|[a, b]| vaddvq_s32(vaddq_s32(a, b)))
    }
}

fn dot_bytes_float(codes: &[u8], query: &[f32]) -> f32 {
    let len = codes.len().min(query.len());
    let mut at = 0;
    // SAFETY: NEON is part of the baseline, and every load ends at or before at + 8 <= len.
    let mut total = unsafe {
        let mut sums = [vdupq_n_f32(0.0); 2];
        while at + 8 <= len {
            let bytes = veor_u8(vld1_u8(codes.as_ptr().add(at)), vdup_n_u8(BYTE_CENTRE));
            let values = vmovl_s8(vreinterpret_s8_u8(bytes));
            let low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(values)));
            let high = vcvtq_f32_s32(vmovl_high_s16(values));
            sums[0] = vfmaq_f32(sums[0], low, vld1q_f32(query.as_ptr().add(at)));
            sums[1] = vfmaq_f32(sums[1], high, vld1q_f32(query.as_ptr().add(at + 4)));
            at += 8;
        }
        vaddvq_f32(vaddq_f32(sums[0], sums[1]))
    };
    for (code, query) in codes[at..len].iter().zip(&query[at..len]) {
        total += f32::from((code ^ BYTE_CENTRE) as i8) * query;
    }
    total
}

fn dot_split_float(high: &[u8], low: &[u8], query: &[f32]) -> f32 {
    let mut sum = 0.0;
    if high.len().min(low.len()) < nibbles::bytes(query.len()) {
        return sum;
    }
    let halves = high.chunks(BLOCK_BYTES).zip(low.chunks(BLOCK_BYTES));
    for ((high, low), query) in halves.zip(query.chunks(BLOCK)) {
        let half = query.len().div_ceil(2);
        let mut codes = [0u8; BLOCK];
        for (code, (high, low)) in codes.iter_mut().zip(high.iter().zip(low).take(half)) {
            *code = high << 4 | low & 15;
        }
        for (code, (high, low)) in codes[half..].iter_mut().zip(high.iter().zip(low).take(half)) {
            *code = high & 0xF0 | low >> 4;
        }
        sum += dot_bytes_float(&codes, query);
    }
    sum
}
