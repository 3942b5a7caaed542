//! Why a search returns a point, or does not: the search is made again, and beside it everything is measured exactly,
//! at one applied index.

use crate::damage::Refusal;
use crate::filter::{FailedClause, failed};
use crate::matching::Matched;
use crate::query::SearchQuery;
use crate::read::Read;
use crate::removals::Removal;
use crate::rows::Slot;
use crate::search::{DenseLook, nearest};
use crate::shard::Shard;
use crate::source::Stored;
use crate::state::State;
use vectron_index::{Above, Row, RowSet};

/// By how much the effort grows from one try to the next, while what would have found a point is looked for.
const EFFORT_GROWTH: usize = 2;
/// How often the last step is halved then.
const HALVINGS: u32 = 3;

/// How a point stands in a search of its shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// There is no such point, and none is remembered.
    Absent,
    /// There was one.
    Removed(Removal),
    /// It is there and does not pass the filter.
    Filtered {
        /// Of the point.
        version: u64,
        /// What it fails.
        failed: Vec<FailedClause>,
    },
    /// It is there and passes.
    Scored(Scored),
}

/// How a point that passes a filter ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Of the point.
    pub version: u64,
    /// Its score, by its full vector.
    pub score: f32,
    /// Points of the shard that pass and come before it: that score more, or the same with a lower id.
    pub ahead: u64,
    /// At which position the search returns it, from 0; `None` if it does not.
    pub position: Option<u64>,
    /// The search's effort.
    pub ef: usize,
    /// The least effort found with which the search returns it, where it has none of its own; `None` if no effort but
    /// an exact search does, or if it is no matter of effort.
    pub ef_needed: Option<usize>,
}

/// What a shard has that comes before a point of another shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Points that pass.
    pub ahead: u64,
    /// Those of them that the search returns.
    pub returned: u64,
}

/// A look at one state.
struct Look<'a> {
    shard: &'a Shard,
    state: &'a State,
    allowed: Option<&'a RowSet>,
    query: &'a SearchQuery,
    dense: DenseLook<'a>,
    full: Stored<'a>,
}

impl Look<'_> {
    /// What the search returns with an effort, in its order, and the effort that it took.
    fn returned(&self, ef: usize) -> Result<(Vec<(f32, Slot)>, usize), Refusal> {
        let work = |scratch: &mut _| nearest(&self.dense, ef, self.allowed, &self.full, scratch);
        let (hits, trace) = self.shard.with_scratch(work);
        let mut named = Vec::with_capacity(hits.len());
        for hit in hits {
            let Some(slot) = self.state.rows.get(hit.row) else { continue };
            let id = slot.view().map_err(|damage| self.shard.report(damage))?.id.to_string();
            named.push((hit.score + 0.0, id, slot.clone()));
        }
        named.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then_with(|| x.cmp(y)));
        named.truncate(self.query.top_k);
        Ok((named.into_iter().map(|(score, _, slot)| (score, slot)).collect(), trace.ef))
    }

    /// How many of the points that pass come before a score and an id.
    fn ahead(&self, score: f32, id: &str) -> Result<u64, Refusal> {
        let work = |scratch: &mut _| {
            let (index, vector) = (&self.dense.field.index, self.dense.vector);
            index.above(vector, score, self.allowed, &self.full, scratch)
        };
        let Above { more, equal, .. } = self.shard.with_scratch(work);
        if let Some(damage) = self.full.damage() {
            return Err(self.shard.report(damage));
        }
        let mut ahead = more;
        for row in equal {
            let Some(slot) = self.state.rows.get(row) else { continue };
            let view = slot.view().map_err(|damage| self.shard.report(damage))?;
            ahead += u64::from(view.id < id);
        }
        Ok(ahead)
    }

    /// Where the search with an effort returns a row's record.
    fn position(&self, slot: &Slot, ef: usize) -> Result<(Option<u64>, usize), Refusal> {
        let (returned, ef) = self.returned(ef)?;
        let at =
            returned.iter().position(|(_, hit)| hit.version == slot.version && hit.place.is(&slot.place));
        Ok((at.map(|at| at as u64), ef))
    }

    /// The least effort that returns a record which `ef` does not, up to that of looking at everything.
    fn needed(&self, slot: &Slot, ef: usize) -> Result<Option<usize>, Refusal> {
        let most = self.dense.field.index.live();
        let (mut low, mut high) = (ef, ef);
        loop {
            if high >= most {
                return Ok(None);
            }
            high = high.saturating_mul(EFFORT_GROWTH).min(most);
            if self.position(slot, high)?.0.is_some() {
                break;
            }
            low = high;
        }
        for _ in 0..HALVINGS {
            let middle = low + (high - low) / 2;
            if middle == low {
                break;
            }
            if self.position(slot, middle)?.0.is_some() { high = middle } else { low = middle }
        }
        Ok(Some(high))
    }

    fn scored(&self, row: Row, slot: &Slot, id: &str) -> Result<Option<Scored>, Refusal> {
        let score = self.dense.field.index.score(self.dense.vector, row, &self.full);
        if let Some(damage) = self.full.damage() {
            return Err(self.shard.report(damage));
        }
        let Some(score) = score.map(|score| score + 0.0) else { return Ok(None) };
        let ahead = self.ahead(score, id)?;
        let (position, ef) = self.position(slot, self.shard.effort(&self.dense))?;
        let exact = self.query.exact || self.query.recall_target >= 1.0;
        let passes = self.query.score_threshold.is_none_or(|least| score >= least);
        let missed = position.is_none() && passes && !exact && ahead < self.query.top_k as u64;
        let ef_needed = if missed { self.needed(slot, ef)? } else { None };
        let version = slot.version;
        Ok(Some(Scored { version, score, ahead, position, ef, ef_needed }))
    }
}

