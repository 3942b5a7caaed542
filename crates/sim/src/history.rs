//! What clients saw: every operation with when it was asked and answered, and what the answer said.
//!
//! Every content that is ever written is its own, so that an answer tells which write it shows. What an answer
//! says of the state that it saw is a position: the applied index of each shard, out of its session token. The
//! checkers take nothing else.

use std::collections::BTreeMap;
use vectron_base::clock::Tick;
use vectron_wire::routing::hash_of_id;

/// Numbers per vector in every workload.
pub const DIMENSION: usize = 4;

/// A point of the workload; its public id is [`public_id`] of it.
pub type Id = u32;

/// A write as its caller means it, however often it is sent.
pub type WriteNumber = u64;

/// The moment of an answer that never came.
pub const NEVER: Tick = Tick(u64::MAX);

/// The id as it is written.
pub fn public_id(id: Id) -> String {
    format!("p{id}")
}

/// The id of a written one.
pub fn parse_id(text: &str) -> Option<Id> {
    text.strip_prefix('p')?.parse().ok()
}

/// When an operation was asked for and answered, in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Asked.
    pub invoked: Tick,
    /// Answered, or [`NEVER`].
    pub returned: Tick,
}

/// What a point holds. Small whole numbers, so that squared distances are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content {
    /// Its vector.
    pub vector: [f32; DIMENSION],
    /// What filters go by.
    pub color: u8,
}

/// Applied indexes by shard, as an answer states them; ordered by shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub Vec<(u64, u64)>);

impl Positions {
    /// The index of a shard.
    pub fn of(&self, shard: u64) -> Option<u64> {
        self.0.iter().find(|(of, _)| *of == shard).map(|(_, index)| *index)
    }
}

/// How one sending of a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Durable and applied, in the state of this index; `None` when the answer did not tell.
    Applied(Option<u64>),
    /// `if_version` did not hold; the version that was found.
    Mismatch(u64),
    /// It did not happen and never will.
    NotApplied,
    /// It may have happened or may yet happen.
    Unknown,
}

/// One sending of a write of one point. Points that were sent together share `request`.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// When.
    pub span: Span,
    /// Which write this is, the same at every sending. It names the content too.
    pub number: WriteNumber,
    /// Sent together.
    pub request: u64,
    /// Whose content.
    pub id: Id,
    /// What it leaves; `None` is a delete.
    pub content: Option<Content>,
    /// The version that it demands.
    pub if_version: Option<u64>,
    /// Whether it was sent with an idempotency key.
    pub keyed: bool,
    /// How it ended.
    pub ended: Ended,
    /// Whether the answer was said to be the one of an earlier sending.
    pub replayed: bool,
    /// Of a delete of one point: whether the answer counted it.
    pub existed: Option<bool>,
}

/// What a read asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything acknowledged before.
    Linearizable,
    /// At least what the token has seen.
    Session(Positions),
    /// Everything acknowledged more than so many milliseconds ago.
    Bounded(u64),
    /// Some committed prefix.
    Eventual,
}

/// What a read said of the state that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// At which indexes.
    pub positions: Positions,
    /// How old the state was at most, in milliseconds.
    pub staleness_ms: u64,
}

/// A point in an answer: its version, and the write whose content it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its version.
    pub version: u64,
    /// Out of its payload.
    pub number: WriteNumber,
}

/// A read of one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// When.
    pub span: Span,
    /// How fresh.
    pub level: Level,
    /// Which.
    pub id: Id,
    /// What was there.
    pub found: Option<Seen>,
    /// In which state.
    pub delivered: Delivered,
}

/// A search hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Which.
    pub id: Id,
    /// What of it.
    pub seen: Seen,
    /// Its score: the negated Euclidean distance.
    pub score: f32,
}

/// A search.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// When.
    pub span: Span,
    /// How fresh.
    pub level: Level,
    /// Nearest to this,
    pub query: [f32; DIMENSION],
    /// so many at most,
    pub k: usize,
    /// of this colour only,
    pub color: Option<u8>,
    /// and none missed.
    pub exact: bool,
    /// Best first.
    pub hits: Vec<Hit>,
    /// Shards that the answer needs,
    pub shards: usize,
    /// and whether it says that some are missing.
    pub partial: bool,
    /// In which state.
    pub delivered: Delivered,
}

/// A count.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    /// When.
    pub span: Span,
    /// How fresh.
    pub level: Level,
    /// Of this colour only.
    pub color: Option<u8>,
    /// How many.
    pub count: u64,
    /// In which state.
    pub delivered: Delivered,
}

/// What one replica held at the end, after everything was healed and quiet.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    /// Which replica, for people.
    pub replica: String,
    /// The state's index.
    pub applied: u64,
    /// Every point that it holds.
    pub points: BTreeMap<Id, Seen>,
    /// Ids that belong to it.
    pub ids: Vec<Id>,
}

/// Which shard owns an id, at the end and before.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// `(last hash, shard)` in hash order, at the end.
    pub shards: Vec<(u64, u64)>,
    /// The shard that each split-off shard came from.
    pub parents: BTreeMap<u64, u64>,
    /// The least index at which each split-off shard was seen. What its parent is said to be at beyond that is past
    /// the cut, and says nothing of the child.
    pub begins: BTreeMap<u64, u64>,
}

