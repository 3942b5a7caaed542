//! Why a search returns a point, or does not.
//!
//! The point's shard says how it stands there; if it passes, every other shard says how many of its points come before
//! it: of all that pass, and of those that its search returns. The sums are its true rank and its place in the answer.

use super::points::degraded;
use super::stopwatch::Stopwatch;
use crate::api::{self, JsonText};
use crate::fanout::{Answered, Gathered, Reading, gather};
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::shard_of;
use crate::translate::{SearchPlan, check_point_id, search_plan};
use vectron_base::Fault;
use vectron_wire::placement::Shard;
use vectron_wire::worker::{Examined, RemovalCause, Scored, ShardExamine, Subject};

/// How a point that passes stands among all shards.
struct Ranked {
    scored: Scored,
    /// Points that pass and come before it.
    ahead: u64,
    /// Those of them that searches return.
    returned: u64,
}

impl Gateway {
    /// Why a search returns the point of an id, or does not. A shard that fails fails the call: without it nobody
    /// knows the rank.
    pub async fn why_not(&self, id: &str, request: api::SearchRequest) -> Result<api::WhyNotResponse, Fault> {
        self.measured(Call::WhyNot, async {
            check_point_id("id", id)?;
            self.why_not_of(id, request).await
        })
        .await
    }

    async fn why_not_of(
        &self,
        id: &str,
        mut request: api::SearchRequest,
    ) -> Result<api::WhyNotResponse, Fault> {
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(request.timeout_ms)?;
        let asked = request.consistency.as_ref();
        let mut collection = self.collection_to_read(&request.collection, asked, &deadline).await?;
        let mut plan = search_plan(&mut request, &collection, self.knobs())?;
        self.require_indexes(plan.filter.as_deref(), &collection, &deadline).await?;
        loop {
            let reading = Reading {
                call: Call::WhyNot,
                collection: &collection,
                deadline: &deadline,
                plan: &plan.read,
            };
            match self.why_not_once(&reading, &plan, id).await {
                Ok(mut answer) => {
                    if let Some(meta) = &mut answer.meta {
                        meta.took_ms = watch.total_ms();
                    }
                    return Ok(answer);
                }
                Err(fault) => {
                    collection = self.again(&collection, fault, &deadline).await?;
                    plan.give_back(&mut request);
                    plan = search_plan(&mut request, &collection, self.knobs())?;
                }
            }
        }
    }

    async fn why_not_once(
        &self,
        reading: &Reading<'_>,
        plan: &SearchPlan,
        id: &str,
    ) -> Result<api::WhyNotResponse, Fault> {
        let shards = &reading.collection.shards;
        let home = &shards[shard_of(reading.collection, id)?];
        let asked = self.examined(reading, plan, &[home], Subject::Id(id.to_string())).await;
        let mut gathered = gather(asked, false)?;
        let first = gathered.answers.first().map(|(.., examined)| examined.clone());
        let answer = match first {
            Some(Examined::Scored(scored)) => {
                let others: Vec<&Shard> = shards.iter().filter(|other| other.shard != home.shard).collect();
                let subject = Subject::Elsewhere { id: id.to_string(), score: scored.score };
                let asked = self.examined(reading, plan, &others, subject).await;
                gathered.answers.extend(gather(asked, false)?.answers);
                ranked(plan, add(&gathered, scored)?)
            }
            Some(Examined::Filtered { version, failed }) => filtered(version, failed),
            Some(Examined::Removed { cause, version, log_time_ms }) => removed(cause, version, log_time_ms),
            Some(Examined::Absent) => api::WhyNotResponse {
                verdict: "absent".into(),
                detail: "there is no such point, and no removal of one is remembered".into(),
                ..api::WhyNotResponse::default()
            },
            Some(Examined::Ahead { .. }) | None => {
                return Err(Fault::internal("a shard did not say how its point stands"));
            }
        };
        let meta = gathered.meta(reading, degraded(std::iter::empty()));
        Ok(api::WhyNotResponse { id: id.to_string(), meta: Some(meta), ..answer })
    }

