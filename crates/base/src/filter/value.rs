//! Values of payload fields in one total order: what a facet counts and what a scroll is ordered by.

use super::json::Scanner;
use super::{Number, instant};
use std::cmp::Ordering;

/// A value without inner structure. All of them are ordered: `false`, `true`, numbers by value, RFC 3339 datetimes
/// as instants, other strings bytewise. Equal instants that are written differently are ordered by their texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// `true` or `false`
    Bool(bool),
    /// Any number; `1` and `1.0` are the same.
    Number(Number),
    /// Any string.
    Text {
        /// Its instant, if it is a datetime.
        instant: Option<i128>,
        /// The string itself.
        text: String,
    },
}

impl FieldValue {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::Text { instant: instant(&text), text }
    }

    /// A number. Whole doubles within 128 bits become integers, so that equal numbers are shown alike.
    pub fn number(number: Number) -> Self {
        if let Number::Real(real) = number
            && real.fract() == 0.0
            && (i128::MIN as f64..i128::MAX as f64).contains(&real)
        {
            return Self::Number(Number::Integer(real as i128));
        }
        Self::Number(number)
    }

    /// The value of a JSON text; `None` for `null`, lists, objects and what is not JSON.
    pub fn parse(json: &str) -> Option<Self> {
        let mut scan = Scanner::new(json);
        let value = match scan.peek()? {
            b'"' => Self::text(scan.string().ok()?.value()),
            b't' | b'f' | b'n' => Self::Bool(scan.word().ok()??),
            b'-' | b'0'..=b'9' => Self::number(Number::parse(scan.number().ok()?)?),
            _ => return None,
        };
        scan.end().ok().map(|()| value)
    }

    /// The JSON text, the same for equal values.
    pub fn to_json(&self) -> String {
        match self {
            Self::Bool(yes) => yes.to_string(),
            Self::Number(Number::Integer(value)) => value.to_string(),
            // Beyond the range of doubles; reads as the same again.
            Self::Number(Number::Real(value)) if value.is_infinite() => {
                if *value > 0.0 {
                    "1e999".into()
                } else {
                    "-1e999".into()
                }
            }
            Self::Number(Number::Real(value)) => format!("{value:?}"),
            Self::Text { text, .. } => serde_json::Value::from(text.as_str()).to_string(),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text { instant: Some(_), .. } => 2,
            Self::Text { .. } => 3,
        }
    }
}

impl Ord for FieldValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Text { instant: a, text: x }, Self::Text { instant: b, text: y })
                if a.is_some() == b.is_some() =>
            {
                a.cmp(b).then_with(|| x.cmp(y))
            }
            _ => self.kind().cmp(&other.kind()),
        }
    }
}
impl PartialOrd for FieldValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ordered_and_survive_their_text() {
        let ascending = [
            "false",
            "true",
            "-1e999",
            "-9007199254740993",
            "-0.5",
            "0",
            "0.1",
            "1",
            "1e300",
            "1e999",
            r#""2024-05-01T12:00:00Z""#,
            r#""2024-05-01T14:00:00+02:00""#,
            r#""2024-05-01T12:00:00.5Z""#,
            r#""""#,
            r#""2024""#,
            r#""a\"b""#,
        ];
        let values: Vec<FieldValue> = ascending.iter().map(|text| FieldValue::parse(text).unwrap()).collect();
        assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
        for value in &values {
            assert_eq!(FieldValue::parse(&value.to_json()).as_ref(), Some(value));
        }
        for (a, b) in [
            ("1", "1.0"),
            ("-0.0", "0"),
            ("100", "1e2"),
            ("18446744073709551616", "18446744073709551616.0"),
            (r#""a""#, r#""\u0061""#),
        ] {
            let (a, b) = (FieldValue::parse(a).unwrap(), FieldValue::parse(b).unwrap());
            assert_eq!((&a, a.to_json()), (&b, b.to_json()));
        }
        for none in ["null", "[1]", "{}", "", "1 2", "x"] {
            assert_eq!(FieldValue::parse(none), None, "{none}");
        }
    }
}
