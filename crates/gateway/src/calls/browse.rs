//! Looking over a collection: facets, samples, how alike points are, points by a field, estimates.

use super::points::{degraded, shown};
use super::stopwatch::Stopwatch;
use crate::api::{self, JsonText};
use crate::cursor::{Cursor, filter_hash};
use crate::fanout::{Gathered, Reading, gather};
use crate::gateway::Gateway;
use crate::merge::cut_page;
use crate::metrics::Call;
use crate::rank::score;
use crate::translate::{
    ReadPlan, between_one_and, check_field, dense_of, include, leading_field, page_limit, parse_filter,
};
use crate::weight::fitting;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::filter::{FieldValue, Filter};
use vectron_base::{Code, Fault};
use vectron_wire::browse::{Browse, Browsed, FieldOrder, OrderPlace, OrderedPoint, SampledPoint};
use vectron_wire::placement::Shard;
use vectron_wire::worker::{Include, PointRecord, ShardBrowse, ShardBrowsed};
use xxhash_rust::xxh3::xxh3_64;

/// What every such call asks for.
struct Look<'a> {
    call: Call,
    collection: &'a str,
    filter: Option<&'a JsonText>,
    consistency: Option<&'a api::Consistency>,
    timeout_ms: Option<u64>,
}

/// A facet whose field no payload index answered for.
const FACET_WITHOUT_INDEX: &str = "facet_without_index";

fn of_another_kind() -> Fault {
    Fault::internal("a shard gave an answer of another kind than asked for")
}

