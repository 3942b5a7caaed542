//! AVX-512 over codes. The two integer modules differ in how 64 products are summed into 16
//! lanes: one instruction with VNNI, else `maddubs`, whose 16-bit sums hold products of nibbles
//! but would saturate on whole bytes, so those are taken as two nibbles.

use crate::distance::nibbles::{self, BLOCK, BLOCK_BYTES};
use std::arch::x86_64::*;

/// Mask of the first `count` (at most 64) bytes.
#[inline(always)]
fn first(count: usize) -> __mmask64 {
    if count == 0 { 0 } else { u64::MAX >> (64 - count.min(64)) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn low_nibbles(bytes: __m512i) -> __m512i {
    _mm512_and_si512(bytes, _mm512_set1_epi8(15))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn high_nibbles(bytes: __m512i) -> __m512i {
    _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15))
}

/// The whole codes of a block from their high and low halves: those of the block's first 64
/// components, and those of its last.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn join(high: __m512i, low: __m512i) -> [__m512i; 2] {
    let upper = _mm512_set1_epi8(0xF0u8 as i8);
    [
        _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi16::<4>(high), upper), low_nibbles(low)),
        _mm512_or_si512(_mm512_and_si512(high, upper), high_nibbles(low)),
    ]
}

/// Adds the two accumulators of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn join_sums<const R: usize>(sums: [[__m512i; 2]; R]) -> [__m512i; R] {
    let mut joined = [_mm512_setzero_si512(); R];
    for row in 0..R {
        joined[row] = _mm512_add_epi32(sums[row][0], sums[row][1]);
    }
    joined
}

/// Sums the lanes of each of `R` accumulators.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn reduce<const R: usize>(sums: [__m512i; R]) -> [i32; R] {
    let mut totals = [0; R];
    // No `map` here: a closure with these features is not inlined into one without.
    let mut halves = [_mm256_setzero_si256(); R];
    for row in 0..R {
        let sum = sums[row];
        halves[row] = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
    }
    if let [a, b, c, d] = halves[..] {
        let quads = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let four = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256::<1>(quads));
        // SAFETY: there are four totals of 32 bits.
        unsafe { _mm_storeu_si128(totals.as_mut_ptr().cast(), four) };
    } else {
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = _mm512_reduce_add_epi32(sum);
        }
    }
    totals
}

