//! What a search asks for.

use crate::damage::Refusal;
use crate::read::Include;
use crate::vectors::schema::{Schema, SchemaField, Shape};
use std::sync::Arc;
use vectron_base::filter::Filter;
use vectron_base::vectors::{FieldValue, MultiVector, SparseVector};

/// What to look for, in which vector field; the unnamed field's name is empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The nearest vectors of a dense field.
    Dense {
        /// The field.
        field: Arc<str>,
        /// As many finite components as its dimension.
        vector: Arc<[f32]>,
    },
    /// The largest dot products in a sparse field. Only points that share a place with the query are found.
    Sparse {
        /// The field.
        field: Arc<str>,
        /// The query.
        vector: Arc<SparseVector>,
    },
    /// The largest sums of best matches (MaxSim) in a multi field. Every point that passes the filter is looked at.
    Multi {
        /// The field.
        field: Arc<str>,
        /// Vectors of the field's dimension.
        vectors: Arc<MultiVector>,
        /// Only these points are looked at: what another search has found.
        among: Option<Arc<[String]>>,
    },
}

impl From<Vec<f32>> for Query {
    fn from(vector: Vec<f32>) -> Self {
        Query::Dense { field: Arc::from(""), vector: vector.into() }
    }
}

impl Query {
    /// The field's name.
    pub fn field(&self) -> &str {
        match self {
            Query::Dense { field, .. } | Query::Sparse { field, .. } | Query::Multi { field, .. } => field,
        }
    }

    /// The field, if the query fits it.
    pub(crate) fn check<'a>(&self, schema: &'a Schema) -> Result<&'a SchemaField, Refusal> {
        let refuse = |field, reason| Err(Refusal::Invalid { field, reason });
        let name = self.field();
        let Some(field) = schema.by_name(name) else {
            return refuse("using", format!("is {name:?}, and there is no such vector field"));
        };
        let problem = match (self, field.shape) {
            (Query::Dense { vector, .. }, Shape::Dense { dimension, .. }) => {
                match vector.iter().position(|v| !v.is_finite()) {
                    _ if vector.len() != dimension => {
                        Some(format!("has {} components, expected {dimension}", vector.len()))
                    }
                    Some(at) => Some(format!("component {at} is not a finite number")),
                    None => None,
                }
            }
            (Query::Sparse { .. }, Shape::Sparse) => None,
            (Query::Multi { vectors, .. }, shape @ Shape::Multi { .. }) => {
                shape.problem(&FieldValue::Multi((**vectors).clone()))
            }
            (query, shape) => Some(format!("is {}, and the field is {}", query.word(), shape.word())),
        };
        problem.map_or(Ok(field), |reason| refuse("vector", reason))
    }

    fn word(&self) -> &'static str {
        match self {
            Query::Dense { .. } => "dense",
            Query::Sparse { .. } => "sparse",
            Query::Multi { .. } => "multi",
        }
    }
}

/// A search over one shard.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// What to look for.
    pub query: Query,
    /// Results wanted.
    pub top_k: usize,
    /// Which points may be returned.
    pub filter: Option<Filter>,
    /// Results below this score are left out.
    pub score_threshold: Option<f32>,
    /// Return the true best. Only dense fields have any other way.
    pub exact: bool,
    /// Effort; by default what reaches the recall target, see [`Shard::calibration`](crate::Shard::calibration). Raised
    /// to 32, and to what `top_k` needs.
    pub ef: Option<usize>,
    /// The share of true neighbours to find; 1 means exact.
    pub recall_target: f32,
    /// What to return of each point.
    pub include: Include,
}

impl SearchQuery {
    /// The defaults of the public contract.
    pub fn new(query: impl Into<Query>, top_k: usize) -> Self {
        Self {
            query: query.into(),
            top_k,
            filter: None,
            score_threshold: None,
            exact: false,
            ef: None,
            recall_target: 0.95,
            include: Include::default(),
        }
    }
}
