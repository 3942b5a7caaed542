//! Full vectors for an index that does not hold them: out of the records.

use crate::damage::Damage;
use crate::rows::Rows;
use std::cell::RefCell;
use vectron_index::{FullVectors, Row};

/// The vectors of rows that hold a record, verified as they are read. The first that cannot be had is noted.
pub(crate) struct Stored<'a> {
    rows: &'a Rows,
    damage: RefCell<Option<Damage>>,
}

impl<'a> Stored<'a> {
    pub fn new(rows: &'a Rows) -> Self {
        Self { rows, damage: RefCell::new(None) }
    }

    /// Why a vector could not be read.
    pub fn damage(&self) -> Option<Damage> {
        self.damage.borrow().clone()
    }
}

impl FullVectors for Stored<'_> {
    fn read(&self, row: Row, into: &mut Vec<f32>) -> bool {
        let Some(slot) = self.rows.get(row) else { return false };
        let read = slot.view().and_then(|view| view.read_vector(into).map_err(|e| slot.damage(e)));
        match read {
            Ok(()) => true,
            Err(damage) => {
                self.damage.borrow_mut().get_or_insert(damage);
                false
            }
        }
    }
}
