//! Indexes that are asked for while there are points: built in the background, a slice of rows at a time.
//!
//! A slice is copied under the read side of the lock (pointers only), its payloads are read without any lock, and
//! what was found is added under the write side; rows written meanwhile are read again there. A write keeps up to
//! date what lies below the slice, and leaves the rest to its own slice.

use super::field::Field;
use super::{Extractor, Found};
use crate::damage::{Damage, Refusal};
use crate::rows::Slot;
use crate::shard::Shard;
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use vectron_base::filter::FieldIndex;
use vectron_index::Row;

/// Slices per indexing step.
const SLICES: usize = 8;

/// How far a payload index is, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldIndexStatus {
    /// The index.
    pub index: FieldIndex,
    /// Whether filters are answered from it. Until then they read payloads.
    pub ready: bool,
    /// Points in it.
    pub points_indexed: u64,
    /// Points there are.
    pub points_total: u64,
    /// Bytes of memory.
    pub bytes: u64,
    /// Points with a value of the field that is not of the index's type: filters look at their payloads.
    pub irregular: u64,
}

/// Rows to be read, as they were.
struct Slice {
    rows: Range<Row>,
    slots: Vec<(Row, Slot)>,
    extractor: Arc<Extractor>,
    generation: u64,
    since: u64,
}

impl Shard {
    /// Makes these the shard's payload indexes: adds what is new, drops what is not named, keeps the rest. New
    /// ones are built by [`Shard::index_step`]; until one is ready, filters on its field read payloads. Indexes
    /// are not part of the state that commands make: they are in no checkpoint and in no digest, and replicas may
    /// differ in them. So they have to be set again after every opening.
    pub fn set_field_indexes(&self, wanted: &[FieldIndex]) {
        // Not in the middle of a command, which has read payloads for the old list.
        let _applying = self.applying.lock();
        let mut wanted = wanted.to_vec();
        wanted.sort();
        wanted.dedup();
        let keyword_bytes_max = self.config.knobs.keyword_bytes_max as usize;
        let mut state = self.state.write();
        let known = &state.fields.list;
        if known.len() != wanted.len() || known.iter().any(|field| !wanted.contains(&field.index)) {
            let next_row = state.next_row;
            state.fields.want(&wanted, next_row, keyword_bytes_max);
        }
    }

    /// The payload indexes, in no particular order.
    pub fn field_indexes(&self) -> Vec<FieldIndexStatus> {
        let state = self.state.read();
        let live = &state.fields.live;
        let status = |field: &Field| FieldIndexStatus {
            index: field.index.clone(),
            ready: field.ready(),
            points_indexed: live.len() - live.iter_from(field.built).count() as u64,
            points_total: live.len(),
            bytes: field.bytes() as u64,
            irregular: field.irregular.len(),
        };
        state.fields.list.iter().map(status).collect()
    }

    /// Reads some rows for indexes that are not ready; how many.
    pub(crate) fn build_fields(&self, stop: &dyn Fn() -> bool) -> usize {
        let mut rows = 0;
        for _ in 0..SLICES {
            let Some(slice) = (!stop()).then(|| self.next_slice()).flatten() else { break };
            rows += slice.rows.len();
            self.build_slice(&slice);
        }
        rows
    }

    fn next_slice(&self) -> Option<Slice> {
        let state = self.state.read_long();
        state.readable().ok()?;
        let (from, extractor) = state.fields.unfinished().zip(state.fields.extractor())?;
        let most = Row::try_from(self.config.knobs.field_step_rows).unwrap_or(Row::MAX);
        let rows = from..from.saturating_add(most).min(state.next_row);
        Some(Slice {
            slots: rows.clone().filter_map(|row| Some((row, state.rows.get(row)?.clone()))).collect(),
            rows,
            extractor,
            generation: state.fields.generation,
            since: state.change_count(),
        })
    }

    fn build_slice(&self, slice: &Slice) {
        let found = slice.slots.iter().map(|(row, slot)| Ok((*row, read(&slice.extractor, slot)?)));
        let found = found.collect::<Result<BTreeMap<Row, Vec<Found>>, Damage>>();
        let mut state = self.state.write();
        let added = found.and_then(|found| {
            state.whole("an addition to payload indexes", |state| add_slice(state, slice, found))
        });
        if let Err(damage) = added {
            state.fields.halted = true;
            let _: Refusal = self.report(damage);
        }
    }
}

fn read(extractor: &Extractor, slot: &Slot) -> Result<Vec<Found>, Damage> {
    Ok(extractor.read(slot.view()?.payload))
}

/// Adds what was found, unless too much changed: then the slice is read again.
fn add_slice(state: &mut State, slice: &Slice, mut found: BTreeMap<Row, Vec<Found>>) -> Result<(), Damage> {
    if state.fields.generation != slice.generation || state.fields.unfinished() != Some(slice.rows.start) {
        return Ok(());
    }
    let Some(changed) = state.changes_since(slice.since) else { return Ok(()) };
    let changed: BTreeSet<Row> = changed.filter(|row| slice.rows.contains(row)).collect();
    for row in changed {
        match state.rows.get(row) {
            Some(slot) => _ = found.insert(row, read(&slice.extractor, slot)?),
            None => _ = found.remove(&row),
        }
    }
    let built = if slice.rows.end < state.next_row { slice.rows.end } else { Row::MAX };
    for (at, field) in state.fields.list.iter_mut().enumerate() {
        if field.built == slice.rows.start {
            field.built = built;
            for (row, found) in &found {
                found.get(at).into_iter().for_each(|found| field.insert(*row, found));
            }
        }
    }
    Ok(())
}

impl super::Fields {
    /// The lowest row that some index waits for.
    fn unfinished(&self) -> Option<Row> {
        let waiting = self.list.iter().filter(|field| !field.ready() && !self.halted);
        waiting.map(|field| field.built).min()
    }

    /// Whether there is something to build.
    pub fn wants_building(&self) -> bool {
        self.unfinished().is_some()
    }
}
