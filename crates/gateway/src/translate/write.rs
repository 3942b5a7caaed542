//! Writes: validated whole, then split by shard.

use super::ids::check_unique;
use super::{
    ItemAt, Wanted, check_batch, check_ids, check_point_id, checked_vectors, compact_object, on_item, shown,
};
use crate::api::{DeleteRequest, JsonText, PointInput};
use crate::knobs::{GatewayKnobs, size};
use crate::route::shard_of;
use std::collections::BTreeMap;
use vectron_base::filter::Filter;
use vectron_base::vectors::{FieldValue, PointVectors};
use vectron_base::{Code, Fault};
use vectron_wire::placement::{Collection, CollectionSpec, Shard};
use vectron_wire::worker::{BatchItem, ItemWrite, UpsertPoint, WriteOperation};
use xxhash_rust::xxh3::Xxh3;

/// One shard's part of a write.
#[derive(Debug, PartialEq)]
pub struct ShardPart {
    /// Position of the shard in the collection.
    pub shard: usize,
    /// The ids it is about, in its order; empty for a delete by filter.
    pub ids: Vec<String>,
    /// What to do.
    pub operation: WriteOperation,
}

impl ShardPart {
    fn upsert(shard: usize, points: Vec<UpsertPoint>) -> Self {
        let ids = points.iter().map(|point| point.id.clone()).collect();
        Self { shard, ids, operation: WriteOperation::Upsert(points) }
    }

    fn delete(shard: usize, ids: Vec<String>) -> Self {
        Self { shard, operation: WriteOperation::DeleteIds(ids.clone()), ids }
    }

    fn delete_matching(shard: usize, filter: Filter) -> Self {
        Self { shard, ids: Vec::new(), operation: WriteOperation::DeleteFilter(filter) }
    }

    /// Whether it changes no point.
    pub fn is_empty(&self) -> bool {
        match &self.operation {
            WriteOperation::Upsert(points) => points.is_empty(),
            WriteOperation::DeleteIds(ids) => ids.is_empty(),
            WriteOperation::Batch(batch) => batch.items.is_empty(),
            WriteOperation::DeleteFilter(_) | WriteOperation::EditFilter(..) => false,
        }
    }

    /// Whether it only removes.
    pub fn frees(&self) -> bool {
        let deletes = |item: &BatchItem| matches!(item.write, ItemWrite::Delete { .. });
        match &self.operation {
            WriteOperation::Upsert(_) | WriteOperation::EditFilter(..) => false,
            WriteOperation::DeleteIds(_) | WriteOperation::DeleteFilter(_) => true,
            WriteOperation::Batch(batch) => batch.items.iter().all(deletes),
        }
    }
}

const LIST: &str = "points";

/// The points, each checked, by shard.
pub fn upsert_parts(
    points: Vec<PointInput>,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<Vec<ShardPart>, Fault> {
    check_batch(LIST, points.len(), knobs)?;
    check_unique(LIST, ".id", points.iter().map(|point| point.id.0.as_str()))?;
    let mut buckets: Vec<Vec<UpsertPoint>> = collection.shards.iter().map(|_| Vec::new()).collect();
    let alone = buckets.len() == 1;
    for (index, point) in points.into_iter().enumerate() {
        let point = checked_point((LIST, ""), index, point, &collection.spec, knobs)?;
        let shard = if alone { 0 } else { shard_of(collection, &point.id)? };
        buckets[shard].push(point);
    }
    let filled = buckets.into_iter().enumerate().filter(|(_, points)| !points.is_empty());
    Ok(filled.map(|(shard, points)| ShardPart::upsert(shard, points)).collect())
}

/// Items by the shards that own their ids, in the order of the shards.
pub(super) fn by_owner<T>(
    items: Vec<T>,
    collection: &Collection,
    id: impl Fn(&T) -> &str,
) -> Result<BTreeMap<usize, Vec<T>>, Fault> {
    let mut owned: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for item in items {
        owned.entry(shard_of(collection, id(&item))?).or_default().push(item);
    }
    Ok(owned)
}

/// `at` is the list that the point is in, and the member of its element that it is.
pub(super) fn checked_point(
    (list, member): (&'static str, &str),
    index: usize,
    point: PointInput,
    spec: &CollectionSpec,
    knobs: &GatewayKnobs,
) -> Result<UpsertPoint, Fault> {
    let id = point.id.0;
    if vectron_base::ids::point_id_problem(&id).is_some() {
        check_point_id(&format!("{list}[{index}]{member}.id"), &id)?;
    }
    let path = PathOf(list, index, member);
    let vector = {
        let subject = || format!("{list}[{index}] {}", shown(&id));
        let wanted = Wanted { path: &path, subject: &subject, spec };
        checked_vectors(point.vector, point.vector_b64, &wanted, knobs)?
    };
    let payload = match point.payload {
        Some(text) => checked_payload(&ItemAt { list, index, id: &id }, text, knobs)?,
        None => "{}".to_string(),
    };
    Ok(UpsertPoint { id, vector, payload, if_version: point.if_version })
}

/// `points[7].`, written only when somebody reads it.
struct PathOf<'a>(&'static str, usize, &'a str);

impl std::fmt::Display for PathOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]{}.", self.0, self.1, self.2)
    }
}

