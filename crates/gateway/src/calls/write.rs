//! Upserts and deletes: validated whole, split by shard, written at the same time.

use super::batch::sort;
use crate::admit::Deadline;
use crate::api::{self, ItemFailure};
use crate::ask::{Effect, ShardCall};
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::shard_of;
use crate::session::Session;
use crate::translate::{
    ItemAt, ShardPart, body_hash, delete_plan, idempotency_key, needs_batch, on_item, regrouped,
    upsert_batch, upsert_parts,
};
use futures::future::join_all;
use std::sync::Arc;
use vectron_base::ids::ShardId;
use vectron_base::{Code, Fault, Outcome};
use vectron_wire::placement::{Collection, Shard};
use vectron_wire::worker::{IdempotencyKey, ItemOutcome, ShardWrite, ShardWritten, WriteOperation};

/// What became of one shard's part.
pub(super) struct PartResult {
    pub shard: ShardId,
    pub ids: Vec<String>,
    /// It had nothing to write and only left the idempotency key.
    pub only_key: bool,
    pub result: Result<ShardWritten, Fault>,
}

impl Gateway {
    /// Inserts or replaces points.
    pub async fn upsert(&self, request: api::UpsertRequest) -> Result<api::UpsertResponse, Fault> {
        self.measured(Call::Upsert, async {
            let deadline = self.deadline(request.timeout_ms)?;
            let key = idempotency_key(request.idempotency_key)?;
            let collection = self.collection(&request.collection, &deadline).await?;
            let alone = request.points.len() == 1;
            let parts = match needs_batch(&request.points, &collection.spec) {
                true => upsert_batch(request.points, &collection, self.knobs())?,
                false => upsert_parts(request.points, &collection, self.knobs())?,
            };
            let results = self.write(Call::Upsert, &collection, parts, key, &deadline).await;
            match results.and_then(|results| upserted(&collection, results, alone)) {
                Err(fault) => Err(self.gone(&request.collection, &collection, fault, &deadline).await),
                answer => answer,
            }
        })
        .await
    }

    /// Deletes points by ids or by filter. What is not there counts 0.
    pub async fn delete(&self, mut request: api::DeleteRequest) -> Result<api::DeleteResponse, Fault> {
        self.measured(Call::Delete, async {
            let deadline = self.deadline(request.timeout_ms)?;
            let key = idempotency_key(request.idempotency_key.take())?;
            let collection = self.collection(&request.collection, &deadline).await?;
            let by_condition = request.points.as_ref().map(Vec::len);
            let parts = delete_plan(&mut request, &collection, self.knobs())?;
            let filter = parts.iter().find_map(|part| match &part.operation {
                WriteOperation::DeleteFilter(filter) => Some(filter),
                _ => None,
            });
            self.require_indexes(filter, &collection, &deadline).await?;
            let results = self.write(Call::Delete, &collection, parts, key, &deadline).await;
            let answer = results.and_then(|results| match by_condition {
                Some(points) => deleted_if(&collection, results, points == 1),
                None => deleted(&collection, results),
            });
            match answer {
                Err(fault) => Err(self.gone(&request.collection, &collection, fault, &deadline).await),
                answer => answer,
            }
        })
        .await
    }

    /// A shard that is gone means, to a caller, that the collection is, or that the name means another one now and
    /// the write can be sent again.
    pub(super) async fn gone(
        &self,
        name: &str,
        collection: &Collection,
        fault: Fault,
        deadline: &Deadline,
    ) -> Fault {
        const PAUSE_MS: u64 = 10;
        match self.another_life(name, collection, &fault, deadline).await {
            Ok(None) => fault,
            Err(gone) => gone,
            Ok(Some(now)) if now.incarnation == collection.incarnation => fault.retry_after(PAUSE_MS),
            Ok(Some(_)) => {
                let what = match *name == collection.spec.name {
                    true => "was just deleted and created again",
                    false => "is an alias of another collection now",
                };
                let detail = format!("collection '{name}' {what}; send the write again");
                Fault::new(Code::Unavailable, detail).retry_after(PAUSE_MS)
            }
        }
    }

