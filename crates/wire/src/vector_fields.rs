//! The vector fields of a collection that have names.

use crate::placement::Distance;
use crate::settings::{IndexSettings, Quantization, Storage};
use serde::{Deserialize, Serialize};

/// A vector field with a name. Its number stands for the name in files; it is never given to another field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorField {
    /// 1 or more.
    pub number: u32,
    /// Not empty.
    pub name: String,
    /// What its values are.
    #[serde(flatten)]
    pub kind: VectorFieldKind,
}

/// What the values of a vector field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum VectorFieldKind {
    /// One vector per point.
    Dense {
        /// Numbers per vector.
        dimension: u32,
        /// The metric.
        distance: Distance,
        /// How vectors are coded.
        quantization: Quantization,
        /// Where full vectors are kept.
        storage: Storage,
        /// The shape of the graph.
        index: IndexSettings,
    },
    /// One sparse vector per point, compared by inner product.
    Sparse,
    /// Several vectors per point.
    Multi {
        /// Numbers per vector.
        dimension: u32,
        /// How two vectors are compared.
        distance: Distance,
    },
}

impl VectorFieldKind {
    /// The shape, in a word.
    pub fn shape(&self) -> &'static str {
        match self {
            VectorFieldKind::Dense { .. } => "dense",
            VectorFieldKind::Sparse => "sparse",
            VectorFieldKind::Multi { .. } => "multi",
        }
    }
}
