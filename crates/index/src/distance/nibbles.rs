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

/// Visits `components` nibbles in order of their components.
#[inline(always)]
pub(crate) fn each(packed: &[u8], components: usize, mut visit: impl FnMut(usize, u8)) {
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
