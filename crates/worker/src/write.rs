//! Writes: admit, encode, replicate, decode.

use crate::faults::{late, of_propose, other_range};
use crate::host::Host;
use crate::hosted::{Hosted, gone};
use crate::shape;
use std::time::Duration;
use vectron_base::filter::Filter;
use vectron_base::pool::within;
use vectron_base::{Code, Fault, Outcome as Effect};
use vectron_store as store;
use vectron_wire::worker::{
    BatchItem, Edited, Expiry, ItemOutcome, ItemWrite, PayloadChange, PayloadEdit, RefusedPoint, ShardWrite,
    ShardWritten, UpsertPoint, WriteBatch, WriteOperation,
};

/// How long an upsert is held back at most, and
const PACE_MOST: Duration = Duration::from_secs(2);
/// after which time it looks again.
const PACE: Duration = Duration::from_millis(10);

/// Carries one write out; durable on a majority and applied when it returns.
pub async fn write(host: &Host, hosted: &Hosted, request: ShardWrite) -> Result<ShardWritten, Fault> {
    let frees = match &request.operation {
        WriteOperation::Upsert(points) => {
            if !points.is_empty() {
                pace(host, hosted, request.timeout_ms).await;
                if hosted.sealed() {
                    return Err(gone());
                }
            }
            admit(host, hosted, points)?;
            false
        }
        WriteOperation::DeleteIds(_) | WriteOperation::DeleteFilter(_) => true,
        WriteOperation::Batch(batch) => admit_batch(host, hosted, batch, request.timeout_ms).await?,
        WriteOperation::EditFilter(filter, edit) => {
            admit_edit(host, hosted, filter, edit)?;
            false
        }
    };
    let begun = host.clock().now();
    let range = range(hosted, &request)?;
    let command = store::Command {
        log_time_ms: host.clock().wall_ms(),
        idempotency: request.idempotency.map(|i| store::Idempotency { key: i.key, body_hash: i.body_hash }),
        range,
        operation: operation(request.operation),
    };
    let consensus = host.consensus();
    let (group, bytes) = (hosted.group(), command.encode());
    let proposed = async {
        if frees {
            consensus.propose_reserved(group, bytes).await
        } else {
            consensus.propose(group, bytes).await
        }
    };
    let applied = within(host.pool(), Duration::from_millis(request.timeout_ms), proposed)
        .await
        .ok_or_else(|| late(hosted.id(), Effect::Unknown))
        .and_then(|proposed| proposed.map_err(|error| of_propose(host, hosted, &error)));
    // What was under way when the collection was deleted is gone with it, whatever became of it.
    let applied = applied.map_err(|fault| if hosted.sealed() { gone() } else { fault })?;
    hosted.prove(begun);
    hosted.work.notify_one();
    host.load().wrote();
    host.metrics().write.observe(host.clock().now().since(begun).as_secs_f64());
    answer(hosted, &applied.reply)
}

/// The range that a write by filter is about: the one that the caller meant, so that after a cut it does not pass for
/// done although the upper part was not looked at. Other writes name their ids.
fn range(hosted: &Hosted, request: &ShardWrite) -> Result<Option<store::HashRange>, Fault> {
    if !matches!(request.operation, WriteOperation::DeleteFilter(_) | WriteOperation::EditFilter(..)) {
        return Ok(None);
    }
    let range = hosted.shard.range();
    hosted.fence(&request.target)?;
    Ok(Some(range))
}

/// Holds an upsert back while searches would pay for it: every one of them scans all points that wait for the graph.
/// Where nobody searches, or the graph does not catch up, it goes on: [`admit`] draws the line.
async fn pace(host: &Host, hosted: &Hosted, timeout_ms: u64) {
    let Ok(_place) = hosted.paced.try_acquire() else { return };
    let begun = host.clock().now();
    let patience = PACE_MOST.min(Duration::from_millis(timeout_ms / 4));
    loop {
        let now = host.clock().now();
        let waiting = hosted.shard.pending() > host.knobs().tail_points_paced;
        if !waiting || !hosted.searched_lately(now) || now.since(begun) >= patience {
            return;
        }
        host.pool().sleep(PACE).await;
    }
}

