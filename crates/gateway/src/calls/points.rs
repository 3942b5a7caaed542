//! Reading points: by id, page by page, and counting them.

use super::stopwatch::Stopwatch;
use crate::admit::Deadline;
use crate::api::{self, JsonText};
use crate::cursor::{Cursor, filter_hash};
use crate::fanout::{Reading, gather};
use crate::gateway::Gateway;
use crate::merge::{cut_page, next_page};
use crate::metrics::Call;
use crate::route::shard_of;
use crate::translate::{
    ReadPlan, check_ids, check_point_id, cursor_or_start, include, page_limit, parse_filter, shown_vectors,
};
use crate::weight::fitting;
use std::sync::Arc;
use vectron_base::filter::Filter;
use vectron_base::{Code, Fault};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{Include, PointRecord, SearchTrace, ShardCount, ShardGet, ShardScroll};

/// Points by id, each at its position in the request.
pub(super) struct Found {
    pub points: Vec<Option<PointRecord>>,
    meta: api::ReadMeta,
}

impl Gateway {
    /// One point, or `not_found`.
    pub async fn get(&self, request: api::GetRequest) -> Result<api::GetResponse, Fault> {
        self.measured(Call::Get, async {
            check_point_id("id", &request.id)?;
            let ids = std::slice::from_ref(&request.id);
            let what = include(request.include_payload, request.include_vector);
            let asked = request.consistency.as_ref();
            let found = self.points_of(Call::Get, &request.collection, ids, what, asked, request.timeout_ms);
            let Found { points, meta } = found.await?;
            let Some(point) = points.into_iter().flatten().next() else {
                let (id, collection) = (crate::translate::shown(&request.id), &request.collection);
                let detail = format!("point {id} does not exist in collection '{collection}'");
                return Err(Fault::new(Code::NotFound, detail));
            };
            Ok(api::GetResponse { point: shown(point), meta })
        })
        .await
    }

    /// Several points by id.
    pub async fn batch_get(&self, request: api::BatchGetRequest) -> Result<api::BatchGetResponse, Fault> {
        self.measured(Call::BatchGet, async {
            let ids = check_ids(request.ids, false, self.knobs())?;
            let what = include(request.include_payload, request.include_vector);
            let asked = request.consistency.as_ref();
            let found =
                self.points_of(Call::BatchGet, &request.collection, &ids, what, asked, request.timeout_ms);
            let Found { points, meta } = found.await?;
            fitting(points.iter().flatten(), self.knobs().max_answer_bytes, "ask for fewer ids")?;
            let mut answer = api::BatchGetResponse { points: Vec::new(), missing: Vec::new(), meta };
            for (id, point) in ids.into_iter().zip(points) {
                match point {
                    Some(point) => answer.points.push(shown(point)),
                    None => answer.missing.push(id),
                }
            }
            Ok(answer)
        })
        .await
    }

    async fn points_of(
        &self,
        call: Call,
        name: &str,
        ids: &[String],
        what: Include,
        asked: Option<&api::Consistency>,
        timeout_ms: Option<u64>,
    ) -> Result<Found, Fault> {
        let watch = Stopwatch::start(&self.parts.clock);
        let deadline = self.deadline(timeout_ms)?;
        let mut collection = self.collection_to_read(name, asked, &deadline).await?;
        loop {
            let plan = ReadPlan::of(asked, &collection)?;
            let reading = Reading { call, collection: &collection, deadline: &deadline, plan: &plan };
            match self.points_once(&reading, ids, what).await {
                Ok(mut found) => {
                    found.meta.took_ms = watch.total_ms();
                    return Ok(found);
                }
                Err(fault) => collection = self.again(name, &collection, fault, &deadline).await?,
            }
        }
    }

    /// The collection to make a failed read on again: another one that the name means now. Ends the read when
    /// there is none or no time is left.
    pub(super) async fn again(
        &self,
        name: &str,
        old: &Collection,
        fault: Fault,
        deadline: &Deadline,
    ) -> Result<Arc<Collection>, Fault> {
        if deadline.passed() {
            return Err(fault);
        }
        self.another_life(name, old, &fault, deadline).await?.ok_or(fault)
    }

