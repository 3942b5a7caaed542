//! Calls to shards: to the right worker, again when the route was stale, all at the same time.

use crate::admit::Deadline;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::target;
use crate::translate::ReadPlan;
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use vectron_base::ids::ShardId;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{Delivered, ShardRead, Target, Worker};

/// What a worker's answer comes as.
pub(crate) type Answer<T> = BoxFuture<'static, Result<T, Fault>>;

/// What a shard call may leave behind, and so whether it may be made again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Read,
    /// A change. With an idempotency key, the same change only once.
    Write { keyed: bool },
}

impl Effect {
    /// Whether the fault looks like a stale route or a missing leader, and asking again may do no harm.
    fn may_repeat(self, fault: &Fault) -> bool {
        let stale = matches!(fault.code, Code::Unavailable | Code::NotFound);
        stale && (!self.is_unkeyed() || fault.outcome == Outcome::NotApplied)
    }

    fn is_unkeyed(self) -> bool {
        self == Effect::Write { keyed: false }
    }

    fn when_late(self) -> Outcome {
        match self {
            Effect::Read => Outcome::NotApplied,
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
    /// Asks the shard's workers in turn until one answers, following the shard once if it moved. `begin`
    /// starts the call at a worker; `None` when it cannot be started again.
    ///
    /// A write without a key is not repeated once a worker refused it, with one exception: when the catalog
    /// has the shard at a later epoch than the call named, the route was stale, and the worker refused the
    /// epoch before it looked at the write. A worker that cannot be reached at all was sent nothing.
    pub(crate) async fn ask<T>(
        &self,
        call: ShardCall<'_>,
        mut begin: impl FnMut(Arc<dyn Worker>, Target, u64) -> Option<Answer<T>> + Send,
    ) -> Result<T, Fault> {
        let mut shard = call.shard.clone();
        let mut workers = self.catalog.workers_of(&shard);
        let mut last = Fault::new(Code::Unavailable, format!("shard {} has no replica", shard.shard));
        let mut refused = false;
        // A shard with one replica is asked again once; with several, each is asked.
        for made in 0..workers.len().max(2) {
            if made == 1 {
                let Some(found) = self.moved_to(&call, &last).await else { return Err(last) };
                refused &= found.epoch <= shard.epoch;
                if found != shard {
                    (workers, shard) = (self.catalog.workers_of(&found), found);
                }
            }
            if refused {
                return Err(last);
            }
            if made > 0 {
                self.metrics().retried();
            }
            let Some(&worker) = workers.get(made % workers.len().max(1)) else { return Err(last) };
            let address = target(call.collection, &shard);
            let Some(connection) = self.parts.workers.worker(worker) else {
                let detail = format!("worker {worker} of shard {} cannot be reached", address.shard);
                last = Fault::new(Code::Unavailable, detail);
                continue;
            };
            let Some(work) = begin(connection, address, call.deadline.left_ms()) else { return Err(last) };
            let result = call.deadline.bound(call.effect.when_late(), work).await;
            match result.map_err(|fault| naming(fault, address.shard)) {
                Ok(answer) => {
                    self.catalog.answered(&shard, worker);
                    return Ok(answer);
                }
                Err(fault) if call.effect.may_repeat(&fault) && !call.deadline.passed() => {
                    refused = call.effect.is_unkeyed();
                    if refused {
                        self.catalog.refused(&shard, worker);
                    }
                    last = fault;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    /// The shard as the catalog has it now; `None` when this life of the collection has it no more.
    async fn moved_to(&self, call: &ShardCall<'_>, last: &Fault) -> Option<Shard> {
        match self.refreshed(call.deadline).await {
            Ok(view) => {
                let now = view.get(&call.collection.spec.name)?;
                let same_life = now.incarnation == call.collection.incarnation;
                now.shards.iter().find(|shard| same_life && shard.shard == call.shard.shard).cloned()
            }
            // Existing collections are served without the placement driver.
            Err(_) => (last.code == Code::Unavailable).then(|| call.shard.clone()),
        }
    }

    /// Reads from several shards at the same time.
    pub(crate) async fn ask_all<T: Send>(
        &self,
        reading: &Reading<'_>,
        shards: &[&Shard],
        begin: impl Fn(Arc<dyn Worker>, Target, u64) -> Answer<ShardRead<T>> + Sync,
    ) -> Vec<Answered<T>> {
        self.metrics().asked(reading.call, shards.len());
        let begin = &begin;
        join_all(shards.iter().map(|shard| async move {
            let Reading { collection, deadline, .. } = reading;
            let call = ShardCall { collection, shard, deadline, effect: Effect::Read };
            let result = self.ask(call, |worker, address, ms| Some(begin(worker, address, ms))).await;
            Answered { shard: shard.shard, result }
        }))
        .await
    }
}

/// The same fault, saying which shard unless it does already.
fn naming(mut fault: Fault, shard: ShardId) -> Fault {
    let of_shard = matches!(fault.code, Code::Unavailable | Code::DeadlineExceeded | Code::StalenessUnmet);
    if of_shard && !fault.detail.contains("shard") {
        fault.detail = format!("shard {shard}: {}", fault.detail);
    }
    fault
}

/// What every read of a collection has.
pub(crate) struct Reading<'a> {
    pub call: Call,
    pub collection: &'a Collection,
    pub deadline: &'a Deadline,
    pub plan: &'a ReadPlan,
}

/// One shard's answer or fault.
pub(crate) struct Answered<T> {
    pub shard: ShardId,
    pub result: Result<ShardRead<T>, Fault>,
}

/// The shards that answered, and what the answer may say of all.
pub(crate) struct Gathered<T> {
    pub answers: Vec<(ShardId, Delivered, T)>,
    pub failed: Vec<api::ShardFailure>,
}

/// The answers, if they are enough: all of them, or under `allow_partial` at least one, unless a shard refuses
/// the request itself.
pub(crate) fn gather<T>(answered: Vec<Answered<T>>, allow_partial: bool) -> Result<Gathered<T>, Fault> {
    let mut gathered = Gathered { answers: Vec::with_capacity(answered.len()), failed: Vec::new() };
    let mut first: Option<Fault> = None;
    for Answered { shard, result } in answered {
        match result {
            Ok(read) => gathered.answers.push((shard, read.delivered, read.value)),
            Err(fault) if !allow_partial || !is_of_shard(&fault) => return Err(fault),
            Err(fault) => {
                gathered.failed.push(api::ShardFailure {
                    shard: shard.0,
                    code: fault.code.as_str().into(),
                    detail: fault.detail.clone(),
                });
                first.get_or_insert(fault);
            }
        }
    }
    match first {
        Some(fault) if gathered.answers.is_empty() => Err(fault),
        _ => Ok(gathered),
    }
}

/// Whether a fault is the shard's trouble and not the request's.
fn is_of_shard(fault: &Fault) -> bool {
    fault.retryable() || fault.code == Code::Internal
}

impl<T> Gathered<T> {
    /// What the answer says about itself.
    pub(crate) fn meta(&self, reading: &Reading<'_>, degraded: Vec<String>) -> api::ReadMeta {
        let mut session = reading.plan.session(reading.collection);
        for (shard, delivered, _) in &self.answers {
            session.saw(*shard, delivered.applied_index);
        }
        let staleness = self.answers.iter().map(|(_, delivered, _)| delivered.staleness_ms).max();
        let answered = self.answers.len() as u32;
        api::ReadMeta {
            took_ms: 0.0,
            partial: !self.failed.is_empty(),
            degraded,
            consistency: api::DeliveredConsistency {
                level: reading.plan.name().into(),
                staleness_ms: staleness.unwrap_or(0),
            },
            shards: api::AnsweredShards {
                total: answered + self.failed.len() as u32,
                answered,
                failed: self.failed.clone(),
            },
            session: session.to_token(),
        }
    }
}
