//! Sparse vectors: an inverted index with exact dot products.
//!
//! For each place (a term, say) the rows that have a number there, ascending, in blocks that know the largest and the
//! smallest number in them. A query goes through windows of rows, the most promising first: a window's bound is the
//! sum of what its blocks could add at most, and once it is below the last of the results so far the rest is left
//! out. In a window the products are added up place by place, always in ascending order of places: a score is the
//! same number however the rows came in, and with or without pruning.
//! (Bounds per block of a postings list: Ding and Suel, "Faster top-k document retrieval using block-max indexes",
//! SIGIR 2011, §3; here by ranges of rows, and exact.)

use std::collections::{BTreeMap, HashMap};
use vectron_base::vectors::SparseVector;
use vectron_index::{Row, RowSet};

/// Most entries of a block.
const BLOCK: usize = 128;
/// Rows of a window.
const WINDOW: usize = 4096;

/// Entries that lie next to each other.
#[derive(Default)]
struct Block {
    rows: Vec<Row>,
    values: Vec<f32>,
    most: f32,
    least: f32,
}

impl Block {
    fn first(&self) -> Row {
        self.rows.first().copied().unwrap_or(0)
    }

    fn last(&self) -> Row {
        self.rows.last().copied().unwrap_or(0)
    }

    fn measure(&mut self) {
        self.most = self.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.least = self.values.iter().copied().fold(f32::INFINITY, f32::min);
    }

    /// The most that an entry can add to a score.
    fn bound(&self, weight: f32) -> f32 {
        (weight * self.most).max(weight * self.least)
    }
}

/// The rows that have a number at one place.
#[derive(Default)]
struct Postings {
    blocks: Vec<Block>,
}

impl Postings {
    /// The block that has the row, or would.
    fn at(&self, row: Row) -> usize {
        self.blocks.partition_point(|block| block.first() <= row).saturating_sub(1)
    }

    fn insert(&mut self, row: Row, value: f32) {
        let at = self.at(row);
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(Block { rows: vec![row], values: vec![value], most: value, least: value });
            return;
        };
        let place = block.rows.partition_point(|known| *known < row);
        block.rows.insert(place, row);
        block.values.insert(place, value);
        (block.most, block.least) = (block.most.max(value), block.least.min(value));
        if block.rows.len() > BLOCK {
            // Rows mostly come in ascending order: then blocks stay full.
            let middle = if place == BLOCK { BLOCK } else { BLOCK / 2 };
            let mut upper = Block {
                rows: block.rows.split_off(middle),
                values: block.values.split_off(middle),
                ..Block::default()
            };
            block.measure();
            upper.measure();
            self.blocks.insert(at + 1, upper);
        }
    }

    /// Whether nothing is left.
    fn remove(&mut self, row: Row) -> bool {
        let at = self.at(row);
        if let Some(block) = self.blocks.get_mut(at)
            && let Ok(place) = block.rows.binary_search(&row)
        {
            block.rows.remove(place);
            block.values.remove(place);
            block.measure();
            if block.rows.is_empty() {
                self.blocks.remove(at);
            } else if let Some([left, right]) = self.blocks.get_mut(at..at + 2)
                && left.rows.len() + right.rows.len() <= BLOCK / 2
            {
                left.rows.append(&mut right.rows);
                left.values.append(&mut right.values);
                left.measure();
                self.blocks.remove(at + 1);
            }
        }
        self.blocks.is_empty()
    }
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseStats {
    /// Entries whose product was added to a score.
    pub entries: u64,
    /// Rows that share a place with the query and were looked at.
    pub rows: u64,
}

/// All sparse vectors of one field.
#[derive(Default)]
pub(crate) struct SparseIndex {
    postings: HashMap<u32, Postings>,
    /// The places of each row, so that it can be taken out without its record.
    places: BTreeMap<Row, Box<[u32]>>,
    entries: usize,
}

impl SparseIndex {
    /// Adds the vector of a row that has none.
    pub fn insert(&mut self, row: Row, vector: &SparseVector) {
        for (place, value) in vector.iter() {
            self.postings.entry(place).or_default().insert(row, value);
        }
        self.entries += vector.len();
        self.places.insert(row, vector.indices().into());
    }

    /// Takes a row's vector out, if it has one.
    pub fn remove(&mut self, row: Row) {
        let Some(places) = self.places.remove(&row) else { return };
        self.entries -= places.len();
        for place in places {
            if self.postings.get_mut(&place).is_some_and(|postings| postings.remove(row)) {
                self.postings.remove(&place);
            }
        }
    }

