//! Making one shard as the catalog wants it. Each has a task of its own while there is something to do; a knob bounds
//! how many are loaded, and how many are fetched, at a time.

use super::Host;
use super::open::OpenFailure;
use super::table::{Job, Slot};
use crate::WorkerEvent;
use crate::hosted::Hosted;
use crate::meta::{self, ShardMeta};
use crate::{indexes, snapshot};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use vectron_base::disk::{DiskError, DiskFailure};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId};
use vectron_base::pool::{Lane, compute, within};
use vectron_store as store;

/// How long a deletion waits for its entry in the log.
const SEAL_PATIENCE: Duration = Duration::from_secs(2);

/// How long a removal waits for the note that the replica is gone; it is tried again.
const REMOVE_PATIENCE: Duration = Duration::from_secs(5);

/// Pauses between attempts: the first, and the longest.
const RETRY: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(10);
/// Jobs done one after the other before there is a pause all the same.
const DONE_AT_ONCE: u32 = 16;

impl Host {
    /// Makes the shard as it is wanted, in the background, unless somebody is at it.
    pub(super) fn settle_soon(self: &Arc<Self>, shard: ShardId) {
        {
            let mut table = self.table.write();
            let Some(entry) = table.get_mut(&shard).filter(|entry| !entry.busy && entry.job().is_some())
            else {
                return;
            };
            entry.busy = true;
        }
        let host = self.clone();
        self.parts.pool.spawn("shard settling", Box::pin(async move { host.settle(shard).await }));
    }

    /// Does what is to be done until nothing is.
    async fn settle(self: Arc<Self>, shard: ShardId) {
        let (mut pause, mut done) = (RETRY, 0);
        while let Some(job) = self.next_job(shard) {
            // Work that is done and is there again at once, as on a disk that forgets, must not fill a thread.
            if self.carry_out(shard, job).await && done < DONE_AT_ONCE {
                (pause, done) = (RETRY, done + 1);
                self.report_soon();
            } else {
                done = 0;
                self.parts.pool.sleep(pause).await;
                pause = (pause * 2).min(RETRY_MOST);
            }
        }
    }

    /// The next job; without one the shard is left alone, and the next news starts another task.
    fn next_job(&self, shard: ShardId) -> Option<Job> {
        let mut table = self.table.write();
        let entry = table.get_mut(&shard)?;
        let job = entry.job().filter(|_| !self.stopping());
        entry.busy = job.is_some();
        job
    }

    /// Whether it need not be tried again.
    async fn carry_out(self: &Arc<Self>, shard: ShardId, job: Job) -> bool {
        match job {
            Job::Load => self.load_present(shard).await,
            Job::TakeUp(meta) => self.take_up(&meta).await,
            Job::Follow(hosted, meta) => self.follow_news(&hosted, meta).await,
            Job::Delete(incarnation) => self.delete(shard, incarnation).await,
            Job::Leave(epoch) => self.leave_shard(shard, epoch).await,
        }
    }

    /// Says what is here now.
    pub(super) fn put(&self, shard: ShardId, slot: Option<Slot>) {
        let mut table = self.table.write();
        let entry = table.entry(shard).or_default();
        entry.unread &= slot.is_none();
        entry.slot = slot;
    }

    async fn load_present(self: &Arc<Self>, shard: ShardId) -> bool {
        match ShardMeta::load(&**self.disk(), shard) {
            Ok(meta) => {
                let swept = meta::sweep(&**self.disk(), shard, Some(meta.generation));
                self.note_meta(&meta);
                match swept {
                    Ok(()) => self.open(meta).await,
                    Err(error) => self.fail(shard, meta.replica, OpenFailure::passing(error)),
                }
            }
            Err(error) => self.fail(shard, ReplicaId(0), OpenFailure::lasting(error)),
        }
    }

    /// What a meta file knows of the other replicas, until the catalog says more.
    fn note_meta(&self, meta: &ShardMeta) {
        let group = meta.shard.shard.group();
        let peers = &self.parts.peers;
        peers.note_addresses(meta.workers.iter().map(|(worker, address)| (*worker, address.as_str())));
        if meta.shard.replicas.iter().any(|r| peers.worker(group, r.replica).is_none()) {
            peers.note_group(group, &meta.shard.replicas);
        }
    }

