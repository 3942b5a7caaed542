//! Vector fields with names: what a new collection may have, and how they are shown.

use super::collection::{checked_distance, index_settings, quantization, storage};
use super::{between_one_and, shown};
use crate::api;
use crate::knobs::GatewayKnobs;
use std::collections::{BTreeMap, BTreeSet};
use vectron_base::Fault;
use vectron_wire::placement::{CollectionSpec, VectorField, VectorFieldKind};

/// Longest name of a field.
const NAME_MAX: usize = 64;

/// The fields that are asked for, numbered: dense ones by name, then sparse, then multi.
pub fn vector_fields(
    request: &mut api::CreateCollectionRequest,
    knobs: &GatewayKnobs,
) -> Result<Vec<VectorField>, Fault> {
    let mut kinds: Vec<(&str, String, VectorFieldKind)> = Vec::new();
    for (name, field) in request.vectors.take().unwrap_or_default() {
        let at = format!("vectors.{name}");
        let kind = dense(&at, field, knobs)?;
        kinds.push(("vectors", name, kind));
    }
    for name in request.sparse_vectors.take().unwrap_or_default().into_keys() {
        kinds.push(("sparse_vectors", name, VectorFieldKind::Sparse));
    }
    for (name, field) in request.multi_vectors.take().unwrap_or_default() {
        let at = format!("multi_vectors.{name}");
        let dimension = dimension(&at, field.dimension, knobs)?;
        let distance = within(&at, checked_distance(&field.distance))?;
        kinds.push(("multi_vectors", name, VectorFieldKind::Multi { dimension, distance }));
    }
    let (has, limit) = (kinds.len(), knobs.max_vector_fields);
    if has as u64 > limit {
        return Err(Fault::invalid(
            "vectors",
            format!("are {has} fields of all kinds, the limit is {limit}"),
        ));
    }
    let mut names = BTreeSet::new();
    for (list, name, _) in &kinds {
        let at = format!("{list}.{name}");
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(word) {
            let reason =
                format!("must be a name of 1 to {NAME_MAX} letters, digits, '_' or '-', got {}", shown(name));
            return Err(Fault::invalid(*list, reason));
        }
        if !names.insert(name.clone()) {
            return Err(Fault::invalid(at, "is the name of a field of another kind, too"));
        }
    }
    let numbered = (1..).zip(kinds).map(|(number, (_, name, kind))| VectorField { number, name, kind });
    Ok(numbered.collect())
}

fn dense(at: &str, field: api::VectorFieldRequest, knobs: &GatewayKnobs) -> Result<VectorFieldKind, Fault> {
    Ok(VectorFieldKind::Dense {
        dimension: dimension(at, field.dimension, knobs)?,
        distance: within(at, checked_distance(&field.distance))?,
        quantization: within(at, quantization(field.quantization.as_deref()))?,
        storage: within(at, storage(field.storage.as_deref()))?,
        index: within(at, index_settings(field.index.unwrap_or_default()))?,
    })
}

fn dimension(at: &str, asked: u64, knobs: &GatewayKnobs) -> Result<u32, Fault> {
    Ok(between_one_and(&format!("{at}.dimension"), asked, knobs.max_dimension)? as u32)
}

/// The same refusal, of a member of a field.
fn within<T>(at: &str, result: Result<T, Fault>) -> Result<T, Fault> {
    result.map_err(|fault| match fault.errors.first() {
        Some(error) => Fault::invalid(format!("{at}.{}", error.field), error.reason.clone()),
        None => fault,
    })
}

/// Fields as they are shown, by kind and name.
pub struct ShownFields {
    /// One vector per point.
    pub vectors: BTreeMap<String, api::VectorField>,
    /// Sparse ones.
    pub sparse_vectors: BTreeMap<String, api::SparseField>,
    /// Several per point.
    pub multi_vectors: BTreeMap<String, api::MultiField>,
}

impl ShownFields {
    /// The named fields of a collection.
    pub fn of(spec: &CollectionSpec) -> ShownFields {
        let mut fields = ShownFields {
            vectors: BTreeMap::new(),
            sparse_vectors: BTreeMap::new(),
            multi_vectors: BTreeMap::new(),
        };
        for field in &spec.vector_fields {
            let name = field.name.clone();
            match field.kind {
                VectorFieldKind::Dense { dimension, distance, quantization, storage, index } => {
                    let index =
                        api::IndexSettings { degree: index.degree, ef_construction: index.ef_construction };
                    let shown = api::VectorField {
                        dimension,
                        distance: distance.as_str().into(),
                        quantization: quantization.as_str().into(),
                        storage: storage.as_str().into(),
                        index,
                    };
                    fields.vectors.insert(name, shown);
                }
                VectorFieldKind::Sparse => _ = fields.sparse_vectors.insert(name, api::SparseField {}),
                VectorFieldKind::Multi { dimension, distance } => {
                    let distance = distance.as_str().into();
                    fields.multi_vectors.insert(name, api::MultiField { dimension, distance });
                }
            }
        }
        fields
    }
}
