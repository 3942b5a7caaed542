//! From what was encoded to a sound graph over the rows that there are.

use super::parsed::{Parsed, Part, Vertex};
use crate::SweepCursor;
use crate::graph::Graph;
use crate::graph::audit::Walker;
use crate::graph::prune::{LinkList, ranked, select};
use crate::index::VectorIndex;
use crate::params::{Metric, NONE, Row};
use crate::quantize::CodeProbe;
use crate::request::Scratch;
use crate::rows::State;

/// Where the encoded vertex of each row is; `NONE` where there is none.
pub(super) struct Known(Vec<u32>);

impl Known {
    fn get<'p>(&self, parsed: &'p Parsed, row: Row) -> Option<&'p Vertex> {
        parsed.vertices.get(*self.0.get(row as usize)? as usize)
    }
}

impl VectorIndex {
    /// Puts every live row back into the tail and frees the deleted ones.
    pub(crate) fn dissolve_graph(&mut self) {
        self.sweep = None;
        self.inserted = 0;
        self.graph = Graph::succeeding(&self.graph);
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

    pub(super) fn adopt_vertices(&mut self, parsed: &Parsed, part: &Part) {
        for vertex in &parsed.vertices[part.vertices.clone()] {
            if self.is_pending(vertex.row, vertex.tag) {
                self.make_vertex(vertex.row, vertex.level);
            }
        }
    }

    pub(super) fn known<'p>(&self, parsed: &Parsed, parts: impl IntoIterator<Item = &'p Part>) -> Known {
        let mut known = vec![NONE; self.rows.end()];
        for at in parts.into_iter().flat_map(|part| part.vertices.clone()) {
            if let Some(place) = known.get_mut(parsed.vertices[at].row as usize) {
                *place = at as u32;
            }
        }
        Known(known)
    }

    /// Writes the links of a part's vertices; whether every vertex was adopted with the very links it had.
    pub(super) fn adopt_links(&mut self, parsed: &Parsed, part: &Part, known: &Known) -> bool {
        let (mut whole, mut sorted) = (true, Vec::new());
        for vertex in &parsed.vertices[part.vertices.clone()] {
            // A row whose own occupant is another one was not adopted and has no links.
            if self.rows.state(vertex.row) != State::Vertex {
                whole = false;
                continue;
            }
            for layer in 0..=vertex.level {
                let list = parsed.list(vertex, layer);
                sorted.clear();
                sorted.extend_from_slice(list);
                sorted.sort_unstable();
                let once = sorted.windows(2).all(|pair| pair[0] != pair[1]);
                if once && list.iter().all(|row| self.is_adopted(*row, vertex.row, layer)) {
                    self.graph.set_links(vertex.row, layer, list, vertex.diverse as usize);
                } else {
                    whole = false;
                    let list = self.mended(parsed, vertex, layer, known);
                    self.write_links(vertex.row, layer, &list);
                }
            }
        }
        whole
    }

    fn is_pending(&self, row: Row, tag: u64) -> bool {
        self.rows.state(row) == State::Tail && self.rows.tag(row) == tag
    }

    fn is_adopted(&self, row: Row, from: Row, layer: u8) -> bool {
        row != from && self.rows.state(row) == State::Vertex && self.graph.level(row) >= layer
    }

    /// A list without the links that lead nowhere. As long as most of a base list is left that is all, since
    /// choosing anew for every vertex next to a lost row would take as long as building; else what the lost ones
    /// linked to takes their places.
    fn mended(&self, parsed: &Parsed, vertex: &Vertex, layer: u8, known: &Known) -> LinkList {
        let list = parsed.list(vertex, layer);
        let diverse = if layer == 0 { vertex.diverse as usize } else { list.len() };
        let mut kept = LinkList { rows: list.to_vec(), diverse: diverse.min(list.len()) };
        for at in (0..list.len()).rev() {
            if list[..at].contains(&list[at]) || !self.is_adopted(list[at], vertex.row, layer) {
                kept.remove(at);
            }
        }
        let degree = self.graph.degree_at(layer);
        if layer == 0 && kept.rows.len() >= degree - degree / 4 {
            return kept;
        }
        let lost = list.iter().filter(|row| !kept.rows.contains(row));
        let inherited: Vec<Row> = lost
            .filter_map(|row| known.get(parsed, *row))
            .flat_map(|lost| parsed.list(lost, layer))
            .copied()
            .filter(|row| self.is_adopted(*row, vertex.row, layer))
            .collect();
        if inherited.is_empty() {
            return kept;
        }
        kept.rows.extend(inherited);
        let mut code = CodeProbe::default();
        let candidates = ranked(&self.space, vertex.row, &kept.rows, &mut code);
        select(&self.space, &candidates, degree, &mut code)
    }

    /// Chooses the entry: the encoded one if it is there, else the lowest row of the highest level.
    pub(super) fn elect_adopted(&mut self, entry: Option<Row>) {
        let entry = entry.filter(|row| self.rows.state(*row) == State::Vertex);
        if entry.is_some() {
            self.graph.entry = entry;
        } else {
            let rows = &self.rows;
            self.graph.elect_entry(rows.end(), |row| rows.state(row) == State::Vertex);
        }
    }

    /// Chains a part's twins; whether all of them were.
    pub(super) fn adopt_twins(&mut self, parsed: &Parsed, part: &Part) -> bool {
        let mut whole = true;
        for twin in &parsed.twins[part.twins.clone()] {
            let fits = self.is_pending(twin.row, twin.tag)
                && self.rows.state(twin.head).is_live_vertex()
                && self.space.same(twin.row, twin.head);
            if fits {
                self.make_twin(twin.row, twin.head);
            }
            whole &= fits;
        }
        whole
    }

    /// Links in whatever an incomplete adoption has cut off; what is still cut off goes back into the tail.
    pub(super) fn settle_adopted(&mut self) {
        let (mut scratch, mut cursor) = (Scratch::new(), SweepCursor::default());
        loop {
            let plan = self.plan_sweep(&mut scratch, &mut cursor, usize::MAX);
            if self.commit_sweep(plan).done {
                break;
            }
        }
        let mut walker = Walker::default();
        self.begin_walk(&mut walker);
        self.continue_walk(&mut walker, usize::MAX);
        let lost = |row: &Row| self.rows.state(*row).is_live_vertex() && !walker.seen.contains(*row);
        let lost: Vec<Row> = (0..self.rows.end() as Row).filter(lost).collect();
        lost.into_iter().for_each(|row| self.withdraw(row));
    }

    /// Puts a live vertex that no other leads to back into the tail, with its twins.
    fn withdraw(&mut self, row: Row) {
        let twins: Vec<Row> = self.graph.twins(row).collect();
        for twin in twins {
            self.graph.unchain(twin);
            self.rows.set(twin, State::Tail);
        }
        if self.params.metric == Metric::Dot {
            self.graph.lengths.remove(row, self.space.length(row));
        }
        self.graph.drop_vertex(row);
        self.rows.set(row, State::Tail);
    }
}
