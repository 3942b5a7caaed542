//! Room in memory: for what is written, and for a shard before it is loaded.

use super::Host;
use super::open::OpenFailure;
use crate::meta::ShardMeta;
use crate::shape;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// Refuses a shard whose checkpoint would not fit beside what is open and being opened, before any of it is
    /// loaded. The room is given back when the shard is open and counts itself.
    pub(super) fn take_room(&self, disk: &dyn Disk, meta: &ShardMeta) -> Result<Room<'_>, OpenFailure> {
        let points = store::points_on_disk(disk, &meta.data_directory()).map_err(OpenFailure::passing)?;
        let points = points.unwrap_or(0);
        let need = if points == 0 { 0 } else { shape::estimate_bytes(&meta.spec, points) };
        let limit = self.memory_limit();
        let open: u64 = self.serving().iter().map(|hosted| hosted.shard.stats().memory_bytes).sum();
        let used = open + self.opening_bytes.fetch_add(need, Ordering::SeqCst);
        let room = Room { taken: &self.opening_bytes, bytes: need };
        if need == 0 || limit == 0 || used.saturating_add(need) <= limit {
            return Ok(room);
        }
        let name = &meta.spec.name;
        Err(OpenFailure::lasting(format!(
            "collection '{name}' has {points} points here, which take about {need} bytes of memory; {used} of \
             {limit} are in use by other shards. Its data is untouched: raise node.memory_bytes or \
             worker.memory_percent, or delete other collections, and start again"
        )))
    }
}

/// Memory that is kept for a shard while it is opened.
pub(super) struct Room<'a> {
    taken: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
