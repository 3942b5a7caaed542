//! How 4-bit codes lie in bytes.
//!
//! Components are taken in blocks of 128, 64 bytes each: byte `j` of a block holds component `j`
//! in its low and component `64 + j` in its high nibble, so that unpacking is a mask and a shift
//! and the query is read in its own order. A last block of `r < 128` components has `⌈r / 2⌉`
//! bytes, laid out alike; where `r` is odd its last high nibble is 0.

/// Components per whole block.
pub(crate) const BLOCK: usize = 128;
/// Bytes per whole block.
pub(crate) const BLOCK_BYTES: usize = BLOCK / 2;

/// Bytes that hold `components` nibbles.
#[inline(always)]
pub(crate) const fn bytes(components: usize) -> usize {
    components / BLOCK * BLOCK_BYTES + (components % BLOCK).div_ceil(2)
}

/// Packs the high (`shift` 4) or low (`shift` 0) nibbles of 8-bit codes. `place` has
/// [`bytes`]`(codes.len())` bytes; it is written whole.
pub(crate) fn pack(codes: &[u8], shift: u32, place: &mut [u8]) {
    for (block, packed) in codes.chunks(BLOCK).zip(place.chunks_mut(BLOCK_BYTES)) {
        let (low, high) = block.split_at(block.len().div_ceil(2));
        for (to, from) in packed.iter_mut().zip(low) {
            *to = from >> shift & 15;
        }
        for (to, from) in packed.iter_mut().zip(high) {
            *to |= (from >> shift & 15) << 4;
        }
    }
}

/// Puts 8-bit codes together from their high and low nibbles, as [`pack`] laid them out. `codes` is written
/// whole.
pub(crate) fn unpack(high: &[u8], low: &[u8], codes: &mut [u8]) {
    let packed = high.chunks(BLOCK_BYTES).zip(low.chunks(BLOCK_BYTES));
    for (block, (high, low)) in codes.chunks_mut(BLOCK).zip(packed) {
        let half = block.len().div_ceil(2);
        let (first, last) = block.split_at_mut(half);
        for ((to, high), low) in first.iter_mut().zip(high).zip(low) {
            *to = high << 4 | low & 15;
        }
        for ((to, high), low) in last.iter_mut().zip(high).zip(low) {
            *to = high & 0xF0 | low >> 4;
        }
    }
}

/// Visits `components` nibbles in order of their components.
#[cfg(test)]
fn each(packed: &[u8], components: usize, mut visit: impl FnMut(usize, u8)) {
    for (number, block) in packed[..bytes(components)].chunks(BLOCK_BYTES).enumerate() {
        let first = number * BLOCK;
        let held = (components - first).min(BLOCK);
        let half = held.div_ceil(2);
        for (at, byte) in block.iter().enumerate() {
            visit(first + at, byte & 15);
        }
        for (at, byte) in block[..held - half].iter().enumerate() {
            visit(first + half + at, byte >> 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        for components in 0..700 {
            let codes: Vec<u8> = (0..components).map(|at| crate::hash::mix(at as u64) as u8).collect();
            let mut halves = [vec![0xFF; bytes(components)], vec![0xFF; bytes(components)]];
            pack(&codes, 4, &mut halves[0]);
            pack(&codes, 0, &mut halves[1]);
            let mut whole = vec![0xFF; components];
            unpack(&halves[0], &halves[1], &mut whole);
            assert_eq!(whole, codes, "{components}");
            for shift in [0, 4] {
                let mut packed = vec![0xFF; bytes(components)];
                pack(&codes, shift, &mut packed);
                let mut seen = vec![0xFF; components];
                each(&packed, components, |at, nibble| seen[at] = nibble);
                let wanted: Vec<u8> = codes.iter().map(|code| code >> shift & 15).collect();
                assert_eq!(seen, wanted, "{components}");
            }
        }
    }
}
