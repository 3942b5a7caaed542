//! A strict JSON reader that builds nothing: it walks the text, hands out slices, and skips what nobody asked
//! for. Nesting is followed with a bit stack, never with recursion.

use std::borrow::Cow;

/// Deepest nesting of lists and objects that [`Scanner::skip_value`] accepts, the same as serde_json's.
pub const MAX_DEPTH: u32 = 127;

/// The text is not JSON, from this byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {at}: {reason}")]
pub struct Malformed {
    /// Byte offset where reading stopped.
    pub at: usize,
    /// What was expected or what is wrong.
    pub reason: &'static str,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    /// The bytes between the quotes, escapes untouched.
    pub raw: &'a str,
    /// Whether there is any escape: if not, `raw` is the value.
    pub escaped: bool,
}

impl<'a> RawText<'a> {
    /// The value.
    pub fn value(&self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }

    /// Whether the value is `text`.
    pub fn is(&self, text: &str) -> bool {
        if self.escaped { unescape(self.raw) == text } else { self.raw == text }
    }
}

/// Resolves escapes. The text has been accepted by the scanner; whatever else comes is replaced, not refused.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let mut used = (at + 2).min(rest.len());
        match code {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let first = hex4(rest, at + 2);
                used = at + 6;
                let unit = match first {
                    Some(high @ 0xd800..0xdc00) => {
                        used = at + 12;
                        hex4(rest, at + 8)
                            .map(|low| 0x10000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff))
                    }
                    other => other,
                };
                out.push(unit.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            ascii => out.push(char::from(ascii)),
        }
        rest = rest.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

fn hex4(text: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(text.get(at..at + 4)?, 16).ok()
}

/// Whether `text` is exactly one JSON object, nested no deeper than [`MAX_DEPTH`].
pub fn check_object(text: &str) -> Result<(), Malformed> {
    let mut scan = Scanner::new(text);
    if scan.peek() != Some(b'{') {
        return scan.fail("expected an object");
    }
    scan.skip_value()?;
    scan.end()
}

