//! Queries: several legs, each a search of the whole collection, fused here into one ranking.
//!
//! Payloads and vectors come with the legs' hits only where the ranking needs them. Else those of the results are read
//! afterwards, from states no older than the legs saw. Should a result have changed in between, all is done again
//! with payloads and vectors in the hits: what is shown is always of the version that was scored.

use super::points::degraded_search;
use super::stopwatch::Stopwatch;
use super::text::PARTIAL_STATS;
use crate::admit::Deadline;
use crate::api::{self, Example, JsonText, QueryLeg, QueryRequest, Recommend};
use crate::fanout::{Gathered, Reading};
use crate::gateway::Gateway;
use crate::merge::best_hits;
use crate::metrics::Call;
use crate::rank::{Candidate, best_first, diverse, fuse, grouped};
use crate::translate::{
    Leg, QueryPlan, ReadPlan, SearchPlan, Wanted, both, checked_dense, dense_field, dense_of, leading_field,
    led, legs, query_plan, search_plan, shown_vectors, under,
};
use crate::weight::{fitting, fitting_weight, of_result};
use futures::future::join_all;
use std::collections::BTreeMap;
use vectron_base::ids::ShardId;
use vectron_base::{Code, Fault};
use vectron_wire::placement::Collection;
use vectron_wire::worker::{Delivered, Hit, Include, ShardHits};

/// Why a query may have found fewer results than there are.
const PREFETCH_LIMIT: &str = "prefetch_limit";

/// A leg that every shard can be asked.
struct Prepared {
    plan: SearchPlan,
    /// Points that the leg is by, which are not to be found.
    left_out: Vec<String>,
    /// Candidates.
    limit: usize,
}

/// What a query is made of besides the collection.
struct Asked<'a> {
    request: &'a QueryRequest,
    plan: &'a QueryPlan,
    legs: &'a [Leg<'a>],
    deadline: &'a Deadline,
}

/// What all legs together say of themselves.
struct Sources {
    gathered: Gathered<()>,
    degraded: Vec<String>,
    /// A leg has more than its limit let through.
    cut: bool,
}

impl Gateway {
    /// One ranking out of several searches.
    pub async fn query(&self, request: QueryRequest) -> Result<api::QueryResponse, Fault> {
        self.measured(Call::Query, self.queried(request)).await
    }

    async fn queried(&self, request: QueryRequest) -> Result<api::QueryResponse, Fault> {
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(request.timeout_ms)?;
        let recommended = request.recommend.clone();
        let recommended =
            recommended.map(|recommend| QueryLeg { recommend: Some(recommend), ..QueryLeg::default() });
        let legs = legs(&request, recommended.as_ref(), self.knobs())?;
        let plan = query_plan(&request, legs.len(), self.knobs())?;
        let asked = Asked { request: &request, plan: &plan, legs: &legs, deadline: &deadline };
        let read = request.consistency.as_ref();
        let mut collection = self.collection_to_read(&request.collection, read, &deadline).await?;
        for leg in &legs {
            let (text, using) = (leg.asked.text.as_ref(), leg.asked.using.as_deref());
            collection = self.with_text_index(collection, text.is_some(), using, &deadline).await?;
        }
        self.require_indexes(plan.filter.as_deref(), &collection, &deadline).await?;
        // Whether hits carry what results show.
        let mut carried = false;
        loop {
            match self.query_once(&asked, &collection, carried).await {
                Ok(Some(mut answer)) => {
                    answer.meta.took_ms = watch.total_ms();
                    return Ok(answer);
                }
                Ok(None) => carried = true,
                Err(fault) => {
                    collection = self.again(&request.collection, &collection, fault, &deadline).await?
                }
            }
        }
    }

