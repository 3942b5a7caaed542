//! Queries: several searches fused into one ranking, and what may be done with it; several searches at once.

use super::{
    Consistency, FieldVector, JsonText, PackedVector, PointId, ReadMeta, SearchParams, SearchRequest,
    SearchResponse, VectorValue, filter_schema,
};
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Several searches in one collection.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"searches": [{"vector": [0.1, 0.2, 0.3], "top_k": 3}]}))]
pub struct SearchBatchRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// The searches. An empty list is fine. If one is refused or fails, all are.
    pub searches: Vec<SearchRequest>,
    /// For those that name none of their own. Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// The answers of several searches.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SearchBatchResponse {
    /// In the order of the searches.
    pub answers: Vec<SearchResponse>,
}

/// An example: a point's id, or a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// The vector of this point, which will not be among the results.
    Id(PointId),
    /// This vector.
    Vector(Vec<f32>),
}

impl<'de> Deserialize<'de> for Example {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let wrong = |_| D::Error::custom("is neither a point id nor a list of numbers");
        if raw.get().starts_with('[') {
            return serde_json::from_str(raw.get()).map(Example::Vector).map_err(wrong);
        }
        serde_json::from_str(raw.get()).map(Example::Id).map_err(wrong)
    }
}

/// Points like some and unlike others.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"positive": ["a42", [0.1, 0.2, 0.3]], "negative": ["a7"]}))]
pub struct Recommend {
    /// Ids or vectors; at least one. Points named here are not among the results.
    #[schema(value_type = Vec<Object>)]
    pub positive: Vec<Example>,
    /// Ids or vectors to lead away from.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub negative: Vec<Example>,
    /// `average_vector`: the search is by twice the mean of the positive examples less the mean of the negative ones,
    /// each of length one under cosine. Default average_vector.
    pub strategy: Option<String>,
}

/// One list of candidates. Give `vector`, `vector_b64` or `recommend`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"vector": [0.1, 0.2, 0.3], "filter": {"section": "libs"}, "limit": 50}))]
pub struct QueryLeg {
    /// What the field takes, as in a search.
    pub vector: Option<FieldVector>,
    /// In place of `vector`: base64 of little-endian 32-bit floats.
    #[schema(value_type = Option<String>, content_encoding = "base64")]
    pub vector_b64: Option<PackedVector>,
    /// In place of `vector`: words to look for in a field with a text index, as in a search.
    pub text: Option<String>,
    /// The field that is searched, as in a search.
    pub using: Option<String>,
    /// In place of `vector`: by examples.
    pub recommend: Option<Recommend>,
    /// Only points that pass, besides the query's own filter.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// How many candidates. Default 100.
    #[schema(minimum = 1)]
    pub limit: Option<u64>,
    /// How thorough.
    pub params: Option<SearchParams>,
    /// Only candidates with at least this score.
    pub score_threshold: Option<f32>,
}

/// How the legs' rankings become one.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "rrf", "k": 60, "weights": [2, 1]}))]
pub struct Fusion {
    /// `rrf`: the sum over the legs of weight / (k + rank), ranks from 1. `weighted`: the sum of weight × score.
    pub method: String,
    /// Of `rrf`: how little the first ranks stand out. Default 60.
    #[schema(minimum = 0)]
    pub k: Option<f64>,
    /// One for each leg, not negative. Default 1 each.
    pub weights: Option<Vec<f64>>,
    /// Of `weighted`: `minmax` brings each leg's scores to 0 … 1 (all alike: 1), `none` leaves them. A leg without the
    /// point adds 0. Default minmax.
    pub normalize: Option<String>,
}

/// Maximal marginal relevance: each next result is chosen for its score, and for being unlike those before it.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mmr {
    /// 0 for relevance only, 1 for difference only. Default 0.5.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub diversity: Option<f64>,
    /// Points to choose from: the first so many of the ranking. Default 100. The others follow in their order.
    #[schema(minimum = 1)]
    pub candidates: Option<u64>,
}

/// Results by the values of a field.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"field": "section", "groups": 5, "group_size": 2}))]
pub struct GroupBy {
    /// Dotted path, as in a filter. A point with several values is in several groups, one without in none.
    pub field: String,
    /// How many groups at most. Default 10.
    #[schema(minimum = 1)]
    pub groups: Option<u64>,
    /// Results in a group at most. Default 3.
    #[schema(minimum = 1)]
    pub group_size: Option<u64>,
}

/// Several searches fused into one ranking. The legs' limits decide what is ranked; `top_k` only cuts, so that a
/// shorter answer is the beginning of a longer one.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefetch": [{"vector": [0.1, 0.2, 0.3]}, {"recommend": {"positive": ["a42"]}}],
    "fusion": {"method": "rrf"}, "top_k": 10}))]
pub struct QueryRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// The legs.
    #[serde(default)]
    pub prefetch: Vec<QueryLeg>,
    /// Another leg after those of `prefetch`: by examples, with every default.
    pub recommend: Option<Recommend>,
    /// Default: `rrf`; with one leg, its own order and scores.
    pub fusion: Option<Fusion>,
    /// What the score becomes: a tree of numbers, `"$score"`, `{"field", "missing"}`, `{"sum": […]}`,
    /// `{"mult": […]}`, `{"neg": …}`, `{"decay": {…}}` and `{"if": {"filter", "then", "else"}}`.
    #[schema(value_type = Option<Object>)]
    pub formula: Option<JsonText>,
    /// Only points that pass; holds for every leg.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// How many results at most. Default 10.
    #[schema(minimum = 1)]
    pub top_k: Option<u64>,
    /// Only results whose final score is at least this.
    pub score_threshold: Option<f64>,
    /// Results unlike each other.
    pub mmr: Option<Mmr>,
    /// Groups in place of results.
    pub group_by: Option<GroupBy>,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
    /// Answer without the shards that fail, and list them. Default false: a failing shard fails the call.
    pub allow_partial: Option<bool>,
}

/// Where a result stood in a leg.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LegRank {
    /// From 0, in the order of the request.
    pub leg: u32,
    /// From 1.
    pub rank: u32,
    /// In that leg.
    pub score: f32,
}

/// A result of a query.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueryResult {
    /// Its id.
    pub id: String,
    /// Fused, and by the formula if there is one.
    pub score: f64,
    /// Grows with every change of the point.
    pub version: u64,
    /// The JSON object as written, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<JsonText>,
    /// The vectors as written, if asked for: a list for the unnamed one alone, else an object by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorValue>,
    /// The legs that found it.
    pub legs: Vec<LegRank>,
}

/// Results that share a value.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueryGroup {
    /// A string, a number or a boolean.
    #[schema(value_type = Object)]
    pub value: JsonText,
    /// Best first.
    pub results: Vec<QueryResult>,
}

/// Results, best first, ties by id; or groups, by their best result.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueryResponse {
    /// Names this query.
    pub search_id: String,
    /// The results; none with `group_by`.
    pub results: Vec<QueryResult>,
    /// The groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<QueryGroup>>,
    /// What the answer rests on.
    pub meta: ReadMeta,
}