/// Admits what of a batch grows the shard; whether none of it does.
async fn admit_batch(
    host: &Host,
    hosted: &Hosted,
    batch: &WriteBatch,
    timeout_ms: u64,
) -> Result<bool, Fault> {
    let deletes = |item: &BatchItem| matches!(item.write, ItemWrite::Delete { .. });
    if !batch.items.is_empty() && batch.items.iter().all(deletes) {
        return Ok(true);
    }
    if !batch.items.is_empty() {
        pace(host, hosted, timeout_ms).await;
        if hosted.sealed() {
            return Err(gone());
        }
    }
    let grown: usize = batch
        .items
        .iter()
        .map(|item| match &item.write {
            ItemWrite::Upsert(point, _) => point.payload.len() + point.id.len(),
            ItemWrite::Payload { edit, .. } => batch.edits.get(*edit as usize).map_or(0, edit_bytes),
            ItemWrite::Delete { .. } => 0,
        })
        .sum();
    let points = batch.items.iter().filter(|item| !deletes(item)).count();
    admit_growth(host, hosted, points as u64, grown as u64)?;
    Ok(false)
}

/// Admits a change by filter: every point that may match is written anew, so the estimate is what the payload indexes
/// say at most.
fn admit_edit(host: &Host, hosted: &Hosted, filter: &Filter, edit: &PayloadEdit) -> Result<(), Fault> {
    let most = match hosted.shard.filter_estimate(filter) {
        Ok(estimate) => estimate.high,
        Err(store::Refusal::Sealed) => return Err(gone()),
        Err(refusal) => {
            return Err(Fault::new(Code::Unavailable, format!("shard {}: {refusal}", hosted.id())));
        }
    };
    admit_growth(host, hosted, most, most.saturating_mul(edit_bytes(edit) as u64))
}

/// Bytes that a change may add to a payload.
fn edit_bytes(edit: &PayloadEdit) -> usize {
    match &edit.change {
        PayloadChange::Merge(text) | PayloadChange::Replace(text) => text.len(),
        PayloadChange::Unset(_) => 0,
    }
}

fn admit(host: &Host, hosted: &Hosted, points: &[UpsertPoint]) -> Result<(), Fault> {
    let payloads: usize = points.iter().map(|p| p.payload.len() + p.id.len()).sum();
    admit_growth(host, hosted, points.len() as u64, payloads as u64)
}

/// Refuses growth that disk, memory or graph cannot keep up with, before anything is proposed.
fn admit_growth(host: &Host, hosted: &Hosted, points: u64, payloads: u64) -> Result<(), Fault> {
    let waiting = hosted.shard.pending();
    if waiting >= host.knobs().tail_points_max {
        let detail = format!("{waiting} points of shard {} wait to be indexed; retry later", hosted.id());
        return Err(Fault::new(Code::Overloaded, detail).retry_after(500));
    }
    let limit = host.knobs().disk_full_percent;
    if let Ok(space) = host.disk().space()
        && space.used_percent() >= limit
    {
        let detail = format!(
            "worker {} has used {} % of its disk, upserts stop at {limit} %; delete points or add space",
            host.worker(),
            space.used_percent()
        );
        return Err(Fault::new(Code::DiskFull, detail));
    }
    let estimate = shape::estimate_bytes(&hosted.meta.spec, points).saturating_add(payloads);
    host.take_memory(estimate).map_err(|(used, limit)| {
        let detail = format!(
            "worker {} holds {used} bytes in memory and may hold {limit}, and this write of up to {points} points \
             may take {estimate}; delete points, add workers or raise worker.memory_percent",
            host.worker()
        );
        Fault::new(Code::Overloaded, detail).retry_after(5000)
    })
}

fn operation(operation: WriteOperation) -> store::Operation {
    match operation {
        WriteOperation::Upsert(points) => store::Operation::Upsert(points.into_iter().map(point).collect()),
        WriteOperation::DeleteIds(ids) => store::Operation::Delete(
            ids.into_iter().map(|id| store::DeleteItem { id, if_version: None }).collect(),
        ),
        WriteOperation::DeleteFilter(filter) => store::Operation::DeleteByFilter(filter.to_text()),
        WriteOperation::Batch(batch) => store::Operation::Batch(store::Batch {
            edits: batch.edits.into_iter().map(edit).collect(),
            filters: batch.filters.iter().map(Filter::to_text).collect(),
            items: batch.items.into_iter().map(item).collect(),
        }),
        WriteOperation::EditFilter(filter, change) => {
            store::Operation::EditByFilter(filter.to_text(), edit(change))
        }
    }
}

