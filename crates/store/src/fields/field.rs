//! One payload index: which rows a test of its field holds for.

use super::extract::{Found, Key, Real, real, whole};
use super::geo::Geo;
use super::keyword::{Keyword, Posting};
use super::ordered::{Ordered, Span, Spans};
use super::text::TextIndex;
use vectron_base::filter::{Bound, FieldIndex, FieldType, FieldValue, Number, Order, Scalar, Test, instant};
use vectron_index::{Row, RowSet};

/// Most strings of a keyword index that one test puts together or tries: some tenths of a millisecond.
const WORDS_MOST: usize = 4096;

/// A payload index over the rows below `built`.
pub(super) struct Field {
    pub index: FieldIndex,
    /// Rows from here on are not looked at yet; [`Row::MAX`] when ready.
    pub built: Row,
    /// Rows where the path leads somewhere.
    pub present: RowSet,
    /// Rows with a `null`, of those that are not irregular.
    nulls: RowSet,
    /// Rows with a value that the index does not take. Their other values are not in `values` either, but for places
    /// and texts.
    pub irregular: RowSet,
    values: Values,
}

enum Values {
    Keyword(Keyword),
    Bool([RowSet; 2]),
    Integer(Ordered<i64>),
    Float(Ordered<Real>),
    Datetime(Ordered<i128>),
    Geo(Geo),
    Text(Box<TextIndex>),
}