    /// The answer; `None` if a result changed between being ranked and being read.
    async fn query_once(
        &self,
        asked: &Asked<'_>,
        collection: &Collection,
        carried: bool,
    ) -> Result<Option<api::QueryResponse>, Fault> {
        let Asked { request, plan, deadline, .. } = *asked;
        let read = ReadPlan::of(request.consistency.as_ref(), collection)?;
        let reading = Reading { call: Call::Query, collection, deadline, plan: &read };
        let carry = Include {
            payload: plan.scoring.is_some() || plan.group_by.is_some() || (carried && plan.include.payload),
            vector: plan.mmr.is_some() || (carried && plan.include.vector),
        };
        let prepared = self.prepared(asked, &reading, carry).await?;
        let allow_partial = request.allow_partial.unwrap_or(false);
        let found = join_all(prepared.iter().map(|leg| self.hits(&reading, &leg.plan, allow_partial))).await;
        let (lists, sources) = apart(&prepared, found)?;
        let ranking = ranked(plan, lists, leading_field(&collection.spec).0);
        let mut answer = self.shown(&reading, plan, &sources, ranking)?;
        let missing = Include {
            payload: plan.include.payload && !carry.payload,
            vector: plan.include.vector && !carry.vector,
        };
        if !self.filled(&reading, &mut answer, missing).await? {
            return Ok(None);
        }
        let groups = answer.groups.iter_mut().flatten().flat_map(|group| &mut group.results);
        for result in answer.results.iter_mut().chain(groups) {
            result.payload = result.payload.take().filter(|_| plan.include.payload);
            result.vector = result.vector.take().filter(|_| plan.include.vector);
        }
        Ok(Some(answer))
    }

    /// The legs as searches.
    async fn prepared(
        &self,
        asked: &Asked<'_>,
        reading: &Reading<'_>,
        carry: Include,
    ) -> Result<Vec<Prepared>, Fault> {
        let mut prepared = Vec::with_capacity(asked.legs.len());
        for leg in asked.legs {
            let (vector, left_out) = match &leg.asked.recommend {
                Some(recommend) => {
                    let (vector, left_out) = self.examples(reading, leg, recommend).await?;
                    (Some(vector), left_out)
                }
                None => (None, Vec::new()),
            };
            // Room for those that will be left out.
            let mut search = leg.search(asked.request, leg.limit, vector);
            let planned = search_plan(&mut search, reading.collection, self.knobs());
            let mut plan = planned.map_err(|fault| leg.refused(fault))?;
            let checked =
                self.require_indexes(plan.filter.as_deref(), reading.collection, asked.deadline).await;
            checked.map_err(|fault| leg.refused(fault))?;
            plan.filter = both(plan.filter.take(), asked.plan.filter.as_ref());
            plan.top_k = leg.limit + left_out.len();
            plan.include = carry;
            prepared.push(Prepared { plan, left_out, limit: leg.limit });
        }
        Ok(prepared)
    }

    /// The vector that a recommendation stands for, and the points that it names.
    async fn examples(
        &self,
        reading: &Reading<'_>,
        leg: &Leg<'_>,
        recommend: &Recommend,
    ) -> Result<(Vec<f32>, Vec<String>), Fault> {
        let spec = &reading.collection.spec;
        let field = dense_field(spec, leg.asked.using.as_deref()).map_err(|fault| leg.refused(fault))?;
        let shape = (field.1, field.2);
        let lists = [("positive", &recommend.positive), ("negative", &recommend.negative)];
        let mut ids: Vec<String> = Vec::new();
        for example in lists.iter().flat_map(|(_, examples)| examples.iter()) {
            if let Example::Id(id) = example
                && !ids.contains(&id.0)
            {
                ids.push(id.0.clone());
            }
        }
        let include = Include { payload: false, vector: true };
        let found =
            if ids.is_empty() { Vec::new() } else { self.points_once(reading, &ids, include).await?.points };
        let known: BTreeMap<&str, &[f32]> = found
            .iter()
            .flatten()
            .map(|point| (point.id.as_str(), dense_of(point.vector.as_ref(), field.0)))
            .collect();
        let mut vectors = [Vec::new(), Vec::new()];
        for ((list, examples), vectors) in lists.iter().zip(&mut vectors) {
            for (at, example) in examples.iter().enumerate() {
                let path = format!("recommend.{list}[{at}]");
                vectors.push(match example {
                    Example::Id(id) => match known.get(id.0.as_str()) {
                        Some([]) => {
                            let fault = Fault::invalid(path, "names a point without a vector in the field");
                            return Err(leg.refused(fault));
                        }
                        Some(vector) => vector.to_vec(),
                        None => {
                            let fault =
                                Fault::on_field(Code::NotFound, path, "names a point that does not exist");
                            return Err(leg.refused(fault));
                        }
                    },
                    Example::Vector(numbers) => {
                        let prefix = format!("{path}.");
                        let subject = || path.clone();
                        let wanted = Wanted { path: &prefix, subject: &subject, spec };
                        let checked = checked_dense(numbers.clone(), shape, &wanted);
                        checked.map_err(|fault| leg.refused(fault))?
                    }
                });
            }
        }
        let [positive, negative] = &vectors;
        let vector = led(positive, negative, shape);
        let subject = || "the examples together".to_string();
        let wanted = Wanted { path: &"recommend.", subject: &subject, spec };
        let vector = checked_dense(vector, shape, &wanted).map_err(|fault| leg.refused(fault))?;
        Ok((vector, ids))
    }

