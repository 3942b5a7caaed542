//! The codes of all rows.

use super::encode::{self, CodeError, Encoded, NIBBLE_CENTRE};
use super::probe::{CodeProbe, Line};
use super::rotation::Rotation;
use crate::chunks::Chunks;
use crate::distance::{BYTE_CENTRE, Kernels, kernels, nibbles, prefetch};
use crate::params::{Metric, Row};

/// Codes of at least this many bytes are padded to whole cache lines.
const PADDED_BYTES: usize = 33;
const LINE_BYTES: usize = 64;

/// Bits per component of the code that a search reads first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bits {
    /// Four, and the other four of the 8-bit code stored apart.
    Four,
    /// Eight: coarse and fine code are the same.
    Eight,
}

/// Codes of rows. Keys are those of [`crate::space::Space`], in the same units: cosine and dot
/// negated inner products, Euclidean squared distances, rows of the dot metric negated cosines.
/// An estimated squared distance may be below zero, by its error. Keys are never NaN; that of a
/// row without a code is `f32::MAX` or a number without meaning.
///
/// With a mean `m`, inner products come from `⟨q, x⟩ = ⟨q−m, x−m⟩ + (⟨q, m⟩ − |m|²/2) + (⟨x, m⟩ −
/// |m|²/2)` and distances from `|q−x|² = |q−m|² + |x−m|² − 2⟨q−m, x−m⟩`: either way a key is a bias
/// of the probe, a bias of the row, and a multiple of the inner product of two centred vectors.
pub(crate) struct Codes {
    pub(super) metric: Metric,
    pub(super) bits: Bits,
    dimension: usize,
    /// Components of a code with its padding.
    pub(super) width: usize,
    pub(super) kernels: &'static Kernels,
    rotation: Rotation,
    /// Empty for none.
    mean: Vec<f32>,
    pub(super) mean_squared: f64,
    /// What rounding in f32 may add to a sum of products, relative to the norms in it.
    pub(super) slack: f32,
    pub(super) coarse: Chunks<u8>,
    pub(super) residual: Chunks<u8>,
    /// Factor and bias; for the dot metric also the inverse length, and a spare. A factor of NaN
    /// marks a row without a code.
    pub(super) heads: Chunks<f32>,
    /// Of the 8-bit code: factor, upper bound of its distance from the vector, and of the length
    /// of the centred vector.
    pub(super) details: Chunks<f32>,
    scratch: Encoded,
}

