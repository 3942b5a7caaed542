//! Clients: threads that write, delete, read, search and count over REST through all gateways, and note everything.

use super::http::{Failure, Rest, ended, mismatch};
use super::notes::Notes;
use crate::cluster::token::positions;
use crate::history::{
    Count, Delivered, Ended, Hit, Id, Level, Read, Search, Seen, Span, Write, parse_id, public_id,
};
use crate::workload::{ATTEMPTS, Point, Sending, answered, content, known, level, refused};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vectron_base::clock::Tick;
use vectron_base::random::{Random, SeededRandom};

/// The collection.
pub const COLLECTION: &str = "chaos";
/// What a client asks its gateway to take at most.
const TIMEOUT_MS: u64 = 3_000;
/// How long it waits for the gateway.
const WAIT: Duration = Duration::from_secs(4);
/// Points that are written at a time. The window moves on, so that doubts are left behind and old points stay for
/// the last reading.
const WINDOW: u64 = 40;
/// Writes after which the window moves on by one point.
const WRITES_PER_STEP: u64 = 40;
/// The pause between two operations of a client is drawn up to this.
const PAUSE_MS: u64 = 40;

/// What the clients share.
pub struct Board {
    /// What they saw.
    pub notes: Mutex<Notes>,
    /// Whether they shall end.
    pub stop: AtomicBool,
    next: AtomicU64,
    begun: Instant,
}

impl Board {
    /// An empty one.
    pub fn new() -> Self {
        let (notes, stop) = (Mutex::default(), AtomicBool::new(false));
        Self { notes, stop, next: AtomicU64::new(1), begun: Instant::now() }
    }

