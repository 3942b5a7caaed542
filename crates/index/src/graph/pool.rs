//! The candidates of one traversal, as a sorted linear pool: at the pool sizes of a search an
//! insertion by `memmove` beats a heap, and the next vertex to expand is found in place.

use crate::params::Row;
use crate::space::{pack, unpack};

/// A candidate in one word, ordered by key and then by row: the key as an integer of the same
/// order, the row, and two marks below it that are never compared since rows are distinct.
type Candidate = u64;
/// May be returned. Others only carry the traversal.
const MATCHING: Candidate = 2;
const EXPANDED: Candidate = 1;
const ROW_SHIFT: u32 = 2;

#[inline(always)]
fn row_of(item: Candidate) -> Row {
    (item as u32) >> ROW_SHIFT
}

/// Holds everything seen that is not farther than the `limit`-th matching candidate.
#[derive(Default)]
pub(crate) struct Pool {
    items: Vec<Candidate>,
    /// Candidates from here on are too far.
    bound: Candidate,
    limit: usize,
    capacity: usize,
    matching: usize,
    next: usize,
}

/// Non-matching candidates a pool tolerates per place: bounds the cost of an insertion where a
/// filter matches next to nothing.
const CARRIERS: usize = 15;

impl Pool {
    /// Empties the pool and sets how many matching candidates it is to find.
    pub fn begin(&mut self, limit: usize) {
        self.items.clear();
        self.bound = Candidate::MAX;
        self.limit = limit.max(1);
        self.capacity = self.limit.saturating_mul(CARRIERS + 1);
        self.matching = 0;
        self.next = 0;
    }

    /// Offers a row once; it is dropped if it is too far to matter, without asking `matches`.
    #[inline(always)]
    pub fn offer(&mut self, key: f32, row: Row, matches: impl FnOnce(Row) -> bool) {
        let item = pack(key, row << ROW_SHIFT);
        if item < self.bound {
            self.insert(item, matches(row));
        }
    }

    #[inline]
    fn insert(&mut self, item: Candidate, matching: bool) {
        let at = self.items.partition_point(|other| *other < item);
        self.items.insert(at, if matching { item | MATCHING } else { item });
        self.next = self.next.min(at);
        self.matching += usize::from(matching);
        if self.matching >= self.limit || self.items.len() >= self.capacity {
            self.trim();
        }
    }

    #[inline]
    fn trim(&mut self) {
        while self.matching > self.limit || self.items.len() > self.capacity {
            if let Some(last) = self.items.pop() {
                self.matching -= usize::from(last & MATCHING != 0);
            }
        }
        // With the limit reached the last matching candidate is the bound.
        if self.matching == self.limit {
            while self.items.last().is_some_and(|last| last & MATCHING == 0) {
                self.items.pop();
            }
        }
        let full = self.matching == self.limit || self.items.len() == self.capacity;
        self.bound = self.items.last().filter(|_| full).map_or(Candidate::MAX, |last| *last);
    }

    /// The nearest candidate not expanded yet, which then counts as expanded.
    #[inline]
    pub fn expand(&mut self) -> Option<Row> {
        while let Some(item) = self.items.get_mut(self.next) {
            self.next += 1;
            if *item & EXPANDED == 0 {
                *item |= EXPANDED;
                return Some(row_of(*item));
            }
        }
        None
    }

    /// The candidate that `expand` would return if nothing nearer came in.
    #[inline]
    pub fn peek(&self) -> Option<Row> {
        self.items.get(self.next..)?.iter().find(|item| **item & EXPANDED == 0).map(|item| row_of(*item))
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Number of matching candidates.
    pub fn matching(&self) -> usize {
        self.matching
    }

    /// Matching candidates, nearest first.
    pub fn found(&self) -> impl Iterator<Item = (f32, Row)> + '_ {
        self.items.iter().filter(|item| **item & MATCHING != 0).map(|item| parts(*item))
    }

    /// All candidates, nearest first.
    pub fn all(&self) -> impl Iterator<Item = (f32, Row)> + '_ {
        self.items.iter().map(|item| parts(*item))
    }
}

fn parts(item: Candidate) -> (f32, Row) {
    (unpack(item).0, row_of(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_nearest_matching_and_what_leads_to_them() {
        let mut pool = Pool::default();
        pool.begin(2);
        for (key, row, matching) in
            [(5.0, 5, true), (4.0, 4, false), (3.0, 3, true), (6.0, 6, true), (1.0, 1, true)]
        {
            pool.offer(key, row, |_| matching);
        }
        assert_eq!(pool.found().map(|found| found.1).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(
            (pool.peek(), pool.expand(), pool.expand(), pool.expand()),
            (Some(1), Some(1), Some(3), None)
        );
        pool.offer(2.0, 2, |_| false);
        assert_eq!(pool.expand(), Some(2));
        assert_eq!(pool.all().count(), 3);
    }

    #[test]
    fn non_matching_candidates_are_bounded() {
        let mut pool = Pool::default();
        pool.begin(2);
        for row in 0..1000 {
            pool.offer(row as f32, row, |_| false);
        }
        assert_eq!(pool.all().count(), 2 * (CARRIERS + 1));
        assert_eq!(pool.found().count(), 0);
    }
}
