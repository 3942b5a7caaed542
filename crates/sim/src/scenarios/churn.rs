//! Concurrent clients that write, delete and read, each its own ids, and hold every answer to the oracle.

use super::client::{Client, DIMENSION};
use crate::oracle::{Content, Oracle, shard_of};
use crate::world::{Halt, World};
use futures::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use vectron_base::random::{Random, SeededRandom};
use vectron_base::{Code, Fault, Outcome};

/// Clients per life.
const CLIENTS: u64 = 3;
/// Ids that each client writes.
const IDS_PER_CLIENT: u64 = 12;

/// The collection that every life shares.
pub const COLLECTION: &str = "churn";

/// What the clients know together; outlives the node's lives.
pub struct Board {
    /// The truth of the shared collection.
    pub oracle: Arc<Mutex<Oracle>>,
    /// Whether the shared collection was acknowledged as created.
    pub created: Arc<Mutex<bool>>,
    /// Its shards.
    pub shards: u32,
    counts: Arc<Mutex<Counts>>,
}

/// How calls ended.
#[derive(Clone, Debug, Default)]
struct Counts {
    answered: u64,
    refused: u64,
    /// The last refusal, for the message of a test that expected none.
    last_refusal: Option<Fault>,
}

impl Board {
    /// Nothing written yet; the seed decides the number of shards.
    pub fn new(seed: u64) -> Self {
        Self {
            oracle: Arc::default(),
            created: Arc::default(),
            shards: 1 + (seed % 3) as u32,
            counts: Arc::default(),
        }
    }

    /// Calls that were answered.
    pub fn answered(&self) -> u64 {
        self.counts.lock().answered
    }

    /// Calls that were refused without effect.
    pub fn refused(&self) -> u64 {
        self.counts.lock().refused
    }

    /// The last refusal.
    pub fn last_refusal(&self) -> Option<Fault> {
        self.counts.lock().last_refusal.clone()
    }
}

/// Runs the clients, `calls` calls in all.
pub fn run_clients(world: &mut World, seed: u64, board: &Board, calls: u64) -> Result<(), Halt> {
    let client = Client { gateway: world.gateway(), collection: COLLECTION.into() };
    if !*board.created.lock() {
        let (creating, shards, created) = (client.clone(), u64::from(board.shards), board.created.clone());
        world.run(async move {
            match creating.create(shards).await {
                Ok(_) => *created.lock() = true,
                Err(fault) => assert_ne!(fault.code, Code::AlreadyExists, "same name, same configuration"),
            }
        })?;
    }
    let runs = (0..CLIENTS).map(|number| Churn {
        client: client.clone(),
        number,
        random: SeededRandom::new(seed ^ (number << 16)),
        oracle: board.oracle.clone(),
        counts: board.counts.clone(),
        shards: board.shards,
        calls: calls / CLIENTS + 1,
    });
    let runs: Vec<Churn> = runs.collect();
    let names = Client { gateway: world.gateway(), collection: format!("brief-{}", seed % 5) };
    world.run(async move {
        let writers = join_all(runs.into_iter().map(Churn::run));
        futures::join!(writers, brief_collection(names));
    })
}

/// A collection's short life: after the delete nothing is found, and the name created again is empty.
async fn brief_collection(client: Client) {
    let content = Content { vector: vec![1.0; DIMENSION], payload: "{}".into() };
    if client.create(1).await.is_err() {
        return;
    }
    // The disk may be full or its journal stopped; what matters is what an acknowledged delete means.
    let _ = client.upsert(&[("only".into(), content)], None).await;
    if client.drop_collection().await.is_ok() {
        let read = client.get(&["only".into()], "eventual").await;
        // A placement driver whose journal has stopped cannot say that the name is free; no read succeeds all the same.
        let code = read.err().map(|f| f.code);
        assert!(
            matches!(code, Some(Code::NotFound | Code::Unavailable)),
            "read after an acknowledged delete: {code:?}"
        );
        if client.create(1).await == Ok(true) {
            assert_eq!(client.count(None).await.unwrap_or(0), 0, "a new collection shows old points");
            // Left for the next life or deleted: both must be fine.
            let _ = client.drop_collection().await;
        }
    }
}

