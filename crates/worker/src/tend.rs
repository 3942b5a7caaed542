//! Background care of a shard: draining the tail into the graph, sweeping tombstones, checkpoints.

use crate::WorkerEvent;
use crate::host::Host;
use crate::hosted::Hosted;
use crate::recall;
use futures::future::{join_all, join4, select};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::pool::{Lane, compute};
use vectron_store::{IndexProgress, Shard};
use vectron_wire::placement::{VectorField, VectorFieldKind};

/// How long a shard with nothing to do sleeps before it looks again.
const IDLE: Duration = Duration::from_secs(5);

/// Pause between attempts of something that failed.
const RETRY: Duration = Duration::from_millis(50);

/// Points that are read again at a time, and the pause after the last.
const SCRUB_POINTS: u64 = 512;
const SCRUB_AGAIN: Duration = Duration::from_secs(60);

/// Points that may wait for the graph before more than one inserter works on a shard that is searched.
const TAIL_OF_ONE: u64 = 4096;

/// Tends one shard until it is sealed or the host stops.
pub async fn run(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    first_proof(host, hosted).await;
    let measured = recall::keep_measured(host, hosted);
    join4(keep_indexed(host, hosted), keep_saved(host, hosted), keep_scrubbed(host, hosted), measured).await;
}

async fn keep_indexed(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    while !host.stopping() && !hosted.over() {
        let more = index_steps(host, hosted).await;
        if !more {
            select(Box::pin(hosted.work.notified()), host.pool().sleep(IDLE)).await;
        }
    }
}

/// Writes checkpoints when they are due. Indexing goes on meanwhile, or the tail would grow.
async fn keep_saved(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    while !host.stopping() && !hosted.over() {
        select(Box::pin(hosted.due.notified()), host.pool().sleep(IDLE)).await;
        if hosted.shard.checkpoint_due() {
            checkpoint(host, hosted).await;
        }
    }
}

/// Waits until the shard has replayed its log and can commit; only then it is reported as ready.
async fn first_proof(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    while !host.stopping() && !hosted.over() {
        let begun = host.clock().now();
        if host.consensus().barrier(hosted.group()).await.is_ok() {
            hosted.prove(begun);
            host.report_soon();
            return;
        }
        host.pool().sleep(RETRY).await;
    }
}

/// A bounded piece of index work by as many inserters as are due; whether more waits.
async fn index_steps(host: &Arc<Host>, hosted: &Arc<Hosted>) -> bool {
    let steps = (0..inserters(host, hosted)).map(|_| index_step(host, hosted));
    join_all(steps).await.into_iter().any(|more| more)
}

/// While few points wait, scanning them is cheap and one inserter keeps up with most writers. With more every
/// search pays, and cores are worth it. Where nobody searches, they are free.
fn inserters(host: &Host, hosted: &Hosted) -> usize {
    let cores = host.cores().max(1);
    let most = match host.knobs().inserters_max {
        0 => cores,
        most => most as usize,
    };
    let wanted = match hosted.shard.pending() {
        waiting if waiting <= TAIL_OF_ONE => 1,
        _ if hosted.searched_lately(host.clock().now()) => cores / 2,
        _ => cores,
    };
    wanted.clamp(1, most)
}

/// One bounded piece of index work; whether more waits.
async fn index_step(host: &Arc<Host>, hosted: &Arc<Hosted>) -> bool {
    let (over, stop) = (hosted.clone(), host.clone());
    let done = index_once(host, &hosted.shard, move || stop.stopping() || over.over()).await;
    let Some(progress) = done else { return false };
    if progress.checkpoint_due {
        hosted.due.notify_one();
    }
    progress.more
}

/// One bounded piece of index work. Planned in the background lane, whose threads may be kept from the processor for
/// long, and committed in one whose threads are not: searches wait for a commit.
pub async fn index_once(
    host: &Host,
    shard: &Arc<Shard>,
    stop: impl Fn() -> bool + Send + 'static,
) -> Option<IndexProgress> {
    let planned = shard.clone();
    let step = compute(host.pool(), Lane::Background, move || planned.plan_step(&stop)).await?;
    let committed = shard.clone();
    let progress = compute(host.pool(), Lane::Commit, move || committed.commit_step(step)).await?;
    host.metrics().indexed.inc_by(progress.inserted as u64);
    Some(progress)
}

/// Reads what is stored again, slowly, to find decay before somebody needs it. A replica with damage serves nothing
/// any more; the others have what it lost.
async fn keep_scrubbed(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    let rate = host.knobs().scrub_bytes_per_s;
    // By estimate: the vectors, and some payload.
    let numbers = |field: &VectorField| match field.kind {
        VectorFieldKind::Dense { dimension, .. } => dimension,
        VectorFieldKind::Sparse => 128,
        VectorFieldKind::Multi { dimension, .. } => dimension.saturating_mul(32),
    };
    let named = hosted.meta.spec.vector_fields.iter().map(numbers);
    let point_bytes = u64::from(named.fold(hosted.meta.spec.dimension, u32::saturating_add)) * 4 + 256;
    while rate > 0 && !host.stopping() && !hosted.over() {
        let shard = hosted.shard.clone();
        let scrubbing = compute(host.pool(), Lane::Background, move || shard.scrub_step(SCRUB_POINTS));
        let Some(step) = scrubbing.await else { return };
        let bytes = step.points * point_bytes;
        host.metrics().scrubbed.inc_by(bytes);
        let pause = match &step.report {
            Some(report) if !report.is_clean() => {
                let why = hosted.shard.damage().join("; ");
                return host.quarantine(hosted, why).await;
            }
            Some(_) => SCRUB_AGAIN,
            None => Duration::from_millis((bytes.saturating_mul(1000) / rate).max(1)),
        };
        select(Box::pin(hosted.ended.notified()), host.pool().sleep(pause)).await;
    }
}

/// Writes one checkpoint and lets the journal go that it covers.
pub async fn checkpoint(host: &Host, hosted: &Arc<Hosted>) {
    if hosted.over() {
        return;
    }
    let shard = hosted.shard.clone();
    let Some(result) = compute(host.pool(), Lane::Background, move || shard.checkpoint()).await else {
        return;
    };
    match result {
        Ok(index) => {
            host.metrics().checkpoints.inc();
            host.consensus().checkpointed(hosted.group(), index);
        }
        Err(error) => {
            host.metrics().checkpoint_failures.inc();
            host.metrics().events.note(&WorkerEvent::CheckpointFailed(hosted.id(), error.to_string()));
            // The disk may be full for long: do not spin.
            host.pool().sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Checkpoints shards whose entries keep the oldest journal segment alive while the journal is over its
/// limit.
pub async fn journal_loop(host: &Arc<Host>) {
    while !host.stopping() {
        host.pool().sleep(Duration::from_secs(1)).await;
        let laggards = host.consensus().laggards();
        for hosted in host.serving() {
            if laggards.contains(&hosted.group()) {
                checkpoint(host, &hosted).await;
            }
        }
    }
}