    /// Opens a shard and serves it; whether it need not be tried again.
    pub(super) async fn open(self: &Arc<Self>, meta: ShardMeta) -> bool {
        let (shard, replica) = (meta.shard.shard, meta.replica);
        match self.open_shard(meta).await {
            Ok(hosted) => {
                self.serve_from_now(hosted);
                true
            }
            Err(failure) if failure.removed => self.erase(shard, replica).await,
            Err(failure) if failure.unfinished => self.unfinished(shard, failure),
            Err(failure) => self.fail(shard, replica, failure),
        }
    }

    /// A copy on the disk is not whole. If it is of a split, the shard that is split makes it anew; else it is
    /// fetched.
    fn unfinished(&self, shard: ShardId, failure: OpenFailure) -> bool {
        let mut table = self.table.write();
        let entry = table.entry(shard).or_default();
        (entry.slot, entry.unread) = (None, false);
        drop(table);
        let _ = failure;
        true
    }

    /// Whether a shard here makes this one, by a split whose end is still in its log.
    fn made_here(&self, shard: ShardId) -> bool {
        let Some(parent) = ShardMeta::load(&**self.disk(), shard).ok().and_then(|meta| meta.parent) else {
            return false;
        };
        let table = self.table.read();
        table.get(&parent).is_some_and(|entry| match &entry.slot {
            // Until it has replayed its log nobody knows.
            Some(Slot::Serving(hosted)) => hosted.proof().is_none() || !hosted.shard.forks().is_empty(),
            Some(_) => false,
            None => entry.unread,
        })
    }

    /// Takes the making of a replica upon the caller, who releases it; false when there is one, or somebody else is
    /// at it.
    pub(super) fn claim(&self, shard: ShardId) -> bool {
        self.table.write().entry(shard).or_default().claim()
    }

    /// Others may make the replica.
    pub(super) fn release(&self, shard: ShardId) {
        if let Some(entry) = self.table.write().get_mut(&shard) {
            entry.claimed = false;
        }
    }

    /// Makes a replica that is not here.
    async fn take_up(self: &Arc<Self>, wanted: &Arc<ShardMeta>) -> bool {
        let shard = wanted.shard.shard;
        if !self.claim(shard) {
            return matches!(self.slot(shard), Some(Slot::Serving(_) | Slot::Failed(..)));
        }
        let done = self.make(wanted).await;
        self.release(shard);
        done
    }

    async fn make(self: &Arc<Self>, wanted: &Arc<ShardMeta>) -> bool {
        let (shard, replica) = (wanted.shard.shard, wanted.replica);
        self.note_meta(wanted);
        if wanted.begins_group() {
            let meta = (**wanted).clone();
            return match meta.save(&**self.disk()) {
                Ok(()) => self.open(meta).await,
                Err(error) => self.fail(shard, replica, OpenFailure::passing(error)),
            };
        }
        if self.made_here(shard) {
            return false;
        }
        let fetched = Arc::new(AtomicU64::new(0));
        self.put(shard, Some(Slot::Opening(replica, fetched.clone())));
        let fetched = snapshot::fetch(self, wanted, 0, &fetched).await;
        self.put(shard, None);
        match fetched {
            Ok(meta) => self.open(meta).await,
            // What came so far goes on later, unless the catalog has changed its mind.
            Err(_) if self.wanted(shard).is_none_or(|now| now.replica != replica) => {
                self.erase(shard, replica).await
            }
            Err(failure) => self.fail(shard, replica, failure),
        }
    }

    /// Sets a shard aside for good, or says that it is to be tried again.
    pub(super) fn fail(&self, shard: ShardId, replica: ReplicaId, failure: OpenFailure) -> bool {
        if failure.lasting || !failure.waits {
            self.parts.metrics.events.note(&WorkerEvent::ShardFailed(shard, failure.why.clone()));
        }
        if failure.lasting {
            self.put(shard, Some(Slot::Failed(replica, failure.why.into())));
        }
        failure.lasting
    }

