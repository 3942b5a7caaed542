//! The host: opens the shards that this worker holds, and keeps them in agreement with the catalog.

mod admission;
mod report;

use crate::hosted::{Hosted, ShardMachine};
use crate::meta::{self, ShardMeta};
use crate::{WorkerEvent, WorkerKnobs, WorkerMetrics};
use crate::{indexes, shape, tend};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use vectron_base::clock::Clock;
use vectron_base::disk::{Disk, DiskError, DiskFailure};
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::pool::{Lane, Pool, compute, within};
use vectron_consensus::{GroupConfig, GroupError, Handle};
use vectron_store as store;
use vectron_wire::placement::{CatalogView, Collection, CollectionState, Placement, Registration};

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
    /// Time.
    pub clock: Arc<dyn Clock>,
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

/// How long a deletion waits for its entry in the log.
const SEAL_PATIENCE: Duration = Duration::from_secs(2);

/// How long a deletion waits for the note that the group is gone; it is tried again.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);

/// Why a shard did not open.
struct OpenFailure {
    why: String,
    /// Trying again cannot help.
    lasting: bool,
}

impl OpenFailure {
    fn lasting(why: impl ToString) -> Self {
        Self { why: why.to_string(), lasting: true }
    }
    fn passing(why: impl ToString) -> Self {
        Self { why: why.to_string(), lasting: false }
    }
}

fn of_store(error: store::OpenError) -> OpenFailure {
    match error {
        store::OpenError::Disk(_) => OpenFailure::passing(error),
        _ => OpenFailure::lasting(error),
    }
}

fn of_group(error: GroupError) -> OpenFailure {
    match error {
        GroupError::DiskFull | GroupError::JournalFailed | GroupError::Closed => OpenFailure::passing(error),
        _ => OpenFailure::lasting(error),
    }
}

/// What the host knows of a shard that it has been assigned.
#[derive(Clone)]
pub(crate) enum Slot {
    Serving(Arc<Hosted>),
    /// Cannot be opened; named in status and reports, and kept on disk for inspection.
    Failed(Arc<str>),
    Removed,
}

/// One worker.
pub struct Host {
    parts: Parts,
    slots: RwLock<BTreeMap<ShardId, Slot>>,
    stopping: AtomicBool,
    /// The catalog has been seen and followed at least once.
    followed: AtomicBool,
    report_now: Notify,
    /// Memory that the shards held at the last report, in bytes, with what was admitted since.
    memory_bytes: AtomicU64,
}

