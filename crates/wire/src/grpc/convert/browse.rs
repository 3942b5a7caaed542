//! Reads that go over a shard's points without a query.

use super::worker_answer::read;
use super::worker_request::{read_level, target};
use super::{each, read_filter, required, size};
use crate::browse::{
    Browse, Browsed, FacetValue, FieldOrder, OrderPlace, OrderedPoint, SampledPoint, ShardBrowse,
    ShardBrowsed,
};
use crate::proto::worker as pb;
use crate::proto::worker::browse_request::What;
use crate::proto::worker::browse_response::Found;
use crate::worker::{Include, PointRecord, ShardRead};
use vectron_base::Fault;
use vectron_base::filter::FieldValue;

/// A value's JSON text.
fn field_value(field: &str, json: &str) -> Result<FieldValue, Fault> {
    let value = FieldValue::parse(json);
    value.ok_or_else(|| Fault::invalid(field, "is not the JSON text of a string, number or boolean"))
}

impl From<Browse> for What {
    fn from(what: Browse) -> Self {
        match what {
            Browse::Facet { field, limit } => Self::Facet(pb::FacetBrowse { field, limit: limit as u64 }),
            Browse::Sample { seed, limit, include } => Self::Sample(pb::SampleBrowse {
                seed,
                limit: limit as u64,
                include_payload: include.payload,
                include_vector: include.vector,
            }),
            Browse::Ordered { order, after, limit, include } => Self::Ordered(pb::OrderedBrowse {
                field: order.field,
                descending: order.descending,
                after: after.map(|place| pb::OrderPlace {
                    value: place.value.map(|value| value.to_json()),
                    id: place.id,
                }),
                limit: limit as u64,
                include_payload: include.payload,
                include_vector: include.vector,
            }),
            Browse::Estimate => Self::Estimate(true),
        }
    }
}

fn what(message: Option<What>) -> Result<Browse, Fault> {
    Ok(match required("what", message)? {
        What::Facet(facet) => Browse::Facet { field: facet.field, limit: size("facet.limit", facet.limit)? },
        What::Sample(sample) => Browse::Sample {
            seed: sample.seed,
            limit: size("sample.limit", sample.limit)?,
            include: Include { payload: sample.include_payload, vector: sample.include_vector },
        },
        What::Ordered(ordered) => {
            let place = |place: pb::OrderPlace| {
                let value = place.value.map(|json| field_value("ordered.after.value", &json)).transpose()?;
                Ok::<_, Fault>(OrderPlace { value, id: place.id })
            };
            Browse::Ordered {
                order: FieldOrder { field: ordered.field, descending: ordered.descending },
                after: ordered.after.map(place).transpose()?,
                limit: size("ordered.limit", ordered.limit)?,
                include: Include { payload: ordered.include_payload, vector: ordered.include_vector },
            }
        }
        What::Estimate(mark) => super::marked("estimate", mark, Browse::Estimate)?,
    })
}

impl From<ShardBrowse> for pb::BrowseRequest {
    fn from(browse: ShardBrowse) -> Self {
        Self {
            target: Some(browse.target.into()),
            read: Some(browse.read.into()),
            filter: browse.filter.map(|filter| filter.to_text()),
            timeout_ms: browse.timeout_ms,
            what: Some(browse.what.into()),
        }
    }
}

impl TryFrom<pb::BrowseRequest> for ShardBrowse {
    type Error = Fault;

    fn try_from(message: pb::BrowseRequest) -> Result<Self, Fault> {
        Ok(Self {
            target: target(message.target)?,
            read: read_level(message.read)?,
            filter: read_filter(message.filter)?,
            what: what(message.what)?,
            timeout_ms: message.timeout_ms,
        })
    }
}

impl TryFrom<pb::FacetValue> for FacetValue {
    type Error = Fault;

    fn try_from(message: pb::FacetValue) -> Result<Self, Fault> {
        Ok(Self { value: field_value("value", &message.value)?, count: message.count })
    }
}

fn record(message: Option<pb::Point>) -> Result<PointRecord, Fault> {
    PointRecord::try_from(required("point", message)?).map_err(|fault| super::within("point", fault))
}

impl TryFrom<pb::SampledPoint> for SampledPoint {
    type Error = Fault;

    fn try_from(message: pb::SampledPoint) -> Result<Self, Fault> {
        Ok(Self { rank: message.rank, point: record(message.point)? })
    }
}

impl TryFrom<pb::OrderedPoint> for OrderedPoint {
    type Error = Fault;

    fn try_from(message: pb::OrderedPoint) -> Result<Self, Fault> {
        let value = message.value.map(|json| field_value("value", &json)).transpose()?;
        Ok(Self { value, point: record(message.point)? })
    }
}

impl From<ShardRead<ShardBrowsed>> for pb::BrowseResponse {
    fn from(answer: ShardRead<ShardBrowsed>) -> Self {
        let found = match answer.value.found {
            Browsed::Facet { values, more, indexed } => {
                let value = |of: FacetValue| pb::FacetValue { value: of.value.to_json(), count: of.count };
                Found::Facet(pb::FacetFound {
                    values: values.into_iter().map(value).collect(),
                    more,
                    indexed,
                })
            }
            Browsed::Sample(points) => {
                let point =
                    |of: SampledPoint| pb::SampledPoint { rank: of.rank, point: Some(of.point.into()) };
                Found::Sample(pb::SampleFound { points: points.into_iter().map(point).collect() })
            }
            Browsed::Ordered { points, more } => {
                let point = |of: OrderedPoint| pb::OrderedPoint {
                    value: of.value.map(|value| value.to_json()),
                    point: Some(of.point.into()),
                };
                Found::Ordered(pb::OrderedFound { points: points.into_iter().map(point).collect(), more })
            }
            Browsed::Estimate { low, high, expected } => {
                Found::Estimate(pb::EstimateFound { low, high, expected })
            }
        };
        Self {
            delivered: Some(answer.delivered.into()),
            unindexed: answer.value.unindexed,
            found: Some(found),
        }
    }
}

impl TryFrom<pb::BrowseResponse> for ShardRead<ShardBrowsed> {
    type Error = Fault;

    fn try_from(message: pb::BrowseResponse) -> Result<Self, Fault> {
        let found = match required("found", message.found)? {
            Found::Facet(facet) => Browsed::Facet {
                values: each("facet.values", facet.values)?,
                more: facet.more,
                indexed: facet.indexed,
            },
            Found::Sample(sample) => Browsed::Sample(each("sample.points", sample.points)?),
            Found::Ordered(ordered) => {
                Browsed::Ordered { points: each("ordered.points", ordered.points)?, more: ordered.more }
            }
            Found::Estimate(of) => Browsed::Estimate { low: of.low, high: of.high, expected: of.expected },
        };
        read(ShardBrowsed { found, unindexed: message.unindexed }, message.delivered)
    }
}
