//! The graph as bytes: links, levels, chains and tags, without vectors. All numbers are little-endian.
//!
//! ```text
//! header   magic "VECTGRPH" · format version u32 · number of sections u32 · CRC32 of these 16 bytes u32
//! section  id u32 · length u64 · CRC32 u32 of id, length and payload · payload
//! 1 params dimension u64 · metric u8 · degree u32 · seed u64
//! 2 rows   entry u32 (all ones: none) · count u32 · per vertex: row u32 · tag u64 · level u8 · diverse u8
//! 3 base   per vertex: links u8 · that many rows u32
//! 4 upper  per vertex and layer from 1 to its level: links u8 · that many rows u32
//! 5 chains count u32 · per twin: row u32 · tag u64 · head u32
//! ```
//!
//! Deleted vertices are written too: when they are not adopted, those that linked to them
//! inherit their links, as in a sweep.

use super::prune::{LinkList, ranked, select};
use super::{Graph, TOP_LAYER};
use crate::index::VectorIndex;
use crate::params::{NONE, Row};
use crate::quantize::CodeProbe;
use crate::request::Scratch;
use crate::rows::State;
use crate::{Params, SweepCursor};
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"VECTGRPH";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 20;
const SECTIONS: [&str; 5] = ["params", "rows", "base", "upper", "chains"];

/// Why encoded bytes were not adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphDamage {
    /// The section at fault: `header`, `params`, `rows`, `base`, `upper`, `chains` or `end`.
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

struct Vertex {
    row: Row,
    tag: u64,
    level: u8,
    diverse: usize,
    /// Links per layer, from the base up.
    lists: Vec<Vec<Row>>,
}

struct Parsed {
    entry: Row,
    vertices: Vec<Vertex>,
    twins: Vec<(Row, u64, Row)>,
}

impl VectorIndex {
    /// The graph as bytes, for [`Self::decode_graph`]. The tail is not part of it.
    pub fn encode_graph(&self) -> Vec<u8> {
        let mut sections: [Vec<u8>; 5] = Default::default();
        sections[0] = params_section(&self.params);
        let [_, rows, base, upper, chains] = &mut sections;
        let vertex = |row: &Row| self.rows.state(*row).is_vertex();
        let vertices: Vec<Row> = (0..self.rows.end() as Row).filter(vertex).collect();
        rows.extend(self.graph.entry.unwrap_or(NONE).to_le_bytes());
        rows.extend((vertices.len() as u32).to_le_bytes());
        for row in vertices {
            let level = self.graph.level(row);
            rows.extend(row.to_le_bytes());
            rows.extend(self.rows.tag(row).to_le_bytes());
            rows.extend([level, self.graph.diverse(row) as u8]);
            push_list(base, self.graph.links(row, 0));
            (1..=level).for_each(|layer| push_list(upper, self.graph.links(row, layer)));
        }
        let twins: Vec<(Row, Row)> = self.graph.chained().collect();
        chains.extend((twins.len() as u32).to_le_bytes());
        for (twin, head) in twins {
            chains.extend(twin.to_le_bytes());
            chains.extend(self.rows.tag(twin).to_le_bytes());
            chains.extend(head.to_le_bytes());
        }
        assemble(&sections)
    }

    /// Adopts an encoded graph, after all live rows were put. A vertex is adopted only if its
    /// row is pending with the same tag; links to others are replaced by links to what those linked
    /// to. Returns the number of rows that left the tail.
    ///
    /// # Errors
    /// Damage, or parameters that are not this index's, with the section named. The index is then
    /// as before the call: nothing is adopted in part.
    pub fn decode_graph(&mut self, bytes: &[u8]) -> Result<usize, GraphDamage> {
        let parsed = parse(bytes, &self.params)?;
        self.dissolve_graph();
        let before = self.pending();
        self.adopt(&parsed);
        Ok(before - self.pending())
    }

