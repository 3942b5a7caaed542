//! Changes to a payload as it stands: merge, replace, unset. Text in, text out; what a change does not name keeps its
//! bytes.

use crate::bytes::{DecodeError, Decoded, Reader, Writer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use vectron_base::filter::json::{self, Malformed, RawText, Scanner};

/// A change to a payload, with the limit that the result is held to. The limit travels with the command, so that every
/// replica decides alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadEdit {
    /// What to change.
    pub change: PayloadChange,
    /// A result of more bytes than this is refused, unless it is no longer than what was there.
    pub bytes_max: u64,
}

/// What is done to a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadChange {
    /// A JSON merge patch (RFC 7396): a member that is null removes, a member that is an object is merged into the
    /// object there, anything else replaces. Members keep their places; new ones follow.
    Merge(String),
    /// This object in place of the one there.
    Replace(String),
    /// Removes what these dotted paths lead to, through objects only; where one leads to nothing, nothing happens.
    Unset(Vec<String>),
}

/// One member of an object's text.
struct Member<'a> {
    key: RawText<'a>,
    value: &'a str,
}

/// The members of an object's text, in order.
fn members(text: &str) -> Result<Vec<Member<'_>>, Malformed> {
    let mut scan = Scanner::new(text);
    scan.expect(b'{', "expected an object")?;
    let (mut members, mut first) = (Vec::new(), true);
    while let Some(key) = scan.key(&mut first)? {
        scan.peek();
        let start = scan.at();
        scan.skip_value()?;
        members.push(Member { key, value: text.get(start..scan.at()).unwrap_or("") });
    }
    Ok(members)
}

/// An object's text, being written.
struct Object<'o> {
    out: &'o mut String,
    any: bool,
}

impl<'o> Object<'o> {
    fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, any: false }
    }

    /// Writes a key as it stood; its value is to follow.
    fn key(&mut self, key: RawText<'_>) -> &mut String {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key.raw);
        self.out.push_str("\":");
        self.out
    }

    fn close(self) {
        self.out.push('}');
    }
}

fn is_object(value: &str) -> bool {
    value.starts_with('{')
}

/// The merge patch of RFC 7396, section 2, for a target and a patch that are objects.
fn merge(target: &str, patch: &str, out: &mut String) -> Result<(), Malformed> {
    let patches = members(patch)?;
    let mut open: BTreeMap<Cow<'_, str>, &str> =
        patches.iter().map(|member| (member.key.value(), member.value)).collect();
    let mut object = Object::open(out);
    for Member { key, value } in members(target)? {
        match open.remove(&key.value()) {
            None => object.key(key).push_str(value),
            Some("null") => {}
            Some(new) if is_object(new) => {
                merge(if is_object(value) { value } else { "{}" }, new, object.key(key))?;
            }
            Some(new) => object.key(key).push_str(new),
        }
    }
    for Member { key, .. } in &patches {
        match open.remove(&key.value()) {
            None | Some("null") => {}
            Some(new) if is_object(new) => merge("{}", new, object.key(*key))?,
            Some(new) => object.key(*key).push_str(new),
        }
    }
    object.close();
    Ok(())
}

/// Removes what the paths lead to.
fn unset(target: &str, paths: &[&[&str]], out: &mut String) -> Result<(), Malformed> {
    let mut object = Object::open(out);
    for Member { key, value } in members(target)? {
        let tails = || paths.iter().filter_map(|path| path.split_first().filter(|(head, _)| key.is(head)));
        if tails().any(|(_, tail)| tail.is_empty()) {
            continue;
        }
        let further: Vec<&[&str]> = tails().map(|(_, tail)| tail).collect();
        let into = object.key(key);
        if further.is_empty() || !is_object(value) {
            into.push_str(value);
        } else {
            unset(value, &further, into)?;
        }
    }
    object.close();
    Ok(())
}

impl PayloadEdit {
    /// The payload after the change, or its length if that is over the limit. A payload that is no object counts as
    /// an empty one.
    pub(crate) fn of(&self, payload: &str) -> Result<String, u64> {
        let mut out = String::new();
        let target = if json::check_object(payload).is_ok() { payload.trim_ascii_start() } else { "{}" };
        let done = match &self.change {
            PayloadChange::Merge(patch) => merge(target, patch, &mut out),
            PayloadChange::Replace(new) => {
                out.push_str(new);
                Ok(())
            }
            PayloadChange::Unset(paths) => {
                let split: Vec<Vec<&str>> = paths.iter().map(|path| path.split('.').collect()).collect();
                let paths: Vec<&[&str]> = split.iter().map(Vec::as_slice).collect();
                unset(target, &paths, &mut out)
            }
        };
        if done.is_err() {
            // Both texts were checked: this does not happen. Whatever would, happens on every replica.
            return Ok(payload.to_string());
        }
        let bytes = out.len() as u64;
        if bytes > self.bytes_max && out.len() > payload.len() { Err(bytes) } else { Ok(out) }
    }

