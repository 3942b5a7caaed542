//! Points that end by themselves: which, and when, by log time.
//!
//! Every command that moves log time first removes what is due by then, all of it, and does its own work afterwards; so
//! no state that can be read holds a point whose time has come. Only points with an expiry take memory here.

use crate::shard::Shard;
use std::collections::BTreeMap;
use vectron_index::Row;

/// Expiries of live points.
#[derive(Clone, Default)]
pub(crate) struct Expiries {
    /// Ids by time and row: what is due is read off without touching a record.
    by_time: BTreeMap<(u64, Row), Box<str>>,
    by_row: BTreeMap<Row, u64>,
}

impl Expiries {
    /// Notes the expiry of the point that was put into a row. The row has none.
    pub fn set(&mut self, row: Row, id: &str, at: Option<u64>) {
        if let Some(at) = at {
            self.by_row.insert(row, at);
            self.by_time.insert((at, row), id.into());
        }
    }

    /// A row was emptied.
    pub fn clear(&mut self, row: Row) {
        if !self.by_row.is_empty()
            && let Some(at) = self.by_row.remove(&row)
        {
            self.by_time.remove(&(at, row));
        }
    }

    /// The earliest.
    pub fn next(&self) -> Option<u64> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Ids of the points whose time has come.
    pub fn due(&self, log_time_ms: u64) -> Vec<Box<str>> {
        let due = self.by_time.range(..=(log_time_ms, Row::MAX));
        due.map(|(_, id)| id.clone()).collect()
    }

    /// Bytes in memory, by estimate.
    pub fn bytes(&self) -> u64 {
        const ENTRY_BYTES: u64 = 96;
        self.by_row.len() as u64 * ENTRY_BYTES
    }
}

impl Shard {
    /// The log time at which the next point ends by itself, in milliseconds since the Unix epoch; `None` when no
    /// point does. Whoever proposes commands sees by it when one is due that does nothing but move log time.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let state = self.state.read();
        if state.sealed || state.failure.is_some() { None } else { state.expiries.next() }
    }
}
