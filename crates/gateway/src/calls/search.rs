//! Search: the same plan to every shard, one merged answer.

use super::points::degraded_search;
use super::stopwatch::Stopwatch;
use super::text::PARTIAL_STATS;
use crate::api::{self, JsonText};
use crate::fanout::{Gathered, Reading, gather};
use crate::gateway::Gateway;
use crate::merge::best_hits;
use crate::metrics::Call;
use crate::translate::{SearchPlan, search_plan, shown_vectors};
use crate::weight::fitting;
use futures::future::join_all;
use vectron_base::Fault;
use vectron_wire::worker::{Hit, SearchTrace, ShardHits};

impl Gateway {
    /// The nearest points.
    pub async fn search(&self, request: api::SearchRequest) -> Result<api::SearchResponse, Fault> {
        self.measured(Call::Search, self.searched(request)).await
    }

    pub(super) async fn searched(
        &self,
        mut request: api::SearchRequest,
    ) -> Result<api::SearchResponse, Fault> {
        let mut watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(request.timeout_ms)?;
        watch.lap("admit");
        let asked = request.consistency.as_ref();
        let mut collection = self.collection_to_read(&request.collection, asked, &deadline).await?;
        collection = self
            .with_text_index(collection, request.text.is_some(), request.using.as_deref(), &deadline)
            .await?;
        watch.lap("route");
        let mut plan = search_plan(&mut request, &collection, self.knobs())?;
        self.require_indexes(plan.filter.as_deref(), &collection, &deadline).await?;
        watch.lap("translate");
        let allow_partial = request.allow_partial.unwrap_or(false);
        let (gathered, partial_stats) = loop {
            let shards_deadline = self.shards_deadline(&deadline, allow_partial);
            let reading = Reading {
                call: Call::Search,
                collection: &collection,
                deadline: &shards_deadline,
                plan: &plan.read,
            };
            match self.hits(&reading, &plan, allow_partial).await {
                Ok(found) => break found,
                Err(fault) => {
                    collection = self.again(&request.collection, &collection, fault, &deadline).await?;
                    plan.give_back(&mut request);
                    plan = search_plan(&mut request, &collection, self.knobs())?;
                }
            }
        };
        watch.lap("fanout");
        let reading =
            Reading { call: Call::Search, collection: &collection, deadline: &deadline, plan: &plan.read };
        let traces = gathered.answers.iter().map(|(.., found)| &found.trace);
        let mut meta = gathered.meta(&reading, degraded_search(traces));
        if partial_stats {
            meta.degraded.push(PARTIAL_STATS.into());
        }
        let (lists, traces) = apart(gathered);
        let hits = best_hits(lists, plan.top_k);
        let points = hits.iter().map(|hit| &hit.point);
        fitting(points, self.knobs().max_answer_bytes, "ask for a smaller top_k")?;
        watch.lap("merge");
        let results = hits.into_iter().map(scored).collect();
        watch.lap("encode");
        meta.took_ms = watch.told_ms();
        let explain = request.explain.unwrap_or(false);
        let explain = explain.then_some(api::Explain { shards: traces, stages: watch.stages });
        Ok(api::SearchResponse { search_id: self.fresh_id(), results, meta, explain })
    }

    pub(super) async fn hits(
        &self,
        reading: &Reading<'_>,
        plan: &SearchPlan,
        allow_partial: bool,
    ) -> Result<(Gathered<ShardHits>, bool), Fault> {
        let ready = self.made_ready(reading, &plan.query, allow_partial).await?;
        let shards = &reading.collection.shards;
        self.metrics().asked(reading.call, shards.len());
        let ask = |shard| self.hits_of(reading, (plan, &ready.query), shard);
        let answered = join_all(shards.iter().map(ask));
        Ok((gather(answered.await, allow_partial)?, ready.partial))
    }
}

fn apart(gathered: Gathered<ShardHits>) -> (Vec<Vec<Hit>>, Vec<api::ShardExplain>) {
    let parts = gathered.answers.into_iter().map(|(shard, delivered, found)| {
        (found.hits, explained(shard.0, delivered.applied_index, found.trace))
    });
    parts.unzip()
}

fn explained(shard: u64, applied_index: u64, trace: SearchTrace) -> api::ShardExplain {
    let stage = |stage: vectron_wire::worker::Stage| api::Stage { name: stage.name.into(), us: stage.us };
    api::ShardExplain {
        shard,
        plan: trace.plan.into(),
        ef: trace.ef,
        rows_live: trace.rows_live,
        filter_matched: trace.filter_matched,
        distances: trace.distances,
        hops: trace.hops,
        tail_scanned: trace.tail_scanned,
        quantization: trace.quantization.map(Into::into),
        bytes_read: trace.bytes_read,
        precise: trace.precise,
        rescored: trace.rescored,
        filter: trace.filter.map(|filter| api::FilterExplain {
            plan: filter.plan.into(),
            estimated: filter.estimated,
            matched: filter.matched,
            checked: filter.checked,
            unindexed: filter.unindexed,
        }),
        applied_index,
        stages: trace.stages.into_iter().map(stage).collect(),
    }
}

/// A hit as it is shown.
pub(super) fn scored(hit: Hit) -> api::ScoredPoint {
    api::ScoredPoint {
        id: hit.point.id,
        score: hit.score,
        version: hit.point.version,
        payload: hit.point.payload.map(JsonText::unparsed),
        vector: hit.point.vector.map(shown_vectors),
    }
}
