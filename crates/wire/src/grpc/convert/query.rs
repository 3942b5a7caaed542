//! What a search looks for.

use super::{bytes_of, numbers, required, text, within};
use crate::proto::worker as pb;
use crate::proto::worker::search_request::Query;
use crate::worker::ShardQuery;
use vectron_base::Fault;

impl From<ShardQuery> for Query {
    fn from(query: ShardQuery) -> Self {
        match query {
            ShardQuery::Dense { field, vector } => {
                Self::Dense(pb::DenseQuery { field: field.to_string(), vector_f32: bytes_of(&vector) })
            }
            ShardQuery::Text { query, stats } => Self::Text(text::query_message(&query, stats.as_deref())),
        }
    }
}

/// The query of a search, which must be there.
pub(super) fn query(message: Option<Query>) -> Result<ShardQuery, Fault> {
    match required("query", message)? {
        Query::Dense(dense) => Ok(ShardQuery::Dense {
            field: dense.field.into(),
            vector: numbers("dense.vector_f32", &dense.vector_f32)?,
        }),
        Query::Text(message) => {
            let (query, stats) = text::query(message).map_err(|fault| within("text", fault))?;
            Ok(ShardQuery::Text { query: query.into(), stats: stats.map(Into::into) })
        }
    }
}
