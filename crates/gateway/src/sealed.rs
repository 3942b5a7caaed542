//! Opaque tokens for callers: bytes with a version and a check, as base64url text.
//!
//! The check finds damage and mix-ups, not forgery: a token grants nothing that a plain request would not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const VERSION: u8 = 1;
/// Longest token that is looked at.
const MAX_TEXT: usize = 65_536;
const CHECK_BYTES: usize = 6;

/// What a token is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Applied indexes by shard.
    Session = 0x5e,
    /// A place in a scroll.
    Cursor = 0xc0,
}

fn check(kind: Kind, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = xxh3_64_with_seed(bytes, kind as u64).to_le_bytes();
    [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]]
}

/// Writes a token.
pub struct Writer {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty token.
    pub fn new(kind: Kind) -> Self {
        Self { kind, bytes: vec![VERSION] }
    }

    /// Appends a number, seven bits per byte.
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Appends a text with its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// The token.
    pub fn finish(mut self) -> String {
        let check = check(self.kind, &self.bytes);
        self.bytes.extend_from_slice(&check);
        URL_SAFE_NO_PAD.encode(self.bytes)
    }
}

/// Reads a token.
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    /// The token in a text; `None` when it is damaged, of another kind or of another version.
    pub fn open(kind: Kind, text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let body = bytes.len().checked_sub(CHECK_BYTES)?;
        if bytes.first() != Some(&VERSION) || bytes[body..] != check(kind, &bytes[..body]) {
            return None;
        }
        bytes.truncate(body);
        Some(Self { bytes, at: 1 })
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next text.
    pub fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let slice = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        String::from_utf8(slice.to_vec()).ok()
    }

    /// Whether everything was read.
    pub fn finished(&self) -> bool {
        self.at == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let mut writer = Writer::new(Kind::Cursor);
        for n in [0, 127, 128, u64::MAX] {
            writer.number(n);
        }
        writer.text("🦀");
        let token = writer.finish();
        let mut reader = Reader::open(Kind::Cursor, &token).expect("own token");
        for n in [0, 127, 128, u64::MAX] {
            assert_eq!(reader.number(), Some(n));
        }
        assert_eq!(reader.text().as_deref(), Some("🦀"));
        assert!(reader.finished());
        assert!(reader.number().is_none());
        assert!(Reader::open(Kind::Session, &token).is_none());
        for i in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[i] = if bytes[i] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(bytes).expect("ascii");
            // The unused low bits of the last character may differ without a change of bytes.
            assert!(Reader::open(Kind::Cursor, &damaged).is_none(), "{i}");
        }
        assert!(Reader::open(Kind::Cursor, "").is_none());
        assert!(Reader::open(Kind::Cursor, &"A".repeat(1 << 20)).is_none());
    }
}
