//! What a payload holds for the indexes: one walk over its text for all of them.

use super::text::{Analyser, Tokens};
use crate::filter::{Paths, Value, Visit, place};
use std::cmp::Ordering;
use vectron_base::filter::{FieldIndex, FieldType, Number, instant};

/// Values of one field in one payload beyond which it is looked at by itself.
const VALUES_MOST: usize = 256;

/// A value that an index takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Text(Box<str>),
    Bool(bool),
    /// A number of an integer index, whole however it was written.
    Integer(i64),
    Real(Real),
    /// Nanoseconds since the Unix epoch.
    Instant(i128),
    /// Degrees north and east.
    Place(Real, Real),
}

impl Key {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Key::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The place, if it is one.
    pub fn place(&self) -> Option<(Real, Real)> {
        match self {
            Key::Place(lat, lon) => Some((*lat, *lon)),
            _ => None,
        }
    }
}

/// A double that is not NaN, without a negative zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Real(pub f64);

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Real {}

/// What a payload holds for one index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// The path leads somewhere.
    pub present: bool,
    /// There is a `null`.
    pub null: bool,
    /// There is a value that the index does not take: the payload must be looked at.
    pub irregular: bool,
    /// The values, sorted, each once; none if irregular, unless they are places.
    pub keys: Keys,
    /// The words of a text index, irregular or not.
    pub tokens: Option<Box<Tokens>>,
}

/// Mostly one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Keys {
    One(Key),
    Many(Vec<Key>),
}

impl Default for Keys {
    fn default() -> Self {
        Keys::Many(Vec::new())
    }
}

impl Keys {
    pub fn as_slice(&self) -> &[Key] {
        match self {
            Keys::One(key) => std::slice::from_ref(key),
            Keys::Many(keys) => keys,
        }
    }

    fn push(&mut self, key: Key) {
        match std::mem::take(self) {
            Keys::Many(keys) if keys.is_empty() => *self = Keys::One(key),
            Keys::One(first) => *self = Keys::Many(vec![first, key]),
            Keys::Many(mut keys) => {
                keys.push(key);
                *self = Keys::Many(keys);
            }
        }
    }

    fn settle(&mut self) {
        if let Keys::Many(keys) = self {
            keys.sort_unstable();
            keys.dedup();
            if keys.len() == 1
                && let Some(key) = keys.pop()
            {
                *self = Keys::One(key);
            }
        }
    }
}

/// Reads payloads for a list of indexes.
pub(crate) struct Extractor {
    paths: Paths,
    kinds: Vec<FieldType>,
    /// Of text indexes.
    analysers: Vec<Option<Analyser>>,
    /// Longest string of a keyword index, bytes.
    keyword_bytes_max: usize,
}

impl Extractor {
    pub fn new<'a>(indexes: impl Iterator<Item = &'a FieldIndex>, keyword_bytes_max: usize) -> Self {
        let (mut paths, mut kinds, mut analysers) = (Paths::new(), Vec::new(), Vec::new());
        for index in indexes {
            paths.add(&index.field, kinds.len());
            kinds.push(index.kind);
            analysers.push(index.kind.analysis().map(Analyser::new));
        }
        Self { paths, kinds, analysers, keyword_bytes_max }
    }

    /// One entry per index, in the order they were given.
    pub fn read(&self, payload: &str) -> Vec<Found> {
        let mut reading = Reading { extractor: self, found: vec![Found::default(); self.kinds.len()] };
        self.paths.walk(payload, &mut reading);
        for (found, kind) in reading.found.iter_mut().zip(&self.kinds) {
            found.keys.settle();
            if takes_what_it_can(*kind) {
                continue;
            }
            found.irregular |= found.keys.as_slice().len() > VALUES_MOST;
            if found.irregular {
                *found = Found { present: true, irregular: true, ..Found::default() };
            }
        }
        reading.found
    }

    fn key(&self, kind: FieldType, value: Value<'_>) -> Option<Key> {
        match (kind, value) {
            (FieldType::Keyword, Value::Text(text)) => Some(text.value())
                .filter(|t| t.len() <= self.keyword_bytes_max)
                .map(|t| Key::Text((*t).into())),
            (FieldType::Bool, Value::Bool(yes)) => Some(Key::Bool(yes)),
            (FieldType::Integer, Value::Number(text)) => whole(Number::parse(text)?).map(Key::Integer),
            (FieldType::Float, Value::Number(text)) => real(Number::parse(text)?).map(Key::Real),
            (FieldType::Datetime, Value::Text(text)) => instant(&text.value()).map(Key::Instant),
            (FieldType::Geo, Value::Object(scan)) => {
                let (lat, lon) = place(scan)?;
                Some(Key::Place(Real(lat + 0.0), Real(lon + 0.0)))
            }
            _ => None,
        }
    }
}

