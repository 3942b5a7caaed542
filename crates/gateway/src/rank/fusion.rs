//! Several rankings into one. RRF is from Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet
//! and individual Rank Learning Methods" (SIGIR 2009).

use super::best_first;
use crate::api::LegRank;
use std::collections::HashMap;
use vectron_wire::worker::{Hit, PointRecord};

/// How several legs' hits become one ranking.
#[derive(Clone, Debug, PartialEq)]
pub enum Fusion {
    /// The only leg's scores.
    Single,
    /// The sum of weight / (k + rank), ranks from 1.
    Reciprocal {
        /// Not negative.
        k: f64,
        /// One per leg.
        weights: Vec<f64>,
    },
    /// The sum of weight × score.
    Weighted {
        /// One per leg.
        weights: Vec<f64>,
        /// Bring each leg's scores to 0 … 1 first.
        normalize: bool,
    },
}

/// A point on its way to becoming a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// At the version that was scored; payload and vector only where they were needed so far.
    pub point: PointRecord,
    /// The score so far.
    pub score: f64,
    /// Where the legs had it.
    pub legs: Vec<LegRank>,
}

/// Each leg's least score and how far the greatest is from it.
fn spans(legs: &[Vec<Hit>]) -> Vec<(f64, f64)> {
    let span = |hits: &Vec<Hit>| {
        let scores = || hits.iter().map(|hit| f64::from(hit.score));
        let least = scores().fold(f64::INFINITY, f64::min);
        let most = scores().fold(f64::NEG_INFINITY, f64::max);
        (least, most - least)
    };
    legs.iter().map(span).collect()
}

/// The points of all legs, each once, best first. Of several versions of a point the highest counts, and only the legs
/// that saw it.
pub fn fuse(legs: Vec<Vec<Hit>>, fusion: &Fusion) -> Vec<Candidate> {
    let spans = spans(&legs);
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    for (leg, hits) in legs.into_iter().enumerate() {
        let (least, span) = spans.get(leg).copied().unwrap_or_default();
        for (at, hit) in hits.into_iter().enumerate() {
            let rank = at + 1;
            let score = f64::from(hit.score);
            let share = match fusion {
                Fusion::Single => score,
                Fusion::Reciprocal { k, weights } => weight(weights, leg) / (k + rank as f64),
                Fusion::Weighted { weights, normalize: true } => {
                    weight(weights, leg) * if span > 0.0 { (score - least) / span } else { 1.0 }
                }
                Fusion::Weighted { weights, normalize: false } => weight(weights, leg) * score,
            };
            let standing = LegRank { leg: leg as u32, rank: rank as u32, score: hit.score };
            let fresh = Candidate { score: share, legs: vec![standing.clone()], point: hit.point };
            match places.get(&fresh.point.id).and_then(|place| candidates.get_mut(*place)) {
                None => {
                    places.insert(fresh.point.id.clone(), candidates.len());
                    candidates.push(fresh);
                }
                Some(known) if known.point.version < fresh.point.version => *known = fresh,
                Some(known) if known.point.version == fresh.point.version => {
                    known.score += share;
                    known.legs.push(standing);
                    // A leg that asked for more of a point than another.
                    known.point.payload = known.point.payload.take().or(fresh.point.payload);
                    known.point.vector = known.point.vector.take().or(fresh.point.vector);
                }
                Some(_) => {}
            }
        }
    }
    candidates.sort_by(best_first);
    candidates
}

fn weight(weights: &[f64], leg: usize) -> f64 {
    weights.get(leg).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: &str, score: f32, version: u64) -> Hit {
        Hit { point: PointRecord { id: id.into(), version, vector: None, payload: None }, score }
    }

    fn shown(candidates: &[Candidate]) -> Vec<(&str, f64)> {
        candidates.iter().map(|c| (c.point.id.as_str(), c.score)).collect()
    }

    #[test]
    fn reciprocal_ranks_are_summed_and_ties_break_by_id() {
        let legs =
            || vec![vec![hit("b", 9.0, 1), hit("a", 8.0, 1)], vec![hit("a", 0.5, 1), hit("b", 0.4, 1)]];
        let even = Fusion::Reciprocal { k: 60.0, weights: vec![1.0, 1.0] };
        let both = 1.0 / 61.0 + 1.0 / 62.0;
        assert_eq!(shown(&fuse(legs(), &even)), [("a", both), ("b", both)]);
        let first = Fusion::Reciprocal { k: 0.0, weights: vec![3.0, 1.0] };
        let fused = fuse(legs(), &first);
        assert_eq!(shown(&fused), [("b", 3.5), ("a", 2.5)]);
        assert_eq!(
            fused[0].legs,
            [LegRank { leg: 0, rank: 1, score: 9.0 }, LegRank { leg: 1, rank: 2, score: 0.4 }]
        );
    }

    #[test]
    fn weighted_scores_are_brought_to_one_scale_or_left() {
        let legs =
            || vec![vec![hit("a", 30.0, 1), hit("b", 20.0, 1), hit("c", 10.0, 1)], vec![hit("c", 0.5, 1)]];
        let weights = vec![1.0, 2.0];
        let scaled = Fusion::Weighted { weights: weights.clone(), normalize: true };
        assert_eq!(shown(&fuse(legs(), &scaled)), [("c", 2.0), ("a", 1.0), ("b", 0.5)]);
        let plain = Fusion::Weighted { weights, normalize: false };
        assert_eq!(shown(&fuse(legs(), &plain)), [("a", 30.0), ("b", 20.0), ("c", 11.0)]);
    }

    #[test]
    fn l14_only_the_highest_version_of_a_point_counts() {
        let even = Fusion::Reciprocal { k: 0.0, weights: vec![1.0; 3] };
        let fused = fuse(
            vec![vec![hit("a", 1.0, 3)], vec![hit("b", 1.0, 1), hit("a", 0.9, 4)], vec![hit("a", 1.0, 3)]],
            &even,
        );
        assert_eq!(shown(&fused), [("b", 1.0), ("a", 0.5)]);
        assert_eq!(fused[1].point.version, 4);
        assert_eq!(fused[1].legs.len(), 1);
    }
}
