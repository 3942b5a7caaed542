//! Reads by id and in id order.

use crate::damage::{Damage, Refusal};
use crate::fields::Plan;
use crate::filter::Matcher;
use crate::matching::Matched;
use crate::record::View;
use crate::rows::Slot;
use crate::shard::Shard;
use crate::state::State;
use crate::vectors::schema::Schema;
use std::ops::Bound;
use vectron_base::filter::Filter;
use vectron_base::vectors::PointVectors;
use vectron_index::Row;

/// Points taken at a time when a filter is tested on them: the first time, if more are not wanted,
const BATCH_LEAST: usize = 64;
/// and at most.
const BATCH_MOST: usize = 2048;

/// What of a point is wanted besides id and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include {
    /// The payload text.
    pub payload: bool,
    /// The vectors as they were sent.
    pub vector: bool,
}

impl Default for Include {
    fn default() -> Self {
        Self { payload: true, vector: false }
    }
}

/// A point as it was at the read's applied index.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its id.
    pub id: String,
    /// The log index of its last write.
    pub version: u64,
    /// If asked for.
    pub vector: Option<PointVectors>,
    /// If asked for: a JSON object's text, exactly as written.
    pub payload: Option<String>,
}

/// An answer, and the applied index at which it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// Where in the log it was given.
    pub applied_index: u64,
    /// Fields of the filter that no payload index answered for, sorted.
    pub filter_unindexed: Vec<String>,
}

impl<T> Read<T> {
    /// The same with another answer made from it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Read<U> {
        let Read { value, applied_index, filter_unindexed } = self;
        Read { value: make(value), applied_index, filter_unindexed }
    }

    /// An answer to something without a filter.
    fn plain(value: T, applied_index: u64) -> Self {
        Read { value, applied_index, filter_unindexed: Vec::new() }
    }
}

/// Points in id order.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrollPage {
    /// The page.
    pub points: Vec<Point>,
    /// Whether more follow the last one.
    pub more: bool,
}

fn point(slot: &Slot, schema: &Schema, include: Include) -> Result<Point, Damage> {
    point_of(slot, &slot.view()?, schema, include)
}

/// The point of a slot whose view was taken already.
pub(crate) fn point_of(
    slot: &Slot,
    view: &View<'_>,
    schema: &Schema,
    include: Include,
) -> Result<Point, Damage> {
    let values = include.vector.then(|| view.values(schema)).transpose().map_err(|e| slot.damage(e))?;
    Ok(Point {
        id: view.id.to_string(),
        version: view.version,
        vector: values.map(|values| schema.named(values)),
        payload: include.payload.then(|| view.payload.to_string()),
    })
}

/// The first `n` wanted points after an id.
fn following(state: &State, after: Option<&str>, n: usize, wanted: impl Fn(&Row) -> bool) -> Vec<Slot> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = state.ids.range::<str, _>((from, Bound::Unbounded)).map(|(_, row)| *row);
    rows.filter(wanted).take(n).filter_map(|row| state.rows.get(row).cloned()).collect()
}

/// Whether it costs less to sort all `matched` points by id than to go through ids until `wanted` of them are met,
/// one in `points` / `matched`.
fn few(matched: u64, wanted: u64, points: u64) -> bool {
    /// Steps through ids that cost as much as reading one.
    const READING: u64 = 32;
    let steps = wanted.saturating_mul(points / matched.max(1)).min(points);
    matched.saturating_mul(READING) < steps
}

/// The first `n` points after an id, of points in any order.
fn first_of(slots: Vec<Slot>, after: Option<&str>, n: usize) -> Result<Vec<Slot>, Damage> {
    let mut named = Vec::with_capacity(slots.len());
    for slot in &slots {
        named.push((slot.view()?.id, slot));
    }
    named.retain(|(id, _)| after.is_none_or(|after| *id > after));
    named.sort_unstable_by_key(|(id, _)| *id);
    named.truncate(n);
    Ok(named.into_iter().map(|(_, slot)| slot.clone()).collect())
}

/// Adds the points that match; whether one more than `limit` was found.
fn test(
    slots: &[Slot],
    matcher: &Matcher,
    limit: usize,
    (schema, include): (&Schema, Include),
    points: &mut Vec<Point>,
) -> Result<bool, Damage> {
    for slot in slots {
        let view = slot.view()?;
        if matcher.matches(view.payload) {
            if points.len() == limit {
                return Ok(true);
            }
            points.push(point_of(slot, &view, schema, include)?);
        }
    }
    Ok(false)
}

impl Shard {
    /// Points by id, in the order asked for; `None` where there is none.
    pub fn get<S: AsRef<str>>(
        &self,
        ids: &[S],
        include: Include,
    ) -> Result<Read<Vec<Option<Point>>>, Refusal> {
        let (slots, applied_index) = {
            let state = self.readable()?;
            let slot = |id: &S| state.rows.get(*state.ids.get(id.as_ref())?).cloned();
            (ids.iter().map(slot).collect::<Vec<_>>(), state.applied_index)
        };
        let points =
            slots.iter().map(|slot| slot.as_ref().map(|slot| point(slot, &self.schema, include)).transpose());
        let value = points.collect::<Result<_, Damage>>().map_err(|damage| self.report(damage))?;
        Ok(Read::plain(value, applied_index))
    }

