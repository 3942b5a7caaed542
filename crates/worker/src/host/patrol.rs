//! Looking after replicas that serve, at every report: what a leader owes its group, and copies that are needed. At
//! most one duty at a time is carried out for a shard, each in a task of its own.

use super::{Host, Slot};
use crate::hosted::Hosted;
use crate::member::{Step, next_step};
use crate::meta::{self, ShardMeta};
use crate::{WorkerEvent, expiry, snapshot};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use vectron_base::pool::within;
use vectron_consensus::{GroupStatus, Role};
use vectron_store as store;

/// How long one change of members, or one transfer, may take before it is looked at again.
const STEP_PATIENCE: Duration = Duration::from_secs(5);

/// What is owed for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// The members of the group are not those that the catalog wants.
    Members,
    /// The log here ends before the leader's begins: another copy is needed.
    Copy,
    /// The replicas have not been compared for a while.
    Mark,
    /// Points should have ended, and nobody writes.
    Expire,
}

impl Host {
    /// Starts what is owed for the shards that are served here.
    pub(super) fn patrol(self: &Arc<Self>) {
        for hosted in self.serving() {
            self.split_soon(&hosted);
            let Some(duty) = self.duty(&hosted) else { continue };
            if hosted.busy.swap(true, Ordering::SeqCst) {
                continue;
            }
            let host = self.clone();
            let carried = async move {
                match duty {
                    Duty::Members => host.lead(&hosted).await,
                    Duty::Copy => host.renew(&hosted).await,
                    Duty::Mark => host.mark(&hosted).await,
                    Duty::Expire => expiry::tick(&host, &hosted, STEP_PATIENCE).await,
                }
                hosted.busy.store(false, Ordering::SeqCst);
            };
            self.parts.pool.spawn("shard duty", Box::pin(carried));
        }
    }

    fn duty(&self, hosted: &Arc<Hosted>) -> Option<Duty> {
        let status = self.status_of(hosted)?;
        if status.role != Role::Leader {
            return status.lagging.map(|_| Duty::Copy);
        }
        let now = self.parts.clock.now();
        let since = hosted.leads_since(status.term, now);
        if self.step(hosted, &status).is_some() {
            return Some(Duty::Members);
        }
        let interval = Duration::from_secs(self.parts.knobs.mark_interval_s);
        let last = hosted.marked.lock().map_or(since, |marked| marked.max(since));
        if !interval.is_zero() && now.since(last) >= interval {
            return Some(Duty::Mark);
        }
        expiry::is_due(self, hosted, self.parts.knobs.expiry_delay_ms).then_some(Duty::Expire)
    }

    /// The group of a replica that serves.
    pub(super) fn status_of(&self, hosted: &Hosted) -> Option<GroupStatus> {
        let status = self.parts.consensus.status(hosted.group())?;
        (!hosted.over() && status.quarantined.is_none() && !self.stopping()).then_some(status)
    }

    /// What the leader here does next for the group's members.
    fn step(&self, hosted: &Hosted, status: &GroupStatus) -> Option<Step> {
        let wanted = self.wanted(hosted.id())?;
        if wanted.incarnation != hosted.meta.incarnation {
            return None;
        }
        next_step(hosted.meta.replica, &wanted.shard, status)
    }

    /// Makes the members of a group that is led here as the catalog wants them, one step after the other.
    async fn lead(self: &Arc<Self>, hosted: &Arc<Hosted>) {
        let group = hosted.group();
        while let Some(status) = self.status_of(hosted).filter(|status| status.role == Role::Leader) {
            // An earlier leader may have acted on a newer catalog than is known here.
            let since = hosted.leads_since(status.term, self.parts.clock.now());
            if !self.saw_catalog_since(since).await {
                return;
            }
            let done = match self.step(hosted, &status) {
                None => break,
                Some(Step::Change(changes)) => {
                    let changing = self.parts.consensus.change_members(group, changes);
                    within(&self.parts.pool, STEP_PATIENCE, changing).await.is_some_and(|r| r.is_ok())
                }
                Some(Step::Transfer(to)) => {
                    let handing = self.parts.consensus.transfer_leader(group, to);
                    within(&self.parts.pool, STEP_PATIENCE, handing).await.is_some_and(|r| r.is_ok())
                }
            };
            if !done {
                return;
            }
        }
        self.report_soon();
    }

    /// Fetches a copy of the leader's state and puts it in the place of what is here.
    async fn renew(self: &Arc<Self>, hosted: &Arc<Hosted>) {
        let wanted = hosted.assigned();
        let bytes = Arc::new(AtomicU64::new(0));
        let fetched = snapshot::fetch(self, &wanted, hosted.meta.generation + 1, &bytes).await;
        let Ok(meta) = fetched else { return };
        let covers = meta.origin.as_ref().map_or(0, |origin| origin.index);
        if hosted.over() || hosted.shard.applied_index() >= covers {
            // The log came after all.
            return;
        }
        hosted.retire();
        self.put(hosted.id(), Some(Slot::Opening(hosted.meta.replica, bytes)));
        if let Err(why) = self.exchange(meta).await {
            self.parts.metrics.events.note(&WorkerEvent::CopyFailed(hosted.id(), why));
            // Whatever is on the disk is a whole replica, with the log that belongs to it or to be replaced.
            let closing = self.parts.consensus.close_group(hosted.group());
            within(&self.parts.pool, STEP_PATIENCE, closing).await;
            self.reopen(hosted.id());
        }
    }

    async fn exchange(self: &Arc<Self>, meta: ShardMeta) -> Result<(), String> {
        let (shard, generation) = (meta.shard.shard, meta.generation);
        meta.save(&**self.disk()).map_err(|e| e.to_string())?;
        let origin = meta.origin.clone();
        let copy =
            self.load_shard(ShardMeta { origin: None, ..meta }).await.map_err(|failure| failure.why)?;
        self.install(&copy, origin.as_ref()).await.map_err(|failure| failure.why)?;
        self.note_joined(&copy);
        self.serve_from_now(copy);
        // What the copy replaced may stay until the next start.
        let _ = meta::sweep(&**self.disk(), shard, Some(generation));
        self.report_soon();
        Ok(())
    }

    /// Puts a mark into the log, at which every replica digests its state.
    async fn mark(&self, hosted: &Arc<Hosted>) {
        *hosted.marked.lock() = Some(self.parts.clock.now());
        let command = store::Command {
            log_time_ms: self.parts.clock.wall_ms(),
            idempotency: None,
            range: None,
            operation: store::Operation::Mark,
        };
        let marking = self.parts.consensus.propose(hosted.group(), command.encode());
        if within(&self.parts.pool, STEP_PATIENCE, marking).await.is_some_and(|r| r.is_ok()) {
            self.parts.metrics.marks.inc();
        }
    }
}