    /// Rows with a vector.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Bytes held, by estimate.
    pub fn bytes(&self) -> usize {
        const PER_ENTRY: usize = 12;
        const PER_POSTINGS: usize = 96;
        const PER_ROW: usize = 48;
        self.entries * PER_ENTRY + self.postings.len() * PER_POSTINGS + self.places.len() * PER_ROW
    }

    /// The `k` largest dot products, and all rows that tie with the last of them, in no order. Only rows that share a
    /// place with the query, and of those the allowed ones.
    pub fn search(
        &self,
        query: &SparseVector,
        k: usize,
        least: f32,
        allowed: Option<&RowSet>,
    ) -> (Vec<(f32, Row)>, SparseStats) {
        let mut stats = SparseStats::default();
        let terms: Vec<(f32, &Postings)> =
            query.iter().filter_map(|(place, weight)| Some((weight, self.postings.get(&place)?))).collect();
        if k == 0 || terms.is_empty() {
            return (Vec::new(), stats);
        }
        let mut best = Best::new(k, least);
        let mut sums = vec![0.0f32; WINDOW];
        let mut touched = vec![0u64; WINDOW / 64];
        for (bound, window) in promising(&terms) {
            if bound < f64::from(best.floor) {
                break;
            }
            let first = window * WINDOW as Row;
            let end = first.saturating_add(WINDOW as Row);
            if allowed.is_some_and(|rows| rows.iter_from(first).next().is_none_or(|row| row >= end)) {
                continue;
            }
            for (weight, postings) in &terms {
                stats.entries += add(*weight, postings, first..end, &mut sums, &mut touched);
            }
            for (at, word) in touched.iter_mut().enumerate() {
                while *word != 0 {
                    let place = at * 64 + word.trailing_zeros() as usize;
                    *word &= *word - 1;
                    let (row, score) = (first + place as Row, std::mem::take(&mut sums[place]));
                    stats.rows += 1;
                    if score >= best.floor && allowed.is_none_or(|rows| rows.contains(row)) {
                        best.offer(score, row);
                    }
                }
            }
        }
        (best.finish(), stats)
    }
}

/// Windows that have rows of the query's places, with what a row there can score at most, the most promising first.
fn promising(terms: &[(f32, &Postings)]) -> Vec<(f64, Row)> {
    let mut bounds: BTreeMap<Row, (f64, f64)> = BTreeMap::new();
    let mut of_term: BTreeMap<Row, f32> = BTreeMap::new();
    for (weight, postings) in terms {
        of_term.clear();
        for block in &postings.blocks {
            let bound = block.bound(*weight);
            for window in block.first() / WINDOW as Row..=block.last() / WINDOW as Row {
                let most = of_term.entry(window).or_insert(bound);
                *most = most.max(bound);
            }
        }
        for (window, bound) in &of_term {
            let (sum, size) = bounds.entry(*window).or_default();
            // A row need not have the place: what would lower the score adds nothing to the bound.
            *sum += f64::from(bound.max(0.0));
            *size += f64::from(bound.abs());
        }
    }
    // The bound of a row all of whose products are negative is 0, which is above its score: no harm.
    let rounding = f64::from(f32::EPSILON) * (terms.len() + 1) as f64;
    let mut windows: Vec<(f64, Row)> =
        bounds.into_iter().map(|(window, (sum, size))| (sum + size * rounding, window)).collect();
    windows.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
    windows
}

/// Adds a place's products in a window; how many.
fn add(
    weight: f32,
    postings: &Postings,
    rows: std::ops::Range<Row>,
    sums: &mut [f32],
    touched: &mut [u64],
) -> u64 {
    let from = postings.blocks.partition_point(|block| block.last() < rows.start);
    let blocks = postings.blocks.iter().skip(from).take_while(|block| block.first() < rows.end);
    let mut added = 0;
    for block in blocks {
        let from = block.rows.partition_point(|row| *row < rows.start);
        let to = block.rows.partition_point(|row| *row < rows.end);
        for (row, value) in block.rows[from..to].iter().zip(&block.values[from..to]) {
            let place = (row - rows.start) as usize;
            sums[place] += weight * value;
            touched[place / 64] |= 1 << (place % 64);
        }
        added += (to - from) as u64;
    }
    added
}

