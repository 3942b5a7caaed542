//! AVX2 with FMA and F16C.

use crate::distance::nibbles::{self, BLOCK, BLOCK_BYTES};
use crate::distance::{BYTE_CENTRE, Kernels, hadamard, half};
use std::arch::x86_64::*;
use std::ops::Range;

pub(super) static AVX2: Kernels = Kernels {
    name: "avx2",
    dot,
    squared,
    dot_half,
    squared_half,
    dot_bytes,
    dot_bytes_four,
    dot_bytes_float,
    dot_nibbles,
    dot_nibbles_four,
    dot_split: |high, low, query| {
        if high.len().min(low.len()) < nibbles::bytes(query.len()) {
            return 0;
        }
        16 * dot_nibbles(high, query) + dot_nibbles(low, query)
    },
    dot_split_four,
    dot_split_float,
    rotate_round,
};

/// A kernel over `$element` rows: `$load` brings 8 of them in as f32, `$widen` one.
macro_rules! float_kernel {
    ($name:ident, $inner:ident, $element:ty, $load:expr, $widen:expr, $step:expr, $term:expr) => {
        fn $name(a: &[$element], b: &[f32]) -> f32 {
            // SAFETY: this table is handed out only after its features were detected.
            unsafe { $inner(a, b) }
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        fn $inner(a: &[$element], b: &[f32]) -> f32 {
            let len = a.len().min(b.len());
            let (left, right) = (a.as_ptr(), b.as_ptr());
            let mut sums = [_mm256_setzero_ps(); 4];
            let mut at = 0;
            while at + 32 <= len {
                for lane in 0..4 {
                    // SAFETY: at + 32 <= len, so all four loads end inside both slices.
                    let (x, y) = unsafe {
                        ($load(left.add(at + lane * 8)), _mm256_loadu_ps(right.add(at + lane * 8)))
                    };
                    sums[lane] = $step(x, y, sums[lane]);
                }
                at += 32;
            }
            while at + 8 <= len {
                // SAFETY: at + 8 <= len, so the load ends inside both slices.
                let (x, y) = unsafe { ($load(left.add(at)), _mm256_loadu_ps(right.add(at))) };
                sums[0] = $step(x, y, sums[0]);
                at += 8;
            }
            let mut sum = total(sums);
            for (x, y) in a[at..len].iter().zip(&b[at..len]) {
                sum += $term($widen(*x), *y);
            }
            sum
        }
    };
}

macro_rules! float_kernels {
    ($element:ty, $load:expr, $widen:expr, $dot:ident, $dot_inner:ident, $squared:ident, $squared_inner:ident) => {
        float_kernel!(
            $dot,
            $dot_inner,
            $element,
            $load,
            $widen,
            |x, y, sum| _mm256_fmadd_ps(x, y, sum),
            |x: f32, y: f32| x * y
        );
        float_kernel!(
            $squared,
            $squared_inner,
            $element,
            $load,
            $widen,
            |x, y, sum| {
                let gap = _mm256_sub_ps(x, y);
                _mm256_fmadd_ps(gap, gap, sum)
            },
            |x: f32, y: f32| (x - y) * (x - y)
        );
    };
}

float_kernels!(f32, |from| _mm256_loadu_ps(from), |value: f32| value, dot, dot_inner, squared, squared_inner);
float_kernels!(
    u16,
    |from: *const u16| _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
    half::widen,
    dot_half,
    dot_half_inner,
    squared_half,
    squared_half_inner
);

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn total(sums: [__m256; 4]) -> f32 {
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
}

fn dot_bytes(codes: &[u8], query: &[i8]) -> i32 {
    let len = codes.len().min(query.len());
    // SAFETY: this table is handed out only after its features were detected, and the row has at
    // least `len` bytes.
    unsafe { bytes([codes.as_ptr()], &query[..len])[0] }
}

fn dot_bytes_four(codes: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
    if codes.iter().any(|codes| codes.len() < query.len()) {
        return codes.map(|codes| dot_bytes(codes, query));
    }
    // SAFETY: as above, for each of the rows.
    unsafe { bytes(codes.map(<[u8]>::as_ptr), query) }
}

fn dot_nibbles(codes: &[u8], query: &[i8]) -> i32 {
    if codes.len() < nibbles::bytes(query.len()) {
        return 0;
    }
    // SAFETY: this table is handed out only after its features were detected, and the row has the
    // bytes of as many nibbles as the query has components.
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

fn dot_split_four(high: &[&[u8]; 4], low: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
    if high.iter().chain(low).any(|codes| codes.len() < nibbles::bytes(query.len())) {
        return std::array::from_fn(|row| (AVX2.dot_split)(high[row], low[row], query));
    }
    let (high, low) = (dot_nibbles_four(high, query), dot_nibbles_four(low, query));
    std::array::from_fn(|row| 16 * high[row] + low[row])
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn low_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn high_nibbles(bytes: __m256i) -> __m256i {
    _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15))
}

/// Sums the lanes of each of `R` accumulators.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn reduce<const R: usize>(sums: [__m256i; R]) -> [i32; R] {
    let zero = _mm256_setzero_si256();
    let mut padded = [zero; 4];
    padded[..R].copy_from_slice(&sums);
    let [a, b, c, d] = padded;
    let quads = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let four = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256::<1>(quads));
    let mut totals = [0; 4];
    // SAFETY: there are four totals of 32 bits.
    unsafe { _mm_storeu_si128(totals.as_mut_ptr().cast(), four) };
    std::array::from_fn(|row| totals[row])
}