impl Codes {
    /// No codes yet. `mean` is subtracted from every vector (zero if none is given, or one of
    /// another dimension); rows and probes must all be prepared as [`crate::space::Space`] does.
    pub fn new(metric: Metric, dimension: usize, bits: Bits, seed: u64, mean: Option<Vec<f32>>) -> Self {
        let mean = mean.filter(|mean| mean.len() == dimension).unwrap_or_default();
        let bytes = if bits == Bits::Four { nibbles::bytes(dimension) } else { dimension };
        let stride = if bytes < PADDED_BYTES { bytes.max(1) } else { bytes.next_multiple_of(LINE_BYTES) };
        let width = match bits {
            _ if bytes < PADDED_BYTES => dimension,
            Bits::Four => stride * 2,
            Bits::Eight => stride,
        };
        let residual = if bits == Bits::Four { stride } else { 0 };
        let head = if metric == Metric::Dot { 4 } else { 2 };
        Self {
            metric,
            bits,
            dimension,
            width,
            kernels: kernels(),
            rotation: Rotation::new(dimension, seed),
            mean_squared: encode::dot(&mean, &mean),
            mean,
            slack: (dimension as f32 / 8.0 + 96.0) * f32::EPSILON,
            coarse: Chunks::new(stride, 0),
            residual: Chunks::new(residual, 0),
            heads: Chunks::new(head, f32::NAN),
            details: Chunks::new(3, 0.0),
            scratch: Encoded::default(),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let arenas = self.coarse.bytes() + self.heads.bytes() + self.details.bytes();
        arenas + self.residual.bytes() + self.rotation.bytes() + size_of_val(&*self.mean)
    }

    /// Whether a row has a code.
    pub fn has(&self, row: Row) -> bool {
        self.heads.get(row).first().is_some_and(|factor| !factor.is_nan())
    }

    /// Encodes a prepared vector and keeps the code, in place of an earlier one.
    pub fn store(&mut self, row: Row, prepared: &[f32]) -> CodeError {
        let mut encoded = std::mem::take(&mut self.scratch);
        self.encode(prepared, &mut encoded);
        self.place(row, &encoded);
        let error = encoded.error;
        self.scratch = encoded;
        error
    }

    /// Encodes a prepared vector, to be [placed](Codes::place).
    pub fn encode(&self, prepared: &[f32], encoded: &mut Encoded) -> CodeError {
        let unit = encode::centre(prepared, &self.mean, &mut encoded.rotated);
        let length_squared = encode::dot(&encoded.rotated, &encoded.rotated);
        self.rotation.apply(self.kernels, &mut encoded.rotated);
        encoded.code(unit, length_squared, self.bits == Bits::Eight);
        encoded.codes.resize(self.width, BYTE_CENTRE);
        encoded.bias = self.bias(prepared, encoded.length);
        if self.metric == Metric::Dot {
            encoded.inverse = inverse_length(prepared);
        }
        encoded.error
    }

    /// Keeps a code for a row, in place of an earlier one.
    pub fn place(&mut self, row: Row, encoded: &Encoded) {
        if !self.has(row) {
            self.coarse.claim(row);
            self.heads.claim(row);
            self.details.claim(row);
            if self.bits == Bits::Four {
                self.residual.claim(row);
            }
        }
        let factor = match self.bits {
            Bits::Four => {
                nibbles::pack(&encoded.codes, 4, self.coarse.get_mut(row));
                nibbles::pack(&encoded.codes, 0, self.residual.get_mut(row));
                encoded.nibble_factor
            }
            Bits::Eight => {
                for (to, from) in self.coarse.get_mut(row).iter_mut().zip(&encoded.codes) {
                    *to = *from;
                }
                encoded.byte_factor
            }
        };
        let head = [factor, encoded.bias, encoded.inverse, 0.0];
        for (to, from) in self.heads.get_mut(row).iter_mut().zip(head) {
            *to = from;
        }
        // Rounding in the rotation and in the sums moves the code by a little more.
        let length = f64::from(above(encoded.length));
        let error = above(encoded.distance + f64::from(self.slack) * length);
        let detail = [encoded.byte_factor, error, length as f32];
        for (to, from) in self.details.get_mut(row).iter_mut().zip(detail) {
            *to = from;
        }
    }

    /// Gives a row's code back.
    pub fn release(&mut self, row: Row) {
        if self.has(row) {
            self.heads.get_mut(row).fill(f32::NAN);
            self.heads.release(row);
            self.coarse.release(row);
            self.details.release(row);
            self.residual.release(row);
        }
    }

    /// Whether two rows have the same 8-bit code and everything kept with it: then their vectors
    /// are the same but for less than the grid shows.
    pub fn same_code(&self, a: Row, b: Row) -> bool {
        let same = |arena: &Chunks<f32>| {
            let bits = |row| arena.get(row).iter().map(|value| value.to_bits());
            bits(a).eq(bits(b))
        };
        self.has(a)
            && self.coarse.get(a) == self.coarse.get(b)
            && self.residual.get(a) == self.residual.get(b)
            && same(&self.heads)
            && same(&self.details)
    }

    /// A prepared vector to compare codes with; `angular` (dot metric only) by angle, as rows
    /// are compared with each other.
    #[cfg(test)]
    pub fn probe(&self, prepared: &[f32], angular: bool) -> CodeProbe {
        let mut probe = CodeProbe::default();
        self.probe_into(&mut probe, prepared, angular);
        probe
    }

    /// Makes a probe of a prepared vector, in the buffers of an earlier one; `angular` (dot metric only) by
    /// angle, as rows are compared with each other.
    pub fn probe_into(&self, probe: &mut CodeProbe, prepared: &[f32], angular: bool) {
        let unit = encode::centre(prepared, &self.mean, &mut probe.rotated);
        let length_squared = encode::dot(&probe.rotated, &probe.rotated);
        self.rotation.apply(self.kernels, &mut probe.rotated);
        encode::quantize(&probe.rotated, &mut probe.bytes);
        probe.quantized.clear();
        probe.quantized.extend(probe.bytes.iter().map(|byte| (byte ^ BYTE_CENTRE) as i8));
        let product = encode::dot(&probe.rotated, &probe.quantized);
        let scale = if product > 0.0 { length_squared / product } else { 0.0 };
        let length = length_squared.sqrt() * unit;
        probe.length = above(length);
        probe.error = 0.0;
        probe.bias = self.bias(prepared, length);
        probe.angular = (angular && self.metric == Metric::Dot).then(|| inverse_length(prepared));
        self.finish(probe, scale * unit, unit);
    }

    /// A stored row to compare codes with, as the graph compares rows, from its 8-bit code. Only integers are
    /// made of it, so that precise keys are no more than fine ones, without a bound. Of a row without a code
    /// every key is `f32::MAX` or without meaning.
    pub fn probe_row(&self, row: Row, probe: &mut CodeProbe) {
        let (head, detail) = (self.heads.get(row), self.details.get(row));
        let (&[_, bias, ..], &[factor, error, length]) = (head, detail) else {
            *probe = CodeProbe::default();
            return;
        };
        self.fill_bytes(row, &mut probe.bytes);
        probe.quantized.clear();
        probe.quantized.extend(probe.bytes.iter().map(|byte| (byte ^ BYTE_CENTRE) as i8));
        probe.rotated.clear();
        probe.length = length;
        probe.error = error;
        probe.bias = bias;
        probe.angular = (self.metric == Metric::Dot).then(|| head.get(2).copied().unwrap_or(0.0));
        self.finish(probe, f64::from(factor), f64::from(factor));
    }

    /// Sets the lines of a probe whose i8 and f32 forms are in units of `scale` and `unit`.
    fn finish(&self, probe: &mut CodeProbe, scale: f64, unit: f64) {
        // At most 2⁷ each, of far fewer than 2²⁴ components.
        let sum: i32 = probe.quantized.iter().map(|value| i32::from(*value)).sum();
        let times = if self.metric == Metric::Euclidean { -2.0 } else { -1.0 };
        let line = |centre: f64| Line {
            slope: encode::saturate(times * scale),
            offset: encode::saturate(-times * scale * centre * f64::from(sum)),
        };
        probe.fine = line(f64::from(BYTE_CENTRE));
        probe.coarse = if self.bits == Bits::Four { line(f64::from(NIBBLE_CENTRE)) } else { probe.fine };
        probe.weight = encode::saturate(times * unit);
        probe.quantized.resize(self.width, 0);
        if !probe.rotated.is_empty() {
            probe.rotated.resize(self.width, 0.0);
        }
    }

    /// The 8-bit code of a row in order of its components, without padding.
    fn fill_bytes(&self, row: Row, place: &mut Vec<u8>) {
        place.clear();
        match self.bits {
            Bits::Eight => place.extend(self.coarse.get(row).iter().take(self.dimension)),
            Bits::Four => {
                place.resize(self.width, 0);
                nibbles::unpack(self.coarse.get(row), self.residual.get(row), place);
                place.truncate(self.dimension);
            }
        }
    }

    /// A vector's own part of a key, of its length less the mean.
    fn bias(&self, prepared: &[f32], length: f64) -> f32 {
        match self.metric {
            Metric::Euclidean => encode::saturate(length * length),
            _ if self.mean.is_empty() => 0.0,
            _ => encode::saturate(self.mean_squared / 2.0 - encode::dot(prepared, &self.mean)),
        }
    }

    /// Asks for a row's coarse code.
    #[inline(always)]
    pub fn prefetch(&self, row: Row) {
        prefetch(self.coarse.get(row));
        prefetch(self.heads.get(row));
    }

    /// Asks for everything kept for a row.
    #[inline(always)]
    pub fn prefetch_fine(&self, row: Row) {
        self.prefetch(row);
        prefetch(self.residual.get(row));
        prefetch(self.details.get(row));
    }
}

/// A number of f32 that is not below a non-negative one.
fn above(value: f64) -> f32 {
    encode::saturate(value * (1.0 + 1e-6))
}

fn inverse_length(vector: &[f32]) -> f32 {
    let squared = encode::dot(vector, vector);
    if squared > 0.0 { encode::saturate(1.0 / squared.sqrt()) } else { 0.0 }
}
