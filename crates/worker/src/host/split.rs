//! Splitting a shard: while the catalog says so, every replica builds its copy of the upper part in the background; the
//! leader puts the cut into the log when the catalog says that too; and from the cut on each replica makes the child
//! durable and serves it, whether or not the catalog names it yet.

use super::table::Wanted;
use super::{Host, Slot};
use crate::WorkerEvent;
use crate::hosted::Hosted;
use crate::meta::{Origin, ShardMeta};
use crate::{indexes, tend};
use futures::future::select;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::ids::ShardId;
use vectron_base::pool::{Lane, compute, within};
use vectron_consensus::Role;
use vectron_store as store;
use vectron_wire::placement::{Replica, ReplicaRole, Split};

/// The first term of a child's log. All of its replicas begin at the cut with the same state, so any term does, if only
/// all agree on it.
const FIRST_TERM: u64 = 1;

/// How long the cut may take to be applied before it is proposed again.
const CUT_PATIENCE: Duration = Duration::from_secs(2);

/// How long a fork with nothing to do sleeps, and after a failure.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a child's replica stands for election before its time.
const STANDS_MOST: usize = 20;

/// What to do next for a split.
enum Next {
    /// There is none, or it is over.
    Nothing,
    Fork(u64),
    /// More of the copy, or of the child's graph; then the cut, if it may be.
    Grow(Split),
    /// The split is not wanted any more.
    Forget(u64),
    /// The child is cut off and must be made durable.
    Finish(store::ForkStatus),
    /// The cut was applied before this copy of the shard was made: the child comes from a peer.
    Fetch(ShardId),
}

impl Host {
    /// Goes on with a split, unless somebody is at it.
    pub(super) fn split_soon(self: &Arc<Self>, hosted: &Arc<Hosted>) {
        if hosted.over() || matches!(self.next_of_split(hosted), Next::Nothing) {
            return;
        }
        if hosted.splitting.swap(true, Ordering::SeqCst) {
            return;
        }
        let (host, hosted) = (self.clone(), hosted.clone());
        let splitting = async move {
            host.split(&hosted).await;
            hosted.splitting.store(false, Ordering::SeqCst);
        };
        self.parts.pool.spawn("shard split", Box::pin(splitting));
    }

    fn next_of_split(&self, hosted: &Arc<Hosted>) -> Next {
        let split = self.wanted(hosted.id()).and_then(|meta| meta.shard.split.clone());
        let mut forks = hosted.shard.forks();
        if let Some(at) = forks.iter().position(|fork| fork.cut.is_some()) {
            return Next::Finish(forks.swap_remove(at));
        }
        match (forks.first(), split) {
            (Some(fork), Some(split)) if fork.first == split.first => Next::Grow(split),
            (Some(fork), _) => Next::Forget(fork.first),
            (None, None) => Next::Nothing,
            (None, Some(split)) if hosted.shard.range().last >= split.first => Next::Fork(split.first),
            (None, Some(split)) if self.slot(split.child).is_none() => Next::Fetch(split.child),
            (None, Some(_)) => Next::Nothing,
        }
    }

    async fn split(self: &Arc<Self>, hosted: &Arc<Hosted>) {
        let mut child = None;
        while !hosted.over() && !self.stopping() {
            let done = match self.next_of_split(hosted) {
                Next::Nothing => return,
                Next::Fork(first) => {
                    child = self.fork(hosted, first).await;
                    child.is_some()
                }
                Next::Grow(split) => {
                    if child.is_none() {
                        child = self.fork(hosted, split.first).await;
                    }
                    match &child {
                        Some(child) => self.grow(hosted, child, &split).await,
                        None => false,
                    }
                }
                Next::Forget(first) => {
                    hosted.shard.forget_fork(first);
                    self.remove_strays().await;
                    return;
                }
                Next::Finish(fork) => self.finish(hosted, &fork).await,
                Next::Fetch(child) => {
                    self.child_from_peer(child);
                    return;
                }
            };
            if !done {
                select(Box::pin(hosted.cut_now.notified()), self.parts.pool.sleep(PAUSE)).await;
            }
        }
    }

    /// The copy of the upper part, begun or as it is.
    async fn fork(&self, hosted: &Hosted, first: u64) -> Option<Arc<store::Shard>> {
        let child = self.child_of(hosted, None)?;
        let (shard, disk, directory) = (hosted.shard.clone(), self.disk().clone(), child.data_directory());
        let forking = move || shard.fork(disk, &directory, first);
        match compute(&self.parts.pool, Lane::Background, forking).await? {
            Ok(forked) => Some(forked),
            Err(error) => {
                self.parts.metrics.events.note(&WorkerEvent::CopyFailed(hosted.id(), error.to_string()));
                None
            }
        }
    }

