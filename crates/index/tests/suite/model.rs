//! Random calls against a model that scans: exact answers are the model's, approximate ones
//! contain nothing the model does not and never too few.

use crate::support::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use vectron_index::RowSet;
use vectron_index::*;

#[derive(Clone, Debug)]
enum Call {
    Put(Vec<i8>),
    Remove(u32),
    Insert,
    Sweep,
    /// Encodes the next chunk, if it changed since it was last encoded.
    Save,
    /// What is live now is what a later crash leaves.
    Freeze,
    Reload,
    Crash,
    Search(Vec<i8>, usize, usize, u32),
}

fn vector() -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(-4i8..5, 3)
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        10 => vector().prop_map(Call::Put),
        4 => (0u32..1000).prop_map(Call::Remove),
        10 => Just(Call::Insert),
        1 => Just(Call::Sweep),
        12 => Just(Call::Save),
        1 => Just(Call::Freeze),
        1 => Just(Call::Reload),
        1 => Just(Call::Crash),
        4 => (vector(), 0usize..12, 0usize..20, 1u32..5)
            .prop_map(|(query, k, ef, every)| Call::Search(query, k, ef, every)),
    ]
}

fn floats(vector: &[i8]) -> Vec<f32> {
    vector.iter().map(|value| f32::from(*value)).collect()
}

struct Model {
    metric: Metric,
    index: Subject,
    live: BTreeMap<Row, (u64, Vec<f32>)>,
    free: Vec<Row>,
    next: Row,
    tag: u64,
    scratch: Scratch,
    /// Chunks as they were last encoded, with the count of changes then; of as many moments as there are chunks.
    saved: BTreeMap<usize, (u64, Option<Vec<u8>>)>,
    saving: usize,
    frozen: BTreeMap<Row, (u64, Vec<f32>)>,
}

impl Model {
    fn run(&mut self, call: Call) {
        match call {
            Call::Put(vector) => {
                self.free.extend(self.index.take_released());
                let row = self.free.pop().unwrap_or_else(|| {
                    self.next += 1;
                    self.next - 1
                });
                self.tag += 1;
                assert!(self.index.put(row, self.tag, &floats(&vector)));
                assert!(!self.index.put(row, self.tag, &floats(&vector)), "occupied");
                self.live.insert(row, (self.tag, floats(&vector)));
            }
            Call::Remove(draw) => {
                let row = draw % self.next.max(1);
                self.index.remove(row);
                self.index.remove(row);
                self.live.remove(&row);
                assert!(!self.index.is_live(row) && self.index.vector(row).is_none());
            }
            Call::Insert => {
                for _ in 0..4 {
                    let Some(row) = self.index.next_pending() else { break };
                    let plan = self.index.plan_insert(row, &mut self.scratch).expect("pending");
                    self.index.commit_insert(plan);
                }
            }
            Call::Sweep => {
                sweep(&mut self.index);
                assert_eq!(self.index.tombstones(), 0);
            }
            Call::Save => self.save(),
            Call::Freeze => self.frozen = self.live.clone(),
            Call::Reload => {
                (0..self.index.graph_chunks()).for_each(|_| self.save());
                let in_graph = self.index.live() - self.index.pending();
                assert!(self.reload() <= in_graph);
            }
            Call::Crash => {
                self.live = self.frozen.clone();
                self.reload();
            }
            Call::Search(query, k, ef, every) => self.search(&floats(&query), k, ef, every),
        }
        assert_eq!(self.index.live(), self.live.len());
    }

    fn save(&mut self) {
        self.saving = (self.saving + 1) % self.index.graph_chunks().max(1);
        let changes = self.index.graph_chunk_changes(self.saving);
        let before = self.saved.get(&self.saving).map_or(0, |(changes, _)| *changes);
        let bytes = self.index.encode_graph_chunk(self.saving);
        if before == changes {
            assert_eq!(
                self.saved.get(&self.saving).and_then(|(_, bytes)| bytes.clone()),
                bytes,
                "nothing changed"
            );
        }
        self.saved.insert(self.saving, (changes, bytes));
    }

    /// A restart: a new index gets the live rows and adopts what was encoded, whenever that was. The number of
    /// rows adopted.
    fn reload(&mut self) -> usize {
        let mut index = Subject::new(self.index.params().clone());
        for (row, (tag, vector)) in &self.live {
            index.put(*row, *tag, vector);
        }
        let per = index.params().chunk_rows;
        let chunk = |(chunk, (_, bytes)): (&usize, &(u64, Option<Vec<u8>>))| {
            Some(((chunk * per) as Row, bytes.clone()?))
        };
        let chunks: Vec<(Row, Vec<u8>)> = self.saved.iter().filter_map(chunk).collect();
        let decoded = decode(&mut index, &chunks);
        let adopted = decoded.adopted;
        assert_eq!(index.reachable(), Reachability { graph_rows: adopted, reachable: adopted });
        assert_eq!((index.live(), index.tombstones()), (self.live.len(), 0));
        self.saved.clear();
        for ((first, bytes), fate) in chunks.into_iter().zip(decoded.chunks) {
            match fate {
                ChunkFate::Intact(changes) => {
                    self.saved.insert(first as usize / per, (changes, Some(bytes)));
                }
                ChunkFate::Altered => {}
                ChunkFate::Damaged(damage) => panic!("{damage}"),
            }
        }
        self.free = (0..self.next).filter(|row| !self.live.contains_key(row)).collect();
        self.index = index;
        // What is counted as saved is what there is: asserted by saving again.
        (0..self.index.graph_chunks()).for_each(|_| self.save());
        adopted
    }

