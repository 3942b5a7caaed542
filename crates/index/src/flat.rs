//! Exact ranks: the best k of a stream, with all that tie at the end.

use crate::params::Row;
use crate::space::pack;
use std::collections::BinaryHeap;

/// Keeps the `limit` lowest ranks offered, and those equal to the last of them.
#[derive(Default)]
pub(crate) struct Best {
    limit: usize,
    heap: BinaryHeap<u64>,
    /// Beyond the limit, with the rank of the worst that is kept.
    ties: Vec<u64>,
    /// What is above can neither be kept nor tie.
    bound: u64,
    /// Whether anything is neither kept nor a tie.
    worse: bool,
}

/// The highest packed rank that differs from this one in the row at most.
fn last_equal(packed: u64) -> u64 {
    packed | u64::from(u32::MAX)
}

impl Best {
    /// Empties it; `limit` is at least one.
    pub fn begin(&mut self, limit: usize) {
        self.limit = limit.max(1);
        self.heap.clear();
        self.ties.clear();
        self.bound = u64::MAX;
        self.worse = false;
    }

    #[inline(always)]
    pub fn offer(&mut self, rank: f32, row: Row) {
        let packed = pack(rank, row);
        if packed > self.bound {
            self.worse = true;
        } else {
            self.admit(packed);
        }
    }

    fn admit(&mut self, packed: u64) {
        if self.heap.len() < self.limit {
            self.heap.push(packed);
        } else if self.heap.peek().is_none_or(|worst| packed >= *worst) {
            self.ties.push(packed);
            return;
        } else {
            let out = self.heap.pop().unwrap_or(packed);
            self.heap.push(packed);
            if self.heap.peek().is_some_and(|worst| out <= last_equal(*worst)) {
                self.ties.push(out);
            } else {
                self.ties.clear();
                self.worse = true;
            }
        }
        if self.heap.len() == self.limit {
            self.bound = self.heap.peek().map_or(u64::MAX, |worst| last_equal(*worst));
        }
    }

    /// Whether a row of this rank or a higher one can neither be kept nor tie.
    #[inline]
    pub fn excludes(&self, rank: f32) -> bool {
        pack(rank, 0) > self.bound
    }

    /// Whether as many are kept as may be, and nothing offered was worse than the last of them.
    pub fn ends_in_ties(&self) -> bool {
        self.heap.len() == self.limit && !self.worse
    }

    /// The kept ranks and those that tie with the last, best first each.
    pub fn take_sorted(&mut self) -> (Vec<u64>, Vec<u64>) {
        self.ties.sort_unstable();
        (std::mem::take(&mut self.heap).into_sorted_vec(), std::mem::take(&mut self.ties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::unpack;
    use proptest::prelude::*;

    fn rows(ranks: Vec<u64>) -> Vec<Row> {
        ranks.into_iter().map(|rank| unpack(rank).1).collect()
    }

    #[test]
    fn keeps_the_lowest_and_breaks_ties_by_row() {
        let mut best = Best::default();
        best.begin(3);
        for (rank, row) in [(2.0, 9), (1.0, 8), (1.0, 3), (0.5, 7), (1.0, 1)] {
            best.offer(rank, row);
        }
        let (kept, ties) = best.take_sorted();
        assert_eq!((rows(kept), rows(ties)), (vec![7, 1, 3], vec![8]));
    }

    proptest! {
        #[test]
        fn ties_are_all_that_equal_the_last(ranks in prop::collection::vec(0u8..6, 0..40), limit in 1usize..12) {
            let mut best = Best::default();
            best.begin(limit);
            for (row, rank) in ranks.iter().enumerate() {
                best.offer(f32::from(*rank), row as Row);
            }
            let ends = best.ends_in_ties();
            let mut sorted: Vec<(u8, Row)> = ranks.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            let last = sorted.get(limit - 1).map(|last| last.0);
            let ties = sorted.iter().skip(limit).filter(|item| Some(item.0) == last).map(|item| item.1).collect();
            let kept = sorted.iter().take(limit).map(|item| item.1).collect();
            let (got, got_ties) = best.take_sorted();
            prop_assert_eq!((rows(got), rows(got_ties)), (kept, ties));
            prop_assert_eq!(ends, last.is_some_and(|last| sorted.iter().all(|item| item.0 <= last)));
        }
    }
}