impl Host {
    /// In the background, opens every shard that is on the disk and then follows the catalog. Meanwhile the
    /// shards that are not open yet are unavailable.
    pub fn start(parts: Parts) -> Result<Arc<Self>, HostError> {
        let host = Arc::new(Self {
            parts,
            slots: RwLock::default(),
            stopping: AtomicBool::new(false),
            followed: AtomicBool::new(false),
            report_now: Notify::new(),
            memory_bytes: AtomicU64::new(0),
        });
        let present = meta::present(host.disk())?;
        host.spawn_loop("worker assignments", |host| async move {
            host.open_present(present).await;
            host.follow().await;
        });
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

    /// Stops background work and writes a last checkpoint of each shard, so that the next start is short.
    pub async fn stop(self: &Arc<Self>) {
        self.stopping.store(true, Ordering::SeqCst);
        self.report_now.notify_waiters();
        for hosted in self.serving() {
            hosted.work.notify_waiters();
            hosted.due.notify_waiters();
            tend::checkpoint(self, &hosted).await;
        }
    }

    /// The shard, if it is served here.
    pub(crate) fn hosted(&self, shard: ShardId) -> Option<Slot> {
        self.slots.read().get(&shard).cloned()
    }

    /// Every shard that is served here.
    pub fn serving(&self) -> Vec<Arc<Hosted>> {
        let slots = self.slots.read();
        slots.values().filter_map(|s| if let Slot::Serving(h) = s { Some(h.clone()) } else { None }).collect()
    }

    async fn open(self: &Arc<Self>, meta: ShardMeta) {
        let shard = meta.shard.shard;
        match self.open_shard(meta).await {
            Ok(hosted) => {
                for what in hosted.shard.damage() {
                    self.parts.metrics.events.note(&WorkerEvent::DamageRepaired(shard, what));
                }
                self.parts.metrics.events.note(&WorkerEvent::ShardOpened(shard));
                self.slots.write().insert(shard, Slot::Serving(hosted.clone()));
                let host = self.clone();
                self.parts
                    .pool
                    .spawn("shard tending", Box::pin(async move { tend::run(&host, &hosted).await }));
            }
            Err(failure) => self.fail(shard, failure),
        }
    }

    /// Opens the store and joins the shard's group.
    async fn open_shard(&self, meta: ShardMeta) -> Result<Arc<Hosted>, OpenFailure> {
        let (disk, room) = (self.parts.disk.clone(), self.room());
        let config = shape::shard_config(&meta.spec, &self.parts.store_knobs);
        let wanted = meta.clone();
        let opening = move || {
            room.check(&*disk, &wanted)?;
            let directory = meta::data_directory(wanted.shard.shard);
            let shard = store::Shard::open(disk, &directory, config).map_err(of_store)?;
            indexes::set(&shard, &wanted.field_indexes);
            Ok(shard)
        };
        let opened = compute(&self.parts.pool, Lane::Read, opening).await;
        let shard = opened.ok_or_else(|| OpenFailure::passing("the worker is stopping"))??;
        let hosted = Arc::new(Hosted::new(meta, Arc::new(shard)));
        let config = GroupConfig {
            group: hosted.group(),
            replica: hosted.meta.replica,
            voters: hosted.meta.shard.replicas.iter().map(|r| r.replica).collect(),
            start: None,
        };
        let machine = Box::new(ShardMachine(hosted.shard.clone()));
        self.parts.consensus.open_group(config, machine).await.map_err(of_group)?;
        Ok(hosted)
    }

    /// Sets a shard aside for good, or leaves it to the next look at the catalog when the reason may pass.
    fn fail(&self, shard: ShardId, failure: OpenFailure) {
        self.parts.metrics.events.note(&WorkerEvent::ShardFailed(shard, failure.why.clone()));
        if failure.lasting {
            self.slots.write().insert(shard, Slot::Failed(failure.why.into()));
        }
    }

    async fn follow(self: Arc<Self>) {
        let mut known = 0;
        let mut registered = false;
        while !self.stopping() {
            if !registered {
                registered = self.parts.placement.register(self.parts.registration.clone()).await.is_ok();
            }
            match self.parts.placement.watch(known).await {
                Ok(view) => {
                    self.reconcile(&view).await;
                    known = view.epoch;
                    self.followed.store(true, Ordering::SeqCst);
                }
                // The driver may be away; what is held here is served meanwhile.
                Err(_) => {
                    self.parts.pool.sleep(Duration::from_millis(self.parts.knobs.report_interval_ms)).await
                }
            }
        }
    }

    async fn reconcile(self: &Arc<Self>, view: &CatalogView) {
        for collection in &view.collections {
            for shard in &collection.shards {
                let mine = shard.replicas.iter().find(|r| r.worker == self.parts.registration.worker);
                let Some(replica) = mine else { continue };
                let meta = ShardMeta::new(collection, shard, replica.replica);
                match collection.state {
                    CollectionState::Live => self.take_up(meta).await,
                    CollectionState::Deleting => self.give_up(collection, shard.shard).await,
                }
            }
        }
        let listed: BTreeSet<ShardId> =
            view.collections.iter().flat_map(|c| &c.shards).map(|shard| shard.shard).collect();
        self.slots.write().retain(|shard, slot| !matches!(slot, Slot::Removed) || listed.contains(shard));
        self.report().await;
    }

    async fn open_present(self: &Arc<Self>, shards: Vec<ShardId>) {
        for shard in shards {
            if self.stopping() {
                return;
            }
            match ShardMeta::load(self.disk(), shard) {
                Ok(meta) => self.open(meta).await,
                Err(error) => self.fail(shard, OpenFailure::lasting(error)),
            }
        }
    }

    async fn take_up(self: &Arc<Self>, meta: ShardMeta) {
        match self.hosted(meta.shard.shard) {
            Some(Slot::Serving(hosted)) => return self.follow_indexes(&hosted, meta).await,
            Some(_) => return,
            None => {}
        }
        match meta.save(self.disk()) {
            Ok(()) => self.open(meta).await,
            Err(error) => self.fail(meta.shard.shard, OpenFailure::passing(error)),
        }
    }

    /// Gives a shard that is served the payload indexes that the catalog has for it now.
    async fn follow_indexes(&self, hosted: &Arc<Hosted>, meta: ShardMeta) {
        if hosted.meta.incarnation != meta.incarnation || !hosted.want_indexes(&meta.field_indexes) {
            return;
        }
        let (shard, wanted) = (hosted.shard.clone(), meta.field_indexes.clone());
        compute(&self.parts.pool, Lane::Background, move || indexes::set(&shard, &wanted)).await;
        hosted.work.notify_one();
        // Only what the shard is opened with at the next start, until the catalog is seen: if it cannot be
        // written now, the catalog's word comes a little later then.
        let _ = ShardMeta { field_indexes: meta.field_indexes, ..hosted.meta.clone() }.save(self.disk());
    }

    /// Seals at once, says so, then removes the data and the group. A crash between the steps is fine: the
    /// catalog goes on saying that the collection is being deleted, and this runs again.
    async fn give_up(self: &Arc<Self>, collection: &Collection, shard: ShardId) {
        match self.hosted(shard) {
            Some(Slot::Removed) => return,
            Some(Slot::Serving(hosted)) if hosted.meta.incarnation == collection.incarnation => {
                hosted.seal();
                hosted.work.notify_waiters();
                hosted.due.notify_waiters();
                self.seal_in_log(&hosted).await;
            }
            _ => {}
        }
        self.report().await;
        // The data first: on a full disk it is what makes room for the note that the group is gone.
        let erased =
            self.parts.disk.remove_dir(&meta::directory(shard)).is_ok() && self.sync_shards().is_ok();
        let removing = self.parts.consensus.remove_group(shard.group());
        if erased && within(&self.parts.pool, REMOVE_PATIENCE, removing).await.is_some_and(|r| r.is_ok()) {
            self.slots.write().insert(shard, Slot::Removed);
            self.parts.metrics.events.note(&WorkerEvent::ShardRemoved(shard));
        }
    }

    /// Makes removals of shard directories durable; where no shard ever was there is nothing to do.
    fn sync_shards(&self) -> Result<(), DiskError> {
        match self.parts.disk.sync_dir("shards") {
            Err(error) if error.failure == DiskFailure::NotFound => Ok(()),
            other => other,
        }
    }

    /// Puts the end into the log as well, so that no replica that replays it ever serves again. The local
    /// seal holds in any case; a group that cannot commit any more is removed without it.
    async fn seal_in_log(&self, hosted: &Hosted) {
        let command = store::Command {
            log_time_ms: self.parts.clock.wall_ms(),
            idempotency: None,
            operation: store::Operation::Seal,
        };
        let sealed = self.parts.consensus.propose_reserved(hosted.group(), command.encode());
        within(&self.parts.pool, SEAL_PATIENCE, sealed).await;
    }

    /// Whether every shard found at the start and every shard assigned since can serve. Shards that are set
    /// aside do not count: the others serve without them.
    pub fn ready(&self) -> bool {
        self.followed.load(Ordering::SeqCst)
            && self
                .serving()
                .iter()
                .all(|h| h.sealed() || h.proof().is_some() || self.quarantined(h).is_some())
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

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    pub(crate) fn pool(&self) -> &Arc<dyn Pool> {
        &self.parts.pool
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.parts.disk
    }

    pub(crate) fn knobs(&self) -> &WorkerKnobs {
        &self.parts.knobs
    }

    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        &self.parts.metrics
    }
}
