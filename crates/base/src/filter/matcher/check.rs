//! One test, made ready: what a single value of a field must pass.

use crate::filter::json::{RawText, Scanner};
use crate::filter::{Bound, GeoCircle, Number, Order, Scalar, Test, TextBound, Words};
use std::collections::BTreeSet;

/// A value as it stands in the text.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The number's text.
    Number(&'a str),
    /// The string between its quotes.
    Text(RawText<'a>),
    /// A scanner before the opening brace.
    Object(Scanner<'a>),
    /// A list inside a list.
    List,
}

/// What passes. The negative tests are the positive ones, negated by whoever combines the results.
pub(super) enum Check {
    Exists,
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    In(Listed),
    OrderedNumber(Order, Number),
    OrderedText(Order, TextBound),
    Prefix(String),
    Match(Words),
    Geo(GeoCircle),
}

/// The elements of `$in`, for look-up.
pub(super) struct Listed {
    null: bool,
    bools: [bool; 2],
    numbers: BTreeSet<Number>,
    texts: BTreeSet<String>,
}

impl Listed {
    fn new(values: &[Scalar]) -> Self {
        let mut listed =
            Listed { null: false, bools: [false; 2], numbers: BTreeSet::new(), texts: BTreeSet::new() };
        for value in values {
            match value {
                Scalar::Null => listed.null = true,
                Scalar::Bool(yes) => listed.bools[usize::from(*yes)] = true,
                Scalar::Number(number) => _ = listed.numbers.insert(*number),
                Scalar::Text(text) => _ = listed.texts.insert(text.clone()),
            }
        }
        listed
    }

    fn has(&self, value: Value<'_>) -> bool {
        match value {
            Value::Null => self.null,
            Value::Bool(yes) => self.bools[usize::from(yes)],
            Value::Number(text) => {
                !self.numbers.is_empty() && Number::parse(text).is_some_and(|n| self.numbers.contains(&n))
            }
            Value::Text(text) => !self.texts.is_empty() && self.texts.contains(&*text.value()),
            Value::Object(_) | Value::List => false,
        }
    }
}

impl Check {
    pub fn new(test: &Test) -> Check {
        match test {
            Test::Exists(_) => Check::Exists,
            Test::Equal(value) | Test::NotEqual(value) => match value {
                Scalar::Null => Check::Null,
                Scalar::Bool(yes) => Check::Bool(*yes),
                Scalar::Number(number) => Check::Number(*number),
                Scalar::Text(text) => Check::Text(text.clone()),
            },
            Test::In(values) | Test::NotIn(values) => Check::In(Listed::new(values)),
            Test::Ordered(order, Bound::Number(number)) => Check::OrderedNumber(*order, *number),
            Test::Ordered(order, Bound::Text(bound)) => Check::OrderedText(*order, bound.clone()),
            Test::Prefix(text) => Check::Prefix(text.clone()),
            Test::Match(words) => Check::Match(words.clone()),
            Test::GeoRadius(circle) => Check::Geo(*circle),
        }
    }

    pub fn passes(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Check::In(listed), value) => listed.has(value),
            (Check::Null, Value::Null) => true,
            (Check::Bool(yes), Value::Bool(value)) => *yes == value,
            (Check::Number(number), Value::Number(text)) => Number::parse(text) == Some(*number),
            (Check::OrderedNumber(order, bound), Value::Number(text)) => {
                Number::parse(text).is_some_and(|n| order.accepts(n.cmp(bound)))
            }
            (Check::Text(wanted), Value::Text(text)) => text.is(wanted),
            (Check::OrderedText(order, bound), Value::Text(text)) => {
                order.accepts(bound.order_of(&text.value()))
            }
            (Check::Prefix(prefix), Value::Text(text)) => text.value().starts_with(prefix.as_str()),
            (Check::Match(words), Value::Text(text)) => words.in_text(&text.value()),
            (Check::Geo(circle), Value::Object(scan)) => {
                place(scan).is_some_and(|(lat, lon)| circle.contains(lat, lon))
            }
            _ => false,
        }
    }
}

/// The first `lat` and the first `lon` of an object, if both are numbers. The scanner stands before its brace.
pub fn place(mut scan: Scanner<'_>) -> Option<(f64, f64)> {
    let (mut lat, mut lon) = (None, None);
    let mut first = true;
    scan.take(b'{');
    while let Some(key) = scan.key(&mut first).ok()? {
        let wanted = if lat.is_none() && key.is("lat") {
            &mut lat
        } else if lon.is_none() && key.is("lon") {
            &mut lon
        } else {
            scan.skip_value().ok()?;
            continue;
        };
        if !matches!(scan.peek(), Some(b'-' | b'0'..=b'9')) {
            return None;
        }
        *wanted = Some(Number::parse(scan.number().ok()?)?.real());
        if let Some(found) = lat.zip(lon) {
            return Some(found);
        }
    }
    None
}
