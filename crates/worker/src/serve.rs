//! The worker's contract, on top of the host.

use crate::host::{Host, Slot};
use crate::hosted::{Hosted, gone};
use crate::{browse, examine, indexes, read, shown, snapshot, tune, write};
use async_trait::async_trait;
use std::sync::Arc;
use vectron_base::{Code, Fault};
use vectron_consensus::Role;
use vectron_wire::worker::{
    Examined, PointRecord, ShardBrowse, ShardBrowsed, ShardCount, ShardCounted, ShardExamine, ShardGet,
    ShardHits, ShardPage, ShardRead, ShardScroll, ShardSearch, ShardStatus, ShardTextStats, ShardTune,
    ShardTuned, ShardWrite, ShardWritten, SnapshotOffer, SnapshotPart, SnapshotRequest, Target, TextStats,
    Worker,
};

impl Host {
    /// The shard that a caller means, if this worker may serve it.
    fn serve(&self, target: &Target) -> Result<Arc<Hosted>, Fault> {
        let hosted = self.held(target)?;
        hosted.fence(target).map(|()| hosted)
    }

    /// The shard that a caller means, if it is open here.
    fn held(&self, target: &Target) -> Result<Arc<Hosted>, Fault> {
        match self.slot(target.shard) {
            Some(Slot::Serving(hosted)) => Ok(hosted),
            Some(Slot::Opening(..)) => {
                let detail = format!("shard {} is being opened here", target.shard);
                Err(Fault::new(Code::Unavailable, detail).retry_after(100))
            }
            Some(Slot::Failed(_, why)) => {
                Err(Fault::new(Code::Unavailable, format!("shard {} is set aside: {why}", target.shard)))
            }
            Some(Slot::Removed(_)) if self.deleted(target.shard) => Err(gone()),
            Some(Slot::Removed(_)) | None => {
                let detail = format!("shard {} is not held by worker {}", target.shard, self.worker());
                Err(Fault::new(Code::Unavailable, detail).retry_after(100))
            }
        }
    }
}

/// An answer that was being made while the collection was deleted, the shard's range cut or its copy replaced is not
/// given: after the delete has been acknowledged no read succeeds, and none sees less than it asked for.
fn still_there<T>(hosted: &Hosted, target: &Target, answer: T) -> Result<T, Fault> {
    hosted.fence(target).map(|()| answer)
}

#[async_trait]
impl Worker for Host {
    async fn write(&self, request: ShardWrite) -> Result<ShardWritten, Fault> {
        let hosted = self.serve(&request.target)?;
        write::write(self, &hosted, request).await
    }

    async fn get(&self, request: ShardGet) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, read::get(self, &hosted, request).await?)
    }

    async fn search(&self, request: ShardSearch) -> Result<ShardRead<ShardHits>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, read::search(self, &hosted, request).await?)
    }

    async fn search_if_changed(
        &self,
        request: ShardSearch,
        known_applied_index: u64,
    ) -> Result<ShardRead<Option<ShardHits>>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        let read = read::search_if_changed(self, &hosted, request, Some(known_applied_index)).await?;
        still_there(&hosted, &target, read)
    }

    async fn scroll(&self, request: ShardScroll) -> Result<ShardRead<ShardPage>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, read::scroll(self, &hosted, request).await?)
    }

    async fn count(&self, request: ShardCount) -> Result<ShardRead<ShardCounted>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, read::count(self, &hosted, request).await?)
    }

    async fn text_stats(&self, request: ShardTextStats) -> Result<ShardRead<TextStats>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, read::text_stats(self, &hosted, request).await?)
    }

    async fn examine(&self, request: ShardExamine) -> Result<ShardRead<Examined>, Fault> {
        let target = request.search.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, examine::examine(self, &hosted, request).await?)
    }

    async fn tune(&self, request: ShardTune) -> Result<ShardRead<ShardTuned>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, tune::tune(self, &hosted, request).await?)
    }

    async fn browse(&self, request: ShardBrowse) -> Result<ShardRead<ShardBrowsed>, Fault> {
        let target = request.target;
        let hosted = self.serve(&target)?;
        still_there(&hosted, &target, browse::browse(self, &hosted, request).await?)
    }

    async fn status(&self, target: Target) -> Result<ShardStatus, Fault> {
        if let Some(Slot::Failed(_, why)) = self.slot(target.shard) {
            return Ok(ShardStatus { damage: vec![why.to_string()], ..ShardStatus::default() });
        }
        let hosted = self.serve(&target)?;
        let stats = hosted.shard.stats();
        let group = self.consensus().status(hosted.group());
        let mut damage = hosted.shard.damage();
        damage.extend(self.quarantined(&hosted));
        Ok(ShardStatus {
            points: stats.points,
            index_lag: stats.pending,
            tombstones: stats.tombstones,
            disk_bytes: stats.disk_bytes,
            memory_bytes: stats.memory_bytes,
            applied_index: hosted.shard.applied_index(),
            durable_index: hosted.shard.durable_index(),
            leads: group.is_some_and(|g| g.role == Role::Leader),
            damage,
            memory: Some(shown::memory(&stats)),
            quantization: Some(shown::quantization(&hosted.shard, &stats)),
            calibration: shown::calibration(&hosted.shard),
            field_indexes: indexes::status(&hosted.shard),
            recall: hosted.recall.figures(),
        })
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<SnapshotOffer, Fault> {
        // Whoever lacks its data may have any map.
        let hosted = self.held(&request.target)?;
        hosted.fence_life(&request.target)?;
        snapshot::offer(self, &hosted, request).await
    }

    async fn snapshot_part(&self, request: SnapshotPart) -> Result<Vec<u8>, Fault> {
        snapshot::part(self, request).await
    }
}
