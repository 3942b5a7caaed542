//! Reads: the barrier that the level needs, then a look at the shard.

use crate::expiry;
use crate::faults::{late, of_propose};
use crate::host::Host;
use crate::hosted::{Hosted, gone};
use crate::shown::{stage, trace};
use crate::text;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::pool::{Lane, compute, within};
use vectron_base::{Code, Fault, Outcome};
use vectron_store as store;
use vectron_wire::worker::{
    Delivered, Hit, Include, PointRecord, ReadLevel, Selectivity, ShardCount, ShardCounted, ShardGet,
    ShardHits, ShardPage, ShardQuery, ShardRead, ShardScroll, ShardSearch, ShardTextStats, Stage, TextStats,
};

/// Age of a proof at which an eventual read asks for another one, for those after it.
const PROOF_AGE: Duration = Duration::from_millis(500);

/// How long that may take.
const PROOF_PATIENCE: Duration = Duration::from_secs(2);

/// How fresh the state is that a read may look at now.
pub struct Admitted {
    /// Everything acknowledged before this moment is applied.
    proof: Tick,
    strict: bool,
    /// How long the read waited for it.
    waited: Duration,
}

/// Waits until the shard may be read at `level`.
pub async fn admit(
    host: &Host,
    hosted: &Arc<Hosted>,
    level: ReadLevel,
    timeout_ms: u64,
) -> Result<Admitted, Fault> {
    let begun = host.clock().now();
    let limit = Duration::from_millis(timeout_ms);
    let proof = match level {
        ReadLevel::Linearizable => {
            if expiry::is_due(host, hosted, 0) {
                expiry::tick(host, hosted, limit).await;
            }
            barrier(host, hosted, limit).await?
        }
        ReadLevel::Eventual => {
            let proof = known_proof(hosted)?;
            if begun.since(proof) > PROOF_AGE {
                prove_soon(host, hosted);
            }
            proof
        }
        ReadLevel::Bounded(max_ms) => {
            let fresh = hosted.proof().filter(|at| begun.since(*at) <= Duration::from_millis(max_ms));
            match fresh {
                Some(at) => at,
                None => bounded_barrier(host, hosted, limit, max_ms).await?,
            }
        }
        ReadLevel::Session(index) => {
            let reached = host.consensus().applied(hosted.group(), index);
            within(host.pool(), limit, reached)
                .await
                .ok_or_else(|| late(hosted.id(), Outcome::NotApplied))?
                .map_err(|error| of_propose(host, hosted, &error))?;
            known_proof(hosted)?
        }
    };
    let waited = host.clock().now().since(begun);
    Ok(Admitted { proof, strict: level == ReadLevel::Linearizable, waited })
}

async fn barrier(host: &Host, hosted: &Hosted, limit: Duration) -> Result<Tick, Fault> {
    let begun = host.clock().now();
    within(host.pool(), limit, host.consensus().barrier(hosted.group()))
        .await
        .ok_or_else(|| late(hosted.id(), Outcome::NotApplied))?
        .map_err(|error| of_propose(host, hosted, &error).with_outcome(Outcome::NotApplied))?;
    hosted.prove(begun);
    host.metrics().barrier.observe(host.clock().now().since(begun).as_secs_f64());
    Ok(begun)
}

/// Asks for a proof that nobody waits for, so that eventual reads of a quiet replica do not say that they are older and
/// older. One at a time.
fn prove_soon(host: &Host, hosted: &Arc<Hosted>) {
    if hosted.proving.swap(true, Ordering::SeqCst) {
        return;
    }
    let (consensus, clock, pool, hosted) =
        (host.consensus().clone(), host.clock().clone(), host.pool().clone(), hosted.clone());
    host.pool().spawn(
        "shard proof",
        Box::pin(async move {
            let begun = clock.now();
            let probe = consensus.barrier(hosted.group());
            if within(&pool, PROOF_PATIENCE, probe).await.is_some_and(|probed| probed.is_ok()) {
                hosted.prove(begun);
            }
            hosted.proving.store(false, Ordering::SeqCst);
        }),
    );
}

/// The last proof. A replica that has proved nothing yet is still replaying its log: how old its state is
/// nobody can say, so it does not answer.
fn known_proof(hosted: &Hosted) -> Result<Tick, Fault> {
    let replaying = || {
        let detail = format!("shard {} is replaying its log", hosted.id());
        Fault::new(Code::Unavailable, detail).retry_after(100)
    };
    hosted.proof().ok_or_else(replaying)
}

