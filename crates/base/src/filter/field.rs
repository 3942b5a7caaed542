//! Which payload fields are indexed, and as what.

use serde::{Deserialize, Serialize};

/// What a payload index takes a field's values for. A value of another type stays unindexed and is looked at
/// by itself, so that an indexed filter answers exactly what an unindexed one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Strings, compared bytewise.
    Keyword,
    /// Numbers without fraction.
    Integer,
    /// Numbers.
    Float,
    /// `true` and `false`.
    Bool,
    /// RFC 3339 datetimes, compared as instants.
    Datetime,
}

impl FieldType {
    /// All of them.
    pub const ALL: [FieldType; 5] =
        [FieldType::Keyword, FieldType::Integer, FieldType::Float, FieldType::Bool, FieldType::Datetime];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Keyword => "keyword",
            FieldType::Integer => "integer",
            FieldType::Float => "float",
            FieldType::Bool => "bool",
            FieldType::Datetime => "datetime",
        }
    }

    /// The type of a name on the wire.
    pub fn parse(text: &str) -> Option<FieldType> {
        FieldType::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One payload index of a collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FieldIndex {
    /// Dotted path of the field, as in a filter.
    pub field: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: FieldType,
}