    fn search(&mut self, query: &[f32], k: usize, ef: usize, every: u32) {
        let allowed: RowSet = (0..self.next + 3).filter(|row| row % every == 0).collect();
        for allowed in [None, Some(&allowed)] {
            let matching: Vec<Row> = self
                .live
                .keys()
                .copied()
                .filter(|row| allowed.is_none_or(|allowed| allowed.contains(*row)))
                .collect();
            for exact in [false, true] {
                let request = SearchRequest { k, ef, exact, allowed };
                let outcome = self.index.search(query, &request, &mut self.scratch);
                assert_eq!(outcome.hits.len(), k.min(matching.len()), "{:?}", outcome.plan);
                for pair in outcome.hits.windows(2) {
                    let order = pair[1].score.total_cmp(&pair[0].score);
                    assert!(order.then(pair[0].row.cmp(&pair[1].row)).is_lt());
                }
                for hit in &outcome.hits {
                    assert!(matching.contains(&hit.row));
                    let wanted = definition(self.metric, query, &self.live[&hit.row].1);
                    assert!((f64::from(hit.score) - wanted).abs() < 1e-4);
                    assert_eq!(self.index.score(query, hit.row), Some(hit.score));
                }
                if exact || outcome.plan == Plan::Flat || outcome.plan == Plan::ScanAllowed {
                    self.assert_best(query, &matching, &outcome.hits);
                }
            }
        }
    }

    fn assert_best(&self, query: &[f32], matching: &[Row], hits: &[Hit]) {
        let score = |row: &Row| definition(self.metric, query, &self.live[row].1);
        let mut truth: Vec<f64> = matching.iter().map(score).collect();
        truth.sort_by(|a, b| b.total_cmp(a));
        for (hit, truth) in hits.iter().zip(truth) {
            assert!((f64::from(hit.score) - truth).abs() < 1e-4);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_calls_agree_with_the_model(
        calls in proptest::collection::vec(call(), 0..500),
        metric in prop_oneof![Just(Metric::Cosine), Just(Metric::Dot), Just(Metric::Euclidean)],
        degree in 4usize..10,
        chunk_rows in 3usize..60,
    ) {
        let params = Params { degree, ef_construction: 12, chunk_rows, ..params(3, metric) };
        let index = Subject::new(params);
        let (live, scratch) = (BTreeMap::new(), Scratch::new());
        let (saved, frozen) = (BTreeMap::new(), BTreeMap::new());
        let free = Vec::new();
        let mut model =
            Model { metric, index, live, free, next: 0, tag: 0, scratch, saved, saving: 0, frozen };
        calls.into_iter().for_each(|call| model.run(call));
        drain(&mut model.index);
        let reach = model.index.reachable();
        prop_assert_eq!(reach.graph_rows, model.live.len());
        prop_assert_eq!(reach.reachable, model.live.len());
    }
}

#[test]
fn equal_calls_give_equal_graphs() {
    let (first, _) = built(1500, 8, Metric::Euclidean, 3);
    let (second, _) = built(1500, 8, Metric::Euclidean, 3);
    assert_eq!(encode(&first), encode(&second));
}

#[test]
fn planners_and_searches_run_beside_each_other() {
    main_kinds(|| {
        use std::sync::RwLock;
        let mut chance = crate::data::Chance(5);
        let mut index = Subject::new(params(16, Metric::Cosine));
        for row in 0..3000 {
            index.put(row, 1, &random(&mut chance, 16));
        }
        let queries: Vec<Vec<f32>> = (0..50).map(|_| random(&mut chance, 16)).collect();
        let shared = RwLock::new(index);
        std::thread::scope(|scope| {
            for planner in 0..3u32 {
                let shared = &shared;
                scope.spawn(move || {
                    let mut scratch = Scratch::new();
                    let mut last = Some(planner * 1000);
                    loop {
                        let plan = {
                            let index = shared.read().expect("no panic");
                            let row = index.next_pending_after(last).or(index.next_pending());
                            let Some(row) = row else { return };
                            last = Some(row);
                            index.plan_insert(row, &mut scratch)
                        };
                        if let Some(plan) = plan {
                            shared.write().expect("no panic").commit_insert(plan);
                        }
                    }
                });
            }
            scope.spawn(|| {
                for query in &queries {
                    assert_eq!(find(&shared.read().expect("no panic"), query, 10, 40).hits.len(), 10);
                }
            });
        });
        let mut index = shared.into_inner().expect("no panic");
        drain(&mut index);
        assert_eq!(index.pending(), 0);
        assert_eq!(index.reachable(), Reachability { graph_rows: 3000, reachable: 3000 });
        assert!(recall(&index, &queries, 10, 100) > 0.95);
    });
}
