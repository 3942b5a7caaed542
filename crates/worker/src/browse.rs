//! Reads that go over a shard's points without a query.

use crate::host::Host;
use crate::hosted::Hosted;
use crate::read::{admit, in_lane, include, record, refused};
use std::sync::Arc;
use vectron_base::Fault;
use vectron_store as store;
use vectron_wire::browse::{Browse, Browsed, FacetValue, FieldOrder, OrderedPoint, SampledPoint};
use vectron_wire::worker::{ShardBrowse, ShardBrowsed, ShardRead};

/// A facet, a sample, points by a field, or an estimate.
pub async fn browse(
    host: &Host,
    hosted: &Arc<Hosted>,
    request: ShardBrowse,
) -> Result<ShardRead<ShardBrowsed>, Fault> {
    let admitted = admit(host, hosted, request.read, request.timeout_ms).await?;
    let (timeout_ms, filter, what) = (request.timeout_ms, request.filter, request.what);
    let look = move |shard: &store::Shard| found(shard, filter.as_deref(), what);
    let read = in_lane(host, hosted, timeout_ms, look).await?.map_err(|r| refused(hosted, &r))?;
    let value = ShardBrowsed { found: read.value, unindexed: read.filter_unindexed };
    Ok(ShardRead { value, delivered: admitted.delivered(host, read.applied_index) })
}

fn found(
    shard: &store::Shard,
    filter: Option<&vectron_base::filter::Filter>,
    what: Browse,
) -> Result<store::Read<Browsed>, store::Refusal> {
    Ok(match what {
        Browse::Facet { field, limit } => shard.facet(filter, &field, limit)?.map(|facet| {
            let value = |(value, count)| FacetValue { value, count };
            let values = facet.values.into_iter().map(value).collect();
            Browsed::Facet { values, more: facet.more, indexed: facet.indexed }
        }),
        Browse::Sample { seed, limit, include: what } => {
            let point = |of: store::Sampled| SampledPoint { rank: of.rank, point: record(of.point) };
            let read = shard.sample(filter, seed, limit, include(what))?;
            read.map(|points| Browsed::Sample(points.into_iter().map(point).collect()))
        }
        Browse::Ordered { order: FieldOrder { field, descending }, after, limit, include: what } => {
            let order = store::FieldOrder { field, descending };
            let after = after.map(|place| (place.value, place.id));
            let page = shard.scroll_by(filter, &order, after.as_ref(), limit, include(what))?;
            let point = |of: store::Ordered| OrderedPoint { value: of.value, point: record(of.point) };
            page.map(|page| Browsed::Ordered {
                points: page.points.into_iter().map(point).collect(),
                more: page.more,
            })
        }
        Browse::Estimate => {
            let estimate = shard.estimate(filter)?;
            estimate.map(|of| Browsed::Estimate { low: of.low, high: of.high, expected: of.expected })
        }
    })
}
