//! Sets of rows as plain bits: a word covers 64 rows, so that the sets of a filter combine at memory speed and a
//! traversal asks for membership with one load. Rows are dense, so bits are small: 8 KB for 65,536 rows.

use crate::params::Row;

const WORD: usize = 64;

/// A set of rows. Two sets of different length compare by the rows they hold.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    words: Vec<u64>,
    len: u64,
}

impl RowSet {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows below `end`.
    pub fn full(end: Row) -> Self {
        let mut words = vec![u64::MAX; (end as usize).div_ceil(WORD)];
        if let (Some(last), over) = (words.last_mut(), end as usize % WORD)
            && over > 0
        {
            *last = (1 << over) - 1;
        }
        Self { words, len: u64::from(end) }
    }

    /// Number of rows.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `row` is one of them.
    #[inline(always)]
    pub fn contains(&self, row: Row) -> bool {
        let word = self.words.get(row as usize / WORD).copied().unwrap_or(0);
        word >> (row as usize % WORD) & 1 == 1
    }

    /// Adds a row; whether it was new. Memory grows with the highest row.
    #[inline]
    pub fn insert(&mut self, row: Row) -> bool {
        let at = row as usize / WORD;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1u64 << (row as usize % WORD);
        let new = self.words[at] & bit == 0;
        self.words[at] |= bit;
        self.len += u64::from(new);
        new
    }

    /// Takes a row out; whether it was in.
    #[inline]
    pub fn remove(&mut self, row: Row) -> bool {
        let Some(word) = self.words.get_mut(row as usize / WORD) else { return false };
        let bit = 1u64 << (row as usize % WORD);
        let held = *word & bit != 0;
        *word &= !bit;
        self.len -= u64::from(held);
        held
    }

    /// Takes all rows out and keeps the memory.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.len = 0;
    }

    /// Adds every row of `other`.
    pub fn union_with(&mut self, other: &RowSet) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.combine(other, |a, b| a | b);
    }

    /// Keeps the rows that are also in `other`.
    pub fn intersect_with(&mut self, other: &RowSet) {
        self.words.truncate(other.words.len());
        self.combine(other, |a, b| a & b);
    }

    /// Takes every row of `other` out.
    pub fn subtract(&mut self, other: &RowSet) {
        self.combine(other, |a, b| a & !b);
    }

    fn combine(&mut self, other: &RowSet, of: impl Fn(u64, u64) -> u64) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = of(*word, *other);
        }
        self.len = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
    }

    /// Number of rows in both sets.
    pub fn intersection_len(&self, other: &RowSet) -> u64 {
        let both = self.words.iter().zip(&other.words);
        both.map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.iter_from(0)
    }

    /// The rows from `from` on, ascending.
    pub fn iter_from(&self, from: Row) -> impl Iterator<Item = Row> + '_ {
        let first = from as usize / WORD;
        let words = self.words.iter().copied().enumerate().skip(first);
        words.flat_map(move |(at, word)| {
            let word = if at == first { word & (u64::MAX << (from as usize % WORD)) } else { word };
            Bits { word, base: (at * WORD) as Row }
        })
    }

    /// The row of this rank, counted from the lowest.
    pub fn select(&self, rank: u64) -> Option<Row> {
        let mut left = rank;
        for (at, word) in self.words.iter().enumerate() {
            let ones = u64::from(word.count_ones());
            if left < ones {
                let mut bits = Bits { word: *word, base: (at * WORD) as Row };
                return bits.nth(left as usize);
            }
            left -= ones;
        }
        None
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

impl PartialEq for RowSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.intersection_len(other) == self.len
    }
}

impl Eq for RowSet {}

impl FromIterator<Row> for RowSet {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut set = Self::new();
        set.extend(rows);
        set
    }
}

impl Extend<Row> for RowSet {
    fn extend<I: IntoIterator<Item = Row>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| _ = self.insert(row));
    }
}

/// The rows of one word.
struct Bits {
    word: u64,
    base: Row,
}

impl Iterator for Bits {
    type Item = Row;

    #[inline]
    fn next(&mut self) -> Option<Row> {
        if self.word == 0 {
            return None;
        }
        let row = self.base + self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn rows() -> impl Strategy<Value = BTreeSet<Row>> {
        prop::collection::btree_set(0u32..400, 0..120)
    }

    proptest! {
        #[test]
        fn it_is_a_set(a in rows(), b in rows(), row in 0u32..500) {
            let (x, y): (RowSet, RowSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let same = |set: &RowSet, want: Vec<Row>| {
                assert_eq!(set.len(), want.len() as u64);
                assert_eq!(set.iter().collect::<Vec<_>>(), want);
            };
            same(&x, a.iter().copied().collect());
            for (of, want) in [
                (RowSet::union_with as fn(&mut RowSet, &RowSet), a.union(&b).copied().collect::<Vec<_>>()),
                (RowSet::intersect_with, a.intersection(&b).copied().collect()),
                (RowSet::subtract, a.difference(&b).copied().collect()),
            ] {
                let mut set = x.clone();
                of(&mut set, &y);
                same(&set, want);
            }
            prop_assert_eq!(x.intersection_len(&y), a.intersection(&b).count() as u64);
            prop_assert_eq!(x == y, a == b);
            prop_assert_eq!(x.contains(row), a.contains(&row));
            prop_assert_eq!(x.iter_from(row).collect::<Vec<_>>(), a.range(row..).copied().collect::<Vec<_>>());
            prop_assert_eq!(x.select(u64::from(row)), a.iter().nth(row as usize).copied());
            let (mut set, mut want) = (x.clone(), a.clone());
            prop_assert_eq!(set.remove(row), want.remove(&row));
            prop_assert_eq!(set.insert(row), want.insert(row));
            same(&set, want.into_iter().collect());
            same(&RowSet::full(row), (0..row).collect());
        }
    }
}
