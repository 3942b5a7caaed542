//! Several vectors per point: for each vector of the query the most similar one of the point, added up (late
//! interaction, Khattab and Zaharia, "ColBERT", SIGIR 2020, §3.3). Exact, over the records.

use vectron_base::vectors::MultiVector;
use vectron_index::Metric;

/// The sum over the query's vectors of the best score among the point's. The scores are those of the metric: cosine,
/// inner product, or the negated distance.
pub(crate) fn maxsim(metric: Metric, query: &MultiVector, point: &MultiVector) -> f32 {
    let lengths: Vec<f32> = match metric {
        Metric::Cosine => point.iter().map(length).collect(),
        Metric::Dot | Metric::Euclidean => Vec::new(),
    };
    let best = |asked: &[f32]| match metric {
        Metric::Dot => most(point.iter().map(|vector| dot(asked, vector))),
        Metric::Euclidean => most(point.iter().map(|vector| -distance(asked, vector))),
        Metric::Cosine => {
            let own = length(asked);
            let cosine = |(vector, length): (&[f32], &f32)| match own * length {
                0.0 => 0.0,
                lengths => dot(asked, vector) / lengths,
            };
            most(point.iter().zip(&lengths).map(cosine))
        }
    };
    query.iter().map(best).sum()
}

fn most(scores: impl Iterator<Item = f32>) -> f32 {
    scores.fold(f32::NEG_INFINITY, f32::max)
}

/// Numbers added up side by side.
const LANES: usize = 8;

/// Adds up what `term` makes of pairs, in a fixed order that a compiler can put into vector registers.
fn summed(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut lanes, (whole, rest)) = ([0.0f32; LANES], a.as_chunks::<LANES>());
    let (other, other_rest) = b.as_chunks::<LANES>();
    for (x, y) in whole.iter().zip(other) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += term(*x, *y);
        }
    }
    let tail: f32 = rest.iter().zip(other_rest).map(|(x, y)| term(*x, *y)).sum();
    lanes.iter().sum::<f32>() + tail
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    summed(a, b, |x, y| x * y)
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    summed(a, b, |x, y| (x - y) * (x - y)).sqrt()
}

fn length(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_vector_of_the_query_finds_its_best() {
        let many = |values: &[f32]| MultiVector::new(2, values.to_vec()).unwrap();
        let (query, point) = (many(&[1.0, 0.0, 0.0, 2.0]), many(&[3.0, 4.0, 0.0, 5.0, 1.0, 0.0]));
        assert_eq!(maxsim(Metric::Dot, &query, &point), 3.0 + 10.0);
        assert_eq!(maxsim(Metric::Cosine, &query, &point), 2.0);
        let apart = maxsim(Metric::Euclidean, &query, &point);
        assert!((apart - -(5.0f32.sqrt())).abs() < 1e-6, "{apart}");
    }

    #[test]
    fn long_vectors_are_added_up_whole() {
        let values: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&values, &values), 2109.0);
    }
}
