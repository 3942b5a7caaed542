//! Keys, ranks and scores of rows for a probe.

use super::{Space, inverse_length, is_wide, saturate};
use crate::distance::{prefetch, reference};
use crate::params::{Metric, Quantization, Row};
use crate::quantize::CodeProbe;
use crate::source::FullVectors;

/// Rows ahead whose vectors are prefetched while a distance is computed.
const AHEAD: usize = 4;

/// What keys are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    Full,
    Coarse,
    Fine,
}

/// A vector that rows are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    vector: &'a [f32],
    /// One over the length, when comparing by angle.
    angular: Option<f32>,
    wide: bool,
    grade: Grade,
    code: Option<&'a CodeProbe>,
}

impl<'a> Probe<'a> {
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// The same with keys of another grade, where there are codes.
    pub fn graded(self, grade: Grade) -> Self {
        let grade = if self.code.is_some() && !self.wide { grade } else { Grade::Full };
        Self { grade, ..self }
    }
}

impl Space {
    /// Whether the probe's keys can be had without the caller's vectors.
    pub fn comparable(&self, probe: &Probe<'_>) -> bool {
        self.holds_full() || probe.code.is_some()
    }

    /// Bytes read for one key of this probe's grade.
    pub fn key_bytes(&self, probe: &Probe<'_>) -> usize {
        match (probe.grade, self.quantization) {
            (Grade::Full, _) | (_, Quantization::None) => self.full_bytes(),
            (Grade::Coarse, Quantization::FourBit) => self.dimension.div_ceil(2),
            _ => self.fine_bytes(),
        }
    }

    /// A prepared query, compared by the metric itself; by coarse codes where there are any.
    pub fn probe_query<'a>(&self, prepared: &'a [f32], code: &'a mut CodeProbe) -> Probe<'a> {
        let wide = self.wide || is_wide(self.metric, reference::dot(prepared, prepared));
        let codes = self.codes.as_ref().filter(|_| !wide);
        if let Some(codes) = codes {
            codes.probe_into(code, prepared, false);
        }
        let code = codes.map(|_| &*code);
        Probe { vector: prepared, angular: None, wide, grade: Grade::Full, code }.graded(Grade::Coarse)
    }

    /// A stored row, compared as the graph compares rows; by fine codes where there are any.
    #[inline(always)]
    pub fn probe_row<'a>(&'a self, row: Row, code: &'a mut CodeProbe) -> Probe<'a> {
        let wide = self.wide;
        if let Some(codes) = &self.codes {
            codes.probe_row(row, code);
            return Probe { vector: &[], angular: None, wide, grade: Grade::Fine, code: Some(code) };
        }
        let angular = if self.metric == Metric::Dot { Some(self.inverse(row)) } else { None };
        Probe { vector: self.vector(row), angular, wide, grade: Grade::Full, code: None }
    }

    /// Key of a row in the probe's grade, lower is nearer; never NaN.
    #[inline(always)]
    pub fn key(&self, probe: &Probe<'_>, row: Row) -> f32 {
        match (probe.grade, &self.codes, probe.code) {
            (Grade::Coarse, Some(codes), Some(code)) => codes.coarse(code, row),
            (Grade::Fine, Some(codes), Some(code)) => codes.fine(code, row),
            _ => self.full_key(probe, row),
        }
    }

    #[inline(always)]
    fn full_key(&self, probe: &Probe<'_>, row: Row) -> f32 {
        let vector = self.vector(row);
        if probe.wide {
            return self.wide_key(probe, vector);
        }
        match probe.angular {
            Some(inverse) => 0.0 - (self.kernels.dot)(probe.vector, vector) * inverse * self.inverse(row),
            None => self.plain_key(probe, vector),
        }
    }

