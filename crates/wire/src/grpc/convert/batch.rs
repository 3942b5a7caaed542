//! Batches of writes, and what became of changes by filter.

use super::{each, filter, required, within};
use crate::batch::{
    BatchItem, Edited, Expiry, ItemWrite, PayloadChange, PayloadEdit, RefusedPoint, WriteBatch,
};
use crate::proto::worker as pb;
use crate::proto::worker::batch_item::Write;
use crate::proto::worker::batch_upsert::Expiry as PbExpiry;
use crate::proto::worker::payload_edit::Change;
use vectron_base::Fault;
use vectron_base::filter::Filter;

impl From<PayloadEdit> for pb::PayloadEdit {
    fn from(edit: PayloadEdit) -> Self {
        let change = match edit.change {
            PayloadChange::Merge(text) => Change::Merge(text),
            PayloadChange::Replace(text) => Change::Replace(text),
            PayloadChange::Unset(paths) => Change::Unset(pb::Paths { paths }),
        };
        Self { change: Some(change), bytes_max: edit.bytes_max }
    }
}

impl TryFrom<pb::PayloadEdit> for PayloadEdit {
    type Error = Fault;

    fn try_from(message: pb::PayloadEdit) -> Result<Self, Fault> {
        let change = match required("change", message.change)? {
            Change::Merge(text) => PayloadChange::Merge(text),
            Change::Replace(text) => PayloadChange::Replace(text),
            Change::Unset(pb::Paths { paths }) => PayloadChange::Unset(paths),
        };
        Ok(Self { change, bytes_max: message.bytes_max })
    }
}

impl From<BatchItem> for pb::BatchItem {
    fn from(item: BatchItem) -> Self {
        let write = match item.write {
            ItemWrite::Upsert(point, expiry) => {
                let expiry = match expiry {
                    Expiry::Never => None,
                    Expiry::AfterMs(ms) => Some(PbExpiry::AfterMs(ms)),
                    Expiry::AtMs(at) => Some(PbExpiry::AtMs(at)),
                };
                Write::Upsert(pb::BatchUpsert { point: Some(point.into()), expiry })
            }
            ItemWrite::Delete { id, if_version } => Write::Delete(pb::BatchDelete { id, if_version }),
            ItemWrite::Payload { id, if_version, edit } => {
                Write::Payload(pb::BatchPayload { id, if_version, edit })
            }
        };
        Self { if_filter: item.if_filter, write: Some(write) }
    }
}

impl TryFrom<pb::BatchItem> for BatchItem {
    type Error = Fault;

    fn try_from(message: pb::BatchItem) -> Result<Self, Fault> {
        let write = match required("write", message.write)? {
            Write::Upsert(pb::BatchUpsert { point, expiry }) => {
                let point = required("upsert.point", point)?;
                let point = point.try_into().map_err(|fault| within("upsert.point", fault))?;
                let expiry = match expiry {
                    None => Expiry::Never,
                    Some(PbExpiry::AfterMs(ms)) => Expiry::AfterMs(ms),
                    Some(PbExpiry::AtMs(at)) => Expiry::AtMs(at),
                };
                ItemWrite::Upsert(point, expiry)
            }
            Write::Delete(pb::BatchDelete { id, if_version }) => ItemWrite::Delete { id, if_version },
            Write::Payload(pb::BatchPayload { id, if_version, edit }) => {
                ItemWrite::Payload { id, if_version, edit }
            }
        };
        Ok(Self { if_filter: message.if_filter, write })
    }
}

impl From<WriteBatch> for pb::Batch {
    fn from(batch: WriteBatch) -> Self {
        Self {
            edits: batch.edits.into_iter().map(Into::into).collect(),
            filters: batch.filters.iter().map(Filter::to_text).collect(),
            items: batch.items.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Batch> for WriteBatch {
    type Error = Fault;

    fn try_from(message: pb::Batch) -> Result<Self, Fault> {
        let filters = message.filters.iter().enumerate();
        let batch = Self {
            edits: each("edits", message.edits)?,
            filters: filters
                .map(|(at, text)| filter(&format!("filters[{at}]"), text))
                .collect::<Result<_, _>>()?,
            items: each("items", message.items)?,
        };
        for (at, item) in batch.items.iter().enumerate() {
            let edit = match item.write {
                ItemWrite::Payload { edit, .. } => Some(edit),
                _ => None,
            };
            let beyond = |position: Option<u32>, len: usize| position.is_some_and(|at| at as usize >= len);
            if beyond(item.if_filter, batch.filters.len()) || beyond(edit, batch.edits.len()) {
                return Err(Fault::invalid(
                    format!("items[{at}]"),
                    "names a filter or an edit that is not there",
                ));
            }
        }
        Ok(batch)
    }
}

impl From<Edited> for pb::Edited {
    fn from(edited: Edited) -> Self {
        let refused =
            |point: RefusedPoint| pb::RefusedPoint { id: point.id, outcome: Some(point.outcome.into()) };
        Self {
            updated: edited.updated,
            refused: edited.refused.into_iter().map(refused).collect(),
            refused_more: edited.refused_more,
        }
    }
}

impl TryFrom<pb::RefusedPoint> for RefusedPoint {
    type Error = Fault;

    fn try_from(message: pb::RefusedPoint) -> Result<Self, Fault> {
        let outcome = required("outcome", message.outcome)?;
        Ok(Self { id: message.id, outcome: outcome.try_into().map_err(|fault| within("outcome", fault))? })
    }
}

impl TryFrom<pb::Edited> for Edited {
    type Error = Fault;

    fn try_from(message: pb::Edited) -> Result<Self, Fault> {
        let refused = each("refused", message.refused)?;
        Ok(Self { updated: message.updated, refused, refused_more: message.refused_more })
    }
}
