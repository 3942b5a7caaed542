//! A disk that is stricter than life: it forgets what was not synced, tears writes at sector bounds, forgets
//! unsynced names, fills up, fails on command, and loses power at a chosen operation.
//!
//! It lives beside the seam, and not in the simulation crate, so that every crate's own tests can use it.

use super::{Disk, DiskError, DiskFailure, DiskFile, DiskResult, FileBytes, Space, parent};
use crate::random::{Random, SeededRandom};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Writes reach the platter in units of this many bytes.
pub const SECTOR_BYTES: usize = 512;

#[derive(Clone, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// What is on the platter.
    synced: Vec<u8>,
    /// A sync of this file failed: its unsynced bytes will never be trusted again.
    poisoned: bool,
}

/// A change of names that its directory has not synced yet.
#[derive(Clone)]
enum NameChange {
    Link(String, u64),
    Unlink(String),
}

#[derive(Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Unsynced name changes by directory, in order.
    pending: BTreeMap<String, Vec<NameChange>>,
    directories: BTreeSet<String>,
    capacity: Option<u64>,
    /// Operations that change something, counted.
    operations: u64,
    syncs: u64,
    power_lost: bool,
    faults: Faults,
}

/// What the disk shall do wrong. Counts are of all operations since the disk was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lose power at this changing operation (append, create, rename, remove, sync …), before it happens.
    pub power_loss_at_operation: Option<u64>,
    /// Answer the n-th file sync with an error and drop its bytes.
    pub fail_sync: Option<u64>,
}

/// The simulated disk. Clones share the same platters.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    random: Arc<SeededRandom>,
}

impl SimDisk {
    /// An empty disk without a capacity limit, whose tearing is decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::default(), random: Arc::new(SeededRandom::new(seed)) }
    }

    /// Sets what shall go wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Limits the sum of all file lengths; `None` lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Changing operations so far: the range of crash points that a sweep must try.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// File syncs so far.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Cuts the power now. Every operation fails until [`SimDisk::restart`].
    pub fn lose_power(&self) {
        self.state.lock().power_lost = true;
    }

    /// Whether the power is gone.
    pub fn power_lost(&self) -> bool {
        self.state.lock().power_lost
    }

    /// Power on: what was synced is there; of the rest, a random part, torn at sector bounds. Faults are
    /// cleared.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        let mut names = state.durable_names.clone();
        for changes in std::mem::take(&mut state.pending).into_values() {
            let kept = self.random.below(changes.len() as u64 + 1) as usize;
            for change in &changes[..kept] {
                apply_change(&mut names, change);
            }
        }
        for inode in state.inodes.values_mut() {
            self.settle(inode);
        }
        let live: BTreeSet<u64> = names.values().copied().collect();
        state.inodes.retain(|number, _| live.contains(number));
        state.durable_names = names.clone();
        state.names = names;
        state.power_lost = false;
        state.faults = Faults::default();
    }

    /// Decides which unsynced sectors of a file survived.
    fn settle(&self, inode: &mut Inode) {
        let common = inode.synced.len().min(inode.bytes.len());
        if inode.bytes.len() > common && inode.bytes[..common] == inode.synced[..common] && !inode.poisoned {
            let unsynced = inode.bytes.len() - common;
            let kept = self.random.below(unsynced as u64 + 1) as usize;
            let mut survived = inode.bytes[..common + kept].to_vec();
            // A sector in the middle of the unsynced part may not have made it: it reads as zeros.
            if kept > SECTOR_BYTES && self.random.below(2) == 0 {
                let sector = (common + self.random.below(kept as u64) as usize) / SECTOR_BYTES * SECTOR_BYTES;
                let (from, to) = (sector.max(common), (sector + SECTOR_BYTES).min(survived.len()));
                survived[from..to].fill(0);
            }
            inode.synced = survived;
        }
        inode.bytes = inode.synced.clone();
        inode.poisoned = false;
    }

    /// Flips one bit of a file on the platter, as decay would.
    pub fn flip_bit(&self, path: &str, bit: u64) -> bool {
        let mut state = self.state.lock();
        let Some(inode) = state.names.get(path).copied().and_then(|n| state.inodes.get_mut(&n)) else {
            return false;
        };
        let (byte, mask) = ((bit / 8) as usize, 1u8 << (bit % 8));
        for bytes in [&mut inode.bytes, &mut inode.synced] {
            if let Some(b) = bytes.get_mut(byte) {
                *b ^= mask;
            }
        }
        true
    }

    /// Every file with its length, sorted by name.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state.lock();
        state.names.iter().map(|(name, n)| (name.clone(), state.inodes[n].bytes.len() as u64)).collect()
    }

    /// Counts a changing operation and decides whether it is the last.
    fn change(&self, operation: &'static str, path: &str) -> DiskResult<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.operations += 1;
        if state.faults.power_loss_at_operation.is_some_and(|at| state.operations >= at) {
            state.power_lost = true;
        }
        if state.power_lost { Err(error(operation, path, DiskFailure::PowerLost)) } else { Ok(state) }
    }

    fn look(&self, operation: &'static str, path: &str) -> DiskResult<parking_lot::MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.power_lost { Err(error(operation, path, DiskFailure::PowerLost)) } else { Ok(state) }
    }
}

