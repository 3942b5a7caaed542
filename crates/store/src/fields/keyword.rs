//! Strings and the rows that have them: a sorted vocabulary with a set of rows for each string.

use super::sets::Set;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use vectron_base::filter::{FieldValue, Order, TextBound};
use vectron_index::{Row, RowSet};

/// Rows of one string: listed as long as that is smaller than bits.
pub(super) enum Posting {
    /// Ascending.
    Few(Vec<Row>),
    Many(RowSet),
}

/// Listed rows that are never made bits.
const FEW: usize = 64;
/// Bits of a listed row.
const ROW_BITS: usize = Row::BITS as usize;

impl Posting {
    pub fn len(&self) -> u64 {
        match self {
            Posting::Few(rows) => rows.len() as u64,
            Posting::Many(rows) => rows.len(),
        }
    }

    /// Adds a row of an index that has `rows` rows.
    fn insert(&mut self, row: Row, rows: usize) {
        match self {
            Posting::Few(few) => {
                if let Err(at) = few.binary_search(&row) {
                    few.insert(at, row);
                }
                if few.len() > FEW && few.len() * ROW_BITS > rows {
                    *self = Posting::Many(few.iter().copied().collect());
                }
            }
            Posting::Many(many) => {
                many.insert(row);
                // Well apart from where it turns the other way.
                if many.len() as usize * ROW_BITS * 4 < rows {
                    *self = Posting::Few(many.iter().collect());
                }
            }
        }
    }

    fn remove(&mut self, row: Row) {
        match self {
            Posting::Few(few) => {
                if let Ok(at) = few.binary_search(&row) {
                    few.remove(at);
                }
            }
            Posting::Many(many) => _ = many.remove(row),
        }
    }

    pub fn set(&self) -> Set<'_> {
        match self {
            Posting::Few(few) => Set::owned(few.iter().copied().collect()),
            Posting::Many(many) => Set::borrowed(many),
        }
    }

    pub fn add_to(&self, found: &mut RowSet) {
        match self {
            Posting::Few(few) => found.extend(few.iter().copied()),
            Posting::Many(many) => found.union_with(many),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Posting::Few(few) => few.capacity() * size_of::<Row>(),
            Posting::Many(many) => many.bytes(),
        }
    }
}

struct Word {
    text: Arc<str>,
    rows: Posting,
}

/// Rows by their strings.
#[derive(Default)]
pub(super) struct Keyword {
    numbers: BTreeMap<Arc<str>, u32>,
    /// By number; `None` is free.
    words: Vec<Option<Word>>,
    free: Vec<u32>,
    /// One more than the number of the only string of each row, or zero.
    column: Vec<u32>,
    /// Rows with several strings.
    lists: BTreeMap<Row, Box<[u32]>>,
    /// Strings in the lists.
    listed: usize,
    /// Of strings and row sets.
    held_bytes: usize,
}

/// Map entry, word and the string's own allocation, without its bytes.
const WORD_BYTES: usize = 96;
/// Map entry and allocation of a list.
pub(super) const LIST_BYTES: usize = 48;

