//! Stand-in.
use crate::chunks::Chunks;
use crate::params::{Metric, Row};
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    Four,
    Eight,
}
#[derive(Clone, Copy, Default)]
pub(crate) struct CodeError {
    pub relative: f32,
}
#[derive(Default, Clone)]
pub(crate) struct CodeProbe {
    x: Vec<f32>,
    angular: bool,
    norm: f32,
}
pub(crate) struct Codes {
    metric: Metric,
    dimension: usize,
    data: Chunks<f32>,
    mean: Vec<f32>,
}
impl Codes {
    pub fn new(metric: Metric, dimension: usize, _bits: Bits, _seed: u64, mean: Option<&[f32]>) -> Self {
        Self {
            metric,
            dimension,
            data: Chunks::new(dimension, 0.0),
            mean: mean.map(|m| m.to_vec()).unwrap_or(vec![0.0; dimension]),
        }
    }
    pub fn store(&mut self, row: Row, prepared: &[f32]) -> CodeError {
        let m = prepared.iter().zip(&self.mean).map(|(a, m)| (a - m).abs()).fold(1e-30f32, f32::max) / 127.0;
        let mean = &self.mean;
        let place = self.data.claim(row);
        for ((p, v), c) in place.iter_mut().zip(prepared).zip(mean) {
            *p = ((v - c) / m).round() * m + c;
        }
        CodeError { relative: 0.0 }
    }
    pub fn release(&mut self, row: Row) {
        self.data.release(row)
    }
    pub fn probe_into(&self, prepared: &[f32], angular: bool, probe: &mut CodeProbe) {
        probe.x.clear();
        probe.x.extend(prepared);
        probe.angular = angular;
        probe.norm = prepared.iter().map(|v| v * v).sum::<f32>().sqrt();
    }
    pub fn probe_row(&self, row: Row, probe: &mut CodeProbe) {
        let x = self.data.get(row).to_vec();
        self.probe_into(&x, self.metric == Metric::Dot, probe)
    }
    pub fn fine(&self, probe: &CodeProbe, row: Row) -> f32 {
        let y = self.data.get(row);
        let dot: f32 = probe.x.iter().zip(y).map(|(a, b)| a * b).sum();
        match self.metric {
            Metric::Euclidean => probe.x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum(),
            Metric::Dot if probe.angular => {
                let n = y.iter().map(|v| v * v).sum::<f32>().sqrt() * probe.norm;
                if n > 0.0 { 0.0 - dot / n } else { 0.0 }
            }
            _ => 0.0 - dot,
        }
    }
    pub fn coarse(&self, probe: &CodeProbe, row: Row) -> f32 {
        self.fine(probe, row)
    }
    pub fn coarse_many(&self, probe: &CodeProbe, rows: &[Row], mut take: impl FnMut(Row, f32)) {
        for r in rows {
            take(*r, self.fine(probe, *r))
        }
    }
    pub fn fine_many(&self, probe: &CodeProbe, rows: &[Row], take: impl FnMut(Row, f32)) {
        self.coarse_many(probe, rows, take)
    }
    pub fn precise(&self, probe: &CodeProbe, row: Row) -> (f32, f32) {
        let key = self.fine(probe, row);
        let y = self.data.get(row);
        let err = y.iter().zip(&self.mean).map(|(v, c)| (v - c).abs()).fold(0.0f32, f32::max) / 127.0
            * (self.dimension as f32).sqrt();
        let bound = match self.metric {
            Metric::Euclidean => {
                let d = key.max(0.0).sqrt();
                2.0 * d * err + err * err
            }
            _ => probe.norm * err,
        };
        (key, bound * 1.01 + 1e-6 * (1.0 + key.abs()))
    }
    pub fn prefetch(&self, row: Row) {
        crate::distance::prefetch(self.data.get(row))
    }
    pub fn same_code(&self, a: Row, b: Row) -> bool {
        self.data.get(a) == self.data.get(b)
    }
    pub fn bytes(&self) -> usize {
        self.data.bytes()
    }
}
