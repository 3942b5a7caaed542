//! The state behind the shard's lock, and the two changes that points undergo.

use crate::config::ShardConfig;
use crate::damage::{Damage, Refusal};
use crate::expiry::Expiries;
use crate::fields::Fields;
use crate::idempotency::Window;
use crate::range::HashRange;
use crate::record::Prepared;
use crate::removals::Removals;
use crate::rows::{Place, Rows, Slot};
use crate::scrub::Marks;
use crate::segment::Segment;
use crate::vectors::VectorFields;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use vectron_index::Row;
use xxhash_rust::xxh3::Xxh3;

/// Changes of rows remembered for readers that work on a frozen copy.
const CHANGES_KEPT: usize = 1 << 16;

/// A segment with what is still live in it.
#[derive(Clone)]
pub(crate) struct SegmentState {
    pub segment: Arc<Segment>,
    pub live: RoaringBitmap,
    pub live_bytes: u64,
}

impl SegmentState {
    pub fn new(segment: Arc<Segment>, live: RoaringBitmap) -> Self {
        let live_bytes = live.iter().map(|entry| segment.record_len(entry)).sum();
        Self { segment, live, live_bytes }
    }

    fn clear(&mut self, entry: u32) {
        if self.live.remove(entry) {
            self.live_bytes = self.live_bytes.saturating_sub(self.segment.record_len(entry));
        }
    }
}

pub(crate) struct State {
    pub applied_index: u64,
    pub log_time_ms: u64,
    pub sealed: bool,
    /// The ids that the shard takes.
    pub range: HashRange,
    /// A child that is not whole yet: its checkpoints are no shard.
    pub provisional: bool,
    /// The shard was split, and the other part is not known to be durable: no checkpoint is made.
    pub child_waits: bool,
    /// Digests at the last marks.
    pub marks: Marks,
    pub window: Window,
    /// Live points in id order.
    pub ids: BTreeMap<Box<str>, Row>,
    pub rows: Rows,
    /// Sum of the live points' hashes.
    pub points_sum: u128,
    pub vectors: VectorFields,
    pub fields: Fields,
    /// Points that end by themselves.
    pub expiries: Expiries,
    /// Points that went lately. No part of the logical state.
    pub removals: Removals,
    /// Rows below `next_row` that may be used again.
    pub free_rows: Vec<Row>,
    pub next_row: Row,
    pub segments: BTreeMap<u64, SegmentState>,
    /// Rows whose record is only in memory, and the bytes those will take in a segment.
    pub unsaved: RoaringBitmap,
    pub unsaved_bytes: u64,
    /// Rows changed, latest last; `changes_before` many older ones were dropped.
    changes: VecDeque<Row>,
    changes_before: u64,
    /// Rows that entered or left the graph so far: tells a checkpoint whether the graph file is stale, and how
    /// far.
    pub graph_changes: u64,
    /// Why this replica can go no further.
    pub failure: Option<Damage>,
}

impl State {
    pub fn new(config: &ShardConfig) -> Self {
        Self {
            applied_index: 0,
            log_time_ms: 0,
            sealed: false,
            range: HashRange::ALL,
            provisional: false,
            child_waits: false,
            marks: Marks::default(),
            window: Window::default(),
            ids: BTreeMap::new(),
            rows: Rows::default(),
            points_sum: 0,
            vectors: VectorFields::new(config),
            fields: Fields::default(),
            expiries: Expiries::default(),
            removals: Removals::default(),
            free_rows: Vec::new(),
            next_row: 0,
            segments: BTreeMap::new(),
            unsaved: RoaringBitmap::new(),
            unsaved_bytes: 0,
            changes: VecDeque::new(),
            changes_before: 0,
            graph_changes: 0,
            failure: None,
        }
    }

    /// Refuses reads that must not see this state.
    pub fn readable(&self) -> Result<(), Refusal> {
        match &self.failure {
            Some(damage) => Err(damage.clone().into()),
            None if self.sealed => Err(Refusal::Sealed),
            None => Ok(()),
        }
    }

