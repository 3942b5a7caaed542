//! Reads that go over points without a query: the values of a field, points by chance, points by a field.
//!
//! Which rows are meant is found as for any filter. Their payloads are read on a frozen copy of the row table, without
//! the lock: the answer is that of one applied index, and writes do not wait for it.

use crate::damage::{Damage, Refusal};
use crate::fields::{FilterEstimate, Plan};
use crate::matching::Matched;
use crate::read::{Include, Point, Read, point_of};
use crate::rows::{Rows, Slot};
use crate::shard::Shard;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use vectron_base::filter::matcher::FieldValues;
use vectron_base::filter::{FieldValue, Filter};
use vectron_base::random::mix64;
use vectron_index::RowSet;

/// The values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// Each with the number of points that have it: most first, equal numbers by value.
    pub values: Vec<(FieldValue, u64)>,
    /// Whether there are others.
    pub more: bool,
    /// Whether a payload index gave them.
    pub indexed: bool,
}

/// A point chosen by chance, and where it stands among all that could have been.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// A hash of the point's state and the seed. Lower comes first.
    pub rank: u64,
    /// The point.
    pub point: Point,
}

/// A point with the value it was ordered by.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// Its value, if it has one.
    pub value: Option<FieldValue>,
    /// The point.
    pub point: Point,
}

/// Points in the order of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderedPage {
    /// The page.
    pub points: Vec<Ordered>,
    /// Whether more follow the last one.
    pub more: bool,
}

/// What points are ordered by: their value of a field, then their id. Of several values the one that comes first
/// counts; points without a value come last. See [`FieldValue`] for the order of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOrder {
    /// Dotted path.
    pub field: String,
    /// Largest value first.
    pub descending: bool,
}

/// A point's value and id.
type Place = (Option<FieldValue>, String);

impl FieldOrder {
    fn compare(&self, a: (&Option<FieldValue>, &str), b: (&Option<FieldValue>, &str)) -> Ordering {
        let by_value = match (a.0, b.0) {
            (Some(a), Some(b)) if self.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_value.then_with(|| a.1.cmp(b.1))
    }
}

/// A point on its way into a page; the heap keeps the last one on top.
struct Candidate<'a> {
    order: &'a FieldOrder,
    place: Place,
    slot: Slot,
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare((&self.place.0, &self.place.1), (&other.place.0, &other.place.1))
    }
}
impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Candidate<'_> {}

/// The rows that a filter leaves, as they were at one applied index.
struct Frozen {
    rows: Rows,
    wanted: RowSet,
    applied_index: u64,
    unindexed: Vec<String>,
}

impl Frozen {
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.wanted.iter().filter_map(|row| self.rows.get(row))
    }

    fn answer<T>(self, value: T) -> Read<T> {
        Read { value, applied_index: self.applied_index, filter_unindexed: self.unindexed }
    }
}

impl Shard {
    fn frozen(&self, filter: Option<&Filter>) -> Result<Frozen, Refusal> {
        let Matched { state, rows, trace } = self.matching(filter)?;
        Ok(Frozen {
            wanted: rows.unwrap_or_else(|| state.fields.live.clone()),
            rows: state.rows.clone(),
            applied_index: state.applied_index,
            unindexed: trace.unindexed,
        })
    }

    /// The values of a field among the points that match, with exact counts; at most `limit` of them. A point with
    /// several values counts for each. Values that a keyword or bool index knows are not read from payloads.
    pub fn facet(&self, filter: Option<&Filter>, field: &str, limit: usize) -> Result<Read<Facet>, Refusal> {
        let (counted, frozen) = {
            let Matched { state, rows, trace } = self.matching(filter)?;
            let counted = state.fields.facet(field, rows.as_ref());
            let (counted, wanted) = match counted {
                Some((counted, open)) => (Some(counted), open),
                None => (None, rows.unwrap_or_else(|| state.fields.live.clone())),
            };
            let (rows, applied_index) = (state.rows.clone(), state.applied_index);
            (counted, Frozen { rows, wanted, applied_index, unindexed: trace.unindexed })
        };
        let indexed = counted.is_some();
        let mut counts: BTreeMap<FieldValue, u64> = BTreeMap::new();
        let values = FieldValues::of(field);
        for slot in frozen.slots() {
            let view = slot.view().map_err(|damage| self.report(damage))?;
            for value in values.read(view.payload) {
                *counts.entry(value).or_default() += 1;
            }
        }
        for (value, count) in counted.into_iter().flatten() {
            *counts.entry(value).or_default() += count;
        }
        let mut values: Vec<(FieldValue, u64)> = counts.into_iter().collect();
        // By value already.
        values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let more = values.len() > limit;
        values.truncate(limit);
        Ok(frozen.answer(Facet { values, more, indexed }))
    }