    #[inline(always)]
    fn plain_key(&self, probe: &Probe<'_>, vector: &[f32]) -> f32 {
        match self.metric {
            Metric::Euclidean => (self.kernels.squared)(probe.vector, vector),
            // Subtracting from zero keeps -0.0 out, which would order before 0.0.
            _ => 0.0 - (self.kernels.dot)(probe.vector, vector),
        }
    }

    #[cold]
    fn wide_key(&self, probe: &Probe<'_>, vector: &[f32]) -> f32 {
        let value = match (self.metric, probe.angular) {
            (Metric::Euclidean, _) => reference::squared(probe.vector, vector),
            (Metric::Dot, Some(_)) => {
                let inverse = |vector| inverse_length(reference::dot(vector, vector));
                0.0 - reference::dot(probe.vector, vector) * inverse(probe.vector) * inverse(vector)
            }
            _ => 0.0 - reference::dot(probe.vector, vector),
        };
        (value.abs().sqrt().sqrt().copysign(value)) as f32
    }

    /// Rank of a row for a query by its full vector, read from the caller if need be; `None` where it
    /// cannot be had.
    #[inline]
    pub fn exact_rank(
        &self,
        probe: &Probe<'_>,
        row: Row,
        full: &dyn FullVectors,
        buffer: &mut Vec<f32>,
    ) -> Option<f32> {
        let key = if self.vectors.is_some() {
            self.full_key(probe, row)
        } else if !self.read(row, full, buffer) {
            return None;
        } else if probe.wide {
            self.wide_key(probe, buffer)
        } else {
            self.plain_key(probe, buffer)
        };
        Some(self.rank(probe, key))
    }

    /// A rank that the exact one of this row is not below, from its code; the exact one where there
    /// are no codes.
    #[inline]
    pub fn least_rank(&self, probe: &Probe<'_>, row: Row) -> f32 {
        let (Some(codes), Some(code)) = (&self.codes, probe.code) else {
            return self.rank(probe, self.full_key(probe, row));
        };
        let (key, bound) = codes.precise(code, row);
        let least = key - bound;
        self.rank(probe, if self.metric == Metric::Euclidean { least.max(0.0) } else { least })
    }

    /// Asks for the full vector of a row, if it is here.
    #[inline(always)]
    pub fn prefetch_full(&self, row: Row) {
        prefetch(self.vector(row));
    }

    /// Asks for what the bound of a row is made from.
    #[inline(always)]
    pub fn prefetch_fine(&self, row: Row) {
        if let Some(codes) = &self.codes {
            codes.prefetch_fine(row);
        }
    }

    /// Whether one row key stands for less than half the distance of another.
    #[inline]
    pub fn is_half(&self, near: f32, far: f32) -> bool {
        let squared = |key: f32| {
            let value = if self.wide { key.powi(4).copysign(key) } else { key };
            // Of unit vectors, half the squared distance.
            if self.metric == Metric::Euclidean { value } else { 1.0 + value }
        };
        squared(near) * 4.0 < squared(far)
    }

    /// Keys of many rows, in order, with what they are made from prefetched.
    #[inline(always)]
    pub fn keys(&self, probe: &Probe<'_>, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        match (probe.grade, &self.codes, probe.code) {
            (Grade::Coarse, Some(codes), Some(code)) => codes.coarse_many(code, rows, take),
            (Grade::Fine, Some(codes), Some(code)) => codes.fine_many(code, rows, take),
            _ => {
                for row in rows.iter().take(AHEAD) {
                    prefetch(self.vector(*row));
                }
                for (at, row) in rows.iter().enumerate() {
                    if let Some(next) = rows.get(at + AHEAD) {
                        prefetch(self.vector(*next));
                    }
                    take(*row, self.full_key(probe, *row));
                }
            }
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

    /// One over the length of a row; kept behind the vector, in the cache lines read anyway.
    #[inline(always)]
    fn inverse(&self, row: Row) -> f32 {
        self.stored(row).last().copied().unwrap_or(0.0)
    }
}