    /// Puts every live row back into the tail and frees the deleted ones.
    pub(crate) fn dissolve_graph(&mut self) {
        self.sweep = None;
        self.inserted = 0;
        self.graph = Graph::new(self.params.degree);
        for row in 0..self.rows.end() as Row {
            match self.rows.state(row) {
                State::Vertex | State::Head | State::Twin => self.rows.set(row, State::Tail),
                State::Dead => {
                    self.space.release(row);
                    self.rows.set(row, State::Free);
                }
                State::Free | State::Tail => {}
            }
        }
    }

    fn adopt(&mut self, parsed: &Parsed) {
        let mut known: BTreeMap<Row, &Vertex> = BTreeMap::new();
        for vertex in &parsed.vertices {
            known.insert(vertex.row, vertex);
            if self.is_pending(vertex.row, vertex.tag) {
                self.make_vertex(vertex.row, vertex.level);
            }
        }
        for vertex in &parsed.vertices {
            // A row whose own occupant is another one was not adopted and has no links.
            if self.rows.state(vertex.row) != State::Vertex {
                continue;
            }
            for (layer, list) in (0..).zip(&vertex.lists) {
                let list = self.adopted_list(vertex, layer, list, &known);
                self.write_links(vertex.row, layer, &list);
            }
        }
        if self.rows.state(parsed.entry) == State::Vertex {
            self.graph.entry = Some(parsed.entry);
        }
        for (twin, tag, head) in &parsed.twins {
            let live = self.is_pending(*twin, *tag) && self.rows.state(*head).is_live_vertex();
            if live && self.space.same(*twin, *head) {
                self.make_twin(*twin, *head);
            }
        }
        self.audit_adopted();
    }

    fn is_pending(&self, row: Row, tag: u64) -> bool {
        self.rows.state(row) == State::Tail && self.rows.tag(row) == tag
    }

    fn adopted_list(
        &self,
        vertex: &Vertex,
        layer: u8,
        list: &[Row],
        known: &BTreeMap<Row, &Vertex>,
    ) -> LinkList {
        let keep = |row: Row| {
            row != vertex.row && self.rows.state(row) == State::Vertex && self.graph.level(row) >= layer
        };
        let diverse = if layer == 0 { vertex.diverse } else { list.len() };
        let mut kept = LinkList { rows: list.to_vec(), diverse: diverse.min(list.len()) };
        kept.retain(keep);
        let distinct: std::collections::BTreeSet<&Row> = kept.rows.iter().collect();
        if kept.rows.len() == list.len() && distinct.len() == list.len() {
            return kept;
        }
        let lost = list.iter().filter(|row| !keep(**row)).filter_map(|row| known.get(row));
        let inherited = lost.filter_map(|lost| lost.lists.get(layer as usize)).flatten().copied();
        kept.rows.extend(inherited.filter(|row| keep(*row)));
        let mut code = CodeProbe::default();
        let candidates = ranked(&self.space, vertex.row, &kept.rows, &mut code);
        select(&self.space, &candidates, self.graph.degree_at(layer), &mut code)
    }

    /// Links in whatever an incomplete adoption has cut off.
    fn audit_adopted(&mut self) {
        let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
        loop {
            let plan = self.plan_sweep(&mut scratch, &mut cursor, usize::MAX);
            if self.commit_sweep(plan).done {
                return;
            }
        }
    }
}

fn params_section(params: &Params) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((params.dimension as u64).to_le_bytes());
    bytes.push(params.metric.code());
    bytes.extend((params.degree as u32).to_le_bytes());
    bytes.extend(params.seed.to_le_bytes());
    bytes
}

fn push_list(bytes: &mut Vec<u8>, list: &[Row]) {
    bytes.push(list.len() as u8);
    list.iter().for_each(|row| bytes.extend(row.to_le_bytes()));
}

fn assemble(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + sections.iter().map(|part| part.len() + 16).sum::<usize>());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((sections.len() as u32).to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    for (id, payload) in (1u32..).zip(sections) {
        bytes.extend(id.to_le_bytes());
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.extend(section_crc(id, payload).to_le_bytes());
        bytes.extend(payload);
    }
    bytes
}