impl Gateway {
    /// Asks every shard; `make` makes the answer of what they found.
    async fn looked<T>(
        &self,
        look: Look<'_>,
        what: impl Fn(usize) -> Browse + Sync,
        make: impl Fn(&Reading<'_>, Gathered<Browsed>, api::ReadMeta) -> Result<T, Fault>,
        done: impl Fn(&mut T, f64),
    ) -> Result<T, Fault> {
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(look.timeout_ms)?;
        let filter = parse_filter(look.filter, self.knobs())?;
        let mut collection = self.collection_to_read(look.collection, look.consistency, &deadline).await?;
        self.require_indexes(filter.as_deref(), &collection, &deadline).await?;
        loop {
            let plan = ReadPlan::of(look.consistency, &collection)?;
            let reading =
                Reading { call: look.call, collection: &collection, deadline: &deadline, plan: &plan };
            let asked = what(collection.shards.len());
            let answered = self.browsed(&reading, filter.as_ref(), &asked).await;
            match answered.and_then(|(found, meta)| make(&reading, found, meta)) {
                Ok(mut answer) => {
                    done(&mut answer, watch.total_ms());
                    return Ok(answer);
                }
                Err(fault) => collection = self.again(look.collection, &collection, fault, &deadline).await?,
            }
        }
    }

    /// What every shard found.
    async fn browsed(
        &self,
        reading: &Reading<'_>,
        filter: Option<&Arc<Filter>>,
        what: &Browse,
    ) -> Result<(Gathered<Browsed>, api::ReadMeta), Fault> {
        let shards: Vec<&Shard> = reading.collection.shards.iter().collect();
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let read = reading.plan.for_shard(target.shard);
            let browse =
                ShardBrowse { target, read, filter: filter.cloned(), what: what.clone(), timeout_ms };
            Box::pin(async move { worker.browse(browse).await })
        });
        let gathered: Gathered<ShardBrowsed> = gather(answered.await, false)?;
        let meta = gathered.meta(reading, degraded(gathered.answers.iter().map(|(.., of)| &of.unindexed)));
        let answers = gathered.answers.into_iter().map(|(shard, delivered, of)| (shard, delivered, of.found));
        Ok((Gathered { answers: answers.collect(), failed: gathered.failed }, meta))
    }

    /// The values of a field with exact counts.
    pub async fn facet(&self, request: api::FacetRequest) -> Result<api::FacetResponse, Fault> {
        self.measured(Call::Facet, async {
            check_field(&request.field)?;
            let most = self.knobs().max_facet_values;
            let limit = between_one_and("limit", request.limit.unwrap_or(10.min(most)), most)?;
            let (limit, most) = (crate::knobs::size(limit), crate::knobs::size(most));
            let look = Look {
                call: Call::Facet,
                collection: &request.collection,
                filter: request.filter.as_ref(),
                consistency: request.consistency.as_ref(),
                timeout_ms: request.timeout_ms,
            };
            // A value that is rare in one shard may be common in another: of several, all are needed.
            let of = |shards| if shards == 1 { limit } else { most };
            let what = |shards| Browse::Facet { field: request.field.clone(), limit: of(shards) };
            let make = |reading: &Reading<'_>, gathered: Gathered<Browsed>, meta| {
                faceted(gathered, limit, reading.collection.shards.len() > 1, meta)
            };
            self.looked(look, what, make, |answer, ms| answer.meta.took_ms = ms).await
        })
        .await
    }

    /// Points by chance.
    pub async fn sample(&self, request: api::SampleRequest) -> Result<api::SampleResponse, Fault> {
        self.measured(Call::Sample, async {
            let most = self.knobs().max_page;
            let limit = between_one_and("limit", request.limit.unwrap_or(10.min(most)), most)?;
            let what = include(request.include_payload, request.include_vector);
            let (points, seed, meta) =
                self.sampled(Call::Sample, &request, crate::knobs::size(limit), what).await?;
            fitting(points.iter(), self.knobs().max_answer_bytes, "ask for a smaller limit")?;
            Ok(api::SampleResponse { points: points.into_iter().map(shown).collect(), seed, meta })
        })
        .await
    }

    /// How alike the points of a sample are.
    pub async fn matrix(&self, request: api::MatrixRequest) -> Result<api::MatrixResponse, Fault> {
        self.measured(Call::Matrix, async {
            let most = self.knobs().max_matrix;
            let limit = between_one_and("limit", request.limit.unwrap_or(10.min(most)), most)?;
            let sample = api::SampleRequest {
                collection: request.collection,
                filter: request.filter,
                seed: request.seed,
                consistency: request.consistency,
                timeout_ms: request.timeout_ms,
                ..api::SampleRequest::default()
            };
            let what = Include { payload: false, vector: true };
            let limit = crate::knobs::size(limit);
            let (points, seed, meta) = self.sampled(Call::Matrix, &sample, limit, what).await?;
            let deadline = self.deadline(sample.timeout_ms)?;
            let collection = self.collection(&sample.collection, &deadline).await?;
            let (field, distance) = leading_field(&collection.spec);
            let vectors: Vec<&[f32]> = points.iter().map(|p| dense_of(p.vector.as_ref(), field)).collect();
            let row = |a: &&[f32]| vectors.iter().map(|b| score(distance, a, b)).collect();
            let scores = vectors.iter().map(row).collect();
            Ok(api::MatrixResponse { scores, ids: points.into_iter().map(|p| p.id).collect(), seed, meta })
        })
        .await
    }

    async fn sampled(
        &self,
        call: Call,
        request: &api::SampleRequest,
        limit: usize,
        what: Include,
    ) -> Result<(Vec<PointRecord>, u64, api::ReadMeta), Fault> {
        // What JSON readers that know only doubles hand back unchanged.
        const SEED_BITS: u32 = 53;
        let seed = request.seed.unwrap_or_else(|| self.parts.random.next_u64() >> (u64::BITS - SEED_BITS));
        let look = Look {
            call,
            collection: &request.collection,
            filter: request.filter.as_ref(),
            consistency: request.consistency.as_ref(),
            timeout_ms: request.timeout_ms,
        };
        let browse = |_| Browse::Sample { seed, limit, include: what };
        let make = |_: &Reading<'_>, gathered: Gathered<Browsed>, meta| {
            let mut all: Vec<SampledPoint> = Vec::new();
            for (.., found) in gathered.answers {
                let Browsed::Sample(points) = found else { return Err(of_another_kind()) };
                all.extend(points);
            }
            // An id comes from two shards while a range moves; the later version counts.
            all.sort_by(|a, b| a.point.id.cmp(&b.point.id).then(b.point.version.cmp(&a.point.version)));
            all.dedup_by(|later, first| later.point.id == first.point.id);
            all.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| a.point.id.cmp(&b.point.id)));
            all.truncate(limit);
            Ok((all.into_iter().map(|sampled| sampled.point).collect(), seed, meta))
        };
        let done = |answer: &mut (Vec<PointRecord>, u64, api::ReadMeta), ms| answer.2.took_ms = ms;
        self.looked(look, browse, make, done).await
    }

    /// About how many points there are.
    pub(super) async fn estimated(&self, request: &api::CountRequest) -> Result<api::CountResponse, Fault> {
        let look = Look {
            call: Call::Count,
            collection: &request.collection,
            filter: request.filter.as_ref(),
            consistency: request.consistency.as_ref(),
            timeout_ms: request.timeout_ms,
        };
        let make = |_: &Reading<'_>, gathered: Gathered<Browsed>, meta| {
            let (mut count, mut estimate) = (0, api::CountEstimate { low: 0, high: 0 });
            for (.., found) in &gathered.answers {
                let Browsed::Estimate { low, high, expected } = found else { return Err(of_another_kind()) };
                (count, estimate.low, estimate.high) =
                    (count + expected, estimate.low + low, estimate.high + high);
            }
            Ok(api::CountResponse { count, estimate: Some(estimate), meta })
        };
        self.looked(look, |_| Browse::Estimate, make, |answer, ms| answer.meta.took_ms = ms).await
    }

    /// A page of points in the order of a field.
    pub(super) async fn scrolled_by(
        &self,
        request: &api::ScrollRequest,
        order_by: &api::OrderBy,
    ) -> Result<api::ScrollResponse, Fault> {
        let order = field_order(order_by)?;
        let limit = page_limit(request.limit, self.knobs())?;
        let what = include(request.include_payload, request.include_vector);
        let filter = parse_filter(request.filter.as_ref(), self.knobs())?;
        let hash = order_hash(filter.as_deref(), &order);
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(request.timeout_ms)?;
        let mut collection = self.collection(&request.collection, &deadline).await?;
        self.require_indexes(filter.as_deref(), &collection, &deadline).await?;
        loop {
            let plan = ReadPlan::of(request.consistency.as_ref(), &collection)?;
            let reading =
                Reading { call: Call::Scroll, collection: &collection, deadline: &deadline, plan: &plan };
            let cursor = request.cursor.as_deref();
            let after = cursor.map(|text| resume(text, &reading, hash)).transpose()?;
            let browse = Browse::Ordered { order: order.clone(), after, limit, include: what };
            match self.browsed(&reading, filter.as_ref(), &browse).await {
                Ok((gathered, mut meta)) => {
                    let (mut points, mut more) = in_order(gathered, &order, limit)?;
                    let mut records: Vec<PointRecord> = points.iter().map(|of| of.point.clone()).collect();
                    more |= cut_page(&mut records, self.knobs().max_answer_bytes);
                    points.truncate(records.len());
                    let next = points.last().filter(|_| more).map(|last| Cursor {
                        incarnation: collection.incarnation,
                        filter_hash: hash,
                        after: place_text(last),
                    });
                    meta.took_ms = watch.total_ms();
                    let points = records.into_iter().map(shown).collect();
                    return Ok(api::ScrollResponse { points, next_cursor: next.map(|c| c.to_text()), meta });
                }
                Err(fault) => {
                    collection = self.again(&request.collection, &collection, fault, &deadline).await?
                }
            }
        }
    }
}