/// The best so far, with all ties of the last.
struct Best {
    k: usize,
    /// Scores below are of no use.
    floor: f32,
    found: Vec<(f32, Row)>,
}

impl Best {
    fn new(k: usize, least: f32) -> Best {
        Best { k, floor: least, found: Vec::new() }
    }

    fn offer(&mut self, score: f32, row: Row) {
        self.found.push((score, row));
        if self.found.len() >= self.k.saturating_mul(2).max(64) {
            self.cut();
        }
    }

    /// Leaves the best `k` and what ties with the last of them.
    fn cut(&mut self) {
        if self.found.len() > self.k {
            self.found.select_nth_unstable_by(self.k - 1, |(a, _), (b, _)| b.total_cmp(a));
            self.floor = self.floor.max(self.found[self.k - 1].0);
            let floor = self.floor;
            self.found.retain(|(score, _)| *score >= floor);
        }
    }

    fn finish(mut self) -> Vec<(f32, Row)> {
        self.cut();
        self.found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn truth(
        rows: &BTreeMap<Row, SparseVector>,
        query: &SparseVector,
        k: usize,
        allowed: Option<&RowSet>,
    ) -> Vec<(f32, Row)> {
        let score = |vector: &SparseVector| {
            let mut shared = query.iter().filter_map(|(place, weight)| {
                let at = vector.indices().iter().position(|index| *index == place)?;
                Some(weight * vector.values()[at])
            });
            let first = 0.0 + shared.next()?;
            Some(shared.fold(first, |sum, product| sum + product))
        };
        let mut all: Vec<(f32, Row)> = rows
            .iter()
            .filter(|(row, _)| allowed.is_none_or(|allowed| allowed.contains(**row)))
            .filter_map(|(row, vector)| Some((score(vector)?, *row)))
            .collect();
        all.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
        let last = all.get(k.saturating_sub(1)).map_or(f32::NEG_INFINITY, |(score, _)| *score);
        all.retain(|(score, _)| k > 0 && *score >= last);
        all
    }

    fn sparse() -> impl Strategy<Value = SparseVector> {
        let value = prop_oneof![4 => 1i32..50, 1 => -50i32..-1].prop_map(|v| v as f32 / 8.0);
        prop::collection::btree_map(0u32..40, value, 0..12).prop_map(|pairs| {
            let (indices, values) = pairs.into_iter().unzip();
            SparseVector::new(indices, values).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Rows far apart and close together, taken out and put back: always what multiplying everything gives.
        #[test]
        fn it_finds_what_multiplying_everything_finds(
            writes in prop::collection::vec((0u32..400, prop::option::weighted(0.8, sparse())), 1..700),
            queries in prop::collection::vec((sparse(), 0usize..20, any::<bool>()), 1..6),
        ) {
            let (mut index, mut rows) = (SparseIndex::default(), BTreeMap::new());
            for (at, vector) in writes {
                let row = if at % 3 == 0 { at } else { at * 97 };
                index.remove(row);
                rows.remove(&row);
                if let Some(vector) = vector {
                    index.insert(row, &vector);
                    rows.insert(row, vector);
                }
            }
            for (query, k, filtered) in queries {
                let mut some = RowSet::new();
                rows.keys().filter(|row| **row % 5 < 2).for_each(|row| _ = some.insert(*row));
                let allowed = filtered.then_some(&some);
                let (mut found, _) = index.search(&query, k, f32::NEG_INFINITY, allowed);
                found.sort_by(|(a, x), (b, y)| b.total_cmp(a).then(x.cmp(y)));
                prop_assert_eq!(found, truth(&rows, &query, k, allowed));
            }
            for row in rows.keys() {
                index.remove(*row);
            }
            prop_assert!(index.postings.is_empty() && index.entries == 0);
        }
    }

    #[test]
    fn what_cannot_be_among_the_best_is_not_looked_at() {
        let mut index = SparseIndex::default();
        let one = |value: f32| SparseVector::new(vec![7], vec![value]).unwrap();
        for row in 0..100_000 {
            index.insert(row, &one(if row / 4096 == 3 { 9.0 } else { 1.0 + (row % 7) as f32 / 10.0 }));
        }
        let (found, stats) = index.search(&one(2.0), 10, f32::NEG_INFINITY, None);
        assert!(found.len() == 4096 && found.iter().all(|(score, _)| *score == 18.0));
        assert_eq!(stats.rows, 4096);
    }
}
