//! What a shard will hold once it is open, known without opening it.

use crate::manifest::{MANIFEST, Manifest};
use vectron_base::disk::{Disk, DiskError, DiskFailure};

/// Points in the last checkpoint of the shard in `dir`, by its manifest: for admission before the shard is
/// loaded. `None` when the manifest makes no sense; opening the shard names the damage.
///
/// # Errors
/// The disk refused. That there is no manifest is no error: the shard is empty.
pub fn points_on_disk(disk: &dyn Disk, dir: &str) -> Result<Option<u64>, DiskError> {
    match disk.read(&format!("{dir}/{MANIFEST}")) {
        Ok(bytes) => {
            let manifest = Manifest::decode(&bytes).ok();
            Ok(manifest.map(|m| m.segments.iter().map(|segment| segment.live.len()).sum()))
        }
        Err(error) if error.failure == DiskFailure::NotFound => Ok(Some(0)),
        Err(error) => Err(error),
    }
}
