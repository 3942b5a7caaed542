//! The index under the store's locking, over many schedules of the threads that share it.
//!
//! A small model of how a shard works on its index (long looks pass a gate, rows are claimed, plans are committed one
//! by one) runs under `shuttle`, which decides at every lock who goes on, by seed: planners, a writer that puts,
//! replaces and removes, a sweeper, and searches, which must see neither the dead nor miss the living.

use shuttle::sync::{Arc, Mutex, RwLock};
use shuttle::{check_pct, check_random, thread};
use std::collections::{BTreeMap, BTreeSet};
use vectron_index::{Metric, Params, Row, Scratch, SearchRequest, SweepCursor, VectorIndex};

const ROWS: u64 = 24;
const PLANNERS: usize = 2;
const DIMENSION: usize = 3;

/// What the lock is around: the index, and what is known to live in it.
struct Held {
    index: VectorIndex,
    /// Seed of each live row's vector.
    live: BTreeMap<Row, u64>,
    free: Vec<Row>,
    next_row: Row,
    next_tag: u64,
}

struct Model {
    gate: RwLock<()>,
    state: RwLock<Held>,
    claimed: Mutex<BTreeSet<Row>>,
}

fn vector(seed: u64) -> Vec<f32> {
    // A few seeds share a vector, so that there are twins.
    crate::support::vector(seed % 17, DIMENSION)
}

fn request(k: usize, exact: bool) -> SearchRequest<'static> {
    SearchRequest { k, ef: 8, exact, allowed: None }
}

impl Held {
    fn new() -> Self {
        let mut params = Params::new(DIMENSION, Metric::Euclidean);
        (params.degree, params.ef_construction, params.flat_below) = (4, 8, 4);
        let index = VectorIndex::new(params);
        Self { index, live: BTreeMap::new(), free: Vec::new(), next_row: 0, next_tag: 1 }
    }

    fn put(&mut self, seed: u64) {
        let row = self.free.pop().unwrap_or_else(|| {
            self.next_row += 1;
            self.next_row - 1
        });
        assert!(self.index.put(row, self.next_tag, &vector(seed), &()));
        self.next_tag += 1;
        self.live.insert(row, seed);
    }

    fn remove(&mut self, nth: usize) {
        let row = self.live.keys().copied().nth(nth % self.live.len().max(1));
        let Some(row) = row else { return };
        self.live.remove(&row);
        self.index.remove(row);
        self.free.extend(self.index.take_released());
    }

    fn check(&self, scratch: &mut Scratch) {
        for exact in [false, true] {
            let found = self.index.search(&vector(self.next_tag), &request(8, exact), &(), scratch);
            assert_eq!(found.hits.len(), self.live.len().min(8), "too few by {:?}", found.plan);
            let rows: BTreeSet<Row> = found.hits.iter().map(|hit| hit.row).collect();
            assert_eq!(rows.len(), found.hits.len(), "a row twice by {:?}", found.plan);
            assert!(rows.iter().all(|row| self.live.contains_key(row)), "a dead row by {:?}", found.plan);
        }
        let everything = self.index.search(&vector(0), &request(self.live.len(), true), &(), scratch);
        let rows: BTreeSet<Row> = everything.hits.iter().map(|hit| hit.row).collect();
        assert!(rows.iter().eq(self.live.keys()), "not the live rows");
    }
}

impl Model {
    fn change<T>(&self, work: impl FnOnce(&mut Held) -> T) -> T {
        let _gate = self.gate.write().unwrap();
        work(&mut self.state.write().unwrap())
    }

    fn look_long<T>(&self, work: impl FnOnce(&Held) -> T) -> T {
        let _gate = self.gate.read().unwrap();
        work(&self.state.read().unwrap())
    }

    /// Plans one row that nobody else plans, and commits it; whether there was one.
    fn insert_one(&self, scratch: &mut Scratch) -> bool {
        let planned = self.look_long(|held| {
            let mut claimed = self.claimed.lock().unwrap();
            let mut row = held.index.next_pending();
            while row.is_some_and(|row| claimed.contains(&row)) {
                row = held.index.next_pending_after(row);
            }
            claimed.extend(row);
            drop(claimed);
            row.map(|row| (row, held.index.plan_insert(row, scratch)))
        });
        let Some((row, plan)) = planned else { return false };
        if let Some(plan) = plan {
            self.change(|held| held.index.commit_insert(plan));
        }
        self.claimed.lock().unwrap().remove(&row);
        true
    }

    fn sweep_one(&self, scratch: &mut Scratch, cursor: &mut SweepCursor) -> bool {
        let plan = self
            .look_long(|held| held.index.wants_sweep().then(|| held.index.plan_sweep(scratch, cursor, 6)));
        let Some(plan) = plan else { return false };
        self.change(|held| {
            held.index.commit_sweep(plan);
            let released = held.index.take_released();
            held.free.extend(released);
        });
        true
    }
}

fn run() {
    let mut held = Held::new();
    (0..ROWS / 2).for_each(|seed| held.put(seed));
    let model = Arc::new(Model {
        gate: RwLock::new(()),
        state: RwLock::new(held),
        claimed: Mutex::new(BTreeSet::new()),
    });
    let mut threads = Vec::new();
    for _ in 0..PLANNERS {
        let model = model.clone();
        threads.push(thread::spawn(move || {
            let mut scratch = Scratch::new();
            for _ in 0..ROWS {
                model.insert_one(&mut scratch);
            }
        }));
    }
    let writer = model.clone();
    threads.push(thread::spawn(move || {
        for seed in ROWS / 2..ROWS {
            writer.change(|held| held.put(seed));
            if seed % 2 == 0 {
                // Removed and put in one change, as an update is: the row may be another's at once.
                writer.change(|held| {
                    held.remove(seed as usize * 5);
                    held.put(seed + ROWS);
                    held.remove(seed as usize * 3);
                });
            }
        }
    }));
    let sweeper = model.clone();
    threads.push(thread::spawn(move || {
        let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
        for _ in 0..ROWS {
            sweeper.sweep_one(&mut scratch, &mut cursor);
        }
    }));
    let searcher = model.clone();
    threads.push(thread::spawn(move || {
        let mut scratch = Scratch::new();
        for _ in 0..ROWS / 2 {
            searcher.state.read().unwrap().check(&mut scratch);
        }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    settle(&model);
}

/// Lets the work that is left be done, and looks whether all that lives can be reached.
fn settle(model: &Model) {
    let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
    let mut steps = 0;
    while model.insert_one(&mut scratch) || model.sweep_one(&mut scratch, &mut cursor) {
        steps += 1;
        assert!(steps < 10_000, "the work does not end");
    }
    model.look_long(|held| {
        held.check(&mut scratch);
        assert_eq!(held.index.pending(), 0);
        let reached = held.index.reachable();
        assert_eq!(reached.reachable, reached.graph_rows);
        assert_eq!(reached.graph_rows, held.live.len());
        for seed in held.live.values() {
            let found = held.index.search(&vector(*seed), &request(1, false), &(), &mut scratch);
            let nearest = found.hits.first().and_then(|hit| held.live.get(&hit.row)).copied();
            assert_eq!(nearest.map(vector), Some(vector(*seed)));
        }
    });
}

#[test]
fn no_schedule_of_planners_writers_sweepers_and_searches_breaks_the_index() {
    check_random(run, 600);
}

#[test]
fn no_schedule_with_few_changes_of_thread_breaks_the_index() {
    check_pct(run, 300, 3);
}
