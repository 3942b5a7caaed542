//! Writes of several kinds in one command: upserts, deletes and changes of payloads, in order, each with its conditions.
//!
//! Encoding: edits · filters · items. An item: kind u8 (1 upsert, 2 delete, 3 payload) · has filter u8 \[filter u32\] ·
//! its fields: of an upsert the point as in an upsert command, then the expiry: kind u8 (0 never, 1 after, 2 at) and
//! milliseconds u64; of a delete as in a delete command; of a change id · `if_version` · edit u32. Filters and edits are
//! named by their place in the lists, because a batch has many items with the same.

use crate::bytes::{DecodeError, Decoded, Reader, Writer};
use crate::command::{DeleteItem, UpsertPoint, delete_item, upsert_point};
use crate::edit::PayloadEdit;
use crate::vectors::schema::Schema;
use vectron_base::FieldError;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_base::ids::point_id_problem;

/// Items that are decided one after the other and become visible together, all with the version of the command. An id
/// may come more than once: a later item finds what an earlier one left, with the command's version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Changes that items name by position.
    pub edits: Vec<PayloadEdit>,
    /// Canonical filter texts that items name by position.
    pub filters: Vec<String>,
    /// What to do.
    pub items: Vec<BatchItem>,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchItem {
    /// Position of the filter that the payload there must pass. Where there is no point no filter holds.
    pub if_filter: Option<u32>,
    /// What to do.
    pub write: ItemWrite,
}

/// What an item does.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemWrite {
    /// Writes a point whole.
    Upsert(UpsertPoint, Expiry),
    /// Deletes a point.
    Delete(DeleteItem),
    /// Changes the payload of a point that is there; its vector and its expiry stay.
    Payload {
        /// Whose.
        id: String,
        /// The version that the point must have; 0: it must not exist, so that nothing is ever changed.
        if_version: Option<u64>,
        /// Position of the change.
        edit: u32,
    },
}

/// When a point ends by itself: by log time, so that all replicas agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It does not.
    #[default]
    Never,
    /// So many milliseconds after the log time at which it is written.
    AfterMs(u64),
    /// At this log time, in milliseconds since the Unix epoch.
    AtMs(u64),
}

impl Expiry {
    /// The log time at which a point ends that is written at log time `now`.
    pub(crate) fn at(self, now: u64) -> Option<u64> {
        match self {
            Expiry::Never => None,
            Expiry::AfterMs(ms) => Some(now.saturating_add(ms)),
            Expiry::AtMs(at) => Some(at),
        }
    }
}

impl BatchItem {
    /// Whose.
    pub fn id(&self) -> &str {
        match &self.write {
            ItemWrite::Upsert(point, _) => &point.id,
            ItemWrite::Delete(item) => &item.id,
            ItemWrite::Payload { id, .. } => id,
        }
    }

    pub(crate) fn if_version(&self) -> Option<u64> {
        match &self.write {
            ItemWrite::Upsert(point, _) => point.if_version,
            ItemWrite::Delete(item) => item.if_version,
            ItemWrite::Payload { if_version, .. } => *if_version,
        }
    }

    fn encode(&self, w: &mut Writer, named: bool) {
        w.u8(match &self.write {
            ItemWrite::Upsert(..) => 1,
            ItemWrite::Delete(_) => 2,
            ItemWrite::Payload { .. } => 3,
        });
        w.u8(u8::from(self.if_filter.is_some()));
        self.if_filter.into_iter().for_each(|at| w.u32(at));
        match &self.write {
            ItemWrite::Upsert(point, expiry) => {
                point.encode(w, named);
                let (kind, ms) = match expiry {
                    Expiry::Never => (0, 0),
                    Expiry::AfterMs(ms) => (1, *ms),
                    Expiry::AtMs(at) => (2, *at),
                };
                w.u8(kind);
                w.u64(ms);
            }
            ItemWrite::Delete(item) => item.encode(w),
            ItemWrite::Payload { id, if_version, edit } => {
                w.bytes(id.as_bytes());
                w.option(*if_version);
                w.u32(*edit);
            }
        }
    }

    fn decode(r: &mut Reader<'_>, named: bool) -> Decoded<BatchItem> {
        let kind = r.u8()?;
        let if_filter = if r.flag()? { Some(r.u32()?) } else { None };
        let write = match kind {
            1 => ItemWrite::Upsert(upsert_point(r, named)?, expiry(r)?),
            2 => ItemWrite::Delete(delete_item(r)?),
            3 => ItemWrite::Payload { id: r.text()?.into(), if_version: r.option()?, edit: r.u32()? },
            _ => return Err(DecodeError("unknown item of a batch")),
        };
        Ok(BatchItem { if_filter, write })
    }
}

fn expiry(r: &mut Reader<'_>) -> Decoded<Expiry> {
    match (r.u8()?, r.u64()?) {
        (0, 0) => Ok(Expiry::Never),
        (1, ms) => Ok(Expiry::AfterMs(ms)),
        (2, at) => Ok(Expiry::AtMs(at)),
        _ => Err(DecodeError("unknown expiry")),
    }
}

impl Batch {
    /// The points to be written.
    pub(crate) fn points(&self) -> impl Iterator<Item = &UpsertPoint> {
        self.items.iter().filter_map(|item| match &item.write {
            ItemWrite::Upsert(point, _) => Some(point),
            _ => None,
        })
    }

    /// Whether points are written with `named` fields is for the command's version to say.
    pub(crate) fn encode(&self, w: &mut Writer, named: bool) {
        w.len(self.edits.len());
        self.edits.iter().for_each(|edit| edit.encode(w));
        w.len(self.filters.len());
        self.filters.iter().for_each(|filter| w.bytes(filter.as_bytes()));
        w.len(self.items.len());
        self.items.iter().for_each(|item| item.encode(w, named));
    }

    pub(crate) fn decode(r: &mut Reader<'_>, named: bool) -> Decoded<Batch> {
        Ok(Batch {
            edits: r.list(9, PayloadEdit::decode)?,
            filters: r.list(4, |r| Ok(r.text()?.into()))?,
            items: r.list(7, |r| BatchItem::decode(r, named))?,
        })
    }

    /// Why it makes no sense.
    pub(crate) fn problem(&self, schema: &Schema) -> Option<FieldError> {
        for (i, edit) in self.edits.iter().enumerate() {
            if let Some(reason) = edit.problem() {
                return Some(FieldError { field: format!("edits[{i}]"), reason });
            }
        }
        for text in &self.filters {
            if let Err(error) = Filter::parse(text, &FilterLimits::REPLICATED) {
                return Some(FieldError { field: error.path, reason: error.reason });
            }
        }
        let of_item = |(i, item): (usize, &BatchItem)| {
            let refuse = |part: &str, reason| FieldError { field: format!("operations[{i}].{part}"), reason };
            if let ItemWrite::Upsert(point, _) = &item.write
                && let Some((part, reason)) = point.problem(schema)
            {
                return Some(refuse(&part, reason));
            }
            if let Some(reason) = point_id_problem(item.id()) {
                return Some(refuse("id", reason));
            }
            let beyond = |at: u32, len: usize| at as usize >= len;
            let missing = item.if_filter.is_some_and(|at| beyond(at, self.filters.len()))
                || matches!(item.write, ItemWrite::Payload { edit, .. } if beyond(edit, self.edits.len()));
            missing.then(|| refuse("edit", "names a filter or a change that is not there".into()))
        };
        self.items.iter().enumerate().find_map(of_item)
    }
}
