//! Background work on the index, in bounded pieces: planned under the read side of the lock, committed under
//! the write side.
//!
//! Searches go on while a piece is planned. A write waits until the plan is made, and reads that come after that
//! write wait with it: at most for the planning of one row's insertion, or of one step of a sweep.

use crate::shard::Shard;
use vectron_index::{Scratch, SweepCursor};

/// What one indexing step needs from the last one.
#[derive(Default)]
pub(crate) struct Stepper {
    scratch: Scratch,
    cursor: SweepCursor,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Rows linked into the graph.
    pub inserted: usize,
    /// Rows freed by a sweep.
    pub freed: usize,
    /// Rows read for payload indexes that are not ready.
    pub field_rows: usize,
    /// Whether more work waits.
    pub more: bool,
}

impl Shard {
    /// Does a bounded piece of background work: reads some rows for a payload index, or else links some pending
    /// rows into the graph, or takes one step of a sweep after deletions. Asks `stop` between rows.
    pub fn index_step(&self, stop: &dyn Fn() -> bool) -> IndexProgress {
        let mut stepper = self.stepping.lock();
        let mut progress = IndexProgress { field_rows: self.build_fields(stop), ..IndexProgress::default() };
        if progress.field_rows > 0 {
            progress.more = true;
            return progress;
        }
        for _ in 0..self.config.knobs.index_step_rows {
            if stop() || !self.insert_one(&mut stepper.scratch) {
                break;
            }
            progress.inserted += 1;
        }
        if progress.inserted == 0 && !stop() {
            progress.freed = self.sweep_once(&mut stepper);
        }
        let state = self.state.read();
        let waits = state.index.next_pending().is_some() || state.index.wants_sweep();
        progress.more = state.readable().is_ok() && (waits || state.fields.wants_building());
        progress
    }

    /// Whether a row was linked.
    fn insert_one(&self, scratch: &mut Scratch) -> bool {
        let planned = {
            let state = self.state.read();
            if state.readable().is_err() {
                return false;
            }
            state.index.next_pending().and_then(|row| state.index.plan_insert(row, scratch))
        };
        let Some(plan) = planned else { return false };
        let mut state = self.state.write();
        state.whole("an insertion into the index", |state| {
            state.index.commit_insert(plan);
            state.graph_changes += 1;
        });
        true
    }

    /// One step of a sweep, if the index wants one; rows freed.
    fn sweep_once(&self, stepper: &mut Stepper) -> usize {
        let Stepper { scratch, cursor } = stepper;
        let budget = self.config.knobs.sweep_step_rows as usize;
        let plan = {
            let state = self.state.read();
            if state.readable().is_err() || !state.index.wants_sweep() {
                return 0;
            }
            state.index.plan_sweep(scratch, cursor, budget)
        };
        let mut state = self.state.write();
        state.whole("a sweep of the index", |state| {
            let done = state.index.commit_sweep(plan);
            state.graph_changes += 1 + done.freed as u64;
            state.reclaim_rows();
            done.freed
        })
    }
}