    pub(super) async fn write(
        &self,
        call: Call,
        collection: &Collection,
        parts: Vec<ShardPart>,
        key: Option<String>,
        deadline: &Deadline,
    ) -> Result<Vec<PartResult>, Fault> {
        let Some(key) = key else {
            return Ok(self.write_parts(call, collection, parts, None, deadline).await);
        };
        self.write_keyed(call, collection, parts, key, deadline).await
    }

    /// A write with an idempotency key, one shard first. Each shard remembers the keys that it saw, so a key
    /// that comes back with another body, and with it for other shards, would be news to those. So every key
    /// has one home, the shard that would own it as an id, and every write with the key goes there first: with
    /// its own part of the write, or with an empty one that only leaves the key. Only when the home has
    /// accepted or repeated it the others are asked, and a refusal there is one of the whole before any of it
    /// is applied. In a collection of one shard the home's part is the whole write.
    async fn write_keyed(
        &self,
        call: Call,
        collection: &Collection,
        mut parts: Vec<ShardPart>,
        key: String,
        deadline: &Deadline,
    ) -> Result<Vec<PartResult>, Fault> {
        let shard = shard_of(collection, &key)?;
        let idempotency = IdempotencyKey { key, body_hash: body_hash(&parts) };
        let first = match parts.iter().position(|part| part.shard == shard) {
            Some(at) => parts.remove(at),
            // Deletes pass where upserts are refused for want of space, and so must their keys.
            None if parts.iter().all(ShardPart::frees) && call != Call::Upsert => {
                ShardPart { shard, ids: Vec::new(), operation: WriteOperation::DeleteIds(Vec::new()) }
            }
            None => ShardPart { shard, ids: Vec::new(), operation: WriteOperation::Upsert(Vec::new()) },
        };
        let mut results = self.write_parts(call, collection, vec![first], Some(&idempotency), deadline).await;
        if let Some(fault) = results.iter().find_map(|home| home.result.as_ref().err()) {
            return Err(fault.clone());
        }
        results.extend(self.write_parts(call, collection, parts, Some(&idempotency), deadline).await);
        match reused(&results) {
            // A home may forget a key a little before another shard does, or not know it after a split.
            Some(fault) => Err(fault),
            None => Ok(results),
        }
    }

    async fn write_parts(
        &self,
        call: Call,
        collection: &Collection,
        parts: Vec<ShardPart>,
        idempotency: Option<&IdempotencyKey>,
        deadline: &Deadline,
    ) -> Vec<PartResult> {
        self.metrics().asked(call, parts.len());
        let written =
            parts.into_iter().map(|part| self.write_part(call, collection, part, idempotency, deadline));
        join_all(written).await.into_iter().flatten().collect()
    }

    /// Writes one shard's part; several results when its range has been split meanwhile.
    async fn write_part(
        &self,
        call: Call,
        collection: &Collection,
        part: ShardPart,
        idempotency: Option<&IdempotencyKey>,
        deadline: &Deadline,
    ) -> Vec<PartResult> {
        let only_key = part.is_empty();
        let ShardPart { shard, ids, operation } = part;
        let shard = &collection.shards[shard];
        let effect = Effect::Write { keyed: idempotency.is_some() };
        let asked = ShardCall { collection, shard, deadline, effect };
        // A second attempt needs the operation again. Where it is likely to be needed, or cheap to keep, a
        // copy is kept; a large batch for a single replica goes back to its caller instead.
        let spare = (shard.replicas.len() > 1 || is_small(&operation)).then(|| operation.clone());
        let mut operation = Some(operation);
        let result = self.ask(asked, |worker, target, timeout_ms| {
            let operation = operation.take().or_else(|| spare.clone())?;
            let write = ShardWrite { target, idempotency: idempotency.cloned(), operation, timeout_ms };
            Some(Box::pin(async move { worker.write(write).await }))
        });
        let result = result.await;
        if let (Err(fault), Some(operation)) = (&result, spare)
            && fault.outcome == Outcome::NotApplied
            && let Some(now) = self.split_meanwhile(collection, shard)
            && let Ok(parts) = regrouped(operation, shard, &now)
            && !deadline.passed()
        {
            // Nothing of it was done: the worker refuses a stale range before it looks at the write.
            return Box::pin(self.write_parts(call, &now, parts, idempotency, deadline)).await;
        }
        vec![PartResult { shard: shard.shard, ids, only_key, result }]
    }

