//! The file system of the machine, below one root directory.
#![allow(clippy::disallowed_methods, reason = "this is the seam")]

use super::{Disk, DiskError, DiskFailure, DiskFile, DiskResult, FileBytes, Space, parent};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files below a root directory of the machine.
pub struct RealDisk {
    root: PathBuf,
    /// Held for the life of the process: two processes must not share a data directory.
    _lock: File,
}

impl RealDisk {
    /// Opens `root`, creating it if needed, and locks it against other processes.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(root.join("LOCK"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            io::Error::new(
                io::ErrorKind::AddrInUse,
                "another vectron process uses this data directory; stop it or choose another --data-dir",
            )
        })?;
        Ok(Self { root: root.to_path_buf(), _lock: lock })
    }

    fn full(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn sync_full(&self, operation: &'static str, path: &str) -> DiskResult<()> {
        File::open(self.full(path)).and_then(|dir| dir.sync_all()).map_err(|e| failed(operation, path, &e))
    }
}

fn failed(operation: &'static str, path: &str, error: &io::Error) -> DiskError {
    let failure = match error.kind() {
        io::ErrorKind::NotFound => DiskFailure::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            DiskFailure::Full
        }
        _ => DiskFailure::Failed,
    };
    DiskError { operation, path: path.to_string(), failure }
}

struct RealFile {
    file: File,
    path: String,
    len: u64,
}

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()> {
        self.file.write_all(bytes).map_err(|e| failed("append", &self.path, &e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }
    fn sync(&mut self) -> DiskResult<()> {
        self.file.sync_data().map_err(|e| failed("sync", &self.path, &e))
    }
    fn len(&self) -> u64 {
        self.len
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        fs::create_dir_all(self.full(path)).map_err(|e| failed("create_dir", path, &e))?;
        // Any of the parents may be new, and a name is durable only with its directory.
        let mut at = path;
        while !at.is_empty() {
            at = parent(at);
            self.sync_full("create_dir", at)?;
        }
        Ok(())
    }

    fn list(&self, path: &str) -> DiskResult<Vec<String>> {
        let entries = match fs::read_dir(self.full(path)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed("list", path, &e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| failed("list", path, &e))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>> {
        // A new file, never an old one cut short: pages of an old one whose sync failed must not come back.
        match fs::remove_file(self.full(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("create", path, &e)),
            _ => {}
        }
        let file = File::create_new(self.full(path)).map_err(|e| failed("create", path, &e))?;
        Ok(Box::new(RealFile { file, path: path.to_string(), len: 0 }))
    }

    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>> {
        let open = || {
            let file = OpenOptions::new().append(true).open(self.full(path))?;
            if file.metadata()?.len() != len {
                file.set_len(len)?;
                file.sync_all()?;
            }
            Ok(file)
        };
        let file = open().map_err(|e| failed("open_at", path, &e))?;
        Ok(Box::new(RealFile { file, path: path.to_string(), len }))
    }

    fn read(&self, path: &str) -> DiskResult<Vec<u8>> {
        fs::read(self.full(path)).map_err(|e| failed("read", path, &e))
    }

    fn map(&self, path: &str) -> DiskResult<Arc<dyn FileBytes>> {
        let file = File::open(self.full(path)).map_err(|e| failed("map", path, &e))?;
        if file.metadata().map_err(|e| failed("map", path, &e))?.len() == 0 {
            return Ok(Arc::new(Vec::new()));
        }
        // SAFETY: the seam's contract is that a mapped file never changes, and the directory lock keeps
        // other Vectron processes out; removal leaves existing maps valid.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| failed("map", path, &e))?;
        Ok(Arc::new(map))
    }

    fn exists(&self, path: &str) -> DiskResult<bool> {
        self.full(path).try_exists().map_err(|e| failed("exists", path, &e))
    }

    fn rename(&self, from: &str, to: &str) -> DiskResult<()> {
        fs::rename(self.full(from), self.full(to)).map_err(|e| failed("rename", from, &e))
    }

    fn remove(&self, path: &str) -> DiskResult<()> {
        fs::remove_file(self.full(path)).map_err(|e| failed("remove", path, &e))
    }

    fn remove_dir(&self, path: &str) -> DiskResult<()> {
        match fs::remove_dir_all(self.full(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|e| failed("remove_dir", path, &e)),
        }
    }

    fn sync_dir(&self, path: &str) -> DiskResult<()> {
        self.sync_full("sync_dir", path)
    }

    fn space(&self) -> DiskResult<Space> {
        let stat = rustix::fs::statvfs(&self.root)
            .map_err(|e| failed("space", "", &io::Error::from_raw_os_error(e.raw_os_error())))?;
        // What is kept for others, or beyond a quota, is neither used nor free: percentages are those that `df` shows.
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok(Space { free: stat.f_bavail * stat.f_frsize, total: (used + stat.f_bavail) * stat.f_frsize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_disk_conforms() {
        let root = std::env::temp_dir().join(format!("vectron-disk-{}", std::process::id()));
        let disk = RealDisk::open(&root).unwrap();
        super::super::conformance(&disk);
        assert!(RealDisk::open(&root).is_err(), "a second opener is refused");
        drop(disk);
        fs::remove_dir_all(&root).unwrap();
    }
}
