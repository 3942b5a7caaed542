//! Clients that write, delete, read, search and count the same few points through the gateways, and note everything.

use super::token::positions;
use crate::executor::{Executor, NodeId};
use crate::history::{
    Count, Delivered, Ended, History, Hit, Id, Level, NEVER, Positions, Read, Search, Seen, Span, Write,
    parse_id, public_id,
};
use crate::network::RemoteGateway;
use crate::workload::{ATTEMPTS, Point, Sending, answered, content, known, level, refused};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use vectron_base::pool::Pool;
use vectron_base::random::{Random, SeededRandom};
use vectron_base::{Code, Fault, Outcome};
use vectron_gateway::api;

/// The collection of every workload.
pub const COLLECTION: &str = "cluster";
/// How long a client waits for its gateway.
const WAIT: Duration = Duration::from_secs(4);
/// What it asks the gateway to take at most.
const TIMEOUT_MS: u64 = 3_000;

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How many clients.
    pub clients: u32,
    /// How many points they share.
    pub ids: u32,
    /// The pause between two operations of a client is drawn up to this, in milliseconds.
    pub pause_ms: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self { clients: 5, ids: 40, pause_ms: 150 }
    }
}

/// What the clients of a run share.
pub(super) struct Board {
    pub(super) history: Mutex<History>,
    pub(super) stop: AtomicBool,
    /// Clients at work.
    pub(super) at_work: AtomicU64,
    next: AtomicU64,
    /// Passed over every answer of a search.
    pub(super) flaws: Arc<dyn super::Flaws>,
}

impl Board {
    pub(super) fn new(limit: usize, flaws: Arc<dyn super::Flaws>) -> Self {
        Self {
            history: Mutex::new(History::new(limit)),
            stop: AtomicBool::new(false),
            at_work: AtomicU64::new(0),
            next: AtomicU64::new(1),
            flaws,
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }
}

/// One client.
pub(super) struct Client {
    pub(super) node: NodeId,
    pub(super) gateways: Vec<RemoteGateway>,
    pub(super) executor: Executor,
    pub(super) random: SeededRandom,
    pub(super) workload: Workload,
    pub(super) board: Arc<Board>,
    /// The token of its last answer.
    pub(super) token: Option<String>,
    /// A version that it saw, for conditional writes.
    pub(super) saw: Option<(Id, u64)>,
    /// A point that it has just written and reads next, in its session.
    pub(super) own: Option<Id>,
}

impl Client {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self) {
        self.board.at_work.fetch_add(1, Ordering::SeqCst);
        while !self.board.stop.load(Ordering::SeqCst) && !self.board.history.lock().full() {
            match self.random.below(20) {
                _ if self.own.is_some() => self.get().await,
                0..=6 => self.upsert().await,
                7..=8 => self.delete().await,
                9..=14 => self.get().await,
                15..=18 => self.search().await,
                _ => self.count().await,
            }
            let pause = Duration::from_micros(self.random.below(self.workload.pause_ms * 1_000));
            self.executor.on(self.node, None).sleep(pause).await;
        }
        self.board.at_work.fetch_sub(1, Ordering::SeqCst);
    }

    fn gateway(&self) -> RemoteGateway {
        self.gateways[self.random.below(self.gateways.len() as u64) as usize].clone()
    }

    fn id(&self) -> Id {
        self.random.below(u64::from(self.workload.ids)) as Id
    }

    fn begin(&self) -> Span {
        Span { invoked: self.executor.now(), returned: NEVER }
    }

    fn end(&self, span: Span) -> Span {
        Span { returned: self.executor.now(), ..span }
    }

    async fn upsert(&mut self) {
        let mut saw = self.saw.take();
        let sending = Sending::draw(&self.random, || self.board.number(), || self.id(), &mut saw);
        self.saw = saw;
        for attempt in 0..ATTEMPTS {
            let doubtful = self.send(&sending).await;
            let again = sending.again(&self.random, attempt, doubtful);
            if !again || self.board.stop.load(Ordering::SeqCst) {
                return;
            }
            self.executor.on(self.node, None).sleep(Duration::from_millis(100 << attempt)).await;
        }
    }

