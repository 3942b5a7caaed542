//! The catalog: collections, shards, replicas and workers, as a deterministic state that commands change.
//!
//! Everything that must be decided once is decided in [`Catalog::apply`]: ids are handed out by counters in
//! the state, so every replica hands out the same.

mod field_indexes;
mod file;
mod machine;

pub use file::CatalogFileError;
pub use machine::{CatalogMachine, SharedCatalog};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use vectron_base::filter::{FieldIndex, FieldType};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::{
    CatalogView, Collection, CollectionSpec, CollectionState, Registration, Replica, Shard, WorkerEntry,
    WorkerState,
};
use vectron_wire::routing::equal_ranges;

/// A change of the catalog. Encoded as JSON: changes are rare, and an operator can read the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// A worker is here, new or with new figures.
    RegisterWorker {
        /// Who, with what.
        registration: Registration,
    },
    /// A collection, with the workers chosen for each shard.
    CreateCollection {
        /// What to make.
        spec: CollectionSpec,
        /// The proposer's wall time.
        created_at_ms: u64,
        /// For each shard, the workers of its replicas.
        placements: Vec<Vec<WorkerId>>,
        /// How many collections may exist.
        collections_max: u64,
    },
    /// The name is free from now on; workers seal and remove the shards.
    DeleteCollection {
        /// Its name.
        name: String,
    },
    /// The live collection of a name gets a payload index.
    CreateIndex {
        /// The collection's name.
        collection: String,
        /// What to index.
        index: FieldIndex,
        /// How many a collection may have.
        indexes_max: u64,
    },
    /// The live collection of a name loses a payload index.
    DeleteIndex {
        /// The collection's name.
        collection: String,
        /// Whose index.
        field: String,
    },
    /// Every shard's data is gone.
    ForgetCollection {
        /// Which life of the name.
        incarnation: Incarnation,
    },
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// Done, or nothing to do.
    Done,
    /// The collection is there; `created` says whether by this command.
    Collection {
        /// Which life of the name.
        incarnation: Incarnation,
        /// Made by this command.
        created: bool,
    },
    /// The name has another configuration; which settings differ.
    Conflict {
        /// Names of the settings that differ.
        differs: Vec<String>,
    },
    /// There are as many collections as may be, or as many indexes in this one.
    Full,
    /// No such collection.
    NotFound,
    /// The payload index is there; `created` says whether by this command.
    Index {
        /// Made by this command.
        created: bool,
    },
    /// The field has an index of another type.
    IndexConflict {
        /// The type it has.
        have: FieldType,
    },
    /// The collection has no index on the field.
    NoIndex,
    /// The command could not be read; nothing changed.
    Malformed,
}

/// The replicated truth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    epoch: u64,
    next_incarnation: u64,
    next_shard: u64,
    next_replica: u64,
    collections: BTreeMap<Incarnation, Collection>,
    workers: BTreeMap<WorkerId, Registration>,
}

