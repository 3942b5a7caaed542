//! Full vectors for an index that does not hold them: out of the records.

use crate::damage::Damage;
use crate::rows::Rows;
use crate::vectors::schema::Schema;
use std::cell::RefCell;
use vectron_index::{FullVectors, Row};

/// The vectors of one field of rows that hold a record, verified as they are read. The first that cannot be had is
/// noted.
pub(crate) struct Stored<'a> {
    rows: &'a Rows,
    number: u32,
    dimension: usize,
    damage: RefCell<Option<Damage>>,
}

impl<'a> Stored<'a> {
    pub fn new(rows: &'a Rows, schema: &Schema, number: u32) -> Self {
        let dimension = schema.dimension(number);
        Self { rows, number, dimension, damage: RefCell::new(None) }
    }

    /// Why a vector could not be read.
    pub fn damage(&self) -> Option<Damage> {
        self.damage.borrow().clone()
    }
}

impl FullVectors for Stored<'_> {
    fn read(&self, row: Row, into: &mut Vec<f32>) -> bool {
        let Some(slot) = self.rows.get(row) else { return false };
        let before = into.len();
        let read = slot.view().and_then(|view| {
            let there = view.read_dense(self.number, into).map_err(|e| slot.damage(e))?;
            match there && into.len() - before != self.dimension {
                true => Err(slot.damage("a vector has another length than its field")),
                false => Ok(there),
            }
        });
        read.unwrap_or_else(|damage| {
            self.damage.borrow_mut().get_or_insert(damage);
            false
        })
    }
}
