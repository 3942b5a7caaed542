//! A seeded orthogonal map that spreads every vector evenly over its components.

use crate::distance::Kernels;
use crate::hash::seeded;

/// Below this many components nothing is gained by mixing them.
const LEAST: usize = 8;

/// Random signs and a fast Walsh–Hadamard transform, a few times over (Ailon and Chazelle 2009,
/// "The Fast Johnson–Lindenstrauss Transform"; three rounds as in Andoni et al. 2015, "Practical
/// and Optimal LSH for Angular Distance", §6). A dimension that is no power of two is not padded:
/// the transform takes its longest power-of-two prefix and suffix in turn, and after both a 45°
/// rotation of each component with its partner half a vector on (a step of Kac's random walk)
/// ties the ends together, however little they overlap. O(d log d); norms are kept up to f32
/// rounding.
pub(crate) struct Rotation {
    /// Signs of each round, with the norm of its transform divided out inside its window.
    rounds: Vec<Vec<f32>>,
    dimension: usize,
    window: usize,
}

impl Rotation {
    pub fn new(dimension: usize, seed: u64) -> Self {
        let window = 1 << dimension.max(1).ilog2();
        let rounds = match dimension {
            0..LEAST => 0,
            _ if window == dimension => 3,
            _ => 4,
        };
        let mut rotation = Self { rounds: Vec::new(), dimension, window };
        let scale = (1.0 / (window as f64).sqrt()) as f32;
        for round in 0..rounds {
            let inside = rotation.window(round);
            let sign = |at: usize| {
                let size = if inside.contains(&at) { scale } else { 1.0 };
                if seeded(seed, at as u32, round as u64) & 1 == 0 { size } else { -size }
            };
            rotation.rounds.push((0..dimension).map(sign).collect());
        }
        rotation
    }

    fn window(&self, round: usize) -> std::ops::Range<usize> {
        if round.is_multiple_of(2) { 0..self.window } else { self.dimension - self.window..self.dimension }
    }

    /// Rotates a vector of the dimension given at the start, in place.
    pub fn apply(&self, kernels: &Kernels, vector: &mut [f32]) {
        for (round, signs) in self.rounds.iter().enumerate() {
            (kernels.rotate_round)(vector, signs, self.window(round));
        }
    }

    pub fn bytes(&self) -> usize {
        self.rounds.iter().map(|signs| size_of_val(&**signs)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::{kernels, reference};
    use crate::hash::mix;

    fn vector(seed: u64, dimension: usize) -> Vec<f32> {
        let value = |at: usize| (mix(seed ^ (at as u64) << 8) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        (0..dimension).map(value).collect()
    }

    #[test]
    fn lengths_and_inner_products_are_kept() {
        for dimension in (1..=600).chain([768, 1000, 1024, 1536, 3072, 4097, 16_384]) {
            let rotation = Rotation::new(dimension, 5);
            let (mut a, mut b) = (vector(1, dimension), vector(2, dimension));
            b.iter_mut().zip(&a).for_each(|(b, a)| *b += 0.5 * a);
            let before = [reference::dot(&a, &a), reference::dot(&b, &b), reference::dot(&a, &b)];
            rotation.apply(kernels(), &mut a);
            rotation.apply(kernels(), &mut b);
            let after = [reference::dot(&a, &a), reference::dot(&b, &b), reference::dot(&a, &b)];
            let size = before[0].max(before[1]);
            for (before, after) in before.into_iter().zip(after) {
                assert!((before - after).abs() <= 2e-6 * size, "{dimension}: {before} {after}");
            }
        }
    }

    #[test]
    fn a_lone_component_is_spread_evenly() {
        for dimension in [65usize, 100, 128, 300, 384, 768, 1000, 1536] {
            let rotation = Rotation::new(dimension, 9);
            let mut worst = 0.0f32;
            for at in (0..dimension).step_by(dimension / 16) {
                let mut unit = vec![0.0; dimension];
                unit[at] = 1.0;
                rotation.apply(kernels(), &mut unit);
                worst = unit.iter().fold(worst, |worst, value| worst.max(value.abs()));
            }
            // The largest of so many draws from a normal distribution stays below five deviations.
            assert!(worst * (dimension as f32).sqrt() < 5.0, "{dimension}: {worst}");
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let turned = |seed| {
            let mut vector = vector(1, 100);
            Rotation::new(100, seed).apply(kernels(), &mut vector);
            vector
        };
        assert_eq!(turned(1), turned(1));
        assert_ne!(turned(1), turned(2));
    }
}
