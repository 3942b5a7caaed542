//! Kernels without intrinsics: sixteen independent sums, which compilers turn into whatever
//! vector width the target has by default.

use super::nibbles::{self, BLOCK, BLOCK_BYTES};
use super::{BYTE_CENTRE, Kernels, hadamard, half};

pub(super) static PORTABLE: Kernels = Kernels {
    name: "portable",
    dot,
    squared,
    dot_half,
    squared_half,
    dot_bytes,
    dot_bytes_four: |codes, query| codes.map(|codes| dot_bytes(codes, query)),
    dot_bytes_float,
    dot_nibbles,
    dot_nibbles_four: |codes, query| codes.map(|codes| dot_nibbles(codes, query)),
    dot_split,
    dot_split_four: |high, low, query| std::array::from_fn(|row| dot_split(high[row], low[row], query)),
    dot_split_float,
    rotate_round: hadamard::round,
};

const LANES: usize = 16;

#[inline(always)]
fn accumulate<T: Copy>(a: &[T], b: &[f32], term: impl Fn(T, f32) -> f32) -> f32 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut sums = [0.0f32; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| term(*x, *y)).sum();
    for (x, y) in left.zip(right) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    accumulate(a, b, |x, y| x * y)
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    accumulate(a, b, |x, y| (x - y) * (x - y))
}

fn dot_half(a: &[u16], b: &[f32]) -> f32 {
    accumulate(a, b, |x, y| half::widen(x) * y)
}

fn squared_half(a: &[u16], b: &[f32]) -> f32 {
    accumulate(a, b, |x, y| (half::widen(x) - y) * (half::widen(x) - y))
}

fn dot_bytes(codes: &[u8], query: &[i8]) -> i32 {
    codes.iter().zip(query).map(|(code, query)| i32::from(*code) * i32::from(*query)).sum()
}

fn dot_bytes_float(codes: &[u8], query: &[f32]) -> f32 {
    accumulate(codes, query, |code, query| f32::from((code ^ BYTE_CENTRE) as i8) * query)
}

fn dot_nibbles(codes: &[u8], query: &[i8]) -> i32 {
    let mut sum = 0;
    if codes.len() >= nibbles::bytes(query.len()) {
        for (block, query) in codes.chunks(BLOCK_BYTES).zip(query.chunks(BLOCK)) {
            let (low, high) = query.split_at(query.len().div_ceil(2));
            sum += block.iter().zip(low).map(|(x, y)| i32::from(x & 15) * i32::from(*y)).sum::<i32>();
            sum += block.iter().zip(high).map(|(x, y)| i32::from(x >> 4) * i32::from(*y)).sum::<i32>();
        }
    }
    sum
}

fn dot_split(high: &[u8], low: &[u8], query: &[i8]) -> i32 {
    if high.len().min(low.len()) < nibbles::bytes(query.len()) {
        return 0;
    }
    16 * dot_nibbles(high, query) + dot_nibbles(low, query)
}

fn dot_split_float(high: &[u8], low: &[u8], query: &[f32]) -> f32 {
    let mut sum = 0.0;
    if high.len().min(low.len()) >= nibbles::bytes(query.len()) {
        for ((high, low), query) in
            high.chunks(BLOCK_BYTES).zip(low.chunks(BLOCK_BYTES)).zip(query.chunks(BLOCK))
        {
            let mut codes = [0u8; BLOCK];
            let half = query.len().div_ceil(2);
            for (at, (high, low)) in high.iter().zip(low).enumerate().take(half) {
                codes[at] = high << 4 | low & 15;
            }
            for (at, (high, low)) in high.iter().zip(low).enumerate().take(query.len() - half) {
                codes[half + at] = high & 0xF0 | low >> 4;
            }
            sum += dot_bytes_float(&codes, query);
        }
    }
    sum
}
