//! The oracle: a catalog and shards in maps, and a client for the router.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tower::ServiceExt;
use vectron_base::clock::SystemClock;
use vectron_base::filter::{FieldIndex, Filter, Scalar, Test};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_base::pool::{Lane, Pool};
use vectron_base::random::SeededRandom;
use vectron_base::{Code, Fault, Outcome};
use vectron_gateway::{AdminSources, Gateway, GatewayKnobs, GatewayMetrics, Parts};
use vectron_wire::cluster::ShardView;
use vectron_wire::placement::*;
use vectron_wire::routing::equal_ranges;
use vectron_wire::worker::*;

/// Tasks and timers of the test's own runtime.
pub struct TestPool;

#[allow(clippy::disallowed_methods, reason = "this is the seam of the tests")]
impl Pool for TestPool {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(job);
    }
}

/// What a shard does instead of answering.
#[derive(Clone)]
pub enum Trouble {
    /// Answers with this fault, so many times.
    Fails(Fault, u32),
    /// Answers after a while.
    Slow(Duration),
    /// The same, once.
    SlowOnce(Duration),
}

#[derive(Default)]
struct ShardState {
    incarnation: u64,
    epoch: u64,
    distance: Option<Distance>,
    points: BTreeMap<String, PointRecord>,
    index: u64,
    keys: BTreeMap<String, (u64, ShardWritten)>,
    trouble: Option<Trouble>,
}