struct Churn {
    client: Client,
    number: u64,
    random: SeededRandom,
    oracle: Arc<Mutex<Oracle>>,
    counts: Arc<Mutex<Counts>>,
    shards: u32,
    calls: u64,
}

impl Churn {
    async fn run(self) {
        for _ in 0..self.calls {
            match self.random.below(10) {
                0..=4 => self.write().await,
                5 => self.delete_ids().await,
                6 => self.delete_filter().await,
                7 => self.read_back().await,
                8 => self.search().await,
                _ => self.count().await,
            }
        }
    }

    fn id(&self) -> String {
        format!("c{}-{}", self.number, self.random.below(IDS_PER_CLIENT))
    }

    /// What this client's ids begin with.
    fn prefix(&self) -> String {
        format!("c{}-", self.number)
    }

    fn content(&self) -> Content {
        let vector = (0..DIMENSION).map(|_| self.random.below(16) as f32).collect();
        let (color, big) = (self.random.below(3), self.random.next_u64());
        Content { vector, payload: format!("{{\"client\":{},\"color\":{color},\"big\":{big}}}", self.number) }
    }

    fn mine(&self) -> String {
        format!("{{\"client\":{}}}", self.number)
    }

    fn note(&self, fault: Option<&Fault>) {
        let mut counts = self.counts.lock();
        match fault {
            Some(fault) if fault.outcome == Outcome::NotApplied => {
                counts.refused += 1;
                counts.last_refusal = Some(fault.clone());
            }
            _ => counts.answered += 1,
        }
    }

