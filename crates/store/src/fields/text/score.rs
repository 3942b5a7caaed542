//! BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.4).
//!
//! A word that occurs `f` times in a text of `l` words gives `idf · f · (k1 + 1) / (f + k1 · (1 − b + b · l / avg))`,
//! with `idf = ln(1 + (n − d + ½) / (d + ½))` where `d` of `n` texts have the word, so that no word counts against a
//! text. Parts are added as whole numbers of a fixed small unit: a sum does not depend on the order of its parts, and
//! neither does a score on which rows were passed over on the way to it, or on the shard that its point is in.

use super::postings::{Offer, Posting};
use std::collections::BTreeMap;

/// One, in units of a score.
const UNIT: f32 = (1u32 << 24) as f32;

/// What saturates, and what length costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bm25 {
    /// How fast another occurrence of a word counts less, 0 to 100: 0 asks only whether it occurs.
    pub k1: f32,
    /// How much of a text's length, against the average, counts against it, 0 to 1.
    pub b: f32,
}

impl Default for Bm25 {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

impl Bm25 {
    /// What is wrong with the parameters: whose name, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !(0.0..=100.0).contains(&self.k1) {
            return Err(("k1", format!("must be from 0 to 100, got {}", self.k1)));
        }
        if !(0.0..=1.0).contains(&self.b) {
            return Err(("b", format!("must be from 0 to 1, got {}", self.b)));
        }
        Ok(())
    }
}

/// What scores rest on besides the point itself: of one shard, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextStats {
    /// Points with a word in the field.
    pub points: u64,
    /// Words of all of them.
    pub words: u64,
    /// Points with each word of the query; a prefix ends with `*`. Zeros may be left out.
    pub terms: BTreeMap<String, u64>,
}

impl TextStats {
    /// Adds another shard's.
    pub fn add(&mut self, other: &TextStats) {
        self.points = self.points.saturating_add(other.points);
        self.words = self.words.saturating_add(other.words);
        for (term, points) in &other.terms {
            let sum = self.terms.entry(term.clone()).or_default();
            *sum = sum.saturating_add(*points);
        }
    }

    /// How much a word tells.
    pub(super) fn idf(&self, term: &str) -> f64 {
        let having = self.terms.get(term).copied().unwrap_or(0) as f64;
        // A sum over shards that were asked one after the other may be short of points.
        let without = (self.points as f64 - having).max(0.0);
        (1.0 + (without + 0.5) / (having + 0.5)).ln()
    }
}

/// The score of a part of a query in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scorer {
    /// `idf · (k1 + 1)`, in units.
    weight: f32,
    /// `k1 · (1 − b)` and `k1 · b / avg`.
    flat: f32,
    slope: f32,
}

impl Scorer {
    pub fn new(bm25: &Bm25, stats: &TextStats, idf: f64) -> Scorer {
        let average = if stats.points == 0 { 1.0 } else { stats.words as f64 / stats.points as f64 };
        let (k1, b) = (f64::from(bm25.k1), f64::from(bm25.b));
        Scorer {
            weight: (idf * (k1 + 1.0)) as f32 * UNIT,
            flat: (k1 * (1.0 - b)) as f32,
            slope: (k1 * b / average.max(f64::MIN_POSITIVE)) as f32,
        }
    }

    #[inline(always)]
    fn units(&self, frequency: u16, length: u16) -> u64 {
        let (frequency, length) = (f32::from(frequency), f32::from(length));
        (self.weight * frequency / (frequency + (self.flat + self.slope * length))) as u64
    }

    #[inline(always)]
    pub fn score(&self, posting: &Posting) -> u64 {
        self.units(posting.frequency, posting.length)
    }

    /// No row of the block scores more.
    pub fn most(&self, offer: &Offer) -> u64 {
        let most = offer.pairs().map(|(frequency, length)| self.units(frequency, length)).max().unwrap_or(0);
        // Rounding may put a better pair below a worse one, by less than this.
        most + (most >> 20) + 1
    }
}

/// A sum of units as it is shown.
pub(super) fn shown(units: u64) -> f32 {
    (units as f64 / f64::from(UNIT)) as f32
}

/// The least sum that may be shown as the same number as this one.
pub(super) fn alike(units: u64) -> u64 {
    units - (units >> 22) - u64::from(units > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scorer(bm25: Bm25) -> Scorer {
        let terms = BTreeMap::from([("a".to_string(), 10)]);
        let stats = TextStats { points: 1000, words: 20_000, terms };
        Scorer::new(&bm25, &stats, stats.idf("a"))
    }

    #[test]
    fn the_formula_is_the_published_one() {
        let score = |bm25: Bm25, frequency, length| shown(scorer(bm25).units(frequency, length));
        let idf = (1.0f64 + 990.5 / 10.5).ln() as f32;
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{a} {b}");
        // A text of average length: f (k1 + 1) / (f + k1).
        near(score(Bm25::default(), 1, 20), idf);
        near(score(Bm25::default(), 3, 20), idf * 3.0 * 2.2 / 4.2);
        near(score(Bm25::default(), 3, 40), idf * 3.0 * 2.2 / (3.0 + 1.2 * 1.75));
        near(score(Bm25 { k1: 0.0, b: 0.75 }, 7, 40), idf);
        near(score(Bm25 { k1: 2.0, b: 0.0 }, 2, 40), idf * 2.0 * 3.0 / 4.0);
    }

    /// Saturation was once a constant: then the twentieth occurrence counted like the first, and length like nothing.
    #[test]
    fn occurrences_count_less_and_less_and_length_counts() {
        for k1 in [0.5, 1.2, 3.0] {
            let scorer = scorer(Bm25 { k1, b: 0.75 });
            let score = |frequency| shown(scorer.units(frequency, 20));
            let gains: Vec<f32> = (1..20).map(|f| score(f + 1) - score(f)).collect();
            assert!(gains.iter().all(|gain| *gain > 0.0), "{gains:?}");
            assert!(gains.windows(2).all(|pair| pair[1] < pair[0]), "{gains:?}");
            assert!(scorer.units(2, 10) > scorer.units(2, 11));
        }
        let twentieth = |k1| {
            let scorer = scorer(Bm25 { k1, b: 0.75 });
            scorer.units(20, 20) as f64 / scorer.units(1, 20) as f64
        };
        assert!(twentieth(3.0) > 1.4 * twentieth(1.2));
    }

    proptest! {
        #[test]
        fn no_sum_is_shown_as_a_lower_one_that_is_not_alike(units in 0u64..1 << 40, less in 0u64..1 << 20) {
            let lower = units.saturating_sub(less);
            if shown(lower) == shown(units) {
                prop_assert!(lower >= alike(units));
            }
            prop_assert!(shown(lower) <= shown(units));
        }
    }
}