impl Catalog {
    /// Carries a command out. Total: a refusal is a reply.
    pub fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::RegisterWorker { registration } => {
                if self.workers.get(&registration.worker) != Some(&registration) {
                    self.epoch += 1;
                    self.workers.insert(registration.worker, registration);
                }
                Reply::Done
            }
            Command::CreateCollection { spec, created_at_ms, placements, collections_max } => {
                self.create(spec, created_at_ms, &placements, collections_max)
            }
            Command::DeleteCollection { name } => self.delete(&name),
            Command::CreateIndex { collection, index, indexes_max } => {
                self.create_index(&collection, index, indexes_max)
            }
            Command::DeleteIndex { collection, field } => self.delete_index(&collection, &field),
            Command::ForgetCollection { incarnation } => {
                if self.collections.remove(&incarnation).is_some() {
                    self.epoch += 1;
                }
                Reply::Done
            }
        }
    }

    fn create(&mut self, spec: CollectionSpec, at_ms: u64, placements: &[Vec<WorkerId>], max: u64) -> Reply {
        if let Some(existing) = self.live(&spec.name) {
            let differs = differences(&existing.spec, &spec);
            return if differs.is_empty() {
                Reply::Collection { incarnation: existing.incarnation, created: false }
            } else {
                Reply::Conflict { differs }
            };
        }
        if self.live_collections().count() as u64 >= max {
            return Reply::Full;
        }
        self.epoch += 1;
        self.next_incarnation += 1;
        let incarnation = Incarnation(self.next_incarnation);
        let ranges = equal_ranges(spec.shards);
        let shards = ranges.iter().zip(placements).map(|(range, workers)| self.new_shard(*range, workers));
        let shards = shards.collect();
        let collection = Collection {
            spec,
            incarnation,
            created_at_ms: at_ms,
            state: CollectionState::Live,
            shards,
            field_indexes: Vec::new(),
        };
        self.collections.insert(incarnation, collection);
        Reply::Collection { incarnation, created: true }
    }

    fn new_shard(&mut self, (first, last): (u64, u64), workers: &[WorkerId]) -> Shard {
        self.next_shard += 1;
        let mut replica = |worker: &WorkerId| {
            self.next_replica += 1;
            Replica::voter(ReplicaId(self.next_replica), *worker)
        };
        let replicas = workers.iter().map(&mut replica).collect();
        Shard {
            shard: ShardId(self.next_shard),
            first,
            last,
            epoch: 1,
            config: 1,
            replicas,
            leader: None,
            split: None,
        }
    }

    fn delete(&mut self, name: &str) -> Reply {
        let Some(collection) = self.live_mut(name) else {
            return Reply::NotFound;
        };
        collection.state = CollectionState::Deleting;
        let incarnation = collection.incarnation;
        self.epoch += 1;
        Reply::Collection { incarnation, created: false }
    }

    fn live_collections(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values().filter(|c| c.state == CollectionState::Live)
    }

    /// The live collection of a name.
    pub fn live(&self, name: &str) -> Option<&Collection> {
        self.live_collections().find(|c| c.spec.name == name)
    }

    fn live_mut(&mut self, name: &str) -> Option<&mut Collection> {
        let incarnation = self.live(name)?.incarnation;
        self.collections.get_mut(&incarnation)
    }

    /// A collection by incarnation, live or deleting.
    pub fn collection(&self, incarnation: Incarnation) -> Option<&Collection> {
        self.collections.get(&incarnation)
    }

    /// Every registered worker, in order of id.
    pub fn workers(&self) -> impl Iterator<Item = &Registration> {
        self.workers.values()
    }

    /// Grows with every change; 1 at first, so that 0 is older than any.
    pub fn epoch(&self) -> u64 {
        self.epoch + 1
    }

    /// What gateways and workers see.
    pub fn view(&self) -> CatalogView {
        let mut collections: Vec<Collection> = self.collections.values().cloned().collect();
        collections.sort_by(|a, b| (&a.spec.name, a.incarnation).cmp(&(&b.spec.name, b.incarnation)));
        let entry = |w: &Registration| WorkerEntry { registration: w.clone(), state: WorkerState::Active };
        CatalogView { epoch: self.epoch(), collections, workers: self.workers().map(entry).collect() }
    }
}

