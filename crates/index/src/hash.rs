//! Seeded mixing of integers: the index's only source of chance.

/// A bijective 64-bit mix (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A value that depends on all three inputs and on nothing else.
pub(crate) fn seeded(seed: u64, row: u32, tag: u64) -> u64 {
    mix(mix(seed ^ mix(u64::from(row))) ^ tag)
}
