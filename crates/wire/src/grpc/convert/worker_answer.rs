//! Answers of a worker.

use super::vectors::{decoded, encoded};
use super::{choice, each, required, within};
use crate::proto::worker as pb;
use crate::proto::worker::item_outcome::Kind;
use crate::worker::{
    Delivered, FilterTrace, Hit, ItemOutcome, PointRecord, SearchTrace, ShardCounted, ShardHits, ShardPage,
    ShardRead, ShardWritten, Stage,
};
use vectron_base::Fault;

/// Names of plans and stages that this build knows.
const NAMES: [&str; 13] = [
    // Plans.
    "none",
    "flat",
    "graph",
    "graph_filtered",
    "scan_allowed",
    "scan_after_budget",
    "text_or",
    "text_and",
    // Stages.
    "barrier",
    "queue",
    "filter",
    "search",
    "fetch",
];

/// A name from the closed list; a newer worker may have others.
fn name_of(text: &str) -> &'static str {
    NAMES.into_iter().find(|name| *name == text).unwrap_or("other")
}

impl From<Delivered> for pb::Delivered {
    fn from(delivered: Delivered) -> Self {
        Self { applied_index: delivered.applied_index, staleness_ms: delivered.staleness_ms }
    }
}

/// A value with what was delivered.
pub(super) fn read<T>(value: T, delivered: Option<pb::Delivered>) -> Result<ShardRead<T>, Fault> {
    let pb::Delivered { applied_index, staleness_ms } = required("delivered", delivered)?;
    Ok(ShardRead { value, delivered: Delivered { applied_index, staleness_ms } })
}

impl From<ItemOutcome> for pb::ItemOutcome {
    fn from(item: ItemOutcome) -> Self {
        let (kind, current_version, bytes) = match item {
            ItemOutcome::Applied => (Kind::Applied, 0, 0),
            ItemOutcome::Missing => (Kind::Missing, 0, 0),
            ItemOutcome::VersionMismatch(found) => (Kind::VersionMismatch, found, 0),
            ItemOutcome::FilterMismatch(found) => (Kind::FilterMismatch, found, 0),
            ItemOutcome::PayloadTooLarge(bytes) => (Kind::PayloadTooLarge, 0, bytes),
        };
        Self { kind: kind.into(), current_version, bytes }
    }
}

impl TryFrom<pb::ItemOutcome> for ItemOutcome {
    type Error = Fault;

    fn try_from(message: pb::ItemOutcome) -> Result<Self, Fault> {
        choice("kind", message.kind, |kind| match kind {
            Kind::Unspecified => None,
            Kind::Applied => Some(ItemOutcome::Applied),
            Kind::Missing => Some(ItemOutcome::Missing),
            Kind::VersionMismatch => Some(ItemOutcome::VersionMismatch(message.current_version)),
            Kind::FilterMismatch => Some(ItemOutcome::FilterMismatch(message.current_version)),
            Kind::PayloadTooLarge => Some(ItemOutcome::PayloadTooLarge(message.bytes)),
        })
    }
}

impl From<ShardWritten> for pb::WriteResponse {
    fn from(written: ShardWritten) -> Self {
        Self {
            version: written.version,
            items: written.items.into_iter().map(Into::into).collect(),
            deleted: written.deleted,
            replayed: written.replayed,
            edited: written.edited.map(Into::into),
        }
    }
}

impl TryFrom<pb::WriteResponse> for ShardWritten {
    type Error = Fault;

    fn try_from(message: pb::WriteResponse) -> Result<Self, Fault> {
        Ok(Self {
            version: message.version,
            items: each("items", message.items)?,
            deleted: message.deleted,
            replayed: message.replayed,
            edited: message
                .edited
                .map(TryInto::try_into)
                .transpose()
                .map_err(|fault| within("edited", fault))?,
        })
    }
}

impl From<PointRecord> for pb::Point {
    fn from(point: PointRecord) -> Self {
        let (vector_f32, fields) = point.vector.map(|vector| encoded(&vector)).unwrap_or_default();
        Self { id: point.id, version: point.version, vector_f32, fields, payload: point.payload }
    }
}

impl TryFrom<pb::Point> for PointRecord {
    type Error = Fault;

    fn try_from(message: pb::Point) -> Result<Self, Fault> {
        Ok(Self {
            id: message.id,
            version: message.version,
            vector: decoded(message.vector_f32.as_deref(), message.fields)?,
            payload: message.payload,
        })
    }
}

/// Whether an id was found, as a list element.
struct Found(Option<PointRecord>);

impl TryFrom<pb::FoundPoint> for Found {
    type Error = Fault;

    fn try_from(message: pb::FoundPoint) -> Result<Self, Fault> {
        let point = message.point.map(PointRecord::try_from).transpose();
        point.map(Found).map_err(|fault| within("point", fault))
    }
}

impl From<ShardRead<Vec<Option<PointRecord>>>> for pb::GetResponse {
    fn from(read: ShardRead<Vec<Option<PointRecord>>>) -> Self {
        let found = |point: Option<PointRecord>| pb::FoundPoint { point: point.map(Into::into) };
        Self { delivered: Some(read.delivered.into()), points: read.value.into_iter().map(found).collect() }
    }
}

impl TryFrom<pb::GetResponse> for ShardRead<Vec<Option<PointRecord>>> {
    type Error = Fault;

    fn try_from(message: pb::GetResponse) -> Result<Self, Fault> {
        let points: Vec<Found> = each("points", message.points)?;
        read(points.into_iter().map(|found| found.0).collect(), message.delivered)
    }
}

