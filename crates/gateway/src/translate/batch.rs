//! Batches: conditions, changes of payloads and points that end by themselves, validated whole, then split by shard.

use super::write::{by_owner, checked_payload, checked_point};
use super::{ItemAt, ShardPart, check_batch, check_ids, check_point_id, parse_filter};
use crate::api::{self, JsonText, PointCondition, PointId, PointInput};
use crate::knobs::{GatewayKnobs, size};
use std::collections::BTreeMap;
use vectron_base::Fault;
use vectron_base::filter::Filter;
use vectron_wire::placement::{Collection, CollectionSpec};
use vectron_wire::worker::{
    BatchItem, Expiry, ItemWrite, PayloadChange, PayloadEdit, WriteBatch, WriteOperation,
};
use xxhash_rust::xxh3::Xxh3;

/// What is to change, as it was asked for.
pub struct AskedChange {
    pub merge: Option<JsonText>,
    pub replace: Option<JsonText>,
    pub unset: Option<Vec<String>>,
}

/// A batch being put together; equal conditions are kept once.
struct Builder<'a> {
    knobs: &'a GatewayKnobs,
    batch: WriteBatch,
    filters: BTreeMap<String, u32>,
}

impl<'a> Builder<'a> {
    fn new(knobs: &'a GatewayKnobs) -> Self {
        Self { knobs, batch: WriteBatch::default(), filters: BTreeMap::new() }
    }

    fn condition(&mut self, field: &str, text: Option<&JsonText>) -> Result<Option<u32>, Fault> {
        let Some(text) = text else { return Ok(None) };
        if let Some(known) = self.filters.get(text.as_str()) {
            return Ok(Some(*known));
        }
        let parsed = parse_filter(Some(text), self.knobs).map_err(|fault| placed(field, fault))?;
        let at = self.batch.filters.len() as u32;
        self.batch.filters.push(parsed.map_or(Filter::All, |filter| (*filter).clone()));
        self.filters.insert(text.as_str().to_string(), at);
        Ok(Some(at))
    }

    fn edit(&mut self, edit: PayloadEdit) -> u32 {
        self.batch.edits.push(edit);
        self.batch.edits.len() as u32 - 1
    }