    /// What the catalog says newly of a replica that is served: payload indexes at once; the rest is for the next
    /// start, and for who leads the group.
    async fn follow_news(&self, hosted: &Arc<Hosted>, meta: Arc<ShardMeta>) -> bool {
        let generation = hosted.meta.generation;
        if hosted.meta.incarnation == meta.incarnation && hosted.want_indexes(&meta.field_indexes) {
            let (shard, wanted) = (hosted.shard.clone(), meta.field_indexes.clone());
            compute(&self.parts.pool, Lane::Background, move || indexes::set(&shard, &wanted)).await;
            hosted.work.notify_one();
        }
        hosted.assign(meta.clone());
        // Only what the shard is opened with at the next start, until the catalog is seen: if it cannot be
        // written now, the catalog's word comes a little later then.
        let held = Some(hosted.held());
        let _ = ShardMeta { generation, held, ..(*meta).clone() }.save(&**self.disk());
        true
    }

    /// Seals at once, says so, then removes the data and the group. A crash between the steps is fine: the
    /// catalog goes on saying that the collection is being deleted, and this runs again.
    async fn delete(self: &Arc<Self>, shard: ShardId, incarnation: Incarnation) -> bool {
        let mut replica = ReplicaId(0);
        match self.slot(shard) {
            Some(Slot::Serving(hosted)) if hosted.meta.incarnation == incarnation => {
                replica = hosted.meta.replica;
                hosted.seal();
                self.seal_in_log(&hosted).await;
            }
            Some(Slot::Opening(known, _) | Slot::Failed(known, _)) => replica = known,
            _ => {}
        }
        self.report().await;
        self.erase(shard, replica).await
    }

    /// Removes a replica that the catalog does not list, unless it was listed in a newer one.
    async fn leave_shard(self: &Arc<Self>, shard: ShardId, epoch: u64) -> bool {
        let known = match self.slot(shard) {
            Some(Slot::Serving(hosted)) => Some((hosted.meta.replica, hosted.meta.catalog)),
            _ => ShardMeta::load(&**self.disk(), shard).ok().map(|meta| (meta.replica, meta.catalog)),
        };
        match known {
            Some((_, listed)) if listed > epoch => false,
            Some((replica, _)) => {
                if let Some(Slot::Serving(hosted)) = self.slot(shard) {
                    hosted.retire();
                }
                self.erase(shard, replica).await
            }
            None => self.erase(shard, ReplicaId(0)).await,
        }
    }

    /// Removes data and group. The data first: on a full disk it is what makes room for the note that the replica is
    /// gone. The meta file last: after a crash it brings this to its end.
    async fn erase(self: &Arc<Self>, shard: ShardId, replica: ReplicaId) -> bool {
        self.offers.withdraw(shard);
        let disk = self.disk();
        let cleared = meta::sweep(&**disk, shard, None).is_ok();
        let consensus = &self.parts.consensus;
        let removing = async {
            match replica {
                // A meta file that cannot be read names no replica; the log may.
                ReplicaId(0) => consensus.remove_group(shard.group()).await,
                _ => consensus.remove_replica(shard.group(), replica).await,
            }
        };
        let removed = within(&self.parts.pool, REMOVE_PATIENCE, removing).await.is_some_and(|r| r.is_ok());
        let erased = cleared
            && removed
            && disk.remove_dir(&meta::directory(shard)).is_ok()
            && self.sync_shards().is_ok();
        if erased {
            self.parts.peers.forget(shard.group());
            self.put(shard, Some(Slot::Removed(replica)));
            self.parts.metrics.events.note(&WorkerEvent::ShardRemoved(shard));
        }
        erased
    }

    /// Removes directories of shards that are nobody's: what a copy or a split left that was called off, or a removal
    /// that a crash cut short. Only once the catalog was seen.
    pub(super) async fn remove_strays(self: &Arc<Self>) {
        let host = self.clone();
        let removing = move || {
            let Ok(names) = host.disk().list("shards") else { return };
            for shard in names.iter().filter_map(|name| name.parse().ok().map(ShardId)) {
                // With the table held, so that nobody begins to make one meanwhile.
                let table = host.table.write();
                let nameless = meta::exists(&**host.disk(), shard) == Ok(false);
                if nameless && !table.contains_key(&shard) {
                    // It is tried again at the next start.
                    let _ = host.disk().remove_dir(&meta::directory(shard));
                }
            }
        };
        compute(&self.parts.pool, Lane::Background, removing).await;
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
            range: None,
            operation: store::Operation::Seal,
        };
        let sealed = self.parts.consensus.propose_reserved(hosted.group(), command.encode());
        within(&self.parts.pool, SEAL_PATIENCE, sealed).await;
    }
}
