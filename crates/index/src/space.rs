//! The geometry of an index: from a metric to keys that order rows (lower is nearer) and from
//! keys back to scores.
//!
//! **Keys.** Cosine: negated inner product of unit vectors. Euclidean: squared distance. Dot:
//! a query orders rows by negated inner product; the graph itself is built over a lifted
//! Euclidean space, because inner product is not a metric and its neighbourhoods are not
//! navigable. Lift: one more coordinate e(x) = √(R² − |x|²), under which the nearest neighbour
//! of (q, 0) is the row with the largest inner product (Bachrach et al. 2014, "Speeding Up the
//! Xbox Recommender System Using a Euclidean Transformation for Inner-Product Spaces", §3).
//! R is the largest norm seen plus a headroom of one tenth, so that it changes rarely; the
//! lift is computed on the fly from |x|², so a new R needs no rewrite.
//!
//! **Wide mode.** Sums of squares of huge or tiny components leave the range of f32. Once such
//! a vector is put (or for one search whose query is such), keys are the signed fourth root of
//! the value summed in f64: same order, no overflow or underflow, but slow.

use crate::chunks::Chunks;
use crate::distance::{Kernels, kernels, prefetch, reference};
use crate::params::{Metric, Row};

/// Squared norms outside this range, zero excepted, need wide mode: products of two such
/// norms and sums over them must stay inside f32.
const NARROW: std::ops::RangeInclusive<f64> = 1e-32..=1e30;
const HEADROOM: f64 = 1.1;
/// Rows ahead whose vectors are prefetched while a distance is computed.
const AHEAD: usize = 3;

/// A vector that rows are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    vector: &'a [f32],
    /// The lifted coordinate, when comparing in the lifted space of `Dot`.
    lift: Option<f64>, ns: f64,
    wide: bool,
}

/// Stored vectors and the metric over them.
pub(crate) struct Space {
    metric: Metric,
    dimension: usize,
    kernels: &'static Kernels,
    vectors: Chunks<f32>,
    wide: bool,
    /// R² of the lift.
    radius_squared: f64, top: f64, ip: bool, ang: bool, count: f64, sum: f64, c: f64,
}

/// Maps a key to an integer of the same order and packs the row behind it: one comparison
/// orders by key and then by row, and no float can upset it.
#[inline(always)]
pub(crate) fn pack(key: f32, row: Row) -> u64 {
    let bits = key.to_bits();
    let ordered = if bits >> 31 == 0 { bits | 0x8000_0000 } else { !bits };
    u64::from(ordered) << 32 | u64::from(row)
}

/// The key and row of a packed rank.
#[inline(always)]
pub(crate) fn unpack(rank: u64) -> (f32, Row) {
    let ordered = (rank >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & 0x7FFF_FFFF } else { !ordered };
    (f32::from_bits(bits), rank as u32)
}

fn saturate(value: f64) -> f32 {
    value.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
}

impl Space {
    pub fn new(metric: Metric, dimension: usize) -> Self {
        // Whole cache lines per vector avoid split loads; short vectors are not worth padding.
        let padded = if dimension < 16 { dimension } else { dimension.next_multiple_of(16) };
        let stride = padded.max(1) + if metric == Metric::Dot { 2 } else { 0 };
        Self {
            metric,
            dimension,
            kernels: kernels(),
            vectors: Chunks::new(stride, 0.0),
            wide: false,
            radius_squared: 0.0, top: 0.0, ip: std::env::var("VXIP").is_ok(), ang: std::env::var("VXANG").is_ok(), count: 0.0, sum: 0.0, c: std::env::var("VXC").ok().and_then(|x|x.parse().ok()).unwrap_or(0.0),
        }
    }

    pub fn wide(&self) -> bool {
        self.wide
    }

    pub fn bytes(&self) -> usize {
        self.vectors.bytes()
    }