fn point(p: UpsertPoint) -> store::UpsertPoint {
    store::UpsertPoint { id: p.id, vector: p.vector, payload: p.payload, if_version: p.if_version }
}

fn edit(edit: PayloadEdit) -> store::PayloadEdit {
    let change = match edit.change {
        PayloadChange::Merge(text) => store::PayloadChange::Merge(text),
        PayloadChange::Replace(text) => store::PayloadChange::Replace(text),
        PayloadChange::Unset(paths) => store::PayloadChange::Unset(paths),
    };
    store::PayloadEdit { change, bytes_max: edit.bytes_max }
}

fn item(item: BatchItem) -> store::BatchItem {
    let write = match item.write {
        ItemWrite::Upsert(p, expiry) => {
            let expiry = match expiry {
                Expiry::Never => store::Expiry::Never,
                Expiry::AfterMs(ms) => store::Expiry::AfterMs(ms),
                Expiry::AtMs(at) => store::Expiry::AtMs(at),
            };
            store::ItemWrite::Upsert(point(p), expiry)
        }
        ItemWrite::Delete { id, if_version } => {
            store::ItemWrite::Delete(store::DeleteItem { id, if_version })
        }
        ItemWrite::Payload { id, if_version, edit } => store::ItemWrite::Payload { id, if_version, edit },
    };
    store::BatchItem { if_filter: item.if_filter, write }
}

fn outcome(item: store::ItemOutcome) -> ItemOutcome {
    match item {
        store::ItemOutcome::Applied => ItemOutcome::Applied,
        store::ItemOutcome::Missing => ItemOutcome::Missing,
        store::ItemOutcome::VersionMismatch { current } => ItemOutcome::VersionMismatch(current),
        store::ItemOutcome::FilterMismatch { current } => ItemOutcome::FilterMismatch(current),
        store::ItemOutcome::PayloadTooLarge { bytes } => ItemOutcome::PayloadTooLarge(bytes),
    }
}

fn answer(hosted: &Hosted, reply: &[u8]) -> Result<ShardWritten, Fault> {
    match store::Outcome::decode(reply) {
        Ok(store::Outcome::Written { version, items, deleted, replayed }) => {
            let items = items.into_iter().map(outcome).collect();
            Ok(ShardWritten { version, items, deleted, replayed, edited: None })
        }
        Ok(store::Outcome::Edited { version, updated, refused, refused_more, replayed }) => {
            let refused =
                refused.into_iter().map(|point| RefusedPoint { id: point.id, outcome: outcome(point.item) });
            let edited = Edited { updated, refused: refused.collect(), refused_more };
            Ok(ShardWritten { version, replayed, edited: Some(edited), ..ShardWritten::default() })
        }
        Ok(store::Outcome::KeyReused) => Err(Fault::on_field(
            Code::IdempotencyKeyReused,
            "idempotency_key",
            "was used before with another body; choose a new key for a new write",
        )),
        Ok(store::Outcome::WindowFull) => {
            let detail = "the shard remembers as many idempotency keys of the last 24 hours as it may; retry \
                          later, or without a key";
            Err(Fault::on_field(Code::Overloaded, "idempotency_key", detail).retry_after(60_000))
        }
        Ok(store::Outcome::OutOfRange) => Err(other_range(hosted.id())),
        Ok(store::Outcome::Sealed) => Err(gone()),
        Ok(store::Outcome::Damaged(what)) => {
            Err(Fault::new(Code::Unavailable, format!("the shard met damaged data and stopped: {what}")))
        }
        Ok(store::Outcome::Malformed(_)) => Err(Fault::internal("the shard refused the command's encoding")),
        Err(_) => Err(Fault::internal("the shard's answer cannot be read").with_outcome(Effect::Unknown)),
    }
}
