//! Calls about points: write, read, delete, page, count.

use crate::answers::{
    CountAnswer, DeleteAnswer, GetAnswer, Payload, Point, PointsAnswer, ScrollAnswer, UpsertAnswer,
};
use crate::connection::{Client, Repeat, Stub, idempotency_key};
use crate::consistency::Consistency;
use crate::convert;
use crate::error::Error;
use crate::vectors::FieldVector;
use crate::writes::PointCondition;
use tonic::Response;
use vectron_wire::proto::public as pb;

/// A point to write.
#[derive(Clone, Debug, PartialEq)]
pub struct PointInput {
    /// 1 to 512 bytes of UTF-8.
    pub id: String,
    /// As many numbers as the collection's dimension; empty where the point has no unnamed vector.
    pub vector: Vec<f32>,
    /// Values of fields with names.
    pub fields: Vec<(String, FieldVector)>,
    /// Any JSON object; default empty.
    pub payload: Option<Payload>,
    /// Write only if the point has this version; 0 = must not exist.
    pub if_version: Option<u64>,
    /// Write only if the point exists and its payload passes this filter.
    pub if_filter: Option<String>,
    /// The point ends by itself this long after it is written; 0 = never. Default: the collection's.
    pub ttl_ms: Option<u64>,
}

impl PointInput {
    /// A point without payload.
    pub fn new(id: impl Into<String>, vector: Vec<f32>) -> Self {
        let (fields, payload) = (Vec::new(), None);
        Self { id: id.into(), vector, fields, payload, if_version: None, if_filter: None, ttl_ms: None }
    }

    /// The point with a value in a field.
    pub fn field(mut self, name: impl Into<String>, value: FieldVector) -> Self {
        self.fields.push((name.into(), value));
        self
    }

    /// The point with a payload.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = Some(payload);
        self
    }

    /// The point under a condition: write only over this version; 0 = only if it does not exist.
    pub fn if_version(mut self, version: u64) -> Self {
        self.if_version = Some(version);
        self
    }

    /// The point under a condition: write only where there is one whose payload passes.
    pub fn if_filter(mut self, json: impl ToString) -> Self {
        self.if_filter = Some(json.to_string());
        self
    }

    /// The point for so long only.
    pub fn ttl_ms(mut self, ms: u64) -> Self {
        self.ttl_ms = Some(ms);
        self
    }

    /// Bytes that the point takes in a message, about.
    pub(crate) fn size(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + 4 * value.len() + 16).sum::<usize>();
        self.id.len()
            + fields
            + 4 * self.vector.len()
            + self.payload.as_ref().map_or(0, |p| p.as_str().len())
            + 32
    }

    pub(crate) fn message(&self) -> pb::PointInput {
        pb::PointInput {
            id: self.id.clone(),
            vector: None,
            payload: self.payload.as_ref().map(|p| p.as_str().to_string()),
            if_version: self.if_version,
            vector_f32: (self.fields.is_empty() || !self.vector.is_empty())
                .then(|| self.vector.iter().flat_map(|number| number.to_le_bytes()).collect()),
            vectors: self.fields.iter().map(|(name, value)| (name.clone(), value.message())).collect(),
            if_filter: self.if_filter.clone(),
            ttl_ms: self.ttl_ms,
            expires_at_ms: None,
        }
    }
}

/// A batch of points to write.
#[derive(Clone, Debug)]
pub struct UpsertRequest {
    /// Collection.
    pub collection: String,
    /// Points; no id twice.
    pub points: Vec<PointInput>,
    /// A retry with the same key applies once. Made up when absent.
    pub idempotency_key: Option<String>,
    /// The server's deadline.
    pub timeout_ms: Option<u64>,
}

/// Which points to delete.
#[derive(Clone, Debug)]
pub struct DeleteRequest {
    message: pb::DeleteRequest,
}

impl DeleteRequest {
    /// These ids.
    pub fn ids(collection: impl Into<String>, ids: Vec<String>) -> Self {
        Self { message: pb::DeleteRequest { collection: collection.into(), ids, ..Default::default() } }
    }

    /// Everything that matches a filter.
    pub fn filter(collection: impl Into<String>, json: impl ToString) -> Self {
        let (collection, filter) = (collection.into(), Some(json.to_string()));
        Self { message: pb::DeleteRequest { collection, filter, ..Default::default() } }
    }

    /// These points, each under its conditions.
    pub fn points(collection: impl Into<String>, points: Vec<PointCondition>) -> Self {
        let points = points.into_iter().map(PointCondition::message).collect();
        Self { message: pb::DeleteRequest { collection: collection.into(), points, ..Default::default() } }
    }

    /// A key of your own in place of a fresh one.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.message.idempotency_key = Some(key.into());
        self
    }
}

macro_rules! read_options {
    ($name:ident) => {
        impl $name {
            /// Whether points carry payloads (default true).
            pub fn include_payload(mut self, include: bool) -> Self {
                self.message.include_payload = Some(include);
                self
            }

            /// Whether points carry vectors (default false).
            pub fn include_vector(mut self, include: bool) -> Self {
                self.message.include_vector = Some(include);
                self
            }
        }
        freshness!($name);
    };
}

macro_rules! freshness {
    ($name:ident) => {
        impl $name {
            /// How fresh.
            pub fn consistency(mut self, level: Consistency) -> Self {
                self.message.consistency = Some(level.into());
                self
            }

            /// The server's deadline.
            pub fn timeout_ms(mut self, ms: u64) -> Self {
                self.message.timeout_ms = Some(ms);
                self
            }
        }
    };
}

/// One point to read.
#[derive(Clone, Debug)]
pub struct GetRequest {
    message: pb::GetRequest,
}