/// Everything: one catalog, one worker with every shard.
pub struct Cluster {
    catalog: Mutex<CatalogView>,
    shards: Mutex<BTreeMap<u64, ShardState>>,
    next: AtomicU64,
    /// Calls that reached a shard, by name.
    pub log: Mutex<Vec<(&'static str, u64)>>,
    /// Writes as they came.
    pub writes: Mutex<Vec<ShardWrite>>,
    /// Searches as they came.
    pub searches: Mutex<Vec<ShardSearch>>,
    /// Read levels as they came.
    pub levels: Mutex<Vec<ReadLevel>>,
    /// Staleness that reads deliver.
    pub staleness_ms: AtomicU64,
    /// The next search has its answer, and gives it so much later.
    pub late: Mutex<Option<Duration>>,
    /// Whether the catalog cannot be asked.
    pub lost_catalog: AtomicBool,
    /// Workers that cannot be reached.
    pub lost_workers: Mutex<BTreeSet<u64>>,
    /// Changes of the cluster as they came.
    pub changes: Mutex<Vec<ClusterChange>>,
}

impl Cluster {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            catalog: Mutex::new(CatalogView { epoch: 1, ..CatalogView::default() }),
            shards: Mutex::default(),
            next: AtomicU64::new(1),
            log: Mutex::default(),
            writes: Mutex::default(),
            searches: Mutex::default(),
            levels: Mutex::default(),
            staleness_ms: AtomicU64::new(0),
            late: Mutex::default(),
            lost_catalog: AtomicBool::new(false),
            lost_workers: Mutex::default(),
            changes: Mutex::default(),
        })
    }

    pub fn trouble(&self, shard: u64, trouble: Option<Trouble>) {
        self.shards.lock().get_mut(&shard).expect("shard").trouble = trouble;
    }

    pub fn shard_ids(&self) -> Vec<u64> {
        self.shards.lock().keys().copied().collect()
    }

    pub fn points(&self) -> usize {
        self.shards.lock().values().map(|shard| shard.points.len()).sum()
    }

    pub fn written(&self) -> usize {
        self.writes.lock().len()
    }

    /// Puts the same id into a second shard, as while a range moves.
    pub fn plant(&self, shard: u64, point: PointRecord) {
        self.shards.lock().get_mut(&shard).expect("shard").points.insert(point.id.clone(), point);
    }

    /// Raises the epoch of a shard, here and in the catalog.
    pub fn bump(&self, shard: u64) {
        self.shards.lock().get_mut(&shard).expect("shard").epoch += 1;
        let mut catalog = self.catalog.lock();
        catalog.epoch += 1;
        let all = catalog.collections.iter_mut().flat_map(|c| c.shards.iter_mut());
        all.filter(|s| s.shard.0 == shard).for_each(|s| s.epoch += 1);
    }

    /// Splits a shard in the middle of its range, here and in the catalog; the new shard.
    pub fn split(&self, shard: u64) -> u64 {
        let child = self.next.fetch_add(1, Ordering::SeqCst);
        let mut catalog = self.catalog.lock();
        catalog.epoch += 1;
        let all = catalog.collections.iter_mut();
        let mut owners = all.filter(|c| c.shards.iter().any(|s| s.shard.0 == shard));
        let collection = owners.next().expect("its collection");
        let at = collection.shards.iter().position(|s| s.shard.0 == shard).expect("there");
        let parent = &mut collection.shards[at];
        let middle = parent.first + (parent.last - parent.first) / 2;
        let mut right = Shard { shard: ShardId(child), first: middle + 1, epoch: 1, ..parent.clone() };
        right.replicas.iter_mut().for_each(|r| r.replica = ReplicaId(r.replica.0 + 1000));
        (parent.last, parent.epoch) = (middle, parent.epoch + 1);
        let mut shards = self.shards.lock();
        let state = shards.get_mut(&shard).expect("shard");
        state.epoch += 1;
        let upper = |id: &str| vectron_wire::routing::hash_of_id(id) > middle;
        let moved = state.points.extract_if(.., |id, _| upper(id)).collect();
        let (incarnation, distance, index) = (state.incarnation, state.distance, state.index);
        let keys = state.keys.clone();
        let state = ShardState {
            incarnation,
            distance,
            index,
            keys,
            epoch: 1,
            points: moved,
            ..ShardState::default()
        };
        shards.insert(child, state);
        collection.shards.insert(at + 1, right);
        child
    }

    /// Payload indexes of the collection that a shard belongs to; built as soon as they are there.
    fn indexes(&self, shard: u64) -> Vec<FieldIndex> {
        let catalog = self.catalog.lock();
        let of_shard = |c: &&Collection| c.shards.iter().any(|s| s.shard.0 == shard);
        catalog.collections.iter().find(of_shard).map_or_else(Vec::new, |c| c.field_indexes.clone())
    }

    fn unindexed(&self, shard: u64, filter: Option<&Arc<Filter>>) -> Vec<String> {
        let indexes = self.indexes(shard);
        let fields = filter.map_or_else(Vec::new, |filter| filter.fields());
        let bare = fields.into_iter().filter(|field| indexes.iter().all(|index| index.field != *field));
        bare.map(str::to_string).collect()
    }

    async fn enter(&self, name: &'static str, target: Target) -> Result<(), Fault> {
        self.log.lock().push((name, target.shard.0));
        let trouble = {
            let mut shards = self.shards.lock();
            let Some(shard) = shards.get_mut(&target.shard.0) else {
                return Err(Fault::new(Code::NotFound, "no such shard here"));
            };
            if shard.incarnation != target.incarnation.0 {
                return Err(Fault::new(Code::NotFound, "another life of the collection"));
            }
            if shard.epoch != target.epoch {
                return Err(Fault::new(Code::Unavailable, "the shard is at another epoch"));
            }
            let now = shard.trouble.clone();
            match &mut shard.trouble {
                Some(Trouble::Fails(_, left)) => {
                    *left -= 1;
                    if *left == 0 {
                        shard.trouble = None;
                    }
                }
                Some(Trouble::SlowOnce(_)) => shard.trouble = None,
                _ => {}
            }
            now
        };
        match trouble {
            Some(Trouble::Fails(fault, _)) => Err(fault),
            Some(Trouble::Slow(time) | Trouble::SlowOnce(time)) => {
                TestPool.sleep(time).await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn read<T>(
        &self,
        target: Target,
        level: ReadLevel,
        read: impl FnOnce(&ShardState) -> T,
    ) -> Result<ShardRead<T>, Fault> {
        self.levels.lock().push(level);
        let shards = self.shards.lock();
        let shard = &shards[&target.shard.0];
        if let ReadLevel::Session(index) = level
            && index > shard.index
        {
            return Err(Fault::new(Code::StalenessUnmet, format!("applied {} of {index}", shard.index)));
        }
        let delivered =
            Delivered { applied_index: shard.index, staleness_ms: self.staleness_ms.load(Ordering::SeqCst) };
        Ok(ShardRead { value: read(shard), delivered })
    }
}

pub fn trimmed(point: &PointRecord, include: Include) -> PointRecord {
    PointRecord {
        id: point.id.clone(),
        version: point.version,
        vector: point.vector.clone().filter(|_| include.vector),
        payload: point.payload.clone().filter(|_| include.payload),
    }
}

/// Equality of one top-level field is all that these tests ask for.
fn passes(filter: &Filter, point: &PointRecord) -> bool {
    match filter {
        Filter::All => true,
        Filter::Field { path, test: Test::Equal(Scalar::Text(text)) } => {
            let payload: Value =
                serde_json::from_str(point.payload.as_deref().unwrap_or("{}")).expect("json");
            payload[path.as_str()] == text.as_str()
        }
        other => panic!("the oracle does not know {other:?}"),
    }
}

fn score(distance: Distance, a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    match distance {
        Distance::Dot => dot(a, b),
        Distance::Cosine => dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()),
        Distance::Euclidean => -a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt(),
    }
}

/// What no gateway asks of a worker or a placement driver.
fn unplayed() -> Fault {
    Fault::new(Code::InvalidArgument, "this cluster does not play that")
}

#[async_trait]
impl Worker for Cluster {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        self.enter("write", request.target).await?;
        self.writes.lock().push(request.clone());
        let mut shards = self.shards.lock();
        let shard = shards.get_mut(&request.target.shard.0).expect("entered");
        if let Some(key) = &request.idempotency
            && let Some((hash, first)) = shard.keys.get(&key.key)
        {
            if *hash != key.body_hash {
                return Err(Fault::new(Code::IdempotencyKeyReused, "the key came with another body before"));
            }
            return Ok(ShardWritten { replayed: true, ..first.clone() });
        }
        shard.index += 1;
        let version = shard.index;
        let mut written = ShardWritten { version, ..ShardWritten::default() };
        match request.operation {
            WriteOperation::Upsert(points) => {
                for p in points {
                    let found = shard.points.get(&p.id).map_or(0, |p| p.version);
                    if p.if_version.is_some_and(|wanted| wanted != found) {
                        written.items.push(ItemOutcome::VersionMismatch(found));
                        continue;
                    }
                    let (vector, payload) = (Some(p.vector), Some(p.payload));
                    shard.points.insert(p.id.clone(), PointRecord { id: p.id, version, vector, payload });
                    written.items.push(ItemOutcome::Applied);
                }
            }
            WriteOperation::DeleteIds(ids) => {
                for id in ids {
                    let there = shard.points.remove(&id).is_some();
                    written.deleted += u64::from(there);
                    written.items.push(if there { ItemOutcome::Applied } else { ItemOutcome::Missing });
                }
            }
            WriteOperation::DeleteFilter(filter) => {
                let before = shard.points.len();
                shard.points.retain(|_, point| !passes(&filter, point));
                written.deleted = (before - shard.points.len()) as u64;
            }
            // Held to the store's own behaviour where one is assembled.
            WriteOperation::Batch(_) | WriteOperation::EditFilter(..) => {
                unimplemented!("not part of this fake")
            }
        }
        if let Some(key) = request.idempotency {
            shard.keys.insert(key.key, (key.body_hash, written.clone()));
        }
        Ok(written)
    }

    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        self.enter("get", request.target).await?;
        self.read(request.target, request.read, |shard| {
            let found = |id: &String| shard.points.get(id).map(|point| trimmed(point, request.include));
            request.ids.iter().map(found).collect()
        })
    }

    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        self.enter("search", request.target).await?;
        self.searches.lock().push(request.clone());
        let unindexed = self.unindexed(request.target.shard.0, request.filter.as_ref());
        let answer = self.read(request.target, request.read, |shard| {
            let distance = shard.distance.expect("set");
            // A point has a text if its payload does; the score is the figure that it rests on.
            let (query, text) = match &request.query {
                ShardQuery::Dense { vector, .. } => (&vector[..], ""),
                ShardQuery::Text { query, .. } => (&[][..], query.text.as_str()),
                other => panic!("{other:?}"),
            };
            let figure = match &request.query {
                ShardQuery::Text { stats: Some(stats), .. } => stats.points,
                _ => shard.points.len() as u64,
            };
            let all = shard.points.values();
            let mut hits: Vec<Hit> = all
                .filter(|point| request.filter.as_ref().is_none_or(|filter| passes(filter, point)))
                .filter(|point| point.payload.as_ref().is_none_or(|payload| payload.contains(text)))
                .map(|point| Hit {
                    score: match text {
                        "" => {
                            let vector = point.vector.as_ref().and_then(|v| v.dense());
                            score(distance, query, vector.expect("stored"))
                        }
                        _ => figure as f32,
                    },
                    point: trimmed(point, request.include),
                })
                .filter(|hit| request.score_threshold.is_none_or(|least| hit.score >= least))
                .collect();
            hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.point.id.cmp(&b.point.id)));
            hits.truncate(request.top_k);
            let trace = SearchTrace {
                plan: "flat",
                ef: 0,
                rows_live: shard.points.len() as u64,
                filter_matched: None,
                distances: shard.points.len() as u64,
                hops: 0,
                tail_scanned: 0,
                quantization: Some("8bit".into()),
                bytes_read: Some(640),
                precise: None,
                rescored: Some(3),
                filter: request.filter.is_some().then(|| FilterTrace {
                    plan: "bitmap".into(),
                    estimated: Some(9),
                    matched: Some(7),
                    checked: None,
                    unindexed,
                }),
                recall_missed: request.recall_target == 0.97,
                stages: vec![Stage { name: "search", us: 7 }],
            };
            ShardHits { hits, trace }
        });
        let late = self.late.lock().take();
        if let Some(late) = late {
            TestPool.sleep(late).await;
        }
        answer
    }

    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        let (target, level) = (request.target, request.read);
        let index = self.shards.lock().get(&target.shard.0).map(|shard| shard.index);
        if index != Some(known) {
            return self.search(request).await.map(ShardRead::some);
        }
        self.enter("unchanged", target).await?;
        self.read(target, level, |_| None)
    }

    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        self.enter("scroll", request.target).await?;
        let unindexed = self.unindexed(request.target.shard.0, request.filter.as_ref());
        self.read(request.target, request.read, |shard| {
            let passing = shard.points.values().filter(|point| {
                request.after.as_ref().is_none_or(|after| point.id > *after)
                    && request.filter.as_ref().is_none_or(|filter| passes(filter, point))
            });
            let mut points: Vec<PointRecord> =
                passing.take(request.limit + 1).map(|point| trimmed(point, request.include)).collect();
            let more = points.len() > request.limit;
            points.truncate(request.limit);
            ShardPage { points, more, unindexed }
        })
    }

    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        self.enter("count", request.target).await?;
        let unindexed = self.unindexed(request.target.shard.0, request.filter.as_ref());
        self.read(request.target, request.read, |shard| {
            let passing = |p: &&PointRecord| request.filter.as_ref().is_none_or(|filter| passes(filter, p));
            ShardCounted { count: shard.points.values().filter(passing).count() as u64, unindexed }
        })
    }

    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        self.enter("text_stats", request.target).await?;
        self.read(request.target, request.read, |shard| {
            let points = shard.points.len() as u64;
            let terms = BTreeMap::from([(request.query.text.clone(), points)]);
            TextStats { points, words: 2 * points, terms }
        })
    }

    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        let ShardExamine { search, subject } = request;
        self.enter("examine", search.target).await?;
        self.read(search.target, search.read, |shard| {
            let distance = shard.distance.expect("set");
            let ShardQuery::Dense { vector: query, .. } = &search.query else {
                panic!("only searches by vector are examined")
            };
            let score = |point: &PointRecord| {
                score(distance, query, point.vector.as_ref().and_then(|v| v.dense()).expect("stored"))
            };
            let passing = |point: &&PointRecord| search.filter.as_ref().is_none_or(|f| passes(f, point));
            let before = |id: &str, than: f32| {
                let ahead =
                    shard.points.values().filter(passing).filter(|point| {
                        score(point) > than || score(point) == than && point.id.as_str() < id
                    });
                ahead.count() as u64
            };
            match &subject {
                Subject::Elsewhere { id, score } => {
                    let ahead = before(id, *score);
                    Examined::Ahead { ahead, returned: ahead.min(search.top_k as u64) }
                }
                Subject::Id(id) => match shard.points.get(id) {
                    None => Examined::Absent,
                    Some(point) if !passing(&point) => Examined::Filtered {
                        version: point.version,
                        failed: vec![FailedClause {
                            clause: search.filter.as_ref().expect("one").to_text(),
                            values: vec![("f".into(), Some("\"x\"".into())), ("g".into(), None)],
                        }],
                    },
                    Some(point) => {
                        let ahead = before(id, score(point));
                        // Points called so are never found.
                        let found = ahead < search.top_k as u64 && !id.starts_with("missed");
                        Examined::Scored(Scored {
                            version: point.version,
                            score: score(point),
                            ahead,
                            position: found.then_some(ahead),
                            ef: 64,
                            ef_needed: (!found && ahead < search.top_k as u64).then_some(96),
                        })
                    }
                },
            }
        })
    }

    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        self.enter("tune", request.target).await?;
        self.read(request.target, request.read, |shard| {
            let queries = shard.points.len() as u64;
            let rung = |ef, found, distances| TuneRung { ef, found: found * queries, distances };
            ShardTuned {
                queries,
                wanted: 10 * queries,
                rungs: vec![rung(32, 8, 100), rung(64, 9, 200), rung(128, 10, 400)],
                calibrated_ef: (request.target.shard.0 < 100).then_some(70 + request.target.shard.0 as u32),
            }
        })
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        self.enter("browse", request.target).await?;
        let unindexed = self.unindexed(request.target.shard.0, request.filter.as_ref());
        self.read(request.target, request.read, |shard| {
            let passing = shard.points.values();
            let passing = passing.filter(|p| request.filter.as_ref().is_none_or(|filter| passes(filter, p)));
            ShardBrowsed { found: crate::oracle::browsed(passing, &request.what), unindexed }
        })
    }

    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        self.enter("status", target).await?;
        let indexes = self.indexes(target.shard.0);
        let shards = self.shards.lock();
        let shard = &shards[&target.shard.0];
        let points = shard.points.len() as u64;
        let field_index = |index| FieldIndexStatus {
            index,
            ready: true,
            points_indexed: points,
            points_total: points,
            bytes: 5,
            irregular: 1,
        };
        Ok(ShardStatus {
            points: shard.points.len() as u64,
            applied_index: shard.index,
            disk_bytes: 10,
            memory_bytes: points * 20,
            leads: true,
            memory: Some(MemorySplit { codes: 1, vectors: 2, links: 3, payload_indexes: 4, other: 5 }),
            quantization: Some(CodeError {
                kind: "8bit".into(),
                error_mean: Some(0.25),
                error_fine_mean: None,
            }),
            calibration: Some(Calibration { measured_at_points: 9, ef_90: 40, ef_95: 60, ef_99: 120 }),
            field_indexes: indexes.into_iter().map(field_index).collect(),
            recall: vec![RecallFigure {
                selectivity: Selectivity::All,
                target: Some(0.5),
                samples: target.shard.0 + 1,
                recall: if target.shard.0.is_multiple_of(2) { 1.0 } else { 0.5 },
                missed: false,
            }],
            ..ShardStatus::default()
        })
    }

    async fn snapshot(&self, _: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        Err(unplayed())
    }

    async fn snapshot_part(&self, _: SnapshotPart) -> Result<Vec<u8>, Fault> {
        Err(unplayed())
    }
}