/// Names of the settings in which two specs differ.
fn differences(have: &CollectionSpec, want: &CollectionSpec) -> Vec<String> {
    let checks = [
        ("dimension", have.dimension != want.dimension),
        ("distance", have.distance != want.distance),
        ("shards", have.shards != want.shards),
        ("replication_factor", have.replication_factor != want.replication_factor),
        ("read_policy", have.read_policy != want.read_policy),
        ("quantization", have.quantization != want.quantization),
        ("storage", have.storage != want.storage),
        ("index", have.index != want.index),
    ];
    checks.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_wire::placement::{Distance, IndexSettings, Quantization, ReadPolicy, Storage};

    pub(super) fn spec(name: &str, shards: u32) -> CollectionSpec {
        CollectionSpec {
            name: name.into(),
            dimension: 4,
            distance: Distance::Cosine,
            shards,
            replication_factor: 1,
            read_policy: ReadPolicy::Linearizable,
            quantization: Quantization::Auto,
            storage: Storage::Ram,
            index: IndexSettings::default(),
        }
    }

    pub(super) fn create(name: &str, shards: u32) -> Command {
        let placements = vec![vec![WorkerId(1)]; shards as usize];
        Command::CreateCollection {
            spec: spec(name, shards),
            created_at_ms: 5,
            placements,
            collections_max: 3,
        }
    }

    #[test]
    fn creating_twice_is_fine_and_another_configuration_is_a_conflict() {
        let mut catalog = Catalog::default();
        let first = catalog.apply(create("a", 2));
        assert_eq!(first, Reply::Collection { incarnation: Incarnation(1), created: true });
        let again = catalog.apply(create("a", 2));
        assert_eq!(again, Reply::Collection { incarnation: Incarnation(1), created: false });
        assert_eq!(catalog.apply(create("a", 3)), Reply::Conflict { differs: vec!["shards".into()] });
    }

    #[test]
    fn how_the_index_is_made_is_part_of_the_configuration() {
        let mut catalog = Catalog::default();
        catalog.apply(create("a", 1));
        for name in ["quantization", "storage", "index"] {
            let mut other = spec("a", 1);
            match name {
                "quantization" => other.quantization = Quantization::EightBit,
                "storage" => other.storage = Storage::Mmap,
                _ => other.index.degree = 16,
            }
            let mut again = create("a", 1);
            if let Command::CreateCollection { spec, .. } = &mut again {
                *spec = other;
            }
            assert_eq!(catalog.apply(again), Reply::Conflict { differs: vec![name.into()] });
        }
    }

    /// Catalogs, log entries and shard files from before a setting existed have its default.
    #[test]
    fn what_was_written_before_a_setting_existed_has_its_default() {
        let mut catalog = Catalog::default();
        catalog.apply(create("a", 1));
        let old = |mut json: serde_json::Value| {
            strip(&mut json, &["quantization", "storage", "index", "field_indexes"]);
            json.to_string()
        };
        let text = old(serde_json::to_value(&catalog).unwrap());
        assert!(!text.contains("quantization") && !text.contains("field_indexes"), "{text}");
        assert_eq!(serde_json::from_str::<Catalog>(&text).unwrap(), catalog);
        let text = old(serde_json::to_value(create("a", 1)).unwrap());
        assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), create("a", 1));
    }

    /// Takes members away wherever they are.
    fn strip(json: &mut serde_json::Value, names: &[&str]) {
        match json {
            serde_json::Value::Object(members) => {
                members.retain(|name, _| !names.contains(&name.as_str()));
                members.values_mut().for_each(|value| strip(value, names));
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| strip(item, names)),
            _ => {}
        }
    }

    #[test]
    fn a_deleted_name_is_free_at_once_and_comes_back_as_another_life() {
        let mut catalog = Catalog::default();
        catalog.apply(create("a", 1));
        catalog.apply(Command::DeleteCollection { name: "a".into() });
        assert_eq!(catalog.apply(Command::DeleteCollection { name: "a".into() }), Reply::NotFound);
        let again = catalog.apply(create("a", 1));
        assert_eq!(again, Reply::Collection { incarnation: Incarnation(2), created: true });
        let view = catalog.view();
        assert_eq!(view.collections.len(), 2, "the old life is seen until it is forgotten");
        assert_ne!(view.collections[0].shards[0].shard, view.collections[1].shards[0].shard);
        catalog.apply(Command::ForgetCollection { incarnation: Incarnation(1) });
        assert_eq!(catalog.view().collections.len(), 1);
    }

    #[test]
    fn the_number_of_collections_is_bounded() {
        let mut catalog = Catalog::default();
        for name in ["a", "b", "c"] {
            catalog.apply(create(name, 1));
        }
        assert_eq!(catalog.apply(create("d", 1)), Reply::Full);
    }

    #[test]
    fn the_epoch_moves_only_with_changes() {
        let mut catalog = Catalog::default();
        catalog.apply(create("a", 1));
        let epoch = catalog.epoch();
        catalog.apply(create("a", 1));
        catalog.apply(Command::DeleteCollection { name: "nothing".into() });
        assert_eq!(catalog.epoch(), epoch);
    }
}
