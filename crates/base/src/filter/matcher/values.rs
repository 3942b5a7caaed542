//! The values of one field.

use super::{Paths, Value, Visit};
use crate::filter::{FieldValue, Number};
use std::collections::BTreeSet;

/// A field made ready to be read from many payloads.
pub struct FieldValues {
    paths: Paths,
}

#[derive(Default)]
struct Seen(BTreeSet<FieldValue>);

impl Visit for Seen {
    fn present(&mut self, _: usize) {}

    fn value(&mut self, _: usize, value: Value<'_>) {
        let value = match value {
            Value::Bool(yes) => FieldValue::Bool(yes),
            Value::Number(text) => match Number::parse(text) {
                Some(number) => FieldValue::number(number),
                None => return,
            },
            Value::Text(text) => FieldValue::text(text.value()),
            Value::Null | Value::Object(_) | Value::List => return,
        };
        self.0.insert(value);
    }
}

impl FieldValues {
    /// Of a dotted path.
    pub fn of(field: &str) -> Self {
        let mut paths = Paths::new();
        paths.add(field, 0);
        Self { paths }
    }

    /// Strings, numbers and booleans that the path leads to in a payload, each once. `null`, objects and lists in
    /// lists are none.
    pub fn read(&self, payload: &str) -> BTreeSet<FieldValue> {
        let mut seen = Seen::default();
        self.paths.walk(payload, &mut seen);
        seen.0
    }
}
