//! A run: a cluster, a workload, a nemesis for a while, then healing, quiet, and every check.

use super::clients::{Board, COLLECTION, Client, seen, token_positions};
use super::nemesis::{Mischief, Nemesis};
use super::node::Role;
use super::{Cluster, Flaws, Shape, Sound, Workload};
use crate::check::{self, Violation};
use crate::executor::NodeId;
use crate::history::{DIMENSION, Final, History, Owners, parse_id, public_id};
use crate::invariants::Healing;
use crate::world::small_settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::ShardId;
use vectron_base::random::{SeededRandom, mix64};
use vectron_gateway::api;
use vectron_store::Include;
use vectron_wire::placement::{CatalogView, ClusterChange, Collection, ReplicaRole, Shard};

/// Where clients run.
const CLIENTS: u32 = 100;
/// The client that makes the collection and looks at the end.
const OPERATOR: NodeId = NodeId(99);
/// How long a cluster may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Operations of one run at most.
const HISTORY_LIMIT: usize = 200_000;

/// What is run.
#[derive(Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// How many of each node.
    pub shape: Shape,
    /// Shards of the collection, with three replicas each.
    pub shards: u32,
    /// What the clients do.
    pub workload: Workload,
    /// What goes wrong,
    pub mischief: Vec<Mischief>,
    /// about how often,
    pub every_ms: u64,
    /// for how long, in virtual time.
    pub lasts: Duration,
    /// What is broken on purpose.
    pub flaws: Arc<dyn Flaws>,
}

