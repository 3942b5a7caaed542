//! What became of a command, as bytes that are the same on every replica.
//!
//! Encoding, version 1: version u8 · kind u8 · its fields. The items of a write are stored as their number
//! and the exceptions from "applied", which are few.

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
    /// The idempotency key stands for another body; nothing was done.
    KeyReused,
    /// The shard is sealed; nothing was done.
    Sealed,
    /// The command makes no sense; nothing was done.
    Malformed(String),
    /// This replica's stored data is damaged and nothing was done here, not even the applied index moved.
    /// Never a replicated result: the replica must be replaced.
    Damaged(String),
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Written or deleted.
    Applied,
    /// Nothing to delete: there is no such id.
    Missing,
    /// `if_version` did not hold.
    VersionMismatch {
        /// The version there is; 0 if there is no such id.
        current: u64,
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
                w.len(items.len());
                let others = items.iter().enumerate().filter(|(_, item)| **item != ItemOutcome::Applied);
                w.len(others.clone().count());
                for (at, item) in others {
                    w.len(at);
                    w.option(match item {
                        ItemOutcome::VersionMismatch { current } => Some(*current),
                        _ => None,
                    });
                }
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
    let count = r.u32()? as usize;
    if count > ITEMS_MAX {
        return Err(DecodeError("too many items"));
    }
    let others = r.list(5, |r| Ok((r.u32()? as usize, r.option()?)))?;
    let mut items = vec![ItemOutcome::Applied; count];
    for (at, current) in others {
        let item = items.get_mut(at).ok_or(DecodeError("an item is out of range"))?;
        *item = current.map_or(ItemOutcome::Missing, |current| ItemOutcome::VersionMismatch { current });
    }
    Ok(Outcome::Written { version, items, deleted, replayed })
}
