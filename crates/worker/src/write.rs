//! Writes: admit, encode, replicate, decode.

use crate::faults::{late, of_propose, other_range};
use crate::host::Host;
use crate::hosted::{Hosted, gone};
use crate::shape;
use std::time::Duration;
use vectron_base::pool::within;
use vectron_base::{Code, Fault, Outcome as Effect};
use vectron_store as store;
use vectron_wire::worker::{ItemOutcome, ShardWrite, ShardWritten, UpsertPoint, WriteOperation};

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

/// The range that a delete by filter is about: the one that the caller meant, so that after a cut it does not pass for
/// done although the upper part was not looked at. Other writes name their ids.
fn range(hosted: &Hosted, request: &ShardWrite) -> Result<Option<store::HashRange>, Fault> {
    if !matches!(request.operation, WriteOperation::DeleteFilter(_)) {
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

/// Refuses growth that disk, memory or graph cannot keep up with, before anything is proposed.
fn admit(host: &Host, hosted: &Hosted, points: &[UpsertPoint]) -> Result<(), Fault> {
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
    let payloads: usize = points.iter().map(|p| p.payload.len() + p.id.len()).sum();
    let estimate = shape::estimate_bytes(&hosted.meta.spec, points.len() as u64);
    host.take_memory(estimate + payloads as u64).map_err(|(used, limit)| {
        let detail = format!(
            "worker {} holds {used} bytes in memory and may hold {limit}; delete points, add workers or raise \
             worker.memory_percent",
            host.worker()
        );
        Fault::new(Code::Overloaded, detail).retry_after(5000)
    })
}

fn operation(operation: WriteOperation) -> store::Operation {
    match operation {
        WriteOperation::Upsert(points) => store::Operation::Upsert(
            points
                .into_iter()
                .map(|p| store::UpsertPoint {
                    id: p.id,
                    vector: p.vector,
                    payload: p.payload,
                    if_version: p.if_version,
                })
                .collect(),
        ),
        WriteOperation::DeleteIds(ids) => store::Operation::Delete(
            ids.into_iter().map(|id| store::DeleteItem { id, if_version: None }).collect(),
        ),
        WriteOperation::DeleteFilter(filter) => store::Operation::DeleteByFilter(filter.to_text()),
    }
}

fn answer(hosted: &Hosted, reply: &[u8]) -> Result<ShardWritten, Fault> {
    match store::Outcome::decode(reply) {
        Ok(store::Outcome::Written { version, items, deleted, replayed }) => {
            let items = items.into_iter().map(|item| match item {
                store::ItemOutcome::Applied => ItemOutcome::Applied,
                store::ItemOutcome::Missing => ItemOutcome::Missing,
                store::ItemOutcome::VersionMismatch { current } => ItemOutcome::VersionMismatch(current),
            });
            Ok(ShardWritten { version, items: items.collect(), deleted, replayed })
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