    /// The collection as it is now, if the shard has another range in it.
    fn split_meanwhile(&self, collection: &Collection, shard: &Shard) -> Option<Arc<Collection>> {
        let view = self.catalog.view();
        let now = view.get(&collection.spec.name).filter(|now| now.incarnation == collection.incarnation)?;
        let same =
            now.shards.iter().any(|s| (s.shard, s.first, s.last) == (shard.shard, shard.first, shard.last));
        (!same).then(|| now.clone())
    }
}

/// Whether keeping a copy costs next to nothing beside making it durable.
fn is_small(operation: &WriteOperation) -> bool {
    const SMALL_BYTES: usize = 1 << 20;
    const SMALL_ITEMS: usize = 256;
    match operation {
        WriteOperation::Upsert(points) => {
            points.iter().map(|point| point.vector.bytes() + point.payload.len()).sum::<usize>()
                <= SMALL_BYTES
        }
        WriteOperation::Batch(batch) => batch.items.len() <= SMALL_ITEMS,
        WriteOperation::DeleteIds(_) | WriteOperation::DeleteFilter(_) | WriteOperation::EditFilter(..) => {
            true
        }
    }
}

/// The fault of a write that no shard did: unknown if that is so for any shard.
pub(super) fn whole_fault(results: &[PartResult]) -> Option<Fault> {
    let faults = || results.iter().filter_map(|part| part.result.as_ref().err());
    let fault = faults().find(|fault| fault.outcome == Outcome::Unknown).or_else(|| faults().next())?;
    Some(fault.clone())
}

/// The fault of a key that some shard knows with another body.
fn reused(results: &[PartResult]) -> Option<Fault> {
    let faults = || results.iter().filter_map(|part| part.result.as_ref().err());
    let fault = faults().find(|fault| fault.code == Code::IdempotencyKeyReused)?.clone();
    let untouched = results.iter().all(|part| match &part.result {
        Ok(_) => part.only_key,
        Err(fault) => fault.outcome == Outcome::NotApplied,
    });
    // Where other parts are written, neither of the certain outcomes is true of the whole.
    Some(if untouched { fault } else { fault.with_outcome(Outcome::Unknown) })
}

pub(super) fn session_of(collection: &Collection, results: &[PartResult]) -> String {
    let mut session = Session::new(collection.incarnation);
    for part in results {
        if let Ok(written) = &part.result {
            session.saw(part.shard, written.version);
        }
    }
    session.to_token()
}

/// Whether all of a write was done by an earlier call. A part that only leaves the key says nothing of it: after a split
/// the key may have a new home, which did not know it.
pub(super) fn replayed(results: &[PartResult]) -> bool {
    let repeated = |part: &PartResult| part.result.as_ref().is_ok_and(|written| written.replayed);
    let mut parts = results.iter().filter(|part| !part.only_key).peekable();
    match parts.peek() {
        Some(_) => parts.all(repeated),
        None => !results.is_empty() && results.iter().all(repeated),
    }
}

/// `alone` when the request has one point: what became of it is then what became of the request.
fn upserted(
    collection: &Collection,
    results: Vec<PartResult>,
    alone: bool,
) -> Result<api::UpsertResponse, Fault> {
    if results.iter().all(|part| part.only_key || part.result.is_err())
        && let Some(fault) = whole_fault(&results)
    {
        return Err(fault);
    }
    let mut answer = api::UpsertResponse {
        upserted: 0,
        failed: Vec::new(),
        session: session_of(collection, &results),
        replayed: replayed(&results),
    };
    for part in results {
        match part.result {
            Ok(written) => {
                for (id, item) in part.ids.into_iter().zip(&written.items) {
                    match item {
                        ItemOutcome::Applied | ItemOutcome::Missing => answer.upserted += 1,
                        refused if alone => return Err(refusal_fault("points", &id, *refused)),
                        refused => answer.failed.push(refusal(id, *refused)),
                    }
                }
            }
            Err(fault) => answer.failed.extend(part.ids.into_iter().map(|id| of_fault(id, &fault))),
        }
    }
    Ok(answer)
}

