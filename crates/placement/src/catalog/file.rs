//! The catalog's checkpoint: the whole state in one checksummed file, replaced atomically.
//!
//! Layout: a checked file of kind `vectron-catalog`, whose body is JSON.

use super::Catalog;
use serde::{Deserialize, Serialize};
use vectron_base::disk::{CheckedFileError, Disk, DiskError, DiskFailure, load_checked, save_checked};

const DIRECTORY: &str = "catalog";
const PATH: &str = "catalog/state";
const KIND: &str = "vectron-catalog";
const FORMAT: u32 = 1;

/// Why the catalog could not be opened or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogFileError {
    /// The file is damaged, of a newer format, or unreadable. It is never served; restore it or, on a cluster,
    /// rebuild it from a peer.
    #[error("{PATH} {0}")]
    File(#[from] CheckedFileError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

const CONTENT: CatalogFileError = CatalogFileError::File(CheckedFileError::Damaged("content makes no sense"));

#[derive(Serialize, Deserialize)]
struct Saved {
    applied_index: u64,
    catalog: Catalog,
}

/// The last checkpoint, or an empty catalog at index zero.
pub fn load(disk: &dyn Disk) -> Result<(u64, Catalog), CatalogFileError> {
    let body = match load_checked(disk, PATH, KIND, FORMAT) {
        Ok(body) => body,
        Err(CheckedFileError::Disk(error)) if error.failure == DiskFailure::NotFound => {
            return Ok((0, Catalog::default()));
        }
        Err(error) => return Err(error.into()),
    };
    let saved: Saved = serde_json::from_slice(&body).map_err(|_| CONTENT)?;
    Ok((saved.applied_index, saved.catalog))
}

/// Replaces the checkpoint.
pub fn save(disk: &dyn Disk, applied_index: u64, catalog: &Catalog) -> Result<(), CatalogFileError> {
    let saved = Saved { applied_index, catalog: catalog.clone() };
    let body = serde_json::to_vec(&saved).map_err(|_| CONTENT)?;
    disk.create_dir(DIRECTORY)?;
    save_checked(disk, PATH, KIND, FORMAT, &body)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::disk::sim::SimDisk;

    #[test]
    fn a_checkpoint_comes_back_and_every_flipped_bit_is_noticed() {
        let disk = SimDisk::new(1);
        assert_eq!(load(&disk).unwrap(), (0, Catalog::default()));
        save(&disk, 7, &Catalog::default()).unwrap();
        assert_eq!(load(&disk).unwrap(), (7, Catalog::default()));
        let bits = disk.read(PATH).unwrap().len() as u64 * 8;
        for bit in 0..bits {
            disk.flip_bit(PATH, bit);
            let read = load(&disk);
            assert!(read.is_err() || read == Ok((7, Catalog::default())), "bit {bit}: {read:?}");
            disk.flip_bit(PATH, bit);
        }
    }
}
