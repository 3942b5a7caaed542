//! Background work on the index, in bounded steps of two halves: one plans, in long looks, and one commits, in short
//! changes.
//!
//! The halves may be run by different threads, and should be: planning is for threads that get what others leave of
//! the processor, but searches wait for a commit under way, so who commits must not be kept waiting itself.
//!
//! Several steps of one shard may be under way at a time: each plans other rows. A commit writes what the plan still
//! fits; so a graph that several built is as good as one that one built, though not the same. The rows of plans under
//! way do not see each other. Where two have the very same vector, the second is left for later, to be chained to the
//! first.

use crate::shard::Shard;
use crate::source::Stored;
use crate::state::State;
use crate::vectors::DenseField;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vectron_index::{InsertPlan, Row, Scratch, SweepCursor, SweepPlan, VectorIndex};

/// Rows are inserted first and swept then, unless more than one in so many is deleted.
const URGENT_SHARE: usize = 10;

/// Rows planned one after the other are so far apart where enough wait: rows that came in together are often near
/// each other, and should know of each other.
const SPREAD: Row = 61;

/// Rows on which a calibration is made: the more, the less it must promise below what it saw.
const CALIBRATION_ROWS: usize = 256;

/// Rows looked at for one that can be taken.
const LOOKED_AT: usize = 64;

/// Who does what. Taken briefly, inside the state's lock or without it.
pub(crate) struct Steps {
    /// Rows in plans under way.
    taken: BTreeSet<Row>,
    /// The row taken last: the next one comes from behind it.
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
    /// Rows whose plans were carried out.
    pub inserted: usize,
    /// Rows freed by a sweep.
    pub freed: usize,
    /// Rows read for payload indexes that are not ready.
    pub field_rows: usize,
    /// Whether more work waits.
    pub more: bool,
    /// Whether a checkpoint is due now, see [`Shard::checkpoint_due`].
    pub checkpoint_due: bool,
}

/// A planned step, for [`Shard::commit_step`] of the shard that planned it. Dropping it loses nothing but the work.
pub struct IndexStep {
    /// Rows read for payload indexes.
    field_rows: usize,
    /// Which dense field the rest is about, by its place among them.
    at: usize,
    inserts: Vec<InsertPlan>,
    sweep: Option<SweepPlan>,
    claims: Claims,
}

/// Rows, and perhaps the sweep, that nobody else plans for as long as this lives.
struct Claims {
    steps: Arc<Mutex<Steps>>,
    rows: Vec<Row>,
    cursor: Option<SweepCursor>,
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut steps = self.steps.lock();
        self.rows.iter().for_each(|row| _ = steps.taken.remove(row));
        if let Some(cursor) = self.cursor.take() {
            steps.sweep = Some(cursor);
        }
    }
}

impl Claims {
    /// Takes a pending row that nobody else has, and that is no twin of such a row.
    fn take_row(&mut self, index: &VectorIndex) -> Option<Row> {
        let mut steps = self.steps.lock();
        let mut after = steps.last.map(|row| row.saturating_add(SPREAD));
        let mut wrapped = after.is_none();
        for _ in 0..LOOKED_AT {
            let Some(row) = index.next_pending_after(after) else {
                if wrapped {
                    return None;
                }
                (after, wrapped) = (None, true);
                continue;
            };
            let twin = |taken: &Row| index.same_vector(*taken, row);
            if !steps.taken.contains(&row) && !steps.taken.iter().any(twin) {
                steps.taken.insert(row);
                steps.last = Some(row);
                self.rows.push(row);
                return Some(row);
            }
            after = Some(row);
        }
        None
    }

    /// Takes the sweep, if it is due and nobody else has it. While rows come in without end it is not put off for
    /// ever: what they replace would never go.
    fn take_sweep(&mut self, index: &VectorIndex) -> Option<&mut SweepCursor> {
        let mut steps = self.steps.lock();
        let urgent = steps.sweeping || index.tombstones() * URGENT_SHARE > index.live();
        if !index.wants_sweep() || !(self.rows.is_empty() || urgent) {
            return None;
        }
        self.cursor = Some(steps.sweep.take()?);
        self.cursor.as_mut()
    }
}

