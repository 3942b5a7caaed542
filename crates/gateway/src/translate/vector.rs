//! Vectors: one of two spellings, the shape of their field, finite, and not zero where an angle is asked for.

use super::shown;
use crate::api::{FieldVector, PackedValue, PackedVector, SparseInput, VectorValue};
use crate::knobs::GatewayKnobs;
use std::sync::Arc;
use vectron_base::vectors::{FieldValue, MultiVector, PointVectors, SparseVector};
use vectron_base::{Code, Fault, FieldError};
use vectron_wire::placement::{CollectionSpec, Distance, VectorFieldKind};
use vectron_wire::worker::ShardQuery;

/// Where a vector stands in the request, for error texts.
pub struct Wanted<'a> {
    /// Path of the object that holds it, with a trailing dot: `points[7].`, or empty.
    pub path: &'a dyn std::fmt::Display,
    /// Leads the sentence: `points[7] 'a42'`, or `the query`.
    pub subject: &'a dyn Fn() -> String,
    /// The collection it is for.
    pub spec: &'a CollectionSpec,
}

impl Wanted<'_> {
    fn refuse(&self, member: &str, reason: String) -> Fault {
        let mut fault = Fault::new(Code::InvalidArgument, format!("{}: {member} {reason}", (self.subject)()));
        fault.errors.push(FieldError { field: format!("{}{member}", self.path), reason });
        fault
    }
}

/// What a field of a collection takes.
#[derive(Clone, Copy)]
enum Takes {
    Dense { dimension: u32, distance: Distance },
    Sparse,
    Multi { dimension: u32, distance: Distance },
}

impl Takes {
    fn word(self) -> &'static str {
        match self {
            Takes::Dense { .. } => "a list of numbers",
            Takes::Sparse => "an object with indices and values",
            Takes::Multi { .. } => "a list of lists of numbers",
        }
    }
}

/// What a field takes; the unnamed one's name is empty.
fn takes(spec: &CollectionSpec, field: &str) -> Option<Takes> {
    if field.is_empty() {
        let CollectionSpec { dimension, distance, .. } = *spec;
        return (dimension > 0).then_some(Takes::Dense { dimension, distance });
    }
    Some(match spec.vector_field(field)?.kind {
        VectorFieldKind::Dense { dimension, distance, .. } => Takes::Dense { dimension, distance },
        VectorFieldKind::Sparse => Takes::Sparse,
        VectorFieldKind::Multi { dimension, distance } => Takes::Multi { dimension, distance },
    })
}

/// The names of a collection's fields, for error texts.
fn known_fields(spec: &CollectionSpec) -> String {
    let named = spec.vector_fields.iter().map(|field| format!("'{}'", field.name));
    let unnamed = (spec.dimension > 0).then(|| "the unnamed one".to_string());
    let known: Vec<String> = unnamed.into_iter().chain(named).collect();
    known.join(", ")
}

/// The dense field that is meant: by name, or the unnamed one, or the only one. Its name, dimension and distance.
pub fn dense_field<'a>(
    spec: &'a CollectionSpec,
    using: Option<&'a str>,
) -> Result<(&'a str, u32, Distance), Fault> {
    let field = field_meant(spec, using);
    match takes(spec, field) {
        Some(Takes::Dense { dimension, distance }) => Ok((field, dimension, distance)),
        Some(_) => Err(Fault::invalid("using", "must name a field with one vector per point")),
        None => Err(no_field(spec, using)),
    }
}

/// The name of the field that a search is for.
fn field_meant<'a>(spec: &'a CollectionSpec, using: Option<&'a str>) -> &'a str {
    match (using, spec.vector_fields.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) if spec.dimension == 0 => only.name.as_str(),
        (None, _) => "",
    }
}

fn no_field(spec: &CollectionSpec, using: Option<&str>) -> Fault {
    let reason = match using {
        Some(name) => format!("names no vector field of the collection: {}", shown(name)),
        None => "is missing, and the collection has no unnamed vector field".into(),
    };
    Fault::invalid("using", format!("{reason}; there is {}", known_fields(spec)))
}