impl Shard {
    /// How the point of an id stands in a search. Costs an exact search and a few of the search itself.
    pub fn why_not(&self, query: &SearchQuery, id: &str) -> Result<Read<Standing>, Refusal> {
        let (standing, applied_index, filter_unindexed) = self.look_around(query, |look| {
            let Some((row, slot)) =
                look.state.ids.get(id).and_then(|row| Some((*row, look.state.rows.get(*row)?)))
            else {
                return Ok(look.state.removals.get(id).map_or(Standing::Absent, Standing::Removed));
            };
            if look.allowed.is_some_and(|allowed| !allowed.contains(row)) {
                let view = slot.view().map_err(|damage| self.report(damage))?;
                let failed = query.filter.as_ref().map_or_else(Vec::new, |f| failed(f, view.payload));
                return Ok(Standing::Filtered { version: slot.version, failed });
            }
            Ok(look.scored(row, slot, id)?.map_or(Standing::Absent, Standing::Scored))
        })?;
        Ok(Read { value: standing, applied_index, filter_unindexed })
    }

    /// What this shard has in a search that comes before a point of another shard: before its score and its id.
    pub fn ahead_of(&self, query: &SearchQuery, score: f32, id: &str) -> Result<Read<Ahead>, Refusal> {
        let (value, applied_index, filter_unindexed) = self.look_around(query, |look| {
            let ahead = look.ahead(score, id)?;
            let mut returned = 0;
            for (other, slot) in look.returned(self.effort(&look.dense))?.0 {
                let view = slot.view().map_err(|damage| self.report(damage))?;
                returned += u64::from(other > score || other == score && view.id < id);
            }
            Ok(Ahead { ahead, returned })
        })?;
        Ok(Read { value, applied_index, filter_unindexed })
    }

    fn look_around<T>(
        &self,
        query: &SearchQuery,
        work: impl FnOnce(&Look<'_>) -> Result<T, Refusal>,
    ) -> Result<(T, u64, Vec<String>), Refusal> {
        self.check(query)?;
        // It takes as long as an exact search.
        let _long = self.state.long();
        let Matched { state, rows, trace } = self.matching(query.filter.as_ref())?;
        let dense = self.dense(&state, query)?;
        let full = Stored::new(&state.rows, &self.schema, dense.field.number);
        let look = Look { shard: self, state: &state, allowed: rows.as_ref(), query, dense, full };
        let value = work(&look)?;
        Ok((value, state.applied_index, trace.unindexed))
    }
}