    pub(super) async fn points_once(
        &self,
        reading: &Reading<'_>,
        ids: &[String],
        what: Include,
    ) -> Result<Found, Fault> {
        let collection = reading.collection;
        let mut positions: Vec<Vec<usize>> = collection.shards.iter().map(|_| Vec::new()).collect();
        for (position, id) in ids.iter().enumerate() {
            positions[shard_of(collection, id)?].push(position);
        }
        let asked: Vec<(&Shard, &Vec<usize>)> =
            collection.shards.iter().zip(&positions).filter(|(_, ids)| !ids.is_empty()).collect();
        let shards: Vec<&Shard> = asked.iter().map(|(shard, _)| *shard).collect();
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let of_shard = asked.iter().find(|(shard, _)| shard.shard == target.shard);
            let ids = of_shard.map_or_else(Vec::new, |(_, at)| at.iter().map(|i| ids[*i].clone()).collect());
            let read = reading.plan.for_shard(target.shard);
            Box::pin(
                async move { worker.get(ShardGet { target, read, ids, include: what, timeout_ms }).await },
            )
        });
        let gathered = gather(answered.await, false)?;
        let meta = gathered.meta(reading, Vec::new());
        let mut points: Vec<Option<PointRecord>> = ids.iter().map(|_| None).collect();
        for ((_, _, found), (_, positions)) in gathered.answers.into_iter().zip(&asked) {
            if found.len() != positions.len() {
                return Err(Fault::internal("a shard answered with another number of points than asked for"));
            }
            for (point, position) in found.into_iter().zip(positions.iter()) {
                points[*position] = point;
            }
        }
        Ok(Found { points, meta })
    }

    /// A page of points in id order.
    pub async fn scroll(&self, request: api::ScrollRequest) -> Result<api::ScrollResponse, Fault> {
        self.measured(Call::Scroll, async {
            if let Some(order_by) = &request.order_by {
                return self.scrolled_by(&request, order_by).await;
            }
            let watch = Stopwatch::start(&self.parts.clock);
            let deadline = self.deadline(request.timeout_ms)?;
            let limit = page_limit(request.limit, self.knobs())?;
            let filter = parse_filter(request.filter.as_ref(), self.knobs())?;
            let asked = request.consistency.as_ref();
            let mut collection = self.collection_to_read(&request.collection, asked, &deadline).await?;
            self.require_indexes(filter.as_deref(), &collection, &deadline).await?;
            loop {
                let plan = ReadPlan::of(asked, &collection)?;
                let reading =
                    Reading { call: Call::Scroll, collection: &collection, deadline: &deadline, plan: &plan };
                match self.page(&reading, &request, filter.as_ref(), limit).await {
                    Ok(mut page) => {
                        page.meta.took_ms = watch.total_ms();
                        return Ok(page);
                    }
                    Err(fault) => {
                        collection = self.again(&request.collection, &collection, fault, &deadline).await?
                    }
                }
            }
        })
        .await
    }

    async fn page(
        &self,
        reading: &Reading<'_>,
        request: &api::ScrollRequest,
        filter: Option<&Arc<Filter>>,
        limit: usize,
    ) -> Result<api::ScrollResponse, Fault> {
        let collection = reading.collection;
        let after = cursor_or_start(request.cursor.as_deref(), collection, filter.map(|f| &**f))?;
        let what = include(request.include_payload, request.include_vector);
        let shards: Vec<&Shard> = collection.shards.iter().collect();
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let read = reading.plan.for_shard(target.shard);
            let (filter, after) = (filter.cloned(), after.clone());
            let scroll = ShardScroll { target, read, filter, after, limit, include: what, timeout_ms };
            Box::pin(async move { worker.scroll(scroll).await })
        });
        let gathered = gather(answered.await, false)?;
        let meta =
            gathered.meta(reading, degraded(gathered.answers.iter().map(|(.., page)| &page.unindexed)));
        let pages = gathered.answers.into_iter().map(|(_, _, page)| page).collect();
        let Some((mut points, more)) = next_page(pages, limit) else {
            return Err(Fault::internal("a shard has more points but gave none"));
        };
        let more = cut_page(&mut points, self.knobs().max_answer_bytes) || more;
        let next = points.last().filter(|_| more).map(|last| Cursor {
            incarnation: collection.incarnation,
            filter_hash: filter_hash(filter.map(|f| &**f)),
            after: last.id.clone(),
        });
        Ok(api::ScrollResponse {
            points: points.into_iter().map(shown).collect(),
            next_cursor: next.map(|cursor| cursor.to_text()),
            meta,
        })
    }

    /// How many points there are, exactly.
    pub async fn count(&self, request: api::CountRequest) -> Result<api::CountResponse, Fault> {
        self.measured(Call::Count, async {
            if request.exact == Some(false) {
                return self.estimated(&request).await;
            }
            let watch = Stopwatch::start(&self.parts.clock);
            let deadline = self.deadline(request.timeout_ms)?;
            let filter = parse_filter(request.filter.as_ref(), self.knobs())?;
            let asked = request.consistency.as_ref();
            let mut collection = self.collection_to_read(&request.collection, asked, &deadline).await?;
            self.require_indexes(filter.as_deref(), &collection, &deadline).await?;
            loop {
                let plan = ReadPlan::of(asked, &collection)?;
                let reading =
                    Reading { call: Call::Count, collection: &collection, deadline: &deadline, plan: &plan };
                match self.count_once(&reading, filter.as_ref()).await {
                    Ok(mut counted) => {
                        counted.meta.took_ms = watch.total_ms();
                        return Ok(counted);
                    }
                    Err(fault) => {
                        collection = self.again(&request.collection, &collection, fault, &deadline).await?
                    }
                }
            }
        })
        .await
    }

    async fn count_once(
        &self,
        reading: &Reading<'_>,
        filter: Option<&Arc<Filter>>,
    ) -> Result<api::CountResponse, Fault> {
        let shards: Vec<&Shard> = reading.collection.shards.iter().collect();
        let answered = self.ask_all(reading, &shards, |worker, target, timeout_ms| {
            let read = reading.plan.for_shard(target.shard);
            let count = ShardCount { target, read, filter: filter.cloned(), timeout_ms };
            Box::pin(async move { worker.count(count).await })
        });
        let gathered = gather(answered.await, false)?;
        let meta = gathered.meta(reading, degraded(gathered.answers.iter().map(|(.., of)| &of.unindexed)));
        Ok(api::CountResponse {
            count: gathered.answers.iter().map(|(.., of)| of.count).sum(),
            estimate: None,
            meta,
        })
    }
}

/// Why an answer may have taken longer than it should: what each shard says of its filter's fields.
pub(super) fn degraded<'a>(unindexed: impl Iterator<Item = &'a Vec<String>>) -> Vec<String> {
    let mut fields = unindexed.flatten();
    fields.next().map(|_| "filter_without_index".into()).into_iter().collect()
}

/// The same of a search, and whether searches like it have found less than they should lately.
pub(super) fn degraded_search<'a>(traces: impl Iterator<Item = &'a SearchTrace> + Clone) -> Vec<String> {
    let filters = traces.clone().filter_map(|trace| trace.filter.as_ref());
    let mut reasons = degraded(filters.map(|filter| &filter.unindexed));
    if traces.into_iter().any(|trace| trace.recall_missed) {
        reasons.push("recall_below_target".into());
    }
    reasons
}

pub(super) fn shown(point: PointRecord) -> api::Point {
    api::Point {
        id: point.id,
        version: point.version,
        payload: point.payload.map(JsonText::unparsed),
        vector: point.vector.map(shown_vectors),
    }
}