impl Scenario {
    /// Everything at once, nothing broken on purpose.
    pub fn everything(lasts: Duration) -> Self {
        Self {
            name: "everything",
            shape: Shape { workers: 5, gateways: 2 },
            shards: 4,
            workload: Workload::default(),
            mischief: Mischief::ALL.to_vec(),
            every_ms: 1_500,
            lasts,
            flaws: Arc::new(Sound),
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of everything that happened.
    pub trace: u64,
    /// Properties that do not hold.
    pub violations: Vec<Violation>,
    /// Operations that clients noted.
    pub operations: usize,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Reads, searches and counts that were refused.
    pub refused: u64,
    /// Virtual time that it took.
    pub virtual_time: Duration,
    /// States whose digest was compared with another replica's.
    pub compared: u64,
    /// What went wrong, how often.
    pub mischief: BTreeMap<Mischief, u64>,
    /// What operators asked for: how often it was begun and how often refused.
    pub asked: BTreeMap<Mischief, (u64, u64)>,
    /// Shards at the end.
    pub shards: usize,
    /// Replicas at the end that were not among the first.
    pub moved: usize,
}

/// Runs a scenario under a seed.
pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let mut settings = small_settings();
    settings.consensus.journal_segment_bytes = 64 << 10;
    settings.consensus.journal_limit_bytes = 256 << 10;
    settings.store.checkpoint_bytes = 16 << 10;
    settings.placement.plan_interval_ms = 250;
    settings.placement.dead_after_ms = 5_000;
    settings.placement.repair_grace_ms = 5_000;
    settings.placement.move_stall_ms = 15_000;
    settings.placement.caught_up_entries = 16;
    settings.placement.checkpoint_entries = 16;
    settings.worker.snapshot_idle_ms = 5_000;
    // Results that are kept or shared must be none that a search would not give.
    settings.gateway.result_cache_bytes = 64 << 10;
    settings.gateway.coalesce_ms = 500;
    settings.worker.snapshot_part_bytes = 4 << 10;
    settings.worker.mark_interval_s = 5;
    let mut cluster = Cluster::new(mix64(seed), scenario.shape, settings, scenario.flaws.clone());
    let board = Arc::new(Board::new(HISTORY_LIMIT, scenario.flaws.clone()));
    let mut nemesis = Nemesis::new(&scenario.mischief, scenario.every_ms, cluster.now());
    let collection = match create(&mut cluster, scenario) {
        Ok(collection) => collection,
        Err(what) => {
            cluster.invariants.report("the cluster comes up", what);
            return outcome(&cluster, &History::default(), &nemesis);
        }
    };
    for number in 0..scenario.workload.clients {
        let node = NodeId(CLIENTS + number);
        let gateways =
            cluster.of_role(Role::Gateway).into_iter().map(|to| cluster.gateway(node, to)).collect();
        let client = Client {
            node,
            gateways,
            executor: cluster.executor.clone(),
            random: SeededRandom::new(mix64(seed ^ u64::from(node.0) << 32)),
            workload: scenario.workload,
            board: board.clone(),
            token: None,
            saw: None,
            own: None,
        };
        cluster.executor.on(node, None).spawn_task(Box::pin(client.run()));
    }
    let end = cluster.now().plus(scenario.lasts);
    while cluster.now() < end && cluster.violations().is_empty() {
        nemesis.act(&mut cluster);
        // Journals that stop and disks that lose power are noticed within a quarter of a second.
        let look = cluster.now().plus(Duration::from_millis(250));
        let next = nemesis.due().min(end).min(look).max(cluster.now().plus(Duration::from_micros(1)));
        cluster.run_for(next.since(cluster.now()));
    }
    board.stop.store(true, Ordering::SeqCst);
    nemesis.heal(&mut cluster);
    let settled = settle(&mut cluster, &mut nemesis, &board, &collection);
    let last = settled.unwrap_or_else(|| collection.clone());
    let mut history = std::mem::take(&mut *board.history.lock());
    history.resolve(owners(&collection, &last));
    history.finals = finals(&cluster, &last, &history.owners, scenario.workload.ids);
    let mut outcome = outcome(&cluster, &history, &nemesis);
    outcome.shards = last.shards.len();
    outcome.moved = moved(&collection, &last);
    // Who owned what is known of a cluster that came to rest only.
    if outcome.violations.is_empty() {
        outcome.violations.extend(check::check(&history));
    }
    outcome
}

fn outcome(cluster: &Cluster, history: &History, nemesis: &Nemesis) -> Outcome {
    Outcome {
        trace: mix64(cluster.executor.trace() ^ history.len() as u64),
        violations: cluster.violations().to_vec(),
        operations: history.len(),
        acknowledged: history.acknowledged(),
        refused: history.refused,
        virtual_time: Duration::from_nanos(cluster.now().0),
        compared: cluster.invariants.compared(),
        mischief: nemesis.counts.clone(),
        asked: nemesis.asked.lock().clone(),
        shards: 0,
        moved: 0,
    }
}

/// Makes the collection, and waits until every shard can commit.
fn create(cluster: &mut Cluster, scenario: &Scenario) -> Result<Collection, String> {
    let gateway = cluster.gateway(OPERATOR, cluster.of_role(Role::Gateway)[0]);
    let request = || api::CreateCollectionRequest {
        name: COLLECTION.into(),
        dimension: DIMENSION as u64,
        distance: "euclidean".into(),
        vectors: None,
        sparse_vectors: None,
        multi_vectors: None,
        shards: Some(u64::from(scenario.shards)),
        replication_factor: Some(u64::from(scenario.shape.workers.min(3))),
        read_policy: None,
        quantization: None,
        storage: None,
        text_fields: None,
        index: None,
        ttl_ms: None,
    };
    let mut last = String::new();
    for _ in 0..30 {
        let (gateway, request) = (gateway.clone(), request());
        let wait = Duration::from_secs(2);
        let creating = async move {
            let call = gateway.call(wait, true, |gateway| {
                Box::pin(async move { gateway.create_collection(request).await })
            });
            call.await
        };
        let answer = cluster.run_until_done(PATIENCE, creating);
        if let (Some(Ok(_)), Some(collection)) = (&answer, cluster.catalog().and_then(|view| live(&view))) {
            return Ok(collection);
        }
        last = format!("{answer:?}");
        cluster.run_for(Duration::from_millis(500));
    }
    Err(format!("no collection after {:?}: {last}", cluster.now()))
}

fn live(view: &CatalogView) -> Option<Collection> {
    view.live(COLLECTION).cloned()
}

/// Who owns what at the end, and where it came from. A shard that splits keeps its first hash, and the one that
/// splits off takes the rest: so it came from whoever was there before it and begins next below it.
fn owners(first: &Collection, last: &Collection) -> Owners {
    let shards = last.shards.iter().map(|shard| (shard.last, shard.shard.0)).collect();
    let younger = last.shards.iter().filter(|shard| first.shards.iter().all(|old| old.shard != shard.shard));
    let parents = younger.filter_map(|child| {
        let older = last.shards.iter().filter(|shard| shard.shard < child.shard && shard.first < child.first);
        older.max_by_key(|shard| shard.first).map(|parent| (child.shard.0, parent.shard.0))
    });
    Owners { parents: parents.collect(), shards, ..Owners::default() }
}

/// Replicas that were not among the first.
fn moved(first: &Collection, last: &Collection) -> usize {
    let was =
        |replica| first.shards.iter().flat_map(|shard| &shard.replicas).any(|old| old.replica == replica);
    last.shards.iter().flat_map(|shard| &shard.replicas).filter(|new| !was(new.replica)).count()
}

/// Waits until every shard accepts writes, every change of the cluster has ended, and every replica has applied
/// everything; the collection as it is then.
fn settle(
    cluster: &mut Cluster,
    nemesis: &mut Nemesis,
    board: &Arc<Board>,
    first: &Collection,
) -> Option<Collection> {
    let mut collection = first.clone();
    let mut healing = Healing::new(cluster.now(), first.shards.iter().map(|shard| shard.shard));
    let mut number = 0u64;
    while cluster.violations().is_empty() {
        if let Some(view) = cluster.catalog()
            && let Some(now) = live(&view)
        {
            collection = now;
            healing.list(collection.shards.iter().map(|shard| shard.shard));
        }
        if let Some(what) = healing.check(cluster.now()) {
            let what = format!("{what}: {}{}", phases(cluster), describe(cluster, &collection));
            cluster.invariants.report(crate::invariants::HEALING, what);
            return Some(collection);
        }
        let waiting: Vec<ShardId> = healing.waiting().collect();
        if healing.done() {
            break;
        }
        for shard in waiting {
            number += 1;
            if let Some(id) = id_of(&collection, shard, number)
                && probe(cluster, id)
            {
                healing.accepted(shard);
            }
        }
        // A sync that was to fail before the healing may fail only now.
        nemesis.heal(cluster);
        cluster.run_for(Duration::from_millis(100));
    }
    for _ in 0..120 {
        if !cluster.violations().is_empty() {
            return Some(collection);
        }
        cluster.run_for(Duration::from_secs(1));
        nemesis.heal(cluster);
        let Some(view) = cluster.catalog() else { continue };
        let Some(now) = live(&view) else { continue };
        collection = now;
        if board.at_work.load(Ordering::SeqCst) == 0
            && super::operator::drained(&view).is_empty()
            && at_rest(&collection)
            && level(cluster, &collection)
        {
            return Some(collection);
        }
        // Operators end what they began; shards that nobody can serve with the workers left wait for them.
        for worker in super::operator::drained(&view) {
            let placement = cluster.placement();
            let ending = async move { placement.change(ClusterChange::Undrain(worker)).await.is_ok() };
            cluster.run_until_done(Duration::from_secs(10), ending);
        }
    }
    let what = format!("{}{}", phases(cluster), describe(cluster, &collection));
    cluster.invariants.report("replicas catch up after healing", what);
    Some(collection)
}

/// Whether no replica comes or goes and nothing is split.
fn at_rest(collection: &Collection) -> bool {
    let stays = |role| matches!(role, ReplicaRole::Voter | ReplicaRole::Learner);
    let rests = |shard: &Shard| shard.split.is_none() && shard.replicas.iter().all(|r| stays(r.role));
    collection.shards.iter().all(rests)
}

/// How the placement driver sees the replicas, for people.
fn phases(cluster: &mut Cluster) -> String {
    let placement = cluster.placement();
    let asking = async move { placement.cluster().await };
    let seen = cluster.run_until_done(Duration::from_secs(10), asking);
    let Some(Ok(view)) = seen else { return "the placement driver does not answer".into() };
    let shards = view.shards.iter().map(|shard| {
        let phases = shard.replicas.iter().map(|r| (r.worker, r.phase, r.leads, r.applied_index));
        format!("\n  {}: {:?} {:?}", shard.shard, phases.collect::<Vec<_>>(), shard.problems)
    });
    shards.collect::<String>() + &format!("\n  moves: {:?}", view.moves)
}

/// Everything about shards whose replicas are not as they should be, for people.
fn describe(cluster: &Cluster, collection: &Collection) -> String {
    let states = states(cluster, collection);
    let of = |shard: &Shard| {
        let logs = cluster.nodes.values().filter_map(|node| {
            let status = node.handle()?.status(shard.shard.group())?;
            Some(format!("\n    {:?}: {status:?}", node.id))
        });
        format!("\n  {shard:?} {:?}{}", states.get(&shard.shard), logs.collect::<String>())
    };
    collection.shards.iter().map(of).collect()
}

/// An id of this shard that no client writes.
fn id_of(collection: &Collection, shard: ShardId, number: u64) -> Option<String> {
    let range = collection.shards.iter().find(|s| s.shard == shard)?;
    let mut ids = (0..10_000).map(|n| format!("probe-{number}-{n}"));
    ids.find(|id| (range.first..=range.last).contains(&vectron_wire::routing::hash_of_id(id)))
}

/// Writes and deletes a point of its own.
fn probe(cluster: &mut Cluster, id: String) -> bool {
    let gateway = cluster.gateway(OPERATOR, cluster.of_role(Role::Gateway)[0]);
    let point = api::PointInput {
        id: api::PointId(id.clone()),
        vector: Some(vec![0.0; DIMENSION].into()),
        vector_b64: None,
        payload: None,
        if_version: None,
        if_filter: None,
        ttl_ms: None,
        expires_at_ms: None,
    };
    let (write, delete) = (
        api::UpsertRequest {
            collection: COLLECTION.into(),
            points: vec![point],
            idempotency_key: None,
            timeout_ms: Some(2_000),
        },
        api::DeleteRequest {
            points: None,
            collection: COLLECTION.into(),
            ids: Some(vec![api::PointId(id)]),
            filter: None,
            idempotency_key: None,
            timeout_ms: Some(2_000),
        },
    );
    let wait = Duration::from_secs(3);
    let probing = async move {
        let written = gateway.call(wait, true, |g| Box::pin(async move { g.upsert(write).await })).await;
        let told = written.ok().and_then(|done| token_positions(&done.session));
        told.is_some()
            && gateway.call(wait, true, |g| Box::pin(async move { g.delete(delete).await })).await.is_ok()
    };
    cluster.run_until_done(Duration::from_secs(8), probing).unwrap_or(false)
}

/// The applied index of every replica, by shard; `None` for one that is not served.
fn states(cluster: &Cluster, collection: &Collection) -> BTreeMap<ShardId, Vec<(NodeId, Option<u64>)>> {
    let of = |shard: ShardId, node: NodeId| {
        let host = cluster.nodes.get(&node)?.host()?;
        host.serving().iter().find(|hosted| hosted.id() == shard).map(|hosted| hosted.shard.applied_index())
    };
    let shards = collection.shards.iter().map(|shard| {
        let nodes = shard.replicas.iter().map(|replica| super::node_of(replica.worker));
        (shard.shard, nodes.map(|node| (node, of(shard.shard, node))).collect())
    });
    shards.collect()
}

fn level(cluster: &Cluster, collection: &Collection) -> bool {
    states(cluster, collection).values().all(|replicas| {
        let most = replicas.iter().filter_map(|(_, applied)| *applied).max();
        replicas.iter().all(|(_, applied)| applied.is_some() && *applied == most)
    })
}

/// What every replica of the catalog holds.
fn finals(cluster: &Cluster, collection: &Collection, owners: &Owners, ids: u32) -> Vec<Final> {
    let mut finals = Vec::new();
    for node in cluster.nodes.values() {
        for hosted in node.host().iter().flat_map(|host| host.serving()) {
            let listed = collection.shards.iter().find(|shard| shard.shard == hosted.id());
            if listed.is_none_or(|shard| shard.on(super::worker_on(node.id)).is_none()) {
                continue;
            }
            let ids: Vec<u32> = (0..ids).filter(|id| owners.owner(*id) == hosted.id().0).collect();
            let names: Vec<String> = ids.iter().map(|id| public_id(*id)).collect();
            let include = Include { payload: true, vector: false };
            let Ok(read) = hosted.shard.get(&names, include) else { continue };
            let points = read.value.into_iter().flatten();
            let points =
                points.filter_map(|point| Some((parse_id(&point.id)?, seen(point.version, point.payload)?)));
            finals.push(Final {
                replica: format!("shard {} on node {}", hosted.id(), node.id.0),
                applied: read.applied_index,
                points: points.collect(),
                ids,
            });
        }
    }
    finals
}
