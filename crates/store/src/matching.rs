//! Which rows a filter matches. What payload indexes know is taken from them under the lock, in microseconds. The
//! payloads that must be looked at are read on a frozen copy of the row table, without any lock; what changed
//! meanwhile is looked at again under the lock.

use crate::damage::{Damage, Refusal};
use crate::fields::{FilterEstimate, FilterTrace, Plan};
use crate::filter::Matcher;
use crate::rows::{Rows, Slot};
use crate::shard::Shard;
use crate::state::State;
use parking_lot::RwLockReadGuard;
use vectron_base::filter::Filter;
use vectron_index::RowSet;

/// A state, and what a filter matches in exactly that state.
pub(crate) struct Matched<'a> {
    pub state: RwLockReadGuard<'a, State>,
    /// The rows; `None` stands for all.
    pub rows: Option<RowSet>,
    pub trace: FilterTrace,
}

fn matches(matcher: &Matcher, slot: &Slot) -> Result<bool, Damage> {
    Ok(matcher.matches(slot.view()?.payload))
}

/// The rows of `matched`, and those of `open` that match.
pub(crate) fn look(
    filter: &Filter,
    rows: &Rows,
    mut matched: RowSet,
    open: &RowSet,
) -> Result<RowSet, Damage> {
    if open.is_empty() {
        return Ok(matched);
    }
    let matcher = Matcher::new(filter);
    for row in open.iter() {
        if let Some(slot) = rows.get(row)
            && matches(&matcher, slot)?
        {
            matched.insert(row);
        }
    }
    Ok(matched)
}

impl Shard {
    /// How many points a filter matches, by what the payload indexes say at once.
    pub fn filter_estimate(&self, filter: &Filter) -> Result<FilterEstimate, Refusal> {
        let state = self.readable()?;
        Ok(Plan::new(&state.fields, filter).estimate())
    }

    pub(crate) fn matching(&self, filter: Option<&Filter>) -> Result<Matched<'_>, Refusal> {
        let Some(filter) = filter.filter(|filter| **filter != Filter::All) else {
            return Ok(Matched { state: self.readable()?, rows: None, trace: FilterTrace::none() });
        };
        let (rows, since, sure, open, mut trace) = {
            let state = self.readable()?;
            let plan = Plan::new(&state.fields, filter);
            let trace = plan.trace();
            let (sure, open) = plan.answer();
            drop(plan);
            if open.is_empty() {
                return Ok(Matched { state, rows: Some(sure), trace });
            }
            (state.rows.clone(), state.change_count(), sure, open, trace)
        };
        trace.checked = open.len();
        let mut matched = look(filter, &rows, sure, &open).map_err(|damage| self.report(damage))?;
        drop(rows);
        let state = self.readable()?;
        if state.changes_since(since).is_none() {
            // Too much changed: all is done under the lock.
            let (sure, open) = Plan::new(&state.fields, filter).answer();
            trace.checked += open.len();
            matched = look(filter, &state.rows, sure, &open).map_err(|damage| self.report(damage))?;
        } else if state.change_count() > since {
            let matcher = Matcher::new(filter);
            for row in state.changes_since(since).into_iter().flatten() {
                let now = state.rows.get(row).map(|slot| matches(&matcher, slot)).transpose();
                if now.map_err(|damage| self.report(damage))?.unwrap_or(false) {
                    matched.insert(row);
                } else {
                    matched.remove(row);
                }
            }
        }
        Ok(Matched { state, rows: Some(matched), trace })
    }
}
