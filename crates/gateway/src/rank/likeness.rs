//! Scores of two vectors for each other, as a search gives them.

use vectron_wire::placement::Distance;

/// Sums in double precision, whatever the vectors' length.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Cosine of the angle; 0 where one has no direction.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths).clamp(-1.0, 1.0) } else { 0.0 }
}

/// The score under a collection's distance: higher is closer.
pub fn score(distance: Distance, a: &[f32], b: &[f32]) -> f32 {
    let score = match distance {
        Distance::Cosine => cosine(a, b),
        Distance::Dot => dot(a, b),
        Distance::Euclidean => {
            let squares = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
            -squares.sum::<f64>().sqrt()
        }
    };
    (score as f32).clamp(f32::MIN, f32::MAX) + 0.0
}
