//! Payload indexes: derived state that answers filters without reading payloads.
//!
//! ```text
//! apply ─→ extract (outside the lock) ─→ found values ─→ field (with the write)
//! index_step ─→ build: a slice of rows at a time ────────→ field, until it is ready
//! filter ─→ plan: estimate, then rows that match and rows that must be looked at
//! ```
//! An index gives exactly what reading every payload would: a row with a value that it does not take is looked at.

mod build;
mod extract;
mod facet;
mod field;
mod geo;
mod keyword;
mod ordered;
mod plan;
mod sets;
mod sorted;
pub(crate) mod text;

pub use build::FieldIndexStatus;
pub(crate) use extract::{Extractor, Found};
pub use plan::FilterEstimate;
pub(crate) use plan::{FilterTrace, Plan};

use field::Field;
use std::sync::Arc;
use text::TextIndex;
use vectron_base::filter::FieldIndex;
use vectron_index::{Row, RowSet};

/// All payload indexes of a shard, and the rows that are live.
#[derive(Default)]
pub(crate) struct Fields {
    /// Rows that hold a point.
    pub live: RowSet,
    list: Vec<Field>,
    /// Reads payloads for `list`; `None` if that is empty.
    extractor: Option<Arc<Extractor>>,
    /// Changes with the list.
    generation: u64,
    /// A record could not be read: nothing more is built.
    halted: bool,
}

impl Fields {
    /// What reads payloads for [`Fields::insert`]. It stays the same while a command is being applied.
    pub fn extractor(&self) -> Option<Arc<Extractor>> {
        self.extractor.clone()
    }

    /// The index of this field that answers.
    fn ready(&self, path: &str) -> Option<&Field> {
        self.list.iter().find(|field| field.index.field == path && field.ready())
    }

    /// The text index of this field, and whether it answers; `None` if there is none.
    pub fn text(&self, path: &str) -> Option<(&TextIndex, bool)> {
        let mut texts = self.list.iter().filter(|field| field.index.field == path);
        texts.find_map(|field| Some((field.text()?, field.ready())))
    }

    /// Takes a row out that no longer holds its point.
    pub fn remove(&mut self, row: Row) {
        if self.live.remove(row) {
            self.list.iter_mut().filter(|field| row < field.built).for_each(|field| field.remove(row));
        }
    }

    /// Adds a row that holds a point now. Values that were found for another list of indexes are not used: the
    /// indexes are built anew.
    pub fn insert(&mut self, row: Row, found: &[Found]) {
        self.live.insert(row);
        if found.len() != self.list.len() {
            self.list.iter_mut().for_each(|field| *field = Field::new(field.index.clone()));
        }
        for (field, found) in self.list.iter_mut().zip(found) {
            if row < field.built {
                field.insert(row, found);
            }
        }
    }

    /// Makes the list of indexes this; those that stay keep what they have. With no rows below `next_row` they
    /// are ready at once.
    fn want(&mut self, wanted: &[FieldIndex], next_row: Row, keyword_bytes_max: usize) {
        self.list.retain(|field| wanted.contains(&field.index));
        for index in wanted {
            if self.list.iter().all(|field| field.index != *index) {
                let mut field = Field::new(index.clone());
                field.built = if next_row == 0 { Row::MAX } else { 0 };
                self.list.push(field);
            }
        }
        let indexes = self.list.iter().map(|field| &field.index);
        let extractor = Extractor::new(indexes, keyword_bytes_max);
        self.extractor = (!self.list.is_empty()).then(|| Arc::new(extractor));
        self.generation += 1;
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.live.bytes() + self.list.iter().map(Field::bytes).sum::<usize>()
    }
}
