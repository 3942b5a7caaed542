//! What became of a command, as bytes that are the same on every replica.
//!
//! Encoding, version 2: version u8 · kind u8 · its fields. The items of a write are stored as runs of equal
//! ones: kind u8 · length u32 · the version there is or the bytes of the payload, if that is why the item was refused.

use crate::bytes::{DecodeError, Decoded, Reader, Writer};

const FORMAT: u8 = 1;

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command was carried out, item by item.
    Written {
        /// The version of every item that was applied: the log index.
        version: u64,
        /// One per item of an upsert or a delete by ids, in order; empty otherwise.
        items: Vec<ItemOutcome>,
        /// Points that a delete removed.
        deleted: u64,
        /// The key was known: this is the first answer again, and nothing was done now.
        replayed: bool,
    },
    /// A change of payloads by filter was carried out.
    Edited {
        /// The version of every point that was changed: the log index.
        version: u64,
        /// Points that were changed.
        updated: u64,
        /// The first [`REFUSED_LISTED`] points that were not, in id order.
        refused: Vec<Refused>,
        /// How many more were not.
        refused_more: u64,
        /// As of [`Outcome::Written`].
        replayed: bool,
    },
    /// The idempotency key stands for another body; nothing was done.
    KeyReused,
    /// The shard is sealed; nothing was done.
    Sealed,
    /// Too many idempotency keys are remembered to take another: nothing was done, and a retry may succeed when
    /// old ones expire, or without a key.
    WindowFull,
    /// The shard has been split, and does not take all that the command is about any more: nothing was done, and the
    /// rest belongs to another shard. A split where it cannot be cut is answered so too.
    OutOfRange,
    /// The command makes no sense; nothing was done.
    Malformed(String),
    /// This replica's stored data is damaged and nothing was done here, not even the applied index moved.
    /// Never a replicated result: the replica must be replaced.
    Damaged(String),
}

/// Points that a change by filter did not change and that its answer names: answers are remembered.
pub const REFUSED_LISTED: usize = 100;

/// A point that a change by filter did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub id: String,
    /// Why.
    pub item: ItemOutcome,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Written, changed or deleted.
    Applied,
    /// Nothing to delete or to change: there is no such id.
    Missing,
    /// `if_version` did not hold.
    VersionMismatch {
        /// The version there is; 0 if there is no such id.
        current: u64,
    },
    /// `if_filter` did not hold.
    FilterMismatch {
        /// The version there is; 0 if there is no such id.
        current: u64,
    },
    /// The payload would have grown over the limit.
    PayloadTooLarge {
        /// Bytes that it would have had.
        bytes: u64,
    },
}

impl Outcome {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(FORMAT);
        match self {
            Outcome::Written { version, items, deleted, replayed } => {
                w.u8(1);
                w.u64(*version);
                w.u64(*deleted);
                w.u8(u8::from(*replayed));
                let runs = || items.chunk_by(|a, b| a == b);
                w.len(runs().count());
                runs().for_each(|run| write_run(&mut w, run));
            }
            Outcome::KeyReused => w.u8(2),
            Outcome::Sealed => w.u8(3),
            Outcome::Malformed(reason) => {
                w.u8(4);
                w.bytes(reason.as_bytes());
            }
            Outcome::Damaged(reason) => {
                w.u8(5);
                w.bytes(reason.as_bytes());
            }
            Outcome::WindowFull => w.u8(6),
            Outcome::OutOfRange => w.u8(7),
            Outcome::Edited { version, updated, refused, refused_more, replayed } => {
                w.u8(8);
                w.u64(*version);
                w.u64(*updated);
                w.u64(*refused_more);
                w.u8(u8::from(*replayed));
                w.len(refused.len());
                for Refused { id, item } in refused {
                    w.bytes(id.as_bytes());
                    write_run(&mut w, &[*item]);
                }
            }
        }
        w.0
    }

    /// The outcome of these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Outcome, DecodeError> {
        let mut r = Reader(bytes);
        if r.u8()? != FORMAT {
            return Err(DecodeError("unknown outcome format"));
        }
        let outcome = match r.u8()? {
            1 => written(&mut r)?,
            2 => Outcome::KeyReused,
            3 => Outcome::Sealed,
            4 => Outcome::Malformed(r.text()?.into()),
            5 => Outcome::Damaged(r.text()?.into()),
            6 => Outcome::WindowFull,
            7 => Outcome::OutOfRange,
            8 => edited(&mut r)?,
            _ => return Err(DecodeError("unknown outcome")),
        };
        r.end()?;
        Ok(outcome)
    }
}

