//! Payload indexes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A payload index to add.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"field": "section", "type": "keyword"}))]
pub struct CreateIndexRequest {
    /// From the path.
    #[serde(skip)]
    pub collection: String,
    /// Dotted path of the field, as in a filter.
    pub field: String,
    /// `keyword`, `integer`, `float`, `bool`, `datetime`, `geo` or `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a text index: whose rules words are cut down to their stems by, such as `english`. Default `none`.
    pub language: Option<String>,
    /// Of a text index: whether words are cut down to their stems. Default: true with a language.
    pub stemming: Option<bool>,
}

/// How a text field is indexed.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"language": "english"}))]
pub struct TextFieldRequest {
    /// Whose rules words are cut down to their stems by, such as `english`. Default `none`.
    pub language: Option<String>,
    /// Whether words are cut down to their stems. Default: true with a language.
    pub stemming: Option<bool>,
}

/// The index, and whether this call made it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreateIndexResponse {
    /// The field.
    pub field: String,
    /// What its values are indexed as.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a text index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Of a text index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stemming: Option<bool>,
    /// False when the same index was there already.
    pub created: bool,
}

/// Payload indexes, by field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListIndexesResponse {
    /// The indexes.
    pub indexes: Vec<PayloadIndex>,
}

/// A payload index and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayloadIndex {
    /// The field.
    pub field: String,
    /// What its values are indexed as.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a text index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Of a text index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stemming: Option<bool>,
    /// Whether filters on the field use it, in every shard.
    pub ready: bool,
    /// Points it covers.
    pub points_indexed: u64,
    /// Points it has to cover.
    pub points_total: u64,
    /// In memory.
    pub bytes: u64,
    /// Points with a value that is not of the index's type; filters look at their payloads.
    pub points_irregular: u64,
}

/// A payload index taken away.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeleteIndexResponse {
    /// Always true: an index that is not there is `not_found`.
    pub deleted: bool,
}
