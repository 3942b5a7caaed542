//! A simulated disk that lets a test act in the middle of an operation.

use parking_lot::Mutex;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vectron_base::disk::sim::SimDisk;
use vectron_base::disk::{Disk, DiskError, DiskFailure, DiskFile, DiskResult, FileBytes, Space};

/// What to do before an operation on a path; `false` makes it fail.
type Hook = Box<dyn FnMut(&'static str, &str) -> bool + Send>;

/// What to do in the middle of a read of mapped bytes, once.
type OnRead = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Calls a hook before maps, appends and directory syncs and in reads of mapped bytes, and serves bad bytes from maps once
/// told to. Counts reads.
pub struct Watched {
    disk: SimDisk,
    pub decayed: Arc<AtomicBool>,
    pub reads: Arc<AtomicUsize>,
    /// The one byte that decays, and which of its bits; else all bytes do.
    pub flips: Mutex<Option<(usize, u8)>>,
    on_read: OnRead,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl Watched {
    pub fn new(disk: &SimDisk) -> Arc<Watched> {
        Arc::new(Watched {
            disk: disk.clone(),
            decayed: Arc::default(),
            reads: Arc::default(),
            flips: Mutex::default(),
            on_read: Arc::default(),
            hook: Arc::default(),
        })
    }

    pub fn on_operation(&self, hook: impl FnMut(&'static str, &str) -> bool + Send + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }

    pub fn on_next_read(&self, hook: impl FnOnce() + Send + 'static) {
        *self.on_read.lock() = Some(Box::new(hook));
    }

    fn happens(&self, operation: &'static str, path: &str) -> DiskResult<()> {
        happens(&self.hook, operation, path)
    }
}

fn happens(hook: &Mutex<Option<Hook>>, operation: &'static str, path: &str) -> DiskResult<()> {
    let go_on = hook.lock().as_mut().is_none_or(|hook| hook(operation, path));
    if go_on {
        return Ok(());
    }
    Err(DiskError { operation, path: path.into(), failure: DiskFailure::Failed })
}

struct WatchedFile {
    file: Box<dyn DiskFile>,
    path: String,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl DiskFile for WatchedFile {
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()> {
        happens(&self.hook, "append", &self.path)?;
        self.file.append(bytes)
    }
    fn sync(&mut self) -> DiskResult<()> {
        self.file.sync()
    }
    fn len(&self) -> u64 {
        self.file.len()
    }
}

struct WatchedBytes {
    good: Vec<u8>,
    bad: Vec<u8>,
    decayed: Arc<AtomicBool>,
    reads: Arc<AtomicUsize>,
    on_read: OnRead,
}

impl Deref for WatchedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let hook = self.on_read.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        if self.decayed.load(Ordering::SeqCst) { &self.bad } else { &self.good }
    }
}

impl Disk for Watched {
    fn map(&self, path: &str) -> DiskResult<Arc<dyn FileBytes>> {
        self.happens("map", path)?;
        let good = self.disk.read(path)?;
        let mut bad: Vec<u8> = good.clone();
        match *self.flips.lock() {
            Some((at, bits)) => bad.iter_mut().skip(at).take(1).for_each(|b| *b ^= bits),
            None => bad.iter_mut().for_each(|b| *b ^= 4),
        }
        let (decayed, reads) = (self.decayed.clone(), self.reads.clone());
        Ok(Arc::new(WatchedBytes { good, bad, decayed, reads, on_read: self.on_read.clone() }))
    }
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, path: &str) -> DiskResult<Vec<String>> {
        self.disk.list(path)
    }
    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        Ok(Box::new(WatchedFile { file, path: path.into(), hook: self.hook.clone() }))
    }
    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>> {
        self.disk.open_at(path, len)
    }
    fn read(&self, path: &str) -> DiskResult<Vec<u8>> {
        self.disk.read(path)
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
        self.happens("sync_dir", path)?;
        self.disk.sync_dir(path)
    }
    fn space(&self) -> DiskResult<Space> {
        self.disk.space()
    }
}
