//! Looking over a collection without a query: facets, samples, and how alike their points are.

use super::{Consistency, JsonText, Point, ReadMeta, filter_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A field whose values are to be counted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"field": "section", "filter": {"size": {"$gte": 100}}, "limit": 5}))]
pub struct FacetRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Dotted path, as in a filter.
    pub field: String,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// How many values at most. Default 10.
    #[schema(minimum = 1)]
    pub limit: Option<u64>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// A value and how many points have it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FacetValue {
    /// A string, a number or a boolean.
    #[schema(value_type = Object)]
    pub value: JsonText,
    /// Points, exactly. A point with several values counts for each.
    pub count: u64,
}

/// The values of a field: most points first, equal numbers by value.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"values": [{"value": "libs", "count": 17_233}, {"value": "perl", "count": 4_025}],
    "more": true}))]
pub struct FacetResponse {
    /// The values.
    pub values: Vec<FacetValue>,
    /// Whether the points have other values.
    pub more: bool,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// Points by chance.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limit": 5, "seed": 7}))]
pub struct SampleRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// How many at most. Default 10.
    #[schema(minimum = 1)]
    pub limit: Option<u64>,
    /// The same seed gives the same points as long as they do not change. Default: another one each time.
    pub seed: Option<u64>,
    /// Default true.
    pub include_payload: Option<bool>,
    /// Default false.
    pub include_vector: Option<bool>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// Points by chance: every choice of so many is as likely as any other.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SampleResponse {
    /// The points, in no order that means anything.
    pub points: Vec<Point>,
    /// What to ask with for the same points.
    pub seed: u64,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// A sample whose points are to be compared with each other.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limit": 20, "filter": {"section": "libs"}}))]
pub struct MatrixRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Only points that pass.
    #[schema(schema_with = filter_schema)]
    pub filter: Option<JsonText>,
    /// Points in the sample at most. Default 10.
    #[schema(minimum = 1)]
    pub limit: Option<u64>,
    /// The same seed gives the same points as long as they do not change. Default: another one each time.
    pub seed: Option<u64>,
    /// Default: the collection's read policy.
    pub consistency: Option<Consistency>,
    /// Default: the server's.
    #[schema(minimum = 1)]
    pub timeout_ms: Option<u64>,
}

/// How alike the points of a sample are.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MatrixResponse {
    /// The points.
    pub ids: Vec<String>,
    /// The score of each point for each point, in the order of the ids, as a search by the one would score the other.
    pub scores: Vec<Vec<f32>>,
    /// What to ask with for the same points.
    pub seed: u64,
    /// What the answer rests on.
    pub meta: ReadMeta,
}

/// A field to order points by. Of several values the one that comes first counts; points without a value come last;
/// ties break by id. Booleans come before numbers, numbers before datetimes, those before other strings.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"field": "size", "direction": "desc"}))]
pub struct OrderBy {
    /// Dotted path, as in a filter.
    pub field: String,
    /// `asc` or `desc`. Default asc.
    pub direction: Option<String>,
}

/// Between which numbers a count lies.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CountEstimate {
    /// No fewer points pass.
    pub low: u64,
    /// No more points pass.
    pub high: u64,
}