    fn point(
        &mut self,
        at: (&'static str, usize, &str),
        mut point: PointInput,
        spec: &CollectionSpec,
    ) -> Result<(), Fault> {
        let (list, index, member) = at;
        let expiry = expiry(&format!("{list}[{index}]{member}"), &point, spec)?;
        let condition = point.if_filter.take();
        let if_filter = self.condition(&format!("{list}[{index}]{member}.if_filter"), condition.as_ref())?;
        let point = checked_point((list, member), index, point, spec, self.knobs)?;
        self.batch.items.push(BatchItem { if_filter, write: ItemWrite::Upsert(point, expiry) });
        Ok(())
    }

    fn conditional(
        &mut self,
        field: &str,
        point: PointCondition,
        write: impl FnOnce(String, Option<u64>) -> ItemWrite,
    ) -> Result<(), Fault> {
        check_point_id(&format!("{field}.id"), &point.id.0)?;
        let if_filter = self.condition(&format!("{field}.if_filter"), point.if_filter.as_ref())?;
        self.batch.items.push(BatchItem { if_filter, write: write(point.id.0, point.if_version) });
        Ok(())
    }
}

/// A refusal of a filter, at the place where the filter is.
fn placed(field: &str, mut fault: Fault) -> Fault {
    for error in &mut fault.errors {
        error.field = format!("{field}{}", error.field.strip_prefix("filter").unwrap_or(""));
    }
    fault.detail = match fault.errors.first() {
        Some(error) => format!("{} {}", error.field, error.reason),
        None => fault.detail,
    };
    fault
}

/// When a point ends.
fn expiry(field: &str, point: &PointInput, spec: &CollectionSpec) -> Result<Expiry, Fault> {
    match (point.ttl_ms, point.expires_at_ms) {
        (Some(_), Some(_)) => Err(Fault::invalid(
            format!("{field}.ttl_ms"),
            "is given together with expires_at_ms; give one of them",
        )),
        (Some(0), None) => Ok(Expiry::Never),
        (Some(ms), None) => Ok(Expiry::AfterMs(ms)),
        (None, Some(at)) => Ok(Expiry::AtMs(at)),
        (None, None) => Ok(spec.ttl_ms.map_or(Expiry::Never, Expiry::AfterMs)),
    }
}

/// Whether an upsert needs more than upserts had from the start.
pub fn needs_batch(points: &[PointInput], spec: &CollectionSpec) -> bool {
    let more = |p: &PointInput| p.if_filter.is_some() || p.ttl_ms.is_some() || p.expires_at_ms.is_some();
    spec.ttl_ms.is_some() || points.iter().any(more)
}

/// An upsert with conditions or expiries, by shard.
pub fn upsert_batch(
    points: Vec<PointInput>,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<Vec<ShardPart>, Fault> {
    check_batch("points", points.len(), knobs)?;
    super::ids::check_unique("points", ".id", points.iter().map(|point| point.id.0.as_str()))?;
    let mut builder = Builder::new(knobs);
    for (index, point) in points.into_iter().enumerate() {
        builder.point(("points", index, ""), point, &collection.spec)?;
    }
    split(builder.batch, collection)
}

fn conditional_items(
    points: Vec<PointCondition>,
    builder: &mut Builder<'_>,
    write: impl Fn(String, Option<u64>) -> ItemWrite,
) -> Result<(), Fault> {
    check_batch("points", points.len(), builder.knobs)?;
    super::ids::check_unique("points", ".id", points.iter().map(|point| point.id.0.as_str()))?;
    for (index, point) in points.into_iter().enumerate() {
        builder.conditional(&format!("points[{index}]"), point, &write)?;
    }
    Ok(())
}

/// A delete under conditions, by shard.
pub fn delete_batch(
    points: Vec<PointCondition>,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<Vec<ShardPart>, Fault> {
    let mut builder = Builder::new(knobs);
    conditional_items(points, &mut builder, |id, if_version| ItemWrite::Delete { id, if_version })?;
    split(builder.batch, collection)
}

/// A change of payloads, by shard; the filter if it is by filter.
pub fn payload_plan(
    request: &mut api::PayloadRequest,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<Vec<ShardPart>, Fault> {
    let asked = AskedChange {
        merge: request.merge.take(),
        replace: request.replace.take(),
        unset: request.unset.take(),
    };
    let edit = change("", asked, knobs)?;
    let mut builder = Builder::new(knobs);
    let write = |id, if_version| ItemWrite::Payload { id, if_version, edit: 0 };
    match (request.ids.take(), request.points.take(), request.filter.as_ref()) {
        (Some(ids), None, None) => {
            let bare = |id| BatchItem { if_filter: None, write: write(id, None) };
            builder.batch.items = check_ids(ids, true, knobs)?.into_iter().map(bare).collect();
        }
        (None, Some(points), None) => conditional_items(points, &mut builder, write)?,
        (None, None, Some(text)) => {
            let filter = parse_filter(Some(text), knobs)?.map_or(Filter::All, |filter| (*filter).clone());
            let part = |shard| ShardPart {
                shard,
                ids: Vec::new(),
                operation: WriteOperation::EditFilter(filter.clone(), edit.clone()),
            };
            return Ok((0..collection.shards.len()).map(part).collect());
        }
        (None, None, None) => {
            return Err(Fault::invalid("ids", "is missing; give ids, points or filter"));
        }
        _ => return Err(Fault::invalid("ids", "give one of ids, points and filter")),
    }
    builder.edit(edit);
    split(builder.batch, collection)
}

/// A batch of operations: its parts by shard, and the ids in the order of the request.
pub fn batch_plan(
    operations: Vec<api::BatchOperation>,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<(Vec<ShardPart>, Vec<String>), Fault> {
    const LIST: &str = "operations";
    check_batch(LIST, operations.len(), knobs)?;
    let mut builder = Builder::new(knobs);
    for (index, operation) in operations.into_iter().enumerate() {
        let field = |member: &str| format!("{LIST}[{index}]{member}");
        match (operation.upsert, operation.delete, operation.payload) {
            (Some(point), None, None) => builder.point((LIST, index, ".upsert"), point, &collection.spec)?,
            (None, Some(point), None) => {
                builder.conditional(&field(".delete"), point, |id, if_version| ItemWrite::Delete {
                    id,
                    if_version,
                })?;
            }
            (None, None, Some(payload)) => {
                let api::PayloadOperation { id, if_version, if_filter, merge, replace, unset } = payload;
                let edit = change(&field(".payload."), AskedChange { merge, replace, unset }, knobs)?;
                let edit = builder.edit(edit);
                let point = PointCondition { id, if_version, if_filter };
                let write = |id, if_version| ItemWrite::Payload { id, if_version, edit };
                builder.conditional(&field(".payload"), point, write)?;
            }
            _ => return Err(Fault::invalid(field(""), "must have one of upsert, delete and payload")),
        }
    }
    let ids = builder.batch.items.iter().map(|item| item.id().to_string()).collect();
    Ok((split(builder.batch, collection)?, ids))
}

/// The one change that is asked for; `at` is what stands before its members.
fn change(at: &str, asked: AskedChange, knobs: &GatewayKnobs) -> Result<PayloadEdit, Fault> {
    let object = |member: &str, text: JsonText| {
        let field = format!("{at}{member}");
        checked_payload(&ItemAt { list: "", index: 0, id: "" }, text, knobs).map_err(|fault| {
            let reason =
                fault.errors.first().map_or_else(|| fault.detail.clone(), |error| error.reason.clone());
            Fault::on_field(fault.code, field, reason)
        })
    };
    let change = match (asked.merge, asked.replace, asked.unset) {
        (Some(text), None, None) => PayloadChange::Merge(object("merge", text)?),
        (None, Some(text), None) => PayloadChange::Replace(object("replace", text)?),
        (None, None, Some(paths)) => {
            PayloadChange::Unset(checked_paths(&format!("{at}unset"), paths, knobs)?)
        }
        _ => return Err(Fault::invalid(format!("{at}merge"), "give one of merge, replace and unset")),
    };
    Ok(PayloadEdit { change, bytes_max: knobs.payload_limit_bytes })
}

fn checked_paths(field: &str, paths: Vec<String>, knobs: &GatewayKnobs) -> Result<Vec<String>, Fault> {
    if paths.len() > size(knobs.unset_paths) {
        let reason = format!("has {} paths, the limit is {}", paths.len(), knobs.unset_paths);
        return Err(Fault::on_field(vectron_base::Code::TooLarge, field, reason));
    }
    match paths.iter().position(|path| path.split('.').any(str::is_empty)) {
        Some(at) => Err(Fault::invalid(format!("{field}[{at}]"), "must be names joined by dots")),
        None => Ok(paths),
    }
}

/// The batch by the shards that own its ids, each with the conditions and changes that it names.
pub fn split(batch: WriteBatch, collection: &Collection) -> Result<Vec<ShardPart>, Fault> {
    let WriteBatch { edits, filters, items } = batch;
    let owned = by_owner(items, collection, BatchItem::id)?;
    let mut parts = Vec::with_capacity(owned.len());
    for (shard, mut items) in owned {
        let mut part = WriteBatch::default();
        let (mut edit_at, mut filter_at) = (BTreeMap::new(), BTreeMap::new());
        for item in &mut items {
            if let Some(at) = &mut item.if_filter {
                *at = moved(*at, &filters, &mut part.filters, &mut filter_at)?;
            }
            if let ItemWrite::Payload { edit, .. } = &mut item.write {
                *edit = moved(*edit, &edits, &mut part.edits, &mut edit_at)?;
            }
        }
        let ids = items.iter().map(|item| item.id().to_string()).collect();
        part.items = items;
        parts.push(ShardPart { shard, ids, operation: WriteOperation::Batch(part) });
    }
    Ok(parts)
}

/// The place in `to` of what is at `at` in `from`.
fn moved<T: Clone>(
    at: u32,
    from: &[T],
    to: &mut Vec<T>,
    known: &mut BTreeMap<u32, u32>,
) -> Result<u32, Fault> {
    if let Some(there) = known.get(&at) {
        return Ok(*there);
    }
    let value = from.get(at as usize).ok_or_else(|| Fault::internal("a batch names what it has not"))?;
    let there = to.len() as u32;
    to.push(value.clone());
    known.insert(at, there);
    Ok(there)
}

/// A number that differs for different batches, however they are split: an item counts with how often its id came
/// before, as those of one id stay together and in order.
pub fn hash_batch(batch: &WriteBatch) -> u64 {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    let hash = |item| hash_item(batch, item, &mut times);
    batch.items.iter().map(hash).fold(0, u64::wrapping_add)
}

fn hash_item<'a>(batch: &WriteBatch, item: &'a BatchItem, times: &mut BTreeMap<&'a str, u64>) -> u64 {
    let nth = times.entry(item.id()).or_insert(0);
    *nth += 1;
    let mut hash = Xxh3::new();
    hash.update(b"b");
    hash.update(&nth.to_le_bytes());
    let mut text = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    text(item.id());
    match item.if_filter.and_then(|at| batch.filters.get(at as usize)) {
        Some(filter) => text(&filter.to_text()),
        None => text(""),
    }
    let (kind, version, number) = match &item.write {
        ItemWrite::Upsert(point, expiry) => {
            let (kind, ms) = match expiry {
                Expiry::Never => (1, 0),
                Expiry::AfterMs(ms) => (2, *ms),
                Expiry::AtMs(at) => (3, *at),
            };
            (kind, None, super::write::hash_point(point) ^ ms.rotate_left(17))
        }
        ItemWrite::Delete { if_version, .. } => (4, *if_version, 0),
        ItemWrite::Payload { if_version, edit, .. } => {
            (5, *if_version, batch.edits.get(*edit as usize).map_or(0, hash_edit))
        }
    };
    hash.update(&[kind, u8::from(version.is_some())]);
    hash.update(&version.unwrap_or(0).to_le_bytes());
    hash.update(&number.to_le_bytes());
    hash.digest()
}

/// A number that differs for different changes.
pub fn hash_edit(edit: &PayloadEdit) -> u64 {
    let mut hash = Xxh3::new();
    match &edit.change {
        PayloadChange::Merge(text) => {
            hash.update(b"m");
            hash.update(text.as_bytes());
        }
        PayloadChange::Replace(text) => {
            hash.update(b"r");
            hash.update(text.as_bytes());
        }
        PayloadChange::Unset(paths) => {
            hash.update(b"u");
            for path in paths {
                hash.update(&(path.len() as u64).to_le_bytes());
                hash.update(path.as_bytes());
            }
        }
    }
    hash.digest()
}

/// One point by id, without conditions.
impl From<PointId> for PointCondition {
    fn from(id: PointId) -> Self {
        Self { id, if_version: None, if_filter: None }
    }
}
