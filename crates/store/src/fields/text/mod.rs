//! A text index: the words of a field, the rows that have them, and the words of each row in order.
//!
//! ```text
//! payload ─→ analyse ─→ tokens ─→ index: word → postings (row, frequency, length), row → words in order
//! query ─→ query (words, phrases, prefixes) ─→ stats ─→ rank: the best rows by BM25
//! $match and its like ─→ narrow: rows that may pass
//! ```

mod analyse;
mod narrow;
mod postings;
mod query;
mod rank;
mod score;

pub(crate) use analyse::{Analyser, Tokens};
pub(crate) use query::Parsed;
pub use query::{TextOperator, TextQuery};
pub(crate) use rank::Ranking;
pub use score::{Bm25, TextStats};

use postings::{Posting, Postings};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use vectron_base::filter::TextAnalysis;
use vectron_index::{Row, RowSet};

/// Map entry, word and the string's own allocation, without its bytes.
const WORD_BYTES: usize = 96;

/// Words and the rows that have them.
pub(crate) struct TextIndex {
    analyser: Arc<Analyser>,
    numbers: BTreeMap<Arc<str>, u32>,
    /// By number, less one; `None` is free. Zero is no word's number: it stands between values.
    words: Vec<Option<Word>>,
    free: Vec<u32>,
    /// By row.
    documents: Vec<Document>,
    /// Rows with several values.
    several: RowSet,
    /// Rows with a word.
    rows: u64,
    /// Words of all rows, as their postings count them.
    length: u64,
    /// Of words, their rows and the documents.
    held_bytes: usize,
}

struct Word {
    text: Arc<str>,
    postings: Postings,
}

/// The numbers of a row's words in order, seven bits to a byte, lowest first.
#[derive(Clone, Default)]
struct Document(Box<[u8]>);

impl Document {
    fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let mut bytes = self.0.iter();
        std::iter::from_fn(move || {
            let (mut number, mut shift) = (0u32, 0);
            loop {
                let byte = bytes.next()?;
                number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
                if byte & 0x80 == 0 {
                    return Some(number);
                }
                shift += 7;
            }
        })
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

impl TextIndex {
    pub fn new(analysis: TextAnalysis) -> TextIndex {
        TextIndex {
            analyser: Arc::new(Analyser::new(analysis)),
            numbers: BTreeMap::new(),
            words: Vec::new(),
            free: Vec::new(),
            documents: Vec::new(),
            several: RowSet::new(),
            rows: 0,
            length: 0,
            held_bytes: 0,
        }
    }

    /// Adds a row that is not in.
    pub fn insert(&mut self, row: Row, tokens: &Tokens) {
        let mut stream = Vec::with_capacity(tokens.len() * 2);
        let mut frequencies: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let mut length = 0u32;
        for word in tokens.iter() {
            if word.is_empty() {
                self.several.insert(row);
                put(&mut stream, 0);
                continue;
            }
            let entry = frequencies.entry(word).or_insert_with(|| (self.number(word), 0));
            entry.1 += 1;
            length += 1;
            put(&mut stream, entry.0);
        }
        if stream.is_empty() {
            return;
        }
        let short = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        for (number, frequency) in frequencies.into_values() {
            let posting = Posting { row, frequency: short(frequency), length: short(length) };
            self.change(number, |postings| postings.insert(posting));
        }
        if self.documents.len() <= row as usize {
            self.documents.resize(row as usize + 1, Document::default());
        }
        self.held_bytes += stream.len();
        self.rows += u64::from(length > 0);
        self.length += u64::from(short(length));
        if let Some(document) = self.documents.get_mut(row as usize) {
            *document = Document(stream.into());
        }
    }

    pub fn remove(&mut self, row: Row) {
        let Some(document) = self.documents.get_mut(row as usize).map(std::mem::take) else { return };
        self.several.remove(row);
        self.held_bytes = self.held_bytes.saturating_sub(document.0.len());
        let mut numbers: Vec<u32> = document.numbers().filter(|number| *number > 0).collect();
        let length = u16::try_from(numbers.len()).unwrap_or(u16::MAX);
        self.rows -= u64::from(length > 0);
        self.length -= u64::from(length);
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            self.change(number, |postings| postings.remove(row));
            self.forget_if_unused(number);
        }
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        self.held_bytes += WORD_BYTES + text.len();
        let word = Some(Word { text: text.clone(), postings: Postings::default() });
        let number = self.free.pop().unwrap_or(self.words.len() as u32 + 1);
        match self.words.get_mut(number as usize - 1) {
            Some(place) => *place = word,
            None => self.words.push(word),
        }
        self.numbers.insert(text, number);
        number
    }

    fn word(&mut self, number: u32) -> Option<&mut Option<Word>> {
        self.words.get_mut((number as usize).checked_sub(1)?)
    }

    fn change(&mut self, number: u32, work: impl FnOnce(&mut Postings)) {
        let Some(Some(word)) = self.word(number) else { return };
        let before = word.postings.bytes();
        work(&mut word.postings);
        let after = word.postings.bytes();
        self.held_bytes = (self.held_bytes + after).saturating_sub(before);
    }

    fn forget_if_unused(&mut self, number: u32) {
        let Some(place) = self.word(number) else { return };
        if let Some(word) = place.take_if(|word| word.postings.len() == 0) {
            let bytes = WORD_BYTES + word.text.len() + word.postings.bytes();
            self.held_bytes = self.held_bytes.saturating_sub(bytes);
            self.numbers.remove(&word.text);
            self.free.push(number);
        }
    }

    fn postings(&self, word: &str) -> Option<&Postings> {
        self.postings_of(*self.numbers.get(word)?)
    }

    fn postings_of(&self, number: u32) -> Option<&Postings> {
        let word = self.words.get((number as usize).checked_sub(1)?)?;
        word.as_ref().map(|word| &word.postings)
    }

    /// The words that start so and, if it is none of them, the word `whole`.
    fn starting<'a>(&'a self, prefix: &'a str, whole: &'a str) -> impl Iterator<Item = &'a Postings> {
        let from = self.numbers.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let found = from.take_while(move |(word, _)| word.starts_with(prefix));
        let whole = (!whole.starts_with(prefix)).then(|| self.numbers.get(whole)).flatten();
        found.map(|(_, number)| number).chain(whole).filter_map(|number| self.postings_of(*number))
    }

    pub fn analyser(&self) -> &Analyser {
        &self.analyser
    }

    pub fn bytes(&self) -> usize {
        self.held_bytes
            + self.words.capacity() * size_of::<Option<Word>>()
            + self.documents.capacity() * size_of::<Document>()
            + self.several.bytes()
    }
}

#[cfg(test)]
mod tests;
