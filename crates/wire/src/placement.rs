//! The placement driver's contract: the catalog for gateways, assignments for workers.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};

pub use crate::settings::{IndexSettings, Quantization, Storage};

/// How closeness is measured. Scores are always higher for closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// Cosine similarity.
    Cosine,
    /// Inner product.
    Dot,
    /// Negated Euclidean distance.
    Euclidean,
}

impl Distance {
    /// Every distance.
    pub const ALL: [Distance; 3] = [Distance::Cosine, Distance::Dot, Distance::Euclidean];

    /// The public spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Distance::Cosine => "cosine",
            Distance::Dot => "dot",
            Distance::Euclidean => "euclidean",
        }
    }

    /// The distance of a public spelling; anything else is refused, never guessed.
    pub fn parse(text: &str) -> Option<Distance> {
        Distance::ALL.into_iter().find(|d| d.as_str() == text)
    }
}

/// The consistency that reads of a collection have unless they name another. A session needs a token, so it
/// cannot be a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "level")]
pub enum ReadPolicy {
    /// What was acknowledged is found.
    Linearizable,
    /// Some committed prefix.
    Eventual,
    /// At most this old.
    Bounded {
        /// Milliseconds.
        max_staleness_ms: u64,
    },
}

/// What a collection is made with. Settings that came later have defaults, so that what was written before
/// them can be read for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionSpec {
    /// A valid collection name.
    pub name: String,
    /// Numbers per vector.
    pub dimension: u32,
    /// The metric.
    pub distance: Distance,
    /// How many shards.
    pub shards: u32,
    /// Voters per shard.
    pub replication_factor: u32,
    /// Default consistency of reads.
    pub read_policy: ReadPolicy,
    /// How vectors are coded.
    #[serde(default)]
    pub quantization: Quantization,
    /// Where full vectors are kept.
    #[serde(default)]
    pub storage: Storage,
    /// The shape of the graph.
    #[serde(default)]
    pub index: IndexSettings,
}

/// One replica and where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Never reused.
    pub replica: ReplicaId,
    /// Its worker.
    pub worker: WorkerId,
}

/// One shard of a collection: owns the ids whose hash is in `first..=last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its id.
    pub shard: ShardId,
    /// First hash.
    pub first: u64,
    /// Last hash.
    pub last: u64,
    /// Grows with every change of range or replicas.
    pub epoch: u64,
    /// Its voters.
    pub replicas: Vec<Replica>,
}

/// Where a collection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CollectionState {
    /// Serving, or about to.
    Live,
    /// Sealing and then removing its shards; its name is free.
    Deleting,
}

/// A collection in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// As created.
    pub spec: CollectionSpec,
    /// This life of the name.
    pub incarnation: Incarnation,
    /// Wall time of creation, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// Where in its life.
    pub state: CollectionState,
    /// In hash order.
    pub shards: Vec<Shard>,
    /// Payload indexes, by field.
    #[serde(default)]
    pub field_indexes: Vec<FieldIndex>,
}

impl Collection {
    /// The payload index of a field.
    pub fn field_index(&self, field: &str) -> Option<&FieldIndex> {
        self.field_indexes.iter().find(|index| index.field == field)
    }
}

/// The catalog at one epoch. Deleting collections are listed until their shards are gone, since workers
/// need to see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogView {
    /// Grows with every change.
    pub epoch: u64,
    /// Ordered by name, then incarnation.
    pub collections: Vec<Collection>,
}

impl CatalogView {
    /// The live collection of a name.
    pub fn live(&self, name: &str) -> Option<&Collection> {
        self.collections.iter().find(|c| c.state == CollectionState::Live && c.spec.name == name)
    }
}

/// A worker introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its own identity, drawn once for its data directory.
    pub worker: WorkerId,
    /// Where gateways reach it.
    pub address: String,
    /// Processor cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
}

/// What a worker says of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPhase {
    /// Can commit.
    Ready,
    /// Accepts nothing any more.
    Sealed,
    /// Its data is gone.
    Removed,
    /// Quarantined.
    Failed,
}

/// A worker's figures of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// Which.
    pub shard: ShardId,
    /// How it is.
    pub phase: ShardPhase,
    /// Live points.
    pub points: u64,
    /// On disk.
    pub disk_bytes: u64,
    /// Points not in the graph yet.
    pub index_lag: u64,
}

/// A worker's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// Who.
    pub worker: WorkerId,
    /// Bytes free on its disk.
    pub disk_free_bytes: u64,
    /// Its shards.
    pub shards: Vec<ShardReport>,
}

/// What the placement driver does for others.
#[async_trait]
pub trait Placement: Send + Sync {
    /// Creates and answers when every shard can commit. `false` when the same collection was there already;
    /// `already_exists` when another configuration has the name.
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault>;
    /// Deletes and answers when every shard has sealed. `not_found` when there is no such collection.
    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault>;
    /// Adds a payload index to the live collection of a name, and answers when the catalog has it; workers build
    /// it in the background. `false` when it was there already; `already_exists` when the field has an index of
    /// another type, `not_found` without the collection.
    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault>;
    /// Takes a payload index away. `not_found` without the collection or the index.
    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault>;
    /// The catalog as soon as its epoch is past `known_epoch`, or unchanged after a while. Pass 0 for now.
    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault>;
    /// A worker is here, with what it has.
    async fn register(&self, registration: Registration) -> Result<(), Fault>;
    /// A heartbeat.
    async fn report(&self, report: WorkerReport) -> Result<(), Fault>;
}
