//! A checkpoint of another replica, taken in: file by file, in parts, resumed after a crash, verified, and then made
//! the shard's own in one step.
//!
//! 1. The list of files is written down (`import`): from here on, and until the last step, [`Shard::open`] says that
//!    a copy is under way, and does not take what is there for a shard.
//! 2. The files come under their own names, the manifest as `import-manifest`. A file that is complete is synced,
//!    read back and held to its checksum; if it does not match it is thrown away, to be fetched again.
//! 3. When all are verified, and are exactly what the manifest names, the manifest gets its name: the one step that
//!    makes a shard of the directory.
//!
//! A crash leaves the copy under way, to be resumed, or the whole shard. Nothing that comes from the other side is
//! believed: names are those that a manifest may name, lengths are bounded by the list and the list by the free
//! space.
//!
//! [`Shard::open`]: crate::Shard::open

use crate::bytes::{Decoded, Reader, Writer};
use crate::checkpoint::is_data;
use crate::export::ExportedFile;
use crate::manifest::{MANIFEST, Manifest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vectron_base::disk::{
    CheckedFileError, Disk, DiskError, DiskFailure, DiskFile, load_checked, replace_file, save_checked,
};

/// The list of files, while a copy is under way.
pub(crate) const LIST: &str = "import";
/// The manifest, until the copy is whole.
const MANIFEST_PART: &str = "import-manifest";
const KIND: &str = "vectron-import";
const FORMAT: u32 = 1;
/// Files of one copy: a shard keeps few, far fewer than this.
const FILES_MAX: usize = 1 << 16;
/// A manifest is read whole.
const MANIFEST_MAX_BYTES: u64 = 1 << 30;
/// Appended bytes after which a file is synced, so that a crash does not cost all of it.
const SYNC_BYTES: u64 = 16 << 20;

/// Why a copy is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The directory holds a shard already, or files that are not of a copy.
    #[error("{0} holds something else than a copy under way")]
    Occupied(String),
    /// The list of files makes no sense.
    #[error("the list of files: {0}")]
    List(String),
    /// The files do not fit on the disk.
    #[error("the copy takes {needed} bytes more and {free} are free")]
    NoRoom {
        /// Bytes still to come.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
    /// Not on the list.
    #[error("the copy has no file {0:?}")]
    UnknownFile(String),
    /// A part that begins after the end of what is there.
    #[error("{file}: a part begins at {offset}, and {have} bytes are there")]
    Gap {
        /// Of which file.
        file: String,
        /// Where the part begins.
        offset: u64,
        /// Where the next part must begin.
        have: u64,
    },
    /// A part that goes beyond the length on the list.
    #[error("{file}: a part ends after the file's {bytes} bytes")]
    TooLong {
        /// Of which file.
        file: String,
        /// Its length.
        bytes: u64,
    },
    /// The bytes of a file are not those that were sent. They were thrown away; the file is to be fetched again.
    #[error("{0} does not match its checksum")]
    Mismatch(String),
    /// Files are missing.
    #[error("{0} is not complete")]
    Incomplete(String),
}

/// A copy being taken in. Dropping it loses nothing: [`Import::begin`] with the same list goes on.
pub struct Import {
    disk: Arc<dyn Disk>,
    dir: String,
    wanted: BTreeMap<String, ExportedFile>,
    /// Bytes of each file that are there.
    have: BTreeMap<String, u64>,
    verified: BTreeSet<String>,
    /// The file that grows, and its bytes since the last sync.
    growing: Option<Growing>,
    /// The shard is there.
    whole: bool,
}

struct Growing {
    name: String,
    file: Box<dyn DiskFile>,
    unsynced: u64,
}

/// Where a file of the list is until the copy is whole.
fn stored(name: &str) -> &str {
    if name == MANIFEST { MANIFEST_PART } else { name }
}

/// Whether a manifest may name such a file.
fn is_data_name(name: &str) -> bool {
    let digits = name.strip_prefix("segment-").or_else(|| name.strip_prefix("graph-"));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn checked_list(files: &[ExportedFile]) -> Result<BTreeMap<String, ExportedFile>, ImportError> {
    let refuse = |why: String| Err(ImportError::List(why));
    if files.len() > FILES_MAX {
        return refuse(format!("has {} files, at most {FILES_MAX} are taken", files.len()));
    }
    let mut wanted = BTreeMap::new();
    for file in files {
        let name = &file.name;
        if name != MANIFEST && !is_data_name(name) {
            return refuse(format!("{name:?} is no name of a shard's file"));
        }
        if file.bytes == 0 || name == MANIFEST && file.bytes > MANIFEST_MAX_BYTES {
            return refuse(format!("{name} cannot have {} bytes", file.bytes));
        }
        if wanted.insert(name.clone(), file.clone()).is_some() {
            return refuse(format!("{name} is there twice"));
        }
    }
    if !wanted.contains_key(MANIFEST) {
        return refuse("has no manifest".into());
    }
    Ok(wanted)
}

fn encode_list(wanted: &BTreeMap<String, ExportedFile>) -> Vec<u8> {
    let mut w = Writer::default();
    w.len(wanted.len());
    for file in wanted.values() {
        w.bytes(file.name.as_bytes());
        w.u64(file.bytes);
        w.u32(file.crc);
    }
    w.0
}

fn decode_list(bytes: &[u8]) -> Decoded<BTreeMap<String, ExportedFile>> {
    let mut r = Reader(bytes);
    let file =
        |r: &mut Reader<'_>| Ok(ExportedFile { name: r.text()?.into(), bytes: r.u64()?, crc: r.u32()? });
    let files = r.list(16, file)?;
    r.end()?;
    Ok(files.into_iter().map(|file| (file.name.clone(), file)).collect())
}

impl Import {
    /// Begins to take a copy into `dir`, or goes on where the last attempt ended. Of a list that is another one than
    /// last time, files that are the same are kept. Nobody else may use the directory.
    ///
    /// # Errors
    /// The list makes no sense or does not fit on the disk, the directory holds something else, or the disk refused.
    /// Nothing is removed then but parts of an earlier copy.
    pub fn begin(disk: Arc<dyn Disk>, dir: &str, files: &[ExportedFile]) -> Result<Import, ImportError> {
        let wanted = checked_list(files)?;
        disk.create_dir(dir)?;
        let (have, verified, growing) = (BTreeMap::new(), BTreeSet::new(), None);
        let mut import = Import { disk, dir: dir.into(), wanted, have, verified, growing, whole: false };
        if import.disk.exists(&import.path(MANIFEST))? {
            if !import.matches(MANIFEST, MANIFEST)? {
                return Err(ImportError::Occupied(dir.into()));
            }
            import.whole = true;
            import.verified = import.wanted.keys().cloned().collect();
            return Ok(import);
        }
        let before = import.last_list()?;
        if before.as_ref() != Some(&import.wanted) {
            save_checked(&*import.disk, &import.path(LIST), KIND, FORMAT, &encode_list(&import.wanted))?;
        }
        import.take_stock(before.as_ref())?;
        let needed = import.missing_bytes();
        let free = import.disk.space()?.free;
        if needed > free {
            return Err(ImportError::NoRoom { needed, free });
        }
        Ok(import)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// The list of the copy that is under way here, if one is.
    fn last_list(&self) -> Result<Option<BTreeMap<String, ExportedFile>>, ImportError> {
        match load_checked(&*self.disk, &self.path(LIST), KIND, FORMAT) {
            Ok(body) => Ok(Some(decode_list(&body).unwrap_or_default())),
            Err(CheckedFileError::Disk(error)) if error.failure == DiskFailure::NotFound => {
                let names = self.disk.list(&self.dir)?;
                if names.iter().any(|name| is_data(name)) {
                    return Err(ImportError::Occupied(self.dir.clone()));
                }
                Ok(None)
            }
            Err(CheckedFileError::Disk(error)) => Err(error.into()),
            // What was fetched by a list that is lost is held to the new one.
            Err(_) => Ok(Some(BTreeMap::new())),
        }
    }

    /// Finds out which of the files that are there are of use, and removes the others.
    fn take_stock(&mut self, before: Option<&BTreeMap<String, ExportedFile>>) -> Result<(), ImportError> {
        for name in self.disk.list(&self.dir)? {
            if !is_data(&name) && name != MANIFEST_PART {
                continue;
            }
            let listed = if name == MANIFEST_PART { MANIFEST } else { name.as_str() };
            let wanted = self.wanted.get(listed).cloned();
            let known = before.and_then(|before| before.get(listed));
            if let Some(wanted) = wanted {
                let len = self.disk.map(&self.path(&name))?.len() as u64;
                if len == wanted.bytes && self.matches(listed, &name)? {
                    self.have.insert(wanted.name.clone(), len);
                    self.verified.insert(wanted.name);
                    continue;
                }
                if len < wanted.bytes && known == Some(&wanted) {
                    self.have.insert(wanted.name, len);
                    continue;
                }
            }
            self.disk.remove(&self.path(&name))?;
        }
        Ok(())
    }

    /// Whether the file stored as `stored` is the one that is wanted as `name`.
    fn matches(&self, name: &str, stored: &str) -> Result<bool, ImportError> {
        let Some(wanted) = self.wanted.get(name) else { return Ok(false) };
        let bytes = self.disk.map(&self.path(stored))?;
        Ok(bytes.len() as u64 == wanted.bytes && crc32fast::hash(&bytes) == wanted.crc)
    }

    /// The next file to be fetched, and from where; `None` when all are there and verified.
    pub fn next(&self) -> Option<(&ExportedFile, u64)> {
        let mut open = self.wanted.values().filter(|file| !self.verified.contains(&file.name));
        open.next().map(|file| (file, self.have.get(&file.name).copied().unwrap_or(0)))
    }

    /// Bytes still to be fetched.
    pub fn missing_bytes(&self) -> u64 {
        let have = |file: &ExportedFile| match self.verified.contains(&file.name) {
            true => file.bytes,
            false => self.have.get(&file.name).copied().unwrap_or(0),
        };
        let missing = self.wanted.values().map(|file| file.bytes.saturating_sub(have(file)));
        missing.fold(0, u64::saturating_add)
    }

    /// Adds a part of a file; how many of its bytes are there now. What is there already is passed over, so that
    /// parts may come again. The part that completes a file verifies it.
    ///
    /// # Errors
    /// The part is none of this copy, or begins after what is there; [`ImportError::Mismatch`]: the whole file is to
    /// be fetched again; or the disk refused: the import goes on once it does no more.
    pub fn put(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<u64, ImportError> {
        let Some(wanted) = self.wanted.get(file).cloned() else {
            return Err(ImportError::UnknownFile(file.into()));
        };
        let end = offset.saturating_add(bytes.len() as u64);
        if end > wanted.bytes {
            return Err(ImportError::TooLong { file: wanted.name, bytes: wanted.bytes });
        }
        if self.verified.contains(file) {
            return Ok(wanted.bytes);
        }
        let have = self.have.get(file).copied().unwrap_or(0);
        let Some(skip) = have.checked_sub(offset) else {
            return Err(ImportError::Gap { file: wanted.name, offset, have });
        };
        let new = bytes.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        self.append(file, have, new)?;
        let have = have + new.len() as u64;
        if have == wanted.bytes {
            self.complete(file)?;
        }
        Ok(have)
    }

    fn append(&mut self, name: &str, have: u64, bytes: &[u8]) -> Result<(), ImportError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut growing = match self.growing.take() {
            Some(growing) if growing.name == name => growing,
            other => {
                // The file that grew until now is synced when it is complete; a crash may cost its last bytes.
                drop(other);
                let path = self.path(stored(name));
                let file = match have {
                    0 => self.disk.create(&path)?,
                    have => self.disk.open_at(&path, have)?,
                };
                Growing { name: name.into(), file, unsynced: 0 }
            }
        };
        // After an error here the file is opened anew, cut to what is known to be there.
        growing.file.append(bytes)?;
        growing.unsynced += bytes.len() as u64;
        self.have.insert(name.into(), have + bytes.len() as u64);
        if growing.unsynced >= SYNC_BYTES {
            self.sync(&mut growing)?;
        }
        self.growing = Some(growing);
        Ok(())
    }

    /// Makes a file's bytes durable. If that fails they are in doubt for good, and the file is begun anew.
    fn sync(&mut self, growing: &mut Growing) -> Result<(), ImportError> {
        growing.unsynced = 0;
        growing.file.sync().map_err(|error| {
            _ = self.throw_away(&growing.name);
            error.into()
        })
    }

    fn throw_away(&mut self, name: &str) -> Result<(), ImportError> {
        self.have.remove(name);
        Ok(self.disk.remove(&self.path(stored(name)))?)
    }

    /// All bytes of a file are there: makes them durable and holds them to the checksum.
    fn complete(&mut self, name: &str) -> Result<(), ImportError> {
        let mut growing = match self.growing.take() {
            Some(growing) if growing.name == name => growing,
            other => {
                drop(other);
                let have = self.have.get(name).copied().unwrap_or(0);
                let file = self.disk.open_at(&self.path(stored(name)), have)?;
                Growing { name: name.into(), file, unsynced: 0 }
            }
        };
        self.sync(&mut growing)?;
        drop(growing);
        if !self.matches(name, stored(name))? {
            self.throw_away(name)?;
            return Err(ImportError::Mismatch(name.into()));
        }
        self.verified.insert(name.into());
        Ok(())
    }

    /// Makes a shard of the directory, when all files are there: from here on [`Shard::open`] opens it. The applied
    /// index that it has. May be called again after an error of the disk.
    ///
    /// # Errors
    /// A file is not complete, the manifest names other files than the list, or the disk refused.
    ///
    /// [`Shard::open`]: crate::Shard::open
    pub fn finish(&mut self) -> Result<u64, ImportError> {
        if let Some((file, _)) = self.next() {
            return Err(ImportError::Incomplete(file.name.clone()));
        }
        let stored = if self.whole { MANIFEST } else { MANIFEST_PART };
        let bytes = self.disk.read(&self.path(stored))?;
        let manifest =
            Manifest::decode(&bytes).map_err(|error| ImportError::List(format!("the manifest {error}")))?;
        let named: BTreeMap<String, u64> = manifest.files().collect();
        let data = self.wanted.values().filter(|file| file.name != MANIFEST);
        if manifest.provisional {
            return Err(ImportError::List("the manifest is not of a whole shard".into()));
        }
        if named != data.map(|file| (file.name.clone(), file.bytes)).collect() {
            return Err(ImportError::List("the manifest names other files".into()));
        }
        // All names before the manifest's; or that, if an earlier attempt ended before it was durable.
        self.disk.sync_dir(&self.dir)?;
        if !self.whole {
            replace_file(&*self.disk, &self.path(MANIFEST), &bytes)?;
            self.whole = true;
        }
        for name in [MANIFEST_PART, LIST] {
            match self.disk.remove(&self.path(name)) {
                Err(error) if error.failure != DiskFailure::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(manifest.applied_index)
    }
}
