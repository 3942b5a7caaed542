//! Background work on the index, in bounded pieces: planned in a long look, committed in a short change.
//!
//! Several threads may take steps of one shard at a time: each plans other rows, and commits them one by one. A
//! commit writes what the plan still fits; so a graph that several built is as good as one that one built, though
//! not the same.
//!
//! Searches go on while a piece is planned, whatever waits. A write waits until the plans under way are made: at
//! most for one row's insertion each, or for one step of a sweep.

use crate::shard::Shard;
use crate::state::State;
use std::collections::BTreeSet;
use vectron_index::{Row, Scratch, SweepCursor};

/// Rows are inserted first and swept then, unless more than one in so many is deleted.
const URGENT_SHARE: usize = 10;

/// Who does what. Taken briefly, inside the state's lock or without it.
pub(crate) struct Steps {
    /// Rows that somebody plans.
    taken: BTreeSet<Row>,
    /// The row taken last: the next one comes from behind it, so that rows whose insertion did not succeed come
    /// after all others.
    last: Option<Row>,
    /// The place of the sweep; taken out by the one step of it that is under way.
    sweep: Option<SweepCursor>,
    /// Whether a sweep was begun and is not over.
    sweeping: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { taken: BTreeSet::new(), last: None, sweep: Some(SweepCursor::default()), sweeping: false }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Rows linked into the graph.
    pub inserted: usize,
    /// Rows freed by a sweep.
    pub freed: usize,
    /// Whether more work waits.
    pub more: bool,
    /// Whether a checkpoint is due now, see [`Shard::checkpoint_due`].
    pub checkpoint_due: bool,
}

/// A row that one thread plans, for as long as this lives.
struct Claim<'a> {
    shard: &'a Shard,
    row: Row,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.shard.stepping.lock().taken.remove(&self.row);
    }
}

/// The sweep, for as long as this lives.
struct SweepClaim<'a> {
    shard: &'a Shard,
    cursor: SweepCursor,
}

impl Drop for SweepClaim<'_> {
    fn drop(&mut self) {
        self.shard.stepping.lock().sweep = Some(std::mem::take(&mut self.cursor));
    }
}

impl Shard {
    /// Does a bounded piece of background work: links some pending rows into the graph, and takes one step of a
    /// sweep if one is due. Asks `stop` between rows. May be called by several threads at a time.
    pub fn index_step(&self, stop: &dyn Fn() -> bool) -> IndexProgress {
        let mut progress = IndexProgress::default();
        self.with_scratch(|scratch| {
            for _ in 0..self.config.knobs.index_step_rows {
                if stop() || !self.insert_one(scratch) {
                    break;
                }
                progress.inserted += 1;
            }
            if !stop() {
                progress.freed = self.sweep_once(scratch, progress.inserted > 0);
            }
        });
        let state = self.state.read();
        progress.more =
            state.readable().is_ok() && (state.index.next_pending().is_some() || state.index.wants_sweep());
        progress.checkpoint_due = self.due(&state);
        progress
    }

    /// Whether a row was planned and its plan carried out as far as it still held.
    fn insert_one(&self, scratch: &mut Scratch) -> bool {
        let planned = {
            let state = self.state.read_long();
            if state.readable().is_err() {
                return false;
            }
            let claim = self.claim(|after| state.index.next_pending_after(after));
            claim.and_then(|claim| Some((state.index.plan_insert(claim.row, scratch)?, claim)))
        };
        let Some((plan, _claim)) = planned else { return false };
        let mut state = self.state.write();
        state.whole("an insertion into the index", |state| {
            state.index.commit_insert(plan);
            state.graph_changes += 1;
        });
        true
    }

