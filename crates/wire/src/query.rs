//! What a search looks for.

use crate::text::{TextQuery, TextStats};
use std::sync::Arc;
use vectron_base::vectors::{MultiVector, SparseVector};

/// A query against one vector field of a collection; the unnamed field's name is empty. Shared between shards: a clone
/// copies no numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardQuery {
    /// The nearest vectors of a dense field.
    Dense {
        /// The field.
        field: Arc<str>,
        /// As many finite numbers as the field's dimension.
        vector: Arc<[f32]>,
    },
    /// The largest inner products in a sparse field, of points that share a place with the query.
    Sparse {
        /// The field.
        field: Arc<str>,
        /// The query.
        vector: Arc<SparseVector>,
    },
    /// The largest sums of best matches in a multi field.
    Multi {
        /// The field.
        field: Arc<str>,
        /// Vectors of the field's dimension.
        vectors: Arc<MultiVector>,
        /// Only these points are looked at: what another search has found.
        among: Option<Arc<[String]>>,
    },
    /// The best points for some words.
    Text {
        /// The words, and where to look for them.
        query: Arc<TextQuery>,
        /// What scores rest on in all shards together; by default the shard's own figures.
        stats: Option<Arc<TextStats>>,
    },
}

impl ShardQuery {
    /// A query against the unnamed dense field.
    pub fn unnamed(vector: impl Into<Arc<[f32]>>) -> Self {
        Self::Dense { field: Arc::from(""), vector: vector.into() }
    }

    /// The field's name.
    pub fn field(&self) -> &str {
        match self {
            Self::Dense { field, .. } | Self::Sparse { field, .. } | Self::Multi { field, .. } => field,
            Self::Text { query, .. } => &query.field,
        }
    }
}