/// Counts of all shards, put together. What a shard did not say of a value is nothing, so that the sums are exact.
fn faceted(
    gathered: Gathered<Browsed>,
    limit: usize,
    several: bool,
    mut meta: api::ReadMeta,
) -> Result<api::FacetResponse, Fault> {
    let mut counts: BTreeMap<FieldValue, u64> = BTreeMap::new();
    let (mut more, mut bare) = (false, false);
    for (shard, _, found) in gathered.answers {
        let Browsed::Facet { values, more: others, indexed } = found else { return Err(of_another_kind()) };
        if others && several {
            let reason = format!(
                "has more than {} different values in shard {shard}, too many to count exactly over several shards; \
                 narrow the filter, or raise gateway.max_facet_values",
                values.len()
            );
            return Err(Fault::on_field(Code::TooLarge, "field", reason));
        }
        more |= others;
        bare |= !indexed;
        for of in values {
            *counts.entry(of.value).or_default() += of.count;
        }
    }
    if bare {
        meta.degraded.push(FACET_WITHOUT_INDEX.into());
    }
    let mut counts: Vec<(FieldValue, u64)> = counts.into_iter().collect();
    // By value already.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    more |= counts.len() > limit;
    counts.truncate(limit);
    let value = |(value, count): (FieldValue, u64)| api::FacetValue {
        value: JsonText::unparsed(value.to_json()),
        count,
    };
    Ok(api::FacetResponse { values: counts.into_iter().map(value).collect(), more, meta })
}

