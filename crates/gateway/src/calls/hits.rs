//! A shard's hits: asked for, given again from what was kept, or shared with equal searches.

use crate::admit::Deadline;
use crate::ask::Answer;
use crate::fanout::{Answered, Reading};
use crate::gateway::Gateway;
use crate::knobs::millis;
use crate::translate::SearchPlan;
use std::sync::Arc;
use vectron_wire::placement::Shard;
use vectron_wire::worker::{ShardHits, ShardQuery, ShardRead, Target, Worker};

impl Gateway {
    /// Of one shard, with the query made ready for all of them. Who wants to be told how it was searched gets a search
    /// of its own.
    pub(super) async fn hits_of(
        &self,
        reading: &Reading<'_>,
        (plan, query): (&SearchPlan, &ShardQuery),
        shard: &Shard,
    ) -> Answered<ShardHits> {
        let answers = self.answers.as_ref().filter(|_| !plan.explain);
        let begin = |worker: Arc<dyn Worker>, target: Target, timeout_ms| -> Answer<ShardRead<ShardHits>> {
            let search = plan.for_shard(query, target, timeout_ms);
            match answers.cloned() {
                None => Box::pin(async move { worker.search(search).await }),
                Some(answers) => {
                    let question = plan.question(query, &target);
                    Box::pin(async move { answers.search(question, &*worker, search).await })
                }
            }
        };
        let patience_ms = self.knobs().coalesce_ms;
        if patience_ms == 0 || plan.explain {
            return self.ask_one(reading, shard, begin).await;
        }
        let target = crate::route::target(reading.collection, shard);
        let question = (plan.question(query, &target), plan.read.for_shard(shard.shard));
        let patience = millis(patience_ms).min(reading.deadline.left());
        let asking = async { self.ask_one(reading, shard, begin).await.result.map(Arc::new) };
        let (result, shared) = self.sharing.answer(question, patience, &self.parts.pool, asking).await;
        if shared {
            self.metrics().coalesced();
        }
        Answered { shard: shard.shard, result: result.map(Arc::unwrap_or_clone) }
    }

    /// When the shards of a search must answer. Under `allow_partial` they get less than all of its time, so that the
    /// answer without those that are late is not late too.
    pub(super) fn shards_deadline(&self, deadline: &Deadline, allow_partial: bool) -> Deadline {
        if allow_partial { deadline.share(self.knobs().partial_percent) } else { deadline.clone() }
    }
}