impl Shard {
    /// Does a bounded piece of background work: reads some rows for a payload index, or else links some pending
    /// rows into the graph, and takes one step of a sweep if one is due. Asks `stop` between rows. May be called by
    /// several threads at a time.
    pub fn index_step(&self, stop: &dyn Fn() -> bool) -> IndexProgress {
        self.commit_step(self.plan_step(stop))
    }

    /// The first half of [`Shard::index_step`], and by far the longer one. Payload indexes are filled here, by one
    /// thread at a time.
    pub fn plan_step(&self, stop: &dyn Fn() -> bool) -> IndexStep {
        let mut step = self.step_of(0);
        if let Some(_alone) = self.building.try_lock() {
            step.field_rows = self.build_fields(stop);
        }
        if step.field_rows > 0 {
            return step;
        }
        let fields = self.stepping.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        self.with_scratch(|scratch| {
            // One field per step, in turn; those that have nothing to do are passed over.
            for at in (0..fields).map(|n| first.wrapping_add(n) % fields) {
                if stop() {
                    break;
                }
                step = self.step_of(at);
                self.plan_field(&mut step, stop, scratch);
                if !step.inserts.is_empty() || step.sweep.is_some() {
                    break;
                }
            }
            if step.inserts.is_empty() && step.sweep.is_none() && !stop() {
                self.calibrate_on_one(scratch);
            }
        });
        step
    }

    /// A step about a dense field in which nothing is planned yet.
    fn step_of(&self, at: usize) -> IndexStep {
        let steps = self.stepping.get(at).cloned().unwrap_or_default();
        let claims = Claims { steps, rows: Vec::new(), cursor: None };
        IndexStep { field_rows: 0, at, inserts: Vec::new(), sweep: None, claims }
    }

    fn plan_field(&self, step: &mut IndexStep, stop: &dyn Fn() -> bool, scratch: &mut Scratch) {
        for _ in 0..self.config.knobs.index_step_rows {
            if stop() || !self.plan_insert(step, scratch) {
                break;
            }
        }
        if !stop() {
            self.plan_sweep(step, scratch);
        }
    }

    /// Measures on one more row which effort reaches which recall, if that is out of date and nobody else does.
    fn calibrate_on_one(&self, scratch: &mut Scratch) {
        let Some(mut calibrating) = self.calibrating.try_lock() else { return };
        let state = self.state.read_long();
        if state.readable().is_err() {
            return;
        }
        let Some((at, field)) = self.wants_calibration(&state) else {
            *calibrating = None;
            return;
        };
        if calibrating.as_ref().is_none_or(|(of, _)| *of != at) {
            *calibrating = field.index.begin_calibration(CALIBRATION_ROWS).map(|calibrator| (at, calibrator));
        }
        let Some((_, calibrator)) = calibrating.as_mut() else { return };
        let full = Stored::new(&state.rows, &self.schema, field.number);
        let done = field.index.calibrate(calibrator, &full, scratch);
        if let Some(damage) = full.damage() {
            _ = self.report(damage);
        }
        if done.is_some() {
            if let Some(known) = self.calibration.write().get_mut(at) {
                *known = done;
            }
            *calibrating = None;
        }
    }

