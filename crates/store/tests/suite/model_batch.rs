//! What batches must do, one item after the other, over parsed payloads.

use crate::model::Model;
use serde_json::Value;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_store::filter::naive;
use vectron_store::{Batch, BatchItem, Expiry, ItemOutcome, ItemWrite, PayloadChange};

fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        let old = members.remove(name).unwrap_or(Value::Null);
        if !value.is_null() {
            members.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(members)
}

fn unset(value: &mut Value, path: &[&str]) {
    let (Some(members), Some((head, tail))) = (value.as_object_mut(), path.split_first()) else { return };
    if tail.is_empty() {
        members.remove(*head);
    } else if let Some(inner) = members.get_mut(*head) {
        unset(inner, tail);
    }
}

/// A payload after a change.
pub fn edited(payload: &str, change: &PayloadChange) -> String {
    let mut value: Value = serde_json::from_str(payload).unwrap();
    match change {
        PayloadChange::Merge(patch) => value = merged(value, &serde_json::from_str(patch).unwrap()),
        PayloadChange::Replace(new) => return new.clone(),
        PayloadChange::Unset(paths) => {
            paths.iter().for_each(|path| unset(&mut value, &path.split('.').collect::<Vec<_>>()));
        }
    }
    value.to_string()
}

impl Model {
    /// One item of a batch.
    pub fn item(&mut self, index: u64, now: u64, batch: &Batch, item: &BatchItem) -> ItemOutcome {
        let current = self.current(item.id());
        let wanted = match &item.write {
            ItemWrite::Upsert(point, _) => point.if_version,
            ItemWrite::Delete(item) => item.if_version,
            ItemWrite::Payload { if_version, .. } => *if_version,
        };
        if wanted.is_some_and(|wanted| wanted != current) {
            return ItemOutcome::VersionMismatch { current };
        }
        if current == 0 && !matches!(item.write, ItemWrite::Upsert(..)) {
            return ItemOutcome::Missing;
        }
        if let Some(at) = item.if_filter {
            let filter = Filter::parse(&batch.filters[at as usize], &FilterLimits::REPLICATED).unwrap();
            if !self.points.get(item.id()).is_some_and(|point| naive::matches(&filter, &point.payload)) {
                return ItemOutcome::FilterMismatch { current };
            }
        }
        match &item.write {
            ItemWrite::Upsert(point, expiry) => {
                let outcome = self.upsert(index, point);
                self.points.get_mut(&point.id).unwrap().expires = match expiry {
                    Expiry::Never => None,
                    Expiry::AfterMs(ms) => Some(now + ms),
                    Expiry::AtMs(at) => Some(*at),
                };
                outcome
            }
            ItemWrite::Delete(item) => self.delete(item),
            ItemWrite::Payload { id, edit, .. } => {
                let point = self.points.get_mut(id).unwrap();
                point.payload = edited(&point.payload, &batch.edits[*edit as usize].change);
                point.version = index;
                ItemOutcome::Applied
            }
        }
    }
}
