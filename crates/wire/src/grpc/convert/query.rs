//! What a search looks for.

use super::{bytes_of, numbers, required};
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
    }
}
