//! Maximal marginal relevance: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering
//! Documents and Producing Summaries" (SIGIR 1998).

use super::{Candidate, cosine};
use crate::translate::dense_of;

/// Chooses one candidate after the other, `wanted` in all: each time the one with the greatest
/// (1 − diversity) × relevance − diversity × likeness. Relevance is the score brought to 0 … 1 over all candidates;
/// likeness is the greatest cosine of the vectors in `field`
/// to those chosen before. Ties go to the better score. What is not chosen is left out.
pub fn diverse(candidates: Vec<Candidate>, diversity: f64, wanted: usize, field: &str) -> Vec<Candidate> {
    let scores = || candidates.iter().map(|candidate| candidate.score);
    let least = scores().fold(f64::INFINITY, f64::min);
    let span = scores().fold(f64::NEG_INFINITY, f64::max) - least;
    let relevance = |candidate: &Candidate| if span > 0.0 { (candidate.score - least) / span } else { 1.0 };
    let mut left: Vec<(f64, f64, Candidate)> =
        candidates.iter().map(|c| (relevance(c), f64::NEG_INFINITY, c.clone())).collect();
    let mut chosen: Vec<Candidate> = Vec::with_capacity(wanted.min(left.len()));
    while chosen.len() < wanted {
        let mut best: Option<(usize, f64)> = None;
        for (at, (relevance, likeness, _)) in left.iter().enumerate() {
            // The first has nothing to be like.
            let likeness = if likeness.is_finite() { *likeness } else { 0.0 };
            let worth = (1.0 - diversity) * relevance - diversity * likeness;
            if best.is_none_or(|(_, most)| worth > most) {
                best = Some((at, worth));
            }
        }
        let Some((at, _)) = best else { break };
        let (.., next) = left.remove(at);
        let vector = dense_of(next.point.vector.as_ref(), field);
        for (_, likeness, candidate) in &mut left {
            *likeness = likeness.max(cosine(vector, dense_of(candidate.point.vector.as_ref(), field)));
        }
        chosen.push(next);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_wire::worker::PointRecord;

    fn candidate(id: &str, score: f64, vector: [f32; 2]) -> Candidate {
        let vector = Some(vector.to_vec().into());
        let point = PointRecord { id: id.into(), version: 1, vector, payload: None };
        Candidate { point, score, legs: Vec::new() }
    }

    #[test]
    fn what_is_like_the_chosen_comes_later() {
        let all = || {
            vec![
                candidate("a", 1.0, [1.0, 0.0]),
                candidate("a2", 0.99, [1.0, 0.01]),
                candidate("b", 0.5, [0.0, 1.0]),
                candidate("c", 0.0, [-1.0, 0.0]),
            ]
        };
        let ids = |diversity: f64, wanted| {
            let chosen = diverse(all(), diversity, wanted, "");
            chosen.into_iter().map(|c| c.point.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(0.0, 4), ["a", "a2", "b", "c"]);
        assert_eq!(ids(0.5, 4), ["a", "c", "b", "a2"]);
        assert_eq!(ids(1.0, 2), ["a", "c"]);
        for wanted in 0..4 {
            assert_eq!(ids(0.5, wanted), ids(0.5, 4)[..wanted]);
        }
    }
}
