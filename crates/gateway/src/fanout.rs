//! Calls to shards: to the right worker, again when the route was stale, all at the same time.

use crate::admit::Deadline;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::target;
use crate::session::Session;
use crate::translate::ReadPlan;
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{Delivered, ShardRead, Target, Worker};

/// A call to one worker, begun anew for each attempt: worker, address, milliseconds left. `None` when the
/// call cannot be made again.
pub(crate) type Attempt<'a, T> =
    dyn FnMut(Arc<dyn Worker>, Target, u64) -> Option<BoxFuture<'a, Result<T, Fault>>> + Send + 'a;

/// Whether a call that failed may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It changes nothing, or changes the same only once.
    Harmless,
    /// Only when it certainly had no effect.
    IfNotApplied,
}

impl Again {
    fn allows(self, fault: &Fault) -> bool {
        let stale = matches!(fault.code, Code::Unavailable | Code::NotFound);
        stale && (self == Again::Harmless || fault.outcome == Outcome::NotApplied)
    }

    /// What a call that did not answer in time may have left behind.
    fn late(self, writes: bool) -> Outcome {
        if writes { Outcome::Unknown } else { Outcome::NotApplied }
    }
}

/// One shard call of a public call.
pub(crate) struct ShardCall<'a> {
    pub collection: &'a Arc<Collection>,
    pub shard: &'a Shard,
    pub deadline: &'a Deadline,
    pub again: Again,
    pub writes: bool,
}

impl Gateway {
    /// Asks the shard's workers in turn until one answers, following the shard once if it moved.
    pub(crate) async fn ask<'a, T>(
        &self,
        call: ShardCall<'_>,
        attempt: &mut Attempt<'a, T>,
    ) -> Result<T, Fault> {
        let mut shard = call.shard.clone();
        let mut workers = self.catalog.workers_of(&shard);
        // A shard with one replica is asked again once; with several, each is asked.
        let attempts = workers.len().max(2);
        let mut last = Fault::new(Code::Unavailable, format!("shard {} has no replica", shard.shard));
        for made in 0..attempts {
            if made == 1 {
                let Some(found) = self.moved_to(&call, &last).await else { return Err(last) };
                if found != shard {
                    (workers, shard) = (self.catalog.workers_of(&found), found);
                }
            }
            if made > 0 {
                self.metrics().retried();
            }
            let Some(worker) = workers.get(made % workers.len().max(1)).copied() else { return Err(last) };
            let address = target(call.collection, &shard);
            match self.attempt(&call, worker, address, attempt).await {
                None => return Err(last),
                Some(Ok(answer)) => {
                    self.catalog.answered(&shard, worker);
                    return Ok(answer);
                }
                Some(Err(fault)) if call.again.allows(&fault) && !call.deadline.passed() => last = fault,
                Some(Err(fault)) => return Err(fault),
            }
        }
        Err(last)
    }

    async fn attempt<'a, T>(
        &self,
        call: &ShardCall<'_>,
        worker: WorkerId,
        address: Target,
        attempt: &mut Attempt<'a, T>,
    ) -> Option<Result<T, Fault>> {
        let Some(connection) = self.parts.workers.worker(worker) else {
            let detail = format!("worker {worker} of shard {} cannot be reached", address.shard);
            return Some(Err(Fault::new(Code::Unavailable, detail)));
        };
        let work = attempt(connection, address, call.deadline.left_ms())?;
        let result = call.deadline.bound(call.again.late(call.writes), work).await;
        Some(result.map_err(|fault| named(fault, address.shard)))
    }

    /// The shard as the catalog has it now; `None` when this life of the collection has it no more.
    async fn moved_to(&self, call: &ShardCall<'_>, last: &Fault) -> Option<Shard> {
        match self.refreshed(call.deadline).await {
            Ok(view) => {
                let now = view.get(&call.collection.spec.name)?;
                let same_life = now.incarnation == call.collection.incarnation;
                let mut shards = now.shards.iter().filter(|_| same_life);
                shards.find(|shard| shard.shard == call.shard.shard).cloned()
            }
            // Existing collections are served without the placement driver.
            Err(_) => (last.code == Code::Unavailable).then(|| call.shard.clone()),
        }
    }

    /// Asks every shard the same, at the same time.
    pub(crate) async fn ask_all<'a, T: Send>(
        &self,
        call: Call,
        scope: &ReadScope<'_>,
        make: impl Fn(&Shard, Arc<dyn Worker>, Target, u64) -> BoxFuture<'a, Result<ShardRead<T>, Fault>>
        + Send
        + Sync
        + 'a,
    ) -> Vec<ShardAnswer<T>> {
        self.metrics().asked(call, scope.shards.len());
        let make = &make;
        let asked = scope.shards.iter().map(|shard| async move {
            let shard_call = ShardCall {
                collection: scope.collection,
                shard,
                deadline: scope.deadline,
                again: Again::Harmless,
                writes: false,
            };
            let mut attempt = |worker: Arc<dyn Worker>, address: Target, ms: u64| {
                Some(make(shard, worker, address, ms))
            };
            let result = self.ask_read(shard_call, &mut attempt).await;
            ShardAnswer { shard: shard.shard, result }
        });
        join_all(asked).await
    }

    async fn ask_read<T>(
        &self,
        call: ShardCall<'_>,
        attempt: &mut (dyn FnMut(Arc<dyn Worker>, Target, u64) -> Option<BoxFuture<'_, Result<T, Fault>>> + Send),
    ) -> Result<T, Fault> {
        let _ = (call, attempt);
        unimplemented!()
    }
}

/// The same fault, saying which shard unless it does already.
fn named(mut fault: Fault, shard: ShardId) -> Fault {
    let blames_shard = matches!(fault.code, Code::Unavailable | Code::DeadlineExceeded | Code::StalenessUnmet);
    if blames_shard && !fault.detail.contains("shard") {
        fault.detail = format!("shard {shard}: {}", fault.detail);
    }
    fault
}