    /// Now, on the one monotonic clock of all clients.
    pub fn now(&self) -> Tick {
        Tick(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// The first point of the window.
    fn window(&self) -> u64 {
        self.next.load(Ordering::SeqCst) / WRITES_PER_STEP
    }

    /// Points that may have been written so far.
    pub fn ids(&self) -> Id {
        Id::try_from(self.window() + WINDOW).unwrap_or(Id::MAX)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

/// One client.
pub struct Client<'a> {
    board: &'a Board,
    gateways: Vec<String>,
    random: SeededRandom,
    rest: Rest,
    /// The token of its last answer.
    token: Option<String>,
    /// A version that it saw, for conditional writes.
    saw: Option<(Id, u64)>,
    /// A point that it has just written and reads next, in its session.
    own: Option<Id>,
}

impl<'a> Client<'a> {
    /// A client that draws from `seed`.
    pub fn new(board: &'a Board, gateways: Vec<String>, seed: u64) -> Self {
        let (random, rest) = (SeededRandom::new(seed), Rest::new(WAIT));
        Self { board, gateways, random, rest, token: None, saw: None, own: None }
    }

    /// Works until it is told to stop.
    pub fn run(mut self) {
        while !self.board.stop.load(Ordering::SeqCst) {
            match self.random.below(20) {
                _ if self.own.is_some() => self.get(),
                0..=7 => self.upsert(),
                8..=9 => self.delete(),
                10..=14 => self.get(),
                15..=18 => self.search(),
                _ => self.count(),
            }
            std::thread::sleep(Duration::from_millis(self.random.below(PAUSE_MS)));
        }
    }

    fn call(&self, path: &str, body: &Value) -> (Span, Result<Value, Failure>) {
        let at = self.random.below(self.gateways.len() as u64) as usize;
        let invoked = self.board.now();
        let answer =
            self.rest.post(&self.gateways[at], &format!("/v1/collections/{COLLECTION}/points{path}"), body);
        let span = Span { invoked, returned: self.board.now() };
        if answer == Err(Failure::Unreached) {
            // Nobody hammers at a closed door.
            std::thread::sleep(Duration::from_millis(50));
        }
        (span, answer)
    }

    fn id(&self) -> Id {
        Id::try_from(self.board.window() + self.random.below(WINDOW)).unwrap_or(Id::MAX)
    }

    /// A point that may have been left behind.
    fn any_id(&self) -> Id {
        if self.random.below(4) == 0 {
            self.random.below(u64::from(self.board.ids())) as Id
        } else {
            self.id()
        }
    }

    fn upsert(&mut self) {
        let mut saw = self.saw.take();
        let sending = Sending::draw(&self.random, || self.board.number(), || self.id(), &mut saw);
        self.saw = saw;
        for attempt in 0..ATTEMPTS {
            let doubtful = self.send(&sending);
            let again = sending.again(&self.random, attempt, doubtful);
            if !again || self.board.stop.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100 << attempt));
        }
    }

    /// Sends a write once; whether its outcome is in doubt.
    fn send(&mut self, sending: &Sending) -> bool {
        let points = sending.points.iter().map(|Point { id, number, content, if_version }| {
            let payload = json!({"number": number, "color": content.color});
            let mut point = json!({"id": public_id(*id), "vector": content.vector, "payload": payload});
            if let Some(version) = if_version {
                point["if_version"] = json!(version);
            }
            point
        });
        let mut body = json!({"points": points.collect::<Vec<_>>(), "timeout_ms": TIMEOUT_MS});
        if let Some(key) = &sending.key {
            body["idempotency_key"] = json!(key);
        }
        let (span, answer) = self.call("", &body);
        let token = answer.as_ref().ok().and_then(|done| done["session"].as_str().map(str::to_string));
        let seen = token.as_deref().and_then(positions);
        let writes = sending.writes(span, |id| match &answer {
            Ok(done) => (of_item(done, id), done["replayed"] == true),
            Err(failure) => (ended(failure), false),
        });
        let doubtful = writes.iter().any(|write| write.ended == Ended::Unknown);
        let mut notes = self.board.notes.lock();
        for write in writes {
            notes.count("upsert", name(write.ended));
            notes.history.wrote(write, seen.as_ref());
        }
        drop(notes);
        if answer.is_ok() {
            self.token = token;
            self.own = (self.random.below(3) == 0).then(|| sending.points[0].id);
        }
        doubtful
    }

    fn delete(&mut self) {
        let (id, number) = (self.id(), self.board.number());
        let key = (self.random.below(2) == 0).then(|| format!("k{number}"));
        let mut body = json!({"ids": [public_id(id)], "timeout_ms": TIMEOUT_MS});
        if let Some(key) = &key {
            body["idempotency_key"] = json!(key);
        }
        for attempt in 0..2 {
            let (span, answer) = self.call("/delete", &body);
            let ended = answer.as_ref().map_or_else(ended, |_| Ended::Applied(None));
            let write = Write {
                span: known(span, ended),
                number,
                request: number,
                id,
                content: None,
                if_version: None,
                keyed: key.is_some(),
                ended,
                replayed: answer.as_ref().is_ok_and(|done| done["replayed"] == true),
                existed: answer.as_ref().ok().map(|done| done["deleted"] == 1),
            };
            let token = answer.ok().and_then(|done| done["session"].as_str().map(str::to_string));
            let mut notes = self.board.notes.lock();
            notes.count("delete", name(ended));
            notes.history.wrote(write, token.as_deref().and_then(positions).as_ref());
            drop(notes);
            self.token = token.or_else(|| self.token.take());
            if key.is_none() || ended != Ended::Unknown || attempt > 0 {
                return;
            }
        }
    }

    /// A level for the next read, and how to ask for it.
    fn level(&self) -> (Level, Value) {
        let seen = || self.token.as_deref().and_then(positions);
        let level = level(&self.random, self.own.is_some(), seen);
        let mut consistency = json!({"level": level_name(&level)});
        match &level {
            Level::Session(_) => consistency["token"] = json!(self.token),
            Level::Bounded(ms) => consistency["max_staleness_ms"] = json!(ms),
            Level::Linearizable | Level::Eventual => {}
        }
        (level, consistency)
    }

    /// Notes that a read of this kind was refused.
    fn refused(&self, kind: &'static str) {
        self.board.notes.lock().count(kind, "refused");
    }

    fn get(&mut self) {
        let (level, consistency) = self.level();
        let id = self.own.take().unwrap_or_else(|| self.any_id());
        let body = json!({"ids": [public_id(id)], "consistency": consistency, "timeout_ms": TIMEOUT_MS});
        let (span, answer) = self.call("/get", &body);
        let Ok(answer) = answer else { return self.refused("get") };
        let found = answer["points"].get(0).and_then(seen);
        if let Some(seen) = found {
            self.saw = Some((id, seen.version));
        }
        let mut notes = self.board.notes.lock();
        notes.count("get", level_name(&level));
        notes.history.reads.push(Read { span, level, id, found, delivered: delivered(&answer) });
        drop(notes);
        self.token = answer["meta"]["session"].as_str().map(str::to_string);
    }

    fn search(&mut self) {
        let (level, consistency) = self.level();
        let (query, k) = (content(&self.random).vector, 1 + self.random.below(8) as usize);
        let color = (self.random.below(2) == 0).then(|| self.random.below(3) as u8);
        let exact = self.random.below(4) > 0;
        let mut body = json!({"vector": query, "top_k": k, "consistency": consistency, "timeout_ms": TIMEOUT_MS,
            "allow_partial": self.random.below(6) == 0, "params": {"exact": exact}});
        if let Some(color) = color {
            body["filter"] = json!({"color": color});
        }
        let (span, answer) = self.call("/search", &body);
        let Ok(answer) = answer else { return self.refused("search") };
        let hits = answer["results"].as_array().into_iter().flatten().filter_map(|hit| {
            let score = hit["score"].as_f64()? as f32;
            Some(Hit { id: parse_id(hit["id"].as_str()?)?, seen: seen(hit)?, score })
        });
        let mut notes = self.board.notes.lock();
        notes.count("search", level_name(&level));
        notes.history.searches.push(Search {
            span,
            level,
            query,
            k,
            color,
            exact,
            hits: hits.collect(),
            shards: answer["meta"]["shards"]["total"].as_u64().unwrap_or(0) as usize,
            partial: answer["meta"]["partial"] == true,
            delivered: delivered(&answer),
        });
        drop(notes);
        self.token = answer["meta"]["session"].as_str().map(str::to_string);
    }

    fn count(&mut self) {
        let (level, consistency) = self.level();
        let color = (self.random.below(2) == 0).then(|| self.random.below(3) as u8);
        let mut body = json!({"consistency": consistency, "timeout_ms": TIMEOUT_MS});
        if let Some(color) = color {
            body["filter"] = json!({"color": color});
        }
        let (span, answer) = self.call("/count", &body);
        let Ok(answer) = answer else { return self.refused("count") };
        let Some(count) = answer["count"].as_u64() else { return self.refused("count") };
        let mut notes = self.board.notes.lock();
        notes.count("count", level_name(&level));
        notes.history.counts.push(Count { span, level, color, count, delivered: delivered(&answer) });
    }
}

fn delivered(answer: &Value) -> Delivered {
    let meta = &answer["meta"];
    let failed = meta["shards"]["failed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = meta["session"].as_str().and_then(positions);
    let positions = answered(told, |shard| failed.iter().any(|failed| failed["shard"] == shard));
    Delivered { positions, staleness_ms: meta["consistency"]["staleness_ms"].as_u64().unwrap_or(0) }
}

/// What a point in an answer shows; a payload that nobody wrote shows write 0, which nobody made.
fn seen(point: &Value) -> Option<Seen> {
    let number = point["payload"]["number"].as_u64().unwrap_or(0);
    Some(Seen { version: point["version"].as_u64()?, number })
}

/// How one point of an upsert ended that was answered.
fn of_item(done: &Value, id: Id) -> Ended {
    let failed = done["failed"].as_array().into_iter().flatten();
    match failed.into_iter().find(|failed| failed["id"] == public_id(id)) {
        None => Ended::Applied(None),
        // An item of a shard that failed: which outcome it had is not told item by item.
        Some(failed) => refused(mismatch(failed).is_some(), mismatch(failed)),
    }
}

fn name(ended: Ended) -> &'static str {
    match ended {
        Ended::Applied(_) => "applied",
        Ended::Mismatch(_) => "version_mismatch",
        Ended::NotApplied => "not_applied",
        Ended::Unknown => "unknown",
    }
}

fn level_name(level: &Level) -> &'static str {
    match level {
        Level::Linearizable => "linearizable",
        Level::Session(_) => "session",
        Level::Bounded(_) => "bounded",
        Level::Eventual => "eventual",
    }
}
