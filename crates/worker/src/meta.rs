//! What a shard's directory says of itself, so that a worker can serve it without asking anybody.
//!
//! `shards/<shard>/meta`: a checked file of kind `vectron-shard`, whose body is JSON.

use serde::{Deserialize, Serialize};
use vectron_base::disk::{CheckedFileError, Disk, DiskError, load_checked, save_checked};
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{CatalogView, Collection, CollectionSpec, ReplicaRole, Shard};

const KIND: &str = "vectron-shard";
const FORMAT: u32 = 1;

/// Epoch of a shard whose range was never changed.
const FIRST_EPOCH: u64 = 1;

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
    /// Epoch of the catalog when this was written: an older one that does not list the replica says nothing.
    #[serde(default)]
    pub catalog: u64,
    /// Where the workers of the shard's replicas are reached.
    #[serde(default)]
    pub workers: Vec<(WorkerId, String)>,
    /// Number of the data directory: a copy that takes the place of older data gets the next one.
    #[serde(default)]
    pub generation: u64,
    /// The point of the log that the data covers, until the log itself begins there.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// The range that was held when this was written: the store knows ranges without their epochs.
    #[serde(default)]
    pub held: Option<Held>,
    /// The shard that this one splits off from, until its data is whole.
    #[serde(default)]
    pub parent: Option<ShardId>,
}

/// A range's end, and the range's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Last hash that the store takes.
    pub last: u64,
    /// Epoch of that range.
    pub epoch: u64,
}

/// A point of a group's log that a copy of its state covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Index of the last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// Who voted then.
    pub voters: Vec<ReplicaId>,
    /// Who only followed.
    pub learners: Vec<ReplicaId>,
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

/// Directory of a shard's records and graph, by the number of its copy.
pub fn data_directory(shard: ShardId, generation: u64) -> String {
    match generation {
        0 => format!("shards/{shard}/data"),
        _ => format!("shards/{shard}/data-{generation}"),
    }
}

/// Removes data directories that the shard's meta file does not name: left behind when a copy was cut short or took
/// their place.
pub fn sweep(disk: &dyn Disk, shard: ShardId, keep: Option<u64>) -> Result<(), DiskError> {
    let kept = keep.map(|generation| data_directory(shard, generation));
    for name in disk.list(&directory(shard))? {
        let path = format!("{}/{name}", directory(shard));
        if name.starts_with("data") && kept.as_deref() != Some(path.as_str()) {
            disk.remove_dir(&path)?;
        }
    }
    Ok(())
}

impl ShardMeta {
    /// The meta of one replica as the catalog assigns it.
    pub fn new(view: &CatalogView, collection: &Collection, shard: &Shard, replica: ReplicaId) -> Self {
        let has_one = |worker: WorkerId| shard.replicas.iter().any(|r| r.worker == worker);
        let registered = view.workers.iter().map(|entry| &entry.registration);
        Self {
            spec: collection.spec.clone(),
            incarnation: collection.incarnation,
            shard: shard.clone(),
            replica,
            field_indexes: collection.field_indexes.clone(),
            catalog: view.epoch,
            workers: registered
                .filter(|r| has_one(r.worker))
                .map(|r| (r.worker, r.address.clone()))
                .collect(),
            generation: 0,
            origin: None,
            held: None,
            parent: None,
        }
    }

    /// The meta of the shard that splits off, if it has a replica on this worker.
    pub fn of_child(&self, worker: WorkerId) -> Option<Self> {
        let Shard { shard: parent, last, epoch, .. } = self.shard;
        let split = self.shard.split.as_ref()?;
        let replica = split.replicas.iter().find(|r| r.worker == worker)?.replica;
        let shard = Shard {
            shard: split.child,
            first: split.first,
            last,
            epoch: epoch + 1,
            config: 0,
            replicas: split.replicas.clone(),
            leader: None,
            split: None,
        };
        let (generation, origin, held) = (0, None, None);
        Some(Self { shard, replica, generation, origin, held, parent: Some(parent), ..self.clone() })
    }