/// A bound that cannot be met is refused with the lag that there is.
async fn bounded_barrier(host: &Host, hosted: &Hosted, limit: Duration, max_ms: u64) -> Result<Tick, Fault> {
    barrier(host, hosted, limit).await.map_err(|fault| {
        let lag = hosted.proof().map(|at| host.clock().now().since(at).as_millis());
        let lag = lag.map_or_else(|| "unknown".to_string(), |ms| format!("{ms} ms"));
        let detail = format!(
            "shard {} cannot prove to be within {max_ms} ms: its lag is {lag} ({})",
            hosted.id(),
            fault.detail
        );
        Fault::new(Code::StalenessUnmet, detail)
    })
}

impl Admitted {
    /// What a read that saw `applied_index` delivered.
    pub(crate) fn delivered(&self, host: &Host, applied_index: u64) -> Delivered {
        let age = host.clock().now().since(self.proof);
        let staleness_ms = if self.strict { 0 } else { u64::try_from(age.as_millis()).unwrap_or(u64::MAX) };
        Delivered { applied_index, staleness_ms }
    }
}

pub(crate) fn include(include: Include) -> store::Include {
    store::Include { payload: include.payload, vector: include.vector }
}

pub(crate) fn record(point: store::Point) -> PointRecord {
    PointRecord { id: point.id, version: point.version, vector: point.vector, payload: point.payload }
}

/// What a read that meets a damaged record says: damage is named, never served.
pub(crate) fn refused(hosted: &Hosted, refusal: &store::Refusal) -> Fault {
    match refusal {
        store::Refusal::Sealed => gone(),
        store::Refusal::Invalid { field: field @ ("text" | "k1" | "b"), reason } => {
            text::invalid(field, reason)
        }
        store::Refusal::Invalid { field, reason } => Fault::invalid(*field, reason.clone()),
        store::Refusal::Building { .. } => text::building(hosted, refusal),
        other => Fault::new(Code::Unavailable, format!("shard {}: {other}", hosted.id())),
    }
}

/// Looks at the shard in the read lane: a look may be long, or wait behind a long one, and must not hold up the
/// threads that move requests.
pub(crate) async fn in_lane<T: Send + 'static>(
    host: &Host,
    hosted: &Hosted,
    timeout_ms: u64,
    look: impl FnOnce(&store::Shard) -> T + Send + 'static,
) -> Result<T, Fault> {
    let shard = hosted.shard.clone();
    let job = compute(host.pool(), Lane::Read, move || look(&shard));
    within(host.pool(), Duration::from_millis(timeout_ms), job)
        .await
        .ok_or_else(|| late(hosted.id(), Outcome::NotApplied))?
        .ok_or_else(|| Fault::new(Code::Unavailable, "the worker is stopping"))
}

/// Points by id.
pub async fn get(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardGet,
) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let look = move |shard: &store::Shard| shard.get(&request.ids, include(request.include));
    let read = in_lane(host, hosted, request.timeout_ms, look).await?.map_err(|r| refused(hosted, &r))?;
    let value = read.value.into_iter().map(|point| point.map(record)).collect();
    Ok(ShardRead { value, delivered: admitted.delivered(host, read.applied_index) })
}

/// What a shard is searched for.
enum Search {
    Vectors(store::SearchQuery),
    Text(store::TextSearch),
}

impl Search {
    fn of(request: ShardSearch) -> Search {
        let (top_k, score_threshold) = (request.top_k, request.score_threshold);
        let filter = request.filter.as_deref().cloned();
        let include = include(request.include);
        let query = match request.query {
            ShardQuery::Dense { field, vector } => store::Query::Dense { field, vector },
            ShardQuery::Sparse { field, vector } => store::Query::Sparse { field, vector },
            ShardQuery::Multi { field, vectors, among } => store::Query::Multi { field, vectors, among },
            ShardQuery::Text { query, stats } => {
                return Search::Text(store::TextSearch {
                    query: text::query(&query),
                    stats: stats.map(|stats| text::stats(&stats)),
                    top_k,
                    filter,
                    score_threshold,
                    include,
                });
            }
        };
        Search::Vectors(store::SearchQuery {
            query,
            top_k,
            filter,
            score_threshold,
            exact: request.exact,
            ef: request.ef.map(|ef| ef as usize),
            recall_target: request.recall_target,
            include,
        })
    }

