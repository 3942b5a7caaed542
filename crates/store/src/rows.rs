//! The row table: which record each row holds. Cheap to clone, so that long reads work on a frozen copy
//! while writes go on.

use crate::damage::Damage;
use crate::record::{Record, View};
use crate::segment::Segment;
use std::sync::Arc;
use vectron_index::Row;

/// Rows that are copied together when a shared part is written to.
const CHUNK: usize = 512;

/// Where a record is.
#[derive(Clone)]
pub(crate) enum Place {
    /// Not written by a checkpoint yet.
    Memory(Arc<Record>),
    /// An entry of a segment.
    Stored(Arc<Segment>, u32),
}

impl Place {
    /// Whether both are the same copy of the same record.
    pub fn is(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Memory(a), Place::Memory(b)) => Arc::ptr_eq(a, b),
            (Place::Stored(a, i), Place::Stored(b, j)) => a.number == b.number && i == j,
            _ => false,
        }
    }
}

/// A row's record.
#[derive(Clone)]
pub(crate) struct Slot {
    pub version: u64,
    /// The point's part of the state digest.
    pub hash: u128,
    pub place: Place,
}

impl Slot {
    /// The record, its head verified.
    pub fn view(&self) -> Result<View<'_>, Damage> {
        match &self.place {
            Place::Memory(record) => Ok(View::of(record)),
            Place::Stored(segment, entry) => segment.view(*entry),
        }
    }

    pub fn damage(&self, detail: &str) -> Damage {
        match &self.place {
            Place::Memory(_) => Damage { file: String::new(), detail: detail.into() },
            Place::Stored(segment, _) => segment.damage(detail),
        }
    }
}

/// All rows.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    chunks: Vec<Arc<Vec<Option<Slot>>>>,
}

impl Rows {
    pub fn get(&self, row: Row) -> Option<&Slot> {
        self.chunks.get(row as usize / CHUNK)?.get(row as usize % CHUNK)?.as_ref()
    }

    /// Puts a record into a row, or empties it; what was there.
    pub fn set(&mut self, row: Row, slot: Option<Slot>) -> Option<Slot> {
        let at = row as usize / CHUNK;
        while self.chunks.len() <= at {
            self.chunks.push(Arc::new(vec![None; CHUNK]));
        }
        let chunk = Arc::make_mut(self.chunks.get_mut(at)?);
        std::mem::replace(chunk.get_mut(row as usize % CHUNK)?, slot)
    }

    /// Every row that holds a record, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Row, &Slot)> {
        let slots = self.chunks.iter().flat_map(|chunk| chunk.iter());
        slots.enumerate().filter_map(|(row, slot)| Some((row as Row, slot.as_ref()?)))
    }

    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Option<Slot>>()
    }
}
