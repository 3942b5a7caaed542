//! The catalog's checkpoint: the whole state in one checksummed file, replaced atomically.
//!
//! Layout: a checked file of kind `vectron-catalog`, whose body is JSON.

use super::Catalog;
use serde::{Deserialize, Serialize};
use vectron_base::disk::{CheckedFileError, Disk, DiskError, DiskFailure, load_checked, save_checked};
use vectron_wire::placement::{CatalogSnapshot, Members};

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

/// The point of the log where a state was taken that came from another member. The log here may not reach it: then
/// it begins there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The term of the last entry in it.
    pub term: u64,
    /// Who were members then.
    pub members: Members,
}

/// A catalog at an index of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) applied_index: u64,
    pub(super) catalog: Catalog,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
}

impl Saved {
    /// As a member gives it to another.
    pub(super) fn encode(&self) -> Result<Vec<u8>, CatalogFileError> {
        serde_json::to_vec(self).map_err(|_| CONTENT)
    }

    /// From what another member gave.
    pub(super) fn received(snapshot: &CatalogSnapshot) -> Result<Self, CatalogFileError> {
        let mut saved: Saved = serde_json::from_slice(&snapshot.bytes).map_err(|_| CONTENT)?;
        if saved.applied_index != snapshot.index {
            return Err(CONTENT);
        }
        saved.origin = Some(Origin { term: snapshot.term, members: snapshot.members.clone() });
        Ok(saved)
    }
}

/// The last checkpoint, or an empty catalog at index zero.
pub(super) fn load(disk: &dyn Disk) -> Result<Saved, CatalogFileError> {
    let body = match load_checked(disk, PATH, KIND, FORMAT) {
        Ok(body) => body,
        Err(CheckedFileError::Disk(error)) if error.failure == DiskFailure::NotFound => {
            return Ok(Saved::default());
        }
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&body).map_err(|_| CONTENT)
}

/// Replaces the checkpoint.
pub(super) fn save(disk: &dyn Disk, saved: &Saved) -> Result<(), CatalogFileError> {
    let body = saved.encode()?;
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
        assert_eq!(load(&disk).unwrap(), Saved::default());
        let saved = Saved { applied_index: 7, ..Saved::default() };
        save(&disk, &saved).unwrap();
        assert_eq!(load(&disk).unwrap(), saved);
        let bits = disk.read(PATH).unwrap().len() as u64 * 8;
        for bit in 0..bits {
            disk.flip_bit(PATH, bit);
            let read = load(&disk);
            assert!(read.is_err() || read.as_ref() == Ok(&saved), "bit {bit}: {read:?}");
            disk.flip_bit(PATH, bit);
        }
    }

    /// What was written before the cluster has no moves, members or origin.
    #[test]
    fn a_file_from_before_the_cluster_is_read() {
        let old = r#"{"applied_index":9,"catalog":{"epoch":3,"next_incarnation":1,"next_shard":1,"next_replica":1,
            "collections":{"1":{"spec":{"name":"a","dimension":2,"distance":"dot","shards":1,
            "replication_factor":1,"read_policy":{"level":"linearizable"}},"incarnation":1,"created_at_ms":5,
            "state":"live","shards":[{"shard":1,"first":0,"last":18446744073709551615,"epoch":1,
            "replicas":[{"replica":1,"worker":77}]}]}},
            "workers":{"77":{"worker":77,"address":"local","cores":2,"memory_bytes":4,"disk_bytes":8}}}}"#;
        let saved: Saved = serde_json::from_str(old).unwrap();
        assert_eq!((saved.applied_index, saved.origin), (9, None));
        let view = saved.catalog.view();
        assert_eq!((view.epoch, view.workers.len()), (4, 1));
        assert_eq!(view.live("a").unwrap().shards[0].voters().count(), 1);
    }

    #[test]
    fn a_state_from_another_member_names_its_place_in_the_log() {
        let sent = Saved { applied_index: 7, ..Saved::default() };
        let members = Members::default();
        let mut snapshot = CatalogSnapshot { index: 7, term: 3, members, bytes: sent.encode().unwrap() };
        let saved = Saved::received(&snapshot).unwrap();
        assert_eq!(saved.origin, Some(Origin { term: 3, members: Members::default() }));
        snapshot.index = 8;
        assert!(Saved::received(&snapshot).is_err());
        snapshot.bytes.truncate(3);
        assert!(Saved::received(&snapshot).is_err());
    }
}
