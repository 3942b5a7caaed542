//! What a search looks for.

use super::{bytes_of, numbers, required, text, within};
use crate::proto::worker as pb;
use crate::proto::worker::search_request::Query;
use crate::worker::ShardQuery;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_base::vectors::{MultiVector, SparseVector};

impl From<ShardQuery> for Query {
    fn from(query: ShardQuery) -> Self {
        match query {
            ShardQuery::Dense { field, vector } => {
                Self::Dense(pb::DenseQuery { field: field.to_string(), vector_f32: bytes_of(&vector) })
            }
            ShardQuery::Sparse { field, vector } => {
                Self::Sparse(pb::SparseQuery { field: field.to_string(), vector: Some((&*vector).into()) })
            }
            ShardQuery::Multi { field, vectors, among } => Self::Multi(pb::MultiQuery {
                field: field.to_string(),
                vectors: Some((&*vectors).into()),
                among: among.map(|ids| pb::Ids { ids: ids.to_vec() }),
            }),
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
        Query::Sparse(sparse) => {
            let vector = required("sparse.vector", sparse.vector)?;
            let vector = SparseVector::try_from(vector).map_err(|fault| within("sparse.vector", fault))?;
            Ok(ShardQuery::Sparse { field: sparse.field.into(), vector: Arc::new(vector) })
        }
        Query::Multi(multi) => {
            let vectors = required("multi.vectors", multi.vectors)?;
            let vectors = MultiVector::try_from(vectors).map_err(|fault| within("multi.vectors", fault))?;
            let among = multi.among.map(|ids| ids.ids.into());
            Ok(ShardQuery::Multi { field: multi.field.into(), vectors: Arc::new(vectors), among })
        }
        Query::Text(message) => {
            let (query, stats) = text::query(message).map_err(|fault| within("text", fault))?;
            Ok(ShardQuery::Text { query: query.into(), stats: stats.map(Into::into) })
        }
    }
}
