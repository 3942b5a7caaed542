//! What rows' codes are compared with.

/// A vector in the form in which codes are compared with it. Buffers are reused.
#[derive(Default)]
pub(crate) struct CodeProbe {
    /// Rotated and rounded to i8, padded with zeros to the width of a code.
    pub(super) quantized: Vec<i8>,
    /// Rotated, padded alike.
    pub(super) rotated: Vec<f32>,
    /// Room to round in.
    pub(super) bytes: Vec<u8>,
    /// `factor · (slope · dot + offset)` of a row is its part of a key.
    pub(super) coarse: Line,
    /// The same for 8-bit codes.
    pub(super) fine: Line,
    /// The same for an inner product with `rotated`, which has no offset.
    pub(super) weight: f32,
    /// The probe's part of every key.
    pub(super) bias: f32,
    /// One over the length, when comparing by angle.
    pub(super) angular: Option<f32>,
    /// Upper bound of the length of the centred vector.
    pub(super) length: f32,
    /// Upper bound of how far the centred vector is from the one that `rotated` is of: 0 unless
    /// the probe was made from a row's code.
    pub(super) error: f32,
}

/// From an integer inner product to the one it stands for.
#[derive(Clone, Copy, Default)]
pub(super) struct Line {
    pub slope: f32,
    pub offset: f32,
}

#[cfg(test)]
impl CodeProbe {
    pub fn new() -> Self {
        Self::default()
    }
}
