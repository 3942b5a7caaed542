//! Values in order, for ranges.
//!
//! A range of a million rows must not be a million steps. So beside the sorted pairs there are marks: some keys,
//! a few dozen, spread evenly over the rows, each with the set of all rows below it. A range is the set of the
//! mark nearest to its upper end without that of the mark nearest to its lower end, both corrected by the pairs
//! in between: two passes over dense words and a few thousand pairs at most, however wide it is. (Range-encoded
//! bitmap indexes: Chan and Ioannidis, "Bitmap Index Design and Evaluation", SIGMOD 1998, with bins of equal
//! depth and the pairs to resolve them.)
//!
//! Rows with several values stay out of that, since a row below a mark may be above it too: theirs are sorted
//! pairs only.

use super::keyword::LIST_BYTES;
use super::sorted::Sorted;
use std::collections::BTreeMap;
use std::ops::Range;
use vectron_index::{Row, RowSet};

/// Most marks.
const MARKS: usize = 48;
/// Marks wanted, at most: twice as far apart, and another is put between.
const MARKS_AIMED: usize = 24;
/// Fewer pairs than this need no mark between them.
const GAP_LEAST: usize = 2048;

/// Rows by a key that has an order.
pub(super) struct Ordered<K> {
    /// Pairs of rows with one key.
    single: Sorted<K>,
    /// The rows of `single`.
    rows: RowSet,
    /// By key; sets of rows of `single`.
    marks: Vec<Mark<K>>,
    /// The key of each row of `single`.
    column: Vec<K>,
    /// Pairs of rows with several keys.
    several: Sorted<K>,
    lists: BTreeMap<Row, Box<[K]>>,
}

struct Mark<K> {
    below: K,
    rows: RowSet,
}

/// Ranks of the pairs in a range: of rows with one value, and of rows with several.
#[derive(Clone, Debug)]
pub(super) struct Span {
    single: Range<usize>,
    several: Range<usize>,
}

/// What can be done with a span whatever the keys are.
pub(super) trait Spans {
    /// Rows in the span: all those of one value, and no fewer than those of several.
    fn count(&self, span: &Span) -> (u64, u64);
    /// Adds the span's rows.
    fn collect(&self, span: &Span) -> RowSet;
}

impl<K> Default for Ordered<K> {
    fn default() -> Self {
        Self {
            single: Sorted::default(),
            rows: RowSet::new(),
            marks: Vec::new(),
            column: Vec::new(),
            several: Sorted::default(),
            lists: BTreeMap::new(),
        }
    }
}

impl<K: Copy + Ord + Default> Ordered<K> {
    /// Adds a row that is not in. The keys are sorted, each once.
    pub fn insert(&mut self, row: Row, keys: &[K]) {
        match keys {
            [] => {}
            [key] => self.insert_single(row, *key),
            keys => {
                keys.iter().for_each(|key| self.several.insert(*key, row));
                self.lists.insert(row, keys.into());
            }
        }
    }

    fn insert_single(&mut self, row: Row, key: K) {
        if self.column.len() <= row as usize {
            self.column.resize(row as usize + 1, K::default());
        }
        if let Some(place) = self.column.get_mut(row as usize) {
            *place = key;
        }
        self.rows.insert(row);
        self.single.insert(key, row);
        let above = self.marks.partition_point(|mark| mark.below <= key);
        for mark in self.marks.iter_mut().skip(above) {
            mark.rows.insert(row);
        }
        let ranks = self.rank_of(above)..self.rank_of(above + 1);
        if ranks.len() > GAP_LEAST.max(self.single.len() / MARKS_AIMED) {
            self.divide(above, ranks);
        }
    }

    pub fn remove(&mut self, row: Row) {
        if let Some(keys) = self.lists.remove(&row) {
            keys.iter().for_each(|key| self.several.remove(*key, row));
        } else if self.rows.remove(row)
            && let Some(key) = self.column.get(row as usize).copied()
        {
            self.single.remove(key, row);
            let above = self.marks.partition_point(|mark| mark.below <= key);
            for mark in self.marks.iter_mut().skip(above) {
                mark.rows.remove(row);
            }
            if self.single.len() == 0 {
                self.marks = Vec::new();
            }
        }
    }

    /// Pairs below the mark before the gap `at`; all at the end.
    fn rank_of(&self, at: usize) -> usize {
        match at.checked_sub(1) {
            None => 0,
            Some(mark) => self.marks.get(mark).map_or(self.single.len(), |mark| mark.rows.len() as usize),
        }
    }

    /// Puts a mark into a gap, as near to its middle as equal keys allow; somewhere else one may go.
    fn divide(&mut self, gap: usize, ranks: Range<usize>) {
        let middle = ranks.start.midpoint(ranks.end);
        let Some(key) = self.single.key_at(middle) else { return };
        let (from, to) = (self.single.rank(|k| k < key), self.single.rank(|k| k <= key));
        let inside = |rank: &usize| ranks.start < *rank && *rank < ranks.end;
        let nearest = [from, to].into_iter().filter(inside).min_by_key(|rank| rank.abs_diff(middle));
        let Some((rank, below)) = nearest.and_then(|rank| Some((rank, self.single.key_at(rank)?))) else {
            return;
        };
        let lower = gap.checked_sub(1).and_then(|lower| self.marks.get(lower));
        let mut rows = lower.map_or_else(RowSet::new, |mark| mark.rows.clone());
        self.single.rows(ranks.start..rank, |row| _ = rows.insert(row));
        self.marks.insert(gap, Mark { below, rows });
        if self.marks.len() > MARKS {
            let room = |at: &usize| self.rank_of(at + 2) - self.rank_of(*at);
            if let Some(at) = (0..self.marks.len()).min_by_key(room) {
                self.marks.remove(at);
            }
        }
    }

