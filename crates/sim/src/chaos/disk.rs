//! One node's disk, small enough to be full: a tmpfs that shrinks to what is on it, and grows again.

use super::links::command;
use std::io;
use std::path::{Path, PathBuf};

/// When it is not full.
const BYTES: u64 = 1 << 30;
/// What is left when it is full: not enough to go on, enough to fail in the middle of a write.
const LEFT_BYTES: u64 = 64 << 10;

/// The disk; what is on it is gone when this is.
pub struct SmallDisk {
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts it at `dir`, which it makes.
    ///
    /// # Errors
    /// Where there is no tmpfs, or no right to mount one.
    pub fn mount(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let size = format!("size={BYTES}");
        command("mount", &["-t", "tmpfs", "-o", &size, "vectron-chaos", &dir.display().to_string()])?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        let size = format!("remount,size={bytes}");
        command("mount", &["-o", &size, &self.dir.display().to_string()])
    }

    /// Leaves almost no room.
    ///
    /// # Errors
    /// When it is written to too fast for its size to be told.
    pub fn fill(&self) -> io::Result<()> {
        let mut last = Ok(());
        for _ in 0..10 {
            let stat = rustix::fs::statvfs(&self.dir)?;
            let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
            last = self.resize(used + LEFT_BYTES);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn make_room(&self) -> io::Result<()> {
        self.resize(BYTES)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that is just being killed may still have files open.
        let _ = command("umount", &["-l", &self.dir.display().to_string()]);
    }
}
