//! An effort by a collection's own queries: every shard measures those that it remembers, and the sums decide.

use super::points::degraded;
use super::stopwatch::Stopwatch;
use crate::api;
use crate::fanout::{Reading, gather};
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::{ReadPlan, thoroughness};
use vectron_base::Fault;
use vectron_wire::placement::Shard;
use vectron_wire::worker::{ShardTune, ShardTuned};

impl Gateway {
    /// Proposes an effort. Changes nothing.
    pub async fn tune(&self, request: api::TuneRequest) -> Result<api::TuneResponse, Fault> {
        self.measured(Call::Tune, async {
            let watch = Stopwatch::start(&self.parts.clock);
            let deadline = self.deadline(request.timeout_ms)?;
            let params = api::SearchParams { recall_target: request.recall_target, ..Default::default() };
            let (_, recall_target) = thoroughness("recall_target", &params, self.knobs())?;
            let mut collection = self.collection_to_read(&request.collection, None, &deadline).await?;
            loop {
                let plan = ReadPlan::of(None, &collection)?;
                let reading =
                    Reading { call: Call::Tune, collection: &collection, deadline: &deadline, plan: &plan };
                match self.tune_once(&reading, recall_target).await {
                    Ok(mut answer) => {
                        answer.meta.took_ms = watch.total_ms();
                        return Ok(answer);
                    }
                    Err(fault) => collection = self.again(&collection, fault, &deadline).await?,
                }
            }
        })
        .await
    }

    async fn tune_once(&self, reading: &Reading<'_>, recall_target: f32) -> Result<api::TuneResponse, Fault> {
        let shards: Vec<&Shard> = reading.collection.shards.iter().collect();
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let read = reading.plan.for_shard(target.shard);
            let tune = ShardTune { target, read, recall_target, timeout_ms };
            Box::pin(async move { worker.tune(tune).await })
        });
        let gathered = gather(answered.await, false)?;
        let meta = gathered.meta(reading, degraded(std::iter::empty()));
        let tuned: Vec<ShardTuned> = gathered.answers.into_iter().map(|(.., tuned)| tuned).collect();
        Ok(proposal(&tuned, recall_target, meta))
    }
}

/// The least effort that reaches the target on all shards' queries together; without queries the largest that a shard
/// needs for its points.
fn proposal(tuned: &[ShardTuned], recall_target: f32, meta: api::ReadMeta) -> api::TuneResponse {
    let queries: u64 = tuned.iter().map(|shard| shard.queries).sum();
    let wanted: u64 = tuned.iter().map(|shard| shard.wanted).sum();
    let mut sums: Vec<(u32, u64, u64)> = Vec::new();
    for rung in tuned.iter().flat_map(|shard| &shard.rungs) {
        match sums.iter_mut().find(|(ef, ..)| *ef == rung.ef) {
            Some((_, found, distances)) => {
                *found += rung.found;
                *distances += rung.distances;
            }
            None => sums.push((rung.ef, rung.found, rung.distances)),
        }
    }
    sums.sort_unstable();
    let mut answer = api::TuneResponse {
        recall_target,
        ef: None,
        recall: None,
        source: "nothing".into(),
        queries,
        rungs: Vec::new(),
        meta,
    };
    if queries == 0 || wanted == 0 {
        let calibrated: Option<Vec<u32>> = tuned.iter().map(|shard| shard.calibrated_ef).collect();
        answer.ef = calibrated.and_then(|efs| efs.into_iter().max());
        if answer.ef.is_some() {
            answer.source = "points".into();
        }
        return answer;
    }
    let rung = |(ef, found, distances): (u32, u64, u64)| api::TuneRung {
        ef,
        recall: found as f64 / wanted as f64,
        distances_mean: distances as f64 / queries as f64,
    };
    answer.source = "queries".into();
    answer.rungs = sums.into_iter().map(rung).collect();
    let reached = answer.rungs.iter().find(|rung| rung.recall >= f64::from(recall_target));
    (answer.ef, answer.recall) = (reached.map(|rung| rung.ef), reached.map(|rung| rung.recall));
    answer
}