    /// The meta of the shard that splits off, by the catalog or by what the parent's meta file says.
    fn child_of(&self, hosted: &Hosted, child: Option<ShardId>) -> Option<Arc<ShardMeta>> {
        let by_parent = |meta: &ShardMeta| meta.of_child(self.worker()).map(Arc::new);
        let named = |meta: &Arc<ShardMeta>| child.is_none_or(|child| meta.shard.shard == child);
        let wanted = self.wanted(hosted.id());
        let found = wanted.as_deref().and_then(by_parent).or_else(|| by_parent(&hosted.assigned()));
        found.filter(named).or_else(|| match &self.table.read().get(&child?)?.wanted {
            Some(Wanted::Held(meta) | Wanted::Child(meta)) => Some(meta.clone()),
            _ => None,
        })
    }

    /// Copies and indexes some more, or proposes the cut; whether there is more to do at once.
    async fn grow(&self, hosted: &Arc<Hosted>, child: &Arc<store::Shard>, split: &Split) -> bool {
        let shard = hosted.shard.clone();
        let copied = compute(&self.parts.pool, Lane::Background, move || shard.fork_step()).await;
        let more = match copied {
            Some(Ok(more)) => more,
            Some(Err(refusal)) => {
                self.quarantine(hosted, refusal.to_string()).await;
                return false;
            }
            None => return false,
        };
        let stop = hosted.clone();
        let indexed = tend::index_once(self, child, move || stop.over()).await;
        if child.checkpoint_due() {
            let saved = child.clone();
            // It is tried again, and the child's last checkpoint at the latest says why not.
            compute(&self.parts.pool, Lane::Background, move || saved.checkpoint()).await;
        }
        let ready = hosted.shard.forks().iter().any(|fork| fork.first == split.first && fork.ready);
        let leads = self.status_of(hosted).is_some_and(|status| status.role == Role::Leader);
        if ready && split.cut && leads {
            return self.cut(hosted, split).await;
        }
        more || indexed.is_some_and(|progress| progress.more)
    }

    /// Puts the cut into the log; whether it was applied. A second one would be refused by every replica.
    async fn cut(&self, hosted: &Arc<Hosted>, split: &Split) -> bool {
        let command = store::Command {
            log_time_ms: self.parts.clock.wall_ms(),
            idempotency: None,
            range: None,
            operation: store::Operation::Split { first: split.first, child: split.child.0 },
        };
        // It gives up points, and leads to space.
        let cutting = self.parts.consensus.propose_reserved(hosted.group(), command.encode());
        within(&self.parts.pool, CUT_PATIENCE, cutting).await.is_some_and(|cut| cut.is_ok())
    }

    /// After the cut: makes the child durable and serves it; whether that is done.
    async fn finish(self: &Arc<Self>, hosted: &Arc<Hosted>, fork: &store::ForkStatus) -> bool {
        let Some((index, number)) = fork.cut else { return false };
        let child = ShardId(number);
        match self.slot(child) {
            // Made in an earlier life, or fetched.
            Some(Slot::Serving(_) | Slot::Removed(_)) => {
                hosted.shard.forget_fork(fork.first);
                return true;
            }
            Some(_) => return false,
            // What an earlier life left of it is being looked at.
            None if self.table.read().get(&child).is_some_and(|entry| entry.unread) => return false,
            None => {}
        }
        let Some(meta) = self.child_of(hosted, Some(child)) else {
            // Not wanted here any more, if the catalog was seen; else it will be.
            let gone = self.ready_for_catalog(child);
            if gone {
                hosted.shard.forget_fork(fork.first);
            }
            return gone;
        };
        let (learners, voters): (Vec<&Replica>, Vec<&Replica>) =
            meta.shard.replicas.iter().partition(|r| r.role == ReplicaRole::Learner);
        let ids = |replicas: Vec<&Replica>| replicas.into_iter().map(|r| r.replica).collect();
        let origin = Origin { index, term: FIRST_TERM, voters: ids(voters), learners: ids(learners) };
        let meta =
            ShardMeta { origin: Some(origin), parent: Some(hosted.id()), generation: 0, ..(*meta).clone() };
        // The catalog may name the child before the cut is applied here, and a copy be under way.
        if !self.claim(child) {
            return false;
        }
        let done = self.make_child(hosted, meta, fork.first).await;
        self.release(child);
        done
    }