/// The unnamed field of a collection, or the first dense one: what points are compared by where nobody says.
pub fn leading_field(spec: &CollectionSpec) -> (&str, Distance) {
    let dense = spec.vector_fields.iter().find_map(|field| match field.kind {
        VectorFieldKind::Dense { distance, .. } => Some((field.name.as_str(), distance)),
        _ => None,
    });
    dense.filter(|_| spec.dimension == 0).unwrap_or(("", spec.distance))
}

/// A point's vector in a dense field; empty if it has none.
pub fn dense_of<'a>(vectors: Option<&'a PointVectors>, field: &str) -> &'a [f32] {
    match vectors.and_then(|vectors| vectors.get(field)) {
        Some(FieldValue::Dense(vector)) => vector,
        _ => &[],
    }
}

/// A point's vectors, in either spelling. The packed one is named only when its packing is at fault: what the numbers
/// are is a matter of the vector, and a library may have packed it unasked.
pub fn checked_vectors(
    numbers: Option<VectorValue>,
    packed: Option<PackedValue>,
    wanted: &Wanted<'_>,
    knobs: &GatewayKnobs,
) -> Result<PointVectors, Fault> {
    let mut fields: Vec<(String, FieldVector)> = match numbers {
        Some(VectorValue::Unnamed(vector)) => vec![(String::new(), FieldVector::Dense(vector))],
        Some(VectorValue::Named(fields)) => fields,
        None => Vec::new(),
    };
    let packed = match packed {
        Some(PackedValue::Unnamed(packed)) => vec![(String::new(), packed)],
        Some(PackedValue::Named(packed)) => packed,
        None => Vec::new(),
    };
    for (name, packed) in packed {
        if fields.iter().any(|(known, _)| *known == name) {
            let reason = format!("is given together with {}; give one of them", packed.field);
            return Err(wanted.refuse(&member(&name), reason));
        }
        fields.push((name, FieldVector::Dense(unpack(&packed, wanted)?)));
    }
    if fields.is_empty() && wanted.spec.vector_fields.is_empty() {
        let reason = format!("is missing; give {} numbers", wanted.spec.dimension);
        return Err(wanted.refuse("vector", reason));
    }
    let mut checked: Vec<(Box<str>, FieldValue)> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let member = member(&name);
        let Some(takes) = takes(wanted.spec, &name) else {
            let known = known_fields(wanted.spec);
            let reason = match name.is_empty() {
                true => format!("is a list, and there is no unnamed field; give it by name: {known}"),
                false => format!("names no vector field of the collection; there is {known}"),
            };
            return Err(wanted.refuse(&member, reason));
        };
        checked.push((name.into(), checked_value(value, takes, &member, wanted, knobs)?));
    }
    let twice = |name: Box<str>| wanted.refuse(&member(&name), "is given twice".into());
    PointVectors::new(checked).map_err(twice)
}

fn member(field: &str) -> String {
    if field.is_empty() { "vector".into() } else { format!("vector.{field}") }
}

/// A search's query: in the field that `using` names, or the unnamed one, or the only one.
pub fn checked_query(
    numbers: Option<FieldVector>,
    packed: Option<PackedVector>,
    using: Option<&str>,
    wanted: &Wanted<'_>,
    knobs: &GatewayKnobs,
) -> Result<ShardQuery, Fault> {
    let spec = wanted.spec;
    let field = field_meant(spec, using);
    let Some(takes) = takes(spec, field) else { return Err(no_field(spec, using)) };
    let value = match (numbers, packed) {
        (Some(value), None) => value,
        (None, Some(packed)) => FieldVector::Dense(unpack(&packed, wanted)?),
        (Some(_), Some(packed)) => {
            let reason = format!("is given together with {}; give one of them", packed.field);
            return Err(wanted.refuse("vector", reason));
        }
        (None, None) => {
            let reason = match takes {
                Takes::Dense { dimension, .. } => format!("is missing; give {dimension} numbers"),
                other => format!("is missing; give {}", other.word()),
            };
            return Err(wanted.refuse("vector", reason));
        }
    };
    let field = Arc::from(field);
    Ok(match checked_value(value, takes, "vector", wanted, knobs)? {
        FieldValue::Dense(vector) => ShardQuery::Dense { field, vector: vector.into() },
        FieldValue::Sparse(vector) => ShardQuery::Sparse { field, vector: Arc::new(vector) },
        FieldValue::Multi(vectors) => ShardQuery::Multi { field, vectors: Arc::new(vectors), among: None },
    })
}