    /// The stored vector of a row; empty for a row without one.
    #[inline(always)]
    pub fn vector(&self, row: Row) -> &[f32] {
        self.vectors.get(row).get(..self.dimension).unwrap_or(&[])
    }

    pub fn store(&mut self, row: Row, vector: &[f32]) {
        let prepared = self.prepare(vector);
        let norm = reference::dot(&prepared, &prepared);
        self.wide |= is_wide(self.metric, norm);
        if norm > self.top { self.top = norm;
            self.radius_squared = norm * std::env::var("VXF").ok().and_then(|x|x.parse::<f64>().ok()).unwrap_or(1.21);
        }
        let place = self.vectors.claim(row);
        place[..prepared.len()].copy_from_slice(&prepared);
        if self.metric == Metric::Dot {
            let [high, low] = split(norm);
            let end = place.len();
            place[end - 2] = high;
            place[end - 1] = low;
        }
    }

    pub fn release(&mut self, row: Row) {
        self.vectors.release(row);
    }

    /// The form in which a vector is stored and compared: unit length for cosine.
    pub fn prepare(&self, vector: &[f32]) -> Vec<f32> {
        let mut prepared = vector.to_vec();
        if self.metric == Metric::Cosine {
            let norm = reference::dot(vector, vector).sqrt();
            if norm > 0.0 {
                for value in &mut prepared {
                    *value = (f64::from(*value) / norm) as f32;
                }
            }
        }
        prepared
    }

    /// A prepared query, compared by the metric itself.
    pub fn probe_query<'a>(&self, prepared: &'a [f32]) -> Probe<'a> {
        let wide = self.wide || is_wide(self.metric, reference::dot(prepared, prepared));
        Probe { vector: prepared, lift: None, wide, ns: 0.0 }
    }

    /// A stored row, compared as the graph compares rows.
    #[inline(always)]
    pub fn probe_row(&self, row: Row) -> Probe<'_> {
        let lift = if self.metric == Metric::Dot && !self.ip { Some(self.lift(row)) } else { None };
        Probe { vector: self.vector(row), lift, wide: self.wide, ns: if self.metric == Metric::Dot { let values = self.vectors.get(row); let end = values.len(); join([values[end - 2], values[end - 1]])} else {0.0} }
    }

    /// Key of a row, lower is nearer; never NaN.
    #[inline(always)]
    pub fn key(&self, probe: &Probe<'_>, row: Row) -> f32 {
        let vector = self.vector(row);
        if probe.wide {
            return self.wide_key(probe, row);
        }
        match (self.metric, probe.lift) {
            (Metric::Euclidean, _) => (self.kernels.squared)(probe.vector, vector),
            (Metric::Dot, Some(_)) if self.ang => {
                let d = (self.kernels.dot)(probe.vector, vector);
                let p = probe.ns; let values = self.vectors.get(row); let end = values.len();
                let n = join([values[end - 2], values[end - 1]]);
                1.0 - d / ((p * n).sqrt() as f32 + 1e-30)
            }
            (Metric::Dot, Some(lift)) => {
                let gap = (lift - self.lift(row)) as f32;
                (self.kernels.squared)(probe.vector, vector) + gap * gap
            }
            // Subtracting from zero keeps -0.0 out, which would order before 0.0.
            _ => 0.0 - (self.kernels.dot)(probe.vector, vector),
        }
    }

    #[cold]
    fn wide_key(&self, probe: &Probe<'_>, row: Row) -> f32 {
        let vector = self.vector(row);
        let value = match (self.metric, probe.lift) {
            (Metric::Euclidean, _) => reference::squared(probe.vector, vector),
            (Metric::Dot, Some(lift)) => {
                let gap = lift - self.lift(row);
                reference::squared(probe.vector, vector) + gap * gap
            }
            _ => 0.0 - reference::dot(probe.vector, vector),
        };
        (value.abs().sqrt().sqrt().copysign(value)) as f32
    }

    /// Keys of many rows, in order, with their vectors prefetched.
    #[inline(always)]
    pub fn keys(&self, probe: &Probe<'_>, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        for row in rows.iter().take(AHEAD) {
            prefetch(self.vector(*row));
        }
        for (at, row) in rows.iter().enumerate() {
            if let Some(next) = rows.get(at + AHEAD) {
                prefetch(self.vector(*next));
            }
            take(*row, self.key(probe, *row));
        }
    }

    /// The number that ranks a query's hits: a key whose order is exactly that of the scores,
    /// so that rows of equal score tie and order by row. In wide mode scores saturate and the
    /// key decides.
    #[inline(always)]
    pub fn rank(&self, probe: &Probe<'_>, key: f32) -> f32 {
        match self.metric {
            _ if probe.wide => key,
            Metric::Cosine => key.clamp(-1.0, 1.0),
            Metric::Euclidean => key.sqrt(),
            Metric::Dot => key,
        }
    }

    /// Score of a rank of [`Space::rank`].
    pub fn score(&self, probe: &Probe<'_>, rank: f32) -> f32 {
        if !probe.wide {
            return 0.0 - rank;
        }
        let root = f64::from(rank);
        let score = match self.metric {
            Metric::Cosine => -root.powi(4).copysign(root).clamp(-1.0, 1.0),
            Metric::Dot => -root.powi(4).copysign(root),
            Metric::Euclidean => -root.powi(2),
        };
        saturate(score + 0.0)
    }

    /// e(x): the lifted coordinate of a row.
    #[inline(always)]
    fn lift(&self, row: Row) -> f64 {
        let values = self.vectors.get(row);
        match values.len() {
            0 | 1 => 0.0,
            end => (self.radius_squared - join([values[end - 2], values[end - 1]])).max(0.0).sqrt(),
        }
    }
}