    /// Directory of the records and the graph.
    pub fn data_directory(&self) -> String {
        data_directory(self.shard.shard, self.generation)
    }

    /// Whether the catalog says the same, whatever its epoch.
    pub fn agrees(&self, other: &ShardMeta) -> bool {
        (&self.shard, &self.field_indexes, &self.workers)
            == (&other.shard, &other.field_indexes, &other.workers)
    }

    /// Whether the replica is one of those that begin the group together, empty. Ranges of later epochs come from a
    /// split, and so does their data; whoever joins or votes later gets a copy.
    pub fn begins_group(&self) -> bool {
        self.shard.epoch <= FIRST_EPOCH && self.role() == Some(ReplicaRole::Voter)
    }

    /// This replica, as the catalog has it.
    pub fn role(&self) -> Option<ReplicaRole> {
        self.shard.replicas.iter().find(|r| r.replica == self.replica).map(|r| r.role)
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

/// Whether a shard has a meta file.
pub fn exists(disk: &dyn Disk, shard: ShardId) -> Result<bool, DiskError> {
    disk.exists(&path(shard))
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
            vector_fields: Vec::new(),
            ttl_ms: Some(5),
        };
        let shard = Shard {
            shard: ShardId(shard),
            first: 0,
            last: u64::MAX,
            epoch: 1,
            config: 3,
            replicas: vec![Replica::voter(ReplicaId(5), WorkerId(9))],
            leader: None,
            split: None,
        };
        ShardMeta {
            spec,
            incarnation: Incarnation(2),
            shard,
            replica: ReplicaId(5),
            field_indexes: vec![FieldIndex { field: "a.b".into(), kind: FieldType::Datetime }],
            catalog: 12,
            workers: vec![(WorkerId(9), "10.0.0.9:8081".into())],
            generation: 1,
            origin: Some(Origin { index: 4, term: 2, voters: vec![ReplicaId(5)], learners: vec![] }),
            held: Some(Held { last: u64::MAX, epoch: 1 }),
            parent: Some(ShardId(2)),
        }
    }

    /// What a worker wrote before there were several: it has to open for ever.
    #[test]
    fn a_meta_file_of_a_single_node_opens() {
        let disk = SimDisk::new(1);
        let body = br#"{"spec":{"name":"docs","dimension":3,"distance":"cosine","shards":1,
            "replication_factor":1,"read_policy":{"level":"linearizable"}},"incarnation":2,
            "shard":{"shard":3,"first":0,"last":18446744073709551615,"epoch":1,
            "replicas":[{"replica":5,"worker":9}]},"replica":5}"#;
        disk.create_dir(&directory(ShardId(3))).unwrap();
        save_checked(&disk, &path(ShardId(3)), KIND, FORMAT, body).unwrap();
        let meta = ShardMeta::load(&disk, ShardId(3)).unwrap();
        assert_eq!(meta.shard.replicas, vec![Replica::voter(ReplicaId(5), WorkerId(9))]);
        assert_eq!((meta.catalog, meta.generation, meta.origin.clone()), (0, 0, None));
        assert_eq!(meta.data_directory(), "shards/3/data");
    }

    #[test]
    fn only_the_data_that_the_meta_file_names_is_kept() {
        let disk = SimDisk::new(1);
        meta(3).save(&disk).unwrap();
        for generation in 0..3 {
            disk.create_dir(&data_directory(ShardId(3), generation)).unwrap();
        }
        sweep(&disk, ShardId(3), Some(1)).unwrap();
        assert_eq!(disk.list(&directory(ShardId(3))).unwrap(), ["data-1", "meta"]);
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
        disk.create_dir(&data_directory(ShardId(4), 0)).unwrap();
        assert_eq!(present(&disk), Ok(vec![ShardId(3)]));
    }
}
