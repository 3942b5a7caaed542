//! A checkpoint offered to another replica: its files, each with a checksum, readable in parts.
//!
//! Segments and graph files never change and the seam keeps a map readable after its file is removed, so an export
//! is maps of the files that the manifest names, taken while no checkpoint is under way. Later checkpoints go on and
//! remove what they like; the space of a removed file comes back when the last export that has it is dropped. The
//! number of exports is bounded, and with it the space that is kept.
//!
//! Every live record is verified before the first byte leaves: a replica with damaged records is no source.

use crate::damage::Damage;
use crate::manifest::{MANIFEST, Manifest};
use crate::segment::Segment;
use crate::shard::Shard;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vectron_base::disk::{DiskError, DiskFailure, FileBytes};

/// Exports of one shard at a time.
pub const EXPORTS_MAX: usize = 4;
/// Most bytes that one [`Export::read`] returns.
pub const EXPORT_READ_MAX_BYTES: usize = 8 << 20;

/// Why there is no export, or no part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// No checkpoint was made yet: make one first.
    #[error("the shard has no checkpoint yet")]
    NoCheckpoint,
    /// [`EXPORTS_MAX`] exports are alive: one of them must be dropped first.
    #[error("{EXPORTS_MAX} exports of the shard are under way")]
    Busy,
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Stored records are damaged: this replica must be replaced, and can be no source.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The export has no file of this name.
    #[error("the export has no file {0:?}")]
    UnknownFile(String),
}

/// A file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name in the shard's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of all its bytes.
    pub crc: u32,
}

/// A checkpoint as it was, for as long as this lives, whatever the shard does.
pub struct Export {
    applied_index: u64,
    files: Vec<ExportedFile>,
    /// What is in each of the files, in the same order.
    bytes: Vec<Arc<dyn FileBytes>>,
    _place: Place,
}

/// One of the places for exports, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(places: &Arc<AtomicUsize>) -> Option<Place> {
        let more = |taken: usize| (taken < EXPORTS_MAX).then_some(taken + 1);
        places.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Place(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Export {
    /// The applied index that the checkpoint covers.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// Its files, the manifest last.
    pub fn files(&self) -> &[ExportedFile] {
        &self.files
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The bytes of a file from `offset` on, at most `limit` and [`EXPORT_READ_MAX_BYTES`] of them; none at or after
    /// its end.
    ///
    /// # Errors
    /// There is no such file.
    pub fn read(&self, file: &str, offset: u64, limit: usize) -> Result<Vec<u8>, ExportError> {
        let mut files = self.files.iter().zip(&self.bytes);
        let Some((_, bytes)) = files.find(|(known, _)| known.name == file) else {
            return Err(ExportError::UnknownFile(file.into()));
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let to = from.saturating_add(limit.min(EXPORT_READ_MAX_BYTES)).min(bytes.len());
        Ok(bytes.get(from..to).unwrap_or(&[]).to_vec())
    }
}

impl Shard {
    /// The last durable checkpoint, to be copied to another replica. Waits for a checkpoint under way; reads and
    /// verifies all files. A shard that is far ahead of its checkpoint makes one first.
    pub fn export(&self) -> Result<Export, ExportError> {
        let place = Place::take(&self.exports).ok_or(ExportError::Busy)?;
        let (manifest, mut found) = self.map_checkpoint()?;
        for wanted in &manifest.segments {
            let name = wanted.name();
            let Some((_, bytes)) = found.iter().find(|(known, _)| *known == name) else { continue };
            let expected = (wanted.len, wanted.entries_crc);
            let file = self.path(&name);
            let verified = Segment::open(wanted.number, file, bytes.clone(), &self.schema, expected)
                .and_then(|segment| {
                    wanted.live.iter().try_for_each(|at| segment.verified_bytes(at).map(drop))
                });
            if let Err(damage) = verified {
                _ = self.report(damage.clone());
                return Err(damage.into());
            }
        }
        // The manifest last: a copy without it is none.
        found.sort_by_key(|(name, _)| name == MANIFEST);
        let file = |(name, bytes): &(String, Arc<dyn FileBytes>)| ExportedFile {
            name: name.clone(),
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
        };
        Ok(Export {
            applied_index: manifest.applied_index,
            files: found.iter().map(file).collect(),
            bytes: found.into_iter().map(|(_, bytes)| bytes).collect(),
            _place: place,
        })
    }

    /// The manifest on disk, and the files that it names with itself, all of one checkpoint.
    #[allow(clippy::type_complexity, reason = "taken apart at once by the only caller")]
    fn map_checkpoint(&self) -> Result<(Manifest, Vec<(String, Arc<dyn FileBytes>)>), ExportError> {
        // Checkpoints replace the manifest and remove files with this held.
        let saved = self.saving.lock();
        if !saved.any {
            return Err(ExportError::NoCheckpoint);
        }
        let path = self.path(MANIFEST);
        let bytes = self.disk.map(&path)?;
        let manifest = Manifest::decode(&bytes)
            .map_err(|error| Damage { file: path.clone(), detail: error.to_string() })?;
        if manifest.provisional {
            return Err(ExportError::NoCheckpoint);
        }
        let mut found: Vec<(String, Arc<dyn FileBytes>)> = Vec::new();
        for (name, len) in manifest.files() {
            let file = self.path(&name);
            let bytes = self.disk.map(&file).map_err(|error| match error.failure {
                DiskFailure::NotFound => Damage { file: file.clone(), detail: "is missing".into() }.into(),
                _ => ExportError::Disk(error),
            })?;
            if bytes.len() as u64 != len {
                let detail = format!("has {} bytes, expected {len}", bytes.len());
                return Err(Damage { file, detail }.into());
            }
            found.push((name, bytes));
        }
        found.push((MANIFEST.into(), bytes));
        Ok((manifest, found))
    }
}
