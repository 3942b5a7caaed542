//! Calls to several shards at the same time, and what their answers come to.

use crate::admit::Deadline;
use crate::api;
use crate::ask::{Answer, Effect, ShardCall};
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::ReadPlan;
use futures::future::join_all;
use std::sync::Arc;
use vectron_base::ids::ShardId;
use vectron_base::{Code, Fault};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{Delivered, ShardRead, Target, Worker};

impl Gateway {
    /// Reads from several shards at the same time.
    pub(crate) async fn ask_all<T: Send + 'static>(
        &self,
        reading: &Reading<'_>,
        shards: &[&Shard],
        begin: impl Fn(Arc<dyn Worker>, Target, u64) -> Answer<ShardRead<T>> + Sync,
    ) -> Vec<Answered<T>> {
        self.metrics().asked(reading.call, shards.len());
        join_all(shards.iter().map(|shard| self.ask_one(reading, shard, &begin))).await
    }

    /// Reads from one of them.
    pub(crate) async fn ask_one<T: Send + 'static>(
        &self,
        reading: &Reading<'_>,
        shard: &Shard,
        begin: impl Fn(Arc<dyn Worker>, Target, u64) -> Answer<ShardRead<T>> + Send + Sync,
    ) -> Answered<T> {
        let Reading { collection, deadline, plan, .. } = reading;
        let effect = if plan.anywhere() { Effect::ReadAnywhere } else { Effect::Read };
        let call = ShardCall { collection, shard, deadline, effect };
        let result = self.ask(call, |worker, address, ms| Some(begin(worker, address, ms))).await;
        Answered { shard: shard.shard, result }
    }
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
