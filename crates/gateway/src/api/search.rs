//! Search, and what every read says about itself.

use super::{Consistency, FieldVector, JsonText, PackedVector, VectorValue, filter_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A search for the points nearest to a vector, or for those with the words of a text. Give `vector`, `vector_b64` or
/// `text`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"vector": [0.1, 0.2, 0.3], "top_k": 10, "filter": {"section": "libs"}}))]
pub struct SearchRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// What the field takes: finite 32-bit numbers, as many as its dimension; an object with indices and values; or a
    /// list of lists.
    pub vector: Option<FieldVector>,
    /// In place of `vector`: base64 of little-endian 32-bit floats.
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    pub vector_b64: Option<PackedVector>,
    /// In place of a vector: words to look for in a field with a text index, ranked by BM25. `"words in quotes"` stand
    /// next to each other; `word*` stands for every word that starts so.
    pub text: Option<String>,
    /// The field that is searched. Default: the unnamed vector field, or the only one. With `text`: the path of a field with
    /// a text index; not needed if there is only one.
    pub using: Option<String>,
    /// How many results at most. Default 10.
    #[schema(minimum = 1)]
    pub top_k: Option<u64>,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Only results with at least this score.
    pub score_threshold: Option<f32>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// Answer without the shards that fail, and list them. Default false: a failing shard fails the call.
    pub allow_partial: Option<bool>,
    /// How thorough.
    pub params: Option<SearchParams>,
    /// Say how the results were found. Default false.
    pub explain: Option<bool>,
}

/// How thorough a search is.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchParams {
    /// Share of the true neighbours to find, 0.5 to 0.999. Default 0.95.
    #[schema(minimum = 0.5, maximum = 0.999)]
    pub recall_target: Option<f32>,
    /// Candidates to keep, in place of `recall_target`.
    #[schema(minimum = 1)]
    pub ef: Option<u64>,
    /// Scan everything: the true top-k. Default false. A text search always does.
    pub exact: Option<bool>,
    /// Of a text: `or` for points with any of the words, `and` for those with all. Default or.
    pub operator: Option<String>,
    /// Of a text: how fast another occurrence of a word counts less. Default 1.2.
    #[schema(minimum = 0, maximum = 100)]
    pub k1: Option<f32>,
    /// Of a text: how much the length of a point's text counts against it. Default 0.75.
    #[schema(minimum = 0, maximum = 1)]
    pub b: Option<f32>,
}

/// A result. Higher scores are better for every distance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScoredPoint {
    /// Its id.
    pub id: String,
    /// Cosine similarity, inner product, or negated Euclidean distance; of a text, BM25.
    pub score: f32,
    /// Grows with every change of the point.
    pub version: u64,
    /// The JSON object as written, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<JsonText>,
    /// The vectors as written, if asked for: a list for the unnamed one alone, else an object by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorValue>,
}

/// Results, best first; ties by id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SearchResponse {
    /// Names this search.
    pub search_id: String,
    /// The results.
    pub results: Vec<ScoredPoint>,
    /// What the answer rests on.
    pub meta: ReadMeta,
    /// How the results were found, if asked for.
    pub explain: Option<Explain>,
}

/// One answer of a search that is streamed: what is known so far.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SearchEvent {
    /// Names this search.
    pub search_id: String,
    /// The best results of the shards that answered.
    pub results: Vec<ScoredPoint>,
    /// No other answer follows.
    pub last: bool,
    /// Every shard answered: these are the results that a search without a stream gives.
    pub complete: bool,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// What a read's answer rests on.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"took_ms": 1.9, "partial": false, "degraded": [],
    "consistency": {"level": "linearizable", "staleness_ms": 0},
    "shards": {"total": 2, "answered": 2, "failed": []}, "session": "AQECARECEjPk1Qc"}))]
pub struct ReadMeta {
    /// From the decoded request to the finished answer.
    pub took_ms: f64,
    /// Whether shards are missing from the answer.
    pub partial: bool,
    /// Reasons why the answer may be less than asked for, such as `filter_without_index`.
    pub degraded: Vec<String>,
    /// What was delivered.
    pub consistency: DeliveredConsistency,
    /// Who was asked and who answered.
    pub shards: AnsweredShards,
    /// Pass it as a session token to see at least this state again.
    pub session: String,
}

/// The freshness of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeliveredConsistency {
    /// The level.
    pub level: String,
    /// Everything acknowledged longer ago than this is in the answer. The largest of the shards'.
    pub staleness_ms: u64,
}

/// Who was asked and who answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnsweredShards {
    /// Shards that the answer needs.
    pub total: u32,
    /// Shards in the answer.
    pub answered: u32,
    /// The others.
    pub failed: Vec<ShardFailure>,
}

/// A shard that did not answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShardFailure {
    /// Which.
    pub shard: u64,
    /// As in problems.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
}

/// How results were found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explain {
    /// By shard.
    pub shards: Vec<ShardExplain>,
    /// Where the time went, in order; sums to `took_ms`.
    pub stages: Vec<Stage>,
}

/// How one shard answered a filter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FilterExplain {
    /// The plan's name.
    pub plan: String,
    /// Points that were expected to pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated: Option<u64>,
    /// Points that passed, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// Payloads that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<u64>,
    /// Fields without a ready index.
    pub unindexed: Vec<String>,
}

/// How one shard found its results. What a shard does not measure is absent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ShardExplain {
    /// Which.
    pub shard: u64,
    /// `flat`, `graph`, `graph_filtered`, `scan_allowed` or `scan_after_budget`; `text_or` or `text_and`.
    pub plan: String,
    /// Candidates kept.
    pub ef: u32,
    /// Live points in the shard.
    pub rows_live: u64,
    /// Points that pass the filter, if there is one.
    pub filter_matched: Option<u64>,
    /// Distances computed.
    pub distances: u64,
    /// Graph vertices expanded.
    pub hops: u64,
    /// Points scanned exactly because the graph does not hold them yet.
    pub tail_scanned: u64,
    /// What the codes were that distances were estimated from: `none`, `8bit` or `4bit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// Bytes of codes, vectors and links read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    /// Points whose score was bounded from the finer codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precise: Option<u64>,
    /// Candidates whose score was computed anew from their full vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rescored: Option<u64>,
    /// How the filter was answered, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterExplain>,
    /// The state that was searched.
    pub applied_index: u64,
    /// Where the shard's time went, in order.
    pub stages: Vec<Stage>,
}

/// A stage and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stage {
    /// What was done.
    pub name: String,
    /// Microseconds.
    pub us: u64,
}
