//! Session tokens: which state of each shard a caller has seen or written.

use crate::sealed::{Kind, Reader, Writer};
use std::collections::BTreeMap;
use vectron_base::ids::{Incarnation, ShardId};
use vectron_wire::placement::Collection;

/// Applied indexes by shard, of one life of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The life of the collection.
    pub incarnation: Incarnation,
    seen: BTreeMap<ShardId, u64>,
}

impl Session {
    /// Nothing seen yet.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, seen: BTreeMap::new() }
    }

    /// A shard was seen at this index; a session only moves forward.
    pub fn saw(&mut self, shard: ShardId, index: u64) {
        let seen = self.seen.entry(shard).or_insert(0);
        *seen = index.max(*seen);
    }

    /// The index that a read of the shard must have applied.
    pub fn of(&self, shard: ShardId) -> u64 {
        self.seen.get(&shard).copied().unwrap_or(0)
    }

    /// A shard that it has seen and this map of the same life lacks: the map is older than the session.
    pub fn beyond(&self, collection: &Collection) -> Option<ShardId> {
        let known = |shard: &&ShardId| collection.shards.iter().any(|s| s.shard == **shard);
        self.seen.keys().find(|shard| !known(shard)).copied()
    }

    /// The token.
    pub fn to_token(&self) -> String {
        let mut writer = Writer::new(Kind::Session);
        writer.number(self.incarnation.0);
        writer.number(self.seen.len() as u64);
        for (shard, index) in &self.seen {
            writer.number(shard.0);
            writer.number(*index);
        }
        writer.finish()
    }

    /// The session of a token; `None` when it is not one.
    pub fn from_token(token: &str) -> Option<Self> {
        let mut reader = Reader::open(Kind::Session, token)?;
        let mut session = Self::new(Incarnation(reader.number()?));
        for _ in 0..reader.number()? {
            session.saw(ShardId(reader.number()?), reader.number()?);
        }
        reader.finished().then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_only_move_forward() {
        let mut session = Session::new(Incarnation(7));
        session.saw(ShardId(3), 900);
        session.saw(ShardId(3), 12);
        session.saw(ShardId(u64::MAX), u64::MAX);
        let read = Session::from_token(&session.to_token()).expect("own token");
        assert_eq!(read, session);
        assert_eq!((read.of(ShardId(3)), read.of(ShardId(4))), (900, 0));
        for bad in ["", "!", "AAAA", "AQEBARGnc2Yx"] {
            assert!(Session::from_token(bad).is_none(), "{bad}");
        }
    }
}
