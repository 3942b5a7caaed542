//! Which rows a traversal has seen.

/// A bitset whose words carry the number of the traversal that wrote them, so that starting
/// anew clears nothing.
#[derive(Default)]
pub(crate) struct Visited {
    /// High half: traversal number; low half: 32 rows.
    words: Vec<u64>,
    round: u32,
}

impl Visited {
    /// Starts a traversal over rows below `end`.
    pub fn begin(&mut self, end: usize) {
        let words = end.div_ceil(32);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        if self.round == u32::MAX {
            self.words.fill(0);
            self.round = 0;
        }
        self.round += 1;
    }

    /// Marks a row; true if it was not marked yet. Rows outside the traversal count as seen.
    #[inline(always)]
    pub fn insert(&mut self, row: u32) -> bool {
        let Some(word) = self.words.get_mut(row as usize / 32) else { return false };
        if (*word >> 32) as u32 != self.round {
            *word = u64::from(self.round) << 32;
        }
        let bit = 1u64 << (row % 32);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    #[inline(always)]
    pub fn contains(&self, row: u32) -> bool {
        self.words
            .get(row as usize / 32)
            .is_some_and(|word| (*word >> 32) as u32 == self.round && *word & 1u64 << (row % 32) != 0)
    }

    /// The lowest unmarked row in `from..end` that `admits`.
    pub fn next_unmarked(&self, from: usize, end: usize, admits: impl Fn(u32) -> bool) -> Option<u32> {
        (from..end).map(|row| row as u32).find(|row| !self.contains(*row) && admits(*row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_traversal_has_seen_nothing() {
        let mut visited = Visited::default();
        visited.begin(100);
        assert!(visited.insert(40) && !visited.insert(40) && visited.contains(40));
        visited.begin(100);
        assert!(!visited.contains(40) && visited.insert(40));
        visited.round = u32::MAX;
        visited.begin(100);
        assert!(!visited.contains(40));
        assert!(!visited.insert(5000));
    }
}
