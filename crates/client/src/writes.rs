//! Changing payloads, and batches of writes of several kinds.

use crate::answers::{ItemFailure, Payload};
use crate::connection::{Client, Repeat, idempotency_key};
use crate::convert::failure;
use crate::error::Error;
use crate::points::PointInput;
use serde::Serialize;
use vectron_wire::proto::public as pb;

/// A point, and under which conditions it is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointCondition {
    /// Whose.
    pub id: String,
    /// Only this version.
    pub if_version: Option<u64>,
    /// Only if its payload passes this filter, as JSON text.
    pub if_filter: Option<String>,
}

impl PointCondition {
    /// The point without conditions.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), if_version: None, if_filter: None }
    }

    /// Only this version.
    pub fn if_version(mut self, version: u64) -> Self {
        self.if_version = Some(version);
        self
    }

    /// Only if its payload passes.
    pub fn if_filter(mut self, json: impl ToString) -> Self {
        self.if_filter = Some(json.to_string());
        self
    }

    pub(crate) fn message(self) -> pb::PointCondition {
        pb::PointCondition { id: self.id, if_version: self.if_version, if_filter: self.if_filter }
    }
}

/// What is done to a payload.
#[derive(Clone, Debug, PartialEq)]
pub enum PayloadChange {
    /// A JSON merge patch (RFC 7396).
    Merge(Payload),
    /// Another payload in its place.
    Replace(Payload),
    /// Removes what these dotted paths lead to.
    Unset(Vec<String>),
}

/// A change of payloads.
#[derive(Clone, Debug)]
pub struct PayloadRequest {
    message: pb::PayloadRequest,
}

impl PayloadRequest {
    fn new(collection: impl Into<String>, change: PayloadChange) -> Self {
        use pb::payload_request::Change;
        let change = match change {
            PayloadChange::Merge(patch) => Change::Merge(patch.as_str().to_string()),
            PayloadChange::Replace(payload) => Change::Replace(payload.as_str().to_string()),
            PayloadChange::Unset(paths) => Change::Unset(pb::Paths { paths }),
        };
        let (collection, change) = (collection.into(), Some(change));
        Self { message: pb::PayloadRequest { collection, change, ..Default::default() } }
    }

    /// Of these ids.
    pub fn ids(collection: impl Into<String>, change: PayloadChange, ids: Vec<String>) -> Self {
        let mut request = Self::new(collection, change);
        request.message.ids = ids;
        request
    }

    /// Of these points, each under its conditions.
    pub fn points(collection: impl Into<String>, change: PayloadChange, points: Vec<PointCondition>) -> Self {
        let mut request = Self::new(collection, change);
        request.message.points = points.into_iter().map(PointCondition::message).collect();
        request
    }

    /// Of everything that matches a filter.
    pub fn filter(collection: impl Into<String>, change: PayloadChange, json: impl ToString) -> Self {
        let mut request = Self::new(collection, change);
        request.message.filter = Some(json.to_string());
        request
    }

    /// A key of your own in place of a fresh one.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.message.idempotency_key = Some(key.into());
        self
    }
}

/// The answer to a change of payloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PayloadAnswer {
    /// Points changed.
    pub updated: u64,
    /// Points refused, each with its reason.
    pub failed: Vec<ItemFailure>,
    /// Points refused by a change by filter that are not listed.
    pub failed_unlisted: u64,
    /// Ids without a point.
    pub missing: Vec<String>,
    /// Session token.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}

/// Writes of several kinds, in order. An id may come more than once.
#[derive(Clone, Debug)]
pub struct WriteBatch {
    message: pb::BatchRequest,
}

impl WriteBatch {
    /// Nothing yet.
    pub fn new(collection: impl Into<String>) -> Self {
        Self { message: pb::BatchRequest { collection: collection.into(), ..Default::default() } }
    }

    fn push(mut self, operation: pb::batch_operation::Operation) -> Self {
        self.message.operations.push(pb::BatchOperation { operation: Some(operation) });
        self
    }

    /// Then writes a point.
    pub fn upsert(self, point: &PointInput) -> Self {
        self.push(pb::batch_operation::Operation::Upsert(point.message()))
    }

    /// Then deletes a point.
    pub fn delete(self, point: PointCondition) -> Self {
        self.push(pb::batch_operation::Operation::Delete(point.message()))
    }

    /// Then changes a payload.
    pub fn payload(self, point: PointCondition, change: PayloadChange) -> Self {
        use pb::payload_operation::Change;
        let change = Some(match change {
            PayloadChange::Merge(patch) => Change::Merge(patch.as_str().to_string()),
            PayloadChange::Replace(payload) => Change::Replace(payload.as_str().to_string()),
            PayloadChange::Unset(paths) => Change::Unset(pb::Paths { paths }),
        });
        let PointCondition { id, if_version, if_filter } = point;
        let operation = pb::PayloadOperation { id, if_version, if_filter, change };
        self.push(pb::batch_operation::Operation::Payload(operation))
    }

    /// A key of your own in place of a fresh one.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.message.idempotency_key = Some(key.into());
        self
    }
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchResult {
    /// Its point.
    pub id: String,
    /// `applied`, `missing` or `failed`.
    pub status: String,
    /// Of what was applied.
    pub version: Option<u64>,
    /// Of what failed.
    pub failure: Option<ItemFailure>,
}

/// The answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchAnswer {
    /// One for each operation, in order.
    pub results: Vec<BatchResult>,
    /// Session token.
    pub session: String,
    /// True when this is the first result of an earlier call with the same idempotency key.
    pub replayed: bool,
}

fn result(r: pb::BatchResult) -> BatchResult {
    let of = |code| ItemFailure {
        id: r.id.clone(),
        code,
        detail: r.detail.clone().unwrap_or_default(),
        current_version: r.current_version,
    };
    let failure = r.code.clone().map(of);
    BatchResult { id: r.id, status: r.status, version: r.version, failure }
}

impl Client {
    /// Changes payloads, under a fresh idempotency key unless the request has one.
    pub async fn payload(&self, request: PayloadRequest) -> Result<PayloadAnswer, Error> {
        let mut message = request.message;
        message.idempotency_key.get_or_insert_with(idempotency_key);
        let timeout = message.timeout_ms;
        let answer =
            self.call(message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.payload(request).await
            })
            .await?;
        Ok(PayloadAnswer {
            updated: answer.updated,
            failed: answer.failed.into_iter().map(failure).collect(),
            failed_unlisted: answer.failed_unlisted,
            missing: answer.missing,
            session: answer.session,
            replayed: answer.replayed,
        })
    }

    /// Writes of several kinds, under a fresh idempotency key unless the batch has one.
    pub async fn write(&self, batch: WriteBatch) -> Result<BatchAnswer, Error> {
        let mut message = batch.message;
        message.idempotency_key.get_or_insert_with(idempotency_key);
        let timeout = message.timeout_ms;
        let answer =
            self.call(message, timeout, Repeat::Safely, |mut stub, request| async move {
                stub.batch(request).await
            })
            .await?;
        let results = answer.results.into_iter().map(result).collect();
        Ok(BatchAnswer { results, session: answer.session, replayed: answer.replayed })
    }
}