    /// See [`Shard::digest`](crate::Shard::digest).
    pub fn digest(&self) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&self.points_sum.to_le_bytes());
        hash.update(&(self.ids.len() as u64).to_le_bytes());
        hash.update(&self.window.sum().to_le_bytes());
        hash.update(&self.log_time_ms.to_le_bytes());
        hash.update(&[u8::from(self.sealed)]);
        if self.range != HashRange::ALL {
            hash.update(&self.range.first.to_le_bytes());
            hash.update(&self.range.last.to_le_bytes());
        }
        hash.digest128()
    }

    /// Changes the state. If `work` panics the state is half changed, and it stays refused: no read sees it and
    /// no checkpoint makes it durable.
    pub fn whole<T>(&mut self, what: &'static str, work: impl FnOnce(&mut State) -> T) -> T {
        let unfinished = || Damage { file: String::new(), detail: format!("{what} did not finish") };
        if self.failure.is_some() {
            return work(self);
        }
        self.failure = Some(unfinished());
        let result = work(self);
        if self.failure == Some(unfinished()) {
            self.failure = None;
        }
        result
    }

    /// The version of a live point; 0 if there is none.
    pub fn version_of(&self, id: &str) -> u64 {
        self.ids.get(id).and_then(|row| self.rows.get(*row)).map_or(0, |slot| slot.version)
    }

    /// Number of row changes so far.
    pub fn change_count(&self) -> u64 {
        self.changes_before + self.changes.len() as u64
    }

    /// Rows changed since the count was `since`; `None` if that is too long ago to know.
    pub fn changes_since(&self, since: u64) -> Option<impl Iterator<Item = Row> + '_> {
        let skip = since.checked_sub(self.changes_before)?;
        Some(self.changes.iter().skip(usize::try_from(skip).ok()?).copied())
    }

    fn note_change(&mut self, row: Row) {
        self.changes.push_back(row);
        if self.changes.len() > CHANGES_KEPT {
            self.changes.pop_front();
            self.changes_before += 1;
        }
    }

    /// Writes a point. A vector that stays the same keeps its row, and the index does not notice.
    pub fn upsert(&mut self, prepared: Prepared) {
        let row = match self.ids.get(&*prepared.record.id).copied() {
            Some(row) if self.holds_vectors(row, &prepared) => row,
            old => {
                if let Some(old) = old {
                    self.empty(old);
                    self.index_remove(old);
                }
                let Some(row) = self.place(&prepared) else { return };
                row
            }
        };
        let Prepared { record, tag, hash, found, .. } = prepared;
        let len = record.encoded_len() as u64;
        self.ids.insert(record.id.clone(), row);
        self.empty(row);
        self.vectors.insert(row, &record.values);
        let slot = Slot { version: record.version, tag, hash, place: Place::Memory(record.clone()) };
        self.rows.set(row, Some(slot));
        self.expiries.set(row, &record.id, record.expires_at_ms);
        self.fields.insert(row, &found);
        self.points_sum = self.points_sum.wrapping_add(hash);
        self.unsaved.insert(row);
        self.unsaved_bytes += len;
    }

    /// Deletes a point; whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(row) = self.ids.remove(id) else { return false };
        self.empty(row);
        self.index_remove(row);
        true
    }

    /// Deletes many points; how many were there. Rows are taken back once.
    pub fn remove_all(&mut self, ids: &[Box<str>]) -> u64 {
        let mut removed = 0;
        for id in ids {
            let Some(row) = self.ids.remove(id) else { continue };
            self.empty(row);
            self.vectors.remove(row);
            removed += 1;
        }
        self.reclaim_rows();
        removed
    }

    /// Whether a row's dense vectors have the bits of these. The record is read only if the tags agree, since that
    /// may wait for the disk. Where it cannot be read the answer is no, which costs a new row and changes nothing
    /// that counts.
    fn holds_vectors(&self, row: Row, wanted: &Prepared) -> bool {
        let slot = self.rows.get(row).filter(|slot| slot.tag == wanted.tag);
        let view = slot.and_then(|slot| slot.view().ok());
        view.is_some_and(|view| view.has_dense(&wanted.record.values, &self.vectors.schema))
    }

    /// Gives a record's vectors to the indexes; its row. One vector that is new takes all of them to a new row.
    fn place(&mut self, prepared: &Prepared) -> Option<Row> {
        let row = self.free_rows.pop().unwrap_or(self.next_row);
        if let Err(damage) = self.vectors.place(row, prepared, &self.rows) {
            self.failure = Some(damage);
            return None;
        }
        self.next_row = self.next_row.max(row.saturating_add(1));
        Some(row)
    }

    fn index_remove(&mut self, row: Row) {
        self.vectors.remove(row);
        self.reclaim_rows();
    }

    /// Takes back the rows that all indexes have released.
    pub fn reclaim_rows(&mut self) {
        let released = self.vectors.take_released();
        self.free_rows.extend(released);
    }

    /// Takes a row's record away, wherever it is.
    fn empty(&mut self, row: Row) {
        self.note_change(row);
        let Some(slot) = self.rows.set(row, None) else { return };
        self.fields.remove(row);
        self.vectors.clear(row);
        self.expiries.clear(row);
        self.points_sum = self.points_sum.wrapping_sub(slot.hash);
        self.forget_place(row, &slot.place);
    }

    /// Takes one copy of a record out of the books.
    pub fn forget_place(&mut self, row: Row, place: &Place) {
        match place {
            Place::Memory(record) => {
                self.unsaved.remove(row);
                self.unsaved_bytes = self.unsaved_bytes.saturating_sub(record.encoded_len() as u64);
            }
            Place::Stored(segment, entry) => {
                if let Some(state) = self.segments.get_mut(&segment.number) {
                    state.clear(*entry);
                }
            }
        }
    }
}

impl State {
    /// After a checkpoint: the record of `row`, if it is still the one that was written, is now at `to`. If it
    /// was replaced or deleted meanwhile, the copy at `to` is dead.
    pub fn move_record(&mut self, row: Row, from: &Place, to: Place) {
        match self.rows.get(row) {
            Some(slot) if slot.place.is(from) => {
                let moved = Slot { place: to, ..slot.clone() };
                self.rows.set(row, Some(moved));
                self.forget_place(row, from);
            }
            _ => self.forget_place(row, &to),
        }
    }
}
