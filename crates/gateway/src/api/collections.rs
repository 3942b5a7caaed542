//! Collections: creating, describing, deleting, status.

use super::Consistency;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A collection to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "docs", "dimension": 768, "distance": "cosine"}))]
pub struct CreateCollectionRequest {
    /// A letter or digit, then up to 127 letters, digits, `_`, `.` or `-`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
    pub name: String,
    /// Numbers per vector: 1 to 16,384 unless the server says otherwise.
    #[schema(minimum = 1)]
    pub dimension: u64,
    /// `cosine`, `dot` or `euclidean`. Higher scores are better for each.
    pub distance: String,
    /// How many shards hold the points. Default 1.
    #[schema(minimum = 1)]
    pub shards: Option<u64>,
    /// Voters per shard: 1, 3 or 5. Default 1.
    pub replication_factor: Option<u64>,
    /// Consistency of reads that name none. Default linearizable.
    pub read_policy: Option<Consistency>,
}

/// A collection as it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Numbers per vector.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
    /// How many shards.
    pub shards: u32,
    /// Voters per shard.
    pub replication_factor: u32,
    /// Consistency of reads that name none.
    pub read_policy: Consistency,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// One life of the name: a collection deleted and created again has another.
    pub incarnation: u64,
    /// Names of the settings that can change later.
    pub changeable: Vec<String>,
}

/// The collection and whether this call made it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateCollectionResponse {
    /// The collection.
    pub collection: Collection,
    /// False when the same collection was there already.
    pub created: bool,
}

/// Every collection, by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListCollectionsResponse {
    /// The collections.
    pub collections: Vec<Collection>,
}

/// A deleted collection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeleteCollectionResponse {
    /// Always true: a collection that is not there is `not_found`.
    pub deleted: bool,
}

/// Figures of a collection, as they are now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CollectionStatus {
    /// Its name.
    pub name: String,
    /// Numbers per vector.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
    /// Points in the shards that answered.
    pub points: u64,
    /// Points that are searched exactly because the graph does not hold them yet.
    pub index_lag: u64,
    /// On disk.
    pub bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// Each shard.
    pub shards: Vec<ShardStatus>,
}

/// Figures of one shard.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ShardStatus {
    /// Its number in the cluster.
    pub id: u64,
    /// The worker that leads it; null while there is none.
    pub leader: Option<u64>,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// Whether a leader answered.
    pub ready: bool,
    /// Points.
    pub points: u64,
    /// Points that the graph does not hold yet.
    pub index_lag: u64,
    /// On disk.
    pub bytes: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// Last log entry applied.
    pub applied_index: u64,
    /// Last log entry covered by a checkpoint.
    pub durable_index: u64,
    /// Deleted rows that the graph still passes through until the next sweep.
    pub tombstones: u64,
    /// Damage found and repaired since the start, in words.
    pub damage: Vec<String>,
}

/// A replica and where it lives.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Replica {
    /// Its number, never reused.
    pub id: u64,
    /// Its worker.
    pub worker: u64,
}
