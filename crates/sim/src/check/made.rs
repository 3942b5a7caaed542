//! Histories made by hand, for the checkers' tests. One shard, unless said otherwise; times in seconds.

use super::known::Known;
use super::{Checker, check};
use crate::history::{
    Content, Count, DIMENSION, Delivered, Ended, Final, Hit, Id, Level, NEVER, Positions, Read, Search, Seen,
    Span, Write,
};
use std::ops::{Deref, Range};
use vectron_base::clock::Tick;

pub(super) const SHARD: u64 = 1;

/// A history, and the last thing that was added.
pub(super) struct History(crate::history::History);

impl Deref for History {
    type Target = crate::history::History;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn tick(seconds: u64) -> Tick {
    Tick(seconds * 1_000_000_000)
}

fn span(seconds: Range<u64>) -> Span {
    Span { invoked: tick(seconds.start), returned: tick(seconds.end) }
}

fn nowhere() -> Delivered {
    Delivered { positions: Positions(Vec::new()), staleness_ms: 0 }
}

fn place(index: u64) -> Delivered {
    Delivered { positions: Positions(vec![(SHARD, index)]), staleness_ms: 0 }
}

/// The content of write `n`: its vector is `(n, 0, 0, 0)`.
pub(super) fn content(n: u64) -> Content {
    let mut vector = [0.0; DIMENSION];
    vector[0] = n as f32;
    Content { vector, color: 0 }
}

/// A write that was just added.
pub(super) struct OfWrite<'a>(&'a mut Write);

impl OfWrite<'_> {
    pub(super) fn applied(self, index: u64) -> Self {
        self.ended(Ended::Applied(Some(index)))
    }
    pub(super) fn ended(self, ended: Ended) -> Self {
        self.0.ended = ended;
        self
    }
    pub(super) fn unknown(self) -> Self {
        self.0.span.returned = NEVER;
        self.ended(Ended::Unknown)
    }
    pub(super) fn if_version(self, version: u64) -> Self {
        self.0.if_version = Some(version);
        self
    }
    pub(super) fn existed(self, existed: bool) -> Self {
        self.0.existed = Some(existed);
        self
    }
    pub(super) fn keyed(self, number: u64) -> Self {
        (self.0.keyed, self.0.number, self.0.request) = (true, number, number);
        self.0.content = self.0.content.map(|_| content(number));
        self
    }
    pub(super) fn replayed(self) -> Self {
        self.0.replayed = true;
        self
    }
    pub(super) fn together(self, request: u64) -> Self {
        self.0.request = request;
        self
    }
}

/// A read that was just added.
pub(super) struct OfRead<'a>(&'a mut Read, &'a [Write]);

impl OfRead<'_> {
    pub(super) fn at(self, index: u64) -> Self {
        self.0.delivered.positions = place(index).positions;
        self
    }
    pub(super) fn level(self, level: Level) -> Self {
        self.0.level = level;
        self
    }
    pub(super) fn stale(self, ms: u64) -> Self {
        self.0.delivered.staleness_ms = ms;
        self
    }
    /// It found write `n`, under the version that the write was told.
    pub(super) fn found(self, n: usize) -> Self {
        let Ended::Applied(Some(version)) = self.1[n].ended else { panic!("write {n} has no version") };
        let number = self.1[n].number;
        self.found_as(number, version)
    }
    pub(super) fn found_as(self, number: u64, version: u64) -> Self {
        self.0.found = Some(Seen { version, number });
        self
    }
}

/// A search that was just added.
pub(super) struct OfSearch<'a>(pub(super) &'a mut Search);

impl OfSearch<'_> {
    pub(super) fn at(self, index: u64) -> Self {
        self.0.delivered = place(index);
        self
    }
    pub(super) fn k(self, k: usize) -> Self {
        self.0.k = k;
        self
    }
    /// Hit `id` with the content of write `number`, rightly scored for a query at the origin.
    pub(super) fn hit(self, id: Id, number: u64, version: u64) -> Self {
        let score = -(number as f32);
        self.0.hits.push(Hit { id, seen: Seen { version, number }, score });
        self
    }
}

impl History {
    pub(super) fn new() -> Self {
        let mut history = crate::history::History::new(usize::MAX);
        history.owners.shards = vec![(u64::MAX, SHARD)];
        Self(history)
    }

    fn write(&mut self, id: Id, content: Option<Content>, seconds: Range<u64>) -> OfWrite<'_> {
        let number = self.0.writes.len() as u64;
        self.0.writes.push(Write {
            span: span(seconds),
            number,
            request: number,
            id,
            content,
            if_version: None,
            keyed: false,
            ended: Ended::NotApplied,
            replayed: false,
            existed: None,
        });
        OfWrite(self.0.writes.last_mut().expect("just added"))
    }

    /// Write number so many as were before it.
    pub(super) fn upsert(&mut self, id: Id, seconds: Range<u64>) -> OfWrite<'_> {
        let number = self.0.writes.len() as u64;
        self.write(id, Some(content(number)), seconds)
    }

    pub(super) fn delete(&mut self, id: Id, seconds: Range<u64>) -> OfWrite<'_> {
        self.write(id, None, seconds)
    }

    pub(super) fn get(&mut self, id: Id, seconds: Range<u64>) -> OfRead<'_> {
        let (span, level) = (span(seconds), Level::Linearizable);
        self.0.reads.push(Read { span, level, id, found: None, delivered: nowhere() });
        OfRead(self.0.reads.last_mut().expect("just added"), &self.0.writes)
    }

    /// An exact linearizable search for all that is nearest to the origin.
    pub(super) fn search(&mut self, seconds: Range<u64>) -> OfSearch<'_> {
        self.0.searches.push(Search {
            span: span(seconds),
            level: Level::Linearizable,
            query: [0.0; DIMENSION],
            k: 100,
            color: None,
            exact: true,
            hits: Vec::new(),
            shards: 1,
            partial: false,
            delivered: nowhere(),
        });
        OfSearch(self.0.searches.last_mut().expect("just added"))
    }

    pub(super) fn count(&mut self, count: u64, index: u64, seconds: Range<u64>) {
        let (span, level) = (span(seconds), Level::Linearizable);
        self.0.counts.push(Count { span, level, color: None, count, delivered: place(index) });
    }

    /// A replica held these points `(id, version, write)` at the end.
    pub(super) fn at_end(&mut self, applied: u64, points: &[(Id, u64, u64)]) {
        let points =
            points.iter().map(|(id, version, number)| (*id, Seen { version: *version, number: *number }));
        let ids = self.0.writes.iter().map(|write| write.id).collect();
        self.0.finals.push(Final { replica: "one".into(), applied, points: points.collect(), ids });
    }
}

/// The checker finds nothing, nor does any other.
pub(super) fn accepts(checker: &Checker, history: &History) {
    assert_eq!((checker.check)(history, &Known::of(history)), Vec::<String>::new(), "{}", checker.name);
}

/// No checker finds anything.
pub(super) fn all_accept(history: &History) {
    assert_eq!(check(history), Vec::new());
}

/// The checker finds something of this kind.
pub(super) fn rejects(checker: &Checker, history: &History, saying: &str) {
    let found = (checker.check)(history, &Known::of(history));
    assert!(found.iter().any(|what| what.contains(saying)), "{}: {found:?}", checker.name);
}
