//! Rows that may pass a test of strings, by the words that they must have.

use super::TextIndex;
use super::analyse::WORD_BYTES_MAX;
use super::postings::{Posting, Postings};
use std::collections::BTreeSet;
use vectron_base::filter::{Words, runs};
use vectron_index::{Row, RowSet};

/// Rows that have what a test asks for.
pub(crate) struct Narrowed {
    pub rows: RowSet,
    /// Whether all of them pass; else no others do.
    pub sure: bool,
}

impl TextIndex {
    /// Rows that may have a value with all these words; `None` for no words.
    pub fn matching(&self, words: &Words) -> Option<Narrowed> {
        let mut exact = self.analyser().is_plain();
        let mut terms = BTreeSet::new();
        for word in words.words() {
            let parts = self.analyser().unstemmed(word);
            exact &= parts.len() == 1 && word.len() < WORD_BYTES_MAX;
            terms.extend(parts.iter().map(|part| self.analyser().stem(part).into_owned()));
        }
        let rows = self.with_all(terms)?;
        // Words of different values are not words of one.
        let sure = exact && (words.words().len() == 1 || rows.intersection_len(&self.several) == 0);
        Some(Narrowed { rows, sure })
    }

    /// Rows that may have a value that is this text; `None` if it has no words.
    pub fn equal(&self, text: &str) -> Option<RowSet> {
        let mut terms = BTreeSet::new();
        self.analyser().words(text, |word| _ = terms.insert(word.to_string()));
        self.with_all(terms)
    }

    /// Rows that may have a value that starts so; `None` if that cannot be told from whole words.
    pub fn starting_with(&self, prefix: &str) -> Option<RowSet> {
        // What may go on is no whole word.
        let cut = prefix.rfind(|c: char| !c.is_alphanumeric())?;
        let mut terms = BTreeSet::new();
        for run in runs(prefix.get(..cut)?) {
            self.analyser().words(run, |word| _ = terms.insert(word.to_string()));
        }
        self.with_all(terms)
    }

    fn with_all(&self, terms: BTreeSet<String>) -> Option<RowSet> {
        if terms.is_empty() {
            return None;
        }
        let lists = terms.iter().map(|term| self.postings(term)).collect::<Option<Vec<_>>>();
        let Some(mut lists) = lists else { return Some(RowSet::new()) };
        lists.sort_by_key(|list| list.len());
        let (shortest, others) = lists.split_first()?;
        let mut blocks = vec![0; others.len()];
        let has = |list: &Postings, block: &mut usize, row: Row| {
            *block = list.block_of(row, *block);
            list.blocks().get(*block).is_some_and(|block| block.find(row).is_some())
        };
        let in_all = |posting: &&Posting| {
            others.iter().zip(&mut blocks).all(|(list, block)| has(list, block, posting.row))
        };
        Some(shortest.iter().filter(in_all).map(|posting| posting.row).collect())
    }
}
