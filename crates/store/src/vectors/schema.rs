//! Which vector fields a shard's points may have, and how their values are written.
//!
//! A field has a number for all its life, which stands for its name in records and files; 0 is the unnamed one. A
//! value in bytes, little-endian: dense, the components as f32; sparse, indices as u32, ascending, then as many
//! values as f32; multi, the components of one vector after the other as f32.

use crate::bytes::floats;
use crate::config::{FieldKind, ShardConfig};
use vectron_base::vectors::{FieldValue, MultiVector, PointVectors, SparseVector};
use vectron_index::Metric;

/// The unnamed field's number.
pub(crate) const UNNAMED: u32 = 0;

/// The shape of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Dense { dimension: usize, metric: Metric },
    Sparse,
    Multi { dimension: usize, metric: Metric },
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaField {
    pub number: u32,
    pub name: Box<str>,
    pub shape: Shape,
}

/// All fields of a shard, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub fields: Vec<SchemaField>,
}

/// A record's values by field number, ascending.
pub(crate) type Values = Vec<(u32, FieldValue)>;

impl Schema {
    pub fn of(config: &ShardConfig) -> Schema {
        let unnamed = Shape::Dense { dimension: config.dimension, metric: config.metric };
        let mut fields = Vec::new();
        if config.dimension > 0 {
            fields.push(SchemaField { number: UNNAMED, name: "".into(), shape: unnamed });
        }
        for field in &config.named {
            let shape = match &field.kind {
                FieldKind::Dense(dense) => Shape::Dense { dimension: dense.dimension, metric: dense.metric },
                FieldKind::Sparse => Shape::Sparse,
                FieldKind::Multi { dimension, metric } => {
                    Shape::Multi { dimension: *dimension, metric: *metric }
                }
            };
            fields.push(SchemaField { number: field.number, name: field.name.as_str().into(), shape });
        }
        fields.sort_by_key(|field| field.number);
        Schema { fields }
    }

    /// The dimension of the unnamed field, if there is no other: then every point has it, and records are written as
    /// they were before there were others.
    pub fn plain(&self) -> Option<usize> {
        match self.fields.as_slice() {
            [SchemaField { number: UNNAMED, shape: Shape::Dense { dimension, .. }, .. }] => Some(*dimension),
            _ => None,
        }
    }

    pub fn by_name(&self, name: &str) -> Option<&SchemaField> {
        self.fields.iter().find(|field| *field.name == *name)
    }

    pub fn by_number(&self, number: u32) -> Option<&SchemaField> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// Components per vector of a field; 0 where that is no sense.
    pub fn dimension(&self, number: u32) -> usize {
        match self.by_number(number).map(|field| field.shape) {
            Some(Shape::Dense { dimension, .. } | Shape::Multi { dimension, .. }) => dimension,
            _ => 0,
        }
    }

    /// Why a point may not have these values: the part of the point, and what is wrong with it.
    pub fn problem(&self, vectors: &PointVectors) -> Option<(String, String)> {
        if vectors.dense().is_none() && self.plain().is_some() {
            return Some(("vector".into(), "is missing".into()));
        }
        vectors.iter().find_map(|(name, value)| {
            let member = if name.is_empty() { "vector".into() } else { format!("vector.{name}") };
            let Some(field) = self.by_name(name) else {
                let what = if name.is_empty() { "an unnamed vector field" } else { "such a field" };
                return Some((member, format!("the collection does not have {what}")));
            };
            field.shape.problem(value).map(|reason| (member, reason))
        })
    }

    /// Values under the fields' numbers. Those of unknown fields are left out: they were refused before.
    pub fn numbered(&self, vectors: PointVectors) -> Values {
        let number = |name: &str| self.by_name(name).map(|field| field.number);
        let fields = vectors.into_fields().into_iter();
        let mut values: Values = fields.filter_map(|(name, value)| Some((number(&name)?, value))).collect();
        values.sort_by_key(|(number, _)| *number);
        values
    }