/// A vector for a dense field.
pub fn checked_dense(
    vector: Vec<f32>,
    (dimension, distance): (u32, Distance),
    wanted: &Wanted<'_>,
) -> Result<Vec<f32>, Fault> {
    check(&vector, dimension, distance, "vector", wanted)?;
    Ok(vector)
}

/// A value that fits what its field takes.
fn checked_value(
    value: FieldVector,
    takes: Takes,
    member: &str,
    wanted: &Wanted<'_>,
    knobs: &GatewayKnobs,
) -> Result<FieldValue, Fault> {
    match (value, takes) {
        (FieldVector::Dense(vector), Takes::Dense { dimension, distance }) => {
            check(&vector, dimension, distance, member, wanted)?;
            Ok(FieldValue::Dense(vector))
        }
        (FieldVector::Sparse(sparse), Takes::Sparse) => {
            let (has, limit) = (sparse.indices.len().max(sparse.values.len()), knobs.max_sparse_numbers);
            if has as u64 > limit {
                return Err(wanted.refuse(member, format!("has {has} numbers, the limit is {limit}")));
            }
            let vector = SparseVector::new(sparse.indices, sparse.values);
            vector.map(FieldValue::Sparse).map_err(|reason| wanted.refuse(member, reason))
        }
        (FieldVector::Multi(vectors), Takes::Multi { dimension, distance }) => {
            let (has, limit) = (vectors.len(), knobs.max_multi_vectors);
            if has as u64 > limit {
                return Err(wanted.refuse(member, format!("has {has} vectors, the limit is {limit}")));
            }
            for (at, vector) in vectors.iter().enumerate() {
                check(vector, dimension, distance, &format!("{member}[{at}]"), wanted)?;
            }
            let vectors = MultiVector::new(dimension as usize, vectors.concat());
            vectors.map(FieldValue::Multi).map_err(|reason| wanted.refuse(member, reason))
        }
        // An empty list says nothing of what it is a list of.
        (FieldVector::Dense(empty), Takes::Multi { .. }) if empty.is_empty() => {
            Err(wanted.refuse(member, "is empty; give one vector at least".into()))
        }
        (_, takes) => {
            Err(wanted
                .refuse(member, format!("has another shape than the field, which takes {}", takes.word())))
        }
    }
}

