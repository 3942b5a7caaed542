//! The longest vertices: for inner product the answers are mostly among them.

use crate::params::Row;
use crate::space::{pack, unpack};
use std::collections::BTreeSet;

/// Most peaks a search starts from: four times the root of the number of vertices, in bounds.
/// More vertices need more starts for the same recall, and can pay for them.
const PEAKS: std::ops::RangeInclusive<usize> = 512..=2048;
/// A peak is this much longer than the mean: where all lengths are alike there are none, and a
/// search pays nothing for them.
const STANDS_OUT: f64 = 1.25;
/// Peaks looked at per peak wanted, where a filter refuses most.
const PATIENCE: usize = 8;

/// Vertices by length.
#[derive(Default)]
pub(crate) struct Lengths {
    ordered: BTreeSet<u64>,
    sum: f64,
}

impl Lengths {
    pub fn insert(&mut self, row: Row, length: f32) {
        if self.ordered.insert(pack(length, row)) {
            self.sum += f64::from(length);
        }
    }

    pub fn remove(&mut self, row: Row, length: f32) {
        if self.ordered.remove(&pack(length, row)) {
            self.sum -= f64::from(length);
        }
    }

    /// The longest vertices that stand out and `admits`, longest first.
    pub fn peaks(&self, admits: impl Fn(Row) -> bool) -> impl Iterator<Item = Row> {
        let least = STANDS_OUT * self.sum / self.ordered.len().max(1) as f64;
        let longest = self.ordered.iter().rev().map(|packed| unpack(*packed));
        let peaks = longest.take_while(move |(length, _)| f64::from(*length) >= least);
        let most = (4 * self.ordered.len().isqrt()).clamp(*PEAKS.start(), *PEAKS.end());
        let peaks = peaks.take(most * PATIENCE).map(|(_, row)| row);
        peaks.filter(move |row| admits(*row)).take(most)
    }

    pub fn bytes(&self) -> usize {
        self.ordered.len() * 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_stand_out_or_are_none() {
        let mut lengths = Lengths::default();
        (0..100).for_each(|row| lengths.insert(row, 1.0));
        assert_eq!(lengths.peaks(|_| true).count(), 0);
        lengths.insert(200, 9.0);
        lengths.insert(201, 5.0);
        lengths.insert(202, 7.0);
        assert_eq!(lengths.peaks(|row| row != 202).collect::<Vec<_>>(), [200, 201]);
        lengths.remove(200, 9.0);
        assert_eq!(lengths.peaks(|_| true).collect::<Vec<_>>(), [202, 201]);
    }
}
