//! Driving an index through its public calls, and the truth to hold it to.

use crate::data::Chance;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use vectron_index::RowSet;
use vectron_index::*;

type Kind = (Quantization, Vectors);

/// Every way in which an index can hold its vectors.
pub const KINDS: [Kind; 5] = [
    (Quantization::None, Vectors::Ram),
    (Quantization::EightBit, Vectors::Ram),
    (Quantization::FourBit, Vectors::Elsewhere),
    (Quantization::EightBit, Vectors::Elsewhere),
    (Quantization::FourBit, Vectors::Ram),
];

thread_local! {
    static KIND: Cell<Kind> = const { Cell::new(KINDS[0]) };
}

/// Runs a test once for each of the kinds; [`params`] are of the kind it is run for.
pub fn every_kind(test: impl Fn()) {
    for kind in KINDS {
        of_kind(kind, &test);
    }
}

/// The same for few kinds, where a test takes long and does not look at where vectors are.
pub fn main_kinds(test: impl Fn()) {
    for kind in &KINDS[..3] {
        of_kind(*kind, &test);
    }
}

pub fn of_kind<T>(kind: Kind, test: impl FnOnce() -> T) -> T {
    eprintln!("{kind:?}");
    KIND.set(kind);
    test()
}

/// Whether rows are compared by codes in the kind that runs.
pub fn coded() -> bool {
    KIND.get().0 != Quantization::None
}

pub fn params(dimension: usize, metric: Metric) -> Params {
    let (quantization, vectors) = KIND.get();
    Params { flat_below: 0, quantize_from: 64, quantization, vectors, ..Params::new(dimension, metric) }
}

/// An index, and the vectors of its live rows as a caller has them.
pub struct Subject {
    index: VectorIndex,
    kept: Kept,
}

#[derive(Default)]
struct Kept(BTreeMap<Row, Vec<f32>>);

impl FullVectors for Kept {
    fn read(&self, row: Row, into: &mut Vec<f32>) -> bool {
        self.0.get(&row).is_some_and(|vector| {
            into.extend(vector);
            true
        })
    }
}

impl Subject {
    pub fn new(params: Params) -> Self {
        Self { index: VectorIndex::new(params), kept: Kept::default() }
    }

    pub fn put(&mut self, row: Row, tag: u64, vector: &[f32]) -> bool {
        let put = self.index.put(row, tag, vector, &self.kept);
        if put {
            self.kept.0.insert(row, vector.to_vec());
        }
        put
    }

    pub fn remove(&mut self, row: Row) {
        self.index.remove(row);
        self.kept.0.remove(&row);
    }

    pub fn search(&self, query: &[f32], request: &SearchRequest<'_>, scratch: &mut Scratch) -> SearchOutcome {
        let outcome = self.index.search(query, request, &self.kept, scratch);
        assert_eq!(outcome.stats.unreadable, 0);
        let last = outcome.hits.last().map(|hit| hit.score);
        assert!(outcome.ties.iter().all(|tie| Some(tie.score) == last && !outcome.hits.contains(tie)));
        outcome
    }

    /// The vectors of live rows.
    pub fn full(&self) -> &dyn FullVectors {
        &self.kept
    }

    pub fn score(&self, query: &[f32], row: Row) -> Option<f32> {
        self.index.score(query, row, &self.kept)
    }
}

impl Deref for Subject {
    type Target = VectorIndex;

    fn deref(&self) -> &VectorIndex {
        &self.index
    }
}

impl DerefMut for Subject {
    fn deref_mut(&mut self) -> &mut VectorIndex {
        &mut self.index
    }
}

/// Puts everything pending into the graph, with the sweeps that become due.
pub fn drain(index: &mut VectorIndex) {
    let mut scratch = Scratch::new();
    while let Some(row) = index.next_pending() {
        let plan = index.plan_insert(row, &mut scratch).expect("row is pending");
        index.commit_insert(plan);
        sweep_if_due(index);
    }
    sweep_if_due(index);
}

