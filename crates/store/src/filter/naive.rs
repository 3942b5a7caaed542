//! The oracle: parses everything with serde_json and follows the table of the filter language line by line.
//! Tests hold [`super::Matcher`] to it.

use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt;
use vectron_base::filter::{Bound, FieldValue, Filter, Number, Scalar, Test, instant};

/// Whether a payload matches.
pub fn matches(filter: &Filter, payload: &str) -> bool {
    let root: Option<Box<RawValue>> = serde_json::from_str(payload).ok();
    match filter {
        Filter::All => true,
        Filter::And(parts) => parts.iter().all(|part| matches(part, payload)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, payload)),
        Filter::Not(inner) => !matches(inner, payload),
        Filter::Field { path, test } => {
            let parts: Vec<&str> = path.split('.').collect();
            let ends = root.filter(|r| r.get().starts_with('{')).map_or(vec![], |r| lead(&r, &parts));
            field(test, &ends)
        }
    }
}

/// What a dotted path leads to in a payload, as JSON texts.
pub(super) fn texts(path: &str, payload: &str) -> Vec<String> {
    let root: Option<Box<RawValue>> = serde_json::from_str(payload).ok();
    let parts: Vec<&str> = path.split('.').collect();
    let ends = root.filter(|r| r.get().starts_with('{')).map_or(vec![], |r| lead(&r, &parts));
    ends.iter().map(|end| end.get().to_string()).collect()
}

/// A parsed value; numbers stay text.
enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Box<RawValue>>),
    Object(Vec<(String, Box<RawValue>)>),
}

/// An object's members in order, all of them.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn json(raw: &RawValue) -> Option<Json> {
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'{' => Json::Object(serde_json::from_str::<Members>(text).ok()?.0),
        b'[' => Json::List(serde_json::from_str(text).ok()?),
        b'"' => Json::Text(serde_json::from_str(text).ok()?),
        b't' | b'f' => Json::Bool(text == "true"),
        b'n' => Json::Null,
        _ => Json::Number(Number::parse(text)?),
    })
}

/// Where a path leads.
fn lead(at: &RawValue, parts: &[&str]) -> Vec<Box<RawValue>> {
    let Some((part, rest)) = parts.split_first() else { return vec![at.to_owned()] };
    match json(at) {
        Some(Json::Object(members)) => {
            let member = members.iter().find(|(name, _)| name == part);
            let Some((_, value)) = member else { return vec![] };
            match json(value) {
                Some(Json::List(elements)) if !rest.is_empty() => {
                    let objects = elements.iter().filter(|e| e.get().starts_with('{'));
                    objects.flat_map(|element| lead(element, rest)).collect()
                }
                _ => lead(value, rest),
            }
        }
        _ => vec![],
    }
}

fn field(test: &Test, ends: &[Box<RawValue>]) -> bool {
    let mut values = Vec::new();
    for end in ends {
        match json(end) {
            Some(Json::List(elements)) => values.extend(elements.iter().filter_map(|e| json(e))),
            Some(value) => values.push(value),
            None => {}
        }
    }
    let equal = |scalar: &Scalar| values.iter().any(|value| equals(value, scalar));
    match test {
        Test::Equal(scalar) => equal(scalar),
        Test::NotEqual(scalar) => !equal(scalar),
        Test::In(list) => list.iter().any(equal),
        Test::NotIn(list) => !list.iter().any(equal),
        Test::Exists(yes) => *yes != ends.is_empty(),
        Test::Ordered(order, Bound::Number(bound)) => {
            values.iter().any(|v| matches!(v, Json::Number(n) if order.accepts(n.cmp(bound))))
        }
        Test::Ordered(order, Bound::Text(bound)) => values.iter().any(|v| match v {
            Json::Text(text) => order.accepts(match (instant(text), instant(bound.text())) {
                (Some(value), Some(bound)) => value.cmp(&bound),
                _ => text.as_str().cmp(bound.text()),
            }),
            _ => false,
        }),
        Test::Prefix(prefix) => values.iter().any(|v| matches!(v, Json::Text(t) if t.starts_with(prefix))),
        Test::Match(wanted) => values.iter().any(|v| match v {
            Json::Text(text) => {
                let has: BTreeSet<String> = lower_words(text).collect();
                lower_words(wanted.text()).all(|word| has.contains(&word))
            }
            _ => false,
        }),
        Test::GeoRadius(circle) => values.iter().any(|v| match v {
            Json::Object(members) => {
                let first = |name: &str| members.iter().find(|(n, _)| n == name).map(|(_, v)| json(v));
                match (first("lat"), first("lon")) {
                    (Some(Some(Json::Number(lat))), Some(Some(Json::Number(lon)))) => {
                        circle.contains(lat.real(), lon.real())
                    }
                    _ => false,
                }
            }
            _ => false,
        }),
    }
}

fn lower_words(text: &str) -> impl Iterator<Item = String> + '_ {
    let runs = text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(|run| run.chars().flat_map(char::to_lowercase).collect())
}

fn equals(value: &Json, scalar: &Scalar) -> bool {
    match (value, scalar) {
        (Json::Null, Scalar::Null) => true,
        (Json::Bool(a), Scalar::Bool(b)) => a == b,
        (Json::Number(a), Scalar::Number(b)) => a == b,
        (Json::Text(a), Scalar::Text(b)) => a == b,
        _ => false,
    }
}

/// Strings, numbers and booleans that a path leads to, each once.
pub fn values(path: &str, payload: &str) -> BTreeSet<FieldValue> {
    let root: Option<Box<RawValue>> = serde_json::from_str(payload).ok();
    let parts: Vec<&str> = path.split('.').collect();
    let ends = root.filter(|r| r.get().starts_with('{')).map_or(vec![], |r| lead(&r, &parts));
    let mut values = BTreeSet::new();
    for end in &ends {
        let found = match json(end) {
            Some(Json::List(elements)) => {
                elements.iter().filter_map(|e| FieldValue::parse(e.get())).collect()
            }
            _ => Vec::from_iter(FieldValue::parse(end.get())),
        };
        values.extend(found);
    }
    values
}
