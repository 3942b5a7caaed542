//! Which clauses of a filter a payload fails, and what it has in their place.

use super::{Matcher, naive};
use vectron_base::filter::Filter;

/// Longest text of a value that is shown whole.
const SHOWN_BYTES: usize = 512;

/// A clause that a payload fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedClause {
    /// The clause as a filter of its own, as JSON text.
    pub clause: String,
    /// Each field that it asks for with the JSON text of what the payload has there; `None` where there is nothing. A
    /// field that leads to several places has a list of what is there. A longer text than 512 bytes is a string with
    /// its beginning and an ellipsis.
    pub values: Vec<(String, Option<String>)>,
}

/// The clauses that a payload fails: of a conjunction those parts that fail, else the whole. Empty if it passes.
pub fn failed(filter: &Filter, payload: &str) -> Vec<FailedClause> {
    let mut clauses = Vec::new();
    collect(filter, payload, &mut clauses);
    clauses
}

fn collect(filter: &Filter, payload: &str, clauses: &mut Vec<FailedClause>) {
    if Matcher::new(filter).matches(payload) {
        return;
    }
    match filter {
        Filter::And(parts) => parts.iter().for_each(|part| collect(part, payload, clauses)),
        other => {
            let values = other.fields().into_iter().map(|path| (path.to_string(), value(path, payload)));
            clauses.push(FailedClause { clause: other.to_text(), values: values.collect() });
        }
    }
}

fn value(path: &str, payload: &str) -> Option<String> {
    let found = naive::texts(path, payload);
    let text = match found.as_slice() {
        [] => return None,
        [one] => one.clone(),
        several => format!("[{}]", several.join(",")),
    };
    if text.len() <= SHOWN_BYTES {
        return Some(text);
    }
    let beginning: String = text.chars().take(SHOWN_BYTES / 4).chain(['…']).collect();
    Some(serde_json::Value::String(beginning).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::filter::FilterLimits;

    fn of(filter: &str, payload: &str) -> Vec<(String, String)> {
        let filter = Filter::parse(filter, &FilterLimits::default()).unwrap();
        let shown = |(field, value): &(String, Option<String>)| {
            format!("{field}={}", value.as_deref().unwrap_or("nothing"))
        };
        let clauses = failed(&filter, payload).into_iter();
        clauses.map(|c| (c.clause, c.values.iter().map(shown).collect::<Vec<_>>().join(" "))).collect()
    }

    fn owned(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    #[test]
    fn a_conjunction_names_what_fails_and_anything_else_is_named_whole() {
        let payload =
            r#"{"section":"libs","size":9007199254740993,"tags":["a","b"],"in":{"x":[{"y":1},{"y":2}]}}"#;
        assert_eq!(of(r#"{"section":"libs","size":{"$gte":100}}"#, payload), []);
        assert_eq!(
            of(r#"{"section":"libs","size":{"$lt":100,"$gt":1},"gone":1}"#, payload),
            owned(&[
                (r#"{"size":{"$lt":100}}"#, "size=9007199254740993"),
                (r#"{"gone":{"$eq":1}}"#, "gone=nothing")
            ])
        );
        assert_eq!(
            of(r#"{"$or":[{"tags":"c"},{"in.x.y":3}]}"#, payload),
            owned(&[(
                r#"{"$or":[{"tags":{"$eq":"c"}},{"in.x.y":{"$eq":3}}]}"#,
                r#"in.x.y=[1,2] tags=["a","b"]"#
            )])
        );
        assert_eq!(
            of(r#"{"$and":[{"$not":{"section":"libs"}},{"$and":[{"tags":"c"}]}]}"#, payload),
            owned(&[
                (r#"{"$not":{"section":{"$eq":"libs"}}}"#, r#"section="libs""#),
                (r#"{"tags":{"$eq":"c"}}"#, r#"tags=["a","b"]"#)
            ])
        );
    }

    #[test]
    fn a_long_value_is_cut_and_still_json() {
        let payload = format!(r#"{{"t":"{}"}}"#, "é".repeat(600));
        let clauses = of(r#"{"t":"x"}"#, &payload);
        let value = clauses[0].1.strip_prefix("t=").unwrap();
        let text: String = serde_json::from_str(value).unwrap();
        assert!(text.ends_with('…') && text.chars().count() == SHOWN_BYTES / 4 + 1);
    }
}