    /// Takes a pending row that nobody else has.
    fn claim(&self, next_after: impl Fn(Option<Row>) -> Option<Row>) -> Option<Claim<'_>> {
        let mut steps = self.stepping.lock();
        let (mut after, mut wrapped) = (steps.last, steps.last.is_none());
        loop {
            match next_after(after) {
                Some(row) if steps.taken.insert(row) => {
                    steps.last = Some(row);
                    return Some(Claim { shard: self, row });
                }
                Some(row) => after = Some(row),
                None if wrapped => return None,
                None => (after, wrapped) = (None, true),
            }
        }
    }

    /// One step of a sweep, if the index wants one and nobody else takes it; rows freed. While rows come in
    /// without end a sweep is not put off for ever: what they replace would never go.
    fn sweep_once(&self, scratch: &mut Scratch, inserting: bool) -> usize {
        let budget = self.config.knobs.sweep_step_rows as usize;
        let (plan, _claim) = {
            let state = self.state.read_long();
            let wanted = state.readable().is_ok() && state.index.wants_sweep();
            let Some(mut claim) = wanted.then(|| self.claim_sweep(&state, inserting)).flatten() else { return 0 };
            (state.index.plan_sweep(scratch, &mut claim.cursor, budget), claim)
        };
        let mut state = self.state.write();
        let done = state.whole("a sweep of the index", |state| {
            let done = state.index.commit_sweep(plan);
            state.graph_changes += 1 + done.freed as u64;
            state.reclaim_rows();
            done
        });
        self.stepping.lock().sweeping = !done.done;
        done.freed
    }

    fn claim_sweep(&self, state: &State, inserting: bool) -> Option<SweepClaim<'_>> {
        let mut steps = self.stepping.lock();
        let urgent = state.index.tombstones() * URGENT_SHARE > state.index.live();
        if inserting && !steps.sweeping && !urgent {
            return None;
        }
        Some(SweepClaim { shard: self, cursor: steps.sweep.take()? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Command, Operation, SearchQuery, ShardConfig, UpsertPoint};
    use std::sync::Arc;
    use vectron_base::disk::sim::SimDisk;
    use vectron_base::random::mix64;
    use vectron_index::Metric;

    const DIMENSION: usize = 16;
    const POINTS: u64 = 3000;

    /// Vectors in clumps, which come in one after the other.
    fn vector(point: u64) -> Vec<f32> {
        let noise = |seed: u64| (mix64(seed) % 2001) as f32 / 1000.0 - 1.0;
        let (clump, own) = (point / 25, mix64(point));
        (0..DIMENSION as u64).map(|i| noise(clump * 977 + i) + 0.2 * noise(own ^ i)).collect()
    }

    fn shard() -> Shard {
        let mut config = ShardConfig::new(DIMENSION, Metric::Cosine);
        (config.degree, config.ef_construction, config.flat_below) = (16, 64, 16);
        let shard = Shard::open(Arc::new(SimDisk::new(1)), "shards/1", config).unwrap();
        for from in (0..POINTS).step_by(500) {
            let point = |i: u64| UpsertPoint {
                id: format!("p{i}"),
                vector: vector(i),
                payload: "{}".into(),
                if_version: None,
            };
            let operation = Operation::Upsert((from..from + 500).map(point).collect());
            let command = Command { log_time_ms: 0, idempotency: None, operation };
            shard.apply(shard.applied_index() + 1, &command.encode());
        }
        shard
    }

    /// Share of the true ten nearest that searches find.
    fn recall(shard: &Shard) -> f64 {
        let found = |query: u64, exact: bool| {
            let mut search = SearchQuery::new(vector(POINTS + query * 7), 10);
            (search.exact, search.ef) = (exact, Some(32));
            let hits = shard.search(&search).unwrap().hits;
            hits.into_iter().map(|hit| hit.id).collect::<BTreeSet<_>>()
        };
        let common = (0..200).map(|query| found(query, false).intersection(&found(query, true)).count());
        common.sum::<usize>() as f64 / 2000.0
    }

    #[test]
    fn a_graph_that_several_build_is_as_good_as_one_that_one_builds() {
        let alone = shard();
        while alone.index_step(&|| false).more {}
        let floor = recall(&alone) - 0.01;
        assert!(floor > 0.9, "{floor}");
        for inserters in 2..=4 {
            let shard = shard();
            std::thread::scope(|scope| {
                for _ in 0..inserters {
                    scope.spawn(|| while shard.index_step(&|| false).more {});
                }
            });
            // Who comes last may leave the sweep's last steps to nobody.
            while shard.index_step(&|| false).more {}
            let state = shard.state.read();
            let reached = state.index.reachable();
            assert_eq!((state.index.pending(), reached.graph_rows), (0, POINTS as usize), "{inserters}");
            assert_eq!(reached.reachable, reached.graph_rows, "{inserters}");
            drop(state);
            let found = recall(&shard);
            assert!(found >= floor, "{inserters} inserters: {found} < {floor}");
        }
    }

    #[test]
    fn rows_are_claimed_once_each_and_those_that_failed_come_last() {
        let shard = shard();
        let pending = |after: Option<Row>| [3, 5, 9].into_iter().find(|row| after.is_none_or(|a| *row > a));
        let first = shard.claim(pending).unwrap();
        let second = shard.claim(pending).unwrap();
        assert_eq!((first.row, second.row), (3, 5));
        drop(first);
        let third = shard.claim(pending).unwrap();
        let fourth = shard.claim(pending).unwrap();
        assert_eq!((third.row, fourth.row), (9, 3));
        assert!(shard.claim(pending).is_none());
    }

    #[test]
    fn deleted_rows_go_although_rows_come_in_without_end() {
        let shard = shard();
        while shard.index_step(&|| false).more {}
        let mut freed = 0;
        for round in 0..60u64 {
            // Every vector changes, faster than a step links.
            let points = (0..100).map(|i| UpsertPoint {
                id: format!("p{}", (round * 100 + i) % POINTS),
                vector: vector(POINTS + round * 100 + i),
                payload: "{}".into(),
                if_version: None,
            });
            let operation = Operation::Upsert(points.collect());
            let command = Command { log_time_ms: 0, idempotency: None, operation };
            shard.apply(shard.applied_index() + 1, &command.encode());
            let progress = shard.index_step(&|| false);
            assert!(progress.inserted > 0 && progress.more);
            freed += progress.freed;
        }
        assert!(freed > 0);
    }
}
