//! Collections: what may be asked for, and how one is shown.

use super::fields::{ShownFields, vector_fields};
use super::{between_one_and, check_collection_name, shown};
use crate::api;
use crate::knobs::GatewayKnobs;
use std::ops::RangeInclusive;
use vectron_base::Fault;
use vectron_wire::placement::{
    Collection, CollectionSpec, Distance, IndexSettings, Quantization, ReadPolicy, Storage, VectorFieldKind,
};

/// The collection that is asked for.
pub fn collection_spec(
    mut request: api::CreateCollectionRequest,
    knobs: &GatewayKnobs,
) -> Result<CollectionSpec, Fault> {
    check_collection_name("name", &request.name)?;
    let vector_fields = vector_fields(&mut request, knobs)?;
    let searchable = vector_fields.iter().any(|field| matches!(field.kind, VectorFieldKind::Dense { .. }));
    let (dimension, distance) = match (request.dimension, request.distance.as_str()) {
        (0, "") if searchable => (0, Distance::Cosine),
        (0, "") => {
            let reason = "is missing; give dimension and distance, or vectors with a field at least";
            return Err(Fault::invalid("dimension", reason));
        }
        (dimension, distance) => {
            (between_one_and("dimension", dimension, knobs.max_dimension)?, checked_distance(distance)?)
        }
    };
    let shards = between_one_and("shards", request.shards.unwrap_or(1), knobs.max_shards)?;
    let voters = request.replication_factor.unwrap_or(1);
    if !matches!(voters, 1 | 3 | 5) {
        return Err(Fault::invalid("replication_factor", format!("must be 1, 3 or 5, got {voters}")));
    }
    Ok(CollectionSpec {
        name: request.name,
        dimension: dimension as u32,
        distance,
        shards: shards as u32,
        replication_factor: voters as u32,
        read_policy: read_policy(request.read_policy.as_ref())?,
        quantization: quantization(request.quantization.as_deref())?,
        storage: storage(request.storage.as_deref())?,
        index: index_settings(request.index.unwrap_or_default())?,
        vector_fields,
        // Nothing that ends at once would be of use: 0 means never, as for points.
        ttl_ms: request.ttl_ms.filter(|ms| *ms > 0),
    })
}

pub(super) fn checked_distance(text: &str) -> Result<Distance, Fault> {
    Distance::parse(text).ok_or_else(|| match text {
        "" => Fault::invalid("distance", "is missing or empty; give cosine, dot or euclidean"),
        got => {
            let reason = format!("must be cosine, dot or euclidean, got {}", shown(got));
            Fault::invalid("distance", reason)
        }
    })
}

pub(super) fn quantization(asked: Option<&str>) -> Result<Quantization, Fault> {
    let Some(text) = asked else { return Ok(Quantization::default()) };
    Quantization::parse(text).ok_or_else(|| {
        Fault::invalid("quantization", format!("must be auto, none, 8bit or 4bit, got {}", shown(text)))
    })
}

pub(super) fn storage(asked: Option<&str>) -> Result<Storage, Fault> {
    let Some(text) = asked else { return Ok(Storage::default()) };
    Storage::parse(text)
        .ok_or_else(|| Fault::invalid("storage", format!("must be ram or mmap, got {}", shown(text))))
}

pub(super) fn index_settings(asked: api::IndexRequest) -> Result<IndexSettings, Fault> {
    const DEGREE: RangeInclusive<u64> = 8..=128;
    const EF_CONSTRUCTION: RangeInclusive<u64> = 32..=1_024;
    let default = IndexSettings::default();
    let degree = within("index.degree", asked.degree, DEGREE)?.unwrap_or(default.degree);
    let ef = within("index.ef_construction", asked.ef_construction, EF_CONSTRUCTION)?;
    let ef_construction = ef.unwrap_or(default.ef_construction);
    if ef_construction < degree {
        let reason = format!(
            "must be at least index.degree ({degree}), got {ef_construction}; raise it or lower the degree"
        );
        return Err(Fault::invalid("index.ef_construction", reason));
    }
    Ok(IndexSettings { degree, ef_construction })
}

fn within(field: &str, asked: Option<u64>, range: RangeInclusive<u64>) -> Result<Option<u32>, Fault> {
    match asked {
        Some(value) if !range.contains(&value) => {
            let (least, most) = (range.start(), range.end());
            Err(Fault::invalid(field, format!("must be from {least} to {most}, got {value}")))
        }
        asked => Ok(asked.map(|value| value as u32)),
    }
}

fn read_policy(asked: Option<&api::Consistency>) -> Result<ReadPolicy, Fault> {
    let Some(asked) = asked else {
        return Ok(ReadPolicy::Linearizable);
    };
    match super::read::level("read_policy", asked)? {
        super::read::Level::Linearizable => Ok(ReadPolicy::Linearizable),
        super::read::Level::Eventual => Ok(ReadPolicy::Eventual),
        super::read::Level::Bounded(max_staleness_ms) => Ok(ReadPolicy::Bounded { max_staleness_ms }),
        super::read::Level::Session(_) => Err(Fault::invalid(
            "read_policy.level",
            "cannot be session, since a session belongs to one caller; use linearizable, bounded or eventual",
        )),
    }
}

