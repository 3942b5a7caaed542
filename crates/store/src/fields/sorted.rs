//! Pairs of a key and a row in order, in short blocks, so that a change moves little and a rank is found by
//! adding up block lengths.

use std::ops::Range;
use vectron_index::Row;

/// Most pairs of a block.
const BLOCK: usize = 512;

/// Keys with the rows that have them, by (key, row). A pair is held once.
pub(super) struct Sorted<K> {
    /// None is empty.
    blocks: Vec<Block<K>>,
    len: usize,
}

struct Block<K> {
    keys: Vec<K>,
    rows: Vec<Row>,
}

impl<K: Copy + Ord> Block<K> {
    /// Where a pair is, or where it belongs.
    fn find(&self, key: K, row: Row) -> Result<usize, usize> {
        let mut at = self.keys.partition_point(|k| *k < key);
        let same = self.keys.get(at..).map_or(0, |rest| rest.partition_point(|k| *k == key));
        let rows = self.rows.get(at..at + same).unwrap_or(&[]);
        match rows.binary_search(&row) {
            Ok(i) => Ok(at + i),
            Err(i) => {
                at += i;
                Err(at)
            }
        }
    }
}

impl<K> Default for Sorted<K> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }
}

impl<K: Copy + Ord> Sorted<K> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first block that ends at this pair or after it.
    fn block_of(&self, key: K, row: Row) -> usize {
        self.blocks.partition_point(|block| {
            block.keys.last().zip(block.rows.last()).is_some_and(|(k, r)| (*k, *r) < (key, row))
        })
    }

    pub fn insert(&mut self, key: K, row: Row) {
        if self.blocks.is_empty() {
            self.blocks.push(Block { keys: Vec::new(), rows: Vec::new() });
        }
        let at = self.block_of(key, row).min(self.blocks.len() - 1);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let Err(place) = block.find(key, row) else { return };
        block.keys.insert(place, key);
        block.rows.insert(place, row);
        self.len += 1;
        if block.keys.len() > BLOCK {
            // What grows at its end, as times do, leaves full blocks behind.
            let cut = if place == BLOCK && at + 1 == self.blocks.len() { BLOCK } else { BLOCK / 2 };
            let Some(block) = self.blocks.get_mut(at) else { return };
            let rest = Block { keys: block.keys.split_off(cut), rows: block.rows.split_off(cut) };
            block.keys.shrink_to_fit();
            block.rows.shrink_to_fit();
            self.blocks.insert(at + 1, rest);
        }
    }

    pub fn remove(&mut self, key: K, row: Row) {
        let at = self.block_of(key, row);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let Ok(place) = block.find(key, row) else { return };
        block.keys.remove(place);
        block.rows.remove(place);
        self.len -= 1;
        if block.keys.is_empty() {
            self.blocks.remove(at);
        }
    }

    /// How many pairs have a key for which `before` holds. It must hold for the keys below some point and for no
    /// other.
    pub fn rank(&self, before: impl Fn(K) -> bool) -> usize {
        let at = self.blocks.partition_point(|block| block.keys.last().is_some_and(|key| before(*key)));
        let passed: usize = self.blocks.iter().take(at).map(|block| block.keys.len()).sum();
        passed + self.blocks.get(at).map_or(0, |block| block.keys.partition_point(|key| before(*key)))
    }

    /// The key of a rank.
    pub fn key_at(&self, mut rank: usize) -> Option<K> {
        for block in &self.blocks {
            match block.keys.get(rank) {
                Some(key) => return Some(*key),
                None => rank -= block.keys.len(),
            }
        }
        None
    }

    /// Calls `each` with the rows of these ranks.
    pub fn rows(&self, ranks: Range<usize>, mut each: impl FnMut(Row)) {
        let Range { mut start, mut end } = ranks;
        for block in &self.blocks {
            if end == 0 || start >= end {
                break;
            }
            let len = block.rows.len();
            if let Some(rows) = block.rows.get(start.min(len)..end.min(len)) {
                rows.iter().for_each(|row| each(*row));
            }
            start = start.saturating_sub(len);
            end = end.saturating_sub(len);
        }
    }

    pub fn bytes(&self) -> usize {
        let pairs = |block: &Block<K>| {
            block.keys.capacity() * size_of::<K>() + block.rows.capacity() * size_of::<Row>()
        };
        self.blocks.capacity() * size_of::<Block<K>>() + self.blocks.iter().map(pairs).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_an_ordered_set_with_ranks(
            changes in prop::collection::vec((any::<bool>(), 0i64..40, 0u32..400), 0..3000),
            probes in prop::collection::vec((0i64..42, 0usize..3000, 0usize..3000), 1..10),
        ) {
            let (mut sorted, mut truth) = (Sorted::default(), BTreeSet::new());
            for (add, key, row) in changes {
                // Many more additions than removals, so that blocks split.
                if add || row % 3 > 0 {
                    sorted.insert(key, row);
                    truth.insert((key, row));
                } else {
                    sorted.remove(key, row);
                    truth.remove(&(key, row));
                }
            }
            prop_assert_eq!(sorted.len(), truth.len());
            let truth: Vec<_> = truth.into_iter().collect();
            for (key, start, end) in probes {
                prop_assert_eq!(sorted.rank(|k| k < key), truth.partition_point(|(k, _)| *k < key));
                prop_assert_eq!(sorted.key_at(start), truth.get(start).map(|(k, _)| *k));
                let mut rows = Vec::new();
                sorted.rows(start..end, |row| rows.push(row));
                let want = truth.iter().take(end).skip(start).map(|(_, row)| *row);
                prop_assert_eq!(rows, want.collect::<Vec<_>>());
            }
        }
    }
}
