//! What a shard finds when it is looked over, as plainly as possible.

use crate::cluster::trimmed;
use std::collections::BTreeMap;
use vectron_base::filter::FieldValue;
use vectron_base::filter::matcher::FieldValues;
use vectron_base::random::mix64;
use vectron_wire::browse::*;
use vectron_wire::worker::PointRecord;

pub fn browsed<'a>(passing: impl Iterator<Item = &'a PointRecord>, what: &Browse) -> Browsed {
    let points: Vec<&PointRecord> = passing.collect();
    let values = |field: &str, point: &PointRecord| {
        FieldValues::of(field).read(point.payload.as_deref().unwrap_or("{}"))
    };
    match what {
        Browse::Facet { field, limit } => {
            let mut counts: BTreeMap<FieldValue, u64> = BTreeMap::new();
            for value in points.iter().flat_map(|point| values(field, point)) {
                *counts.entry(value).or_default() += 1;
            }
            let mut counts: Vec<FacetValue> =
                counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
            counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
            let more = counts.len() > *limit;
            counts.truncate(*limit);
            Browsed::Facet { values: counts, more, indexed: field == "indexed" }
        }
        Browse::Sample { seed, limit, include } => {
            let rank =
                |point: &PointRecord| point.id.bytes().fold(*seed, |hash, b| mix64(hash ^ u64::from(b)));
            let mut sampled: Vec<SampledPoint> = points
                .iter()
                .map(|point| SampledPoint { rank: rank(point), point: trimmed(point, *include) })
                .collect();
            sampled.sort_by_key(|sampled| sampled.rank);
            sampled.truncate(*limit);
            Browsed::Sample(sampled)
        }
        Browse::Ordered { order, after, limit, include } => {
            let mut placed: Vec<(OrderPlace, OrderedPoint)> = Vec::new();
            for point in points {
                let mut all = values(&order.field, point);
                let value = if order.descending { all.pop_last() } else { all.pop_first() };
                let place = OrderPlace { value: value.clone(), id: point.id.clone() };
                placed.push((place, OrderedPoint { value, point: trimmed(point, *include) }));
            }
            placed
                .retain(|(place, _)| after.as_ref().is_none_or(|after| order.compare(place, after).is_gt()));
            placed.sort_by(|(a, _), (b, _)| order.compare(a, b));
            let more = placed.len() > *limit;
            placed.truncate(*limit);
            Browsed::Ordered { points: placed.into_iter().map(|(_, of)| of).collect(), more }
        }
        Browse::Estimate => {
            let count = points.len() as u64;
            Browsed::Estimate { low: count.saturating_sub(1), high: count + 2, expected: count }
        }
    }
}
