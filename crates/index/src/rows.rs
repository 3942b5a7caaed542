//! What each row holds: its state, the tag of its occupant, and the sets the states make up.

use crate::params::Row;
use crate::rowset::RowSet;

/// The life of a row: `Free → Tail → Vertex | Head | Twin → (Dead →) Free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Holds nothing.
    Free,
    /// Live, not in the graph: found by scanning.
    Tail,
    /// Live vertex of the graph.
    Vertex,
    /// Live vertex that also stands for the rows chained to it.
    Head,
    /// Live row with the vector of its head, or with a code that is the same; without links of its own.
    Twin,
    /// Deleted vertex: still traversed, never returned, freed by a sweep.
    Dead,
}

impl State {
    /// Whether the row has links.
    #[inline(always)]
    pub fn is_vertex(self) -> bool {
        matches!(self, State::Vertex | State::Head | State::Dead)
    }

    /// Whether the row is a vertex that may be returned.
    #[inline(always)]
    pub fn is_live_vertex(self) -> bool {
        matches!(self, State::Vertex | State::Head)
    }
}

#[derive(Default)]
pub(crate) struct Rows {
    state: Vec<State>,
    tag: Vec<u64>,
    /// Rows that may be returned.
    pub live: RowSet,
    /// Live rows that are not in the graph.
    pub tail: RowSet,
    /// Deleted vertices.
    pub dead: RowSet,
    /// Free rows the caller has not been told of yet.
    pub released: RowSet,
}

impl Rows {
    /// One past the highest row ever held.
    pub fn end(&self) -> usize {
        self.state.len()
    }

    #[inline(always)]
    pub fn state(&self, row: Row) -> State {
        self.state.get(row as usize).copied().unwrap_or(State::Free)
    }

    pub fn tag(&self, row: Row) -> u64 {
        self.tag.get(row as usize).copied().unwrap_or(0)
    }

    /// Rows that are in the graph and may be returned.
    pub fn live_in_graph(&self) -> usize {
        (self.live.len() - self.tail.len()) as usize
    }

    pub fn occupy(&mut self, row: Row, tag: u64) {
        let at = row as usize;
        if self.state.len() <= at {
            self.state.resize(at + 1, State::Free);
            self.tag.resize(at + 1, 0);
        }
        self.tag[at] = tag;
        self.released.remove(row);
        self.live.insert(row);
        self.set(row, State::Tail);
    }

    /// Moves a held row to a new state and keeps the sets in step.
    pub fn set(&mut self, row: Row, state: State) {
        let Some(slot) = self.state.get_mut(row as usize) else { return };
        let before = std::mem::replace(slot, state);
        match before {
            State::Tail => _ = self.tail.remove(row),
            State::Dead => _ = self.dead.remove(row),
            _ => {}
        }
        match state {
            State::Free => {
                self.live.remove(row);
                self.released.insert(row);
            }
            State::Dead => {
                self.live.remove(row);
                self.dead.insert(row);
            }
            State::Tail => _ = self.tail.insert(row),
            State::Vertex | State::Head | State::Twin => {}
        }
    }

    pub fn bytes(&self) -> usize {
        let sets = [&self.live, &self.tail, &self.dead, &self.released];
        self.state.capacity() * size_of::<State>()
            + self.tag.capacity() * size_of::<u64>()
            + sets.iter().map(|set| set.bytes()).sum::<usize>()
    }
}