/// Rows that a test leads to, found but not put together yet.
pub(super) enum Rows<'a> {
    /// Every point.
    All,
    None,
    Set(&'a RowSet),
    Made(RowSet),
    /// Rows of several strings; `disjoint` if no row has two strings.
    Postings {
        postings: Vec<&'a Posting>,
        disjoint: bool,
    },
    Span(&'a dyn Spans, Span),
    /// Several of these.
    Any(Vec<Rows<'a>>),
}

/// What an index says to a test that is not negative.
pub(super) struct Answer<'a> {
    pub rows: Rows<'a>,
    /// Whether the rows pass; else they are those that may.
    pub sure: bool,
    /// Rows that may pass besides.
    pub irregular: Option<&'a RowSet>,
    /// Whether this is the kind of test that the index is for.
    pub served: bool,
}

impl Field {
    pub fn new(index: FieldIndex) -> Field {
        let values = match index.kind {
            FieldType::Keyword => Values::Keyword(Keyword::default()),
            FieldType::Integer => Values::Integer(Ordered::default()),
            FieldType::Float => Values::Float(Ordered::default()),
            FieldType::Bool => Values::Bool(Default::default()),
            FieldType::Datetime => Values::Datetime(Ordered::default()),
            FieldType::Geo => Values::Geo(Geo::default()),
            FieldType::Text(analysis) => Values::Text(Box::new(TextIndex::new(analysis))),
        };
        let (present, nulls, irregular) = Default::default();
        Field { index, built: 0, present, nulls, irregular, values }
    }

    pub fn ready(&self) -> bool {
        self.built == Row::MAX
    }

    /// Adds a row that is not in.
    pub fn insert(&mut self, row: Row, found: &Found) {
        if !found.present {
            return;
        }
        self.present.insert(row);
        if found.irregular {
            self.irregular.insert(row);
            if !matches!(self.values, Values::Geo(_) | Values::Text(_)) {
                return;
            }
        }
        if found.null {
            self.nulls.insert(row);
        }
        let keys = found.keys.as_slice();
        match &mut self.values {
            Values::Geo(geo) => geo.insert(row, keys.iter().filter_map(Key::place)),
            Values::Text(text) => found.tokens.iter().for_each(|tokens| text.insert(row, tokens)),
            // All keys are texts here; so are the others what their index takes.
            Values::Keyword(keyword) => keyword.insert(row, keys.iter().filter_map(Key::text)),
            Values::Bool(sets) => {
                for key in keys {
                    if let Key::Bool(yes) = key {
                        sets[usize::from(*yes)].insert(row);
                    }
                }
            }
            Values::Integer(ordered) => insert(ordered, row, keys, |key| match key {
                Key::Integer(value) => Some(*value),
                _ => None,
            }),
            Values::Float(ordered) => insert(ordered, row, keys, |key| match key {
                Key::Real(value) => Some(*value),
                _ => None,
            }),
            Values::Datetime(ordered) => insert(ordered, row, keys, |key| match key {
                Key::Instant(value) => Some(*value),
                _ => None,
            }),
        }
    }

    pub fn remove(&mut self, row: Row) {
        if !self.present.remove(row) {
            return;
        }
        let irregular = self.irregular.remove(row);
        self.nulls.remove(row);
        match &mut self.values {
            Values::Geo(geo) => geo.remove(row),
            Values::Text(text) => text.remove(row),
            _ if irregular => {}
            Values::Keyword(keyword) => keyword.remove(row),
            Values::Bool(sets) => sets.iter_mut().for_each(|set| _ = set.remove(row)),
            Values::Integer(ordered) => ordered.remove(row),
            Values::Float(ordered) => ordered.remove(row),
            Values::Datetime(ordered) => ordered.remove(row),
        }
    }

    /// Values with the number of rows that have each, of those that are not irregular; `None` if the index does not
    /// count.
    pub fn counts(&self, rows: Option<&RowSet>) -> Option<Vec<(FieldValue, u64)>> {
        match &self.values {
            Values::Keyword(keyword) => Some(keyword.counts(rows)),
            Values::Bool(sets) => {
                let count = |set: &RowSet| rows.map_or(set.len(), |rows| set.intersection_len(rows));
                let counts = [false, true].into_iter().zip(sets.iter().map(count));
                let some = counts.filter(|(_, count)| *count > 0);
                Some(some.map(|(yes, count)| (FieldValue::Bool(yes), count)).collect())
            }
            Values::Integer(_)
            | Values::Float(_)
            | Values::Datetime(_)
            | Values::Geo(_)
            | Values::Text(_) => None,
        }
    }

    pub fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Keyword(keyword) => keyword.bytes(),
            Values::Bool(sets) => sets.iter().map(RowSet::bytes).sum(),
            Values::Integer(ordered) => ordered.bytes(),
            Values::Float(ordered) => ordered.bytes(),
            Values::Datetime(ordered) => ordered.bytes(),
            Values::Geo(geo) => geo.bytes(),
            Values::Text(text) => text.bytes(),
        };
        self.present.bytes() + self.nulls.bytes() + self.irregular.bytes() + values
    }

    /// Where the test holds; where its opposite does if it is a negative one.
    pub fn answer<'a>(&'a self, test: &'a Test) -> Answer<'a> {
        match test {
            Test::Exists(_) => {
                Answer { rows: Rows::Set(&self.present), sure: true, irregular: None, served: true }
            }
            Test::Equal(value) | Test::NotEqual(value) => self.equal(std::slice::from_ref(value)),
            Test::In(values) | Test::NotIn(values) => self.equal(values),
            Test::Ordered(order, bound) => self.ordered(&[(*order, bound)]),
            Test::Prefix(prefix) => match &self.values {
                Values::Keyword(keyword) => self.of_words(keyword, keyword.prefix(prefix)),
                Values::Text(text) => self.narrowed(text.starting_with(prefix), false),
                Values::Datetime(_) | Values::Geo(_) => self.unserved(),
                _ => self.sure(Rows::None),
            },
            Test::Match(words) => match &self.values {
                Values::Keyword(keyword) if keyword.len() <= WORDS_MOST => {
                    self.of_words(keyword, keyword.passing(|text| words.in_text(text)))
                }
                Values::Text(text) => match text.matching(words) {
                    Some(found) => self.narrowed(Some(found.rows), found.sure),
                    None => self.unserved(),
                },
                Values::Keyword(_) | Values::Datetime(_) | Values::Geo(_) => self.unserved(),
                _ => self.sure(Rows::None),
            },
            Test::GeoRadius(circle) => match &self.values {
                Values::Geo(geo) => self.narrowed(Some(geo.within(circle)), true),
                Values::Text(_) => self.unserved(),
                // Places are objects, so all of them are irregular.
                _ => Answer { served: false, ..self.sure(Rows::None) },
            },
        }
    }

    fn sure<'a>(&'a self, rows: Rows<'a>) -> Answer<'a> {
        Answer { rows, sure: true, irregular: Some(&self.irregular), served: true }
    }

    /// Any row that has the field may pass.
    fn unserved(&self) -> Answer<'_> {
        Answer { rows: Rows::Set(&self.present), sure: false, irregular: None, served: false }
    }

    /// Rows that an index of words or places found, whatever other values they have.
    fn narrowed(&self, rows: Option<RowSet>, sure: bool) -> Answer<'_> {
        match rows {
            Some(rows) => Answer { rows: Rows::Made(rows), sure, irregular: None, served: true },
            None => self.unserved(),
        }
    }

    /// The rows of some strings. The lock is held meanwhile: so they must not be too many.
    fn of_words<'a>(&'a self, keyword: &Keyword, words: impl Iterator<Item = &'a Posting>) -> Answer<'a> {
        let words: Vec<&Posting> = words.take(WORDS_MOST + 1).collect();
        if words.len() > WORDS_MOST { self.unserved() } else { self.sure(postings(keyword, words)) }
    }

    /// The text index, if it is one.
    pub fn text(&self) -> Option<&TextIndex> {
        match &self.values {
            Values::Text(text) => Some(text),
            _ => None,
        }
    }

    fn equal(&self, values: &[Scalar]) -> Answer<'_> {
        match (&self.values, values) {
            (Values::Text(text), [Scalar::Text(wanted)]) => return self.narrowed(text.equal(wanted), false),
            (Values::Text(_) | Values::Geo(_), _) => return self.unserved(),
            _ => {}
        }
        let mut answer = self.sure(Rows::None);
        let (mut words, mut others) = (Vec::new(), Vec::new());
        for value in values {
            match (&self.values, value) {
                (_, Scalar::Null) => others.push(Rows::Set(&self.nulls)),
                (Values::Keyword(keyword), Scalar::Text(text)) => words.extend(keyword.equal(text)),
                (Values::Bool(sets), Scalar::Bool(yes)) => others.push(Rows::Set(&sets[usize::from(*yes)])),
                (Values::Integer(ordered), Scalar::Number(number)) => {
                    others.extend(whole(*number).map(|key| same(ordered, key)));
                }
                (Values::Float(ordered), Scalar::Number(number)) => {
                    others.extend(real(*number).map(|key| same(ordered, key)));
                }
                (Values::Datetime(ordered), Scalar::Text(text)) => {
                    // Equality is of the text: the same instant is necessary, not enough.
                    others.extend(instant(text).map(|key| same(ordered, key)));
                    answer.sure = false;
                }
                _ => {}
            }
        }
        if let Values::Keyword(keyword) = &self.values
            && !words.is_empty()
        {
            // A string that was asked for twice is no reason to count it twice.
            words.sort_unstable_by_key(|word| std::ptr::from_ref(*word));
            words.dedup_by_key(|word| std::ptr::from_ref(*word));
            others.push(postings(keyword, words));
        }
        answer.rows = match others.len() {
            0 | 1 => others.pop().unwrap_or(Rows::None),
            _ => Rows::Any(others),
        };
        answer
    }

    /// Whether a row that passes several comparisons has one value that passes them all.
    pub fn has_single_values(&self) -> bool {
        match &self.values {
            Values::Integer(ordered) => ordered.has_single_values(),
            Values::Float(ordered) => ordered.has_single_values(),
            Values::Datetime(ordered) => ordered.has_single_values(),
            Values::Keyword(_) | Values::Bool(_) | Values::Geo(_) | Values::Text(_) => false,
        }
    }

    /// Rows with a value that passes all comparisons.
    pub fn ordered<'a>(&'a self, tests: &[(Order, &'a Bound)]) -> Answer<'a> {
        match &self.values {
            Values::Bool(_) => self.sure(Rows::None),
            Values::Geo(_) | Values::Text(_) => self.unserved(),
            Values::Keyword(keyword) => match tests {
                [(order, Bound::Text(bound))] if instant(bound.text()).is_none() => {
                    self.of_words(keyword, keyword.ordered(*order, bound))
                }
                tests => {
                    let text = |(_, bound): &(Order, &'a Bound)| match bound {
                        Bound::Text(bound) => Some(bound),
                        Bound::Number(_) => None,
                    };
                    let Some(bounds) = tests.iter().map(text).collect::<Option<Vec<_>>>() else {
                        return self.sure(Rows::None);
                    };
                    let passes = |value: &str| {
                        let mut pairs = tests.iter().zip(&bounds);
                        pairs.all(|((order, _), bound)| order.accepts(bound.order_of(value)))
                    };
                    if keyword.len() > WORDS_MOST {
                        return self.unserved();
                    }
                    self.of_words(keyword, keyword.passing(passes))
                }
            },
            Values::Integer(ordered) => self.in_numbers(ordered, tests, |key| Number::Integer(key.into())),
            Values::Float(ordered) => self.in_numbers(ordered, tests, |key| Number::Real(key.0)),
            Values::Datetime(ordered) => {
                let mut bounds = Vec::new();
                for (order, bound) in tests {
                    match bound {
                        Bound::Number(_) => return self.sure(Rows::None),
                        Bound::Text(bound) => match instant(bound.text()) {
                            Some(instant) => bounds.push((*order, instant)),
                            // Then the values compare as texts.
                            None => return self.unserved(),
                        },
                    }
                }
                self.sure(between(ordered, &bounds, i128::cmp))
            }
        }
    }

    fn in_numbers<'a, K: Copy + Ord + Default>(
        &'a self,
        ordered: &'a Ordered<K>,
        tests: &[(Order, &Bound)],
        number: impl Fn(K) -> Number,
    ) -> Answer<'a> {
        let bound = |(order, bound): &(Order, &Bound)| match bound {
            Bound::Number(bound) => Some((*order, *bound)),
            Bound::Text(_) => None,
        };
        match tests.iter().map(bound).collect::<Option<Vec<_>>>() {
            Some(bounds) => self.sure(between(ordered, &bounds, |key, bound| number(*key).cmp(bound))),
            None => self.sure(Rows::None),
        }
    }
}

