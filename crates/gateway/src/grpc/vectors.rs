//! Values of vector fields and the fields themselves, to and from messages. Nothing is checked here.

use crate::api::{self, FieldVector, PackedValue, PackedVector, SparseInput, VectorValue};
use std::collections::HashMap;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::field_vector::Value;

/// A point's values, and those that came packed.
type Values = (Option<VectorValue>, Option<PackedValue>);

fn multi(message: pb::MultiVector) -> FieldVector {
    FieldVector::Multi(message.vectors.into_iter().map(|vector| vector.values).collect())
}

fn sparse(message: pb::SparseVector) -> FieldVector {
    FieldVector::Sparse(SparseInput { indices: message.indices, values: message.values })
}

/// A point's values, in whichever spelling.
pub fn values(
    unnamed: Option<pb::Vector>,
    packed: Option<Vec<u8>>,
    named: HashMap<String, pb::FieldVector>,
) -> Values {
    let pack = |bytes| PackedVector { bytes, field: "vector_f32" };
    if named.is_empty() {
        let unnamed = unnamed.map(|vector| VectorValue::Unnamed(vector.values));
        return (unnamed, packed.map(|bytes| PackedValue::Unnamed(pack(bytes))));
    }
    let mut plain: Vec<(String, FieldVector)> = Vec::new();
    let mut bytes: Vec<(String, PackedVector)> = Vec::new();
    plain.extend(unnamed.map(|vector| (String::new(), FieldVector::Dense(vector.values))));
    bytes.extend(packed.map(|bytes| (String::new(), pack(bytes))));
    let mut named: Vec<(String, pb::FieldVector)> = named.into_iter().collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, message) in named {
        match message.value {
            Some(Value::Dense(vector)) => plain.push((name, FieldVector::Dense(vector.values))),
            Some(Value::DenseF32(packed)) => bytes.push((name, pack(packed))),
            Some(Value::Sparse(vector)) => plain.push((name, sparse(vector))),
            Some(Value::Multi(vectors)) => plain.push((name, multi(vectors))),
            // Refused with its name: no field takes an empty list.
            None => plain.push((name, FieldVector::Dense(Vec::new()))),
        }
    }
    (Some(VectorValue::Named(plain)), (!bytes.is_empty()).then_some(PackedValue::Named(bytes)))
}

/// A search's query, in whichever spelling.
pub fn query(
    dense: Option<pb::Vector>,
    of_sparse: Option<pb::SparseVector>,
    of_multi: Option<pb::MultiVector>,
) -> Option<FieldVector> {
    let dense = dense.map(|vector| FieldVector::Dense(vector.values));
    dense.or_else(|| of_sparse.map(sparse)).or_else(|| of_multi.map(multi))
}

/// A point's values as a message has them: the unnamed one alone, or all by name.
pub fn shown(vectors: Option<VectorValue>) -> (Option<pb::Vector>, HashMap<String, pb::FieldVector>) {
    let value = |value: FieldVector| match value {
        FieldVector::Dense(values) => Value::Dense(pb::Vector { values }),
        FieldVector::Sparse(SparseInput { indices, values }) => {
            Value::Sparse(pb::SparseVector { indices, values })
        }
        FieldVector::Multi(vectors) => {
            let vectors = vectors.into_iter().map(|values| pb::Vector { values }).collect();
            Value::Multi(pb::MultiVector { vectors })
        }
    };
    match vectors {
        None => (None, HashMap::new()),
        Some(VectorValue::Unnamed(values)) => (Some(pb::Vector { values }), HashMap::new()),
        Some(VectorValue::Named(fields)) => {
            let fields =
                fields.into_iter().map(|(name, v)| (name, pb::FieldVector { value: Some(value(v)) }));
            (None, fields.collect())
        }
    }
}

fn index(message: pb::IndexSettings) -> api::IndexRequest {
    api::IndexRequest {
        degree: message.degree.map(u64::from),
        ef_construction: message.ef_construction.map(u64::from),
    }
}

/// Dense fields that are asked for.
pub fn dense_asked(
    fields: HashMap<String, pb::VectorField>,
) -> impl Iterator<Item = (String, api::VectorFieldRequest)> {
    fields.into_iter().map(|(name, field)| {
        let request = api::VectorFieldRequest {
            dimension: field.dimension.into(),
            distance: field.distance,
            quantization: field.quantization,
            storage: field.storage,
            index: field.index.map(index),
        };
        (name, request)
    })
}

/// Multi fields that are asked for.
pub fn multi_asked(
    fields: HashMap<String, pb::MultiField>,
) -> impl Iterator<Item = (String, api::MultiFieldRequest)> {
    fields.into_iter().map(|(name, field)| {
        (name, api::MultiFieldRequest { dimension: field.dimension.into(), distance: field.distance })
    })
}

/// A dense field as it is.
pub fn dense_shown(field: api::VectorField) -> pb::VectorField {
    pb::VectorField {
        dimension: field.dimension,
        distance: field.distance,
        quantization: Some(field.quantization),
        storage: Some(field.storage),
        index: Some(pb::IndexSettings {
            degree: Some(field.index.degree),
            ef_construction: Some(field.index.ef_construction),
        }),
    }
}
