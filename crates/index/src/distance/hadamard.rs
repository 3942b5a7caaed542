//! One round of the fast rotation of [`crate::quantize`]. The portable code is compiled once per
//! instruction set: it only adds, subtracts and multiplies, each result by itself, so that all of
//! them give the same bits.

use std::ops::Range;

/// Components whose first four levels are done together.
const TILE: usize = 16;

/// Multiplies by `signs`, applies the unnormalised Walsh–Hadamard transform to `window` (whose
/// length is a power of two), and, if that is a suffix, rotates each component of the first half
/// with its partner in the second by 45°.
#[inline(always)]
pub(super) fn round(values: &mut [f32], signs: &[f32], window: Range<usize>) {
    for (value, sign) in values.iter_mut().zip(signs) {
        *value *= sign;
    }
    let suffix = window.start > 0;
    hadamard(&mut values[window]);
    if suffix {
        let half = values.len() / 2;
        let (low, high) = values.split_at_mut(values.len() - half);
        for (a, b) in low.iter_mut().zip(high) {
            let (sum, gap) = (*a + *b, *a - *b);
            *a = sum * std::f32::consts::FRAC_1_SQRT_2;
            *b = gap * std::f32::consts::FRAC_1_SQRT_2;
        }
    }
}

#[inline(always)]
fn hadamard(values: &mut [f32]) {
    let (tiles, rest) = values.as_chunks_mut::<TILE>();
    for tile in tiles {
        *tile = level::<8>(level::<4>(level::<2>(level::<1>(*tile))));
    }
    let mut step = TILE;
    if !rest.is_empty() {
        // Shorter than a tile, then: the length is a power of two.
        step = 1;
    }
    while step * 4 <= values.len() {
        for block in values.chunks_exact_mut(step * 4) {
            let (front, back) = block.split_at_mut(step * 2);
            let ((a, b), (c, d)) = (front.split_at_mut(step), back.split_at_mut(step));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, cd) = ([*a + *b, *a - *b], [*c + *d, *c - *d]);
                (*a, *b, *c, *d) = (ab[0] + cd[0], ab[1] + cd[1], ab[0] - cd[0], ab[1] - cd[1]);
            }
        }
        step *= 4;
    }
    if step * 2 <= values.len() {
        for block in values.chunks_exact_mut(step * 2) {
            let (a, b) = block.split_at_mut(step);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
    }
}

/// One level inside a tile: partners are `STEP` apart.
#[inline(always)]
fn level<const STEP: usize>(tile: [f32; TILE]) -> [f32; TILE] {
    const MINUS: u32 = 1 << 31;
    let partner: [f32; TILE] = std::array::from_fn(|at| tile[at ^ STEP]);
    let signed: [f32; TILE] =
        std::array::from_fn(|at| f32::from_bits(tile[at].to_bits() ^ if at & STEP == 0 { 0 } else { MINUS }));
    std::array::from_fn(|at| partner[at] + signed[at])
}

#[cfg(test)]
mod tests {
    use super::super::available;

    #[test]
    fn the_transform_is_the_matrix_of_signs() {
        for bits in 0..10 {
            let len = 1usize << bits;
            let values: Vec<f32> =
                (0..len).map(|at| (crate::hash::mix(at as u64) % 64) as f32 - 32.0).collect();
            for table in available() {
                let mut found = values.clone();
                (table.rotate_round)(&mut found, &vec![1.0; len], 0..len);
                for (row, found) in found.iter().enumerate() {
                    // Small integers: every order of summation is exact.
                    let sign = |at: usize| if (row & at).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                    let wanted: f32 = values.iter().enumerate().map(|(at, value)| sign(at) * value).sum();
                    assert_eq!(*found, wanted, "{} at {len}", table.name);
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for len in [1usize, 2, 3, 7, 16, 65, 100, 384, 1000, 1024, 3000] {
            let window = 1 << len.ilog2();
            let values: Vec<f32> =
                (0..len).map(|at| (crate::hash::mix(at as u64) >> 40) as f32 / 3.7e5).collect();
            let signs: Vec<f32> = (0..len).map(|at| if at % 3 == 0 { -0.3 } else { 0.3 }).collect();
            let mut wanted: Option<Vec<u32>> = None;
            for table in available() {
                let mut found = values.clone();
                (table.rotate_round)(&mut found, &signs, len - window..len);
                let bits: Vec<u32> = found.iter().map(|value| value.to_bits()).collect();
                assert_eq!(&bits, wanted.get_or_insert(bits.clone()), "{} at {len}", table.name);
            }
        }
    }
}
