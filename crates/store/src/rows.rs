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
    /// Names the dense vectors' bits: with another tag they are others.
    pub tag: u64,
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

/// Rows that lie next to each other.
#[derive(Clone)]
struct Chunk {
    slots: Vec<Option<Slot>>,
    /// How many hold a record.
    held: usize,
}

/// All rows. A chunk without any record takes no memory.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    chunks: Vec<Option<Arc<Chunk>>>,
    /// Chunks that are there.
    present: usize,
}

impl Rows {
    pub fn get(&self, row: Row) -> Option<&Slot> {
        self.chunks.get(row as usize / CHUNK)?.as_ref()?.slots.get(row as usize % CHUNK)?.as_ref()
    }

    /// Puts a record into a row, or empties it; what was there.
    pub fn set(&mut self, row: Row, slot: Option<Slot>) -> Option<Slot> {
        if slot.is_none() && self.get(row).is_none() {
            return None;
        }
        let at = row as usize / CHUNK;
        if self.chunks.len() <= at {
            self.chunks.resize_with(at + 1, || None);
        }
        let place = self.chunks.get_mut(at)?;
        self.present += usize::from(place.is_none());
        let chunk = place.get_or_insert_with(|| Arc::new(Chunk { slots: vec![None; CHUNK], held: 0 }));
        let chunk = Arc::make_mut(chunk);
        chunk.held += usize::from(slot.is_some());
        let old = std::mem::replace(chunk.slots.get_mut(row as usize % CHUNK)?, slot);
        chunk.held -= usize::from(old.is_some());
        if chunk.held == 0 {
            *place = None;
            self.present -= 1;
        }
        old
    }

    /// Every row that holds a record, ascending.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (Row, &Slot)> {
        let chunks = self.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at, chunk.as_ref()?)));
        chunks.flat_map(|(at, chunk)| {
            let slots = chunk.slots.iter().enumerate();
            slots.filter_map(move |(i, slot)| Some(((at * CHUNK + i) as Row, slot.as_ref()?)))
        })
    }

    pub fn bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Option<Arc<Chunk>>>()
            + self.present * CHUNK * size_of::<Option<Slot>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_holds_nothing_is_given_back() {
        let (id, payload, values) = ("a".into(), "{}".into(), Vec::new());
        let record = Record { id, version: 1, payload, expires_at_ms: None, values, plain: true };
        let slot = Slot { version: 1, tag: 2, hash: 3, place: Place::Memory(Arc::new(record)) };
        let mut rows = Rows::default();
        (0..2000).for_each(|row| drop(rows.set(row, Some(slot.clone()))));
        let full = rows.bytes();
        let frozen = rows.clone();
        (0..2000).filter(|row| *row != 700).for_each(|row| assert!(rows.set(row, None).is_some()));
        assert!(rows.set(5, None).is_none() && rows.set(1 << 20, None).is_none());
        assert_eq!(rows.iter().map(|(row, _)| row).collect::<Vec<_>>(), [700]);
        assert!(rows.bytes() < full / 2);
        assert_eq!(frozen.iter().count(), 2000);
        rows.set(700, None);
        assert!(rows.bytes() < full / 100);
        rows.set(1, Some(slot));
        assert!(rows.get(1).is_some() && rows.get(0).is_none());
    }
}
