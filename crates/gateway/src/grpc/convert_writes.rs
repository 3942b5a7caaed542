//! Messages of payload changes, batches and streams of upserts. Nothing is checked here.

use super::convert::{failure, ids, json, point_input, upserted};
use crate::api;
use vectron_base::Fault;
use vectron_wire::proto::public as pb;

pub fn condition(c: pb::PointCondition) -> api::PointCondition {
    api::PointCondition { id: api::PointId(c.id), if_version: c.if_version, if_filter: json(c.if_filter) }
}

pub fn payload(r: pb::PayloadRequest) -> api::PayloadRequest {
    use pb::payload_request::Change;
    let (mut merge, mut replace, mut unset) = (None, None, None);
    match r.change {
        Some(Change::Merge(text)) => merge = json(Some(text)),
        Some(Change::Replace(text)) => replace = json(Some(text)),
        Some(Change::Unset(paths)) => unset = Some(paths.paths),
        None => {}
    }
    // An empty list is not distinguishable from none; without points and filter it changes nothing.
    let by_ids = !r.ids.is_empty() || r.filter.is_none() && r.points.is_empty();
    api::PayloadRequest {
        collection: r.collection,
        merge,
        replace,
        unset,
        ids: by_ids.then(|| ids(r.ids)),
        points: (!r.points.is_empty()).then(|| r.points.into_iter().map(condition).collect()),
        filter: json(r.filter),
        idempotency_key: r.idempotency_key,
        timeout_ms: r.timeout_ms,
    }
}

pub fn payload_changed(a: api::PayloadResponse) -> pb::PayloadResponse {
    pb::PayloadResponse {
        updated: a.updated,
        failed: a.failed.into_iter().map(failure).collect(),
        failed_unlisted: a.failed_unlisted,
        missing: a.missing,
        session: a.session,
        replayed: a.replayed,
    }
}

fn payload_operation(p: pb::PayloadOperation) -> api::PayloadOperation {
    use pb::payload_operation::Change;
    let (mut merge, mut replace, mut unset) = (None, None, None);
    match p.change {
        Some(Change::Merge(text)) => merge = json(Some(text)),
        Some(Change::Replace(text)) => replace = json(Some(text)),
        Some(Change::Unset(paths)) => unset = Some(paths.paths),
        None => {}
    }
    let (id, if_filter) = (api::PointId(p.id), json(p.if_filter));
    api::PayloadOperation { id, if_version: p.if_version, if_filter, merge, replace, unset }
}

pub fn batch(r: pb::BatchRequest) -> api::BatchRequest {
    use pb::batch_operation::Operation;
    let operation = |o: pb::BatchOperation| {
        let mut operation = api::BatchOperation { upsert: None, delete: None, payload: None };
        match o.operation {
            Some(Operation::Upsert(point)) => operation.upsert = Some(point_input(point)),
            Some(Operation::Delete(point)) => operation.delete = Some(condition(point)),
            Some(Operation::Payload(payload)) => operation.payload = Some(payload_operation(payload)),
            None => {}
        }
        operation
    };
    api::BatchRequest {
        collection: r.collection,
        operations: r.operations.into_iter().map(operation).collect(),
        idempotency_key: r.idempotency_key,
        timeout_ms: r.timeout_ms,
    }
}

pub fn batched(a: api::BatchResponse) -> pb::BatchResponse {
    let result = |r: api::BatchResult| pb::BatchResult {
        id: r.id,
        status: r.status,
        version: r.version,
        code: r.code,
        detail: r.detail,
        current_version: r.current_version,
    };
    pb::BatchResponse {
        results: a.results.into_iter().map(result).collect(),
        session: a.session,
        replayed: a.replayed,
    }
}

/// The answer to one message of a stream.
pub fn stream_answer(index: u64, answer: Result<api::UpsertResponse, Fault>) -> pb::UpsertStreamAnswer {
    use pb::upsert_stream_answer::Answer;
    let answer = match answer {
        Ok(answer) => Answer::Response(upserted(answer)),
        Err(fault) => Answer::Problem(pb::StreamProblem {
            code: fault.code.as_str().into(),
            outcome: fault.outcome.as_str().into(),
            retryable: fault.retryable(),
            retry_after_ms: fault.retry_after_ms,
            errors: fault
                .errors
                .into_iter()
                .map(|error| pb::FieldProblem { field: error.field, reason: error.reason })
                .collect(),
            detail: fault.detail,
        }),
    };
    pb::UpsertStreamAnswer { index, answer: Some(answer) }
}
