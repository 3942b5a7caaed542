//! IEEE half precision, kept as bit patterns.

/// The value of a half-precision bit pattern; exact.
#[inline(always)]
pub(crate) fn widen(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7FFF) << 13;
    // As f32 bits the exponent is too low by the difference of the biases, 127 − 15; the product
    // makes up for it and normalises subnormals.
    let value = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let special = if bits & 0x7C00 == 0x7C00 { 0x7F80_0000 } else { 0 };
    f32::from_bits(value.to_bits() | special | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_pattern_widens_as_defined() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (widen(bits), half::f16::from_bits(bits).to_f32());
            assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{bits:#x}: {ours} {theirs}");
        }
    }
}