macro_rules! code_kernels {
    ($module:ident, $features:literal, $narrow:expr, $wide:expr) => {
        pub(super) mod $module {
            use super::*;

            pub fn dot_bytes(codes: &[u8], query: &[i8]) -> i32 {
                let len = codes.len().min(query.len());
                // SAFETY: this table is handed out only after its features were detected, and
                // the row has at least `len` bytes.
                unsafe { bytes([codes.as_ptr()], &query[..len])[0] }
            }

            pub fn dot_bytes_four(codes: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
                if codes.iter().any(|codes| codes.len() < query.len()) {
                    return codes.map(|codes| dot_bytes(codes, query));
                }
                // SAFETY: as above, for each of the rows.
                unsafe { bytes(codes.map(<[u8]>::as_ptr), query) }
            }

            pub fn dot_nibbles(codes: &[u8], query: &[i8]) -> i32 {
                if codes.len() < nibbles::bytes(query.len()) {
                    return 0;
                }
                // SAFETY: this table is handed out only after its features were detected, and
                // the row has the bytes of as many nibbles as the query has components.
                unsafe { packed([codes.as_ptr()], query)[0] }
            }

            pub fn dot_nibbles_four(codes: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
                let needed = nibbles::bytes(query.len());
                if codes.iter().any(|codes| codes.len() < needed) {
                    return codes.map(|codes| dot_nibbles(codes, query));
                }
                // SAFETY: as above, for each of the rows.
                unsafe { packed(codes.map(<[u8]>::as_ptr), query) }
            }

            pub fn dot_split(high: &[u8], low: &[u8], query: &[i8]) -> i32 {
                if high.len().min(low.len()) < nibbles::bytes(query.len()) {
                    return 0;
                }
                // SAFETY: as above, for both halves.
                unsafe { split([high.as_ptr()], [low.as_ptr()], query)[0] }
            }

            pub fn dot_split_four(high: &[&[u8]; 4], low: &[&[u8]; 4], query: &[i8]) -> [i32; 4] {
                let needed = nibbles::bytes(query.len());
                if high.iter().chain(low).any(|codes| codes.len() < needed) {
                    return std::array::from_fn(|row| dot_split(high[row], low[row], query));
                }
                // SAFETY: as above, for both halves of each of the rows.
                unsafe { split(high.map(<[u8]>::as_ptr), low.map(<[u8]>::as_ptr), query) }
            }

            /// # Safety
            /// Every row has `query.len()` bytes.
            #[target_feature(enable = $features)]
            unsafe fn bytes<const R: usize>(rows: [*const u8; R], query: &[i8]) -> [i32; R] {
                let (len, from) = (query.len(), query.as_ptr());
                let mut sums = [[_mm512_setzero_si512(); 2]; R];
                let mut at = 0;
                while at + 128 <= len {
                    for half in 0..2 {
                        let start = at + 64 * half;
                        // SAFETY: start + 64 <= len, inside the query and every row.
                        let part = unsafe { _mm512_loadu_si512(from.add(start).cast()) };
                        for row in 0..R {
                            // SAFETY: as above.
                            let codes = unsafe { _mm512_loadu_si512(rows[row].add(start).cast()) };
                            sums[row][half] = $wide(sums[row][half], codes, part);
                        }
                    }
                    at += 128;
                }
                while at < len {
                    let mask = first(len - at);
                    // SAFETY: the mask admits only what lies before `len`.
                    let part = unsafe { _mm512_maskz_loadu_epi8(mask, from.add(at)) };
                    for row in 0..R {
                        // SAFETY: as above.
                        let codes = unsafe { _mm512_maskz_loadu_epi8(mask, rows[row].add(at).cast()) };
                        sums[row][0] = $wide(sums[row][0], codes, part);
                    }
                    at += 64;
                }
                reduce(join_sums(sums))
            }

            /// # Safety
            /// Every row has `nibbles::bytes(query.len())` bytes.
            #[target_feature(enable = $features)]
            unsafe fn packed<const R: usize>(rows: [*const u8; R], query: &[i8]) -> [i32; R] {
                let (blocks, rest) = (query.len() / BLOCK, query.len() % BLOCK);
                let from = query.as_ptr();
                let mut sums = [[_mm512_setzero_si512(); 2]; R];
                for block in 0..blocks {
                    // SAFETY: whole blocks lie inside the query and every row.
                    let parts = unsafe {
                        [
                            _mm512_loadu_si512(from.add(block * BLOCK).cast()),
                            _mm512_loadu_si512(from.add(block * BLOCK + 64).cast()),
                        ]
                    };
                    for row in 0..R {
                        // SAFETY: as above.
                        let codes = unsafe { _mm512_loadu_si512(rows[row].add(block * BLOCK_BYTES).cast()) };
                        sums[row][0] = $narrow(sums[row][0], low_nibbles(codes), parts[0]);
                        sums[row][1] = $narrow(sums[row][1], high_nibbles(codes), parts[1]);
                    }
                }
                if rest > 0 {
                    let (mask, parts) = tail_parts(from.wrapping_add(blocks * BLOCK), rest);
                    for row in 0..R {
                        // SAFETY: the mask admits only the bytes of the last block.
                        let codes = unsafe {
                            _mm512_maskz_loadu_epi8(mask, rows[row].add(blocks * BLOCK_BYTES).cast())
                        };
                        sums[row][0] = $narrow(sums[row][0], low_nibbles(codes), parts[0]);
                        sums[row][1] = $narrow(sums[row][1], high_nibbles(codes), parts[1]);
                    }
                }
                reduce(join_sums(sums))
            }

            /// # Safety
            /// Both halves of every row have `nibbles::bytes(query.len())` bytes.
            #[target_feature(enable = $features)]
            unsafe fn split<const R: usize>(
                high: [*const u8; R],
                low: [*const u8; R],
                query: &[i8],
            ) -> [i32; R] {
                let (blocks, rest) = (query.len() / BLOCK, query.len() % BLOCK);
                let from = query.as_ptr();
                let mut sums = [[_mm512_setzero_si512(); 2]; R];
                for block in 0..blocks {
                    let start = block * BLOCK_BYTES;
                    // SAFETY: whole blocks lie inside the query and both halves of every row.
                    let parts = unsafe {
                        [
                            _mm512_loadu_si512(from.add(block * BLOCK).cast()),
                            _mm512_loadu_si512(from.add(block * BLOCK + 64).cast()),
                        ]
                    };
                    for row in 0..R {
                        // SAFETY: as above.
                        let codes = unsafe {
                            join(
                                _mm512_loadu_si512(high[row].add(start).cast()),
                                _mm512_loadu_si512(low[row].add(start).cast()),
                            )
                        };
                        sums[row][0] = $wide(sums[row][0], codes[0], parts[0]);
                        sums[row][1] = $wide(sums[row][1], codes[1], parts[1]);
                    }
                }
                if rest > 0 {
                    let start = blocks * BLOCK_BYTES;
                    let (mask, parts) = tail_parts(from.wrapping_add(blocks * BLOCK), rest);
                    for row in 0..R {
                        // SAFETY: the mask admits only the bytes of the last block.
                        let codes = unsafe {
                            join(
                                _mm512_maskz_loadu_epi8(mask, high[row].add(start).cast()),
                                _mm512_maskz_loadu_epi8(mask, low[row].add(start).cast()),
                            )
                        };
                        sums[row][0] = $wide(sums[row][0], codes[0], parts[0]);
                        sums[row][1] = $wide(sums[row][1], codes[1], parts[1]);
                    }
                }
                reduce(join_sums(sums))
            }

            /// The mask of the bytes of a last block of `rest` components, and the query's parts
            /// that meet its low and its high nibbles.
            #[inline]
            #[target_feature(enable = $features)]
            fn tail_parts(query: *const i8, rest: usize) -> (__mmask64, [__m512i; 2]) {
                let half = rest.div_ceil(2);
                // SAFETY: the masks admit `rest` components in all, which the caller's query has.
                let parts = unsafe {
                    [
                        _mm512_maskz_loadu_epi8(first(half), query),
                        _mm512_maskz_loadu_epi8(first(rest - half), query.wrapping_add(half)),
                    ]
                };
                (first(half), parts)
            }
        }
    };
}

