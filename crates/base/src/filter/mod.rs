//! The filter language of the public contract: what a filter is, how it is read, how it is written.
//!
//! A filter is a JSON object. `{"field": value}` asks for equality, `{"field": {"$gte": 1, "$lt": 9}}` for
//! operators, `{"a.b": …}` for a nested field; `$and`, `$or` and `$not` combine whole filters. Several members
//! of one object mean AND. The empty object matches every point.
//!
//! # What matches
//! A field names the values that its path leads to. A path step goes into an object by its first member of
//! that name, and into each object of a list. Where the path ends at a list, the list's elements are the
//! values (nested lists and objects match nothing but `$exists` and, for objects, `$geo_radius`).
//!
//! | test | a value matches if | missing field | `null` | other type | several values |
//! |---|---|---|---|---|---|
//! | `value`, `$eq` | it is equal: numbers exactly (`1` = `1.0`), strings bytewise, `true`, `false`, `null` | no | only to `null` | no | any |
//! | `$ne` | it is not equal | yes | as a value | yes | no value equal |
//! | `$gt $gte $lt $lte` | ordered so: two numbers by value, two strings bytewise, two RFC 3339 datetimes as instants | no | no | no | any |
//! | `$in` | equal to an element of the list | no | if listed | no | any |
//! | `$nin` | equal to none | yes | if not listed | yes | no value equal |
//! | `$exists` | `true`: the path leads somewhere; `false`: nowhere | `false` matches | exists | exists | exists, even an empty list |
//! | `$prefix` | a string that starts with it, bytewise | no | no | no | any |
//! | `$match` | a string that has all its words, whole and without regard to case | no | no | no | any one value has all words |
//! | `$geo_radius` | an object `{"lat", "lon"}` within the radius | no | no | no | any |
//! | `$not` | the filter in it does not match | | | | |
//!
//! A clash of types is never an error, it does not match. Equality of strings is bytewise even for datetimes.
//! Integers keep all digits up to 128 bits; other numbers are doubles. A key that contains a dot cannot be
//! named. Words are runs of Unicode letters and digits.

mod field;
mod geo;
mod instant;
pub mod json;
pub mod matcher;
mod number;
mod parse;
mod text;
mod value;
mod words;

pub use field::{FieldIndex, FieldType, Language, TextAnalysis};
pub use geo::{GeoArea, GeoCircle, GeoPlace};
pub use instant::instant;
pub use number::Number;
pub use value::FieldValue;
pub use words::{has_all, runs, words};

/// Most parts of a dotted field path.
pub const PATH_MAX_PARTS: usize = 32;
/// Most words of one `$match`.
pub const MATCH_MAX_WORDS: usize = 64;

/// A condition on a point's payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Matches every point: the empty object.
    All,
    /// Every one of these; not empty when parsed.
    And(Vec<Filter>),
    /// At least one of these; not empty when parsed.
    Or(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// A test of the values of one field.
    Field {
        /// Dotted path; no part is empty.
        path: String,
        /// What the values must pass.
        test: Test,
    },
}

/// What is asked of a field's values; the table in the module's documentation says when it holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// A value is equal.
    Equal(Scalar),
    /// No value is equal.
    NotEqual(Scalar),
    /// A value stands in this order to the bound.
    Ordered(Order, Bound),
    /// A value is in the list.
    In(Vec<Scalar>),
    /// No value is in the list.
    NotIn(Vec<Scalar>),
    /// The path leads somewhere, or nowhere.
    Exists(bool),
    /// A string starts so.
    Prefix(String),
    /// A string has all the words.
    Match(Words),
    /// A place lies in the circle.
    GeoRadius(GeoCircle),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `$gt`
    Greater,
    /// `$gte`
    GreaterOrEqual,
    /// `$lt`
    Less,
    /// `$lte`
    LessOrEqual,
}

impl Order {
    /// Whether a value that compares so to the bound is accepted.
    pub fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Greater => ordering.is_gt(),
            Order::GreaterOrEqual => ordering.is_ge(),
            Order::Less => ordering.is_lt(),
            Order::LessOrEqual => ordering.is_le(),
        }
    }
}

/// A JSON value without inner structure.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number.
    Number(Number),
    /// A string.
    Text(String),
}

/// What `$gt` and its like compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// Compares numbers only.
    Number(Number),
    /// Compares strings only.
    Text(TextBound),
}

/// A string bound, with its instant read once.
#[derive(Clone, Debug, PartialEq)]
pub struct TextBound {
    text: String,
    instant: Option<i128>,
}

impl TextBound {
    /// A bound at `text`.
    pub fn new(text: String) -> Self {
        Self { instant: instant(&text), text }
    }

    /// The bound itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How `value` compares with the bound: as instants if both are datetimes, else bytewise.
    pub fn order_of(&self, value: &str) -> std::cmp::Ordering {
        match self.instant.zip(self.instant.and_then(|_| instant(value))) {
            Some((bound, value)) => value.cmp(&bound),
            None => value.as_bytes().cmp(self.text.as_bytes()),
        }
    }
}

/// The operand of `$match`, with its words taken once.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    text: String,
    words: Vec<String>,
}

impl Words {
    /// The words of `text`.
    pub fn new(text: String) -> Self {
        Self { words: words(&text), text }
    }

    /// The query as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its words, lower-cased, sorted, each once.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether `value` has them all.
    pub fn in_text(&self, value: &str) -> bool {
        has_all(value, &self.words)
    }
}

/// How much filter is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterLimits {
    /// Most tests in one filter.
    pub max_clauses: usize,
    /// Deepest nesting of `$and`, `$or`, `$not` and of objects with several members.
    pub max_depth: usize,
    /// Longest list of `$in` and `$nin`.
    pub max_list: usize,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self { max_clauses: 256, max_depth: 16, max_list: 10_000 }
    }
}

impl FilterLimits {
    /// For filters that were accepted before, under whatever limits were set then: the same on every replica
    /// for ever, and only there to bound work and recursion.
    pub const REPLICATED: FilterLimits =
        FilterLimits { max_clauses: 65_536, max_depth: 64, max_list: 1_000_000 };
}

/// Why a text is not a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct FilterError {
    /// Where, such as `filter.$and[3].size.$gte`.
    pub path: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Filter {
    /// Reads a filter from JSON text.
    pub fn parse(text: &str, limits: &FilterLimits) -> Result<Filter, FilterError> {
        parse::parse(text, limits)
    }

    /// The canonical JSON text: parsing it gives this filter again.
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Every field that is asked for, sorted, each once.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        self.collect_fields(&mut fields);
        fields.sort_unstable();
        fields.dedup();
        fields
    }

    fn collect_fields<'a>(&'a self, fields: &mut Vec<&'a str>) {
        match self {
            Filter::All => {}
            Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|p| p.collect_fields(fields)),
            Filter::Not(inner) => inner.collect_fields(fields),
            Filter::Field { path, .. } => fields.push(path),
        }
    }

    /// Levels of combination: 1 for a single test.
    pub fn depth(&self) -> usize {
        match self {
            Filter::All | Filter::Field { .. } => 1,
            Filter::And(parts) | Filter::Or(parts) => 1 + parts.iter().map(Filter::depth).max().unwrap_or(0),
            Filter::Not(inner) => 1 + inner.depth(),
        }
    }
}

#[cfg(test)]
mod tests;