    /// The first field with a graph that was not measured yet, or that has grown or shrunk much since.
    fn wants_calibration<'a>(&self, state: &'a State) -> Option<(usize, &'a DenseField)> {
        let known = self.calibration.read();
        state.vectors.dense.iter().enumerate().find(|(at, field)| {
            let (index, last) = (&field.index, known.get(*at).and_then(Option::as_ref));
            // What the tail holds is scanned exactly, and any effort would look good.
            index.is_calibratable()
                && index.next_pending().is_none()
                && last.is_none_or(|last| last.is_stale(index))
        })
    }

    /// Whether there was a row to plan.
    fn plan_insert(&self, step: &mut IndexStep, scratch: &mut Scratch) -> bool {
        let state = self.state.read_long();
        let Some(field) = state.vectors.dense.get(step.at) else { return false };
        let row = state.readable().ok().and_then(|()| step.claims.take_row(&field.index));
        let Some(row) = row else { return false };
        step.inserts.extend(field.index.plan_insert(row, scratch));
        true
    }

    fn plan_sweep(&self, step: &mut IndexStep, scratch: &mut Scratch) {
        let budget = self.config.knobs.sweep_step_rows as usize;
        let state = self.state.read_long();
        if state.readable().is_ok()
            && let Some(field) = state.vectors.dense.get(step.at)
            && let Some(cursor) = step.claims.take_sweep(&field.index)
        {
            step.sweep = Some(field.index.plan_sweep(scratch, cursor, budget));
        }
    }

    /// The second half of [`Shard::index_step`]: short changes, between which searches get in.
    pub fn commit_step(&self, step: IndexStep) -> IndexProgress {
        let IndexStep { field_rows, at, inserts, sweep, claims } = step;
        let mut progress = IndexProgress { field_rows, ..IndexProgress::default() };
        for plan in inserts {
            self.state.write().whole("an insertion into the index", |state| {
                if let Some(field) = state.vectors.dense.get_mut(at) {
                    field.index.commit_insert(plan);
                    state.graph_changes += 1;
                }
            });
            progress.inserted += 1;
        }
        if let Some(plan) = sweep {
            let done = self.state.write().whole("a sweep of the index", |state: &mut State| {
                let done = state.vectors.dense.get_mut(at)?.index.commit_sweep(plan);
                state.graph_changes += 1 + done.freed as u64;
                state.reclaim_rows();
                Some(done)
            });
            if let Some(done) = done {
                progress.freed = done.freed;
                claims.steps.lock().sweeping = !done.done;
            }
        }
        drop(claims);
        let state = self.state.read();
        let mut dense = state.vectors.dense.iter().map(|field| &field.index);
        let waits = dense.any(|index| index.next_pending().is_some() || index.wants_sweep());
        let waits = waits || state.fields.wants_building() || self.wants_calibration(&state).is_some();
        progress.more = state.readable().is_ok() && waits;
        progress.checkpoint_due = self.due(&state);
        progress
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

    /// A vector by a point's side.
    fn near(point: u64) -> Vec<f32> {
        vector(point).iter().zip(vector(point + 1)).map(|(a, b)| 0.8 * a + 0.2 * b).collect()
    }

    fn shard() -> Shard {
        shard_in_steps_of(crate::StoreKnobs::default().index_step_rows)
    }

    fn shard_in_steps_of(rows: u64) -> Shard {
        let mut config = ShardConfig::new(DIMENSION, Metric::Cosine);
        (config.degree, config.ef_construction, config.flat_below) = (16, 64, 16);
        config.knobs.index_step_rows = rows;
        let shard = Shard::open(Arc::new(SimDisk::new(1)), "shards/1", config).unwrap();
        for from in (0..POINTS).step_by(500) {
            let point = |i: u64| UpsertPoint {
                id: format!("p{i}"),
                vector: vector(i).into(),
                payload: "{}".into(),
                if_version: None,
            };
            let operation = Operation::Upsert((from..from + 500).map(point).collect());
            let command = Command { log_time_ms: 0, idempotency: None, range: None, operation };
            shard.apply(shard.applied_index() + 1, &command.encode());
        }
        shard
    }

    /// Share of the true ten nearest that searches find.
    fn recall(shard: &Shard) -> f64 {
        let found = |query: u64, exact: bool| {
            let mut search = SearchQuery::new(near(query * 14), 10);
            (search.exact, search.ef) = (exact, Some(64));
            let hits = shard.search(&search).unwrap().hits;
            hits.into_iter().map(|hit| hit.id).collect::<BTreeSet<_>>()
        };
        let common = (0..200).map(|query| found(query, false).intersection(&found(query, true)).count());
        common.sum::<usize>() as f64 / 2000.0
    }

    #[test]
    fn a_graph_that_several_build_is_as_good_as_one_that_one_builds() {
        let alone = shard_in_steps_of(1);
        while alone.index_step(&|| false).more {}
        let floor = recall(&alone) - 0.01;
        assert!(floor > 0.85, "{floor}");
        for inserters in 1..=4 {
            let shard = shard();
            std::thread::scope(|scope| {
                for _ in 0..inserters {
                    scope.spawn(|| while shard.index_step(&|| false).more {});
                }
            });
            // Who comes last may leave the sweep's last steps to nobody.
            while shard.index_step(&|| false).more {}
            let state = shard.state.read();
            let index = &state.vectors.dense[0].index;
            let reached = index.reachable();
            assert_eq!((index.pending(), reached.graph_rows), (0, POINTS as usize), "{inserters}");
            assert_eq!(reached.reachable, reached.graph_rows, "{inserters}");
            drop(state);
            let found = recall(&shard);
            assert!(found >= floor, "{inserters} inserters: {found} < {floor}");
        }
    }

    #[test]
    fn a_drained_shard_knows_which_effort_reaches_which_recall() {
        let shard = shard();
        assert_eq!(shard.calibration(), None);
        while shard.index_step(&|| false).more {}
        let measured = shard.calibration().unwrap();
        assert_eq!(measured.rows() as u64, POINTS);
        let efforts = [0.8, 0.95, 0.99].map(|target| measured.ef(target).unwrap());
        assert!(efforts.is_sorted(), "{efforts:?}");
        let used = |query: &SearchQuery| shard.search(query).unwrap().explain.ef;
        let mut query = SearchQuery::new(near(7), 10);
        assert_eq!(used(&query), efforts[1].max(64));
        query.ef = Some(40);
        assert_eq!(used(&query), 40);
    }

    #[test]
    fn rows_are_planned_by_one_step_at_a_time_and_twins_wait_for_each_other() {
        let shard = shard();
        let (first, second) = (shard.plan_step(&|| false), shard.plan_step(&|| false));
        let rows = |step: &IndexStep| step.inserts.iter().map(InsertPlan::row).collect::<BTreeSet<_>>();
        assert_eq!(rows(&first).len() as u64, shard.config.knobs.index_step_rows);
        assert!(rows(&first).is_disjoint(&rows(&second)));
        let dropped = rows(&first);
        drop(first);
        shard.commit_step(second);
        assert!(shard.stepping[0].lock().taken.is_empty());
        // The rows that came to nothing come again, at last.
        while shard.index_step(&|| false).more {}
        let state = shard.state.read();
        let index = &state.vectors.dense[0].index;
        assert!(index.pending() == 0 && dropped.iter().all(|row| index.is_live(*row)));

        let mut twins = VectorIndex::new(shard.config.index_params(0));
        for row in 0..20 {
            assert!(twins.put(row, u64::from(row) + 1, &vector(u64::from(row) % 2), &()));
        }
        let steps = Arc::new(Mutex::new(Steps::default()));
        let mut claims = Claims { steps, rows: Vec::new(), cursor: None };
        assert_eq!([0; 3].map(|_| claims.take_row(&twins)), [Some(0), Some(1), None]);
    }

    #[test]
    fn deleted_rows_go_although_rows_come_in_without_end() {
        let shard = shard();
        while shard.index_step(&|| false).more {}
        let mut freed = 0;
        for round in 0..300u64 {
            // Every vector changes, faster than a step links.
            let points = (0..20).map(|i| UpsertPoint {
                id: format!("p{}", (round * 20 + i) % POINTS),
                vector: vector(POINTS + round * 20 + i).into(),
                payload: "{}".into(),
                if_version: None,
            });
            let operation = Operation::Upsert(points.collect());
            let command = Command { log_time_ms: 0, idempotency: None, range: None, operation };
            shard.apply(shard.applied_index() + 1, &command.encode());
            let progress = shard.index_step(&|| false);
            assert!(progress.inserted > 0 && progress.more);
            freed += progress.freed;
            if freed > 0 {
                return;
            }
        }
        panic!("nothing was freed");
    }
}
