//! What a search looks for.

use crate::text::{TextQuery, TextStats};
use std::sync::Arc;

/// A query against one field of a collection. Shared between shards: a clone copies no numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum ShardQuery {
    /// The nearest vectors of a dense field.
    Dense {
        /// The field's name; the unnamed field's is empty.
        field: Arc<str>,
        /// As many finite numbers as the field's dimension.
        vector: Arc<[f32]>,
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
}
