//! Full vectors that the caller keeps.

use crate::params::Row;

/// Where full vectors are when the index does not hold them ([`crate::Vectors::Elsewhere`]).
pub trait FullVectors {
    /// Appends the vector last put at a live row, component for component, to an empty buffer; false (and
    /// anything in the buffer) where it cannot be had. Such a row is left out of answers.
    fn read(&self, row: Row, into: &mut Vec<f32>) -> bool;
}

/// No vectors: for an index that holds them itself.
impl FullVectors for () {
    fn read(&self, _row: Row, _into: &mut Vec<f32>) -> bool {
        false
    }
}
