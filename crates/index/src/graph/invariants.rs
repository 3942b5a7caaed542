//! What must hold between any two calls, checked after arbitrary sequences of them.

use crate::params::Row;
use crate::rows::State;
use crate::{
    ChunkFate, InsertPlan, Metric, Params, Quantization, Scratch, SweepCursor, SweepPlan, VectorIndex,
    Vectors,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

impl VectorIndex {
    fn assert_sound(&self) {
        let mut in_degree: BTreeMap<Row, u32> = BTreeMap::new();
        let mut vertices = 0;
        for row in 0..self.rows.end() as Row {
            let state = self.rows.state(row);
            let live = !matches!(state, State::Free | State::Dead);
            assert_eq!(self.rows.live.contains(row), live);
            assert_eq!(self.rows.tail.contains(row), state == State::Tail);
            assert_eq!(self.rows.dead.contains(row), state == State::Dead);
            assert_eq!(self.graph.head_of(row).is_some(), state == State::Twin);
            assert_eq!(self.graph.twins(row).next().is_some(), state == State::Head);
            assert!(state == State::Free || !self.space.holds_full() || self.space.vector(row).len() == 2);
            for twin in self.graph.twins(row) {
                assert!(self.space.same(twin, row));
            }
            if !state.is_vertex() {
                assert!(self.graph.links(row, 0).is_empty());
                continue;
            }
            vertices += 1;
            for layer in 0..=self.graph.level(row) {
                let links = self.graph.links(row, layer);
                assert!(links.len() <= self.graph.degree_at(layer));
                for (at, link) in links.iter().enumerate() {
                    assert!(*link != row && !links[..at].contains(link), "loop or twice");
                    assert!(self.rows.state(*link).is_vertex(), "link to a row without links");
                    assert!(self.graph.level(*link) >= layer);
                    *in_degree.entry(*link).or_default() += u32::from(layer == 0);
                }
            }
            assert!(self.graph.diverse(row) <= self.graph.links(row, 0).len());
        }
        assert_eq!(self.graph.vertices, vertices);
        for row in 0..self.rows.end() as Row {
            if self.rows.state(row).is_vertex() {
                assert_eq!(self.graph.in_degree(row), in_degree.get(&row).copied().unwrap_or(0));
            }
        }
        assert!(self.graph.entry.is_none_or(|entry| self.rows.state(entry).is_vertex()));
        if self.rows.live_in_graph() > 0 && self.sweep.is_none() {
            assert!(self.graph.entry.is_some());
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Put(u32),
    Remove(u32),
    Plan,
    Commit,
    PlanSweep,
    CommitSweep,
    Released,
    Restore,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        8 => (0u32..100).prop_map(Call::Put),
        3 => (0u32..400).prop_map(Call::Remove),
        8 => Just(Call::Plan),
        8 => Just(Call::Commit),
        4 => Just(Call::PlanSweep),
        4 => Just(Call::CommitSweep),
        1 => Just(Call::Released),
        1 => Just(Call::Restore),
    ]
}

#[derive(Default)]
struct Driver {
    scratch: Scratch,
    cursor: SweepCursor,
    plans: Vec<InsertPlan>,
    sweeps: Vec<SweepPlan>,
    free: Vec<Row>,
    next: Row,
    tag: u64,
}

impl Driver {
    fn run(&mut self, index: &mut VectorIndex, call: Call) {
        match call {
            Call::Put(place) => {
                let row = self.free.pop().unwrap_or(self.next);
                self.next = self.next.max(row + 1);
                self.tag += 1;
                let vector = [(place % 10) as f32, (place / 10) as f32];
                assert!(index.put(row, self.tag, &vector, &()));
            }
            Call::Remove(draw) => index.remove(draw % self.next.max(1)),
            Call::Plan => {
                // Several plans are in flight at once, of different rows and of the same.
                let after = self.plans.last().map(InsertPlan::row);
                let row = index.next_pending_after(after).or(index.next_pending());
                self.plans.extend(row.and_then(|row| index.plan_insert(row, &mut self.scratch)));
            }
            Call::Commit if !self.plans.is_empty() => index.commit_insert(self.plans.remove(0)),
            Call::PlanSweep => {
                self.sweeps.push(index.plan_sweep(&mut self.scratch, &mut self.cursor, 7));
            }
            Call::CommitSweep => {
                if let Some(plan) = self.sweeps.pop() {
                    index.commit_sweep(plan);
                }
            }
            Call::Released => self.free.extend(index.take_released()),
            Call::Restore => {
                let chunk = |at: usize| Some((at as Row * 8, index.encode_graph_chunk(at)?));
                let chunks: Vec<_> = (0..index.graph_chunks()).filter_map(chunk).collect();
                let chunks: Vec<(Row, &[u8])> =
                    chunks.iter().map(|(row, bytes)| (*row, &bytes[..])).collect();
                let decoded = index.decode_graph(&chunks);
                assert!(!decoded.chunks.iter().any(|fate| matches!(fate, ChunkFate::Damaged(_))));
                // Nothing was pending as decoding expects it, so all is pending now.
                assert_eq!(index.tombstones(), 0);
            }
            Call::Commit => {}
        }
    }
}

fn index(metric: Metric) -> VectorIndex {
    index_of(metric, Quantization::None)
}

/// Codes begin while the calls are under way; full vectors are given up then.
fn index_of(metric: Metric, quantization: Quantization) -> VectorIndex {
    let params = Params::new(2, metric);
    let vectors = Vectors::Elsewhere;
    let few = Params { degree: 4, ef_construction: 8, flat_below: 0, quantize_from: 20, ..params };
    VectorIndex::new(Params { quantization, vectors, chunk_rows: 8, ..few })
}

fn settle(index: &mut VectorIndex) {
    let mut scratch = Scratch::new();
    while let Some(row) = index.next_pending() {
        let plan = index.plan_insert(row, &mut scratch).expect("pending");
        index.commit_insert(plan);
    }
    let mut cursor = SweepCursor::default();
    for _ in 0..2 {
        loop {
            let plan = index.plan_sweep(&mut scratch, &mut cursor, 50);
            if index.commit_sweep(plan).done {
                break;
            }
            index.assert_sound();
        }
    }
}

/// A step planned in one sweep and committed in the next would mark rows as repaired that nobody looked at, and
/// free rows that are still linked to.
#[test]
fn a_step_of_an_earlier_sweep_does_nothing() {
    let mut index = index(Metric::Euclidean);
    let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
    for row in 0..60u32 {
        assert!(index.put(row, u64::from(row) + 1, &[(row % 10) as f32, (row / 10) as f32], &()));
    }
    settle(&mut index);
    index.remove(7);
    let begin = index.plan_sweep(&mut scratch, &mut cursor, 100);
    index.commit_sweep(begin);
    let stale = index.plan_sweep(&mut scratch, &mut cursor, 100);
    settle(&mut index);
    index.remove(33);
    let begin = index.plan_sweep(&mut scratch, &mut cursor, 100);
    index.commit_sweep(begin);
    index.commit_sweep(stale);
    settle(&mut index);
    index.assert_sound();
    assert_eq!(index.tombstones(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn hold_after_any_calls(
        calls in proptest::collection::vec(call(), 0..600),
        metric in prop_oneof![Just(Metric::Euclidean), Just(Metric::Dot), Just(Metric::Cosine)],
        quantization in prop_oneof![
            Just(Quantization::None), Just(Quantization::EightBit), Just(Quantization::FourBit)
        ],
    ) {
        let mut index = index_of(metric, quantization);
        let mut driver = Driver::default();
        for call in calls {
            driver.run(&mut index, call);
            index.assert_sound();
        }
        settle(&mut index);
        index.assert_sound();
        prop_assert_eq!(index.tombstones(), 0);
        prop_assert_eq!(index.pending(), 0);
        let reach = index.reachable();
        prop_assert_eq!(reach.graph_rows, index.live());
        prop_assert_eq!(reach.reachable, index.live());
    }
}

#[test]
fn a_dropped_sweep_step_is_planned_again() {
    let mut index = index(Metric::Euclidean);
    let mut driver = Driver::default();
    (0..90).for_each(|place| driver.run(&mut index, Call::Put(place)));
    settle(&mut index);
    (0..30).for_each(|row| index.remove(row * 3));
    let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
    let mut steps = 0;
    loop {
        let plan = index.plan_sweep(&mut scratch, &mut cursor, 10);
        steps += 1;
        if steps % 3 != 0 && index.commit_sweep(plan).done {
            break;
        }
    }
    index.assert_sound();
    assert_eq!((index.tombstones(), index.take_released().len()), (0, 30));
}
