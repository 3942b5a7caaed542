//! Counts of a field's values, from its index.

use super::Fields;
use vectron_base::filter::FieldValue;
use vectron_index::RowSet;

impl Fields {
    /// Values of a field with the number of rows that have each, and the rows whose payloads must be looked at
    /// besides; `None` if no index counts. `rows` are those that matter, by default all.
    pub fn facet(&self, field: &str, rows: Option<&RowSet>) -> Option<(Vec<(FieldValue, u64)>, RowSet)> {
        let field = self.ready(field)?;
        let counts = field.counts(rows)?;
        let mut open = field.irregular.clone();
        if let Some(rows) = rows {
            open.intersect_with(rows);
        }
        Some((counts, open))
    }
}