code_kernels!(
    vnni,
    "avx512f,avx512bw,avx512vl,avx512vnni",
    |sum, codes, query| _mm512_dpbusd_epi32(sum, codes, query),
    |sum, codes, query| _mm512_dpbusd_epi32(sum, codes, query)
);
code_kernels!(
    plain,
    "avx512f,avx512bw,avx512vl",
    |sum, codes, query| {
        let pairs = _mm512_maddubs_epi16(codes, query);
        _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
    },
    |sum, codes, query| {
        let high = _mm512_maddubs_epi16(high_nibbles(codes), query);
        let low = _mm512_maddubs_epi16(low_nibbles(codes), query);
        let high = _mm512_madd_epi16(high, _mm512_set1_epi16(16));
        let low = _mm512_madd_epi16(low, _mm512_set1_epi16(1));
        _mm512_add_epi32(sum, _mm512_add_epi32(high, low))
    }
);

/// Codes with a float query.
pub(super) mod floats {
    use super::*;
    use crate::distance::BYTE_CENTRE;

    pub fn dot_bytes_float(codes: &[u8], query: &[f32]) -> f32 {
        // SAFETY: this table is handed out only after its features were detected.
        unsafe { bytes(codes, query) }
    }

    pub fn dot_split_float(high: &[u8], low: &[u8], query: &[f32]) -> f32 {
        if high.len().min(low.len()) < nibbles::bytes(query.len()) {
            return 0.0;
        }
        // SAFETY: this table is handed out only after its features were detected, and both
        // halves have as many nibbles as the query has components.
        unsafe { split(high, low, query) }
    }