    /// Upserts one to four points, sometimes twice under one idempotency key.
    async fn write(&self) {
        let mut points: Vec<(String, Content)> = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let id = self.id();
            let fresh = points.iter().all(|(other, _)| *other != id);
            if fresh && !self.oracle.lock().doubtful(&id) {
                points.push((id, self.content()));
            }
        }
        if points.is_empty() {
            return;
        }
        let request = self.random.next_u64();
        for (id, content) in &points {
            self.oracle.lock().begin(request, id, Some(content.clone()));
        }
        let key = (self.random.below(3) == 0).then(|| self.random.next_u64().to_string());
        let answer = self.client.upsert(&points, key.clone()).await;
        self.note(answer.as_ref().err());
        match answer {
            Ok(done) => {
                assert!(done.failed.iter().all(|f| f.code != "version_mismatch"), "{:?}", done.failed);
                for (id, _) in &points {
                    self.resolve_item(id, &done.failed);
                }
                if key.is_some() && done.failed.is_empty() {
                    self.retry(&points, key).await;
                }
            }
            Err(fault) => self.resolve(points.iter().map(|(id, _)| id), &fault),
        }
    }

    /// The same write again under the same key changes nothing.
    async fn retry(&self, points: &[(String, Content)], key: Option<String>) {
        let ids: Vec<String> = points.iter().map(|(id, _)| id.clone()).collect();
        let before = self.client.get(&ids, "linearizable").await;
        if let (Ok(before), Ok(again)) = (before, self.client.upsert(points, key).await) {
            assert!(
                again.replayed || !again.failed.is_empty(),
                "the second write under one key was carried out: {again:?}"
            );
            if let Ok(after) = self.client.get(&ids, "linearizable").await {
                assert_eq!(after, before, "a replayed write changed something");
            }
        }
    }

    fn resolve_item(&self, id: &str, failed: &[vectron_gateway::api::ItemFailure]) {
        if failed.iter().all(|f| f.id != id) {
            self.oracle.lock().acknowledge(id);
        }
        // An item of a shard that failed stays in doubt until the next start decides it.
    }

    fn resolve<'a>(&self, ids: impl Iterator<Item = &'a String>, fault: &Fault) {
        if fault.outcome == Outcome::NotApplied {
            let mut oracle = self.oracle.lock();
            ids.for_each(|id| oracle.refuse(id));
        }
    }

    async fn delete_ids(&self) {
        let id = self.id();
        if self.oracle.lock().doubtful(&id) {
            return;
        }
        let was = self.oracle.lock().expected(&id).is_some();
        self.oracle.lock().begin(self.random.next_u64(), &id, None);
        let answer = self.client.delete(Some(vec![id.clone()]), None).await;
        self.note(answer.as_ref().err());
        match answer {
            Ok(deleted) => {
                assert_eq!(deleted, u64::from(was), "deleting {id}");
                self.oracle.lock().acknowledge(&id);
            }
            Err(fault) => self.resolve(std::iter::once(&id), &fault),
        }
    }

    /// Deletes all of this client's points of one colour.
    async fn delete_filter(&self) {
        let color = format!("\"color\":{},", self.random.below(3));
        let doomed: Vec<String> = {
            let mut oracle = self.oracle.lock();
            let prefix = self.prefix();
            if oracle.any_doubtful(&prefix) {
                return;
            }
            let mine =
                oracle.present().filter(|(id, c)| id.starts_with(&prefix) && c.payload.contains(&color));
            let doomed: Vec<String> = mine.map(|(id, _)| id.clone()).collect();
            let request = self.random.next_u64();
            doomed.iter().for_each(|id| oracle.begin(request, id, None));
            doomed
        };
        let number = color.trim_matches(|c: char| !c.is_ascii_digit());
        let filter = format!("{{\"client\":{},\"color\":{{\"$eq\":{number}}}}}", self.number);
        let answer = self.client.delete(None, Some(filter)).await;
        self.note(answer.as_ref().err());
        match answer {
            Ok(deleted) => {
                assert_eq!(deleted, doomed.len() as u64, "deleting by filter");
                let mut oracle = self.oracle.lock();
                doomed.iter().for_each(|id| oracle.acknowledge(id));
            }
            Err(fault) => self.resolve(doomed.iter(), &fault),
        }
    }

    async fn read_back(&self) {
        let id = self.id();
        let truth = self.oracle.lock().truth(&id);
        let answer = self.client.get(std::slice::from_ref(&id), "linearizable").await;
        self.note(answer.as_ref().err());
        if let (Ok(mut found), None) = (answer, truth.in_doubt) {
            let content = found.remove(&id).map(|(content, _)| content);
            assert_eq!(content, truth.acknowledged, "reading {id} of shard {}", shard_of(&id, self.shards));
        }
    }

    async fn search(&self) {
        let query: Vec<f32> = (0..DIMENSION).map(|_| self.random.below(16) as f32).collect();
        let prefix = format!("\"client\":{},", self.number);
        let (expected, doubtful) = {
            let oracle = self.oracle.lock();
            let expected = oracle.nearest(&query, 5, |c| c.payload.contains(&prefix));
            (expected, oracle.any_doubtful(&self.prefix()))
        };
        let answer = self.client.search(&query, 5, Some(self.mine()), self.random.below(2) == 0).await;
        self.note(answer.as_ref().err());
        if let (Ok(found), false) = (answer, doubtful) {
            assert_eq!(found, expected, "nearest to {query:?} among client {}'s points", self.number);
        }
    }

    async fn count(&self) {
        let mine = self.prefix();
        let (expected, doubtful) = {
            let oracle = self.oracle.lock();
            let expected = oracle.present().filter(|(id, _)| id.starts_with(&mine)).count() as u64;
            (expected, oracle.any_doubtful(&mine))
        };
        let answer = self.client.count(Some(self.mine())).await;
        self.note(answer.as_ref().err());
        if let (Ok(count), false) = (answer, doubtful) {
            assert_eq!(count, expected, "points of client {}", self.number);
        }
    }
}