/// Adds 32 products of codes and query. `maddubs` sums pairs in 16 bits, which hold products of
/// nibbles but would saturate on whole bytes.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn byte_step(sum: __m256i, codes: __m256i, query: __m256i) -> __m256i {
    let high = _mm256_maddubs_epi16(high_nibbles(codes), query);
    let low = _mm256_maddubs_epi16(low_nibbles(codes), query);
    let high = _mm256_madd_epi16(high, _mm256_set1_epi16(16));
    let low = _mm256_madd_epi16(low, _mm256_set1_epi16(1));
    _mm256_add_epi32(sum, _mm256_add_epi32(high, low))
}

/// # Safety
/// Every row has `query.len()` bytes.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn bytes<const R: usize>(rows: [*const u8; R], query: &[i8]) -> [i32; R] {
    let (len, from) = (query.len(), query.as_ptr());
    let mut sums = [_mm256_setzero_si256(); R];
    let mut at = 0;
    while at + 32 <= len {
        // SAFETY: at + 32 <= len, inside the query and every row.
        let part = unsafe { _mm256_loadu_si256(from.add(at).cast()) };
        for row in 0..R {
            // SAFETY: as above.
            let codes = unsafe { _mm256_loadu_si256(rows[row].add(at).cast()) };
            sums[row] = byte_step(sums[row], codes, part);
        }
        at += 32;
    }
    if at < len {
        let mut rest = [0i8; 32];
        rest[..len - at].copy_from_slice(&query[at..]);
        for row in 0..R {
            let mut codes = [0u8; 32];
            // SAFETY: the row has `len` bytes, and both buffers 32.
            sums[row] = unsafe {
                codes.as_mut_ptr().copy_from_nonoverlapping(rows[row].add(at), len - at);
                byte_step(
                    sums[row],
                    _mm256_loadu_si256(codes.as_ptr().cast()),
                    _mm256_loadu_si256(rest.as_ptr().cast()),
                )
            };
        }
    }
    reduce(sums)
}

/// Adds the products of a block's 128 nibbles and a query part. Each 16-bit lane sums eight
/// products, at most 8 · 15 · 128 in size.
///
/// # Safety
/// 64 bytes can be read at `codes` and 128 at `query`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn nibble_step(sum: __m256i, codes: *const u8, query: *const i8) -> __m256i {
    // SAFETY: the caller's promise.
    let (codes, parts) = unsafe {
        (
            [_mm256_loadu_si256(codes.cast()), _mm256_loadu_si256(codes.add(32).cast())],
            [
                _mm256_loadu_si256(query.cast()),
                _mm256_loadu_si256(query.add(32).cast()),
                _mm256_loadu_si256(query.add(64).cast()),
                _mm256_loadu_si256(query.add(96).cast()),
            ],
        )
    };
    let low = _mm256_add_epi16(
        _mm256_maddubs_epi16(low_nibbles(codes[0]), parts[0]),
        _mm256_maddubs_epi16(low_nibbles(codes[1]), parts[1]),
    );
    let high = _mm256_add_epi16(
        _mm256_maddubs_epi16(high_nibbles(codes[0]), parts[2]),
        _mm256_maddubs_epi16(high_nibbles(codes[1]), parts[3]),
    );
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_add_epi16(low, high), _mm256_set1_epi16(1)))
}