fn field_order(asked: &api::OrderBy) -> Result<FieldOrder, Fault> {
    check_field(&asked.field).map_err(|fault| crate::translate::under("order_by", fault))?;
    let descending = match asked.direction.as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            let reason = format!("must be asc or desc, got {}", crate::translate::shown(other));
            return Err(Fault::invalid("order_by.direction", reason));
        }
    };
    Ok(FieldOrder { field: asked.field.clone(), descending })
}

/// A number that differs for different filters and orders.
fn order_hash(filter: Option<&Filter>, order: &FieldOrder) -> u64 {
    let text = format!("{}\n{}\n{}", filter_hash(filter), order.descending, order.field);
    xxh3_64(text.as_bytes())
}

/// A point's place as a cursor keeps it: its value's JSON text, then its id.
fn place_text(point: &OrderedPoint) -> String {
    let value = point.value.as_ref().map_or_else(String::new, FieldValue::to_json);
    format!("{}:{value}{}", value.len(), point.point.id)
}

fn place_of(text: &str) -> Option<OrderPlace> {
    let (length, rest) = text.split_once(':')?;
    let (value, id) = rest.split_at_checked(length.parse().ok()?)?;
    let value = if value.is_empty() { None } else { Some(FieldValue::parse(value)?) };
    Some(OrderPlace { value, id: id.into() })
}

fn resume(text: &str, reading: &Reading<'_>, hash: u64) -> Result<OrderPlace, Fault> {
    let after = Cursor::resume(text, reading.collection.incarnation, hash)?;
    place_of(&after).ok_or_else(|| Fault::invalid("cursor", "is not a cursor of this order"))
}

/// The pages of all shards as one, and whether more follow.
fn in_order(
    gathered: Gathered<Browsed>,
    order: &FieldOrder,
    limit: usize,
) -> Result<(Vec<OrderedPoint>, bool), Fault> {
    let place = |of: &OrderedPoint| OrderPlace { value: of.value.clone(), id: of.point.id.clone() };
    let (mut all, mut more) = (Vec::new(), false);
    for (.., found) in gathered.answers {
        let Browsed::Ordered { points, more: others } = found else { return Err(of_another_kind()) };
        more |= others;
        all.extend(points);
    }
    // An id comes from two shards while a range moves; the later version counts.
    all.sort_by(|a, b| a.point.id.cmp(&b.point.id).then(b.point.version.cmp(&a.point.version)));
    all.dedup_by(|later, first| later.point.id == first.point.id);
    let mut placed: Vec<(OrderPlace, OrderedPoint)> = all.into_iter().map(|of| (place(&of), of)).collect();
    placed.sort_by(|(a, _), (b, _)| order.compare(a, b));
    // Every shard gave as many as are wanted, if it has them: nothing is missing among the first so many.
    more |= placed.len() > limit;
    placed.truncate(limit);
    Ok((placed.into_iter().map(|(_, of)| of).collect(), more))
}