#[async_trait]
impl Placement for Cluster {
    async fn create_collection(&self, spec: CollectionSpec, _: u64) -> Result<(Collection, bool), Fault> {
        let mut catalog = self.catalog.lock();
        if let Some(there) = catalog.live(&spec.name) {
            if there.spec == spec {
                return Ok((there.clone(), false));
            }
            let detail = format!("collection '{}' exists with another configuration", spec.name);
            return Err(Fault::new(Code::AlreadyExists, detail));
        }
        catalog.epoch += 1;
        let incarnation = self.next.fetch_add(1, Ordering::SeqCst);
        let ranges = equal_ranges(spec.shards);
        let shards = ranges.into_iter().map(|(first, last)| {
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            let distance = Some(spec.distance);
            let state = ShardState { incarnation, epoch: 1, distance, ..ShardState::default() };
            self.shards.lock().insert(id, state);
            let voters = 0..u64::from(spec.replication_factor);
            let replicas = voters.map(|n| Replica::voter(ReplicaId(id * 10 + n), WorkerId(n + 1)));
            let replicas = replicas.collect();
            let shard = ShardId(id);
            Shard { shard, first, last, epoch: 1, config: 1, replicas, leader: None, split: None }
        });
        let collection = Collection {
            shards: shards.collect(),
            spec,
            incarnation: Incarnation(incarnation),
            created_at_ms: 1_700_000_000_000,
            state: CollectionState::Live,
            field_indexes: Vec::new(),
        };
        catalog.collections.push(collection.clone());
        Ok((collection, true))
    }