fn postings<'a>(keyword: &Keyword, postings: Vec<&'a Posting>) -> Rows<'a> {
    Rows::Postings { postings, disjoint: keyword.has_single_values() }
}

fn insert<K: Copy + Ord + Default>(
    ordered: &mut Ordered<K>,
    row: Row,
    keys: &[Key],
    taken: impl Fn(&Key) -> Option<K>,
) {
    match keys {
        [key] => taken(key).into_iter().for_each(|key| ordered.insert(row, &[key])),
        keys => ordered.insert(row, &keys.iter().filter_map(taken).collect::<Vec<K>>()),
    }
}

fn same<K: Copy + Ord + Default>(ordered: &Ordered<K>, key: K) -> Rows<'_> {
    Rows::Span(ordered, ordered.span(|k| k < key, |k| k <= key))
}

/// The keys that stand to every bound as asked.
fn between<'a, K: Copy + Ord + Default, B>(
    ordered: &'a Ordered<K>,
    bounds: &[(Order, B)],
    compare: impl Fn(&K, &B) -> std::cmp::Ordering,
) -> Rows<'a> {
    let below = |key: K| {
        bounds.iter().any(|(order, bound)| match order {
            Order::Greater => compare(&key, bound).is_le(),
            Order::GreaterOrEqual => compare(&key, bound).is_lt(),
            Order::Less | Order::LessOrEqual => false,
        })
    };
    let within = |key: K| {
        bounds.iter().all(|(order, bound)| match order {
            Order::Less => compare(&key, bound).is_lt(),
            Order::LessOrEqual => compare(&key, bound).is_le(),
            Order::Greater | Order::GreaterOrEqual => true,
        })
    };
    Rows::Span(ordered, ordered.span(below, within))
}