    fn run(
        &self,
        shard: &store::Shard,
        done: &mut dyn FnMut(&'static str),
    ) -> Result<store::SearchResult, store::Refusal> {
        match self {
            Search::Vectors(query) => shard.search_in_stages(query, done),
            Search::Text(search) => shard.text_search_in_stages(search, done),
        }
    }
}

/// A search by vector as the store has it.
pub fn query_of(request: ShardSearch) -> Result<store::SearchQuery, Fault> {
    match Search::of(request) {
        Search::Vectors(query) => Ok(query),
        Search::Text(_) => Err(Fault::invalid("text", "is not explained yet; ask about a search by vector")),
    }
}

/// What a look for the nearest points came to.
enum Look {
    /// There was no need for it at this index.
    Unchanged(u64),
    Searched(Box<Result<store::SearchResult, store::Refusal>>, Vec<Stage>, Duration),
}

/// The best points: nearest to a vector, or with the words of a text.
pub async fn search(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardSearch,
) -> Result<ShardRead<ShardHits>, Fault> {
    let ShardRead { value, delivered } = search_if_changed(host, hosted, request, None).await?;
    let value = value.ok_or_else(|| Fault::internal("a search that was not made"))?;
    Ok(ShardRead { value, delivered })
}

/// The nearest points, or nothing if the shard, once it is fresh enough, is at `known`. What a search may answer follows
/// from the state at the applied index and from the question: nothing expires by time, and settings do not change. The
/// graph and the codes are derived from the same state and differ from moment to moment within the promised recall.
pub async fn search_if_changed(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardSearch,
    known: Option<u64>,
) -> Result<ShardRead<Option<ShardHits>>, Fault> {
    hosted.searched(host.clock().now());
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let queued = host.clock().now();
    let clock = host.clock().clone();
    let timeout_ms = request.timeout_ms;
    let search = Search::of(request);
    // Recall is of searches of dense fields: all others are exact.
    let target = match &search {
        Search::Vectors(query) if matches!(query.query, store::Query::Dense { .. }) => {
            hosted.recall.searched(query, host.knobs().recall_share_permyriad);
            query.ef.is_none().then_some(query.recall_target)
        }
        _ => None,
    };
    let look = move |shard: &store::Shard| {
        let unchanged = known.filter(|known| shard.applied_index() == *known);
        if let Some(index) = unchanged {
            return Look::Unchanged(index);
        }
        let started = clock.now();
        let (mut at, mut stages) = (started, vec![stage("queue", started.since(queued))]);
        let result = search.run(shard, &mut |name| {
            let now = clock.now();
            stages.push(stage(name, now.since(at)));
            at = now;
        });
        Look::Searched(Box::new(result), stages, at.since(started))
    };
    let (result, mut stages, took) = match in_lane(host, hosted, timeout_ms, look).await? {
        Look::Searched(result, stages, took) => (*result, stages, took),
        Look::Unchanged(index) => {
            return Ok(ShardRead { value: None, delivered: admitted.delivered(host, index) });
        }
    };
    let result = result.map_err(|refusal| refused(hosted, &refusal))?;
    host.metrics().search.observe(took.as_secs_f64());
    host.load().searched(took);
    stages.insert(0, stage("barrier", admitted.waited));
    let mut trace = trace(result.explain, stages);
    trace.recall_missed = target.is_some_and(|target| {
        hosted.recall.misses(Selectivity::of(trace.filter_matched, trace.rows_live), target)
    });
    let hits = result.hits.into_iter().map(|hit| Hit {
        score: hit.score,
        point: PointRecord { id: hit.id, version: hit.version, vector: hit.vector, payload: hit.payload },
    });
    let value = Some(ShardHits { hits: hits.collect(), trace });
    Ok(ShardRead { value, delivered: admitted.delivered(host, result.applied_index) })
}

/// What scores of a text query rest on.
pub async fn text_stats(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardTextStats,
) -> Result<ShardRead<TextStats>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let query = text::query(&request.query);
    let look = move |shard: &store::Shard| shard.text_stats(&query);
    let read = in_lane(host, hosted, request.timeout_ms, look).await?.map_err(|r| refused(hosted, &r))?;
    let delivered = admitted.delivered(host, read.applied_index);
    Ok(ShardRead { value: text::shown_stats(read.value), delivered })
}

/// A page in id order.
pub async fn scroll(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardScroll,
) -> Result<ShardRead<ShardPage>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let look = move |shard: &store::Shard| {
        let (filter, after) = (request.filter.as_deref(), request.after.as_deref());
        shard.scroll(filter, after, request.limit, include(request.include))
    };
    let read = in_lane(host, hosted, request.timeout_ms, look).await?.map_err(|r| refused(hosted, &r))?;
    let points = read.value.points.into_iter().map(record).collect();
    let value = ShardPage { points, more: read.value.more, unindexed: read.filter_unindexed };
    Ok(ShardRead { value, delivered: admitted.delivered(host, read.applied_index) })
}

/// An exact count.
pub async fn count(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardCount,
) -> Result<ShardRead<ShardCounted>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let look = move |shard: &store::Shard| shard.count(request.filter.as_deref());
    let read = in_lane(host, hosted, request.timeout_ms, look).await?.map_err(|r| refused(hosted, &r))?;
    let value = ShardCounted { count: read.value, unindexed: read.filter_unindexed };
    Ok(ShardRead { value, delivered: admitted.delivered(host, read.applied_index) })
}
