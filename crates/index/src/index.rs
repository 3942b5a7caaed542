//! The index itself: what the caller puts, removes and gets back.

use crate::graph::{Graph, Sweep};
use crate::params::{CodeErrors, MemoryBytes, Metric, Params, ROW_LIMIT, Row};
use crate::rows::{Rows, State};
use crate::source::FullVectors;
use crate::space::Space;

/// A mutable nearest-neighbour index over rows.
///
/// `&self` methods only read and may run concurrently; `&mut self` methods are quick. The
/// expensive work (searching for an insertion's links, repairing lists after deletions) is in
/// the `plan_*` methods, which take `&self`; the matching `commit_*` writes what they planned.
pub struct VectorIndex {
    pub(crate) params: Params,
    pub(crate) space: Space,
    pub(crate) rows: Rows,
    pub(crate) graph: Graph,
    pub(crate) sweep: Option<Sweep>,
    /// Sweeps begun so far: the number of the last one.
    pub(crate) sweeps: u64,
    /// Rows inserted into the graph since reachability was last audited.
    pub(crate) inserted: usize,
}

impl VectorIndex {
    /// An empty index. Parameters out of bounds are brought inside them.
    pub fn new(params: Params) -> Self {
        let params = params.bounded();
        Self {
            space: Space::new(&params),
            rows: Rows::default(),
            graph: Graph::new(params.degree, params.chunk_rows),
            sweep: None,
            sweeps: 0,
            inserted: 0,
            params,
        }
    }

    /// The parameters in force.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Makes `row` visible at once: it joins the tail, which every search scans. `tag`
    /// identifies the occupant, so that a reused row is never taken for its former one.
    ///
    /// The row must be free (never put, or released), the components finite and as many as the
    /// dimension. Where row or dimension are not so nothing changes and the result is false.
    ///
    /// Two puts in the life of an index take longer, in proportion to its rows: the one that
    /// makes codes begin ([`Params::quantize_from`]), and the first of a vector whose squared length
    /// leaves the range of f32. The latter ends codes, dissolves the graph and, if vectors are
    /// [`crate::Vectors::Elsewhere`], reads those of all other live rows from `full`.
    pub fn put(&mut self, row: Row, tag: u64, vector: &[f32], full: &dyn FullVectors) -> bool {
        let fits = row < ROW_LIMIT && vector.len() == self.params.dimension;
        if !fits || self.rows.state(row) != State::Free {
            return false;
        }
        if self.space.widens(vector) {
            if self.space.coded() {
                self.dissolve_graph();
            }
            self.space.widen(self.rows.live.iter(), full);
        }
        self.space.store(row, vector);
        self.rows.occupy(row, tag);
        if self.space.wants_codes() && self.live() >= self.params.quantize_from {
            let held = |row: &Row| self.rows.state(*row) != State::Free;
            let held: Vec<Row> = (0..self.rows.end() as Row).filter(held).collect();
            self.space.quantize(&held);
        }
        true
    }

    /// Deletes a row: from now on it is never returned, by any path. A row that is not live is
    /// left as it is. The row is free at once if nothing links to it, else after a sweep.
    pub fn remove(&mut self, row: Row) {
        match self.rows.state(row) {
            State::Free | State::Dead => {}
            State::Tail => self.free(row),
            State::Twin => {
                if let Some((head, true)) = self.graph.unchain(row) {
                    self.rows.set(head, State::Vertex);
                }
                self.free(row);
            }
            State::Vertex => self.bury(row),
            State::Head => self.succeed(row),
        }
    }

    fn free(&mut self, row: Row) {
        self.space.release(row);
        self.rows.set(row, State::Free);
    }

    fn bury(&mut self, vertex: Row) {
        if self.params.metric == Metric::Dot {
            self.graph.lengths.remove(vertex, self.space.length(vertex));
        }
        self.rows.set(vertex, State::Dead);
    }