    /// Adds the products of 64 codes and 64 query components, 16 to an accumulator.
    ///
    /// # Safety
    /// 64 components can be read at `query`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn step(sums: &mut [__m512; 4], codes: __m512i, query: *const f32) {
        let centred = _mm512_xor_si512(codes, _mm512_set1_epi8(BYTE_CENTRE as i8));
        let parts = [
            _mm512_castsi512_si128(centred),
            _mm512_extracti32x4_epi32::<1>(centred),
            _mm512_extracti32x4_epi32::<2>(centred),
            _mm512_extracti32x4_epi32::<3>(centred),
        ];
        for (lane, part) in parts.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            let query = unsafe { _mm512_loadu_ps(query.add(16 * lane)) };
            sums[lane] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(part)), query, sums[lane]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn total(sums: [__m512; 4]) -> f32 {
        _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn bytes(codes: &[u8], query: &[f32]) -> f32 {
        let len = codes.len().min(query.len());
        let mut sums = [_mm512_setzero_ps(); 4];
        let mut at = 0;
        while at + 64 <= len {
            // SAFETY: at + 64 <= len, inside both slices.
            unsafe {
                let codes = _mm512_loadu_si512(codes.as_ptr().add(at).cast());
                step(&mut sums, codes, query.as_ptr().add(at));
            }
            at += 64;
        }
        if at < len {
            let mut rest = [0.0; 64];
            rest[..len - at].copy_from_slice(&query[at..len]);
            // SAFETY: the mask admits only what lies before `len`; `rest` has 64 components.
            unsafe {
                let codes = _mm512_maskz_loadu_epi8(first(len - at), codes.as_ptr().add(at).cast());
                step(&mut sums, codes, rest.as_ptr());
            }
        }
        total(sums)
    }

    /// # Safety
    /// Both halves have `nibbles::bytes(query.len())` bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn split(high: &[u8], low: &[u8], query: &[f32]) -> f32 {
        let (high, low) = (high.as_ptr(), low.as_ptr());
        let blocks = query.len() / BLOCK;
        let mut sums = [_mm512_setzero_ps(); 4];
        for block in 0..blocks {
            let start = block * BLOCK_BYTES;
            // SAFETY: whole blocks lie inside the query and both halves.
            unsafe {
                let codes = join(
                    _mm512_loadu_si512(high.add(start).cast()),
                    _mm512_loadu_si512(low.add(start).cast()),
                );
                let from = query.as_ptr().add(block * BLOCK);
                step(&mut sums, codes[0], from);
                step(&mut sums, codes[1], from.add(64));
            }
        }
        let last = &query[blocks * BLOCK..];
        if !last.is_empty() {
            let start = blocks * BLOCK_BYTES;
            let half = last.len().div_ceil(2);
            let mut rest = [0.0; BLOCK];
            rest[..half].copy_from_slice(&last[..half]);
            rest[64..64 + last.len() - half].copy_from_slice(&last[half..]);
            // SAFETY: the mask admits only the bytes of the last block; `rest` has 128 components.
            unsafe {
                let codes = join(
                    _mm512_maskz_loadu_epi8(first(half), high.add(start).cast()),
                    _mm512_maskz_loadu_epi8(first(half), low.add(start).cast()),
                );
                step(&mut sums, codes[0], rest.as_ptr());
                step(&mut sums, codes[1], rest.as_ptr().add(64));
            }
        }
        total(sums)
    }
}