pub(super) fn checked_payload(
    at: &ItemAt<'_>,
    text: JsonText,
    knobs: &GatewayKnobs,
) -> Result<String, Fault> {
    if let Some(problem) = text.problem() {
        let reason = format!("is not valid JSON: {problem}");
        return Err(on_item(Code::InvalidArgument, at, ".payload", reason));
    }
    let payload = compact_object(text.as_str(), size(knobs.payload_depth)).map_err(|(path, reason)| {
        let member = format!(".payload{path}");
        let reason = format!("{} {reason}", member.trim_start_matches('.'));
        on_item(Code::InvalidArgument, at, &member, reason)
    })?;
    let limit = knobs.payload_limit_bytes;
    if payload.len() as u64 > limit {
        let reason = format!("payload has {} bytes, the limit is {limit}", payload.len());
        return Err(on_item(Code::TooLarge, at, ".payload", reason));
    }
    Ok(payload)
}

/// The delete by shard: ids go to their owners, a filter to every shard.
pub fn delete_plan(
    request: &mut DeleteRequest,
    collection: &Collection,
    knobs: &GatewayKnobs,
) -> Result<Vec<ShardPart>, Fault> {
    if let Some(points) = request.points.take() {
        if request.ids.is_some() || request.filter.is_some() {
            return Err(Fault::invalid("points", "is given together with ids or filter; give one of them"));
        }
        return super::batch::delete_batch(points, collection, knobs);
    }
    match (request.ids.take(), request.filter.as_ref()) {
        (Some(_), Some(_)) => Err(Fault::invalid("ids", "is given together with filter; give one of them")),
        (None, None) => Err(Fault::invalid("ids", "is missing; give ids or filter")),
        (Some(ids), None) => {
            let owned = by_owner(check_ids(ids, true, knobs)?, collection, |id| id)?;
            Ok(owned.into_iter().map(|(shard, ids)| ShardPart::delete(shard, ids)).collect())
        }
        (None, Some(text)) => {
            let Some(filter) = super::parse_filter(Some(text), knobs)? else {
                return Ok(Vec::new());
            };
            let shards = 0..collection.shards.len();
            Ok(shards.map(|shard| ShardPart::delete_matching(shard, (*filter).clone())).collect())
        }
    }
}

/// What was meant for a shard, by the shards that own its former range now.
pub fn regrouped(
    operation: WriteOperation,
    former: &Shard,
    collection: &Collection,
) -> Result<Vec<ShardPart>, Fault> {
    Ok(match operation {
        WriteOperation::Upsert(points) => {
            let owned = by_owner(points, collection, |point| &point.id)?;
            owned.into_iter().map(|(shard, points)| ShardPart::upsert(shard, points)).collect()
        }
        WriteOperation::DeleteIds(ids) => {
            let owned = by_owner(ids, collection, |id| id)?;
            owned.into_iter().map(|(shard, ids)| ShardPart::delete(shard, ids)).collect()
        }
        WriteOperation::Batch(batch) => super::batch::split(batch, collection)?,
        WriteOperation::EditFilter(filter, edit) => {
            let shards = collection.shards.iter().enumerate();
            let overlapping = shards.filter(|(_, s)| s.first <= former.last && former.first <= s.last);
            let part = |shard| {
                let operation = WriteOperation::EditFilter(filter.clone(), edit.clone());
                ShardPart { shard, ids: Vec::new(), operation }
            };
            overlapping.map(|(shard, _)| part(shard)).collect()
        }
        WriteOperation::DeleteFilter(filter) => {
            let shards = collection.shards.iter().enumerate();
            let overlapping = shards.filter(|(_, s)| s.first <= former.last && former.first <= s.last);
            overlapping.map(|(shard, _)| ShardPart::delete_matching(shard, filter.clone())).collect()
        }
    })
}

