//! Room in memory: for what is written, and for a shard before it is loaded.

use super::{Host, OpenFailure};
use crate::meta::{ShardMeta, data_directory};
use crate::shape;
use std::sync::atomic::Ordering;
use vectron_base::disk::Disk;
use vectron_store as store;

impl Host {
    /// Memory that shards may hold, in bytes; zero means that nobody knows.
    fn memory_limit(&self) -> u64 {
        self.parts.registration.memory_bytes / 100 * self.parts.knobs.memory_percent
    }

    /// Takes room for `bytes` more of memory before the work starts; the bytes in use and the limit when there
    /// is none. Estimated, and corrected by every report.
    pub(crate) fn take_memory(&self, bytes: u64) -> Result<(), (u64, u64)> {
        let limit = self.memory_limit();
        let used = self.memory_bytes.load(Ordering::Relaxed);
        if limit > 0 && used.saturating_add(bytes) > limit {
            return Err((used, limit));
        }
        self.memory_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The room there is for a shard that is about to be opened. Shards are opened one after the other.
    pub(super) fn room(&self) -> Room {
        let used = self.serving().iter().map(|hosted| hosted.shard.stats().memory_bytes).sum();
        Room { used, limit: self.memory_limit() }
    }
}

/// Memory in use and its limit, in bytes.
pub(super) struct Room {
    used: u64,
    limit: u64,
}

impl Room {
    /// Refuses a shard whose checkpoint would not fit, before any of it is loaded.
    pub fn check(&self, disk: &dyn Disk, meta: &ShardMeta) -> Result<(), OpenFailure> {
        let shard = meta.shard.shard;
        let points = store::points_on_disk(disk, &data_directory(shard)).map_err(OpenFailure::passing)?;
        let points = points.unwrap_or(0);
        let need = shape::estimate_bytes(&meta.spec, points);
        if points == 0 || self.limit == 0 || self.used.saturating_add(need) <= self.limit {
            return Ok(());
        }
        let (name, used, limit) = (&meta.spec.name, self.used, self.limit);
        Err(OpenFailure::lasting(format!(
            "collection '{name}' has {points} points here, which take about {need} bytes of memory; {used} of \
             {limit} are in use by other shards. Its data is untouched: raise node.memory_bytes or \
             worker.memory_percent, or delete other collections, and start again"
        )))
    }
}