impl Owners {
    /// The owner of an id at the end. Ids with one last owner had one owner at every time.
    pub fn owner(&self, id: Id) -> u64 {
        let hash = hash_of_id(&public_id(id));
        let at = self.shards.partition_point(|(last, _)| *last < hash);
        self.shards.get(at).map_or(0, |(_, shard)| *shard)
    }

    /// The index at which an answer saw the shard that is `owner` at the end: its own, or that of the shard that
    /// it was part of then. Indexes go on over a split.
    pub fn position(&self, owner: u64, positions: &Positions) -> Option<u64> {
        self.place(owner, positions).map(|(_, index)| index)
    }

    /// As [`Owners::position`], with the shard that was seen.
    pub fn place(&self, owner: u64, positions: &Positions) -> Option<(u64, u64)> {
        let (mut shard, mut most) = (owner, u64::MAX);
        loop {
            if let Some(index) = positions.of(shard) {
                return Some((shard, index.min(most)));
            }
            most = self.begins.get(&shard).map_or(most, |begin| most.min(*begin));
            shard = *self.parents.get(&shard)?;
        }
    }
}

/// Everything that clients saw. Bounded: once it is full nothing more is noted, and it says so.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Who owns what.
    pub owners: Owners,
    /// Sendings of writes, in the order of their answers.
    pub writes: Vec<Write>,
    /// Reads of points that were answered.
    pub reads: Vec<Read>,
    /// Searches that were answered.
    pub searches: Vec<Search>,
    /// Counts that were answered.
    pub counts: Vec<Count>,
    /// What replicas held at the end.
    pub finals: Vec<Final>,
    /// Reads, searches and counts that were refused.
    pub refused: u64,
    /// What answers to writes said of states, by the write's place: whose states only the end tells, for shards may
    /// be split meanwhile.
    tokens: Vec<(usize, Positions)>,
    limit: usize,
}

impl History {
    /// A history of at most `limit` operations.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Notes a write, and the positions of the answer if there were any.
    pub fn wrote(&mut self, write: Write, token: Option<&Positions>) {
        self.tokens.extend(token.map(|token| (self.writes.len(), token.clone())));
        self.writes.push(write);
    }

    /// Names the owners at the end: what answers said of states is understood by them.
    pub fn resolve(&mut self, owners: Owners) {
        self.owners = owners;
        for (at, token) in std::mem::take(&mut self.tokens) {
            let Some(write) = self.writes.get_mut(at) else { continue };
            if write.ended == Ended::Applied(None) {
                let owner = self.owners.owner(write.id);
                write.ended = Ended::Applied(self.owners.position(owner, &token));
            }
        }
        // A token goes on with what the one before had seen of other shards, which a read says nothing of.
        for read in &mut self.reads {
            let place = self.owners.place(self.owners.owner(read.id), &read.delivered.positions);
            read.delivered.positions = Positions(place.into_iter().collect());
        }
    }

    /// The least index at which each shard was written or read strictly. What else was read may come from a replica that
    /// forked early and lacks what its parent still wrote, and a replayed answer tells an index of before.
    pub fn begins(&self) -> BTreeMap<u64, u64> {
        let strict = |level: &Level| *level == Level::Linearizable;
        let fresh = |at: &usize| self.writes.get(*at).is_some_and(|write| !write.replayed);
        let written = self.tokens.iter().filter(|(at, _)| fresh(at)).map(|(_, token)| token);
        let read = self.reads.iter().filter(|of| strict(&of.level)).map(|of| &of.delivered.positions);
        let searched = self.searches.iter().filter(|of| strict(&of.level)).map(|of| &of.delivered.positions);
        let counted = self.counts.iter().filter(|of| strict(&of.level)).map(|of| &of.delivered.positions);
        let mut begins: BTreeMap<u64, u64> = BTreeMap::new();
        for (shard, index) in written.chain(read).chain(searched).chain(counted).flat_map(|of| &of.0) {
            let least = begins.entry(*shard).or_insert(*index);
            *least = (*least).min(*index);
        }
        begins
    }

    /// Operations noted.
    pub fn len(&self) -> usize {
        self.writes.len() + self.reads.len() + self.searches.len() + self.counts.len()
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it takes no more: clients shall stop, since a write that is not noted looks like one that nobody
    /// made.
    pub fn full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writes.iter().filter(|write| matches!(write.ended, Ended::Applied(_))).count()
    }

    /// The index at which an answer saw the shard that owns `id`.
    pub fn position(&self, id: Id, positions: &Positions) -> Option<u64> {
        self.owners.position(self.owners.owner(id), positions)
    }
}

/// The score of a content for a query: the negated Euclidean distance.
pub fn score(query: &[f32; DIMENSION], content: &Content) -> f32 {
    let squared: f32 = query.iter().zip(&content.vector).map(|(x, y)| (x - y) * (x - y)).sum();
    -squared.sqrt()
}
