//! Collections: creating, describing, deleting.

use super::Consistency;
use super::TextFieldRequest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A collection to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "docs", "dimension": 768, "distance": "cosine"}))]
pub struct CreateCollectionRequest {
    /// A letter or digit, then up to 127 letters, digits, `_`, `.` or `-`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
    pub name: String,
    /// Numbers per vector of the unnamed field: 1 to 16,384 unless the server says otherwise. Left out, with
    /// `distance`, where all fields have names.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub dimension: u64,
    /// `cosine`, `dot` or `euclidean`. Higher scores are better for each.
    #[serde(default)]
    pub distance: String,
    /// Vector fields by name: one vector per point each.
    pub vectors: Option<BTreeMap<String, VectorFieldRequest>>,
    /// Sparse vector fields by name, compared by inner product.
    pub sparse_vectors: Option<BTreeMap<String, SparseField>>,
    /// Fields with several vectors per point, by name, compared by the sum of best matches (MaxSim).
    pub multi_vectors: Option<BTreeMap<String, MultiFieldRequest>>,
    /// How many shards hold the points. Default 1.
    #[schema(minimum = 1)]
    pub shards: Option<u64>,
    /// Voters per shard: 1, 3 or 5. Default 1.
    pub replication_factor: Option<u64>,
    /// Consistency of reads that name none. Default linearizable.
    pub read_policy: Option<Consistency>,
    /// How vectors are coded for the search: `auto`, `none`, `8bit` or `4bit`. Results are scored with the
    /// vectors as written in any case. Default auto.
    pub quantization: Option<String>,
    /// Where full vectors are kept: `ram`, or `mmap` to read them from the segment files. Codes are in memory in
    /// any case. Default ram.
    pub storage: Option<String>,
    /// The shape of the graph.
    pub index: Option<IndexRequest>,
    /// Points that name no time of their own end by themselves this long after they are written. Default: never.
    pub ttl_ms: Option<u64>,
    /// Payload fields that get a text index at once, by path, so that they can be searched by words. The same as
    /// adding the indexes after the collection.
    pub text_fields: Option<BTreeMap<String, TextFieldRequest>>,
}

/// A vector field to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VectorFieldRequest {
    /// Numbers per vector.
    #[schema(minimum = 1)]
    pub dimension: u64,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
    /// `auto`, `none`, `8bit` or `4bit`. Default auto.
    pub quantization: Option<String>,
    /// `ram` or `mmap`. Default ram.
    pub storage: Option<String>,
    /// The shape of the graph.
    pub index: Option<IndexRequest>,
}

/// A sparse vector field. It has no settings: `{}`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseField {}

/// A field with several vectors per point, to create.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MultiFieldRequest {
    /// Numbers per vector.
    #[schema(minimum = 1)]
    pub dimension: u64,
    /// `cosine`, `dot` or `euclidean`: how two vectors are compared.
    pub distance: String,
}

/// A vector field as it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VectorField {
    /// Numbers per vector.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
    /// `auto`, `none`, `8bit` or `4bit`.
    pub quantization: String,
    /// `ram` or `mmap`.
    pub storage: String,
    /// The shape of the graph.
    pub index: IndexSettings,
}

/// A field with several vectors per point, as it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MultiField {
    /// Numbers per vector.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`.
    pub distance: String,
}

/// The shape of the graph.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexRequest {
    /// Most links per point. Default 32.
    #[schema(minimum = 8, maximum = 128)]
    pub degree: Option<u64>,
    /// Candidates kept while a point is linked; at least `degree`. Default 128.
    #[schema(minimum = 32, maximum = 1024)]
    pub ef_construction: Option<u64>,
}

/// A collection as it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Collection {
    /// Its name.
    pub name: String,
    /// Numbers per vector of the unnamed field; 0: there is none.
    pub dimension: u32,
    /// `cosine`, `dot` or `euclidean`; empty without an unnamed field.
    pub distance: String,
    /// Vector fields by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, VectorField>,
    /// Sparse vector fields by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sparse_vectors: BTreeMap<String, SparseField>,
    /// Fields with several vectors per point, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub multi_vectors: BTreeMap<String, MultiField>,
    /// How many shards.
    pub shards: u32,
    /// Voters per shard.
    pub replication_factor: u32,
    /// Consistency of reads that name none.
    pub read_policy: Consistency,
    /// How vectors are coded for the search: `auto`, `none`, `8bit` or `4bit`.
    pub quantization: String,
    /// Where full vectors are kept: `ram` or `mmap`.
    pub storage: String,
    /// The shape of the graph.
    pub index: IndexSettings,
    /// How long points live that name no time of their own; absent: until they are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// One life of the name: a collection deleted and created again has another.
    pub incarnation: u64,
    /// Names of the settings that can change later.
    pub changeable: Vec<String>,
}

/// The shape of the graph.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct IndexSettings {
    /// Most links per point.
    pub degree: u32,
    /// Candidates kept while a point is linked.
    pub ef_construction: u32,
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
