//! What encoded bytes say, before any of it is believed.

use super::GraphDamage;
use super::reader::Reader;
use crate::graph::TOP_LAYER;
use crate::params::Row;
use std::ops::Range;

/// A vertex as it was encoded.
pub(super) struct Vertex {
    pub row: Row,
    pub tag: u64,
    pub level: u8,
    pub diverse: u8,
    /// Where its lists begin.
    lists: usize,
}

/// A row that was chained to a head.
pub(super) struct Twin {
    pub row: Row,
    pub tag: u64,
    pub head: Row,
}

/// The vertices and twins that one piece of bytes gave.
#[derive(Default)]
pub(super) struct Part {
    pub vertices: Range<usize>,
    pub twins: Range<usize>,
}

#[derive(Default)]
pub(super) struct Parsed {
    pub vertices: Vec<Vertex>,
    pub twins: Vec<Twin>,
    /// Link lists from the base up, vertex after vertex: length, then rows.
    pub lists: Vec<Row>,
}

impl Parsed {
    /// Starts a vertex; its lists are to be appended to `lists` next.
    pub fn begin_vertex(
        &mut self,
        rows: &mut Reader<'_>,
        after: Option<Row>,
    ) -> Result<(Row, u8), GraphDamage> {
        let (row, tag, level, diverse) = (rows.u32()?, rows.u64()?, rows.u8()?, rows.u8()?);
        if level > TOP_LAYER {
            return rows.damage("level out of range");
        }
        if after.is_some_and(|before| before >= row) {
            return rows.damage("rows out of order");
        }
        self.vertices.push(Vertex { row, tag, level, diverse, lists: self.lists.len() });
        Ok((row, level))
    }

    pub fn push_twin(&mut self, chains: &mut Reader<'_>) -> Result<Row, GraphDamage> {
        let (row, tag, head) = (chains.u32()?, chains.u64()?, chains.u32()?);
        self.twins.push(Twin { row, tag, head });
        Ok(row)
    }

    /// One link list; empty above the vertex's level.
    pub fn list(&self, vertex: &Vertex, layer: u8) -> &[Row] {
        if layer > vertex.level {
            return &[];
        }
        let mut at = vertex.lists;
        let count = |at: usize| self.lists.get(at).map_or(0, |count| *count as usize);
        for _ in 0..layer {
            at += 1 + count(at);
        }
        self.lists.get(at + 1..at + 1 + count(at)).unwrap_or(&[])
    }

    /// What was appended since the given numbers of vertices and twins.
    pub fn since(&self, (vertices, twins): (usize, usize)) -> Part {
        Part { vertices: vertices..self.vertices.len(), twins: twins..self.twins.len() }
    }
}