fn section_crc(id: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(&(payload.len() as u64).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Reads from the front of a section; running out is damage of that section.
struct Reader<'a> {
    bytes: &'a [u8],
    section: &'static str,
}

impl<'a> Reader<'a> {
    fn damage<T>(&self, reason: &'static str) -> Result<T, GraphDamage> {
        Err(GraphDamage { section: self.section, reason })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], GraphDamage> {
        let Some((head, rest)) = self.bytes.split_at_checked(count) else {
            return self.damage("ends too early");
        };
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GraphDamage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, GraphDamage> {
        self.array::<1>().map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Result<u32, GraphDamage> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GraphDamage> {
        self.array().map(u64::from_le_bytes)
    }

    fn list(&mut self, most: usize) -> Result<Vec<Row>, GraphDamage> {
        let count = self.u8()? as usize;
        if count > most {
            return self.damage("list longer than the degree");
        }
        (0..count).map(|_| self.u32()).collect()
    }

    fn finish(&self) -> Result<(), GraphDamage> {
        if self.bytes.is_empty() { Ok(()) } else { self.damage("longer than its contents") }
    }
}

/// Takes the sections apart after checking header, order, lengths and checksums.
fn split_sections(bytes: &[u8]) -> Result<[Reader<'_>; 5], GraphDamage> {
    let mut header = Reader { bytes, section: "header" };
    let checked = header.take(HEADER_BYTES)?;
    let (fields, crc) = checked.split_at(HEADER_BYTES - 4);
    if !fields.starts_with(MAGIC) {
        return header.damage("not an encoded graph");
    }
    if crc32fast::hash(fields).to_le_bytes() != crc {
        return header.damage("checksum mismatch");
    }
    let mut numbers = Reader { bytes: &fields[MAGIC.len()..], section: "header" };
    if (numbers.u32()?, numbers.u32()?) != (VERSION, SECTIONS.len() as u32) {
        return header.damage("unknown format version");
    }
    let mut rest = header.bytes;
    let mut sections = SECTIONS.map(|section| Reader { bytes: &[], section });
    for (id, section) in (1u32..).zip(&mut sections) {
        let mut reader = Reader { bytes: rest, section: section.section };
        let (found, length, crc) = (reader.u32()?, reader.u64()?, reader.u32()?);
        let payload = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if found != id || section_crc(id, payload) != crc {
            return reader.damage("checksum mismatch");
        }
        section.bytes = payload;
        rest = reader.bytes;
    }
    Reader { bytes: rest, section: "end" }.finish()?;
    Ok(sections)
}

fn parse(bytes: &[u8], params: &Params) -> Result<Parsed, GraphDamage> {
    let [given, mut rows, mut base, mut upper, mut chains] = split_sections(bytes)?;
    if given.bytes != params_section(params) {
        return given.damage("made with other parameters");
    }
    let (entry, count) = (rows.u32()?, rows.u32()?);
    let mut vertices = Vec::new();
    for _ in 0..count {
        let (row, tag, level, diverse) = (rows.u32()?, rows.u64()?, rows.u8()?, rows.u8()?);
        if level > TOP_LAYER {
            return rows.damage("level out of range");
        }
        if vertices.last().is_some_and(|before: &Vertex| before.row >= row) {
            return rows.damage("rows out of order");
        }
        let mut lists = vec![base.list(params.degree)?];
        for _ in 0..level {
            lists.push(upper.list(params.degree / 2)?);
        }
        vertices.push(Vertex { row, tag, level, diverse: diverse as usize, lists });
    }
    let mut twins = Vec::new();
    for _ in 0..chains.u32()? {
        twins.push((chains.u32()?, chains.u64()?, chains.u32()?));
    }
    for section in [&rows, &base, &upper, &chains] {
        section.finish()?;
    }
    Ok(Parsed { entry, vertices, twins })
}
