//! The candidates of one traversal, as a sorted linear pool: at the pool sizes of a search an
//! insertion by `memmove` beats a heap, and the next vertex to expand is found in place.

use crate::params::Row;
use crate::space::{pack, unpack};

#[derive(Clone, Copy, Debug)]
struct Candidate {
    rank: u64,
    /// May be returned. Others only carry the traversal.
    matching: bool,
    expanded: bool,
}

/// Holds everything seen that is not farther than the `limit`-th matching candidate.
#[derive(Default)]
pub(crate) struct Pool {
    items: Vec<Candidate>,
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
        self.limit = limit.max(1);
        self.capacity = self.limit.saturating_mul(CARRIERS + 1);
        self.matching = 0;
        self.next = 0;
    }

    /// Offers a row once; it is dropped if it is too far to matter, without asking `matches`.
    #[inline]
    pub fn offer(&mut self, key: f32, row: Row, matches: impl FnOnce(Row) -> bool) {
        let rank = pack(key, row);
        if (self.matching == self.limit || self.items.len() == self.capacity)
            && self.items.last().is_some_and(|last| rank >= last.rank)
        {
            return;
        }
        let matching = matches(row);
        let at = self.items.partition_point(|item| item.rank < rank);
        self.items.insert(at, Candidate { rank, matching, expanded: false });
        self.next = self.next.min(at);
        self.matching += usize::from(matching);
        self.trim();
    }

    #[inline]
    fn trim(&mut self) {
        while self.matching > self.limit || self.items.len() > self.capacity {
            if let Some(last) = self.items.pop() {
                self.matching -= usize::from(last.matching);
            }
        }
        // With the limit reached the last matching candidate is the bound.
        if self.matching == self.limit {
            while self.items.last().is_some_and(|last| !last.matching) {
                self.items.pop();
            }
        }
    }

    /// The nearest candidate not expanded yet, which then counts as expanded.
    #[inline]
    pub fn expand(&mut self) -> Option<Row> {
        while let Some(item) = self.items.get_mut(self.next) {
            self.next += 1;
            if !item.expanded {
                item.expanded = true;
                return Some(item.rank as Row);
            }
        }
        None
    }

    /// The candidate that `expand` would return if nothing nearer came in.
    #[inline]
    pub fn peek(&self) -> Option<Row> {
        self.items.get(self.next..)?.iter().find(|item| !item.expanded).map(|item| item.rank as Row)
    }

    /// Matching candidates, nearest first.
    pub fn found(&self) -> impl Iterator<Item = (f32, Row)> + '_ {
        self.items.iter().filter(|item| item.matching).map(|item| unpack(item.rank))
    }

    /// All candidates, nearest first.
    pub fn all(&self) -> impl Iterator<Item = (f32, Row)> + '_ {
        self.items.iter().map(|item| unpack(item.rank))
    }
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
