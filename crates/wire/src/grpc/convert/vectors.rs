//! What points have in their vector fields, and what fields there are.

use super::settings::{index_settings, quantization, storage};
use super::{bytes_of, each, numbers, required, size, within};
use crate::placement::{VectorField, VectorFieldKind};
use crate::proto::placement as catalog;
use crate::proto::worker as pb;
use crate::proto::worker::vector_value::Value;
use vectron_base::Fault;
use vectron_base::vectors::{FieldValue, MultiVector, PointVectors, SparseVector};

impl From<&SparseVector> for pb::SparseVector {
    fn from(vector: &SparseVector) -> Self {
        Self { indices: vector.indices().to_vec(), values_f32: bytes_of(vector.values()) }
    }
}

impl TryFrom<pb::SparseVector> for SparseVector {
    type Error = Fault;

    fn try_from(message: pb::SparseVector) -> Result<Self, Fault> {
        let values = numbers("values_f32", &message.values_f32)?;
        SparseVector::new(message.indices, values).map_err(|reason| Fault::invalid("indices", reason))
    }
}

impl From<&MultiVector> for pb::MultiVector {
    fn from(vectors: &MultiVector) -> Self {
        Self { dimension: vectors.dimension() as u64, values_f32: bytes_of(vectors.values()) }
    }
}

impl TryFrom<pb::MultiVector> for MultiVector {
    type Error = Fault;

    fn try_from(message: pb::MultiVector) -> Result<Self, Fault> {
        let dimension = size("dimension", message.dimension)?;
        let values = numbers("values_f32", &message.values_f32)?;
        MultiVector::new(dimension, values).map_err(|reason| Fault::invalid("values_f32", reason))
    }
}

/// A field's name and its value, as a list element.
struct Named((Box<str>, FieldValue));

impl TryFrom<pb::VectorValue> for Named {
    type Error = Fault;

    fn try_from(message: pb::VectorValue) -> Result<Self, Fault> {
        let value = match required("value", message.value)? {
            Value::DenseF32(bytes) => FieldValue::Dense(numbers("dense_f32", &bytes)?),
            Value::Sparse(vector) => {
                FieldValue::Sparse(vector.try_into().map_err(|fault| within("sparse", fault))?)
            }
            Value::Multi(vectors) => {
                FieldValue::Multi(vectors.try_into().map_err(|fault| within("multi", fault))?)
            }
        };
        Ok(Named((message.field.into(), value)))
    }
}

/// Values as a message has them: the unnamed field's alone, or a list.
pub(super) fn encoded(vectors: &PointVectors) -> (Option<Vec<u8>>, Option<pb::VectorValues>) {
    if let Some(vector) = vectors.only_unnamed() {
        return (Some(bytes_of(vector)), None);
    }
    let value = |value: &FieldValue| match value {
        FieldValue::Dense(vector) => Value::DenseF32(bytes_of(vector)),
        FieldValue::Sparse(vector) => Value::Sparse(vector.into()),
        FieldValue::Multi(vectors) => Value::Multi(vectors.into()),
    };
    let fields =
        vectors.iter().map(|(field, v)| pb::VectorValue { field: field.into(), value: Some(value(v)) });
    (None, Some(pb::VectorValues { values: fields.collect() }))
}

/// Values from a message; none if it has neither.
pub(super) fn decoded(
    unnamed: Option<&[u8]>,
    fields: Option<pb::VectorValues>,
) -> Result<Option<PointVectors>, Fault> {
    match (unnamed, fields) {
        (Some(_), Some(_)) => Err(Fault::invalid("fields", "is given together with vector_f32")),
        (Some(bytes), None) => Ok(Some(PointVectors::unnamed(numbers("vector_f32", bytes)?))),
        (None, Some(fields)) => {
            let values: Vec<Named> = each("fields.values", fields.values)?;
            let vectors = PointVectors::new(values.into_iter().map(|named| named.0).collect());
            let twice = |field| Fault::invalid("fields.values", format!("has the field {field:?} twice"));
            vectors.map(Some).map_err(twice)
        }
        (None, None) => Ok(None),
    }
}

impl From<VectorField> for catalog::VectorField {
    fn from(field: VectorField) -> Self {
        let VectorField { number, name, kind } = field;
        let kind = match kind {
            VectorFieldKind::Dense { dimension, distance, quantization, storage, index } => {
                catalog::vector_field::Kind::Dense(catalog::DenseVectors {
                    dimension,
                    distance: catalog::Distance::from(distance).into(),
                    quantization: catalog::Quantization::from(quantization).into(),
                    storage: catalog::Storage::from(storage).into(),
                    index: Some(index.into()),
                })
            }
            VectorFieldKind::Sparse => catalog::vector_field::Kind::Sparse(true),
            VectorFieldKind::Multi { dimension, distance } => {
                let distance = catalog::Distance::from(distance).into();
                catalog::vector_field::Kind::Multi(catalog::MultiVectors { dimension, distance })
            }
        };
        Self { number, name, kind: Some(kind) }
    }
}

impl TryFrom<catalog::VectorField> for VectorField {
    type Error = Fault;

    fn try_from(message: catalog::VectorField) -> Result<Self, Fault> {
        use catalog::vector_field::Kind;
        let kind = match required("kind", message.kind)? {
            Kind::Dense(dense) => VectorFieldKind::Dense {
                dimension: dense.dimension,
                distance: super::placement::distance(dense.distance)?,
                quantization: quantization(dense.quantization)?,
                storage: storage(dense.storage)?,
                index: index_settings(dense.index)?,
            },
            Kind::Sparse(mark) => super::marked("sparse", mark, VectorFieldKind::Sparse)?,
            Kind::Multi(multi) => VectorFieldKind::Multi {
                dimension: multi.dimension,
                distance: super::placement::distance(multi.distance)?,
            },
        };
        Ok(Self { number: message.number, name: message.name, kind })
    }
}
