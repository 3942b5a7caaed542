//! A disk seam with one flaw at a time.

use parking_lot::Mutex;
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::disk::{Disk, DiskError, DiskFailure, DiskFile, DiskResult, FileBytes, Space};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    None,
    /// Claims space which it does not have.
    Boasts,
    /// Makes no files.
    NoCreate,
    /// Syncs no directories.
    NoSyncDir,
    /// Takes half of what is appended to files that it makes.
    NoAppendToNew,
    /// Removes no files.
    NoRemove,
}

#[derive(Clone)]
pub struct Flawed {
    disk: SimDisk,
    flaw: Arc<Mutex<Flaw>>,
}

impl Flawed {
    pub fn over(disk: &SimDisk) -> Self {
        Self { disk: disk.clone(), flaw: Arc::new(Mutex::new(Flaw::None)) }
    }

    pub fn set(&self, flaw: Flaw) {
        *self.flaw.lock() = flaw;
    }

    fn pass(&self, flaw: Flaw, operation: &'static str, path: &str) -> DiskResult<()> {
        let flawed = *self.flaw.lock() == flaw;
        if flawed { Err(failed(operation, path)) } else { Ok(()) }
    }
}

fn failed(operation: &'static str, path: &str) -> DiskError {
    DiskError { operation, path: path.to_string(), failure: DiskFailure::Failed }
}

struct Stump(Box<dyn DiskFile>);

impl DiskFile for Stump {
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()> {
        self.0.append(&bytes[..bytes.len() / 2])?;
        Err(failed("append", ""))
    }
    fn sync(&mut self) -> DiskResult<()> {
        self.0.sync()
    }
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl Disk for Flawed {
    fn space(&self) -> DiskResult<Space> {
        let boasts = *self.flaw.lock() == Flaw::Boasts;
        if boasts { Ok(Space { free: u64::MAX, total: u64::MAX }) } else { self.disk.space() }
    }
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &str) -> DiskResult<Vec<String>> {
        self.disk.list(path)
    }
    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>> {
        self.pass(Flaw::NoCreate, "create", path)?;
        let file = self.disk.create(path)?;
        let stump = *self.flaw.lock() == Flaw::NoAppendToNew;
        Ok(if stump { Box::new(Stump(file)) } else { file })
    }
    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>> {
        self.disk.open_at(path, len)
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
        self.pass(Flaw::NoRemove, "remove", path)?;
        self.disk.remove(path)
    }
    fn remove_dir(&self, path: &str) -> DiskResult<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &str) -> DiskResult<()> {
        self.pass(Flaw::NoSyncDir, "sync_dir", path)?;
        self.disk.sync_dir(path)
    }
}
