//! Who owns what: the catalog as this gateway last saw it, and the worker of each shard that last answered.
//!
//! A loop in the background follows the catalog by its epoch. A name that is not in the view, and a shard that
//! says the route is stale, cause one refresh; callers that need one at the same time share it.

use crate::ask::Effect;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::pool::Pool;
use vectron_wire::placement::{
    CatalogView, Collection, CollectionState, Placement, Replica, ReplicaRole, Shard,
};
use vectron_wire::routing::hash_of_id;
use vectron_wire::worker::Target;

/// The live collections at one epoch.
#[derive(Default)]
pub struct View {
    /// Of the catalog.
    pub epoch: u64,
    by_name: BTreeMap<String, Arc<Collection>>,
    aliases: BTreeMap<String, String>,
}

impl View {
    fn of(catalog: &CatalogView) -> Self {
        let live = catalog.collections.iter().filter(|c| c.state == CollectionState::Live);
        Self {
            epoch: catalog.epoch,
            by_name: live.map(|c| (c.spec.name.clone(), Arc::new(c.clone()))).collect(),
            aliases: catalog.aliases.iter().map(|a| (a.alias.clone(), a.collection.clone())).collect(),
        }
    }

    /// A collection by its name or an alias.
    pub fn get(&self, name: &str) -> Option<&Arc<Collection>> {
        self.by_name.get(name).or_else(|| self.by_name.get(self.aliases.get(name)?))
    }

    /// Other names of collections, in order: alias and own name.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, own)| (alias.as_str(), own.as_str()))
    }

    /// Every collection, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.by_name.values()
    }
}

/// The cached catalog.
pub struct Catalog {
    placement: Arc<dyn Placement>,
    view: RwLock<Arc<View>>,
    seen: AtomicBool,
    /// Callers of [`Catalog::refresh`] so far; each takes the next number.
    callers: AtomicU64,
    /// Callers below this number have a refresh that began after they came.
    served: tokio::sync::Mutex<u64>,
    leaders: Mutex<HashMap<ShardId, WorkerId>>,
    /// Whose turn it is where every replica answers alike.
    turn: AtomicU64,
}

impl Catalog {
    /// An empty view that follows `placement` for as long as somebody holds it.
    pub fn follow(placement: Arc<dyn Placement>, pool: &Arc<dyn Pool>) -> Arc<Self> {
        let catalog = Arc::new(Self {
            placement,
            view: RwLock::default(),
            seen: AtomicBool::new(false),
            callers: AtomicU64::new(0),
            served: tokio::sync::Mutex::new(0),
            leaders: Mutex::default(),
            turn: AtomicU64::new(0),
        });
        let follower = follow(Arc::downgrade(&catalog), pool.clone());
        pool.spawn("gateway-catalog", Box::pin(follower));
        catalog
    }

    /// The view as it is.
    pub fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    /// Whether the catalog was ever seen.
    pub fn seen(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }

    fn take(&self, seen: &CatalogView) {
        let mut view = self.view.write();
        if seen.epoch > view.epoch {
            *view = Arc::new(View::of(seen));
        }
        self.seen.store(true, Ordering::SeqCst);
    }

    /// The catalog as of some moment after this call began.
    pub async fn refresh(&self) -> Result<Arc<View>, Fault> {
        let caller = self.callers.fetch_add(1, Ordering::SeqCst);
        let mut served = self.served.lock().await;
        if *served <= caller {
            let before_now = self.callers.load(Ordering::SeqCst);
            self.take(&*self.placement.watch(0).await?);
            *served = before_now;
        }
        Ok(self.view())
    }

    /// The workers to ask, in order. Writes and strict reads begin with the one that is thought to lead; what
    /// every replica answers alike goes round.
    pub fn order(&self, shard: &Shard, effect: Effect) -> Vec<WorkerId> {
        let votes = |r: &&Replica| matches!(r.role, ReplicaRole::Voter | ReplicaRole::Leaving);
        let reads = |r: &&Replica| votes(r) || r.role == ReplicaRole::Learner;
        let mut workers: Vec<WorkerId> = match effect {
            Effect::Write { .. } => shard.replicas.iter().filter(votes).map(|r| r.worker).collect(),
            Effect::Read | Effect::ReadAnywhere => {
                shard.replicas.iter().filter(reads).map(|r| r.worker).collect()
            }
        };
        if workers.len() > 1 {
            match effect {
                Effect::ReadAnywhere => {
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    let first = turn % workers.len() as u64;
                    workers.rotate_left(first as usize);
                }
                Effect::Read | Effect::Write { .. } => {
                    let leader = self.leaders.lock().get(&shard.shard).copied();
                    if let Some(at) = workers.iter().position(|worker| Some(*worker) == leader) {
                        workers.swap(0, at);
                    }
                }
            }
        }
        workers
    }

    /// A worker answered for a shard with several replicas: it leads if that was a write, and may if it was a
    /// strict read.
    pub fn answered(&self, shard: &Shard, worker: WorkerId, effect: Effect) {
        if shard.replicas.len() <= 1 {
            return;
        }
        match effect {
            Effect::Write { .. } => drop(self.leaders.lock().insert(shard.shard, worker)),
            Effect::Read => drop(self.leaders.lock().entry(shard.shard).or_insert(worker)),
            Effect::ReadAnywhere => {}
        }
    }

    /// A worker refused: if it was thought to lead, whoever comes next asks the one after it.
    pub fn refused(&self, shard: &Shard, worker: WorkerId) {
        let replicas = &shard.replicas;
        let mut leaders = self.leaders.lock();
        if replicas.len() > 1
            && leaders.get(&shard.shard).is_none_or(|leader| *leader == worker)
            && let Some(at) = replicas.iter().position(|replica| replica.worker == worker)
        {
            leaders.insert(shard.shard, replicas[(at + 1) % replicas.len()].worker);
        }
    }
}

async fn follow(catalog: Weak<Catalog>, pool: Arc<dyn Pool>) {
    const PAUSE: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);
    let mut failures = 0u32;
    loop {
        let Some((placement, known)) = catalog.upgrade().map(|c| (c.placement.clone(), c.view().epoch))
        else {
            return;
        };
        let seen = placement.watch(known).await;
        let Some(catalog) = catalog.upgrade() else {
            return;
        };
        let moved = match &seen {
            Ok(seen) => {
                failures = 0;
                catalog.take(seen);
                seen.epoch > known
            }
            Err(fault) => {
                if failures == 0 {
                    tracing::warn!(event = "gateway.catalog_unreachable", "catalog not followed: {fault}");
                }
                failures = failures.saturating_add(1);
                false
            }
        };
        drop(catalog);
        if !moved {
            pool.sleep((PAUSE * 2u32.pow(failures.min(6))).min(LONGEST)).await;
        }
    }
}

/// Position of the shard that owns an id.
pub fn shard_of(collection: &Collection, id: &str) -> Result<usize, Fault> {
    let hash = hash_of_id(id);
    let at = collection.shards.partition_point(|shard| shard.last < hash);
    match collection.shards.get(at) {
        Some(shard) if shard.first <= hash => Ok(at),
        _ => Err(Fault::internal("no shard owns this id; the catalog has a gap")),
    }
}

/// The address of a shard, fenced.
pub fn target(collection: &Collection, shard: &Shard) -> Target {
    Target { shard: shard.shard, incarnation: collection.incarnation, epoch: shard.epoch }
}
