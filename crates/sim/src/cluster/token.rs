//! What a session token says. Tokens are opaque to clients; the checkers are no clients.

use crate::history::Positions;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The applied index of each shard in a token; `None` when it is none.
pub(crate) fn positions(token: &str) -> Option<Positions> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    // A version byte, the incarnation, the number of shards, the shards and their indexes; six bytes of check.
    let mut numbers = Numbers(bytes.get(1..bytes.len().checked_sub(6)?)?);
    numbers.next()?;
    let count = numbers.next()?;
    let pairs: Option<Vec<(u64, u64)>> =
        (0..count).map(|_| Some((numbers.next()?, numbers.next()?))).collect();
    pairs.filter(|_| numbers.0.is_empty()).map(Positions)
}

/// Numbers of seven bits a byte, the low ones first.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
