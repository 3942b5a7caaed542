//! The graph as bytes: links, levels, chains and tags, without vectors; in chunks of consecutive rows, so that
//! it can be saved while it changes, in part, and in short steps. All numbers are little-endian.
//!
//! ```text
//! magic "VECTGRPH" · format version u32 (2) · CRC32 u32 of all other bytes of the chunk
//! params   dimension u64 · metric u8 · degree u32 · seed u64
//! rows     first row u32 · row count u32 · number of vertices u32 · number of twins u32
//! vertex   row u32 · tag u64 · level u8 · diverse u8 · per layer from 0 to its level: links u8 · rows u32
//! twin     row u32 · tag u64 · head u32
//! ```
//! Vertices are in ascending order. Deleted ones are written too: when they are not adopted, those that linked
//! to them inherit their links, as in a sweep.
//!
//! A chunk needs no other: each names its parameters, there is no head, and the entry is elected anew (lowest
//! row of the highest level, which is the one an index that only grew has). So nothing small can be lost that
//! costs the whole graph. Chunks may stem from different moments: see [`VectorIndex::decode_graph`].

mod adopt;
mod chunk;
mod parsed;
mod reader;
mod whole;

use crate::index::VectorIndex;
use crate::params::{Params, Row};
use parsed::Parsed;
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"VECTGRPH";

/// Why encoded bytes were not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphDamage {
    /// The part at fault: `header`, `params`, `rows`, `chains` or `end`; of a whole graph in the first format
    /// also `base` or `upper`.
    pub section: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl std::fmt::Display for GraphDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "graph section {}: {}", self.section, self.reason)
    }
}

impl std::error::Error for GraphDamage {}

/// What became of one encoded chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFate {
    /// All of it was adopted as it was: it is what [`VectorIndex::encode_graph_chunk`] gives as long as
    /// [`VectorIndex::graph_chunk_changes`] is this.
    Intact(u64),
    /// Some of it did not fit the rows that there are, or its range is not that of a chunk of this index.
    Altered,
    /// None of it was adopted: its rows stay in the tail.
    Damaged(GraphDamage),
}

/// What decoding did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedGraph {
    /// Rows that left the tail.
    pub adopted: usize,
    /// The fate of each chunk, in the order given.
    pub chunks: Vec<ChunkFate>,
}

impl VectorIndex {
    /// Adopts encoded chunks, each given with its first row, after all live rows were put.
    ///
    /// The chunks may stem from different moments, and the rows from yet another one. A vertex or twin is
    /// adopted only if its row is pending with the same tag; links to others are dropped, and where too few
    /// are left replaced by what those linked to. What nothing leads to after all is given a link, or put back
    /// into the tail: every adopted row can be reached. A damaged chunk costs its own rows only.
    pub fn decode_graph(&mut self, chunks: &[(Row, &[u8])]) -> DecodedGraph {
        let (mut parsed, mut parts) = (Parsed::default(), Vec::new());
        let mut ranges: BTreeMap<Row, Row> = BTreeMap::new();
        let mut fates = Vec::with_capacity(chunks.len());
        for (first, bytes) in chunks {
            let overlaps = ranges.range(..=first).next_back().is_some_and(|(_, end)| end > first);
            let next = ranges.range(first..).next().map_or(Row::MAX, |(from, _)| *from);
            let result = chunk::parse(bytes, *first, &self.params, &mut parsed);
            fates.push(match result {
                Ok((_, range)) if overlaps || range.end > next => {
                    ChunkFate::Damaged(GraphDamage { section: "rows", reason: "given twice" })
                }
                Ok((part, range)) => {
                    ranges.insert(range.start, range.end);
                    parts.push((fates.len(), range, part));
                    ChunkFate::Altered
                }
                Err(damage) => ChunkFate::Damaged(damage),
            });
        }
        self.dissolve_graph();
        let before = self.pending();
        for (_, _, part) in &parts {
            self.adopt_vertices(&parsed, part);
        }
        let known = self.known(&parsed, parts.iter().map(|(_, _, part)| part));
        let whole: Vec<bool> =
            parts.iter().map(|(_, _, part)| self.adopt_links(&parsed, part, &known)).collect();
        self.elect_adopted(None);
        let whole: Vec<bool> = parts
            .iter()
            .zip(whole)
            .map(|((_, _, part), whole)| self.adopt_twins(&parsed, part) & whole)
            .collect();
        for ((at, range, _), whole) in parts.iter().zip(whole) {
            let chunk = range.start as usize / self.params.chunk_rows;
            let ours = chunk * self.params.chunk_rows == range.start as usize
                && range.len() == self.params.chunk_rows;
            if whole && ours {
                fates[*at] = ChunkFate::Intact(self.graph.chunk_changes(chunk));
            }
        }
        self.settle_adopted();
        DecodedGraph { adopted: before - self.pending(), chunks: fates }
    }

    /// Adopts a graph that was encoded in one piece, as the first format did, in the same way. Returns the number
    /// of rows that left the tail.
    ///
    /// # Errors
    /// Damage, or parameters that are not this index's, with the section named. The index is then
    /// as before the call: nothing is adopted in part.
    pub fn decode_whole_graph(&mut self, bytes: &[u8]) -> Result<usize, GraphDamage> {
        let (parsed, entry) = whole::parse(bytes, &self.params)?;
        let part = parsed.since((0, 0));
        self.dissolve_graph();
        let before = self.pending();
        self.adopt_vertices(&parsed, &part);
        let known = self.known(&parsed, [&part]);
        self.adopt_links(&parsed, &part, &known);
        self.elect_adopted(Some(entry));
        self.adopt_twins(&parsed, &part);
        self.settle_adopted();
        Ok(before - self.pending())
    }
}

/// What a graph must have been built with to be adopted.
fn params_bytes(params: &Params) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((params.dimension as u64).to_le_bytes());
    bytes.push(params.metric.code());
    bytes.extend((params.degree as u32).to_le_bytes());
    bytes.extend(params.seed.to_le_bytes());
    bytes
}