/// # Safety
/// Every row has `nibbles::bytes(query.len())` bytes.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn packed<const R: usize>(rows: [*const u8; R], query: &[i8]) -> [i32; R] {
    let blocks = query.len() / BLOCK;
    let mut sums = [_mm256_setzero_si256(); R];
    for block in 0..blocks {
        for row in 0..R {
            // SAFETY: whole blocks lie inside the query and every row.
            sums[row] = unsafe {
                nibble_step(sums[row], rows[row].add(block * BLOCK_BYTES), query.as_ptr().add(block * BLOCK))
            };
        }
    }
    let last = &query[blocks * BLOCK..];
    if !last.is_empty() {
        let half = last.len().div_ceil(2);
        let mut rest = [0i8; BLOCK];
        rest[..half].copy_from_slice(&last[..half]);
        rest[64..64 + last.len() - half].copy_from_slice(&last[half..]);
        for row in 0..R {
            let mut codes = [0u8; BLOCK_BYTES];
            // SAFETY: the row has `half` bytes in its last block; the buffers hold a whole one.
            sums[row] = unsafe {
                codes.as_mut_ptr().copy_from_nonoverlapping(rows[row].add(blocks * BLOCK_BYTES), half);
                nibble_step(sums[row], codes.as_ptr(), rest.as_ptr())
            };
        }
    }
    reduce(sums)
}

fn dot_bytes_float(codes: &[u8], query: &[f32]) -> f32 {
    // SAFETY: this table is handed out only after its features were detected.
    unsafe { bytes_float(codes, query) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn bytes_float(codes: &[u8], query: &[f32]) -> f32 {
    let len = codes.len().min(query.len());
    let centre = _mm_set1_epi8(BYTE_CENTRE as i8);
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut at = 0;
    let step = |sum: &mut __m256, at: usize| {
        // SAFETY: only called where eight more components lie inside both slices.
        let (codes, part) = unsafe {
            (_mm_loadl_epi64(codes.as_ptr().add(at).cast()), _mm256_loadu_ps(query.as_ptr().add(at)))
        };
        let values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_xor_si128(codes, centre)));
        *sum = _mm256_fmadd_ps(values, part, *sum);
    };
    while at + 32 <= len {
        for (lane, sum) in sums.iter_mut().enumerate() {
            step(sum, at + lane * 8);
        }
        at += 32;
    }
    while at + 8 <= len {
        step(&mut sums[0], at);
        at += 8;
    }
    let mut sum = total(sums);
    for (code, query) in codes[at..len].iter().zip(&query[at..len]) {
        sum += f32::from((code ^ BYTE_CENTRE) as i8) * query;
    }
    sum
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
        // SAFETY: this table is handed out only after its features were detected.
        unsafe { join(&high[..half], &low[..half], &mut codes, half) };
        sum += dot_bytes_float(&codes, query);
    }
    sum
}

/// The whole codes of a block from their high and low halves.
#[target_feature(enable = "avx2,fma,f16c")]
fn join(high: &[u8], low: &[u8], codes: &mut [u8; BLOCK], half: usize) {
    for (code, (high, low)) in codes.iter_mut().zip(high.iter().zip(low)) {
        *code = high << 4 | low & 15;
    }
    for (code, (high, low)) in codes[half..].iter_mut().zip(high.iter().zip(low)) {
        *code = high & 0xF0 | low >> 4;
    }
}

fn rotate_round(values: &mut [f32], signs: &[f32], window: Range<usize>) {
    // SAFETY: this table is handed out only after its features were detected.
    unsafe { rotate_round_inner(values, signs, window) }
}

#[target_feature(enable = "avx2")]
fn rotate_round_inner(values: &mut [f32], signs: &[f32], window: Range<usize>) {
    hadamard::round(values, signs, window);
}