    /// Rows that became free since the last call, lowest first; each may be put again.
    pub fn take_released(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.rows.released).iter().collect()
    }

    /// The vector of a live row in the form it is compared in: of unit length for cosine, as it
    /// was put otherwise. `None` if the row is not live, or its vector only elsewhere.
    pub fn vector(&self, row: Row) -> Option<&[f32]> {
        let vector = self.space.vector(row);
        (self.is_live(row) && vector.len() == self.params.dimension).then_some(vector)
    }

    /// Whether two rows have the same vector, as far as the index can tell them apart.
    pub fn same_vector(&self, a: Row, b: Row) -> bool {
        self.space.same(a, b)
    }

    /// Whether a row may be returned.
    pub fn is_live(&self, row: Row) -> bool {
        self.rows.live.contains(row)
    }

    /// Whether rows are compared by codes.
    pub fn is_quantized(&self) -> bool {
        self.space.coded()
    }

    /// How far codes are from their vectors; `None` without codes.
    pub fn code_errors(&self) -> Option<CodeErrors> {
        self.space.code_errors()
    }

    /// Number of rows that may be returned.
    pub fn live(&self) -> usize {
        self.rows.live.len() as usize
    }

    /// Number of live rows in the tail, not in the graph yet.
    pub fn pending(&self) -> usize {
        self.rows.tail.len() as usize
    }

    /// Number of deleted rows the graph still holds.
    pub fn tombstones(&self) -> usize {
        self.rows.dead.len() as usize
    }

    /// The lowest pending row, to be planned next; `None` when nothing is pending or there are
    /// too few live rows for a graph.
    pub fn next_pending(&self) -> Option<Row> {
        self.next_pending_after(None)
    }

    /// The lowest pending row above `after`: lets several planners take different rows.
    pub fn next_pending_after(&self, after: Option<Row>) -> Option<Row> {
        if self.live() < self.params.flat_below {
            return None;
        }
        let from = after.map_or(0, |row| row.saturating_add(1));
        self.rows.tail.iter_from(from).next()
    }

    /// Bytes held, by what they hold.
    pub fn bytes(&self) -> MemoryBytes {
        MemoryBytes {
            codes: self.space.code_bytes(),
            vectors: self.space.vector_bytes(),
            links: self.graph.link_bytes(),
            other: self.graph.other_bytes() + self.rows.bytes() + self.space.length_bytes(),
        }
    }

    /// Chains a pending row to the vertex that it cannot be told apart from.
    pub(crate) fn make_twin(&mut self, row: Row, head: Row) {
        self.graph.chain(head, row);
        self.rows.set(row, State::Twin);
        self.rows.set(head, State::Head);
    }

    /// Deletes a head: its first twin becomes a vertex in its place, with its links, and takes
    /// over the rest of the chain and the links of those neighbours that pointed back.
    fn succeed(&mut self, head: Row) {
        let twins: Vec<Row> = self.graph.twins(head).collect();
        for twin in &twins {
            self.graph.unchain(*twin);
        }
        self.bury(head);
        let Some((heir, rest)) = twins.split_first() else { return };
        let level = self.graph.level(head);
        self.make_vertex(*heir, level);
        for layer in 0..=level {
            self.hand_over_links(head, *heir, layer);
        }
        for twin in rest {
            self.make_twin(*twin, *heir);
        }
    }

    fn hand_over_links(&mut self, head: Row, heir: Row, layer: u8) {
        let mut list = self.links_of(head, layer);
        self.write_links(heir, layer, &list);
        for neighbour in list.rows.clone() {
            let mut back = self.links_of(neighbour, layer);
            if let Some(at) = back.rows.iter().position(|row| *row == head) {
                back.rows[at] = heir;
                self.write_links(neighbour, layer, &back);
            }
        }
        // Whoever still points at the dead head gets to the heir through it.
        list.rows.insert(0, heir);
        list.rows.truncate(self.graph.degree_at(layer));
        list.diverse += 1;
        self.write_links(head, layer, &list);
    }
}
