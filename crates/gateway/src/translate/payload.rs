//! Payloads: a JSON object whose text is kept, apart from whitespace between its tokens.
//!
//! One pass without recursion over text that is known to be one JSON value: it drops insignificant whitespace,
//! bounds the nesting, and finds keys that one object has twice. Numbers and strings are copied as they stand.

use std::borrow::Cow;

/// Why a payload is refused: a path below it (`.a.b[3]`, empty for itself) and the reason.
pub type Refusal = (String, String);

enum Frame<'a> {
    Object { keys: Vec<Cow<'a, str>>, key_next: bool },
    Array { index: usize },
}

/// The object's text without insignificant whitespace.
pub fn compact_object(text: &str, max_depth: usize) -> Result<String, Refusal> {
    let start = text.trim_ascii_start();
    if !start.starts_with('{') {
        return Err((String::new(), format!("must be a JSON object, got {}", kind_of(start))));
    }
    let mut pass = Pass { out: String::with_capacity(text.len()), frames: Vec::new(), max_depth };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                let end = end_of_string(bytes, at);
                pass.string(text.get(at..end).unwrap_or_default())?;
                at = end;
            }
            _ => {
                let end = end_of_token(bytes, at);
                pass.token(byte, text.get(at..end).unwrap_or_default())?;
                at = end;
            }
        }
    }
    Ok(pass.out)
}

struct Pass<'a> {
    out: String,
    frames: Vec<Frame<'a>>,
    max_depth: usize,
}

impl<'a> Pass<'a> {
    fn string(&mut self, quoted: &'a str) -> Result<(), Refusal> {
        self.out.push_str(quoted);
        let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        let escaped = inner.contains('\\');
        let value =
            if escaped { unescape(quoted).ok_or_else(|| self.half_character())? } else { inner.into() };
        if let Some(Frame::Object { keys, key_next: key_next @ true }) = self.frames.last_mut() {
            keys.push(value);
            *key_next = false;
        }
        Ok(())
    }

    fn token(&mut self, first: u8, token: &str) -> Result<(), Refusal> {
        match first {
            b'{' => self.open(Frame::Object { keys: Vec::new(), key_next: true })?,
            b'[' => self.open(Frame::Array { index: 0 })?,
            b'}' | b']' => self.close()?,
            b',' => match self.frames.last_mut() {
                Some(Frame::Object { key_next, .. }) => *key_next = true,
                Some(Frame::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
        self.out.push_str(token);
        Ok(())
    }

    fn open(&mut self, frame: Frame<'a>) -> Result<(), Refusal> {
        if self.frames.len() >= self.max_depth {
            let reason = format!("is nested more than {} deep", self.max_depth);
            return Err((String::new(), reason));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refusal> {
        let Some(Frame::Object { mut keys, .. }) = self.frames.pop() else {
            return Ok(());
        };
        keys.sort_unstable();
        match keys.array_windows::<2>().find(|[a, b]| a == b) {
            Some([twice, _]) => {
                let path = format!("{}.{twice}", self.path());
                Err((path, "appears twice in one object".into()))
            }
            None => Ok(()),
        }
    }

    fn half_character(&self) -> Refusal {
        (self.path(), "has a \\u escape that is half a character (an unpaired surrogate)".into())
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Object { keys, .. } => {
                    if let Some(key) = keys.last() {
                        path.push('.');
                        path.push_str(key);
                    }
                }
                Frame::Array { index } => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

fn unescape(quoted: &str) -> Option<Cow<'static, str>> {
    serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One structural character, or a whole number or literal.
fn end_of_token(bytes: &[u8], start: usize) -> usize {
    let plain = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.');
    let length = bytes[start..].iter().take_while(|byte| plain(byte)).count();
    start + length.max(1)
}

/// What a JSON value is, for a sentence.
fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_goes_and_everything_else_stays() {
        for (text, kept) in [
            ("{}", "{}"),
            (" { \"a\" : [ 1 , 2 ] }\n", r#"{"a":[1,2]}"#),
            (r#"{"n": 9007199254740993, "x": 1.50e+10}"#, r#"{"n":9007199254740993,"x":1.50e+10}"#),
            (
                r#"{"s": "a  b\" \\", "é": "\ud83e\udd80 \u0000"}"#,
                r#"{"s":"a  b\" \\","é":"\ud83e\udd80 \u0000"}"#,
            ),
            (
                r#"{"a": {"a": {"a": null}}, "b": [{"a": 1}, {"a": true}]}"#,
                r#"{"a":{"a":{"a":null}},"b":[{"a":1},{"a":true}]}"#,
            ),
        ] {
            assert_eq!(compact_object(text, 64).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn refusals_say_where() {
        for (text, path, reason) in [
            ("[1]", "", "must be a JSON object, got a list"),
            ("null", "", "got null"),
            (r#"{"a":1,"b":2,"a":3}"#, ".a", "twice"),
            (r#"{"x":[0,{"b":{"k":1,"\u006b":2}}]}"#, ".x[1].b.k", "twice"),
            (r#"{"x":["\ud800"]}"#, ".x[0]", "half a character"),
            (r#"{"a":{"b":{}}}"#, "", "more than 2 deep"),
        ] {
            let depth = if text.contains("{}") { 2 } else { 64 };
            let (at, why) = compact_object(text, depth).expect_err(text);
            assert_eq!(at, path, "{text}");
            assert!(why.contains(reason), "{why}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert!(compact_object(&deep, 64).is_err());
        assert!(compact_object(&deep, 200).is_ok());
    }
}
