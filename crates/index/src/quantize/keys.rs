//! Keys estimated from codes.

use super::codes::{Bits, Codes};
use super::probe::CodeProbe;
use crate::distance::prefetch;
use crate::params::{Metric, Row};

/// Rows looked up and prefetched together, one batch ahead; a multiple of four.
const BATCH: usize = 8;

impl Codes {
    /// A key from the parts of a probe and of a row.
    #[inline(always)]
    fn key(&self, probe: &CodeProbe, head: &[f32], part: f32) -> f32 {
        let &[_, bias, ..] = head else { return f32::MAX };
        let mut key = probe.bias + bias + part;
        if let Some(inverse) = probe.angular {
            key *= inverse * head.get(2).copied().unwrap_or(0.0);
        }
        #[allow(clippy::manual_clamp, reason = "clamp keeps NaN")]
        // NaN becomes the farthest key; adding zero keeps -0.0 out, which would order before 0.0.
        let key = key.min(f32::MAX).max(-f32::MAX);
        key + 0.0
    }

    #[inline(always)]
    fn coarse_key(&self, probe: &CodeProbe, head: &[f32], dot: i32) -> f32 {
        let factor = head.first().copied().unwrap_or(f32::NAN);
        self.key(probe, head, factor * (probe.coarse.slope * dot as f32 + probe.coarse.offset))
    }

    #[inline(always)]
    fn fine_key(&self, probe: &CodeProbe, head: &[f32], detail: &[f32], dot: i32) -> f32 {
        let factor = detail.first().copied().unwrap_or(f32::NAN);
        self.key(probe, head, factor * (probe.fine.slope * dot as f32 + probe.fine.offset))
    }

    /// Key of a row by its coarse code.
    #[inline(always)]
    pub fn coarse(&self, probe: &CodeProbe, row: Row) -> f32 {
        let codes = self.coarse.get(row);
        let dot = match self.bits {
            Bits::Four => (self.kernels.dot_nibbles)(codes, &probe.quantized),
            Bits::Eight => (self.kernels.dot_bytes)(codes, &probe.quantized),
        };
        self.coarse_key(probe, self.heads.get(row), dot)
    }

    /// Keys of many rows by their coarse codes, in order, four at a time.
    #[inline(always)]
    pub fn coarse_many(&self, probe: &CodeProbe, rows: &[Row], take: impl FnMut(Row, f32)) {
        self.many::<false>(probe, rows, take);
    }

    /// Key of a row by its 8-bit code.
    #[inline(always)]
    pub fn fine(&self, probe: &CodeProbe, row: Row) -> f32 {
        let codes = self.coarse.get(row);
        let dot = match self.bits {
            Bits::Four => (self.kernels.dot_split)(codes, self.residual.get(row), &probe.quantized),
            Bits::Eight => (self.kernels.dot_bytes)(codes, &probe.quantized),
        };
        self.fine_key(probe, self.heads.get(row), self.details.get(row), dot)
    }

    /// Keys of many rows by their 8-bit codes, in order, four at a time.
    #[inline(always)]
    pub fn fine_many(&self, probe: &CodeProbe, rows: &[Row], take: impl FnMut(Row, f32)) {
        self.many::<true>(probe, rows, take);
    }

    #[inline(always)]
    fn many<const FINE: bool>(&self, probe: &CodeProbe, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        let mut batches = rows.chunks(BATCH);
        let (mut now, mut next) = (&mut Places::default(), &mut Places::default());
        let mut current = batches.next().unwrap_or(&[]);
        self.find::<FINE>(current, now);
        while !current.is_empty() {
            let following = batches.next().unwrap_or(&[]);
            self.find::<FINE>(following, next);
            for (quad, four) in current.chunks(4).enumerate() {
                let dots = now.dots::<FINE>(self, probe, quad);
                for (at, row) in four.iter().enumerate() {
                    let head = now.heads[quad * 4 + at];
                    let key = if FINE {
                        self.fine_key(probe, head, now.details[quad * 4 + at], dots[at])
                    } else {
                        self.coarse_key(probe, head, dots[at])
                    };
                    take(*row, key);
                }
            }
            std::mem::swap(&mut now, &mut next);
            current = following;
        }
    }

    /// Finds and prefetches what keys of a batch are computed from.
    #[inline(always)]
    fn find<'a, const FINE: bool>(&'a self, rows: &[Row], places: &mut Places<'a>) {
        for (at, row) in rows.iter().enumerate().take(BATCH) {
            places.codes[at] = self.coarse.get(*row);
            places.heads[at] = self.heads.get(*row);
            prefetch(places.codes[at]);
            prefetch(places.heads[at]);
            if FINE {
                places.residuals[at] = self.residual.get(*row);
                places.details[at] = self.details.get(*row);
                prefetch(places.residuals[at]);
                prefetch(places.details[at]);
            }
        }
        // The kernels take four: the last of them is repeated, and its keys left alone.
        for at in rows.len()..rows.len().next_multiple_of(4).min(BATCH) {
            places.codes[at] = places.codes[at - 1];
            places.residuals[at] = places.residuals[at - 1];
        }
    }

    /// Key of a row by its 8-bit code and the probe in f32, and an upper bound of how far it is
    /// from the key by the full vectors as [`crate::space::Space::key`] computes it. The bound is
    /// Cauchy–Schwarz on what the codes leave out, and allows for rounding.
    pub fn precise(&self, probe: &CodeProbe, row: Row) -> (f32, f32) {
        let (head, detail) = (self.heads.get(row), self.details.get(row));
        let &[factor, error, length] = detail else { return (f32::MAX, f32::MAX) };
        if probe.rotated.is_empty() && self.width > 0 {
            return (self.fine(probe, row), f32::MAX);
        }
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

/// What keys of a batch of rows are computed from, each looked up once. The arrays are handed to
/// the kernels as they are: moving them about in registers wider than they were written with
/// costs more than the kernels.
#[derive(Default)]
struct Places<'a> {
    codes: [&'a [u8]; BATCH],
    residuals: [&'a [u8]; BATCH],
    heads: [&'a [f32]; BATCH],
    details: [&'a [f32]; BATCH],
}

impl Places<'_> {
    #[inline(always)]
    fn dots<const FINE: bool>(&self, codes: &Codes, probe: &CodeProbe, quad: usize) -> [i32; 4] {
        let kernels = codes.kernels;
        let four = &self.codes.as_chunks::<4>().0[quad];
        match codes.bits {
            Bits::Eight => (kernels.dot_bytes_four)(four, &probe.quantized),
            Bits::Four if FINE => {
                let residuals = &self.residuals.as_chunks::<4>().0[quad];
                (kernels.dot_split_four)(four, residuals, &probe.quantized)
            }
            Bits::Four => (kernels.dot_nibbles_four)(four, &probe.quantized),
        }
    }
}
