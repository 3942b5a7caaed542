//! One call to one shard: to the replica that can answer, to others when it cannot, again when the route was
//! stale.
//!
//! Any replica may answer what a read's level lets it prove. A write is for the leader; a worker that does not
//! lead refuses it before it looks at it, so that asking the next is routing and not a retry. What may have been
//! done is asked again only if that does no harm.

use crate::admit::Deadline;
use crate::gateway::Gateway;
use crate::knobs::millis;
use crate::route::target;
use futures::StreamExt;
use futures::future::{BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{Target, Worker};

/// What a worker's answer comes as.
pub(crate) type Answer<T> = BoxFuture<'static, Result<T, Fault>>;

/// How long the catalog is waited for when a route looks stale. Shards are served without the placement driver.
pub(crate) const REFRESH_PATIENCE_MS: u64 = 500;
/// Pause before all replicas are asked once more, at first
const PAUSE_LEAST: Duration = Duration::from_millis(50);
/// and at most.
const PAUSE_MOST: Duration = Duration::from_millis(400);

/// What a shard call may leave behind, and so who may be asked, and whether again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing, and the leader answers soonest.
    Read,
    /// Nothing, and every replica answers alike.
    ReadAnywhere,
    /// A change. With an idempotency key, the same change only once.
    Write { keyed: bool },
}

impl Effect {
    /// Whether the fault looks like a stale route or a missing leader, and asking again may do no harm.
    fn may_repeat(self, fault: &Fault) -> bool {
        let elsewhere = match fault.code {
            Code::Unavailable | Code::NotFound => true,
            // Another replica may be able to prove what this one could not.
            Code::StalenessUnmet => self == Effect::ReadAnywhere,
            // The attempt's time, not the call's: whoever leads may stand still, and another will.
            Code::DeadlineExceeded => true,
            _ => false,
        };
        elsewhere && (self != Effect::Write { keyed: false } || fault.outcome == Outcome::NotApplied)
    }

    fn when_late(self) -> Outcome {
        match self {
            Effect::Read | Effect::ReadAnywhere => Outcome::NotApplied,
            Effect::Write { .. } => Outcome::Unknown,
        }
    }
}

/// One call to one shard.
pub(crate) struct ShardCall<'a> {
    pub collection: &'a Collection,
    pub shard: &'a Shard,
    pub deadline: &'a Deadline,
    pub effect: Effect,
}

