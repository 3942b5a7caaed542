//! Collections: what may be asked for, and how one is shown.

use super::{between_one_and, check_collection_name};
use crate::api;
use crate::knobs::GatewayKnobs;
use vectron_base::Fault;
use vectron_wire::placement::{Collection, CollectionSpec, Distance, ReadPolicy};

/// The collection that is asked for.
pub fn collection_spec(
    request: api::CreateCollectionRequest,
    knobs: &GatewayKnobs,
) -> Result<CollectionSpec, Fault> {
    check_collection_name("name", &request.name)?;
    let dimension = between_one_and("dimension", request.dimension, knobs.max_dimension)?;
    let Some(distance) = Distance::parse(&request.distance) else {
        let got = super::shown(&request.distance);
        return Err(Fault::invalid("distance", format!("must be cosine, dot or euclidean, got {got}")));
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
    })
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
    api::Collection {
        name: spec.name.clone(),
        dimension: spec.dimension,
        distance: spec.distance.as_str().into(),
        shards: spec.shards,
        replication_factor: spec.replication_factor,
        read_policy: policy_consistency(spec.read_policy),
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
            name: "docs".into(),
            dimension: 3,
            distance: "cosine".into(),
            shards: None,
            replication_factor: None,
            read_policy: None,
        };
        change(&mut request);
        collection_spec(request, &GatewayKnobs::default()).map_err(|fault| fault.errors[0].field.clone())
    }

    #[test]
    fn defaults() {
        let spec = asked(|_| ()).expect("valid");
        assert_eq!((spec.shards, spec.replication_factor), (1, 1));
        assert_eq!(spec.read_policy, ReadPolicy::Linearizable);
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
