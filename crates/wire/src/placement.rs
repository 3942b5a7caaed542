//! The placement driver's contract: the catalog for gateways, assignments for workers.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};

pub use crate::alias::{Alias, AliasAction};
pub use crate::cluster::{ClusterChange, ClusterView, PlannedMove};
pub use crate::report::{LeadReport, Mark, Members, ShardPhase, ShardReport, WorkerLoad, WorkerReport};
pub use crate::settings::{IndexSettings, Quantization, Storage};
pub use crate::vector_fields::{VectorField, VectorFieldKind};

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
    /// Numbers per vector of the unnamed field; 0: there is none. This and what follows of vectors is about that field.
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
    #[serde(default = "IndexSettings::unwritten")]
    pub index: IndexSettings,
    /// How long points live that name no time of their own; `None`: until they are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The vector fields that have names, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vector_fields: Vec<VectorField>,
}

impl CollectionSpec {
    /// The vector field of a name.
    pub fn vector_field(&self, name: &str) -> Option<&VectorField> {
        self.vector_fields.iter().find(|field| field.name == name)
    }
}

/// What a replica shall be in its shard's group. The catalog says what shall be; the worker that leads the group
/// makes it so and reports what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaRole {
    /// Votes.
    #[default]
    Voter,
    /// Catches up as a learner, in order to vote.
    Joining,
    /// Follows for reads only and never votes.
    Learner,
    /// Shall leave the group.
    Leaving,
}

impl ReplicaRole {
    /// Every role.
    pub const ALL: [ReplicaRole; 4] =
        [ReplicaRole::Voter, ReplicaRole::Joining, ReplicaRole::Learner, ReplicaRole::Leaving];
}

/// One replica and where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Never reused.
    pub replica: ReplicaId,
    /// Its worker.
    pub worker: WorkerId,
    /// What it shall be.
    #[serde(default)]
    pub role: ReplicaRole,
}

impl Replica {
    /// A replica that votes.
    pub fn voter(replica: ReplicaId, worker: WorkerId) -> Self {
        Self { replica, worker, role: ReplicaRole::Voter }
    }
}

/// A shard that is being split in hash space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The shard that takes the upper part.
    pub child: ShardId,
    /// Its first hash.
    pub first: u64,
    /// Its replicas, on the workers of the shard that is split.
    pub replicas: Vec<Replica>,
    /// Whether every replica has its copy of the upper part, so that the cut may be put into the log.
    pub cut: bool,
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
    /// Grows with every change of range. Calls name it, and a worker refuses another one.
    pub epoch: u64,
    /// Grows with every change of what the replicas shall be. Calls do not name it: any replica of the group may
    /// answer what it can prove.
    #[serde(default)]
    pub config: u64,
    /// Its replicas, whatever their role.
    pub replicas: Vec<Replica>,
    /// The voter that shall lead, if anybody cares.
    #[serde(default)]
    pub leader: Option<ReplicaId>,
    /// The split under way.
    #[serde(default)]
    pub split: Option<Split>,
}

impl Shard {
    /// The replicas that vote, or have not left yet.
    pub fn voters(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|r| matches!(r.role, ReplicaRole::Voter | ReplicaRole::Leaving))
    }

    /// The replica on a worker.
    pub fn on(&self, worker: WorkerId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.worker == worker)
    }
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
    /// Ordered by id.
    pub workers: Vec<WorkerEntry>,
    /// Other names of live collections, ordered by alias.
    pub aliases: Vec<Alias>,
}

impl CatalogView {
    /// The live collection of a name of its own; aliases are not followed.
    pub fn live(&self, name: &str) -> Option<&Collection> {
        self.collections.iter().find(|c| c.state == CollectionState::Live && c.spec.name == name)
    }
}

/// Where a worker stands. Replicas of a shard go to different zones, then racks, then workers. An empty name
/// is a place of its own for each worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locality {
    /// The region.
    pub region: String,
    /// The zone in it.
    pub zone: String,
    /// The rack in that.
    pub rack: String,
}

/// A worker introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its own identity, drawn once for its data directory.
    pub worker: WorkerId,
    /// Where gateways and other workers reach it.
    pub address: String,
    /// Where it stands.
    #[serde(default)]
    pub locality: Locality,
    /// Processor cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
}

/// What a worker is meant for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Takes replicas.
    #[default]
    Active,
    /// Gives its replicas away and takes none. It serves what it still has.
    Draining,
}

/// A worker in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// Who, where, with what.
    pub registration: Registration,
    /// What it is meant for.
    #[serde(default)]
    pub state: WorkerState,
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
    /// Workers, shards with their replicas, moves and members of the placement driver, as its leader sees them.
    async fn cluster(&self) -> Result<ClusterView, Fault>;
    /// Changes the cluster, or plans to: the moves that follow from it. Answers when the change is in the catalog;
    /// the moves themselves go on in the background.
    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault>;
    /// The catalog's state at a point of its log, for a member that lacks the log to it.
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault>;
}

/// The catalog's state at a point of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSnapshot {
    /// Index of the last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// Who were members then.
    pub members: Members,
    /// The state, as the placement driver writes it to disk.
    pub bytes: Vec<u8>,
}
