//! Requests to a worker.

use super::query::query;
use super::vectors::{decoded, encoded};
use super::{each, filter, marked, read_filter, required, size, within};
use crate::proto::worker as pb;
use crate::proto::worker::read_level::Level;
use crate::proto::worker::write_request::Operation;
use crate::worker::{
    IdempotencyKey, Include, ReadLevel, ShardCount, ShardGet, ShardScroll, ShardSearch, ShardWrite, Target,
    UpsertPoint, WriteOperation,
};
use vectron_base::Fault;
use vectron_base::ids::{Incarnation, ShardId};

impl From<Target> for pb::Target {
    fn from(target: Target) -> Self {
        Self { shard: target.shard.0, incarnation: target.incarnation.0, epoch: target.epoch }
    }
}

pub(super) fn target(message: Option<pb::Target>) -> Result<Target, Fault> {
    let pb::Target { shard, incarnation, epoch } = required("target", message)?;
    Ok(Target { shard: ShardId(shard), incarnation: Incarnation(incarnation), epoch })
}

impl From<ReadLevel> for pb::ReadLevel {
    fn from(read: ReadLevel) -> Self {
        let level = match read {
            ReadLevel::Linearizable => Level::Linearizable(true),
            ReadLevel::Eventual => Level::Eventual(true),
            ReadLevel::Bounded(ms) => Level::BoundedMs(ms),
            ReadLevel::Session(index) => Level::SessionIndex(index),
        };
        Self { level: Some(level) }
    }
}

pub(super) fn read_level(message: Option<pb::ReadLevel>) -> Result<ReadLevel, Fault> {
    match required("read.level", message.and_then(|read| read.level))? {
        Level::Linearizable(mark) => marked("read.linearizable", mark, ReadLevel::Linearizable),
        Level::Eventual(mark) => marked("read.eventual", mark, ReadLevel::Eventual),
        Level::BoundedMs(ms) => Ok(ReadLevel::Bounded(ms)),
        Level::SessionIndex(index) => Ok(ReadLevel::Session(index)),
    }
}

impl From<UpsertPoint> for pb::UpsertItem {
    fn from(point: UpsertPoint) -> Self {
        let (vector_f32, fields) = encoded(&point.vector);
        Self { id: point.id, vector_f32, fields, payload: point.payload, if_version: point.if_version }
    }
}

impl TryFrom<pb::UpsertItem> for UpsertPoint {
    type Error = Fault;

    fn try_from(message: pb::UpsertItem) -> Result<Self, Fault> {
        Ok(Self {
            id: message.id,
            vector: required("vector_f32", decoded(message.vector_f32.as_deref(), message.fields)?)?,
            payload: message.payload,
            if_version: message.if_version,
        })
    }
}

impl From<ShardWrite> for pb::WriteRequest {
    fn from(write: ShardWrite) -> Self {
        let (idempotency_key, body_hash) = write.idempotency.map(|key| (key.key, key.body_hash)).unzip();
        let operation = match write.operation {
            WriteOperation::Upsert(points) => {
                Operation::Upsert(pb::Upsert { points: points.into_iter().map(Into::into).collect() })
            }
            WriteOperation::DeleteIds(ids) => Operation::DeleteIds(pb::Ids { ids }),
            WriteOperation::DeleteFilter(filter) => Operation::DeleteFilter(filter.to_text()),
            WriteOperation::Batch(batch) => Operation::Batch(batch.into()),
            WriteOperation::EditFilter(filter, edit) => {
                let (filter, edit) = (filter.to_text(), Some(edit.into()));
                Operation::EditFilter(pb::EditFilter { filter, edit })
            }
        };
        Self {
            target: Some(write.target.into()),
            idempotency_key,
            body_hash: body_hash.unwrap_or(0),
            operation: Some(operation),
            timeout_ms: write.timeout_ms,
        }
    }
}

impl TryFrom<pb::WriteRequest> for ShardWrite {
    type Error = Fault;