    /// The answer, without what hits did not carry.
    fn shown(
        &self,
        reading: &Reading<'_>,
        plan: &QueryPlan,
        sources: &Sources,
        mut ranking: Vec<Candidate>,
    ) -> Result<api::QueryResponse, Fault> {
        let search_id = self.fresh_id();
        let (results, groups, short) = match &plan.group_by {
            None => {
                ranking.truncate(plan.top_k);
                let short = ranking.len() < plan.top_k;
                (ranking.into_iter().map(result).collect(), None, short)
            }
            Some((field, wanted, size)) => {
                let groups = grouped(&ranking, field, *wanted, *size);
                let short = groups.len() < *wanted || groups.iter().any(|group| group.members.len() < *size);
                let group = |group: crate::rank::Group| api::QueryGroup {
                    value: JsonText::unparsed(group.value.to_json()),
                    results: group.members.into_iter().map(result).collect(),
                };
                (Vec::new(), Some(groups.into_iter().map(group).collect()), short)
            }
        };
        let mut meta = sources.gathered.meta(reading, sources.degraded.clone());
        if short && sources.cut {
            meta.degraded.push(PREFETCH_LIMIT.into());
        }
        Ok(api::QueryResponse { search_id, results, groups, meta })
    }

    /// Reads what the results lack; whether all of them are still as they were ranked.
    async fn filled(
        &self,
        reading: &Reading<'_>,
        answer: &mut api::QueryResponse,
        missing: Include,
    ) -> Result<bool, Fault> {
        let groups = answer.groups.iter_mut().flatten().flat_map(|group| &mut group.results);
        let mut results: Vec<&mut api::QueryResult> = answer.results.iter_mut().chain(groups).collect();
        if results.is_empty() {
            return Ok(true);
        }
        let limit = self.knobs().max_answer_bytes;
        if !missing.payload && !missing.vector {
            fitting_weight(results.iter().map(|result| of_result(result)).sum(), limit, "ask for less")?;
            return Ok(true);
        }
        let ids: Vec<String> = results.iter().map(|result| result.id.clone()).collect();
        let plan = ReadPlan::seen(&answer.meta.session)?;
        let again = Reading { plan: &plan, ..*reading };
        let found = self.points_once(&again, &ids, missing).await?.points;
        fitting(found.iter().flatten(), limit, "ask for less")?;
        for (result, point) in results.iter_mut().zip(found) {
            match point {
                Some(point) if point.version == result.version => {
                    result.payload = result.payload.take().or(point.payload.map(JsonText::unparsed));
                    result.vector = result.vector.take().or(point.vector.map(shown_vectors));
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn result(candidate: Candidate) -> api::QueryResult {
    let Candidate { point, score, legs } = candidate;
    api::QueryResult {
        id: point.id,
        score: score + 0.0,
        version: point.version,
        payload: point.payload.map(JsonText::unparsed),
        vector: point.vector.map(shown_vectors),
        legs,
    }
}

/// Each leg's hits, and who gave them: a shard is in the answer if it answered for every leg.
fn apart(
    prepared: &[Prepared],
    found: Vec<Result<(Gathered<ShardHits>, bool), Fault>>,
) -> Result<(Vec<Vec<Hit>>, Sources), Fault> {
    let mut lists = Vec::with_capacity(found.len());
    let mut answers: BTreeMap<ShardId, Delivered> = BTreeMap::new();
    let mut failed: BTreeMap<u64, api::ShardFailure> = BTreeMap::new();
    let (mut traces, mut partial_stats, mut cut) = (Vec::new(), false, false);
    for (leg, found) in prepared.iter().zip(found) {
        let (gathered, partial) = found?;
        partial_stats |= partial;
        failed.extend(gathered.failed.into_iter().map(|failure| (failure.shard, failure)));
        let mut hits = Vec::with_capacity(gathered.answers.len());
        for (shard, delivered, of_shard) in gathered.answers {
            let seen = answers.entry(shard).or_insert(delivered);
            seen.applied_index = seen.applied_index.max(delivered.applied_index);
            seen.staleness_ms = seen.staleness_ms.max(delivered.staleness_ms);
            traces.push(of_shard.trace);
            hits.push(of_shard.hits);
        }
        let mut list = best_hits(hits, leg.plan.top_k);
        list.retain(|hit| !leg.left_out.contains(&hit.point.id));
        cut |= list.len() >= leg.limit;
        list.truncate(leg.limit);
        lists.push(list);
    }
    answers.retain(|shard, _| !failed.contains_key(&shard.0));
    let answers = answers.into_iter().map(|(shard, delivered)| (shard, delivered, ())).collect();
    let gathered = Gathered { answers, failed: failed.into_values().collect() };
    let mut degraded = degraded_search(traces.iter());
    degraded.extend(partial_stats.then(|| PARTIAL_STATS.to_string()));
    Ok((lists, Sources { gathered, degraded, cut }))
}

/// The whole ranking, which does not depend on how much of it is shown; only a diverse selection ends there.
/// `field` is the one whose vectors say how alike points are.
fn ranked(plan: &QueryPlan, lists: Vec<Vec<Hit>>, field: &str) -> Vec<Candidate> {
    let mut ranking = fuse(lists, &plan.fusion);
    if let Some(scoring) = &plan.scoring {
        for candidate in &mut ranking {
            candidate.score = scoring.of(candidate.score, candidate.point.payload.as_deref().unwrap_or("{}"));
        }
        ranking.sort_by(best_first);
    }
    if let Some(least) = plan.score_threshold {
        ranking.retain(|candidate| candidate.score >= least);
    }
    if let Some((diversity, candidates)) = plan.mmr {
        let rest = ranking.split_off(candidates.min(ranking.len()));
        ranking = diverse(ranking, diversity, plan.top_k, field);
        ranking.extend(rest);
    }
    ranking
}

impl Gateway {
    /// Several searches at once.
    pub async fn search_batch(
        &self,
        request: api::SearchBatchRequest,
    ) -> Result<api::SearchBatchResponse, Fault> {
        self.measured(Call::SearchBatch, async {
            let (count, most) = (request.searches.len(), self.knobs().max_searches);
            if count as u64 > most {
                let reason = format!("has {count} searches, the limit is {most}; send several smaller batches");
                return Err(Fault::on_field(Code::TooLarge, "searches", reason));
            }
            crate::translate::timeout_ms(request.timeout_ms, self.knobs())?;
            // So that a batch of none is refused for what is no collection, too.
            self.collection(&request.collection, &self.deadline(request.timeout_ms)?).await?;
            let searches = request.searches.into_iter().enumerate().map(|(at, mut search)| {
                search.collection = request.collection.clone();
                search.timeout_ms = search.timeout_ms.or(request.timeout_ms);
                async move {
                    self.searched(search).await.map_err(|fault| under(&format!("searches[{at}]"), fault))
                }
            });
            let answers = join_all(searches).await.into_iter().collect::<Result<Vec<_>, Fault>>()?;
            let total: u64 = answers.iter().map(crate::weight::Weighed::weight).sum();
            let limit = self.knobs().max_answer_bytes;
            if total > limit {
                let detail = format!(
                    "the answers would have about {total} bytes, the limit is {limit}; send fewer searches, or leave out \
                     payloads and vectors with include_payload and include_vector"
                );
                return Err(Fault::new(Code::TooLarge, detail));
            }
            Ok(api::SearchBatchResponse { answers })
        })
        .await
    }
}