    /// Why the change makes no sense.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.change {
            PayloadChange::Merge(text) | PayloadChange::Replace(text) => {
                json::check_object(text).err().map(|error| error.to_string())
            }
            PayloadChange::Unset(paths) => {
                let empty = |path: &&String| path.split('.').any(str::is_empty);
                paths.iter().find(empty).map(|path| format!("the path '{path}' has an empty part"))
            }
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        match &self.change {
            PayloadChange::Merge(text) => {
                w.u8(1);
                w.bytes(text.as_bytes());
            }
            PayloadChange::Replace(text) => {
                w.u8(2);
                w.bytes(text.as_bytes());
            }
            PayloadChange::Unset(paths) => {
                w.u8(3);
                w.len(paths.len());
                paths.iter().for_each(|path| w.bytes(path.as_bytes()));
            }
        }
        w.u64(self.bytes_max);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Decoded<PayloadEdit> {
        let change = match r.u8()? {
            1 => PayloadChange::Merge(r.text()?.into()),
            2 => PayloadChange::Replace(r.text()?.into()),
            3 => PayloadChange::Unset(r.list(4, |r| Ok(r.text()?.into()))?),
            _ => return Err(DecodeError("unknown change of a payload")),
        };
        Ok(PayloadEdit { change, bytes_max: r.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn edited(change: PayloadChange, payload: &str) -> String {
        PayloadEdit { change, bytes_max: 1 << 20 }.of(payload).unwrap()
    }

    fn merged(payload: &str, patch: &str) -> String {
        edited(PayloadChange::Merge(patch.into()), payload)
    }

    #[test]
    fn the_examples_of_rfc_7396_that_are_about_objects() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(merged(target, patch), result, "{target} {patch}");
        }
    }

    #[test]
    fn what_a_change_does_not_name_keeps_its_bytes() {
        let payload = r#"{"n":9007199254740993,"x":1.50e+10,"s":"\u0061\/","é":{"k":[1.0,-0]}}"#;
        assert_eq!(
            merged(payload, r#"{"new":18446744073709551616,"x":2}"#),
            r#"{"n":9007199254740993,"x":2,"s":"\u0061\/","é":{"k":[1.0,-0]},"new":18446744073709551616}"#
        );
        assert_eq!(merged(r#"{"\u0061":1,"b":2}"#, r#"{"a":3}"#), r#"{"\u0061":3,"b":2}"#);
        let unset = |paths: &[&str]| {
            edited(PayloadChange::Unset(paths.iter().map(|p| p.to_string()).collect()), payload)
        };
        assert_eq!(unset(&["n", "é.k", "s.t", "nothing"]), r#"{"x":1.50e+10,"s":"\u0061\/","é":{}}"#);
        assert_eq!(unset(&[]), payload);
    }

    #[test]
    fn only_growth_is_held_to_the_limit() {
        let edit = |change| PayloadEdit { change, bytes_max: 10 };
        let merge = edit(PayloadChange::Merge(r#"{"a":"12345"}"#.into()));
        assert_eq!(merge.of("{}"), Err(13));
        let long = r#"{"a":"1234567","b":1}"#;
        assert_eq!(merge.of(long).as_deref(), Ok(r#"{"a":"12345","b":1}"#));
        assert_eq!(
            edit(PayloadChange::Unset(vec!["b".into()])).of(long).as_deref(),
            Ok(r#"{"a":"1234567"}"#)
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a\"\\\\é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                object(inner).prop_map(Value::Object),
            ]
        })
    }

    fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
        prop::collection::btree_map("[ab\"é]", inner, 0..4).prop_map(|map| map.into_iter().collect())
    }

    /// The algorithm of RFC 7396, section 2, over values.
    fn oracle(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut result = match target {
            Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                result.remove(name);
            } else {
                let old = result.remove(name).unwrap_or(Value::Null);
                result.insert(name.clone(), oracle(old, value));
            }
        }
        Value::Object(result)
    }

    fn without(target: &Value, path: &[&str]) -> Value {
        let mut result = target.clone();
        if let (Some(map), Some((head, tail))) = (result.as_object_mut(), path.split_first()) {
            match map.remove(*head) {
                Some(inner) if !tail.is_empty() => _ = map.insert(head.to_string(), without(&inner, tail)),
                _ => {}
            }
        }
        result
    }

    proptest! {
        #[test]
        fn merging_texts_is_merging_values(target in object(value()), patch in object(value())) {
            let (target, patch) = (Value::Object(target), Value::Object(patch));
            let text = merged(&target.to_string(), &patch.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), oracle(target, &patch));
        }

        #[test]
        fn unsetting_texts_is_unsetting_values(
            target in object(value()),
            paths in prop::collection::vec(prop::collection::vec("[ab\"é]", 1..4), 0..4),
        ) {
            let target = Value::Object(target);
            let names: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
            let text = edited(PayloadChange::Unset(names), &target.to_string());
            let expected = paths.iter().fold(target, |value, path| {
                without(&value, &path.iter().map(String::as_str).collect::<Vec<_>>())
            });
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        }
    }
}