fn written(r: &mut Reader<'_>) -> Decoded<Outcome> {
    /// More items than any batch has: keeps a damaged count from asking for memory.
    const ITEMS_MAX: usize = 1 << 24;
    let (version, deleted, replayed) = (r.u64()?, r.u64()?, r.flag()?);
    let runs = r.list(5, read_run)?;
    let count = runs.iter().fold(0usize, |count, (_, n)| count.saturating_add(*n));
    if count > ITEMS_MAX {
        return Err(DecodeError("too many items"));
    }
    let mut items = Vec::with_capacity(count);
    for (item, n) in runs {
        items.extend(std::iter::repeat_n(item, n));
    }
    Ok(Outcome::Written { version, items, deleted, replayed })
}

fn edited(r: &mut Reader<'_>) -> Decoded<Outcome> {
    let (version, updated, refused_more, replayed) = (r.u64()?, r.u64()?, r.u64()?, r.flag()?);
    let refused = r.list(9, |r| Ok(Refused { id: r.text()?.into(), item: read_run(r)?.0 }))?;
    Ok(Outcome::Edited { version, updated, refused, refused_more, replayed })
}

/// Writes equal items.
fn write_run(w: &mut Writer, run: &[ItemOutcome]) {
    let Some(item) = run.first() else { return };
    w.u8(match item {
        ItemOutcome::Applied => 0,
        ItemOutcome::Missing => 1,
        ItemOutcome::VersionMismatch { .. } => 2,
        ItemOutcome::FilterMismatch { .. } => 3,
        ItemOutcome::PayloadTooLarge { .. } => 4,
    });
    w.len(run.len());
    match item {
        ItemOutcome::Applied | ItemOutcome::Missing => {}
        ItemOutcome::VersionMismatch { current: number }
        | ItemOutcome::FilterMismatch { current: number }
        | ItemOutcome::PayloadTooLarge { bytes: number } => w.u64(*number),
    }
}

fn read_run(r: &mut Reader<'_>) -> Decoded<(ItemOutcome, usize)> {
    let (kind, n) = (r.u8()?, r.u32()? as usize);
    let item = match kind {
        0 => ItemOutcome::Applied,
        1 => ItemOutcome::Missing,
        2 => ItemOutcome::VersionMismatch { current: r.u64()? },
        3 => ItemOutcome::FilterMismatch { current: r.u64()? },
        4 => ItemOutcome::PayloadTooLarge { bytes: r.u64()? },
        _ => return Err(DecodeError("unknown item outcome")),
    };
    Ok((item, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_uniform_answer_is_a_few_bytes() {
        let items = vec![ItemOutcome::Missing; 10_000];
        let outcome = Outcome::Written { version: 7, items, deleted: 0, replayed: false };
        let bytes = outcome.encode();
        assert!(bytes.len() < 40, "{}", bytes.len());
        assert_eq!(Outcome::decode(&bytes), Ok(outcome));
    }

    #[test]
    fn a_forged_run_asks_for_no_memory() {
        let items = vec![ItemOutcome::Applied];
        let mut bytes = Outcome::Written { version: 7, items, deleted: 0, replayed: false }.encode();
        let len = bytes.len();
        bytes[len - 4..].fill(255);
        assert_eq!(Outcome::decode(&bytes), Err(DecodeError("too many items")));
    }
}
