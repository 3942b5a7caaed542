//! Reads by id and in id order.

use crate::damage::{Damage, Refusal};
use crate::rows::Slot;
use crate::shard::Shard;
use std::ops::Bound;
use vectron_base::filter::Filter;
use xxhash_rust::xxh3::Xxh3;

/// What of a point is wanted besides id and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Include {
    /// The payload text.
    pub payload: bool,
    /// The vector as it was sent.
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
    pub vector: Option<Vec<f32>>,
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
}

/// Points in id order.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrollPage {
    /// The page.
    pub points: Vec<Point>,
    /// Whether more follow the last one.
    pub more: bool,
}

pub(crate) fn point(slot: &Slot, include: Include) -> Result<Point, Damage> {
    let view = slot.view()?;
    let vector = include.vector.then(|| view.vector()).transpose().map_err(|e| slot.damage(e))?;
    Ok(Point {
        id: view.id.to_string(),
        version: view.version,
        vector,
        payload: include.payload.then(|| view.payload.to_string()),
    })
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
        let points = slots.iter().map(|slot| slot.as_ref().map(|slot| point(slot, include)).transpose());
        let value = points.collect::<Result<_, Damage>>().map_err(|damage| self.report(damage))?;
        Ok(Read { value, applied_index })
    }

    /// Up to `limit` points in bytewise id order, after the id `after`.
    pub fn scroll(
        &self,
        filter: Option<&Filter>,
        after: Option<&str>,
        limit: usize,
        include: Include,
    ) -> Result<Read<ScrollPage>, Refusal> {
        let (mut slots, applied_index) = {
            let (state, matched) = self.matching(filter)?;
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let rows = state.ids.range::<str, _>((from, Bound::Unbounded)).map(|(_, row)| *row);
            let wanted = rows.filter(|row| matched.as_ref().is_none_or(|matched| matched.contains(*row)));
            let slots = wanted.take(limit.saturating_add(1)).filter_map(|row| state.rows.get(row).cloned());
            (slots.collect::<Vec<_>>(), state.applied_index)
        };
        let more = slots.len() > limit;
        slots.truncate(limit);
        let points = slots.iter().map(|slot| point(slot, include)).collect::<Result<_, Damage>>();
        let points = points.map_err(|damage| self.report(damage))?;
        Ok(Read { value: ScrollPage { points, more }, applied_index })
    }

    /// How many points the filter matches.
    pub fn count(&self, filter: Option<&Filter>) -> Result<Read<u64>, Refusal> {
        let (state, matched) = self.matching(filter)?;
        let value = matched.map_or(state.ids.len() as u64, |matched| matched.len());
        Ok(Read { value, applied_index: state.applied_index })
    }

    /// Digest of the logical state: every point's id, version, vector bits and payload bytes, the remembered
    /// idempotency keys, log time, and whether the shard is sealed. Equal on every replica at an equal applied
    /// index, whatever its rows, segments and graph. Given for a sealed shard too.
    pub fn digest(&self) -> Read<u128> {
        let state = self.state.read();
        let mut hash = Xxh3::new();
        hash.update(&state.points_sum.to_le_bytes());
        hash.update(&(state.ids.len() as u64).to_le_bytes());
        hash.update(&state.window.sum().to_le_bytes());
        hash.update(&state.log_time_ms.to_le_bytes());
        hash.update(&[u8::from(state.sealed)]);
        Read { value: hash.digest128(), applied_index: state.applied_index }
    }
}