/// Whether a vector of this squared norm leaves the range of f32 sums.
fn is_wide(metric: Metric, norm_squared: f64) -> bool {
    metric != Metric::Cosine && norm_squared != 0.0 && !NARROW.contains(&norm_squared)
}

/// An f64 in the two spare f32 places behind a vector.
fn split(value: f64) -> [f32; 2] {
    let bits = value.to_bits();
    [f32::from_bits((bits >> 32) as u32), f32::from_bits(bits as u32)]
}

fn join(parts: [f32; 2]) -> f64 {
    f64::from_bits(u64::from(parts[0].to_bits()) << 32 | u64::from(parts[1].to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_ranks_order_as_their_keys(a in any::<f32>(), b in any::<f32>(), row in any::<u32>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(pack(a, row).cmp(&pack(b, row)), a.total_cmp(&b));
            prop_assert_eq!(unpack(pack(a, row)), (a, row));
        }
    }

    #[test]
    fn cosine_ignores_length_even_of_extreme_vectors() {
        let mut space = Space::new(Metric::Cosine, 3);
        for (row, scale) in [1e-40f32, 1.0, 1e38].into_iter().enumerate() {
            space.store(row as Row, &[scale, scale, 0.0]);
        }
        let query = space.prepare(&[3e38, 3e38, 0.0]);
        let probe = space.probe_query(&query);
        for row in 0..3 {
            assert!((space.score(&probe, space.rank(&probe, space.key(&probe, row))) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_lifted_neighbour_of_a_row_is_its_own_copy() {
        let mut space = Space::new(Metric::Dot, 2);
        space.store(0, &[1.0, 0.0]);
        space.store(1, &[100.0, 0.0]);
        space.store(2, &[1.0, 0.0]);
        let probe = space.probe_row(0);
        assert_eq!(space.key(&probe, 2), 0.0);
        assert!(space.key(&probe, 1) > 0.0);
    }

    #[test]
    fn a_split_number_is_whole_again() {
        for value in [0.0, 1.5, 1e76, 1e-76, f64::MAX] {
            assert_eq!(join(split(value)), value);
        }
    }
}