    fn try_from(message: pb::WriteRequest) -> Result<Self, Fault> {
        let body_hash = message.body_hash;
        if message.idempotency_key.is_none() && body_hash != 0 {
            return Err(Fault::invalid("idempotency_key", "is missing, but body_hash is given"));
        }
        let operation = match required("operation", message.operation)? {
            Operation::Upsert(upsert) => WriteOperation::Upsert(each("upsert.points", upsert.points)?),
            Operation::DeleteIds(ids) => WriteOperation::DeleteIds(ids.ids),
            Operation::DeleteFilter(text) => WriteOperation::DeleteFilter(filter("delete_filter", &text)?),
            Operation::Batch(batch) => {
                WriteOperation::Batch(batch.try_into().map_err(|fault| within("batch", fault))?)
            }
            Operation::EditFilter(pb::EditFilter { filter: text, edit }) => {
                let edit = required("edit_filter.edit", edit)?;
                let edit = edit.try_into().map_err(|fault| within("edit_filter.edit", fault))?;
                WriteOperation::EditFilter(filter("edit_filter.filter", &text)?, edit)
            }
        };
        Ok(Self {
            target: target(message.target)?,
            idempotency: message.idempotency_key.map(|key| IdempotencyKey { key, body_hash }),
            operation,
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<ShardGet> for pb::GetRequest {
    fn from(get: ShardGet) -> Self {
        Self {
            target: Some(get.target.into()),
            read: Some(get.read.into()),
            ids: get.ids,
            include_payload: get.include.payload,
            include_vector: get.include.vector,
            timeout_ms: get.timeout_ms,
        }
    }
}

impl TryFrom<pb::GetRequest> for ShardGet {
    type Error = Fault;

    fn try_from(message: pb::GetRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            ids: message.ids,
            include: Include { payload: message.include_payload, vector: message.include_vector },
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<ShardSearch> for pb::SearchRequest {
    fn from(search: ShardSearch) -> Self {
        Self {
            target: Some(search.target.into()),
            read: Some(search.read.into()),
            query: Some(search.query.into()),
            top_k: search.top_k as u64,
            filter: search.filter.map(|filter| filter.to_text()),
            score_threshold: search.score_threshold,
            exact: search.exact,
            ef: search.ef,
            recall_target: Some(search.recall_target),
            include_payload: search.include.payload,
            include_vector: search.include.vector,
            timeout_ms: search.timeout_ms,
            known_applied_index: None,
        }
    }
}

impl From<(ShardSearch, u64)> for pb::SearchRequest {
    fn from((search, known): (ShardSearch, u64)) -> Self {
        Self { known_applied_index: Some(known), ..search.into() }
    }
}

impl TryFrom<pb::SearchRequest> for (ShardSearch, Option<u64>) {
    type Error = Fault;

    fn try_from(message: pb::SearchRequest) -> Result<Self, Fault> {
        let known = message.known_applied_index;
        Ok((message.try_into()?, known))
    }
}

impl TryFrom<pb::SearchRequest> for ShardSearch {
    type Error = Fault;

    fn try_from(message: pb::SearchRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            query: query(message.query)?,
            top_k: size("top_k", message.top_k)?,
            filter: read_filter(message.filter)?,
            score_threshold: message.score_threshold,
            exact: message.exact,
            ef: message.ef,
            recall_target: required("recall_target", message.recall_target)?,
            include: Include { payload: message.include_payload, vector: message.include_vector },
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<ShardScroll> for pb::ScrollRequest {
    fn from(scroll: ShardScroll) -> Self {
        Self {
            target: Some(scroll.target.into()),
            read: Some(scroll.read.into()),
            filter: scroll.filter.map(|filter| filter.to_text()),
            after: scroll.after,
            limit: scroll.limit as u64,
            include_payload: scroll.include.payload,
            include_vector: scroll.include.vector,
            timeout_ms: scroll.timeout_ms,
        }
    }
}

impl TryFrom<pb::ScrollRequest> for ShardScroll {
    type Error = Fault;

    fn try_from(message: pb::ScrollRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            filter: read_filter(message.filter)?,
            after: message.after,
            limit: size("limit", message.limit)?,
            include: Include { payload: message.include_payload, vector: message.include_vector },
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<ShardCount> for pb::CountRequest {
    fn from(count: ShardCount) -> Self {
        Self {
            target: Some(count.target.into()),
            read: Some(count.read.into()),
            filter: count.filter.map(|filter| filter.to_text()),
            timeout_ms: count.timeout_ms,
        }
    }
}

impl TryFrom<pb::CountRequest> for ShardCount {
    type Error = Fault;

    fn try_from(message: pb::CountRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            filter: read_filter(message.filter)?,
            timeout_ms: message.timeout_ms,
        })
    }
}

impl From<Target> for pb::StatusRequest {
    fn from(target: Target) -> Self {
        Self { target: Some(target.into()) }
    }
}

impl TryFrom<pb::StatusRequest> for Target {
    type Error = Fault;

    fn try_from(message: pb::StatusRequest) -> Result<Self, Fault> {
        target(message.target)
    }
}
