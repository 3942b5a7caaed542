//! The rows of one word, in order, in short blocks that know how much any of their rows can score.

use vectron_index::Row;

/// Most rows of a block.
const BLOCK: usize = 128;
/// Frequencies that are told apart by a block: 1, 2, 3, 4 to 7, 8 and more.
const CLASSES: usize = 5;

/// A row that has the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    pub row: Row,
    /// How often; 65,535 stands for more.
    pub frequency: u16,
    /// Words that the row has in all; 65,535 stands for more.
    pub length: u16,
}

/// The best that the rows of a block have to offer: for each class of frequencies the shortest length, whatever the
/// parameters of the score are. ("Impacts": Ding and Suel, "Faster Top-k Document Retrieval Using Block-Max
/// Indexes", SIGIR 2011, with pairs in place of scores, which change with every write.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    shortest: [u16; CLASSES],
    most: u16,
}

impl Offer {
    const NOTHING: Offer = Offer { shortest: [u16::MAX; CLASSES], most: 0 };

    fn class(frequency: u16) -> usize {
        match frequency {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4..=7 => 3,
            _ => 4,
        }
    }

    fn of(postings: &[Posting]) -> Offer {
        let mut offer = Offer::NOTHING;
        postings.iter().for_each(|posting| offer.add(posting));
        offer
    }

    fn add(&mut self, posting: &Posting) {
        if let Some(shortest) = self.shortest.get_mut(Offer::class(posting.frequency)) {
            *shortest = posting.length.min(*shortest);
        }
        self.most = posting.frequency.max(self.most);
    }

    /// Whether the offer may be less without this one.
    fn rests_on(&self, posting: &Posting) -> bool {
        let shortest = self.shortest.get(Offer::class(posting.frequency));
        posting.frequency == self.most || shortest.is_none_or(|shortest| posting.length <= *shortest)
    }

    /// Pairs of a frequency and a length, one of which is at least as good as any row's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        let highest = [1, 2, 3, 7, u16::MAX];
        let top = Offer::class(self.most);
        // A class without rows has the length of none that could be better.
        let known = self.shortest.iter().zip(highest).take(top + 1);
        known.map(|(shortest, highest)| (highest.min(self.most), *shortest))
    }
}

pub(super) struct Block {
    postings: Vec<Posting>,
    offer: Offer,
}

impl Block {
    fn new(postings: Vec<Posting>) -> Block {
        Block { offer: Offer::of(&postings), postings }
    }

    fn room(&self) -> usize {
        self.postings.capacity()
    }

    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }

    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    pub fn first(&self) -> Row {
        self.postings.first().map_or(0, |posting| posting.row)
    }

    pub fn last(&self) -> Row {
        self.postings.last().map_or(0, |posting| posting.row)
    }

    pub fn find(&self, row: Row) -> Option<&Posting> {
        let at = self.postings.binary_search_by_key(&row, |posting| posting.row).ok()?;
        self.postings.get(at)
    }
}

/// Rows with a word, ascending, each once.
#[derive(Default)]
pub(super) struct Postings {
    /// None is empty.
    blocks: Vec<Block>,
    len: usize,
    /// Postings that the blocks have room for. Kept, since common words have many blocks.
    room: usize,
}

impl Postings {
    /// Of rows in ascending order.
    pub fn of(sorted: &[Posting]) -> Postings {
        let blocks: Vec<Block> = sorted.chunks(BLOCK).map(|chunk| Block::new(chunk.to_vec())).collect();
        let room = blocks.iter().map(Block::room).sum();
        Postings { blocks, len: sorted.len(), room }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn iter(&self) -> impl Iterator<Item = &Posting> {
        self.blocks.iter().flat_map(|block| &block.postings)
    }

    /// The first block from `from` on that ends at this row or after it.
    pub fn block_of(&self, row: Row, from: usize) -> usize {
        let rest = self.blocks.get(from..).unwrap_or(&[]);
        // Mostly it is near.
        match rest.iter().take(4).position(|block| block.last() >= row) {
            Some(near) => from + near,
            None => from + rest.partition_point(|block| block.last() < row),
        }
    }

    /// Adds a row that is not in.
    pub fn insert(&mut self, posting: Posting) {
        if self.blocks.is_empty() {
            self.blocks = Vec::with_capacity(1);
            self.blocks.push(Block { postings: Vec::new(), offer: Offer::NOTHING });
        }
        let at = self.block_of(posting.row, 0).min(self.blocks.len() - 1);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let place = block.postings.partition_point(|p| p.row < posting.row);
        if block.postings.get(place).is_some_and(|p| p.row == posting.row) {
            return;
        }
        self.room -= block.room();
        if block.postings.is_empty() {
            // Most words are rare.
            block.postings.reserve_exact(1);
        }
        block.postings.insert(place, posting);
        block.offer.add(&posting);
        self.len += 1;
        if block.postings.len() > BLOCK {
            // Rows come in order mostly: full blocks stay behind.
            let cut = if place == BLOCK && at + 1 == self.blocks.len() { BLOCK } else { BLOCK / 2 };
            let Some(block) = self.blocks.get_mut(at) else { return };
            let rest = Block::new(block.postings.split_off(cut));
            block.postings.shrink_to_fit();
            block.offer = Offer::of(&block.postings);
            self.room += block.room() + rest.room();
            self.blocks.insert(at + 1, rest);
        } else {
            self.room += block.room();
        }
    }

    pub fn remove(&mut self, row: Row) {
        let at = self.block_of(row, 0);
        let Some(block) = self.blocks.get_mut(at) else { return };
        let Ok(place) = block.postings.binary_search_by_key(&row, |posting| posting.row) else { return };
        let gone = block.postings.remove(place);
        self.len -= 1;
        if block.postings.is_empty() {
            self.room -= block.room();
            self.blocks.remove(at);
        } else if block.offer.rests_on(&gone) {
            block.offer = Offer::of(&block.postings);
        }
    }

    pub fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.room * size_of::<Posting>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn it_is_an_ordered_map_and_every_block_offers_enough(
            changes in prop::collection::vec((0u32..900, 1u16..12, 1u16..40, 0u8..4), 0..3000),
        ) {
            let (mut postings, mut truth) = (Postings::default(), BTreeMap::new());
            for (row, frequency, length, kind) in changes {
                if kind > 0 {
                    postings.insert(Posting { row, frequency, length });
                    truth.entry(row).or_insert((frequency, length));
                } else {
                    postings.remove(row);
                    truth.remove(&row);
                }
            }
            let all: Vec<_> = postings.iter().map(|p| (p.row, (p.frequency, p.length))).collect();
            prop_assert_eq!(&all, &truth.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(postings.len(), all.len());
            prop_assert_eq!(postings.room, postings.blocks().iter().map(Block::room).sum::<usize>());
            for (row, pair) in &all {
                let block = postings.blocks().get(postings.block_of(*row, 0));
                let found = block.and_then(|block| block.find(*row));
                prop_assert_eq!(found.map(|p| (p.frequency, p.length)), Some(*pair));
            }
            for block in postings.blocks() {
                prop_assert_eq!(block.offer(), &Offer::of(block.postings()));
                for posting in block.postings() {
                    let good = |(f, l): (u16, u16)| f >= posting.frequency && l <= posting.length;
                    prop_assert!(block.offer().pairs().any(good));
                }
            }
        }
    }
}