fn unpack(packed: &PackedVector, wanted: &Wanted<'_>) -> Result<Vec<f32>, Fault> {
    let (words, rest) = packed.bytes.as_chunks::<4>();
    if !rest.is_empty() {
        let reason =
            format!("holds {} bytes, which is not a whole number of 32-bit floats", packed.bytes.len());
        return Err(wanted.refuse(packed.field, reason));
    }
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

fn check(
    vector: &[f32],
    dimension: u32,
    distance: Distance,
    member: &str,
    wanted: &Wanted<'_>,
) -> Result<(), Fault> {
    let (spec, expected) = (wanted.spec, dimension as usize);
    if vector.len() != expected {
        let has = match vector.len() {
            0 => "is empty".to_string(),
            1 => "has 1 number".to_string(),
            n => format!("has {n} numbers"),
        };
        return Err(wanted.refuse(member, format!("{has}, collection '{}' expects {expected}", spec.name)));
    }
    if let Some(at) = vector.iter().position(|number| !number.is_finite()) {
        let reason = format!(
            "number {at} is not a finite 32-bit float (largest magnitude 3.4e38; NaN and infinity are refused)"
        );
        return Err(wanted.refuse(member, reason));
    }
    if distance == Distance::Cosine && vector.iter().all(|number| *number == 0.0) {
        let reason = format!("is all zeros, which has no direction; collection '{}' uses cosine", spec.name);
        return Err(wanted.refuse(member, reason));
    }
    Ok(())
}

/// Vectors as they are shown: a list where there is the unnamed one only.
pub fn shown_vectors(vectors: PointVectors) -> VectorValue {
    if vectors.only_unnamed().is_some() {
        let only = vectors.into_fields().into_iter().next();
        return VectorValue::Unnamed(match only {
            Some((_, FieldValue::Dense(vector))) => vector,
            _ => Vec::new(),
        });
    }
    let value = |value: FieldValue| match value {
        FieldValue::Dense(vector) => FieldVector::Dense(vector),
        FieldValue::Sparse(vector) => sparse_shown(&vector),
        FieldValue::Multi(vectors) => multi_shown(&vectors),
    };
    let fields = vectors.into_fields().into_iter().map(|(name, v)| (name.into(), value(v)));
    VectorValue::Named(fields.collect())
}

pub fn sparse_shown(vector: &SparseVector) -> FieldVector {
    FieldVector::Sparse(SparseInput { indices: vector.indices().to_vec(), values: vector.values().to_vec() })
}

pub fn multi_shown(vectors: &MultiVector) -> FieldVector {
    FieldVector::Multi(vectors.iter().map(<[f32]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_wire::placement::{IndexSettings, Quantization, ReadPolicy, Storage};

    fn refused(numbers: Option<Vec<f32>>, packed: Option<Vec<u8>>) -> String {
        let spec = CollectionSpec {
            name: "docs".into(),
            dimension: 2,
            distance: Distance::Cosine,
            shards: 1,
            replication_factor: 1,
            read_policy: ReadPolicy::Linearizable,
            quantization: Quantization::Auto,
            storage: Storage::Ram,
            index: IndexSettings::default(),
            vector_fields: Vec::new(),
            ttl_ms: None,
        };
        let wanted = Wanted { path: &"points[7].", subject: &|| "points[7] 'a42'".into(), spec: &spec };
        let packed = packed.map(|bytes| PackedValue::Unnamed(PackedVector { bytes, field: "vector_b64" }));
        let numbers = numbers.map(VectorValue::from);
        checked_vectors(numbers, packed, &wanted, &GatewayKnobs::default()).map_or_else(
            |fault| {
                assert!(fault.errors[0].field.starts_with("points[7].vector"));
                fault.detail
            },
            |vector| format!("{:?}", vector.dense().expect("dense")),
        )
    }

    #[test]
    fn every_mistake_is_named() {
        let two = [1.0f32, 2.0].map(f32::to_le_bytes).concat();
        assert_eq!(
            refused(Some(vec![1.0]), None),
            "points[7] 'a42': vector has 1 number, collection 'docs' expects 2"
        );
        assert!(refused(Some(vec![]), None).contains("is empty"));
        assert!(refused(Some(vec![1.0, f32::NAN]), None).contains("number 1 is not a finite"));
        assert!(refused(Some(vec![f32::INFINITY, 1.0]), None).contains("number 0 is not a finite"));
        assert!(refused(Some(vec![0.0, -0.0]), None).contains("all zeros"));
        assert!(refused(None, None).contains("is missing"));
        assert!(refused(Some(vec![1.0, 2.0]), Some(two.clone())).contains("together with vector_b64"));
        assert!(refused(None, Some(two[..7].to_vec())).contains("holds 7 bytes"));
        assert!(refused(None, Some(two[..4].to_vec())).contains("'a42': vector has 1 number"));
        assert_eq!(refused(None, Some(two)), "[1.0, 2.0]");
    }
}