    async fn delete_collection(&self, name: &str, _: u64) -> Result<(), Fault> {
        let mut catalog = self.catalog.lock();
        let Some(at) =
            catalog.collections.iter().position(|c| c.state == CollectionState::Live && c.spec.name == name)
        else {
            return Err(Fault::no_collection(name));
        };
        catalog.collections[at].state = CollectionState::Deleting;
        catalog.epoch += 1;
        for shard in &catalog.collections[at].shards {
            self.shards.lock().remove(&shard.shard.0);
        }
        Ok(())
    }

    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        let mut catalog = self.catalog.lock();
        let Some(at) = catalog.collections.iter().position(|c| c.spec.name == collection) else {
            return Err(Fault::no_collection(collection));
        };
        let indexes = &mut catalog.collections[at].field_indexes;
        match indexes.iter().find(|there| there.field == index.field) {
            Some(there) if *there == index => return Ok(false),
            Some(_) => return Err(Fault::on_field(Code::AlreadyExists, "type", "is another")),
            None => indexes.push(index),
        }
        catalog.epoch += 1;
        Ok(true)
    }

    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        let mut catalog = self.catalog.lock();
        catalog.epoch += 1;
        let mut all = catalog.collections.iter_mut();
        let found =
            all.find(|c| c.spec.name == collection).ok_or_else(|| Fault::no_collection(collection))?;
        let at = found.field_indexes.iter().position(|index| index.field == field);
        let at = at.ok_or_else(|| Fault::new(Code::NotFound, "no such index"))?;
        found.field_indexes.remove(at);
        Ok(())
    }

    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        if self.lost_catalog.load(Ordering::SeqCst) {
            return Err(Fault::new(Code::Unavailable, "the catalog is away"));
        }
        // Slow to tell, so that these tests see views that are behind; asked for now, it tells at once.
        if known_epoch > 0 {
            TestPool.sleep(Duration::from_secs(3_600)).await;
        }
        Ok(Arc::new(self.catalog.lock().clone()))
    }

    async fn register(&self, _: Registration) -> Result<(), Fault> {
        Ok(())
    }

    async fn report(&self, _: WorkerReport) -> Result<(), Fault> {
        Ok(())
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        let catalog = self.catalog.lock();
        let shards = catalog.collections.iter().flat_map(|c| c.shards.iter().map(move |s| (c, s)));
        let shown = shards.map(|(collection, shard)| ShardView {
            collection: collection.spec.name.clone(),
            shard: shard.shard,
            first: shard.first,
            last: shard.last,
            epoch: shard.epoch,
            points: 0,
            disk_bytes: 0,
            splits_off: None,
            replicas: Vec::new(),
            problems: Vec::new(),
        });
        Ok(ClusterView { epoch: catalog.epoch, shards: shown.collect(), ..ClusterView::default() })
    }

    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        if let ClusterChange::Aliases(actions) = change {
            let mut catalog = self.catalog.lock();
            for action in actions {
                catalog.aliases.retain(|there| there.alias != action.alias());
                if let AliasAction::Set(alias) = action {
                    catalog.aliases.push(alias);
                }
            }
            catalog.epoch += 1;
            return Ok(Vec::new());
        }
        self.changes.lock().push(change);
        let reason = "because".to_string();
        Ok(vec![PlannedMove {
            shard: ShardId(1),
            from: Some(WorkerId(1)),
            to: Some(WorkerId(2)),
            bytes: 7,
            reason,
        }])
    }

    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        Err(unplayed())
    }
}

