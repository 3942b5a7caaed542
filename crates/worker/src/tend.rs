//! Background care of a shard: draining the tail into the graph, sweeping tombstones, checkpoints.

use crate::WorkerEvent;
use crate::host::Host;
use crate::hosted::Hosted;
use futures::future::select;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::pool::{Lane, compute};

/// How long a shard with nothing to do sleeps before it looks again.
const IDLE: Duration = Duration::from_secs(5);

/// Pause between attempts of something that failed.
const RETRY: Duration = Duration::from_millis(50);

/// Tends one shard until it is sealed or the host stops.
pub async fn run(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    first_proof(host, hosted).await;
    while !host.stopping() && !hosted.sealed() {
        let more = index_step(host, hosted).await;
        if hosted.shard.checkpoint_due() {
            checkpoint(host, hosted).await;
        }
        if !more {
            select(Box::pin(hosted.work.notified()), host.pool().sleep(IDLE)).await;
        }
    }
}

/// Waits until the shard has replayed its log and can commit; only then it is reported as ready.
async fn first_proof(host: &Arc<Host>, hosted: &Arc<Hosted>) {
    while !host.stopping() && !hosted.sealed() {
        let begun = host.clock().now();
        if host.consensus().barrier(hosted.group()).await.is_ok() {
            hosted.prove(begun);
            host.report_soon();
            return;
        }
        host.pool().sleep(RETRY).await;
    }
}

/// One bounded piece of index work in the background lane; whether more waits.
async fn index_step(host: &Arc<Host>, hosted: &Arc<Hosted>) -> bool {
    let (shard, stop) = (hosted.clone(), host.clone());
    let job = move || shard.shard.index_step(&|| stop.stopping() || shard.sealed());
    let Some(progress) = compute(host.pool(), Lane::Background, job).await else { return false };
    host.metrics().indexed.inc_by(progress.inserted as u64);
    progress.more
}

/// Writes one checkpoint and lets the journal go that it covers.
pub async fn checkpoint(host: &Host, hosted: &Arc<Hosted>) {
    if hosted.sealed() {
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