    /// Up to `limit` points in bytewise id order, after the id `after`. A page may be shorter and say `more`: if
    /// writes come in while a filter is tested, it ends with what was found before them. Such a page is not empty.
    pub fn scroll(
        &self,
        filter: Option<&Filter>,
        after: Option<&str>,
        limit: usize,
        include: Include,
    ) -> Result<Read<ScrollPage>, Refusal> {
        if let Some(filter) = filter.filter(|filter| **filter != Filter::All)
            && let Some(filter_unindexed) = self.unindexed(filter)?
            && let Some((page, applied_index)) =
                self.scroll_in_batches(&Matcher::new(filter), after, limit, include)?
        {
            return Ok(Read { value: page, applied_index, filter_unindexed });
        }
        // No filter, or payload indexes for it, or writes came in before anything was found: then all rows are
        // evaluated at one index.
        let wanted = limit.saturating_add(1);
        let (mut slots, few, applied_index, filter_unindexed) = {
            let Matched { state, rows, trace } = self.matching(filter)?;
            let few = rows.as_ref().filter(|rows| few(rows.len(), wanted as u64, state.ids.len() as u64));
            let slots = match (few, &rows) {
                (Some(few), _) => few.iter().filter_map(|row| state.rows.get(row).cloned()).collect(),
                (None, Some(rows)) => following(&state, after, wanted, |row| rows.contains(*row)),
                (None, None) => following(&state, after, wanted, |_| true),
            };
            (slots, few.is_some(), state.applied_index, trace.unindexed)
        };
        if few {
            slots = first_of(slots, after, wanted).map_err(|damage| self.report(damage))?;
        }
        let more = slots.len() > limit;
        slots.truncate(limit);
        let points =
            slots.iter().map(|slot| point(slot, &self.schema, include)).collect::<Result<_, Damage>>();
        let points = points.map_err(|damage| self.report(damage))?;
        Ok(Read { value: ScrollPage { points, more }, applied_index, filter_unindexed })
    }

    /// The fields without an index, if so many payloads would have to be read for them that a page is better found
    /// by reading payloads until it is full.
    fn unindexed(&self, filter: &Filter) -> Result<Option<Vec<String>>, Refusal> {
        let state = self.readable()?;
        let plan = Plan::new(&state.fields, filter);
        let trace = plan.trace();
        let many = match trace.plan {
            "partly" => plan.estimate().high > BATCH_MOST as u64,
            plan => plan == "unindexed",
        };
        Ok(many.then_some(trace.unindexed))
    }

    /// Takes points in id order and tests them without the lock, until the page is full or the state moved on;
    /// `None` if it moved on before anything was found.
    fn scroll_in_batches(
        &self,
        matcher: &Matcher,
        after: Option<&str>,
        limit: usize,
        include: Include,
    ) -> Result<Option<(ScrollPage, u64)>, Refusal> {
        let mut points = Vec::new();
        let mut cursor = after.map(str::to_string);
        let mut size = limit.saturating_add(1).clamp(BATCH_LEAST, BATCH_MOST);
        let mut began = None;
        loop {
            let (slots, applied_index) = {
                let state = self.readable()?;
                let at = *began.get_or_insert(state.applied_index);
                if at != state.applied_index {
                    let page = ScrollPage { points, more: true };
                    let found = !page.points.is_empty();
                    return Ok(found.then_some((page, at)));
                }
                (following(&state, cursor.as_deref(), size, |_| true), at)
            };
            let tested = test(&slots, matcher, limit, (&self.schema, include), &mut points);
            let full = tested.map_err(|damage| self.report(damage))?;
            if full || slots.len() < size {
                return Ok(Some((ScrollPage { points, more: full }, applied_index)));
            }
            let last = slots.last().map(|slot| slot.view().map(|view| view.id.to_string()));
            cursor = last.transpose().map_err(|damage| self.report(damage))?;
            size = size.saturating_mul(2).min(BATCH_MOST);
        }
    }

    /// How many points the filter matches.
    pub fn count(&self, filter: Option<&Filter>) -> Result<Read<u64>, Refusal> {
        let Matched { state, rows, trace } = self.matching(filter)?;
        let value = rows.map_or(state.ids.len() as u64, |rows| rows.len());
        Ok(Read { value, applied_index: state.applied_index, filter_unindexed: trace.unindexed })
    }

    /// Digest of the logical state: every point's id, version, vector bits and payload bytes, the remembered
    /// idempotency keys, log time, the range once it was split, and whether the shard is sealed. Equal on every replica
    /// at an equal applied index, whatever its rows, segments and graph. Given for a sealed shard too.
    pub fn digest(&self) -> Read<u128> {
        let state = self.state.read();
        Read::plain(state.digest(), state.applied_index)
    }
}