    /// Values under the fields' names. Those of unknown fields are left out: they were dropped.
    pub fn named(&self, values: Values) -> PointVectors {
        let name = |number: u32| self.by_number(number).map(|field| field.name.clone());
        let fields = values.into_iter().filter_map(|(number, value)| Some((name(number)?, value)));
        PointVectors::new(fields.collect()).unwrap_or_default()
    }
}

impl Shape {
    /// What is wrong with a value.
    pub fn problem(&self, value: &FieldValue) -> Option<String> {
        let finite = |values: &[f32]| {
            let at = values.iter().position(|v| !v.is_finite())?;
            Some(format!("component {at} is not a finite number"))
        };
        let directed = |metric: Metric, vector: &[f32]| {
            let zero = metric == Metric::Cosine && vector.iter().all(|v| *v == 0.0);
            zero.then(|| "is zero, which has no direction for cosine".to_string())
        };
        match (self, value) {
            (Shape::Dense { dimension, .. }, FieldValue::Dense(vector)) if vector.len() != *dimension => {
                Some(format!("has {} components, expected {dimension}", vector.len()))
            }
            (Shape::Dense { metric, .. }, FieldValue::Dense(vector)) => {
                finite(vector).or_else(|| directed(*metric, vector))
            }
            (Shape::Sparse, FieldValue::Sparse(_)) => None,
            (Shape::Multi { dimension, .. }, FieldValue::Multi(vectors))
                if vectors.dimension() != *dimension || vectors.is_empty() =>
            {
                Some(format!("has vectors of {} components, expected {dimension}", vectors.dimension()))
            }
            (Shape::Multi { metric, .. }, FieldValue::Multi(vectors)) => {
                finite(vectors.values()).or_else(|| vectors.iter().find_map(|v| directed(*metric, v)))
            }
            (shape, value) => Some(format!("is {}, and the field is {}", value.shape(), shape.word())),
        }
    }

    pub fn word(&self) -> &'static str {
        match self {
            Shape::Dense { .. } => "dense",
            Shape::Sparse => "sparse",
            Shape::Multi { .. } => "multi",
        }
    }

    /// The value of these bytes.
    pub fn decode(&self, bytes: &[u8]) -> Result<FieldValue, &'static str> {
        const BAD: &str = "a vector has another length than its field";
        if !bytes.len().is_multiple_of(4) {
            return Err(BAD);
        }
        match self {
            Shape::Dense { dimension, .. } if bytes.len() == dimension * 4 => {
                Ok(FieldValue::Dense(floats(bytes).collect()))
            }
            Shape::Dense { .. } => Err(BAD),
            Shape::Sparse => sparse(bytes).map(FieldValue::Sparse).ok_or(BAD),
            Shape::Multi { dimension, .. } => {
                MultiVector::new(*dimension, floats(bytes).collect()).map(FieldValue::Multi).map_err(|_| BAD)
            }
        }
    }
}

fn sparse(bytes: &[u8]) -> Option<SparseVector> {
    if !bytes.len().is_multiple_of(8) {
        return None;
    }
    let (indices, values) = bytes.split_at(bytes.len() / 2);
    let (indices, _) = indices.as_chunks();
    let indices = indices.iter().map(|index| u32::from_le_bytes(*index)).collect();
    SparseVector::new(indices, floats(values).collect()).ok()
}

/// Appends a value's bytes.
pub(crate) fn encode_value(value: &FieldValue, out: &mut Vec<u8>) {
    let mut numbers = |values: &[f32]| values.iter().for_each(|v| out.extend(v.to_le_bytes()));
    match value {
        FieldValue::Dense(vector) => numbers(vector),
        FieldValue::Multi(vectors) => numbers(vectors.values()),
        FieldValue::Sparse(vector) => {
            vector.indices().iter().for_each(|index| out.extend(index.to_le_bytes()));
            vector.values().iter().for_each(|value| out.extend(value.to_le_bytes()));
        }
    }
}

/// A value's bytes.
pub(crate) fn value_bytes(value: &FieldValue) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.bytes());
    encode_value(value, &mut bytes);
    bytes
}