    /// Sends a write once; whether its outcome is in doubt.
    async fn send(&mut self, sending: &Sending) -> bool {
        let points = sending.points.iter().map(|Point { id, number, content, if_version }| api::PointInput {
            id: api::PointId(public_id(*id)),
            vector: Some(content.vector.to_vec().into()),
            vector_b64: None,
            payload: Some(api::JsonText::unparsed(payload(*number, content.color))),
            if_version: *if_version,
            if_filter: None,
            ttl_ms: None,
            expires_at_ms: None,
        });
        let request = api::UpsertRequest {
            collection: COLLECTION.into(),
            points: points.collect(),
            idempotency_key: sending.key.clone(),
            timeout_ms: Some(TIMEOUT_MS),
        };
        let span = self.begin();
        let gateway = self.gateway();
        let answer =
            gateway.call(WAIT, true, |gateway| Box::pin(async move { gateway.upsert(request).await })).await;
        let span = self.end(span);
        let token = answer.as_ref().ok().and_then(|done| positions(&done.session));
        let writes = sending.writes(span, |id| match &answer {
            Ok(done) => {
                let failed = done.failed.iter().find(|failed| failed.id == public_id(id));
                (failed.map_or(Ended::Applied(None), of_failure), done.replayed)
            }
            Err(fault) => (of_fault(fault), false),
        });
        let doubtful = writes.iter().any(|write| write.ended == Ended::Unknown);
        let mut history = self.board.history.lock();
        writes.into_iter().for_each(|write| history.wrote(write, token.as_ref()));
        drop(history);
        if let Ok(done) = answer {
            self.token = Some(done.session);
            self.own = (self.random.below(3) == 0).then(|| sending.points[0].id);
        }
        doubtful
    }

