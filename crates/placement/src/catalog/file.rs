//! The catalog's checkpoint: the whole state in one checksummed file, replaced atomically.
//!
//! Layout: one header line `vectron-catalog <format> <crc32 of the rest, 8 hex digits>`, then JSON.

use super::Catalog;
use serde::{Deserialize, Serialize};
use vectron_base::disk::{Disk, DiskError, DiskFailure, replace_file};

const DIRECTORY: &str = "catalog";
const PATH: &str = "catalog/state";
const FORMAT: u32 = 1;

/// Why the catalog could not be opened or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogFileError {
    /// The file is damaged. It is never served; restore it or, on a cluster, rebuild it from a peer.
    #[error("{PATH} is damaged: {0}")]
    Damaged(&'static str),
    /// The file is of a format that this binary does not know.
    #[error("{PATH} has format {0}, this binary knows {FORMAT}; start a newer binary")]
    Format(u32),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

#[derive(Serialize, Deserialize)]
struct Saved {
    applied_index: u64,
    catalog: Catalog,
}

/// The last checkpoint, or an empty catalog at index zero.
pub fn load(disk: &dyn Disk) -> Result<(u64, Catalog), CatalogFileError> {
    let bytes = match disk.read(PATH) {
        Ok(bytes) => bytes,
        Err(error) if error.failure == DiskFailure::NotFound => return Ok((0, Catalog::default())),
        Err(error) => return Err(error.into()),
    };
    let end = bytes.iter().position(|b| *b == b'\n').ok_or(CatalogFileError::Damaged("no header"))?;
    let (header, body) = (&bytes[..end], &bytes[end + 1..]);
    let header = std::str::from_utf8(header).map_err(|_| CatalogFileError::Damaged("bad header"))?;
    let mut words = header.split(' ');
    if words.next() != Some("vectron-catalog") {
        return Err(CatalogFileError::Damaged("bad header"));
    }
    let format: u32 =
        words.next().and_then(|w| w.parse().ok()).ok_or(CatalogFileError::Damaged("bad header"))?;
    let crc = words.next().and_then(|w| u32::from_str_radix(w, 16).ok());
    if crc != Some(crc32fast::hash(body)) {
        return Err(CatalogFileError::Damaged("checksum does not match"));
    }
    if format != FORMAT {
        return Err(CatalogFileError::Format(format));
    }
    let saved: Saved =
        serde_json::from_slice(body).map_err(|_| CatalogFileError::Damaged("content cannot be read"))?;
    Ok((saved.applied_index, saved.catalog))
}

/// Replaces the checkpoint.
pub fn save(disk: &dyn Disk, applied_index: u64, catalog: &Catalog) -> Result<(), CatalogFileError> {
    let saved = Saved { applied_index, catalog: catalog.clone() };
    let body =
        serde_json::to_vec(&saved).map_err(|_| CatalogFileError::Damaged("content cannot be written"))?;
    let mut bytes = format!("vectron-catalog {FORMAT} {:08x}\n", crc32fast::hash(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    disk.create_dir(DIRECTORY)?;
    replace_file(disk, PATH, &bytes)?;
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