/// A policy as the consistency that reads have by it.
pub fn policy_consistency(policy: ReadPolicy) -> api::Consistency {
    match policy {
        ReadPolicy::Linearizable => api::Consistency::named("linearizable"),
        ReadPolicy::Eventual => api::Consistency::named("eventual"),
        ReadPolicy::Bounded { max_staleness_ms } => api::Consistency {
            max_staleness_ms: Some(max_staleness_ms),
            ..api::Consistency::named("bounded")
        },
    }
}

/// A collection as it is shown.
pub fn describe(collection: &Collection) -> api::Collection {
    let spec = &collection.spec;
    let ShownFields { vectors, sparse_vectors, multi_vectors } = ShownFields::of(spec);
    api::Collection {
        name: spec.name.clone(),
        dimension: spec.dimension,
        distance: if spec.dimension > 0 { spec.distance.as_str().into() } else { String::new() },
        vectors,
        sparse_vectors,
        multi_vectors,
        shards: spec.shards,
        replication_factor: spec.replication_factor,
        read_policy: policy_consistency(spec.read_policy),
        quantization: spec.quantization.as_str().into(),
        storage: spec.storage.as_str().into(),
        index: api::IndexSettings { degree: spec.index.degree, ef_construction: spec.index.ef_construction },
        ttl_ms: spec.ttl_ms,
        created_at_ms: collection.created_at_ms,
        incarnation: collection.incarnation.0,
        // Nothing can change yet: no call does it.
        changeable: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(change: impl FnOnce(&mut api::CreateCollectionRequest)) -> Result<CollectionSpec, String> {
        let mut request = api::CreateCollectionRequest {
            text_fields: None,
            name: "docs".into(),
            dimension: 3,
            distance: "cosine".into(),
            vectors: None,
            sparse_vectors: None,
            multi_vectors: None,
            shards: None,
            replication_factor: None,
            read_policy: None,
            quantization: None,
            storage: None,
            index: None,
            ttl_ms: None,
        };
        change(&mut request);
        collection_spec(request, &GatewayKnobs::default()).map_err(|fault| fault.errors[0].field.clone())
    }

    #[test]
    fn defaults() {
        let spec = asked(|_| ()).expect("valid");
        assert_eq!((spec.shards, spec.replication_factor), (1, 1));
        assert_eq!(spec.read_policy, ReadPolicy::Linearizable);
        assert_eq!((spec.quantization, spec.storage), (Quantization::Auto, Storage::Ram));
        assert_eq!((spec.index.degree, spec.index.ef_construction), (32, 200));
    }

    #[test]
    fn how_the_index_is_made_is_checked_and_named() {
        assert_eq!(
            asked(|r| r.quantization = Some("8bit".into())).unwrap().quantization,
            Quantization::EightBit
        );
        assert_eq!(asked(|r| r.storage = Some("mmap".into())).unwrap().storage, Storage::Mmap);
        for name in ["8-bit", "Auto", "", "int8"] {
            assert_eq!(asked(|r| r.quantization = Some(name.into())), Err("quantization".into()));
            assert_eq!(asked(|r| r.storage = Some(name.into())), Err("storage".into()));
        }
        let shaped = |degree, ef_construction| {
            asked(|r| r.index = Some(api::IndexRequest { degree, ef_construction })).map(|spec| spec.index)
        };
        for (degree, ef_construction) in [(8, 32), (128, 128), (128, 1_024), (32, 32)] {
            let made = shaped(Some(degree.into()), Some(ef_construction.into()));
            assert_eq!(made, Ok(IndexSettings { degree, ef_construction }));
        }
        assert_eq!(shaped(Some(128), None).unwrap().ef_construction, 200);
        for degree in [0, 7, 129, u64::MAX] {
            assert_eq!(shaped(Some(degree), None), Err("index.degree".into()));
        }
        for (degree, ef) in [(None, 31), (None, 1_025), (Some(64), 63)] {
            assert_eq!(shaped(degree, Some(ef)), Err("index.ef_construction".into()));
        }
    }

    #[test]
    fn every_field_is_checked_and_named() {
        assert_eq!(asked(|r| r.name = "..".into()), Err("name".into()));
        assert_eq!(asked(|r| r.dimension = 0), Err("dimension".into()));
        assert_eq!(asked(|r| r.dimension = 16_385), Err("dimension".into()));
        assert_eq!(asked(|r| r.shards = Some(0)), Err("shards".into()));
        assert_eq!(asked(|r| r.replication_factor = Some(2)), Err("replication_factor".into()));
        let session = api::Consistency { token: Some("x".into()), ..api::Consistency::named("session") };
        assert_eq!(asked(|r| r.read_policy = Some(session)), Err("read_policy.token".into()));
        assert_eq!(
            asked(|r| r.read_policy = Some(api::Consistency::named("bounded"))),
            Err("read_policy.max_staleness_ms".into())
        );
    }

    /// Lesson 5: a misspelt metric silently meant another one.
    #[test]
    fn l05_unknown_distances_are_refused() {
        for name in ["Cosine", "l2", "cosin", "", "euclidian"] {
            assert_eq!(asked(|r| r.distance = name.into()), Err("distance".into()));
        }
    }
}