/// Whether other values beside those that the index takes change nothing in what it says of those.
fn takes_what_it_can(kind: FieldType) -> bool {
    matches!(kind, FieldType::Geo | FieldType::Text(_))
}

/// The 64-bit integer that has exactly this value.
pub(super) fn whole(number: Number) -> Option<i64> {
    let whole = match number {
        Number::Integer(value) => i64::try_from(value).ok()?,
        Number::Real(value) => value as i64,
    };
    (Number::Integer(whole.into()) == number).then_some(whole)
}

/// The double that has exactly this value.
pub(super) fn real(number: Number) -> Option<Real> {
    // Adding zero makes negative zero zero.
    let real = number.real() + 0.0;
    (Number::Real(real) == number).then_some(Real(real))
}

struct Reading<'a> {
    extractor: &'a Extractor,
    found: Vec<Found>,
}

impl Visit for Reading<'_> {
    fn present(&mut self, leaf: usize) {
        if let Some(found) = self.found.get_mut(leaf) {
            found.present = true;
        }
    }

    fn value(&mut self, leaf: usize, value: Value<'_>) {
        let Some((found, kind)) = self.found.get_mut(leaf).zip(self.extractor.kinds.get(leaf)) else {
            return;
        };
        if let (Value::Text(text), Some(Some(analyser))) = (value, self.extractor.analysers.get(leaf)) {
            found.tokens.get_or_insert_default().add(analyser, &text.value());
            return;
        }
        if found.irregular && !takes_what_it_can(*kind) {
            return;
        }
        match self.extractor.key(*kind, value) {
            Some(key) => found.keys.push(key),
            None if matches!(value, Value::Null) => found.null = true,
            None => found.irregular = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kind: FieldType, payload: &str) -> Option<Vec<Key>> {
        let index = FieldIndex { field: "a.b".into(), kind };
        let found = Extractor::new([index].iter(), 8).read(payload).remove(0);
        (!found.irregular).then(|| found.keys.as_slice().to_vec())
    }

    #[test]
    fn values_are_taken_only_if_the_index_can_say_exactly_what_they_are() {
        let integers = |list: &[i64]| Some(list.iter().map(|i| Key::Integer(*i)).collect::<Vec<_>>());
        let at = |value: &str| format!(r#"{{"a":{{"b":{value}}}}}"#);
        let integer = |value: &str| keys(FieldType::Integer, &at(value));
        assert_eq!(integer("[3,1.0,1e0,null,-0.0]"), integers(&[0, 1, 3]));
        assert_eq!(integer("9223372036854775807"), integers(&[i64::MAX]));
        for refused in
            ["9223372036854775808", "9223372036854775808.0", "1.5", "\"1\"", "[[1]]", "{}", "1e400"]
        {
            assert_eq!(integer(refused), None, "{refused}");
        }
        assert_eq!(keys(FieldType::Integer, r#"{"a":[{"b":2},{"b":[2,1]},5]}"#), integers(&[1, 2]));
        let float = |value: &str| keys(FieldType::Float, &at(value));
        assert_eq!(float("1e400"), Some(vec![Key::Real(Real(f64::INFINITY))]));
        assert_eq!(float("[-0.0,0]"), Some(vec![Key::Real(Real(0.0))]));
        assert_eq!(float("9007199254740993"), None);
        let keyword = |value: &str| keys(FieldType::Keyword, &at(value));
        assert_eq!(keyword(r#""é""#), Some(vec![Key::Text("é".into())]));
        assert_eq!(keyword(r#""more than eight""#), None);
        let many = format!("[{}]", (0..=VALUES_MOST).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
        assert_eq!(integer(&many), None);
        assert_eq!((integer("[]"), keys(FieldType::Bool, "{}")), (Some(vec![]), Some(vec![])));
    }
}
