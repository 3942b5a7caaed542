//! What efforts find on queries that a shard was asked lately.

use crate::host::Host;
use crate::hosted::Hosted;
use crate::read::{admit, refused};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::pool::{Lane, compute};
use vectron_store as store;
use vectron_wire::worker::{ShardRead, ShardTune, ShardTuned, TuneRung};

/// Efforts that are tried.
const LADDER: [usize; 11] = [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// Measures each remembered query with each effort, for at most half of the caller's time.
pub async fn tune(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardTune,
) -> Result<ShardRead<ShardTuned>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let (shard, over, clock) = (hosted.shard.clone(), hosted.clone(), host.clock().clone());
    let (begun, limit) = (clock.now(), Duration::from_millis(request.timeout_ms / 2));
    let stop = move || over.over() || clock.now().since(begun) >= limit;
    let queries = hosted.recall.lately();
    let job = move || measure(&shard, &queries, &stop);
    let measured = compute(host.pool(), Lane::Background, job).await;
    let measured = measured.ok_or_else(|| Fault::internal("efforts were not measured"))?;
    let mut tuned = measured.map_err(|refusal| refused(hosted, &refusal))?;
    let calibrated = hosted.shard.calibration().and_then(|measured| measured.ef(request.recall_target));
    tuned.calibrated_ef = calibrated.map(size);
    Ok(ShardRead { value: tuned, delivered: admitted.delivered(host, hosted.shard.applied_index()) })
}

fn size(ef: usize) -> u32 {
    u32::try_from(ef).unwrap_or(u32::MAX)
}

fn measure(
    shard: &store::Shard,
    queries: &[store::SearchQuery],
    stop: &dyn Fn() -> bool,
) -> Result<ShardTuned, store::Refusal> {
    let rungs = LADDER.map(|ef| TuneRung { ef: size(ef), found: 0, distances: 0 });
    let mut tuned = ShardTuned { rungs: rungs.to_vec(), ..ShardTuned::default() };
    let efforts = LADDER.map(Some);
    for query in queries {
        if stop() {
            break;
        }
        let Some(sample) = shard.measure_recall(query, &efforts, stop)? else { continue };
        tuned.queries += 1;
        tuned.wanted += sample.of;
        for (rung, tried) in tuned.rungs.iter_mut().zip(&sample.tries) {
            rung.found += tried.found;
            rung.distances += tried.distances;
        }
    }
    Ok(tuned)
}
