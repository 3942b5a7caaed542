//! Changes of payloads, and batches of writes of several kinds.

use super::write::{
    PartResult, of_fault, partial_fault, refusal, refusal_fault, replayed, session_of, whole_fault,
};
use crate::api::{self, BatchResult, ItemFailure};
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::translate::{batch_plan, idempotency_key, payload_plan};
use std::collections::{BTreeMap, VecDeque};
use vectron_base::Fault;
use vectron_wire::placement::Collection;
use vectron_wire::worker::{ItemOutcome, WriteOperation};

/// The items of a write by what became of them.
pub(super) struct Sorted {
    pub applied: u64,
    pub missing: Vec<String>,
    pub failed: Vec<ItemFailure>,
}

/// Sorts items; `alone` when there is one: what became of it is then what became of the request.
pub(super) fn sort(list: &'static str, results: Vec<PartResult>, alone: bool) -> Result<Sorted, Fault> {
    if results.iter().all(|part| part.only_key || part.result.is_err())
        && let Some(fault) = whole_fault(&results)
    {
        return Err(fault);
    }
    let mut sorted = Sorted { applied: 0, missing: Vec::new(), failed: Vec::new() };
    for part in results {
        match part.result {
            Ok(written) => {
                for (id, item) in part.ids.into_iter().zip(written.items) {
                    match item {
                        ItemOutcome::Applied => sorted.applied += 1,
                        ItemOutcome::Missing => sorted.missing.push(id),
                        refused if alone => return Err(refusal_fault(list, &id, refused)),
                        refused => sorted.failed.push(refusal(id, refused)),
                    }
                }
            }
            Err(fault) => sorted.failed.extend(part.ids.into_iter().map(|id| of_fault(id, &fault))),
        }
    }
    Ok(sorted)
}

impl Gateway {
    /// Changes payloads by ids, by points under conditions, or by filter.
    pub async fn payload(&self, mut request: api::PayloadRequest) -> Result<api::PayloadResponse, Fault> {
        self.measured(Call::Payload, async {
            let deadline = self.deadline(request.timeout_ms)?;
            let key = idempotency_key(request.idempotency_key.take())?;
            let collection = self.collection(&request.collection, &deadline).await?;
            let alone = request.points.as_ref().is_some_and(|points| points.len() == 1)
                || request.ids.as_ref().is_some_and(|ids| ids.len() == 1);
            let parts = payload_plan(&mut request, &collection, self.knobs())?;
            let filter = parts.iter().find_map(|part| match &part.operation {
                WriteOperation::EditFilter(filter, _) => Some(filter),
                _ => None,
            });
            let by_filter = filter.is_some();
            self.require_indexes(filter, &collection, &deadline).await?;
            let results = self.write(Call::Payload, &collection, parts, key, &deadline).await;
            let answer = results.and_then(|results| match by_filter {
                true => edited(&collection, results),
                false => changed(&collection, results, alone),
            });
            match answer {
                Err(fault) => Err(self.gone(&collection, fault, &deadline).await),
                answer => answer,
            }
        })
        .await
    }

    /// Writes of several kinds, in order.
    pub async fn batch(&self, request: api::BatchRequest) -> Result<api::BatchResponse, Fault> {
        self.measured(Call::Batch, async {
            let deadline = self.deadline(request.timeout_ms)?;
            let key = idempotency_key(request.idempotency_key)?;
            let collection = self.collection(&request.collection, &deadline).await?;
            let (parts, ids) = batch_plan(request.operations, &collection, self.knobs())?;
            let results = self.write(Call::Batch, &collection, parts, key, &deadline).await;
            match results.and_then(|results| batched(&collection, results, ids)) {
                Err(fault) => Err(self.gone(&collection, fault, &deadline).await),
                answer => answer,
            }
        })
        .await
    }
}

fn changed(
    collection: &Collection,
    results: Vec<PartResult>,
    alone: bool,
) -> Result<api::PayloadResponse, Fault> {
    let (session, replayed) = (session_of(collection, &results), replayed(&results));
    let Sorted { applied, missing, failed } = sort("points", results, alone)?;
    Ok(api::PayloadResponse { updated: applied, failed, failed_unlisted: 0, missing, session, replayed })
}

fn edited(collection: &Collection, results: Vec<PartResult>) -> Result<api::PayloadResponse, Fault> {
    if let Some(fault) = partial_fault(&results, "changed") {
        return Err(fault);
    }
    let mut answer = api::PayloadResponse {
        updated: 0,
        failed: Vec::new(),
        failed_unlisted: 0,
        missing: Vec::new(),
        session: session_of(collection, &results),
        replayed: replayed(&results),
    };
    for edited in results.into_iter().filter_map(|part| part.result.ok()?.edited) {
        answer.updated += edited.updated;
        answer.failed_unlisted += edited.refused_more;
        answer.failed.extend(edited.refused.into_iter().map(|point| refusal(point.id, point.outcome)));
    }
    Ok(answer)
}

/// Results in the order of the request: the outcomes of one id come in the order of its operations.
fn batched(
    collection: &Collection,
    results: Vec<PartResult>,
    ids: Vec<String>,
) -> Result<api::BatchResponse, Fault> {
    if results.iter().all(|part| part.only_key || part.result.is_err())
        && let Some(fault) = whole_fault(&results)
    {
        return Err(fault);
    }
    let (session, replayed) = (session_of(collection, &results), replayed(&results));
    let mut by_id: BTreeMap<String, VecDeque<BatchResult>> = BTreeMap::new();
    for part in results {
        let mut items = part.result.as_ref().ok().map(|written| written.items.iter());
        for id in part.ids {
            let result = match (&part.result, items.as_mut().and_then(Iterator::next)) {
                (Ok(written), Some(item)) => shown(id.clone(), *item, written.version),
                (Err(fault), _) => failed(of_fault(id.clone(), fault)),
                (Ok(_), None) => failed(of_fault(id.clone(), &missing_answer())),
            };
            by_id.entry(id).or_default().push_back(result);
        }
    }
    let next = |id: String| {
        let result = by_id.get_mut(&id).and_then(VecDeque::pop_front);
        result.unwrap_or_else(|| failed(of_fault(id, &missing_answer())))
    };
    Ok(api::BatchResponse { results: ids.into_iter().map(next).collect(), session, replayed })
}

fn missing_answer() -> Fault {
    Fault::internal("the shard did not say what became of the item")
        .with_outcome(vectron_base::Outcome::Unknown)
}

fn shown(id: String, item: ItemOutcome, version: u64) -> BatchResult {
    let status = match item {
        ItemOutcome::Applied => "applied",
        ItemOutcome::Missing => "missing",
        refused => return failed(refusal(id, refused)),
    };
    let version = (item == ItemOutcome::Applied).then_some(version);
    BatchResult { id, status: status.into(), version, code: None, detail: None, current_version: None }
}

fn failed(failure: ItemFailure) -> BatchResult {
    let ItemFailure { id, code, detail, current_version } = failure;
    let (code, detail) = (Some(code), Some(detail));
    BatchResult { id, status: "failed".into(), version: None, code, detail, current_version }
}