impl Keyword {
    /// Adds a row that is not in. The strings are each there once.
    pub fn insert<'a>(&mut self, row: Row, texts: impl Iterator<Item = &'a str>) {
        if self.column.len() <= row as usize {
            self.column.resize(row as usize + 1, 0);
        }
        let numbers: Vec<u32> = texts.map(|text| self.number(text)).collect();
        for number in &numbers {
            self.change(*number, |posting, rows| posting.insert(row, rows));
        }
        if numbers.len() > 1 {
            self.listed += numbers.len();
            self.lists.insert(row, numbers.into());
        } else if let (Some(place), Some(number)) = (self.column.get_mut(row as usize), numbers.first()) {
            *place = number + 1;
        }
    }

    pub fn remove(&mut self, row: Row) {
        let single = self.column.get_mut(row as usize).map_or(0, std::mem::take);
        let listed = self.lists.remove(&row).unwrap_or_default();
        self.listed -= listed.len();
        for number in single.checked_sub(1).iter().chain(&listed) {
            self.change(*number, |posting, _| posting.remove(row));
            self.forget_if_unused(*number);
        }
    }

    /// Different strings.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        self.held_bytes += WORD_BYTES + text.len();
        let word = Some(Word { text: text.clone(), rows: Posting::Few(Vec::with_capacity(1)) });
        let number = self.free.pop().unwrap_or(self.words.len() as u32);
        match self.words.get_mut(number as usize) {
            Some(place) => *place = word,
            None => self.words.push(word),
        }
        self.held_bytes += self.posting(number).map_or(0, Posting::bytes);
        self.numbers.insert(text, number);
        number
    }

    fn change(&mut self, number: u32, work: impl FnOnce(&mut Posting, usize)) {
        let rows = self.column.len();
        if let Some(Some(word)) = self.words.get_mut(number as usize) {
            let before = word.rows.bytes();
            work(&mut word.rows, rows);
            self.held_bytes = self.held_bytes.saturating_sub(before) + word.rows.bytes();
        }
    }

    fn forget_if_unused(&mut self, number: u32) {
        if let Some(place) = self.words.get_mut(number as usize)
            && let Some(word) = place.take_if(|word| word.rows.len() == 0)
        {
            let bytes = WORD_BYTES + word.text.len() + word.rows.bytes();
            self.held_bytes = self.held_bytes.saturating_sub(bytes);
            self.numbers.remove(&word.text);
            self.free.push(number);
        }
    }

    fn posting(&self, number: u32) -> Option<&Posting> {
        self.words.get(number as usize)?.as_ref().map(|word| &word.rows)
    }

    /// The rows of one string.
    pub fn equal(&self, text: &str) -> Option<&Posting> {
        self.posting(*self.numbers.get(text)?)
    }

    /// The row sets of the strings that start so.
    pub fn prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Posting> {
        let from = self.numbers.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(text, _)| text.starts_with(prefix)).filter_map(|(_, at)| self.posting(*at))
    }

    /// The row sets of the strings in a bytewise order to the bound. It must not be a datetime: those compare
    /// with some strings as instants.
    pub fn ordered<'a>(&'a self, order: Order, bound: &'a TextBound) -> impl Iterator<Item = &'a Posting> {
        let bound = bound.text();
        let range = match order {
            Order::Greater => (Bound::Excluded(bound), Bound::Unbounded),
            Order::GreaterOrEqual => (Bound::Included(bound), Bound::Unbounded),
            Order::Less => (Bound::Unbounded, Bound::Excluded(bound)),
            Order::LessOrEqual => (Bound::Unbounded, Bound::Included(bound)),
        };
        self.numbers.range::<str, _>(range).filter_map(|(_, at)| self.posting(*at))
    }

    /// The row sets of the strings that pass. Looks at every string once, however many rows have it.
    pub fn passing(&self, passes: impl Fn(&str) -> bool) -> impl Iterator<Item = &Posting> {
        let words = self.words.iter().flatten();
        words.filter(move |word| passes(&word.text)).map(|word| &word.rows)
    }

    /// Strings with the number of rows that have each, of these rows or of all.
    pub fn counts(&self, rows: Option<&RowSet>) -> Vec<(FieldValue, u64)> {
        let Some(rows) = rows else {
            let words = self.words.iter().flatten();
            return words.map(|word| (FieldValue::text(&*word.text), word.rows.len())).collect();
        };
        let mut counts = vec![0u64; self.words.len()];
        for row in rows.iter() {
            let single = self.column.get(row as usize).copied().unwrap_or(0).checked_sub(1);
            let listed = if single.is_none() { self.lists.get(&row) } else { None };
            for number in single.iter().chain(listed.into_iter().flatten()) {
                if let Some(count) = counts.get_mut(*number as usize) {
                    *count += 1;
                }
            }
        }
        let words = self.words.iter().zip(counts).filter(|(_, count)| *count > 0);
        words.filter_map(|(word, count)| Some((FieldValue::text(&*word.as_ref()?.text), count))).collect()
    }

    /// Whether no row has two strings.
    pub fn has_single_values(&self) -> bool {
        self.lists.is_empty()
    }

    pub fn bytes(&self) -> usize {
        let lists = self.lists.len() * LIST_BYTES + self.listed * size_of::<u32>();
        self.held_bytes
            + self.words.capacity() * size_of::<Option<Word>>()
            + self.column.capacity() * size_of::<u32>()
            + lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn every_string_has_its_rows_and_nothing_stays_behind(
            changes in prop::collection::vec(
                (0u32..2000, prop::collection::btree_set(0u32..12, 0..4), any::<bool>()), 0..1500),
        ) {
            let (mut keyword, mut truth) = (Keyword::default(), BTreeMap::<Row, BTreeSet<String>>::new());
            for (row, texts, spread) in changes {
                // Some strings of many rows and many of few.
                let name = |text: &u32| if spread { format!("{text}-{row}") } else { text.to_string() };
                let texts: BTreeSet<String> = texts.iter().map(name).collect();
                keyword.remove(row);
                let list: Vec<&str> = texts.iter().map(String::as_str).collect();
                keyword.insert(row, list.into_iter());
                truth.insert(row, texts);
            }
            let rows_of = |sets: Vec<&Posting>| {
                let mut found = RowSet::new();
                sets.into_iter().for_each(|posting| posting.add_to(&mut found));
                found
            };
            let wanted = |test: &dyn Fn(&str) -> bool| -> RowSet {
                truth.iter().filter(|(_, texts)| texts.iter().any(|t| test(t))).map(|(row, _)| *row).collect()
            };
            for text in ["0", "1", "11", "3-7", "none"] {
                prop_assert_eq!(rows_of(keyword.equal(text).into_iter().collect()), wanted(&|t| t == text));
                let prefixed = rows_of(keyword.prefix(text).collect());
                prop_assert_eq!(prefixed, wanted(&|t| t.starts_with(text)));
                prop_assert_eq!(rows_of(keyword.passing(|t| t != text).collect()), wanted(&|t| t != text));
                let bound = TextBound::new(text.to_string());
                for order in [Order::Greater, Order::GreaterOrEqual, Order::Less, Order::LessOrEqual] {
                    let found = rows_of(keyword.ordered(order, &bound).collect());
                    prop_assert_eq!(found, wanted(&|t| order.accepts(bound.order_of(t))));
                }
            }
            let distinct: BTreeSet<&String> = truth.values().flatten().collect();
            prop_assert_eq!(keyword.numbers.len(), distinct.len());
            truth.keys().for_each(|row| keyword.remove(*row));
            prop_assert_eq!((keyword.numbers.len(), keyword.lists.len(), keyword.held_bytes), (0, 0, 0));
        }
    }
}