    async fn examined(
        &self,
        reading: &Reading<'_>,
        plan: &SearchPlan,
        shards: &[&Shard],
        subject: Subject,
    ) -> Vec<Answered<Examined>> {
        self.ask_all(reading, shards, |worker, target, timeout_ms| {
            let search = plan.for_shard(&plan.query, target, timeout_ms);
            let question = ShardExamine { search, subject: subject.clone() };
            Box::pin(async move { worker.examine(question).await })
        })
        .await
    }
}

/// The sums over all shards.
fn add(gathered: &Gathered<Examined>, scored: Scored) -> Result<Ranked, Fault> {
    let mut ranked = Ranked { ahead: scored.ahead, returned: scored.position.unwrap_or(0), scored };
    for (.., examined) in gathered.answers.iter().skip(1) {
        let Examined::Ahead { ahead, returned } = examined else {
            return Err(Fault::internal("a shard did not say what it has before a point"));
        };
        ranked.ahead += ahead;
        ranked.returned += returned;
    }
    Ok(ranked)
}

fn ranked(plan: &SearchPlan, ranked: Ranked) -> api::WhyNotResponse {
    let Ranked { scored: Scored { version, score, position, ef, ef_needed, .. }, ahead, returned } = ranked;
    let (rank, top_k) = (ahead + 1, plan.top_k as u64);
    let place = (returned + 1).min(rank);
    let exact = plan.exact;
    let mut answer = api::WhyNotResponse {
        version: Some(version),
        score: Some(score),
        rank: Some(rank),
        ef: (!exact).then_some(ef),
        ..api::WhyNotResponse::default()
    };
    let (verdict, detail) = match plan.score_threshold {
        Some(least) if score < least => {
            ("below_threshold", format!("its score {score} is below the threshold {least}"))
        }
        _ if position.is_some() && place <= top_k => {
            answer.position = Some(place);
            ("present", format!("it is result {place} of {top_k}; its true rank is {rank}"))
        }
        _ if rank > top_k => {
            ("outranked", format!("{ahead} points that pass the filter are nearer; top_k is {top_k}"))
        }
        _ => {
            answer.ef_needed = ef_needed;
            let found = match ef_needed {
                Some(needed) => format!("with ef {needed} it is found"),
                None => "only an exact search finds it".into(),
            };
            let missed = format!("its true rank is {rank} of {top_k}, but the search with ef {ef} misses it");
            ("approximate_miss", format!("{missed}; {found}"))
        }
    };
    api::WhyNotResponse { verdict: verdict.into(), detail, ..answer }
}

fn filtered(version: u64, failed: Vec<vectron_wire::worker::FailedClause>) -> api::WhyNotResponse {
    let clause = |failed: vectron_wire::worker::FailedClause| api::FailedClause {
        clause: JsonText::unparsed(failed.clause),
        values: failed
            .values
            .into_iter()
            .map(|(field, value)| api::FieldValue { field, value: value.map(JsonText::unparsed) })
            .collect(),
    };
    let clauses: Vec<&str> = failed.iter().map(|failed| failed.clause.as_str()).collect();
    api::WhyNotResponse {
        verdict: "filtered".into(),
        detail: format!("it does not pass {}", clauses.join(" and ")),
        version: Some(version),
        filtered_by: failed.into_iter().map(clause).collect(),
        ..api::WhyNotResponse::default()
    }
}

fn removed(cause: RemovalCause, version: u64, log_time_ms: u64) -> api::WhyNotResponse {
    let (verdict, detail) = match cause {
        RemovalCause::Deleted => ("deleted", "a write deleted it"),
        RemovalCause::Expired => ("expired", "its time had come"),
    };
    api::WhyNotResponse {
        verdict: verdict.into(),
        detail: detail.into(),
        version: Some(version),
        removed_at_ms: Some(log_time_ms),
        ..api::WhyNotResponse::default()
    }
}