    /// How many points match, by what the payload indexes say at once.
    pub fn estimate(&self, filter: Option<&Filter>) -> Result<Read<FilterEstimate>, Refusal> {
        let state = self.readable()?;
        let all = Filter::All;
        let plan = Plan::new(&state.fields, filter.unwrap_or(&all));
        let (value, filter_unindexed) = (plan.estimate(), plan.trace().unindexed);
        Ok(Read { value, applied_index: state.applied_index, filter_unindexed })
    }

    /// At most `limit` of the points that match, every choice as likely as any other: those whose states have the
    /// lowest hashes with the seed. The same on every replica.
    pub fn sample(
        &self,
        filter: Option<&Filter>,
        seed: u64,
        limit: usize,
        include: Include,
    ) -> Result<Read<Vec<Sampled>>, Refusal> {
        let frozen = self.frozen(filter)?;
        let rank = |slot: &Slot| mix64(slot.hash as u64 ^ mix64(seed));
        let mut ranked: Vec<(u64, u128, &Slot)> = Vec::new();
        for slot in frozen.slots() {
            ranked.push((rank(slot), slot.hash, slot));
        }
        let order = |(rank, hash, _): &(u64, u128, &Slot)| (*rank, *hash);
        if ranked.len() > limit && limit > 0 {
            ranked.select_nth_unstable_by_key(limit - 1, order);
        }
        ranked.truncate(limit);
        ranked.sort_unstable_by_key(order);
        let sampled = |(rank, _, slot): (u64, u128, &Slot)| {
            Ok(Sampled { rank, point: point_of(slot, &slot.view()?, &self.schema, include)? })
        };
        let points = ranked.into_iter().map(sampled).collect::<Result<_, Damage>>();
        let points = points.map_err(|damage| self.report(damage))?;
        Ok(frozen.answer(points))
    }

    /// At most `limit` of the points that match, in the order of a field, after a place in that order.
    pub fn scroll_by(
        &self,
        filter: Option<&Filter>,
        order: &FieldOrder,
        after: Option<&(Option<FieldValue>, String)>,
        limit: usize,
        include: Include,
    ) -> Result<Read<OrderedPage>, Refusal> {
        let frozen = self.frozen(filter)?;
        let values = FieldValues::of(&order.field);
        let wanted = limit.saturating_add(1);
        let mut best: BinaryHeap<Candidate<'_>> = BinaryHeap::new();
        for slot in frozen.slots() {
            let view = slot.view().map_err(|damage| self.report(damage))?;
            let mut found = values.read(view.payload);
            let value = if order.descending { found.pop_last() } else { found.pop_first() };
            let here = (&value, view.id);
            if after.is_some_and(|(value, id)| order.compare(here, (value, id)).is_le()) {
                continue;
            }
            let full = best.len() >= wanted;
            if full
                && best.peek().is_some_and(|last| order.compare(here, (&last.place.0, &last.place.1)).is_ge())
            {
                continue;
            }
            let place = (value, view.id.to_string());
            best.push(Candidate { order, place, slot: slot.clone() });
            if full {
                best.pop();
            }
        }
        let mut best = best.into_sorted_vec();
        let more = best.len() > limit;
        best.truncate(limit);
        let ordered = |candidate: Candidate<'_>| {
            let point = point_of(&candidate.slot, &candidate.slot.view()?, &self.schema, include)?;
            Ok(Ordered { value: candidate.place.0, point })
        };
        let points = best.into_iter().map(ordered).collect::<Result<_, Damage>>();
        let points = points.map_err(|damage| self.report(damage))?;
        Ok(frozen.answer(OrderedPage { points, more }))
    }
}
