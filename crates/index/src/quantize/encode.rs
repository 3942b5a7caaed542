//! From a rotated vector to its code. Plain f32 and f64 arithmetic in a fixed order: the same
//! vector gives the same code on every machine.

use crate::distance::BYTE_CENTRE;

/// The grid value that a code's upper nibble stands for, in units of sixteen steps: the middle of
/// the sixteen codes that share it, less the code that means zero.
pub(crate) const NIBBLE_CENTRE: f32 = (BYTE_CENTRE as f32 - 7.5) / 16.0;

/// Magnitudes whose squares and sums stay well inside f32; others are scaled first.
const PLAIN: std::ops::RangeInclusive<f32> = 1e-15..=1e15;
const LANES: usize = 8;

/// How far a code is from its vector: |x − x̂| / |x| of the centred vector; 0 for a zero vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CodeError {
    /// Of the code a search reads first.
    pub coarse: f32,
    /// Of the 8-bit code.
    pub fine: f32,
}

/// A vector's code and what is kept with it; buffers are reused from vector to vector.
#[derive(Default)]
pub(crate) struct Encoded {
    /// The vector as it is worked on: centred, scaled, rotated.
    pub(super) rotated: Vec<f32>,
    /// One byte per component, padded with the code of zero.
    pub(super) codes: Vec<u8>,
    /// Unbiasing scale of the upper nibbles less [`NIBBLE_CENTRE`].
    pub(super) nibble_factor: f32,
    /// Unbiasing scale of the bytes less [`BYTE_CENTRE`].
    pub(super) byte_factor: f32,
    /// Distance of the centred vector from its 8-bit code, to be met by rounding slack.
    pub(super) distance: f64,
    /// Length of the centred vector.
    pub(super) length: f64,
    /// The row's part of every key.
    pub(super) bias: f32,
    /// One over the length of the vector as it was given; 0 for the zero vector.
    pub(super) inverse: f32,
    pub(super) error: CodeError,
}

/// Sum of products in f64, in a fixed order.
pub(super) fn dot<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    let mut sums = [0.0; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 =
        left.remainder().iter().zip(right.remainder()).map(|(x, y)| (*x).into() * (*y).into()).sum();
    for (x, y) in left.zip(right) {
        for lane in 0..LANES {
            sums[lane] += x[lane].into() * y[lane].into();
        }
    }
    sums.iter().sum::<f64>() + rest
}

pub(super) fn largest(values: &[f32]) -> f32 {
    let mut most = [0.0f32; LANES];
    let (tiles, rest) = values.as_chunks::<LANES>();
    for tile in tiles {
        for lane in 0..LANES {
            let value = tile[lane].abs();
            most[lane] = if value > most[lane] { value } else { most[lane] };
        }
    }
    rest.iter().fold(most.into_iter().fold(0.0, f32::max), |most, value| most.max(value.abs()))
}

/// Writes `vector − mean` to `place`, divided by the power of two that is returned: 1 unless
/// the magnitudes are extreme.
pub(super) fn centre(vector: &[f32], mean: &[f32], place: &mut Vec<f32>) -> f64 {
    place.clear();
    if mean.is_empty() {
        place.extend_from_slice(vector);
    } else {
        place.extend(vector.iter().zip(mean).map(|(value, mean)| (value - mean).clamp(-f32::MAX, f32::MAX)));
    }
    let most = largest(place);
    if most == 0.0 || PLAIN.contains(&most) {
        return 1.0;
    }
    let unit = f64::from(most).log2().floor().exp2();
    for value in place.iter_mut() {
        *value = (f64::from(*value) / unit) as f32;
    }
    unit
}

/// A number held inside the range of f32.
pub(super) fn saturate(value: f64) -> f32 {
    (value.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32) + 0.0
}

/// Rounds `value · scale` (at most 127 in size) to the nearest integer and adds `offset`: the
/// integer is what the lowest bits of a sum with 2²³ are. Branchless, where a cast is not.
#[inline(always)]
fn nearest(value: f32, scale: f32) -> u8 {
    const SHIFT: f32 = (1u32 << 23) as f32 + BYTE_CENTRE as f32;
    (value * scale + SHIFT).to_bits() as u8
}

/// Rounds to a grid of 127 steps on either side of zero. `place` gets bytes around
/// [`BYTE_CENTRE`]; all that for a zero vector.
pub(super) fn quantize(rotated: &[f32], place: &mut Vec<u8>) {
    let most = largest(rotated);
    let scale = if most > 0.0 { 127.0 / most } else { 0.0 };
    place.clear();
    place.extend(rotated.iter().map(|value| nearest(*value, scale)));
}

impl Encoded {
    /// Encodes `self.rotated`, whose true size is `unit` times as large.
    pub(super) fn code(&mut self, unit: f64, length_squared: f64, eight: bool) {
        quantize(&self.rotated, &mut self.codes);
        let (mut bytes, mut nibbles) = ([0.0f64; LANES], [0.0f64; LANES]);
        let (mut byte_squares, mut nibble_sum, mut nibble_squares) = (0u32, 0u32, 0u32);
        let (mut byte_norm, mut nibble_norm) = (0.0f64, 0.0f64);
        // Integer sums over a block stay inside 32 bits.
        for (values, codes) in self.rotated.chunks(1024).zip(self.codes.chunks(1024)) {
            for (values, codes) in values.chunks(LANES).zip(codes.chunks(LANES)) {
                for (lane, (value, code)) in values.iter().zip(codes).enumerate() {
                    let byte = i32::from(*code) - i32::from(BYTE_CENTRE);
                    let nibble = u32::from(code >> 4);
                    let value = f64::from(*value);
                    bytes[lane] += value * f64::from(byte);
                    nibbles[lane] += value * (f64::from(nibble as i32) - f64::from(NIBBLE_CENTRE));
                    byte_squares += (byte * byte) as u32;
                    nibble_sum += nibble;
                    nibble_squares += nibble * nibble;
                }
            }
            let centre = f64::from(NIBBLE_CENTRE);
            byte_norm += f64::from(byte_squares);
            nibble_norm += f64::from(nibble_squares) - 2.0 * centre * f64::from(nibble_sum)
                + centre * centre * codes.len() as f64;
            (byte_squares, nibble_sum, nibble_squares) = (0, 0, 0);
        }
        let measure = |product: f64, norm: f64| {
            let factor = if product > 0.0 { (length_squared / product) as f32 } else { 0.0 };
            let scale = f64::from(factor);
            // |x − f·v|², from sums that are exact enough in f64.
            let gap = length_squared - 2.0 * scale * product + scale * scale * norm;
            (factor, gap.max(0.0).sqrt())
        };
        let (byte_factor, byte_gap) = measure(bytes.iter().sum(), byte_norm);
        let (nibble_factor, nibble_gap) = measure(nibbles.iter().sum(), nibble_norm);
        let length = length_squared.sqrt();
        let relative = |gap: f64| if length > 0.0 { (gap / length) as f32 } else { 0.0 };
        self.error = CodeError {
            coarse: relative(if eight { byte_gap } else { nibble_gap }),
            fine: relative(byte_gap),
        };
        self.byte_factor = saturate(f64::from(byte_factor) * unit);
        self.nibble_factor = saturate(f64::from(nibble_factor) * unit);
        self.distance = byte_gap * unit;
        self.length = length * unit;
    }
}