impl Gateway {
    /// Asks the shard's replicas until one answers, following the shard when it moved. `begin` starts the call at
    /// a worker; `None` when it cannot be started again.
    ///
    /// A shard with one replica is asked twice at most: nobody else can answer, and its worker refuses for
    /// reasons that last. A write without a key is not repeated there once the worker refused it, with one
    /// exception: when the catalog has the shard at a later epoch than the call named, the worker refused the
    /// epoch before it looked at the write. With several replicas the call goes round until one of them leads or
    /// time is up.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        call: ShardCall<'_>,
        mut begin: impl FnMut(Arc<dyn Worker>, Target, u64) -> Option<Answer<T>> + Send,
    ) -> Result<T, Fault> {
        let mut shard = call.shard.clone();
        let mut pause = PAUSE_LEAST;
        let mut rounds = 0;
        let mut doubt = false;
        loop {
            let refused = match self.round(&call, &shard, &mut begin, &mut doubt).await {
                Round::Answered(answer) => return Ok(answer),
                Round::Failed(fault) => return Err(doubtful(fault, doubt)),
                Round::Refused(fault) => doubtful(fault, doubt),
            };
            rounds += 1;
            let alone = shard.replicas.len() <= 1;
            if call.deadline.passed() || (alone && rounds == 2) || rounds >= self.knobs().route_rounds {
                return Err(refused);
            }
            let Some(found) = self.moved_to(&call, &refused).await else { return Err(refused) };
            if (found.first, found.last) != (shard.first, shard.last) {
                // Part of the range is another shard's now: the call must be planned anew.
                return Err(refused);
            }
            let unkeyed = call.effect == Effect::Write { keyed: false };
            if alone && unkeyed && found.epoch <= shard.epoch && self.reached(&shard) {
                return Err(refused);
            }
            if !alone && found == shard {
                let left = call.deadline.left();
                self.parts.pool.sleep(pause.min(left)).await;
                pause = (pause * 2).min(PAUSE_MOST);
            }
            shard = found;
            self.metrics().retried();
        }
    }

    /// Whether the only worker of a shard can be sent anything.
    fn reached(&self, shard: &Shard) -> bool {
        shard.replicas.iter().any(|replica| self.parts.workers.worker(replica.worker).is_some())
    }

    /// Asks each replica once, one after the other; a read that every replica answers alike is also sent to the
    /// next when the first is slow.
    async fn round<T: Send + 'static>(
        &self,
        call: &ShardCall<'_>,
        shard: &Shard,
        begin: &mut (impl FnMut(Arc<dyn Worker>, Target, u64) -> Option<Answer<T>> + Send),
        doubt: &mut bool,
    ) -> Round<T> {
        let address = target(call.collection, shard);
        let mut waiting = self.catalog.order(shard, call.effect).into_iter();
        let mut last = Fault::new(Code::Unavailable, format!("shard {} has no replica", shard.shard));
        let mut running: FuturesUnordered<BoxFuture<'_, (WorkerId, Result<T, Fault>)>> =
            FuturesUnordered::new();
        loop {
            if running.is_empty() {
                let Some(worker) = waiting.next() else { return Round::Refused(last) };
                let Some(connection) = self.parts.workers.worker(worker) else {
                    let detail = format!("worker {worker} of shard {} cannot be reached", address.shard);
                    last = Fault::new(Code::Unavailable, detail);
                    continue;
                };
                let Some(work) = begin(connection, address, call.deadline.left_ms()) else {
                    return Round::Failed(last);
                };
                running.push(self.bounded(call, shard, worker, work));
            }
            let more = waiting.len() > 0;
            let answered = match self.hedge_wait(call.effect, more) {
                None => running.next().await,
                Some(wait) => match select(running.next(), self.parts.pool.sleep(wait)).await {
                    Either::Left((answered, _)) => answered,
                    Either::Right(_) => {
                        if let Some(worker) = waiting.next()
                            && let Some(connection) = self.parts.workers.worker(worker)
                            && let Some(work) = begin(connection, address, call.deadline.left_ms())
                        {
                            self.metrics().hedged();
                            running.push(self.bounded(call, shard, worker, work));
                        }
                        continue;
                    }
                },
            };
            let Some((worker, result)) = answered else { continue };
            *doubt |= result.as_ref().is_err_and(|fault| fault.outcome == Outcome::Unknown);
            match result.map_err(|fault| naming(fault, address.shard)) {
                Ok(answer) => {
                    self.catalog.answered(shard, worker, call.effect);
                    return Round::Answered(answer);
                }
                Err(fault) if call.effect.may_repeat(&fault) && !call.deadline.passed() => {
                    self.catalog.refused(shard, worker);
                    last = fault;
                }
                Err(fault) => {
                    if fault.code == Code::DeadlineExceeded {
                        self.catalog.refused(shard, worker);
                    }
                    return Round::Failed(fault);
                }
            }
        }
    }

    /// One attempt. Where another replica could answer and asking again does no harm, it does not get all of the
    /// call's time: a worker may stand still and still hold its connection.
    fn bounded<'a, T: Send + 'static>(
        &self,
        call: &'a ShardCall<'_>,
        shard: &Shard,
        worker: WorkerId,
        work: Answer<T>,
    ) -> BoxFuture<'a, (WorkerId, Result<T, Fault>)> {
        let shared = shard.replicas.len() > 1 && call.effect != Effect::Write { keyed: false };
        let most = if shared { self.knobs().attempt_ms } else { u64::MAX };
        let deadline = call.deadline.no_later_than(most);
        Box::pin(async move { (worker, deadline.bound(call.effect.when_late(), work).await) })
    }

    /// How long to wait before a slow read is sent to another replica as well; `None` to wait for ever.
    fn hedge_wait(&self, effect: Effect, more: bool) -> Option<Duration> {
        let after = self.knobs().hedge_after_ms;
        let may = effect == Effect::ReadAnywhere && more && after > 0;
        (may && self.metrics().may_hedge(self.knobs().hedge_percent)).then(|| millis(after))
    }

    /// The shard as the catalog has it now; `None` when this life of the collection has it no more.
    async fn moved_to(&self, call: &ShardCall<'_>, last: &Fault) -> Option<Shard> {
        match self.refreshed(&call.deadline.no_later_than(REFRESH_PATIENCE_MS)).await {
            Ok(view) => {
                let now = view.get(&call.collection.spec.name)?;
                let same_life = now.incarnation == call.collection.incarnation;
                now.shards.iter().find(|shard| same_life && shard.shard == call.shard.shard).cloned()
            }
            // Existing collections are served without the placement driver.
            Err(_) => (last.code != Code::NotFound).then(|| call.shard.clone()),
        }
    }
}

/// The fault of a call of which an earlier attempt may have been carried out: that is not taken back by a later one
/// that certainly was not.
fn doubtful(fault: Fault, doubt: bool) -> Fault {
    if doubt { fault.with_outcome(Outcome::Unknown) } else { fault }
}

/// What asking every replica once came to.
enum Round<T> {
    Answered(T),
    /// Asking again cannot help, or may do harm.
    Failed(Fault),
    /// Nobody did anything.
    Refused(Fault),
}

/// The same fault, saying which shard unless it does already.
fn naming(mut fault: Fault, shard: ShardId) -> Fault {
    let of_shard = matches!(fault.code, Code::Unavailable | Code::DeadlineExceeded | Code::StalenessUnmet);
    if of_shard && !fault.detail.contains("shard") {
        fault.detail = format!("shard {shard}: {}", fault.detail);
    }
    fault
}