    async fn delete(&mut self) {
        let (id, number) = (self.id(), self.board.number());
        let key = (self.random.below(2) == 0).then(|| format!("k{number}"));
        for attempt in 0..2 {
            let request = api::DeleteRequest {
                points: None,
                collection: COLLECTION.into(),
                ids: Some(vec![api::PointId(public_id(id))]),
                filter: None,
                idempotency_key: key.clone(),
                timeout_ms: Some(TIMEOUT_MS),
            };
            let span = self.begin();
            let call =
                move |gateway: Arc<vectron_gateway::Gateway>| -> futures::future::BoxFuture<'static, _> {
                    Box::pin(async move { gateway.delete(request).await })
                };
            let answer = self.gateway().call(WAIT, true, call).await;
            let span = self.end(span);
            let mut history = self.board.history.lock();
            let ended = match &answer {
                Ok(_) => Ended::Applied(None),
                Err(fault) => of_fault(fault),
            };
            let write = Write {
                span: known(span, ended),
                number,
                request: number,
                id,
                content: None,
                if_version: None,
                keyed: key.is_some(),
                ended,
                replayed: answer.as_ref().is_ok_and(|done| done.replayed),
                existed: answer.as_ref().ok().map(|done| done.deleted == 1),
            };
            history.wrote(write, answer.as_ref().ok().and_then(|done| positions(&done.session)).as_ref());
            drop(history);
            if let Ok(done) = answer {
                self.token = Some(done.session);
            }
            if key.is_none() || ended != Ended::Unknown || attempt > 0 {
                return;
            }
        }
    }

    /// A level for the next read, and how to ask for it.
    fn level(&self) -> (Level, api::Consistency) {
        let named = api::Consistency::named;
        let seen = || self.token.as_deref().and_then(positions);
        let level = level(&self.random, self.own.is_some(), seen);
        let consistency = match &level {
            Level::Linearizable => named("linearizable"),
            Level::Session(_) => api::Consistency { token: self.token.clone(), ..named("session") },
            Level::Bounded(ms) => api::Consistency { max_staleness_ms: Some(*ms), ..named("bounded") },
            Level::Eventual => named("eventual"),
        };
        (level, consistency)
    }

    fn delivered(meta: &api::ReadMeta) -> Delivered {
        let failed = |shard| meta.shards.failed.iter().any(|failed| failed.shard == shard);
        let positions = answered(positions(&meta.session), failed);
        Delivered { positions, staleness_ms: meta.consistency.staleness_ms }
    }

    async fn get(&mut self) {
        let (level, consistency) = self.level();
        let id = self.own.take().unwrap_or_else(|| self.id());
        let request = api::BatchGetRequest {
            collection: COLLECTION.into(),
            ids: vec![api::PointId(public_id(id))],
            include_payload: None,
            include_vector: None,
            consistency: Some(consistency),
            timeout_ms: Some(TIMEOUT_MS),
        };
        let span = self.begin();
        let gateway = self.gateway();
        let answer = gateway
            .call(WAIT, false, |gateway| Box::pin(async move { gateway.batch_get(request).await }))
            .await;
        let span = self.end(span);
        let Ok(answer) = answer else { return self.refused() };
        let found = answer.points.into_iter().next();
        let found =
            found.and_then(|point| seen(point.version, point.payload.map(api::JsonText::into_string)));
        if let Some(seen) = found {
            self.saw = Some((id, seen.version));
        }
        let delivered = Self::delivered(&answer.meta);
        self.board.history.lock().reads.push(Read { span, level, id, found, delivered });
        self.token = Some(answer.meta.session);
    }

    async fn search(&mut self) {
        let (level, consistency) = self.level();
        let (query, k) = (content(&self.random).vector, 1 + self.random.below(8) as usize);
        let color = (self.random.below(2) == 0).then(|| self.random.below(3) as u8);
        let allow_partial = self.random.below(6) == 0;
        let request = api::SearchRequest {
            collection: COLLECTION.into(),
            vector: Some(query.to_vec().into()),
            vector_b64: None,
            text: None,
            using: None,
            top_k: Some(k as u64),
            filter: color.map(|color| api::JsonText::unparsed(format!("{{\"color\":{color}}}"))),
            include_payload: None,
            include_vector: None,
            score_threshold: None,
            consistency: Some(consistency),
            timeout_ms: Some(TIMEOUT_MS),
            allow_partial: Some(allow_partial),
            params: None,
            explain: None,
        };
        let span = self.begin();
        let (gateway, flaws) = (self.gateway(), self.board.flaws.clone());
        let answer =
            gateway.call(WAIT, false, |gateway| Box::pin(async move { gateway.search(request).await })).await;
        let span = self.end(span);
        let Ok(answer) = answer.map(|answer| flaws.searched(answer)) else { return self.refused() };
        let hits = answer.results.into_iter().filter_map(|hit| {
            let seen = seen(hit.version, hit.payload.map(api::JsonText::into_string))?;
            Some(Hit { id: parse_id(&hit.id)?, seen, score: hit.score })
        });
        let search = Search {
            span,
            level,
            query,
            k,
            color,
            // Shards of a few points are scanned.
            exact: true,
            hits: hits.collect(),
            shards: answer.meta.shards.total as usize,
            partial: answer.meta.partial,
            delivered: Self::delivered(&answer.meta),
        };
        self.board.history.lock().searches.push(search);
        self.token = Some(answer.meta.session);
    }

    async fn count(&mut self) {
        let (level, consistency) = self.level();
        let color = (self.random.below(2) == 0).then(|| self.random.below(3) as u8);
        let request = api::CountRequest {
            exact: None,
            collection: COLLECTION.into(),
            filter: color.map(|color| api::JsonText::unparsed(format!("{{\"color\":{color}}}"))),
            consistency: Some(consistency),
            timeout_ms: Some(TIMEOUT_MS),
        };
        let span = self.begin();
        let gateway = self.gateway();
        let answer =
            gateway.call(WAIT, false, |gateway| Box::pin(async move { gateway.count(request).await })).await;
        let span = self.end(span);
        let Ok(answer) = answer else { return self.refused() };
        let (count, delivered) = (answer.count, Self::delivered(&answer.meta));
        self.board.history.lock().counts.push(Count { span, level, color, count, delivered });
    }

    fn refused(&self) {
        self.board.history.lock().refused += 1;
    }
}

/// The payload of a write.
fn payload(number: u64, color: u8) -> String {
    format!("{{\"number\":{number},\"color\":{color}}}")
}

/// What a point of this version and payload shows; a payload that nobody wrote shows write 0, which nobody made.
pub(super) fn seen(version: u64, payload: Option<String>) -> Option<Seen> {
    let payload = payload?;
    let digits = payload.strip_prefix("{\"number\":").and_then(|rest| rest.split(',').next());
    Some(Seen { version, number: digits.and_then(|digits| digits.parse().ok()).unwrap_or(0) })
}

fn of_failure(failed: &api::ItemFailure) -> Ended {
    let mismatch = failed.current_version.filter(|_| failed.code == Code::VersionMismatch.as_str());
    // An item of a shard that failed: which outcome it had is not told item by item.
    refused(mismatch.is_some(), mismatch)
}

/// How a write ended that failed.
fn of_fault(fault: &Fault) -> Ended {
    let mismatch = fault.current_version.filter(|_| fault.code == Code::VersionMismatch);
    refused(fault.outcome == Outcome::NotApplied, mismatch)
}

/// A token's positions, for who has no client.
pub(super) fn token_positions(token: &str) -> Option<Positions> {
    positions(token)
}
