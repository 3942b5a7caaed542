//! The codes of all rows, and keys estimated from them.

use super::encode::{self, CodeError, Encoded, NIBBLE_CENTRE};
use super::probe::{CodeProbe, Line};
use super::rotation::Rotation;
use crate::chunks::Chunks;
use crate::distance::{BYTE_CENTRE, Kernels, kernels, nibbles, prefetch};
use crate::params::{Metric, Row};

/// Rows ahead whose codes are prefetched.
const AHEAD: usize = 8;
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
    metric: Metric,
    bits: Bits,
    dimension: usize,
    /// Components of a code with its padding.
    width: usize,
    kernels: &'static Kernels,
    rotation: Rotation,
    /// Empty for none.
    mean: Vec<f32>,
    mean_squared: f64,
    /// What rounding in f32 may add to a sum of products, relative to the norms in it.
    slack: f32,
    coarse: Chunks<u8>,
    residual: Chunks<u8>,
    /// Factor and bias; for the dot metric also the inverse length, and a spare. A factor of NaN
    /// marks a row without a code.
    heads: Chunks<f32>,
    /// Of the 8-bit code: factor, upper bound of its distance from the vector, and of the length
    /// of the centred vector.
    details: Chunks<f32>,
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

    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// The mean that is subtracted; empty for none.
    pub fn mean(&self) -> &[f32] {
        &self.mean
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
    pub fn probe(&self, prepared: &[f32], angular: bool) -> CodeProbe {
        let mut probe = CodeProbe::default();
        self.probe_into(&mut probe, prepared, angular);
        probe
    }

    /// The same in the buffers of an earlier probe.
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

    /// A stored row to compare codes with, as the graph compares rows, from its 8-bit code. Of a
    /// row without a code every key is `f32::MAX` or without meaning.
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
        probe.rotated.extend(probe.quantized.iter().map(|value| f32::from(*value)));
        probe.length = length;
        probe.error = error;
        probe.bias = bias;
        probe.angular = (self.metric == Metric::Dot).then(|| head.get(2).copied().unwrap_or(0.0));
        self.finish(probe, f64::from(factor), f64::from(factor));
    }

    /// Sets the lines of a probe whose i8 and f32 forms are in units of `scale` and `unit`.
    fn finish(&self, probe: &mut CodeProbe, scale: f64, unit: f64) {
        let sum: i64 = probe.quantized.iter().map(|value| i64::from(*value)).sum();
        let times = if self.metric == Metric::Euclidean { -2.0 } else { -1.0 };
        let line = |centre: f64| Line {
            slope: encode::saturate(times * scale),
            offset: encode::saturate(-times * scale * centre * sum as f64),
        };
        probe.fine = line(f64::from(BYTE_CENTRE));
        probe.coarse = if self.bits == Bits::Four { line(f64::from(NIBBLE_CENTRE)) } else { probe.fine };
        probe.weight = encode::saturate(times * unit);
        probe.quantized.resize(self.width, 0);
        probe.rotated.resize(self.width, 0.0);
    }

    /// The 8-bit code of a row in order of its components, without padding.
    fn fill_bytes(&self, row: Row, place: &mut Vec<u8>) {
        place.clear();
        match self.bits {
            Bits::Eight => place.extend(self.coarse.get(row).iter().take(self.dimension)),
            Bits::Four => {
                place.resize(self.width, 0);
                nibbles::each(self.coarse.get(row), self.width, |at, nibble| place[at] = nibble << 4);
                nibbles::each(self.residual.get(row), self.width, |at, nibble| place[at] |= nibble);
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

    /// A key from the parts of a probe and of a row.
    #[inline(always)]
    fn key(&self, probe: &CodeProbe, head: &[f32], part: f32) -> f32 {
        let &[_, bias, ..] = head else { return f32::MAX };
        let mut key = probe.bias + bias + part;
        if let Some(inverse) = probe.angular {
            key *= inverse * head.get(2).copied().unwrap_or(0.0);
        }
        // NaN becomes the farthest key; adding zero keeps -0.0 out, which would order before 0.0.
        key.min(f32::MAX).max(-f32::MAX) + 0.0
    }

    #[inline(always)]
    fn coarse_key(&self, probe: &CodeProbe, row: Row, dot: i32) -> f32 {
        let head = self.heads.get(row);
        let factor = head.first().copied().unwrap_or(f32::NAN);
        self.key(probe, head, factor * (probe.coarse.slope * dot as f32 + probe.coarse.offset))
    }

    #[inline(always)]
    fn fine_key(&self, probe: &CodeProbe, row: Row, dot: i32) -> f32 {
        let factor = self.details.get(row).first().copied().unwrap_or(f32::NAN);
        let part = factor * (probe.fine.slope * dot as f32 + probe.fine.offset);
        self.key(probe, self.heads.get(row), part)
    }

    /// Key of a row by its coarse code.
    #[inline(always)]
    pub fn coarse(&self, probe: &CodeProbe, row: Row) -> f32 {
        let codes = self.coarse.get(row);
        let dot = match self.bits {
            Bits::Four => (self.kernels.dot_nibbles)(codes, &probe.quantized),
            Bits::Eight => (self.kernels.dot_bytes)(codes, &probe.quantized),
        };
        self.coarse_key(probe, row, dot)
    }

    /// Keys of many rows by their coarse codes, in order, four at a time.
    #[inline(always)]
    pub fn coarse_many(&self, probe: &CodeProbe, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        let kernel = match self.bits {
            Bits::Four => self.kernels.dot_nibbles_four,
            Bits::Eight => self.kernels.dot_bytes_four,
        };
        rows.iter().take(AHEAD).for_each(|row| self.prefetch(*row));
        let (fours, rest) = rows.as_chunks::<4>();
        for (at, four) in fours.iter().enumerate() {
            rows.iter().skip(at * 4 + AHEAD).take(4).for_each(|row| self.prefetch(*row));
            let dots = kernel(&four.map(|row| self.coarse.get(row)), &probe.quantized);
            for (row, dot) in four.iter().zip(dots) {
                take(*row, self.coarse_key(probe, *row, dot));
            }
        }
        rest.iter().for_each(|row| take(*row, self.coarse(probe, *row)));
    }

    /// Key of a row by its 8-bit code.
    #[inline(always)]
    pub fn fine(&self, probe: &CodeProbe, row: Row) -> f32 {
        let codes = self.coarse.get(row);
        let dot = match self.bits {
            Bits::Four => (self.kernels.dot_split)(codes, self.residual.get(row), &probe.quantized),
            Bits::Eight => (self.kernels.dot_bytes)(codes, &probe.quantized),
        };
        self.fine_key(probe, row, dot)
    }

    /// Keys of many rows by their 8-bit codes, in order, four at a time.
    #[inline(always)]
    pub fn fine_many(&self, probe: &CodeProbe, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        rows.iter().take(AHEAD).for_each(|row| self.prefetch_fine(*row));
        let (fours, rest) = rows.as_chunks::<4>();
        for (at, four) in fours.iter().enumerate() {
            rows.iter().skip(at * 4 + AHEAD).take(4).for_each(|row| self.prefetch_fine(*row));
            let codes = four.map(|row| self.coarse.get(row));
            let dots = match self.bits {
                Bits::Four => {
                    let residuals = four.map(|row| self.residual.get(row));
                    (self.kernels.dot_split_four)(&codes, &residuals, &probe.quantized)
                }
                Bits::Eight => (self.kernels.dot_bytes_four)(&codes, &probe.quantized),
            };
            for (row, dot) in four.iter().zip(dots) {
                take(*row, self.fine_key(probe, *row, dot));
            }
        }
        rest.iter().for_each(|row| take(*row, self.fine(probe, *row)));
    }

    /// Key of a row by its 8-bit code and the probe in f32, and an upper bound of how far it is
    /// from the key by the full vectors as [`crate::space::Space::key`] computes it. The bound is
    /// Cauchy–Schwarz on what the codes leave out, and allows for rounding.
    pub fn precise(&self, probe: &CodeProbe, row: Row) -> (f32, f32) {
        let (head, detail) = (self.heads.get(row), self.details.get(row));
        let &[factor, error, length] = detail else { return (f32::MAX, f32::MAX) };
        let codes = self.coarse.get(row);
        let dot = match self.bits {
            Bits::Four => (self.kernels.dot_split_float)(codes, self.residual.get(row), &probe.rotated),
            Bits::Eight => (self.kernels.dot_bytes_float)(codes, &probe.rotated),
        };
        let key = self.key(probe, head, factor * dot * probe.weight);
        let mean = self.mean_squared.sqrt() as f32;
        let (left, right) = (probe.length + mean, length + mean);
        let missed = (probe.length + probe.error) * error + probe.error * length;
        let bound = match (self.metric, probe.angular) {
            (Metric::Euclidean, _) => {
                let sum = probe.length + length;
                2.0 * missed + self.slack * sum * sum
            }
            (_, Some(inverse)) => {
                let inverses = inverse * head.get(2).copied().unwrap_or(0.0);
                (missed + self.slack * left * right) * inverses + self.slack
            }
            _ => missed + self.slack * left * right,
        };
        // Products below the smallest normal number lose their digits.
        let bound = bound + f32::MIN_POSITIVE * self.width as f32;
        (key, bound.min(f32::MAX))
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