    /// The pairs whose keys are not among the first, those that are `below`, and are among those that are
    /// `within`. Both hold for keys up to some point and for no other.
    pub fn span(&self, below: impl Fn(K) -> bool, within: impl Fn(K) -> bool) -> Span {
        let ranks = |pairs: &Sorted<K>| pairs.rank(&below)..pairs.rank(&within);
        Span { single: ranks(&self.single), several: ranks(&self.several) }
    }

    /// Whether every row has one value only, so that two ranges that a row must be in are one.
    pub fn has_single_values(&self) -> bool {
        self.lists.is_empty()
    }

    /// The mark nearest to a rank: its rows (`None` for no rows), and their number.
    fn nearest(&self, rank: usize) -> (Option<&RowSet>, usize) {
        let after = self.marks.partition_point(|mark| (mark.rows.len() as usize) < rank);
        let before = after.checked_sub(1).and_then(|at| self.marks.get(at)).map(|mark| &mark.rows);
        let after = self.marks.get(after).map_or(&self.rows, |mark| &mark.rows);
        let of = |rows: Option<&RowSet>| rows.map_or(0, |rows| rows.len() as usize);
        if rank - of(before).min(rank) <= of(Some(after)).abs_diff(rank) {
            (before, of(before))
        } else {
            (Some(after), of(Some(after)))
        }
    }

    fn collect_single(&self, ranks: Range<usize>) -> RowSet {
        let mut found = RowSet::new();
        if ranks.is_empty() {
            return found;
        }
        let (lower, from) = self.nearest(ranks.start);
        let (upper, to) = self.nearest(ranks.end);
        let corrections = from.abs_diff(ranks.start) + to.abs_diff(ranks.end);
        let words = self.column.len() / 64;
        let Some(upper) = upper.filter(|_| from <= ranks.end && ranks.len() > corrections + words) else {
            self.single.rows(ranks, |row| _ = found.insert(row));
            return found;
        };
        let mut found = upper.clone();
        self.single.rows(to..ranks.end, |row| _ = found.insert(row));
        self.single.rows(ranks.end..to, |row| _ = found.remove(row));
        lower.into_iter().for_each(|lower| found.subtract(lower));
        self.single.rows(from..ranks.start, |row| _ = found.remove(row));
        self.single.rows(ranks.start..from, |row| _ = found.insert(row));
        found
    }

    pub fn bytes(&self) -> usize {
        let lists = self.lists.len() * LIST_BYTES + self.several.len() * size_of::<K>();
        self.single.bytes()
            + self.several.bytes()
            + self.rows.bytes()
            + self.marks.iter().map(|mark| mark.rows.bytes()).sum::<usize>()
            + self.column.capacity() * size_of::<K>()
            + lists
    }
}

impl<K: Copy + Ord + Default> Spans for Ordered<K> {
    fn count(&self, span: &Span) -> (u64, u64) {
        let single = span.single.len() as u64;
        let several = span.several.len().min(self.lists.len());
        // Of a row's values none is in the span twice, so a row takes up no more than all of its values.
        let least = u64::from(several > 0);
        (single + least, single + several as u64)
    }

    fn collect(&self, span: &Span) -> RowSet {
        let mut found = self.collect_single(span.single.clone());
        self.several.rows(span.several.clone(), |row| _ = found.insert(row));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys that pile up on some values, as sizes and counts do.
    fn keys() -> impl Strategy<Value = Vec<i64>> {
        let key = prop_oneof![4 => -9000i64..9000, 2 => 0i64..3, 1 => Just(7i64)];
        prop::collection::vec(key, 1..2)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        #[test]
        fn ranges_are_what_comparing_every_row_gives(
            rows in prop::collection::vec(keys(), 9000..16000),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..3000),
            ascending in any::<bool>(),
            lists in prop::collection::vec((any::<prop::sample::Index>(), -50i64..50), 0..40),
            ranges in prop::collection::vec((-9100i64..9100, -9100i64..9100), 30),
        ) {
            let mut rows = rows;
            if ascending {
                rows.sort();
            }
            for (at, key) in lists {
                let keys = &mut rows[at.index(9000)];
                keys.push(key);
                keys.sort();
                keys.dedup();
            }
            let mut ordered = Ordered::default();
            rows.iter().enumerate().for_each(|(row, keys)| ordered.insert(row as Row, keys));
            for at in gone {
                let row = at.index(rows.len());
                ordered.remove(row as Row);
                rows[row].clear();
            }
            prop_assert!(ordered.marks.len() > 1 && ordered.marks.len() <= MARKS);
            for mark in &ordered.marks {
                let below = |row: &Row| rows[*row as usize].len() == 1 && rows[*row as usize][0] < mark.below;
                prop_assert_eq!(&mark.rows, &(0..rows.len() as Row).filter(below).collect::<RowSet>());
            }
            let edges = [(0, 0), (0, 1), (7, 8), (-9000, 9000), (i64::MIN, i64::MAX), (5, 4)];
            for (low, high) in ranges.into_iter().chain(edges) {
                let span = ordered.span(|k| k < low, |k| k < high);
                let within = |row: &Row| rows[*row as usize].iter().any(|k| (low..high).contains(k));
                let want: RowSet = (0..rows.len() as Row).filter(within).collect();
                let (least, most) = ordered.count(&span);
                prop_assert!(least <= want.len() && want.len() <= most, "{} {} {}", least, want.len(), most);
                prop_assert_eq!(ordered.collect(&span), want);
            }
        }
    }
}