/// Refuses a key that is empty or too long.
pub fn idempotency_key(key: Option<String>) -> Result<Option<String>, Fault> {
    const MOST: usize = 256;
    match key {
        Some(key) if !(1..=MOST).contains(&key.len()) => {
            Err(Fault::invalid("idempotency_key", format!("must have 1 to {MOST} bytes, got {}", key.len())))
        }
        key => Ok(key),
    }
}

/// A number that differs for different requests and is the same however they are split over shards: every
/// shard gets the hash of the whole, so that another body under the same key is refused by any shard it shares.
pub fn body_hash(parts: &[ShardPart]) -> u64 {
    let items = parts.iter().map(|part| match &part.operation {
        WriteOperation::Upsert(points) => points.iter().map(hash_point).fold(0, u64::wrapping_add),
        WriteOperation::DeleteIds(ids) => ids.iter().map(|id| hash_text(b"d", id)).fold(0, u64::wrapping_add),
        WriteOperation::Batch(batch) => super::batch::hash_batch(batch),
        WriteOperation::DeleteFilter(_) | WriteOperation::EditFilter(..) => 0,
    });
    // A write by filter goes to every shard alike, so it counts once.
    let filter = parts.first().map_or(0, |part| match &part.operation {
        WriteOperation::DeleteFilter(filter) => hash_text(b"f", &filter.to_text()),
        WriteOperation::EditFilter(filter, edit) => {
            hash_text(b"e", &filter.to_text()).wrapping_add(super::batch::hash_edit(edit))
        }
        _ => 0,
    });
    items.fold(filter, u64::wrapping_add)
}

fn hash_text(tag: &[u8], text: &str) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(tag);
    hash.update(text.as_bytes());
    hash.digest()
}

/// The unnamed vector alone is hashed as it was before there were others: a retry may come from an older build.
fn hash_vectors(hash: &mut Xxh3, vectors: &PointVectors) {
    let numbers = |hash: &mut Xxh3, numbers: &[f32]| {
        numbers.iter().for_each(|number| hash.update(&number.to_bits().to_le_bytes()));
    };
    if let Some(vector) = vectors.only_unnamed() {
        return numbers(hash, vector);
    }
    for (name, value) in vectors.iter() {
        for part in [name, value.shape()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&(value.bytes() as u64).to_le_bytes());
        match value {
            FieldValue::Dense(vector) => numbers(hash, vector),
            FieldValue::Multi(vectors) => numbers(hash, vectors.values()),
            FieldValue::Sparse(vector) => {
                vector.indices().iter().for_each(|index| hash.update(&index.to_le_bytes()));
                numbers(hash, vector.values());
            }
        }
    }
}

pub(super) fn hash_point(point: &UpsertPoint) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(b"u");
    for text in [&point.id, &point.payload] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash_vectors(&mut hash, &point.vector);
    let (present, version) = point.if_version.map_or((0u8, 0), |version| (1, version));
    hash.update(&[present]);
    hash.update(&version.to_le_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: &str, vector: [f32; 2], if_version: Option<u64>) -> UpsertPoint {
        UpsertPoint { id: id.into(), vector: vector.to_vec().into(), payload: "{}".into(), if_version }
    }

    fn part(shard: usize, points: Vec<UpsertPoint>) -> ShardPart {
        ShardPart { shard, ids: Vec::new(), operation: WriteOperation::Upsert(points) }
    }

    #[test]
    fn the_body_hash_is_of_the_request_not_of_its_split() {
        let (a, b) = (|| point("a", [1.0, 2.0], None), || point("b", [1.0, 2.0], None));
        let whole = body_hash(&[part(0, vec![a(), b()])]);
        assert_eq!(whole, body_hash(&[part(0, vec![b()]), part(1, vec![a()])]));
        for other in [
            vec![a()],
            vec![a(), point("b", [2.0, 1.0], None)],
            vec![a(), point("b", [1.0, 2.0], Some(0))],
            vec![a(), point("c", [1.0, 2.0], None)],
        ] {
            assert_ne!(whole, body_hash(&[part(0, other)]));
        }
    }
}
