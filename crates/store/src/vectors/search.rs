//! Searches of fields that have no graph: inverted lists, and the records themselves.

use crate::damage::{Damage, Refusal};
use crate::matching::Matched;
use crate::query::SearchQuery;
use crate::rows::Slot;
use crate::search::{Found, SearchTrace};
use crate::shard::Shard;
use crate::vectors::maxsim::maxsim;
use crate::vectors::schema::{SchemaField, Shape};
use vectron_base::vectors::{FieldValue, MultiVector, SparseVector};
use vectron_index::{Metric, Row, RowSet};

impl Shard {
    /// The largest dot products with a sparse query, and all that tie with the last of them.
    pub(crate) fn search_sparse(
        &self,
        query: &SearchQuery,
        (field, vector): (&SchemaField, &SparseVector),
        done: &mut dyn FnMut(&'static str),
    ) -> Result<Found, Refusal> {
        // How long it takes depends on the query: who writes meanwhile must not make short looks wait.
        let _long = self.state.long();
        let Matched { state, rows: allowed, trace } = self.matching(query.filter.as_ref())?;
        done("filter");
        let mut explain = SearchTrace { plan: "inverted", exact: true, ..SearchTrace::default() };
        let index = state.vectors.sparse.iter().find(|known| known.number == field.number);
        let mut slots = Vec::new();
        if let Some(sparse) = index {
            let least = query.score_threshold.unwrap_or(f32::NEG_INFINITY);
            let (hits, stats) = sparse.index.search(vector, query.top_k, least, allowed.as_ref());
            let hits = hits.into_iter().filter(|(score, _)| *score >= least);
            slots.extend(hits.filter_map(|(score, row)| Some((score, state.rows.get(row)?.clone()))));
            explain.rows_live = sparse.index.rows() as u64;
            (explain.visited, explain.distances) = (stats.rows, stats.entries);
        }
        explain.filtered(allowed.as_ref(), trace);
        Ok(Found { applied_index: state.applied_index, slots, explain })
    }

    /// The largest MaxSim sums, over all points that pass and have the field, or those `among` ids.
    pub(crate) fn search_multi(
        &self,
        query: &SearchQuery,
        (field, vectors, among): (&SchemaField, &MultiVector, Option<&[String]>),
        done: &mut dyn FnMut(&'static str),
    ) -> Result<Found, Refusal> {
        let Shape::Multi { metric, .. } = field.shape else {
            let reason = "is no multi field".into();
            return Err(Refusal::Invalid { field: "using", reason });
        };
        // Pointers are copied under the lock, records are read without it.
        let (candidates, applied_index, mut explain) = {
            let Matched { state, rows: allowed, trace } = self.matching(query.filter.as_ref())?;
            let mut explain = SearchTrace { plan: "maxsim", exact: true, ..SearchTrace::default() };
            let mut candidates: Vec<Slot> = Vec::new();
            if let Some(multi) = state.vectors.multi.iter().find(|known| known.number == field.number) {
                explain.rows_live = multi.rows.len();
                let passes = |row: &Row| {
                    multi.rows.contains(*row) && allowed.as_ref().is_none_or(|rows| rows.contains(*row))
                };
                let slot = |row: Row| state.rows.get(row).cloned();
                match (among, &allowed) {
                    (Some(ids), _) => {
                        let rows: RowSet =
                            set(ids.iter().filter_map(|id| state.ids.get(id.as_str()).copied()));
                        candidates.extend(rows.iter().filter(passes).filter_map(slot));
                    }
                    (None, Some(allowed)) => {
                        candidates.extend(allowed.iter().filter(passes).filter_map(slot));
                    }
                    (None, None) => candidates.extend(multi.rows.iter().filter_map(slot)),
                }
            }
            explain.filtered(allowed.as_ref(), trace);
            (candidates, state.applied_index, explain)
        };
        done("filter");
        explain.visited = candidates.len() as u64;
        let mut slots = Vec::with_capacity(candidates.len());
        for slot in candidates {
            let scored = self.maxsim_of(&slot, field.number, (metric, vectors));
            let Some((score, pairs)) = scored.map_err(|damage| self.report(damage))? else { continue };
            explain.distances += pairs;
            if query.score_threshold.is_none_or(|least| score >= least) {
                slots.push((score, slot));
            }
        }
        Ok(Found { applied_index, slots, explain })
    }

    /// A record's score, and how many pairs of vectors were compared; `None` if it has no value in the field.
    fn maxsim_of(
        &self,
        slot: &Slot,
        number: u32,
        (metric, query): (Metric, &MultiVector),
    ) -> Result<Option<(f32, u64)>, Damage> {
        let value = slot.view()?.value(&self.schema, number).map_err(|e| slot.damage(e))?;
        let Some(FieldValue::Multi(vectors)) = value else { return Ok(None) };
        Ok(Some((maxsim(metric, query, &vectors), (query.len() * vectors.len()) as u64)))
    }
}

fn set(rows: impl Iterator<Item = Row>) -> RowSet {
    let mut set = RowSet::new();
    rows.for_each(|row| _ = set.insert(row));
    set
}