/// A position in a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Byte offset.
    pub fn at(&self) -> usize {
        self.at
    }

    /// A refusal at this position.
    pub fn fail<T>(&self, reason: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, reason })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space, without taking it.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes the next byte if it is `byte`.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` or refuses.
    pub fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { self.fail(reason) }
    }

    /// Refuses anything but white space up to the end.
    pub fn end(&mut self) -> Result<(), Malformed> {
        if self.peek().is_none() { Ok(()) } else { self.fail("expected the end of the text") }
    }

    /// After the opening brace or after a member: the next key with its colon, or `None` at the brace.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<RawText<'a>>, Malformed> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',', "expected ',' or '}'")?;
        }
        let key = self.string()?;
        self.expect(b':', "expected ':'")?;
        Ok(Some(key))
    }

    /// After the opening bracket or after an element: whether another element follows.
    pub fn element(&mut self, first: &mut bool) -> Result<bool, Malformed> {
        if self.take(b']') {
            return Ok(false);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',', "expected ',' or ']'")?;
        }
        Ok(true)
    }

    /// A string.
    pub fn string(&mut self) -> Result<RawText<'a>, Malformed> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = plain_until(self.text.as_bytes(), self.at);
            match self.byte() {
                Some(b'"') => {
                    let raw = self.text.get(start..self.at).unwrap_or("");
                    self.at += 1;
                    return Ok(RawText { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("control character in a string"),
                None => return self.fail("string without an end"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let rest = self.text.get(self.at + 1..).unwrap_or("");
        match rest.as_bytes().first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match unit(rest, 1) {
                Some(0xd800..0xdc00) if rest.as_bytes().get(5..7) == Some(b"\\u") => match unit(rest, 7) {
                    Some(0xdc00..0xe000) => self.at += 12,
                    _ => return self.fail("unpaired surrogate"),
                },
                Some(0xd800..0xe000) => return self.fail("unpaired surrogate"),
                Some(_) => self.at += 6,
                None => return self.fail("expected four hexadecimal digits after \\u"),
            },
            _ => return self.fail("unknown escape"),
        }
        Ok(())
    }

    /// The text of a number.
    pub fn number(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("expected a value"),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or(""))
    }

    fn some_digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.digits();
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    fn digits(&mut self) {
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// `true`, `false` or `null`, as `Some(true)`, `Some(false)` and `None`.
    pub fn word(&mut self) -> Result<Option<bool>, Malformed> {
        self.peek();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or(&[]);
        for (word, value) in [(&b"true"[..], Some(true)), (b"false", Some(false)), (b"null", None)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("expected a value")
    }

    /// One value of any kind, checked strictly and thrown away.
    pub fn skip_value(&mut self) -> Result<(), Malformed> {
        // One bit per open list (0) or object (1), innermost lowest.
        let (mut open, mut depth) = (0u128, 0u32);
        loop {
            let mut opened = false;
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return self.fail("nested too deep");
                    }
                    self.at += 1;
                    open = open << 1 | u128::from(bracket == b'{');
                    depth += 1;
                    opened = true;
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(b't' | b'f' | b'n') => {
                    self.word()?;
                }
                _ => {
                    self.number()?;
                }
            }
            // Close what ends here, then stand before the next value.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let more =
                    if open & 1 == 1 { self.key(&mut opened)?.is_some() } else { self.element(&mut opened)? };
                if more {
                    break;
                }
                open >>= 1;
                depth -= 1;
                opened = false;
            }
        }
    }
}

fn unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The first quote, backslash or control character at or after `at`, eight bytes at a time.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below = |v: u64, limit: u64| v.wrapping_sub(ONES * limit) & !v & HIGH;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|c| <[u8; 8]>::try_from(c).ok()) {
        let v = u64::from_le_bytes(chunk);
        // A borrow can only disturb bytes above the first hit, and only the first hit is used.
        let hits = below(v, 0x20) | below(v ^ (ONES * 0x22), 1) | below(v ^ (ONES * 0x5c), 1);
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, 0..0x20 | b'"' | b'\\')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_accepts_what_serde_accepts() {
        let texts = [
            r#"{}"#,
            r#"{"a":1}"#,
            r#" { "a" : [ 1 , -0.5e+3 , "x" ] } "#,
            r#"{"a":{"b":[[],{}]}}"#,
            r#"{"a":"\u00e9\ud83e\udd80\n\\"}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a" 1}"#,
            r#"{"a":1,}"#,
            r#"{,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00x"}"#,
            r#"{"a":"\u12g4"}"#,
            r#"{"a":1} x"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":"b"#,
            "{",
            "",
            r#"{"a":[}]"#,
            r#"{"a":{]}"#,
            r#"{1:2}"#,
            "{\"long string without an end ........",
            r#"{"a":nul}"#,
        ];
        for text in texts {
            let expected = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
            assert_eq!(check_object(text).is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn it_is_bounded_on_deep_input() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(check_object(&deep).unwrap_err().reason, "nested too deep");
        let fits = format!("{{\"a\":{}1{}}}", "[".repeat(126), "]".repeat(126));
        assert!(check_object(&fits).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&fits).is_ok());
    }

    #[test]
    fn escapes_resolve() {
        let mut scan = Scanner::new(r#""a\"\\\/\b\f\n\r\t\u00e9\ud83e\udd80z""#);
        assert_eq!(scan.string().unwrap().value(), "a\"\\/\u{8}\u{c}\n\r\té🦀z");
        assert_eq!(unescape("\\u12"), "\u{fffd}");
        assert_eq!(unescape("\\ud83e\\u0041"), unescape("\\ud83e\\u0041"));
        assert_eq!(unescape("x\\"), "x\\");
    }

    #[test]
    fn strings_end_at_every_offset() {
        for length in 0..40 {
            for end in ["\"", "\\n\"", "é\""] {
                let text = format!("\"{}{end}", "y".repeat(length));
                let raw = Scanner::new(&text).string().unwrap();
                assert_eq!(raw.raw, &text[1..text.len() - 1]);
            }
        }
    }
}
