//! Which rows a filter matches. The work is done on a frozen copy of the row table, without any lock; what
//! changed meanwhile is looked at again under the lock.

use crate::damage::{Damage, Refusal};
use crate::filter::Matcher;
use crate::rows::{Rows, Slot};
use crate::shard::Shard;
use crate::state::State;
use parking_lot::RwLockReadGuard;
use vectron_base::filter::Filter;
use vectron_index::RowSet;

fn matches(matcher: &Matcher, slot: &Slot) -> Result<bool, Damage> {
    Ok(matcher.matches(slot.view()?.payload))
}

/// The rows that match, of all that hold a record.
pub(crate) fn evaluate(matcher: &Matcher, rows: &Rows) -> Result<RowSet, Damage> {
    let mut matched = RowSet::new();
    for (row, slot) in rows.iter() {
        if matches(matcher, slot)? {
            matched.insert(row);
        }
    }
    Ok(matched)
}

impl Shard {
    /// The state, and the rows that the filter matches in exactly that state; `None` stands for all.
    pub(crate) fn matching(
        &self,
        filter: Option<&Filter>,
    ) -> Result<(RwLockReadGuard<'_, State>, Option<RowSet>), Refusal> {
        let Some(filter) = filter.filter(|filter| **filter != Filter::All) else {
            return Ok((self.readable()?, None));
        };
        let matcher = Matcher::new(filter);
        let (rows, since) = {
            let state = self.readable()?;
            (state.rows.clone(), state.change_count())
        };
        let mut matched = evaluate(&matcher, &rows).map_err(|damage| self.report(damage))?;
        drop(rows);
        let state = self.readable()?;
        match state.changes_since(since) {
            Some(changed) => {
                for row in changed {
                    let now = state.rows.get(row).map(|slot| matches(&matcher, slot)).transpose();
                    if now.map_err(|damage| self.report(damage))?.unwrap_or(false) {
                        matched.insert(row);
                    } else {
                        matched.remove(row);
                    }
                }
            }
            None => matched = evaluate(&matcher, &state.rows).map_err(|damage| self.report(damage))?,
        }
        Ok((state, Some(matched)))
    }
}