impl From<Hit> for pb::Hit {
    fn from(hit: Hit) -> Self {
        Self { point: Some(hit.point.into()), score: Some(hit.score) }
    }
}

impl TryFrom<pb::Hit> for Hit {
    type Error = Fault;

    fn try_from(message: pb::Hit) -> Result<Self, Fault> {
        let point = required("point", message.point)?;
        let point = PointRecord::try_from(point).map_err(|fault| within("point", fault))?;
        Ok(Self { point, score: required("score", message.score)? })
    }
}

impl From<FilterTrace> for pb::FilterTrace {
    fn from(trace: FilterTrace) -> Self {
        Self {
            plan: trace.plan.into(),
            estimated: trace.estimated,
            matched: trace.matched,
            checked: trace.checked,
            unindexed: trace.unindexed,
        }
    }
}

impl From<pb::FilterTrace> for FilterTrace {
    fn from(message: pb::FilterTrace) -> Self {
        Self {
            plan: message.plan.into(),
            estimated: message.estimated,
            matched: message.matched,
            checked: message.checked,
            unindexed: message.unindexed,
        }
    }
}

impl From<SearchTrace> for pb::Trace {
    fn from(trace: SearchTrace) -> Self {
        let stage = |stage: Stage| pb::Stage { name: stage.name.into(), us: stage.us };
        Self {
            plan: trace.plan.into(),
            ef: trace.ef,
            rows_live: trace.rows_live,
            filter_matched: trace.filter_matched,
            distances: trace.distances,
            hops: trace.hops,
            tail_scanned: trace.tail_scanned,
            stages: trace.stages.into_iter().map(stage).collect(),
            quantization: trace.quantization.map(Into::into),
            bytes_read: trace.bytes_read,
            precise: trace.precise,
            rescored: trace.rescored,
            filter: trace.filter.map(Into::into),
            recall_missed: trace.recall_missed,
        }
    }
}

impl From<pb::Trace> for SearchTrace {
    fn from(message: pb::Trace) -> Self {
        let stage = |stage: pb::Stage| Stage { name: name_of(&stage.name), us: stage.us };
        Self {
            plan: name_of(&message.plan),
            ef: message.ef,
            rows_live: message.rows_live,
            filter_matched: message.filter_matched,
            distances: message.distances,
            hops: message.hops,
            tail_scanned: message.tail_scanned,
            stages: message.stages.into_iter().map(stage).collect(),
            quantization: message.quantization.map(Into::into),
            bytes_read: message.bytes_read,
            precise: message.precise,
            rescored: message.rescored,
            filter: message.filter.map(Into::into),
            recall_missed: message.recall_missed,
        }
    }
}

impl From<ShardRead<ShardHits>> for pb::SearchResponse {
    fn from(read: ShardRead<ShardHits>) -> Self {
        Self {
            delivered: Some(read.delivered.into()),
            hits: read.value.hits.into_iter().map(Into::into).collect(),
            trace: Some(read.value.trace.into()),
            unchanged: false,
        }
    }
}

impl From<ShardRead<Option<ShardHits>>> for pb::SearchResponse {
    fn from(read: ShardRead<Option<ShardHits>>) -> Self {
        let ShardRead { value, delivered } = read;
        match value {
            Some(value) => ShardRead { value, delivered }.into(),
            None => Self { delivered: Some(delivered.into()), unchanged: true, ..Self::default() },
        }
    }
}

impl TryFrom<pb::SearchResponse> for ShardRead<Option<ShardHits>> {
    type Error = Fault;

    fn try_from(message: pb::SearchResponse) -> Result<Self, Fault> {
        if message.unchanged {
            read(None, message.delivered)
        } else {
            ShardRead::try_from(message).map(ShardRead::some)
        }
    }
}

impl TryFrom<pb::SearchResponse> for ShardRead<ShardHits> {
    type Error = Fault;

    fn try_from(message: pb::SearchResponse) -> Result<Self, Fault> {
        let hits = each("hits", message.hits)?;
        let trace = required("trace", message.trace)?.into();
        read(ShardHits { hits, trace }, message.delivered)
    }
}

impl From<ShardRead<ShardPage>> for pb::ScrollResponse {
    fn from(read: ShardRead<ShardPage>) -> Self {
        Self {
            delivered: Some(read.delivered.into()),
            points: read.value.points.into_iter().map(Into::into).collect(),
            more: read.value.more,
            unindexed: read.value.unindexed,
        }
    }
}

impl TryFrom<pb::ScrollResponse> for ShardRead<ShardPage> {
    type Error = Fault;

    fn try_from(message: pb::ScrollResponse) -> Result<Self, Fault> {
        let page = ShardPage {
            points: each("points", message.points)?,
            more: message.more,
            unindexed: message.unindexed,
        };
        read(page, message.delivered)
    }
}

impl From<ShardRead<ShardCounted>> for pb::CountResponse {
    fn from(read: ShardRead<ShardCounted>) -> Self {
        let ShardCounted { count, unindexed } = read.value;
        Self { delivered: Some(read.delivered.into()), count, unindexed }
    }
}

impl TryFrom<pb::CountResponse> for ShardRead<ShardCounted> {
    type Error = Fault;

    fn try_from(message: pb::CountResponse) -> Result<Self, Fault> {
        read(ShardCounted { count: message.count, unindexed: message.unindexed }, message.delivered)
    }
}
