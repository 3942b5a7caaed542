//! Values of vector fields.

use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::field_vector::Value;

/// A value of one vector field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FieldVector {
    /// One vector.
    Dense(Vec<f32>),
    /// Numbers at some of very many places.
    Sparse {
        /// The places, each once.
        indices: Vec<u32>,
        /// The number at each of them.
        values: Vec<f32>,
    },
    /// Several vectors.
    Multi(Vec<Vec<f32>>),
}

impl FieldVector {
    /// How many numbers it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            FieldVector::Dense(vector) => vector.len(),
            FieldVector::Sparse { values, .. } => values.len() * 2,
            FieldVector::Multi(vectors) => vectors.iter().map(Vec::len).sum(),
        }
    }

    pub(crate) fn message(&self) -> pb::FieldVector {
        let value = match self {
            FieldVector::Dense(vector) => {
                Value::DenseF32(vector.iter().flat_map(|number| number.to_le_bytes()).collect())
            }
            FieldVector::Sparse { indices, values } => Value::Sparse(sparse(indices, values)),
            FieldVector::Multi(vectors) => Value::Multi(multi(vectors)),
        };
        pb::FieldVector { value: Some(value) }
    }
}

pub(crate) fn sparse(indices: &[u32], values: &[f32]) -> pb::SparseVector {
    pb::SparseVector { indices: indices.to_vec(), values: values.to_vec() }
}

pub(crate) fn multi(vectors: &[Vec<f32>]) -> pb::MultiVector {
    pb::MultiVector { vectors: vectors.iter().map(|values| pb::Vector { values: values.clone() }).collect() }
}

/// Values by field, of an answer.
pub(crate) fn named(fields: HashMap<String, pb::FieldVector>) -> BTreeMap<String, FieldVector> {
    let value = |message: pb::FieldVector| match message.value {
        Some(Value::Dense(vector)) => Some(FieldVector::Dense(vector.values)),
        Some(Value::DenseF32(bytes)) => {
            let (words, _) = bytes.as_chunks();
            Some(FieldVector::Dense(words.iter().map(|word| f32::from_le_bytes(*word)).collect()))
        }
        Some(Value::Sparse(pb::SparseVector { indices, values })) => {
            Some(FieldVector::Sparse { indices, values })
        }
        Some(Value::Multi(vectors)) => {
            Some(FieldVector::Multi(vectors.vectors.into_iter().map(|vector| vector.values).collect()))
        }
        None => None,
    };
    fields.into_iter().filter_map(|(name, message)| Some((name, value(message)?))).collect()
}