impl GetRequest {
    /// The point `id`.
    pub fn new(collection: impl Into<String>, id: impl Into<String>) -> Self {
        let (collection, id) = (collection.into(), id.into());
        Self { message: pb::GetRequest { collection, id, ..Default::default() } }
    }
}
read_options!(GetRequest);

/// Several points to read.
#[derive(Clone, Debug)]
pub struct GetManyRequest {
    message: pb::BatchGetRequest,
}

impl GetManyRequest {
    /// The points `ids`.
    pub fn new(collection: impl Into<String>, ids: Vec<String>) -> Self {
        Self { message: pb::BatchGetRequest { collection: collection.into(), ids, ..Default::default() } }
    }
}
read_options!(GetManyRequest);

/// A page of points, in id order.
#[derive(Clone, Debug)]
pub struct ScrollRequest {
    message: pb::ScrollRequest,
}

impl ScrollRequest {
    /// The first page.
    pub fn new(collection: impl Into<String>) -> Self {
        Self { message: pb::ScrollRequest { collection: collection.into(), ..Default::default() } }
    }

    /// Only points that match.
    pub fn filter(mut self, json: impl ToString) -> Self {
        self.message.filter = Some(json.to_string());
        self
    }

    /// Points per page (default 100).
    pub fn limit(mut self, points: u32) -> Self {
        self.message.limit = Some(points);
        self
    }

    /// In the order of a field, in place of that of ids: `asc` or `desc`.
    pub fn order_by(mut self, field: impl Into<String>, direction: &str) -> Self {
        let direction = Some(direction.to_string());
        self.message.order_by = Some(pb::OrderBy { field: field.into(), direction });
        self
    }

    /// The page after the one that gave this cursor.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.message.cursor = Some(cursor.into());
        self
    }
}
read_options!(ScrollRequest);

/// A count.
#[derive(Clone, Debug)]
pub struct CountRequest {
    message: pb::CountRequest,
}

impl CountRequest {
    /// All points.
    pub fn new(collection: impl Into<String>) -> Self {
        Self { message: pb::CountRequest { collection: collection.into(), ..Default::default() } }
    }

    /// Only points that match.
    pub fn filter(mut self, json: impl ToString) -> Self {
        self.message.filter = Some(json.to_string());
        self
    }

    /// Whether every point is counted (default), or payload indexes say about how many there are.
    pub fn exact(mut self, exact: bool) -> Self {
        self.message.exact = Some(exact);
        self
    }
}
freshness!(CountRequest);

impl Client {
    /// Inserts or replaces points under a fresh idempotency key.
    pub async fn upsert(&self, collection: &str, points: Vec<PointInput>) -> Result<UpsertAnswer, Error> {
        self.upsert_with(&UpsertRequest {
            collection: collection.into(),
            points,
            idempotency_key: None,
            timeout_ms: None,
        })
        .await
    }

    /// Inserts or replaces points. When some shards have too much to do, the same batch is sent again under
    /// the same key until every point is decided or the retry policy ends; points that could still be tried
    /// then stand in the answer ([`UpsertAnswer::unfinished`]).
    pub async fn upsert_with(&self, upsert: &UpsertRequest) -> Result<UpsertAnswer, Error> {
        let message = pb::UpsertRequest {
            collection: upsert.collection.clone(),
            points: upsert.points.iter().map(PointInput::message).collect(),
            idempotency_key: Some(upsert.idempotency_key.clone().unwrap_or_else(idempotency_key)),
            timeout_ms: upsert.timeout_ms,
        };
        let send = |mut stub: Stub, request| async move {
            stub.upsert(request).await.map(|answer| Response::new(convert::upserted(answer.into_inner())))
        };
        self.call_until(message, upsert.timeout_ms, Repeat::Safely, &UpsertAnswer::unfinished, send).await
    }

    /// One point.
    pub async fn get(&self, get: GetRequest) -> Result<GetAnswer, Error> {
        let timeout = get.message.timeout_ms;
        let answer =
            self.call(get.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.get(request).await
            })
            .await?;
        convert::got(answer)
    }

    /// Several points, and which were not there.
    pub async fn get_many(&self, get: GetManyRequest) -> Result<PointsAnswer, Error> {
        let timeout = get.message.timeout_ms;
        let answer = self
            .call(get.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.batch_get(request).await
            })
            .await?;
        let points = convert::points(answer.points)?;
        Ok(PointsAnswer { points, missing: answer.missing, meta: convert::meta(answer.meta) })
    }

    /// Deletes points, under a fresh idempotency key unless the request has one.
    pub async fn delete(&self, delete: DeleteRequest) -> Result<DeleteAnswer, Error> {
        let mut message = delete.message;
        message.idempotency_key.get_or_insert_with(idempotency_key);
        let timeout = message.timeout_ms;
        let answer =
            self.call(message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.delete(request).await
            })
            .await?;
        Ok(convert::deleted(answer))
    }

    /// One page.
    pub async fn scroll(&self, scroll: ScrollRequest) -> Result<ScrollAnswer, Error> {
        let timeout = scroll.message.timeout_ms;
        let answer = self
            .call(scroll.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.scroll(request).await
            })
            .await?;
        let points: Vec<Point> = convert::points(answer.points)?;
        Ok(ScrollAnswer { points, next_cursor: answer.next_cursor, meta: convert::meta(answer.meta) })
    }

    /// How many points.
    pub async fn count(&self, count: CountRequest) -> Result<CountAnswer, Error> {
        let timeout = count.message.timeout_ms;
        let answer = self
            .call(count.message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.count(request).await
            })
            .await?;
        let estimate = answer.estimate.map(|of| (of.low, of.high));
        Ok(CountAnswer { count: answer.count, estimate, meta: convert::meta(answer.meta) })
    }
}
