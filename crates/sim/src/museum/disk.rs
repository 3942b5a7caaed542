//! A disk that says it has synced, and has not.

use std::sync::Arc;
use vectron_base::disk::{Disk, DiskFile, DiskResult, FileBytes, Space};

/// What the disk lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untrue {
    /// Every sync of a file.
    Everything,
    /// Syncs of the shards' checkpoints: the log behind them is dropped before they are durable.
    Checkpoints,
    /// Every sync of a directory.
    Names,
}

/// The disk of a node, with lies.
pub(super) struct LyingDisk {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) untrue: Untrue,
}

impl LyingDisk {
    fn file(&self, path: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let lies = match self.untrue {
            Untrue::Everything => true,
            Untrue::Checkpoints => path.starts_with("shards/"),
            Untrue::Names => false,
        };
        if lies { Box::new(LyingFile(file)) } else { file }
    }
}

struct LyingFile(Box<dyn DiskFile>);

impl DiskFile for LyingFile {
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()> {
        self.0.append(bytes)
    }
    fn sync(&mut self) -> DiskResult<()> {
        Ok(())
    }
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl Disk for LyingDisk {
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &str) -> DiskResult<Vec<String>> {
        self.disk.list(path)
    }
    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.create(path)?))
    }
    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.open_at(path, len)?))
    }
    fn read(&self, path: &str) -> DiskResult<Vec<u8>> {
        self.disk.read(path)
    }
    fn map(&self, path: &str) -> DiskResult<Arc<dyn FileBytes>> {
        self.disk.map(path)
    }
    fn exists(&self, path: &str) -> DiskResult<bool> {
        self.disk.exists(path)
    }
    fn rename(&self, from: &str, to: &str) -> DiskResult<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &str) -> DiskResult<()> {
        self.disk.remove(path)
    }
    fn remove_dir(&self, path: &str) -> DiskResult<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> DiskResult<()> {
        if self.untrue == Untrue::Names { Ok(()) } else { self.disk.sync_dir(path) }
    }
    fn space(&self) -> DiskResult<Space> {
        self.disk.space()
    }
}
