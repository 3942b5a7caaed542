//! Search as a stream: an answer after each shard that came in, until all did or time was up. The last one says
//! which.

use super::points::degraded_search;
use super::search::scored;
use super::stopwatch::Stopwatch;
use super::text::{PARTIAL_STATS, Ready};
use crate::admit::{Admitted, Deadline};
use crate::api;
use crate::fanout::{Answered, Gathered, Reading, gather};
use crate::gateway::Gateway;
use crate::merge::best_hits;
use crate::metrics::Call;
use crate::translate::{SearchPlan, search_plan};
use crate::weight::fitting;
use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, Stream, StreamExt};
use std::sync::Arc;
use vectron_base::{Code, Fault};
use vectron_wire::placement::Collection;
use vectron_wire::worker::{Hit, ShardHits};

type Events = mpsc::Sender<Result<api::SearchEvent, Fault>>;

impl Gateway {
    /// The nearest points so far, again and again. `place` is the request's among those in work.
    pub fn search_stream(
        self: &Arc<Self>,
        request: api::SearchRequest,
        place: Option<Arc<Admitted>>,
    ) -> impl Stream<Item = Result<api::SearchEvent, Fault>> + Send + use<> {
        // One answer waits for the client; more would only be older.
        let (mut sender, events) = mpsc::channel(0);
        let gateway = self.clone();
        let work = async move {
            let streamed = gateway.streamed(request, &mut sender);
            if let Err(fault) = gateway.measured(Call::SearchStream, streamed).await {
                // A client that has left needs no error.
                let _ = sender.send(Err(fault)).await;
            }
            drop(place);
        };
        self.parts.pool.spawn("gateway-search-stream", Box::pin(work));
        events
    }

    async fn streamed(&self, mut request: api::SearchRequest, events: &mut Events) -> Result<(), Fault> {
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(request.timeout_ms)?;
        let asked = request.consistency.as_ref();
        let mut collection = self.collection_to_read(&request.collection, asked, &deadline).await?;
        collection = self
            .with_text_index(collection, request.text.is_some(), request.using.as_deref(), &deadline)
            .await?;
        let mut plan = search_plan(&mut request, &collection, self.knobs())?;
        self.require_indexes(plan.filter.as_deref(), &collection, &deadline).await?;
        let allow_partial = request.allow_partial.unwrap_or(false);
        let search_id = self.fresh_id();
        loop {
            let shards_deadline = self.shards_deadline(&deadline, allow_partial);
            let reading = Reading {
                call: Call::SearchStream,
                collection: &collection,
                deadline: &shards_deadline,
                plan: &plan.read,
            };
            let ready = match self.made_ready(&reading, &plan.query, allow_partial).await {
                Ok(ready) => ready,
                Err(fault) => {
                    collection = self.again(&collection, fault, &deadline).await?;
                    plan.give_back(&mut request);
                    plan = search_plan(&mut request, &collection, self.knobs())?;
                    continue;
                }
            };
            let round = Round {
                gateway: self,
                collection: &collection,
                deadline: &shards_deadline,
                plan: &plan,
                ready: &ready,
            };
            let answered = round.hits(&search_id, &watch, events).await;
            // Time that is up ends the stream with what there is, which is what it is for.
            let late =
                |a: &Answered<ShardHits>| matches!(&a.result, Err(f) if f.code == Code::DeadlineExceeded);
            let cut_short = answered.iter().any(late) && answered.iter().any(|a| a.result.is_ok());
            match gather(answered, allow_partial || cut_short) {
                Ok(gathered) => {
                    let mut event = round.event(&search_id, &watch, &gathered)?;
                    event.last = true;
                    event.complete = gathered.failed.is_empty();
                    let _ = events.send(Ok(event)).await;
                    return Ok(());
                }
                Err(fault) => {
                    collection = self.again(&collection, fault, &deadline).await?;
                    plan.give_back(&mut request);
                    plan = search_plan(&mut request, &collection, self.knobs())?;
                }
            }
        }
    }
}

/// One fan-out over the shards of a collection.
struct Round<'a> {
    gateway: &'a Gateway,
    collection: &'a Collection,
    deadline: &'a Deadline,
    plan: &'a SearchPlan,
    ready: &'a Ready,
}

impl Round<'_> {
    fn reading(&self) -> Reading<'_> {
        let Round { collection, deadline, plan, .. } = *self;
        Reading { call: Call::SearchStream, collection, deadline, plan: &plan.read }
    }

    /// Every shard's answer; an event after each but the last.
    async fn hits(
        &self,
        search_id: &str,
        watch: &Stopwatch,
        events: &mut Events,
    ) -> Vec<Answered<ShardHits>> {
        let (reading, shards) = (self.reading(), &self.collection.shards);
        self.gateway.metrics().asked(reading.call, shards.len());
        let query = (self.plan, &self.ready.query);
        let mut running: FuturesUnordered<_> =
            shards.iter().map(|shard| self.gateway.hits_of(&reading, query, shard)).collect();
        let mut so_far = Gathered { answers: Vec::new(), failed: Vec::new() };
        let mut answered = Vec::new();
        while let Some(one) = running.next().await {
            if let Ok(read) = &one.result {
                so_far.answers.push((one.shard, read.delivered, read.value.clone()));
            }
            answered.push(one);
            if !running.is_empty()
                && !so_far.answers.is_empty()
                && let Ok(event) = self.event(search_id, watch, &so_far)
                && events.send(Ok(event)).await.is_err()
            {
                // Nobody listens any more.
                break;
            }
        }
        answered
    }

    fn event(
        &self,
        search_id: &str,
        watch: &Stopwatch,
        gathered: &Gathered<ShardHits>,
    ) -> Result<api::SearchEvent, Fault> {
        let reading = self.reading();
        let traces = gathered.answers.iter().map(|(.., found)| &found.trace);
        let mut meta = gathered.meta(&reading, degraded_search(traces));
        if self.ready.partial {
            meta.degraded.push(PARTIAL_STATS.into());
        }
        meta.shards.total = self.collection.shards.len() as u32;
        meta.partial = meta.shards.answered < meta.shards.total;
        meta.took_ms = watch.total_ms();
        let lists: Vec<Vec<Hit>> = gathered.answers.iter().map(|(.., found)| found.hits.clone()).collect();
        let hits = best_hits(lists, self.plan.top_k);
        let points = hits.iter().map(|hit| &hit.point);
        fitting(points, self.gateway.knobs().max_answer_bytes, "ask for a smaller top_k")?;
        let results = hits.into_iter().map(scored).collect();
        Ok(api::SearchEvent { search_id: search_id.into(), results, last: false, complete: false, meta })
    }
}