    async fn make_child(self: &Arc<Self>, hosted: &Arc<Hosted>, meta: ShardMeta, first: u64) -> bool {
        // Before the child is whole: from then on the parent's log may end after the cut.
        if meta.save(&**self.disk()).is_err() {
            return false;
        }
        match self.whole_child(hosted, &meta, first).await {
            Some(whole) => self.serve_child(hosted, meta, whole).await,
            None => false,
        }
    }

    /// Whether the catalog was seen and has no word for the shard.
    fn ready_for_catalog(&self, shard: ShardId) -> bool {
        let followed = self.followed.load(Ordering::SeqCst);
        followed
            && self
                .table
                .read()
                .get(&shard)
                .is_none_or(|entry| matches!(entry.wanted, Some(Wanted::Elsewhere(_))))
    }

    /// The child with all of its points, durable; none if something is in the way, and it is to be tried again.
    async fn whole_child(
        &self,
        hosted: &Arc<Hosted>,
        meta: &ShardMeta,
        first: u64,
    ) -> Option<Arc<store::Shard>> {
        let (shard, disk, directory) = (hosted.shard.clone(), self.disk().clone(), meta.data_directory());
        let making = move || -> Result<Option<Arc<store::Shard>>, String> {
            shard.fork(disk, &directory, first).map_err(|error| error.to_string())?;
            while shard.fork_step().map_err(|refusal| refusal.to_string())? {}
            shard.take_child(first).map_err(|error| error.to_string())
        };
        match compute(&self.parts.pool, Lane::Background, making).await? {
            Ok(child) => child,
            Err(why) => {
                self.parts.metrics.events.note(&WorkerEvent::CopyFailed(meta.shard.shard, why));
                None
            }
        }
    }

    /// Opens the child's group where the cut is.
    async fn serve_child(
        self: &Arc<Self>,
        hosted: &Arc<Hosted>,
        meta: ShardMeta,
        child: Arc<store::Shard>,
    ) -> bool {
        let (id, origin) = (meta.shard.shard, meta.origin.clone());
        indexes::set(&child, &meta.field_indexes);
        self.parts.peers.note_group(id.group(), &meta.shard.replicas);
        let child = Arc::new(Hosted::new(ShardMeta { origin: None, parent: None, ..meta }, child));
        match self.join_group(&child, origin.as_ref()).await {
            Ok(()) => {
                self.note_joined(&child);
                if self.status_of(hosted).is_some_and(|status| status.role == Role::Leader) {
                    self.stand_for(&child);
                }
                self.serve_from_now(child);
                self.parts.metrics.events.note(&WorkerEvent::ShardSplit(hosted.id(), id));
            }
            // It is whole on the disk, and opened from there.
            Err(_) => self.reopen(id),
        }
        hosted.due.notify_one();
        self.report_soon();
        true
    }

    /// The replica that leads the parent stands for the child at once, so that the child's writes need not wait for
    /// an election timeout. The others open theirs a little later, so it stands again until somebody leads.
    fn stand_for(self: &Arc<Self>, child: &Arc<Hosted>) {
        let (host, child) = (self.clone(), child.clone());
        let standing = async move {
            for _ in 0..STANDS_MOST {
                if child.over() || host.stopping() {
                    return;
                }
                if host.status_of(&child).is_some_and(|status| status.leader.is_some()) {
                    return;
                }
                host.parts.consensus.campaign(child.group());
                host.parts.pool.sleep(PAUSE).await;
            }
        };
        self.parts.pool.spawn("shard first leader", Box::pin(standing));
    }

    /// The child is fetched like any replica that is not here.
    fn child_from_peer(self: &Arc<Self>, child: ShardId) {
        {
            let mut table = self.table.write();
            let Some(entry) = table.get_mut(&child).filter(|entry| entry.slot.is_none() && !entry.unread)
            else {
                return;
            };
            if let Some(Wanted::Child(meta)) = &entry.wanted {
                entry.wanted = Some(Wanted::Held(meta.clone()));
            }
        }
        self.settle_soon(child);
    }

    /// Serves nothing from a replica whose stored data is damaged. The others go on, and it is to be replaced.
    pub(crate) async fn quarantine(self: &Host, hosted: &Arc<Hosted>, why: String) {
        hosted.retire();
        self.parts.metrics.events.note(&WorkerEvent::DamageFound(hosted.id(), why.clone()));
        // A driver that is gone serves nothing either.
        let _ = self.parts.consensus.close_group(hosted.group()).await;
        self.put(hosted.id(), Some(Slot::Failed(hosted.meta.replica, why.into())));
        self.report_soon();
    }
}