pub fn sweep_if_due(index: &mut VectorIndex) {
    while index.wants_sweep() {
        sweep(index);
    }
}

/// One whole sweep; the number of rows it freed.
pub fn sweep(index: &mut VectorIndex) -> usize {
    let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
    let mut freed = 0;
    loop {
        let plan = index.plan_sweep(&mut scratch, &mut cursor, 1000);
        let progress = index.commit_sweep(plan);
        freed += progress.freed;
        if progress.done {
            return freed;
        }
    }
}

/// The whole graph in chunks, each with its first row.
pub fn encode(index: &VectorIndex) -> Vec<(Row, Vec<u8>)> {
    let first = |chunk: usize| (chunk * index.params().chunk_rows) as Row;
    (0..index.graph_chunks())
        .filter_map(|chunk| Some((first(chunk), index.encode_graph_chunk(chunk)?)))
        .collect()
}

pub fn decode(index: &mut VectorIndex, chunks: &[(Row, Vec<u8>)]) -> DecodedGraph {
    let chunks: Vec<(Row, &[u8])> = chunks.iter().map(|(first, bytes)| (*first, &bytes[..])).collect();
    index.decode_graph(&chunks)
}

pub fn find(index: &Subject, query: &[f32], k: usize, ef: usize) -> SearchOutcome {
    let request = SearchRequest { k, ef, exact: false, allowed: None };
    index.search(query, &request, &mut Scratch::new())
}

pub fn find_allowed(index: &Subject, query: &[f32], k: usize, ef: usize, allowed: &RowSet) -> SearchOutcome {
    let request = SearchRequest { k, ef, exact: false, allowed: Some(allowed) };
    index.search(query, &request, &mut Scratch::new())
}

pub fn find_exact(index: &Subject, query: &[f32], k: usize) -> Vec<Hit> {
    let request = SearchRequest { k, ef: k, exact: true, allowed: None };
    index.search(query, &request, &mut Scratch::new()).hits
}

pub fn rows(hits: &[Hit]) -> Vec<Row> {
    hits.iter().map(|hit| hit.row).collect()
}

/// Share of the true best `k` found, over all queries, counted by row.
pub fn recall(index: &Subject, queries: &[Vec<f32>], k: usize, ef: usize) -> f64 {
    recall_allowed(index, queries, k, ef, None)
}

pub fn recall_allowed(
    index: &Subject,
    queries: &[Vec<f32>],
    k: usize,
    ef: usize,
    allowed: Option<&RowSet>,
) -> f64 {
    let mut scratch = Scratch::new();
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let mut request = SearchRequest { k, ef, exact: true, allowed };
        let truth = rows(&index.search(query, &request, &mut scratch).hits);
        request.exact = false;
        let hits = rows(&index.search(query, &request, &mut scratch).hits);
        found += hits.iter().filter(|row| truth.contains(row)).count();
        wanted += truth.len();
    }
    found as f64 / wanted.max(1) as f64
}

/// The score by its definition, in f64.
pub fn definition(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    use distance::reference::{dot, squared};
    match metric {
        Metric::Dot => dot(a, b),
        Metric::Euclidean => -squared(a, b).sqrt(),
        Metric::Cosine => {
            let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
            if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
        }
    }
}

pub fn random(chance: &mut Chance, dimension: usize) -> Vec<f32> {
    (0..dimension).map(|_| chance.normal()).collect()
}

/// An index over random vectors, all in the graph.
pub fn built(count: usize, dimension: usize, metric: Metric, seed: u64) -> (Subject, Vec<Vec<f32>>) {
    let mut chance = Chance(seed);
    let mut index = Subject::new(params(dimension, metric));
    let vectors: Vec<Vec<f32>> = (0..count).map(|_| random(&mut chance, dimension)).collect();
    for (row, vector) in vectors.iter().enumerate() {
        assert!(index.put(row as Row, 1, vector));
    }
    drain(&mut index);
    (index, vectors)
}
