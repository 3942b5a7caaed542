//! What a shard's directory says of itself, so that a worker can serve it without asking anybody.
//!
//! `shards/<shard>/meta`: a checked file of kind `vectron-shard`, whose body is JSON.

use serde::{Deserialize, Serialize};
use vectron_base::disk::{CheckedFileError, Disk, DiskError, load_checked, save_checked};
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId};
use vectron_wire::placement::{Collection, CollectionSpec, Shard};

const KIND: &str = "vectron-shard";
const FORMAT: u32 = 1;

/// Identity and configuration of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMeta {
    /// The collection's configuration.
    pub spec: CollectionSpec,
    /// The life of the collection's name.
    pub incarnation: Incarnation,
    /// The shard with its replicas.
    pub shard: Shard,
    /// Which replica this directory is.
    pub replica: ReplicaId,
    /// The payload indexes that the catalog had for it last.
    #[serde(default)]
    pub field_indexes: Vec<FieldIndex>,
}

/// Why a shard's meta file could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// The file is damaged, of a newer format, or unreadable.
    #[error("its meta file {0}")]
    File(#[from] CheckedFileError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

const CONTENT: MetaError = MetaError::File(CheckedFileError::Damaged("content makes no sense"));

/// Directory of a shard.
pub fn directory(shard: ShardId) -> String {
    format!("shards/{shard}")
}

/// Directory of a shard's records and graph.
pub fn data_directory(shard: ShardId) -> String {
    format!("shards/{shard}/data")
}

impl ShardMeta {
    /// The meta of one replica as the catalog assigns it.
    pub fn new(collection: &Collection, shard: &Shard, replica: ReplicaId) -> Self {
        Self {
            spec: collection.spec.clone(),
            incarnation: collection.incarnation,
            shard: shard.clone(),
            replica,
            field_indexes: collection.field_indexes.clone(),
        }
    }

    /// Writes the file; durable on return.
    pub fn save(&self, disk: &dyn Disk) -> Result<(), MetaError> {
        let body = serde_json::to_vec(self).map_err(|_| CONTENT)?;
        disk.create_dir(&directory(self.shard.shard))?;
        save_checked(disk, &path(self.shard.shard), KIND, FORMAT, &body)?;
        Ok(())
    }

    /// Reads and checks the file.
    pub fn load(disk: &dyn Disk, shard: ShardId) -> Result<Self, MetaError> {
        let body = load_checked(disk, &path(shard), KIND, FORMAT)?;
        serde_json::from_slice(&body).map_err(|_| CONTENT)
    }
}

fn path(shard: ShardId) -> String {
    format!("{}/meta", directory(shard))
}

/// Shards that have a meta file, in order of id. A directory without one is a creation that a crash cut
/// short: nothing was ever acknowledged from it.
pub fn present(disk: &dyn Disk) -> Result<Vec<ShardId>, DiskError> {
    let mut shards = Vec::new();
    for name in disk.list("shards")? {
        if let Ok(number) = name.parse()
            && disk.exists(&path(ShardId(number)))?
        {
            shards.push(ShardId(number));
        }
    }
    shards.sort();
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::disk::sim::SimDisk;
    use vectron_base::filter::FieldType;
    use vectron_base::ids::WorkerId;
    use vectron_wire::placement::{Distance, IndexSettings, Quantization, ReadPolicy, Replica, Storage};

    fn meta(shard: u64) -> ShardMeta {
        let spec = CollectionSpec {
            name: "docs".into(),
            dimension: 3,
            distance: Distance::Cosine,
            shards: 1,
            replication_factor: 1,
            read_policy: ReadPolicy::Bounded { max_staleness_ms: 7 },
            quantization: Quantization::FourBit,
            storage: Storage::Mmap,
            index: IndexSettings { degree: 16, ef_construction: 64 },
        };
        let replicas = vec![Replica::voter(ReplicaId(5), WorkerId(9))];
        let shard = Shard {
            shard: ShardId(shard),
            first: 0,
            last: u64::MAX,
            epoch: 1,
            config: 1,
            replicas,
            leader: None,
            split: None,
        };
        let field_indexes = vec![FieldIndex { field: "a.b".into(), kind: FieldType::Datetime }];
        ShardMeta { spec, incarnation: Incarnation(2), shard, replica: ReplicaId(5), field_indexes }
    }

    #[test]
    fn a_meta_file_comes_back_and_every_flipped_bit_is_noticed() {
        let disk = SimDisk::new(1);
        meta(3).save(&disk).unwrap();
        assert_eq!(ShardMeta::load(&disk, ShardId(3)), Ok(meta(3)));
        for bit in 0..disk.read(&path(ShardId(3))).unwrap().len() as u64 * 8 {
            disk.flip_bit(&path(ShardId(3)), bit);
            let read = ShardMeta::load(&disk, ShardId(3));
            assert!(read.is_err() || read == Ok(meta(3)), "bit {bit}: {read:?}");
            disk.flip_bit(&path(ShardId(3)), bit);
        }
    }

    #[test]
    fn a_directory_whose_creation_was_cut_short_is_no_shard() {
        let disk = SimDisk::new(1);
        meta(3).save(&disk).unwrap();
        disk.create_dir(&data_directory(ShardId(4))).unwrap();
        assert_eq!(present(&disk), Ok(vec![ShardId(3)]));
    }
}