/// Why an item was refused: the condition, the code, and the version found.
fn why(item: ItemOutcome) -> (&'static str, Code, String, Option<u64>) {
    let held = |condition: &str, found: u64| match found {
        0 => format!("{condition} did not hold: the point does not exist"),
        found => format!("{condition} did not hold: the point has version {found}"),
    };
    match item {
        ItemOutcome::VersionMismatch(found) => {
            (".if_version", Code::VersionMismatch, held("if_version", found), Some(found))
        }
        ItemOutcome::FilterMismatch(found) => {
            (".if_filter", Code::VersionMismatch, held("if_filter", found), Some(found))
        }
        ItemOutcome::PayloadTooLarge(bytes) => {
            let detail = format!("the payload would have {bytes} bytes, over the limit");
            ("", Code::TooLarge, detail, None)
        }
        ItemOutcome::Applied | ItemOutcome::Missing => ("", Code::Internal, "was not refused".into(), None),
    }
}

/// The fault of a request whose only item was refused.
pub(super) fn refusal_fault(list: &'static str, id: &str, item: ItemOutcome) -> Fault {
    let (member, code, detail, current_version) = why(item);
    let at = ItemAt { list, index: 0, id };
    Fault { current_version, ..on_item(code, &at, member, detail) }
}

/// An item that was refused, in a list of those.
pub(super) fn refusal(id: String, item: ItemOutcome) -> ItemFailure {
    let (_, code, detail, current_version) = why(item);
    ItemFailure { id, code: code.as_str().into(), detail, current_version }
}

/// An item whose shard did not do its part.
pub(super) fn of_fault(id: String, fault: &Fault) -> ItemFailure {
    let detail = match fault.outcome {
        Outcome::Unknown => format!("{} (the outcome is unknown: it may have been written)", fault.detail),
        _ => fault.detail.clone(),
    };
    ItemFailure { id, code: fault.code.as_str().into(), detail, current_version: fault.current_version }
}

/// The fault of a write by filter or by ids that not every shard did: of the whole, if none did.
pub(super) fn partial_fault(results: &[PartResult], did: &str) -> Option<Fault> {
    let fault = whole_fault(results)?;
    let asked = || results.iter().filter(|part| !part.only_key);
    let done = asked().filter(|part| part.result.is_ok()).count();
    if done == 0 {
        return Some(fault);
    }
    // Some points are changed and some are not: neither of the certain outcomes is true of the whole.
    let detail = format!(
        "{done} of {} shards {did} their part; the first fault of the others: {}",
        asked().count(),
        fault.detail
    );
    Some(Fault { detail, ..fault }.with_outcome(Outcome::Unknown))
}

fn deleted(collection: &Collection, results: Vec<PartResult>) -> Result<api::DeleteResponse, Fault> {
    if let Some(fault) = partial_fault(&results, "deleted") {
        return Err(fault);
    }
    let deleted = results.iter().filter_map(|part| part.result.as_ref().ok()).map(|w| w.deleted).sum();
    Ok(api::DeleteResponse {
        deleted,
        failed: Vec::new(),
        session: session_of(collection, &results),
        replayed: replayed(&results),
    })
}

/// Of a delete under conditions.
fn deleted_if(
    collection: &Collection,
    results: Vec<PartResult>,
    alone: bool,
) -> Result<api::DeleteResponse, Fault> {
    let (session, replayed) = (session_of(collection, &results), replayed(&results));
    let sorted = sort("points", results, alone)?;
    Ok(api::DeleteResponse { deleted: sorted.applied, failed: sorted.failed, session, replayed })
}
