//! Exact scans: the best k of a stream of ranked rows.

use crate::params::Row;
use crate::space::pack;
use std::collections::BinaryHeap;

/// Keeps the `limit` lowest ranks offered.
pub(crate) struct Best {
    limit: usize,
    heap: BinaryHeap<u64>,
}

impl Best {
    pub fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit.min(1 << 16)) }
    }

    #[inline]
    pub fn offer(&mut self, rank: f32, row: Row) {
        let packed = pack(rank, row);
        if self.heap.len() < self.limit {
            self.heap.push(packed);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && packed < *worst
        {
            *worst = packed;
        }
    }

    /// The kept ranks, best first.
    pub fn into_sorted(self) -> Vec<u64> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::unpack;

    #[test]
    fn keeps_the_lowest_and_breaks_ties_by_row() {
        let mut best = Best::new(3);
        for (rank, row) in [(2.0, 9), (1.0, 8), (1.0, 3), (0.5, 7), (1.0, 1)] {
            best.offer(rank, row);
        }
        let rows: Vec<Row> = best.into_sorted().into_iter().map(|rank| unpack(rank).1).collect();
        assert_eq!(rows, [7, 1, 3]);
        let mut none = Best::new(0);
        none.offer(1.0, 1);
        assert!(none.into_sorted().is_empty());
    }
}