fn error(operation: &'static str, path: &str, failure: DiskFailure) -> DiskError {
    DiskError { operation, path: path.to_string(), failure }
}

fn apply_change(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Link(name, inode) => names.insert(name.clone(), *inode),
        NameChange::Unlink(name) => names.remove(name),
    };
}

impl State {
    fn note(&mut self, change: NameChange) {
        apply_change(&mut self.names, &change);
        let (NameChange::Link(name, _) | NameChange::Unlink(name)) = &change;
        self.pending.entry(parent(name).to_string()).or_default().push(change);
    }

    fn inode(&self, operation: &'static str, path: &str) -> DiskResult<u64> {
        self.names.get(path).copied().ok_or_else(|| error(operation, path, DiskFailure::NotFound))
    }

    fn used(&self) -> u64 {
        self.names.values().map(|n| self.inodes[n].bytes.len() as u64).sum()
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    path: String,
    len: u64,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> DiskResult<()> {
        let mut state = self.disk.change("append", &self.path)?;
        let room = state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used()));
        let fits = (bytes.len() as u64).min(room) as usize;
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.bytes.extend_from_slice(&bytes[..fits]);
        }
        self.len += fits as u64;
        if fits < bytes.len() { Err(error("append", &self.path, DiskFailure::Full)) } else { Ok(()) }
    }

    fn sync(&mut self) -> DiskResult<()> {
        let mut state = self.disk.change("sync", &self.path)?;
        state.syncs += 1;
        let failing = state.faults.fail_sync == Some(state.syncs);
        let Some(inode) = state.inodes.get_mut(&self.inode) else { return Ok(()) };
        if failing {
            inode.poisoned = true;
            return Err(error("sync", &self.path, DiskFailure::Failed));
        }
        // A later sync of a poisoned file says Ok, as Linux does, and lies: the dropped pages stay lost.
        if !inode.poisoned {
            inode.synced = inode.bytes.clone();
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &str) -> DiskResult<()> {
        let mut state = self.change("create_dir", path)?;
        let mut at = path;
        while !at.is_empty() {
            state.directories.insert(at.to_string());
            at = parent(at);
        }
        Ok(())
    }

    fn list(&self, path: &str) -> DiskResult<Vec<String>> {
        let state = self.look("list", path)?;
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below =
            state.names.keys().chain(&state.directories).filter_map(|name| name.strip_prefix(&prefix));
        let names: BTreeSet<String> =
            below.filter_map(|rest| rest.split('/').next()).map(str::to_string).collect();
        Ok(names.into_iter().collect())
    }

    fn create(&self, path: &str) -> DiskResult<Box<dyn DiskFile>> {
        let mut state = self.change("create", path)?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.note(NameChange::Link(path.to_string(), inode));
        Ok(Box::new(SimFile { disk: self.clone(), inode, path: path.to_string(), len: 0 }))
    }

    fn open_at(&self, path: &str, len: u64) -> DiskResult<Box<dyn DiskFile>> {
        let mut state = self.change("open_at", path)?;
        let number = state.inode("open_at", path)?;
        if let Some(inode) = state.inodes.get_mut(&number)
            && inode.bytes.len() as u64 != len
        {
            inode.bytes.resize(len as usize, 0);
            inode.synced = inode.bytes.clone();
        }
        Ok(Box::new(SimFile { disk: self.clone(), inode: number, path: path.to_string(), len }))
    }

    fn read(&self, path: &str) -> DiskResult<Vec<u8>> {
        let state = self.look("read", path)?;
        Ok(state.inodes[&state.inode("read", path)?].bytes.clone())
    }

    fn map(&self, path: &str) -> DiskResult<Arc<dyn FileBytes>> {
        Ok(Arc::new(self.read(path)?))
    }

    fn exists(&self, path: &str) -> DiskResult<bool> {
        let state = self.look("exists", path)?;
        Ok(state.names.contains_key(path) || state.directories.contains(path))
    }

    fn rename(&self, from: &str, to: &str) -> DiskResult<()> {
        let mut state = self.change("rename", from)?;
        let inode = state.inode("rename", from)?;
        // Stricter than a journalling file system: a crash may leave both names, never none.
        if parent(from) == parent(to) {
            state.note(NameChange::Link(to.to_string(), inode));
            apply_change(&mut state.names, &NameChange::Unlink(from.to_string()));
            let dir = parent(from).to_string();
            state.pending.entry(dir).or_default().push(NameChange::Unlink(from.to_string()));
        } else {
            state.note(NameChange::Unlink(from.to_string()));
            state.note(NameChange::Link(to.to_string(), inode));
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> DiskResult<()> {
        let mut state = self.change("remove", path)?;
        state.inode("remove", path)?;
        state.note(NameChange::Unlink(path.to_string()));
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> DiskResult<()> {
        let mut state = self.change("remove_dir", path)?;
        let prefix = format!("{path}/");
        let doomed: Vec<String> = state.names.keys().filter(|n| n.starts_with(&prefix)).cloned().collect();
        for name in doomed {
            state.note(NameChange::Unlink(name));
        }
        state.directories.retain(|d| d != path && !d.starts_with(&prefix));
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> DiskResult<()> {
        let mut state = self.change("sync_dir", path)?;
        if !path.is_empty() && !state.directories.contains(path) {
            return Err(error("sync_dir", path, DiskFailure::NotFound));
        }
        for change in state.pending.remove(path).unwrap_or_default() {
            apply_change(&mut state.durable_names, &change);
        }
        Ok(())
    }

    fn space(&self) -> DiskResult<Space> {
        let state = self.look("space", "")?;
        let total = state.capacity.unwrap_or(1 << 40);
        Ok(Space { free: total.saturating_sub(state.used()), total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_disk_conforms() {
        super::super::conformance(&SimDisk::new(1));
    }

    #[test]
    fn unsynced_bytes_and_names_may_be_forgotten() {
        let mut lost_bytes = 0;
        let mut lost_names = 0;
        for seed in 0..50 {
            let disk = SimDisk::new(seed);
            let mut file = disk.create("log").unwrap();
            file.append(b"safe").unwrap();
            file.sync().unwrap();
            disk.sync_dir("").unwrap();
            file.append(&[7; 2000]).unwrap();
            drop(disk.create("other").unwrap());
            disk.lose_power();
            assert_eq!(disk.read("log").unwrap_err().failure, DiskFailure::PowerLost);
            disk.restart();
            let bytes = disk.read("log").unwrap();
            assert_eq!(&bytes[..4], b"safe");
            lost_bytes += u32::from(bytes.len() < 2004);
            lost_names += u32::from(!disk.exists("other").unwrap());
        }
        assert!(lost_bytes > 25 && lost_names > 10, "{lost_bytes} {lost_names}");
    }

    #[test]
    fn a_full_disk_refuses_and_recovers() {
        let disk = SimDisk::new(1);
        disk.set_capacity(Some(10));
        let mut file = disk.create("log").unwrap();
        assert_eq!(file.append(&[1; 11]).unwrap_err().failure, DiskFailure::Full);
        disk.set_capacity(None);
        file.append(&[1; 11]).unwrap();
    }

    #[test]
    fn a_failed_sync_loses_its_bytes_even_if_a_later_sync_says_ok() {
        let disk = SimDisk::new(3);
        let mut file = disk.create("log").unwrap();
        disk.sync_dir("").unwrap();
        disk.set_faults(Faults { fail_sync: Some(1), ..Faults::default() });
        file.append(b"gone").unwrap();
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        disk.lose_power();
        disk.restart();
        assert!(disk.read("log").unwrap().is_empty());
    }
}
