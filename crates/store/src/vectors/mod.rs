//! Vector fields: what a shard's points may have in them, and what makes each searchable.
//!
//! ```text
//! apply ─→ values by field number ─┬→ dense: an index per field, over the shard's rows ─→ nearest rows
//!                                  ├→ sparse: an inverted index per field ────────────→ largest dot products
//!                                  └→ multi: the records themselves ───────────────→ largest MaxSim sums
//! ```
//! All fields share the shard's rows: a row is a record, whichever fields it has. A row is used again once every dense
//! index that held it has released it. What stands here is derived from the records.

mod maxsim;
pub(crate) mod schema;
mod search;
mod sparse;

use crate::config::ShardConfig;
use crate::damage::Damage;
use crate::record::Prepared;
use crate::rows::Rows;
use crate::source::Stored;
use schema::{Schema, Shape};
use sparse::SparseIndex;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::vectors::FieldValue;
use vectron_index::{Row, RowSet, VectorIndex};

/// The index of a dense field.
pub(crate) struct DenseField {
    pub number: u32,
    pub index: VectorIndex,
}

/// The index of a sparse field.
pub(crate) struct SparseField {
    pub number: u32,
    pub index: SparseIndex,
}

/// Which rows have vectors in a multi field.
pub(crate) struct MultiField {
    pub number: u32,
    pub rows: RowSet,
}

/// All vector fields of a shard.
pub(crate) struct VectorFields {
    pub schema: Arc<Schema>,
    /// By number.
    pub dense: Vec<DenseField>,
    pub sparse: Vec<SparseField>,
    pub multi: Vec<MultiField>,
    /// Rows without a record, and how many dense indexes have not released them yet.
    releasing: BTreeMap<Row, usize>,
    /// Rows that no index holds any more.
    released: Vec<Row>,
}

impl VectorFields {
    pub fn new(config: &ShardConfig) -> Self {
        let schema = Schema::of(config);
        let (mut dense, mut sparse, mut multi) = (Vec::new(), Vec::new(), Vec::new());
        for field in &schema.fields {
            let number = field.number;
            match field.shape {
                Shape::Dense { .. } => {
                    let index = VectorIndex::new(config.index_params(number));
                    dense.push(DenseField { number, index });
                }
                Shape::Sparse => sparse.push(SparseField { number, index: SparseIndex::default() }),
                Shape::Multi { .. } => multi.push(MultiField { number, rows: RowSet::new() }),
            }
        }
        let (releasing, released) = (BTreeMap::new(), Vec::new());
        Self { schema: Arc::new(schema), dense, sparse, multi, releasing, released }
    }

    /// Gives a new row's dense vectors to their indexes.
    pub fn place(&mut self, row: Row, prepared: &Prepared, rows: &Rows) -> Result<(), Damage> {
        let mut vectors = prepared.record.values.iter().zip(&prepared.tags);
        for ((number, value), tag) in &mut vectors {
            let FieldValue::Dense(vector) = value else { continue };
            self.put(*number, row, *tag, vector, rows)?;
        }
        Ok(())
    }

    /// Gives one vector to its index.
    pub fn put(
        &mut self,
        number: u32,
        row: Row,
        tag: u64,
        vector: &[f32],
        rows: &Rows,
    ) -> Result<(), Damage> {
        let full = Stored::new(rows, &self.schema, number);
        let field = self.dense.iter_mut().find(|field| field.number == number);
        let put = field.is_some_and(|field| field.index.put(row, tag, vector, &full));
        match full.damage() {
            Some(damage) => Err(damage),
            None if put => Ok(()),
            None => {
                let detail = format!("the index does not take row {row}");
                Err(Damage { file: String::new(), detail })
            }
        }
    }

    /// Takes a row out of the dense indexes. Its record is gone, or will be with the next step.
    pub fn remove(&mut self, row: Row) {
        let held = self.dense.iter_mut().filter(|field| field.index.is_live(row));
        let held = held.map(|field| field.index.remove(row)).count();
        if held == 0 {
            self.released.push(row);
        } else {
            self.releasing.insert(row, held);
        }
    }

    /// Rows that may be used again, since the last call.
    pub fn take_released(&mut self) -> Vec<Row> {
        for field in &mut self.dense {
            for row in field.index.take_released() {
                let left = self.releasing.get(&row).map_or(0, |held| held - 1);
                if left > 0 {
                    self.releasing.insert(row, left);
                } else {
                    self.releasing.remove(&row);
                    self.released.push(row);
                }
            }
        }
        std::mem::take(&mut self.released)
    }

    /// Adds a row's other values to what finds them.
    pub fn insert(&mut self, row: Row, values: &[(u32, FieldValue)]) {
        for (number, value) in values {
            match value {
                FieldValue::Dense(_) => {}
                FieldValue::Sparse(vector) => {
                    let mut fields = self.sparse.iter_mut().filter(|field| field.number == *number);
                    fields.by_ref().for_each(|field| field.index.insert(row, vector));
                }
                FieldValue::Multi(_) => {
                    let fields = self.multi.iter_mut().filter(|field| field.number == *number);
                    fields.for_each(|field| _ = field.rows.insert(row));
                }
            }
        }
    }

    /// Takes out what [`VectorFields::insert`] added.
    pub fn clear(&mut self, row: Row) {
        self.sparse.iter_mut().for_each(|field| field.index.remove(row));
        self.multi.iter_mut().for_each(|field| _ = field.rows.remove(row));
    }

    /// Bytes of what is no dense index.
    pub fn other_bytes(&self) -> usize {
        let sparse = self.sparse.iter().map(|field| field.index.bytes()).sum::<usize>();
        sparse + self.multi.iter().map(|field| field.rows.bytes()).sum::<usize>()
    }
}