struct Directory(Arc<Cluster>);

impl WorkerDirectory for Directory {
    fn worker(&self, id: WorkerId) -> Option<Arc<dyn Worker>> {
        (!self.0.lost_workers.lock().contains(&id.0)).then(|| self.0.clone() as Arc<dyn Worker>)
    }
}

/// A gateway before the cluster.
pub fn gateway(cluster: &Arc<Cluster>, knobs: GatewayKnobs, admin_key: Option<&str>) -> Arc<Gateway> {
    let mut registry = vectron_base::metric::Registry::default();
    let metrics = GatewayMetrics::register(&mut registry);
    Gateway::new(Parts {
        placement: cluster.clone(),
        workers: Arc::new(Directory(cluster.clone())),
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SeededRandom::new(7)),
        pool: Arc::new(TestPool),
        knobs,
        metrics,
        admin: AdminSources {
            metrics_text: Arc::new(move |open| match open {
                true => vectron_base::metric::open_metrics_text(&registry),
                false => vectron_base::metric::prometheus_text(&registry),
            }),
            knobs: serde_json::json!({"gateway.max_top_k": {"value": "10000", "origin": "default"}}),
            ready: Arc::new(|| Ok(())),
            stats: Arc::new(|| serde_json::json!({"uptime_s": 1})),
        },
        admin_key: admin_key.map(str::to_string),
    })
}

