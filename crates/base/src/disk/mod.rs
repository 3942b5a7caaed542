//! The disk, as a seam. Small on purpose: append-only files, atomic rename, directory sync, whole reads and
//! immutable maps are all that a log-structured system needs, and each has one crash meaning.
//!
//! Crash meaning, which both implementations keep:
//! - appended bytes survive a power loss only after [`DiskFile::sync`] returned `Ok`;
//! - a created, renamed or removed name survives only after [`Disk::sync_dir`] of its directory;
//! - a rename replaces its target atomically;
//! - after a failed `sync`, the file's unsynced bytes are in doubt for good: the caller must not sync again.

mod checked;
mod conformance;
mod real;
pub mod sim;

pub use checked::{CheckedFileError, load_checked, save_checked};
pub use conformance::conformance;
pub use real::RealDisk;

use std::ops::Deref;
use std::sync::Arc;

/// Why a disk operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFailure {
    /// No such file or directory.
    NotFound,
    /// No space, or over quota.
    Full,
    /// The device or file system reported an error.
    Failed,
    /// The simulated machine has lost power: nothing works until it is restarted.
    PowerLost,
}

/// A failed disk operation: what was tried on which file, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {path}: {failure:?}")]
pub struct DiskError {
    /// The operation, as a word.
    pub operation: &'static str,
    /// Path below the data directory.
    pub path: String,
    /// The kind of failure.
    pub failure: DiskFailure,
}

/// Result of a disk operation.
pub type DiskResult<T> = Result<T, DiskError>;

/// Space on the device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What a writer may still use.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

impl Space {
    /// Used share in percent, rounded down.
    pub fn used_percent(&self) -> u64 {
        (self.total.saturating_sub(self.free) * 100).checked_div(self.total).unwrap_or(0)
    }
}

/// An open file that only grows.
pub trait DiskFile: Send {
    /// Appends all of `bytes`. On an error some of them may have been written.
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()>;
    /// Makes everything appended so far durable.
    fn sync(&mut self) -> DiskResult<()>;
    /// Length in bytes, appended but unsynced ones included.
    fn len(&self) -> u64;
    /// Whether nothing has been written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The bytes of an immutable file, mapped or held.
pub trait FileBytes: Deref<Target = [u8]> + Send + Sync {}
impl<T: Deref<Target = [u8]> + Send + Sync> FileBytes for T {}

/// One node's storage below its data directory. Paths are relative, with `/` between parts.
pub trait Disk: Send + Sync {
    /// Creates a directory and its parents; fine if it exists. Durable on return.
    fn create_dir(&self, path: &str) -> DiskResult<()>;
    /// Names in a directory, sorted; empty if the directory does not exist.
    fn list(&self, path: &str) -> DiskResult<Vec<String>>;
    /// Creates an empty file, replacing an existing one.
    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>>;
    /// Cuts an existing file to `len` bytes and opens it for appending. The cut is durable on return.
    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>>;
    /// The whole file, in memory.
    fn read(&self, path: &str) -> DiskResult<Vec<u8>>;
    /// The whole file, mapped. The file must never change afterwards; removing it is fine.
    fn map(&self, path: &str) -> DiskResult<Arc<dyn FileBytes>>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &str) -> DiskResult<bool>;
    /// Renames a file, replacing the target atomically.
    fn rename(&self, from: &str, to: &str) -> DiskResult<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> DiskResult<()>;
    /// Removes a directory with all that is in it; fine if it does not exist.
    fn remove_dir(&self, path: &str) -> DiskResult<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, path: &str) -> DiskResult<()>;
    /// Space on the device.
    fn space(&self) -> DiskResult<Space>;
}

/// Writes `bytes` as the whole content of `path` so that after a crash either the old or the new content is
/// there: a temporary sibling, sync, rename, directory sync.
pub fn replace_file(disk: &dyn Disk, path: &str, bytes: &[u8]) -> DiskResult<()> {
    let temporary = format!("{path}.tmp");
    let mut file = disk.create(&temporary)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent(path))
}

/// The directory part of a relative path; empty for the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
