//! The host: holds the replicas of this worker, and keeps them in agreement with the catalog.
//!
//! [`follow`] notes what the catalog wants of each shard; [`settle`] makes it so, each shard on its own, so that one
//! that takes long holds up no other; [`patrol`] looks after replicas that serve: who takes part in the groups that
//! are led here, copies that are needed, splits, marks.

mod admission;
mod follow;
mod leave;
mod open;
mod patrol;
mod report;
mod settle;
mod split;
mod table;

pub(crate) use open::OpenFailure;
pub(crate) use table::Slot;

use crate::hosted::Hosted;
use crate::load::Load;
use crate::meta::ShardMeta;
use crate::peers::Peers;
use crate::snapshot::{Offers, Throttle};
use crate::{WorkerKnobs, WorkerMetrics, meta, tend};
use follow::Seen;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use table::{Entry, Wanted};
use tokio::sync::{Notify, Semaphore};
use vectron_base::clock::Clock;
use vectron_base::disk::{Disk, DiskError};
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::pool::{Pool, within};
use vectron_base::random::Random;
use vectron_consensus::Handle;
use vectron_store as store;
use vectron_wire::placement::{Placement, Registration};
use vectron_wire::worker::WorkerDirectory;

/// What a host is made of.
pub struct Parts {
    /// Who and what this worker is.
    pub registration: Registration,
    /// Its disk.
    pub disk: Arc<dyn Disk>,
    /// Its replicated logs.
    pub consensus: Handle,
    /// Who assigns shards.
    pub placement: Arc<dyn Placement>,
    /// Other workers, of whom copies of replicas are fetched.
    pub workers: Arc<dyn WorkerDirectory>,
    /// Filled by the host: where replicas live, for who carries the logs' messages.
    pub peers: Arc<Peers>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the names of offered copies.
    pub random: Arc<dyn Random>,
    /// Tasks and lanes.
    pub pool: Arc<dyn Pool>,
    /// Settings.
    pub knobs: WorkerKnobs,
    /// Settings of the shards' stores.
    pub store_knobs: store::StoreKnobs,
    /// Counters.
    pub metrics: WorkerMetrics,
}

/// Why a worker cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// One worker.
pub struct Host {
    parts: Parts,
    table: RwLock<BTreeMap<ShardId, Entry>>,
    seen: Mutex<Seen>,
    stopping: AtomicBool,
    /// The catalog has been seen and followed at least once.
    followed: AtomicBool,
    report_now: Notify,
    /// Memory that the shards held at the last report, in bytes, with what was admitted since.
    memory_bytes: AtomicU64,
    /// Memory that shards will take that are being opened, by estimate.
    opening_bytes: AtomicU64,
    /// A place for each shard that is being loaded,
    settling: Semaphore,
    /// and for each that is being fetched.
    pub(crate) fetching: Semaphore,
    /// The turn of one shard to measure its recall.
    pub(crate) measuring: Semaphore,
    load: Load,
    pub(crate) offers: Offers,
    pub(crate) throttle: Throttle,
}

impl Host {
    /// In the background, opens every shard that is on the disk and follows the catalog. Meanwhile the
    /// shards that are not open yet are unavailable.
    pub fn start(parts: Parts) -> Result<Arc<Self>, HostError> {
        let present = meta::present(&*parts.disk)?;
        let settling = usize::try_from(parts.knobs.settling_max).unwrap_or(1).max(1);
        let host = Arc::new(Self {
            table: RwLock::default(),
            seen: Mutex::default(),
            stopping: AtomicBool::new(false),
            followed: AtomicBool::new(false),
            report_now: Notify::new(),
            memory_bytes: AtomicU64::new(0),
            opening_bytes: AtomicU64::new(0),
            settling: Semaphore::new(settling),
            fetching: Semaphore::new(settling),
            measuring: Semaphore::new(1),
            load: Load::new(parts.clock.now()),
            offers: Offers::default(),
            throttle: Throttle::new(parts.clock.now()),
            parts,
        });
        for shard in present {
            host.table.write().entry(shard).or_default().unread = true;
            host.settle_soon(shard);
        }
        host.spawn_loop("worker assignments", |host| async move { host.follow().await });
        host.spawn_loop("worker reports", |host| async move { host.report_loop().await });
        host.spawn_loop("worker journal", |host| async move { tend::journal_loop(&host).await });
        Ok(host)
    }

