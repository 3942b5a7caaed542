//! The graph: a navigable small world in layers (HNSW: Malkov & Yashunin 2018, "Efficient and
//! robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs").
//!
//! Every vertex has up to `degree` links on the base layer; about one in sixteen of a layer's
//! vertices is also on the layer above, with half the degree. Rows that cannot be told apart by
//! vector, or by code where there are codes, are chained to one vertex, their head: a thousand copies would otherwise fill each other's
//! lists and drift off as an island.
//!
//! A link list is in two parts: first the *diverse* links (those the pruning rule chose), nearest
//! first, then the *fill* (the nearest of the rejected), nearest first. What is dropped when a list
//! overflows is its last link that is not the only way to its target.

mod audit;
mod codec;
mod insert;
#[cfg(test)]
mod invariants;
mod lengths;
mod pool;
mod prune;
mod sweep;
mod visited;
mod walk;

pub use codec::{ChunkFate, DecodedGraph, GraphDamage};
pub use insert::InsertPlan;
pub use sweep::{SweepCursor, SweepPlan, SweepProgress};

pub(crate) use lengths::Lengths;
pub(crate) use pool::Pool;
pub(crate) use sweep::Sweep;
pub(crate) use visited::Visited;

use crate::chunks::Chunks;
use crate::hash::seeded;
use crate::params::{NONE, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Highest layer a row can be drawn to.
pub(crate) const TOP_LAYER: u8 = 8;

/// Links, levels and chains. Knows rows only as numbers.
pub(crate) struct Graph {
    pub degree: usize,
    links: Chunks<Row>,
    /// Length of the diverse part of each base list.
    diverse: Vec<u8>,
    /// Base-layer links that point at each row.
    in_degree: Vec<u32>,
    level: Vec<u8>,
    /// Lists of the layers above the base, `degree / 2` places per layer.
    upper: BTreeMap<Row, Box<[Row]>>,
    pub entry: Option<Row>,
    /// Vertices, dead ones included.
    pub vertices: usize,
    /// The twins of each head.
    chains: BTreeMap<Row, BTreeSet<Row>>,
    head_of: BTreeMap<Row, Row>,
    /// Lengths of the live vertices, where the metric cares: starting places of a search.
    pub lengths: Lengths,
    /// Rows per chunk of the encoded graph, and how often what is encoded of each has changed.
    chunk_rows: usize,
    changes: Vec<u64>,
}

#[inline(always)]
fn filled(list: &[Row]) -> &[Row] {
    let end = list.iter().position(|row| *row == NONE).unwrap_or(list.len());
    &list[..end]
}

impl Graph {
    pub fn new(degree: usize, chunk_rows: usize) -> Self {
        Self {
            degree,
            links: Chunks::new(degree, NONE),
            diverse: Vec::new(),
            in_degree: Vec::new(),
            level: Vec::new(),
            upper: BTreeMap::new(),
            entry: None,
            vertices: 0,
            chains: BTreeMap::new(),
            head_of: BTreeMap::new(),
            lengths: Lengths::default(),
            chunk_rows: chunk_rows.max(1),
            changes: Vec::new(),
        }
    }

    /// An empty graph in the place of another, whose chunks have all changed.
    pub fn succeeding(other: &Graph) -> Self {
        let changes = other.changes.iter().map(|count| count + 1).collect();
        Self { changes, ..Self::new(other.degree, other.chunk_rows) }
    }

    /// Number of chunks that hold or held a vertex.
    pub fn chunks(&self) -> usize {
        self.changes.len()
    }

    pub fn chunk_changes(&self, chunk: usize) -> u64 {
        self.changes.get(chunk).copied().unwrap_or(0)
    }

    /// Notes that what is encoded of a row has changed.
    fn touch(&mut self, row: Row) {
        let chunk = row as usize / self.chunk_rows;
        if self.changes.len() <= chunk {
            self.changes.resize(chunk + 1, 0);
        }
        self.changes[chunk] += 1;
    }

    /// The layer up to which a row is linked: geometric with ratio 1/16, decided by the seed,
    /// the row and its tag alone.
    pub fn draw_level(seed: u64, row: Row, tag: u64) -> u8 {
        ((seeded(seed, row, tag).trailing_zeros() / 4) as u8).min(TOP_LAYER)
    }

    pub fn degree_at(&self, layer: u8) -> usize {
        if layer == 0 { self.degree } else { self.degree / 2 }
    }

    pub fn level(&self, row: Row) -> u8 {
        self.level.get(row as usize).copied().unwrap_or(0)
    }

    pub fn in_degree(&self, row: Row) -> u32 {
        self.in_degree.get(row as usize).copied().unwrap_or(0)
    }

    pub fn diverse(&self, row: Row) -> usize {
        self.diverse.get(row as usize).copied().unwrap_or(0) as usize
    }

    /// Links of a vertex on one layer.
    #[inline(always)]
    pub fn links(&self, row: Row, layer: u8) -> &[Row] {
        if layer == 0 { filled(self.links.get(row)) } else { self.upper_links(row, layer) }
    }

    /// The whole base list, ended by `NONE` if short: what is worth prefetching.
    #[inline(always)]
    pub fn base_list(&self, row: Row) -> &[Row] {
        self.links.get(row)
    }

    fn upper_links(&self, row: Row, layer: u8) -> &[Row] {
        let width = self.degree_at(layer);
        let at = (layer as usize - 1) * width;
        let list = self.upper.get(&row).and_then(|lists| lists.get(at..at + width));
        filled(list.unwrap_or(&[]))
    }

    /// Makes a row a vertex without links.
    pub fn add_vertex(&mut self, row: Row, level: u8) {
        self.touch(row);
        let at = row as usize;
        if self.level.len() <= at {
            self.level.resize(at + 1, 0);
            self.diverse.resize(at + 1, 0);
            self.in_degree.resize(at + 1, 0);
        }
        self.level[at] = level;
        self.diverse[at] = 0;
        self.in_degree[at] = 0;
        self.links.claim(row);
        if level > 0 {
            let places = vec![NONE; level as usize * self.degree_at(1)];
            self.upper.insert(row, places.into_boxed_slice());
        }
        self.vertices += 1;
        if self.entry.is_none_or(|entry| self.level(entry) < level) {
            self.entry = Some(row);
        }
    }

    /// Takes a vertex out. Links that still point at it are the caller's concern.
    pub fn drop_vertex(&mut self, row: Row) {
        self.set_links(row, 0, &[], 0);
        self.links.release(row);
        self.upper.remove(&row);
        self.vertices = self.vertices.saturating_sub(1);
    }

    /// Writes one link list; the first `diverse` of `list` are its diverse part.
    pub fn set_links(&mut self, row: Row, layer: u8, list: &[Row], diverse: usize) {
        self.touch(row);
        let width = self.degree_at(layer);
        let list = &list[..list.len().min(width)];
        if layer > 0 {
            let at = (layer as usize - 1) * width;
            if let Some(places) = self.upper.get_mut(&row).and_then(|all| all.get_mut(at..at + width)) {
                places.fill(NONE);
                places[..list.len()].copy_from_slice(list);
            }
            return;
        }
        let places = self.links.get_mut(row);
        if places.is_empty() {
            return;
        }
        for old in filled(places) {
            if let Some(count) = self.in_degree.get_mut(*old as usize) {
                *count = count.saturating_sub(1);
            }
        }
        places.fill(NONE);
        places[..list.len()].copy_from_slice(list);
        for new in list {
            if let Some(count) = self.in_degree.get_mut(*new as usize) {
                *count += 1;
            }
        }
        self.diverse[row as usize] = diverse.min(list.len()) as u8;
    }

    pub fn has_chains(&self) -> bool {
        !self.chains.is_empty()
    }

    pub fn twins(&self, head: Row) -> impl Iterator<Item = Row> + '_ {
        self.chains.get(&head).into_iter().flatten().copied()
    }

    pub fn head_of(&self, twin: Row) -> Option<Row> {
        self.head_of.get(&twin).copied()
    }

    pub fn chain(&mut self, head: Row, twin: Row) {
        self.touch(twin);
        self.chains.entry(head).or_default().insert(twin);
        self.head_of.insert(twin, head);
    }

    /// Takes a twin out of its chain; true when the chain is empty now.
    pub fn unchain(&mut self, twin: Row) -> Option<(Row, bool)> {
        let head = self.head_of.remove(&twin)?;
        self.touch(twin);
        let chain = self.chains.get_mut(&head)?;
        chain.remove(&twin);
        let empty = chain.is_empty();
        if empty {
            self.chains.remove(&head);
        }
        Some((head, empty))
    }

    /// The chained rows of a range with their heads, by row.
    pub fn chained(&self, rows: std::ops::Range<Row>) -> impl Iterator<Item = (Row, Row)> + '_ {
        self.head_of.range(rows).map(|(twin, head)| (*twin, *head))
    }

    /// Chooses the vertex of the highest layer (the lowest row among equals) that `admits`.
    pub fn elect_entry(&mut self, end: usize, admits: impl Fn(Row) -> bool) {
        let highest = self.upper.keys().copied().filter(|row| admits(*row));
        let best = highest.max_by_key(|row| (self.level(*row), std::cmp::Reverse(*row)));
        self.entry = best.or_else(|| (0..end as Row).find(|row| admits(*row)));
    }

    /// Bytes of one base list.
    pub fn list_bytes(&self) -> usize {
        self.degree * size_of::<Row>()
    }

    pub fn link_bytes(&self) -> usize {
        let upper: usize = self.upper.values().map(|lists| size_of_val(&**lists) + 32).sum();
        self.links.bytes() + upper
    }

    pub fn other_bytes(&self) -> usize {
        self.diverse.capacity()
            + self.level.capacity()
            + self.in_degree.capacity() * size_of::<u32>()
            + self.head_of.len() * 32
            + self.lengths.bytes()
            + self.changes.capacity() * size_of::<u64>()
    }
}