/// A client of one router.
pub struct Client {
    pub cluster: Arc<Cluster>,
    pub gateway: Arc<Gateway>,
    pub router: Router,
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The problem, after checking that it is a whole one.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"].as_str(), self.headers["x-request-id"].to_str().ok());
        problem
    }

    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }
}

impl Client {
    pub fn new() -> Self {
        Self::with(GatewayKnobs::default(), None)
    }

    pub fn with(knobs: GatewayKnobs, key: Option<&str>) -> Self {
        let cluster = Cluster::new();
        let gateway = gateway(&cluster, knobs, key);
        Self { cluster, router: vectron_gateway::router(gateway.clone()), gateway }
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Reply { status: parts.status, headers: parts.headers, text }
    }

    pub async fn call(&self, method: &str, path: &str, body: impl Into<String>) -> Reply {
        let body: String = body.into();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json").body(Body::from(body));
        self.send(request.expect("request")).await
    }

    pub async fn post(&self, path: &str, body: impl Into<String>) -> Reply {
        self.call("POST", path, body).await
    }

    pub async fn fetch(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).expect("request")).await
    }

    /// A collection `docs` of two numbers.
    pub async fn with_docs(self, distance: &str, shards: u32) -> Self {
        let body = format!(r#"{{"name":"docs","dimension":2,"distance":"{distance}","shards":{shards}}}"#);
        let reply = self.post("/v1/collections", body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        self
    }

    pub async fn upsert(&self, points: &str) -> Reply {
        self.post("/v1/collections/docs/points", format!(r#"{{"points":{points}}}"#)).await
    }

    pub async fn search(&self, body: &str) -> Reply {
        self.post("/v1/collections/docs/points/search", body).await
    }
}

/// A fault that a shard answers with.
pub fn fault(code: Code, outcome: Outcome) -> Fault {
    Fault::new(code, "as told").with_outcome(outcome)
}