    /// Asks for a report at once, instead of at the next interval.
    pub(crate) fn report_soon(&self) {
        self.report_now.notify_one();
    }

    fn spawn_loop<F>(self: &Arc<Self>, name: &'static str, run: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.parts.pool.spawn(name, Box::pin(run(self.clone())));
    }

    /// What is here of the shard.
    pub(crate) fn slot(&self, shard: ShardId) -> Option<Slot> {
        self.table.read().get(&shard)?.slot.clone()
    }

    /// What the catalog wants of a replica here, as far as it was seen.
    pub(crate) fn wanted(&self, shard: ShardId) -> Option<Arc<ShardMeta>> {
        match &self.table.read().get(&shard)?.wanted {
            Some(Wanted::Held(meta)) => Some(meta.clone()),
            _ => None,
        }
    }

    /// Whether the shard's collection is being deleted.
    pub(crate) fn deleted(&self, shard: ShardId) -> bool {
        let table = self.table.read();
        table.get(&shard).is_some_and(|entry| matches!(entry.wanted, Some(Wanted::Deleted(_))))
    }

    /// Every shard that is served here.
    pub fn serving(&self) -> Vec<Arc<Hosted>> {
        let table = self.table.read();
        let served = |entry: &Entry| match &entry.slot {
            Some(Slot::Serving(hosted)) => Some(hosted.clone()),
            _ => None,
        };
        table.values().filter_map(served).collect()
    }

    /// Whether every shard found at the start and every shard assigned since can serve. Shards that are set
    /// aside do not count: the others serve without them. Nor do copies that are being fetched: others serve
    /// meanwhile.
    pub fn ready(&self) -> bool {
        let opening = || {
            let table = self.table.read();
            table.values().any(|entry| entry.slot.is_none() && entry.unread)
        };
        let proved = |h: &Arc<Hosted>| h.over() || h.proof().is_some() || self.quarantined(h).is_some();
        self.followed.load(Ordering::SeqCst) && !opening() && self.serving().iter().all(proved)
    }

    /// Why the shard's group serves nothing, if so.
    pub(crate) fn quarantined(&self, hosted: &Hosted) -> Option<String> {
        self.parts.consensus.status(hosted.group())?.quarantined
    }

    /// Waits until [`Host::ready`], at most this long; whether it is.
    pub async fn wait_ready(&self, limit: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(5);
        let ready = async {
            while !self.ready() {
                self.parts.pool.sleep(LOOK).await;
            }
        };
        within(&self.parts.pool, limit, ready).await.is_some()
    }

    /// Whether the host is going down.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// This worker's id.
    pub fn worker(&self) -> WorkerId {
        self.parts.registration.worker
    }

    /// Processor cores of this worker.
    pub(crate) fn cores(&self) -> usize {
        self.parts.registration.cores as usize
    }

    pub(crate) fn consensus(&self) -> &Handle {
        &self.parts.consensus
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.parts.peers
    }

    pub(crate) fn workers(&self) -> &dyn WorkerDirectory {
        &*self.parts.workers
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    pub(crate) fn random(&self) -> &dyn Random {
        &*self.parts.random
    }

    pub(crate) fn pool(&self) -> &Arc<dyn Pool> {
        &self.parts.pool
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.parts.disk
    }

    pub(crate) fn knobs(&self) -> &WorkerKnobs {
        &self.parts.knobs
    }

    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        &self.parts.metrics
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }
}
