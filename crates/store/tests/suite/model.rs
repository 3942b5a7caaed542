//! What a shard must do, written down as plainly as possible.

use crate::model_batch::edited;
use std::collections::BTreeMap;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_base::ids::hash_of_id;
use vectron_store::filter::naive;
use vectron_store::{
    Command, DeleteItem, FieldValue, ItemOutcome, Metric, Operation, Outcome, PointVectors, Query,
    REMEMBERED_BYTES, UpsertPoint, WINDOW_MS,
};

#[derive(Clone, Debug, PartialEq)]
pub struct ModelPoint {
    pub version: u64,
    pub vector: PointVectors,
    pub payload: String,
    pub expires: Option<u64>,
}

/// A write that is remembered, with the ids that it named.
#[derive(Clone)]
struct Remembered {
    key: String,
    body_hash: u64,
    at: u64,
    first: Outcome,
    ids: Vec<String>,
}

#[derive(Clone)]
pub struct Model {
    pub points: BTreeMap<String, ModelPoint>,
    pub sealed: bool,
    log_time_ms: u64,
    keys: Vec<Remembered>,
    /// First and last hash of the ids that it takes.
    pub range: (u64, u64),
    keys_bytes: u64,
    metric: Metric,
}

impl Remembered {
    /// The part of the answer that is about fewer ids than the first time.
    fn part(&self, ids: &[String]) -> Option<(Vec<ItemOutcome>, u64)> {
        let Outcome::Written { items, deleted, .. } = &self.first else { return None };
        if ids.is_empty() || ids.len() >= items.len() {
            return None;
        }
        let same = items.iter().all(|item| *item == items[0]);
        let of = |id: &String| {
            if same { Some(items[0]) } else { Some(items[self.ids.iter().position(|known| known == id)?]) }
        };
        let part = ids.iter().map(of).collect::<Option<Vec<_>>>()?;
        let applied = part.iter().filter(|item| **item == ItemOutcome::Applied).count() as u64;
        Some((part, if *deleted > 0 { applied } else { 0 }))
    }
}

impl Model {
    pub fn new(metric: Metric, keys_bytes: u64) -> Self {
        Self {
            points: BTreeMap::new(),
            sealed: false,
            log_time_ms: 0,
            keys: vec![],
            range: (0, u64::MAX),
            keys_bytes,
            metric,
        }
    }

    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        if self.sealed {
            return Outcome::Sealed;
        }
        if command.operation == Operation::Mark {
            return Outcome::Written { version: index, items: vec![], deleted: 0, replayed: false };
        }
        self.log_time_ms = self.log_time_ms.max(command.log_time_ms);
        let now = self.log_time_ms;
        self.keys.retain(|known| known.at.saturating_add(WINDOW_MS) > now);
        self.expire();
        let ids: Vec<String> = match &command.operation {
            Operation::Upsert(points) => points.iter().map(|p| p.id.clone()).collect(),
            Operation::Delete(items) => items.iter().map(|item| item.id.clone()).collect(),
            Operation::Batch(batch) => batch.items.iter().map(|item| item.id().to_string()).collect(),
            _ => vec![],
        };
        if let Some(wanted) = &command.idempotency
            && let Some(known) = self.keys.iter().find(|known| known.key == wanted.key)
        {
            if known.body_hash != wanted.body_hash {
                return Outcome::KeyReused;
            }
            if let Outcome::Edited { version, updated, refused, refused_more, .. } = known.first.clone() {
                return Outcome::Edited { version, updated, refused, refused_more, replayed: true };
            }
            let Outcome::Written { version, items, deleted, .. } = known.first.clone() else { panic!() };
            let (items, deleted) = known.part(&ids).unwrap_or((items, deleted));
            return Outcome::Written { version, items, deleted, replayed: true };
        }
        if command.idempotency.is_some()
            && command.operation != Operation::Seal
            && self.remembered_bytes() >= self.keys_bytes
        {
            return Outcome::WindowFull;
        }
        let takes = |hash: u64| self.range.0 <= hash && hash <= self.range.1;
        let beyond = command.range.is_some_and(|range| !takes(range.first) || !takes(range.last));
        if beyond || !ids.iter().all(|id| takes(hash_of_id(id))) {
            return Outcome::OutOfRange;
        }
        let mut deleted = 0;
        let mut edits = None;
        let items = match &command.operation {
            Operation::Upsert(points) => points.iter().map(|p| self.upsert(index, p)).collect(),
            Operation::Delete(items) => {
                let items: Vec<_> = items.iter().map(|item| self.delete(item)).collect();
                deleted = items.iter().filter(|i| **i == ItemOutcome::Applied).count() as u64;
                items
            }
            Operation::DeleteByFilter(text) => {
                let filter = Filter::parse(text, &FilterLimits::REPLICATED).unwrap();
                let before = self.points.len();
                self.points.retain(|_, point| !naive::matches(&filter, &point.payload));
                deleted = (before - self.points.len()) as u64;
                vec![]
            }
            Operation::Batch(batch) => {
                batch.items.iter().map(|item| self.item(index, now, batch, item)).collect()
            }
            Operation::EditByFilter(text, edit) => {
                let filter = Filter::parse(text, &FilterLimits::REPLICATED).unwrap();
                let matching = |point: &&mut ModelPoint| naive::matches(&filter, &point.payload);
                let mut updated = 0;
                for point in self.points.values_mut().filter(matching) {
                    point.payload = edited(&point.payload, &edit.change);
                    point.version = index;
                    updated += 1;
                }
                edits = Some(updated);
                vec![]
            }
            Operation::Tick => vec![],
            Operation::Seal => {
                self.sealed = true;
                vec![]
            }
            Operation::Mark => unreachable!("answered above"),
            Operation::Split { first, .. } => {
                if *first <= self.range.0 || *first > self.range.1 {
                    return Outcome::OutOfRange;
                }
                self.range.1 = first - 1;
                let before = self.points.len();
                self.points.retain(|id, _| hash_of_id(id) < *first);
                deleted = (before - self.points.len()) as u64;
                vec![]
            }
        };
        self.expire();
        let (version, replayed) = (index, false);
        let outcome = match edits {
            Some(updated) => Outcome::Edited { version, updated, refused: vec![], refused_more: 0, replayed },
            None => Outcome::Written { version, items, deleted, replayed },
        };
        if let Some(key) = &command.idempotency {
            self.keys.push(Remembered {
                key: key.key.clone(),
                body_hash: key.body_hash,
                at: now,
                first: outcome.clone(),
                ids,
            });
        }
        outcome
    }

    /// The shard that takes what a split at `first` gives up, before it is given up.
    pub fn child(&self, first: u64) -> Model {
        let mut child = self.clone();
        child.range.0 = first;
        child.points.retain(|id, _| hash_of_id(id) >= first);
        for known in &mut child.keys {
            match &mut known.first {
                Outcome::Written { items, deleted, .. } if items.is_empty() => *deleted = 0,
                Outcome::Edited { updated, .. } => *updated = 0,
                _ => {}
            }
        }
        child
    }

    fn remembered_bytes(&self) -> u64 {
        let bytes = |known: &Remembered| {
            let items = match &known.first {
                Outcome::Written { items, .. } => &items[..],
                _ => &[],
            };
            let mixed = items.iter().any(|item| *item != items[0]);
            let items = if mixed { 8 * items.len() } else { 0 };
            (2 * known.key.len() + known.first.encode().len() + items) as u64
        };
        self.keys.iter().map(|known| REMEMBERED_BYTES + bytes(known)).sum()
    }

    /// Log time moves.
    pub fn pass(&mut self, log_time_ms: u64) {
        self.log_time_ms = self.log_time_ms.max(log_time_ms);
        self.expire();
    }

    fn expire(&mut self) {
        let now = self.log_time_ms;
        self.points.retain(|_, point| point.expires.is_none_or(|at| at > now));
    }

    pub fn current(&self, id: &str) -> u64 {
        self.points.get(id).map_or(0, |p| p.version)
    }

    pub fn upsert(&mut self, version: u64, point: &UpsertPoint) -> ItemOutcome {
        let current = self.current(&point.id);
        if point.if_version.is_some_and(|v| v != current) {
            return ItemOutcome::VersionMismatch { current };
        }
        let new = ModelPoint {
            version,
            vector: point.vector.clone(),
            payload: point.payload.clone(),
            expires: None,
        };
        self.points.insert(point.id.clone(), new);
        ItemOutcome::Applied
    }

    pub fn delete(&mut self, item: &DeleteItem) -> ItemOutcome {
        let current = self.current(&item.id);
        if item.if_version.is_some_and(|v| v != current) {
            return ItemOutcome::VersionMismatch { current };
        }
        if self.points.remove(&item.id).is_some() { ItemOutcome::Applied } else { ItemOutcome::Missing }
    }

    pub fn matching(&self, filter: Option<&Filter>) -> Vec<(&String, &ModelPoint)> {
        let passes = |p: &ModelPoint| filter.is_none_or(|f| naive::matches(f, &p.payload));
        self.points.iter().filter(|(_, p)| passes(p)).collect()
    }

    /// A point's score; `None` if the query does not find it at all.
    pub fn score(&self, query: &Query, point: &PointVectors) -> Option<f64> {
        match (query, point.get(query.field())?) {
            (Query::Dense { vector, .. }, FieldValue::Dense(own)) => Some(self.similarity(vector, own)),
            (Query::Sparse { vector, .. }, FieldValue::Sparse(own)) => {
                let own: BTreeMap<u32, f32> = own.iter().collect();
                let shared =
                    vector.iter().filter_map(|(at, x)| Some(f64::from(x) * f64::from(*own.get(&at)?)));
                shared.reduce(|a, b| a + b)
            }
            (Query::Multi { vectors, .. }, FieldValue::Multi(own)) => {
                let best =
                    |asked: &[f32]| own.iter().map(|v| self.similarity(asked, v)).fold(f64::MIN, f64::max);
                Some(vectors.iter().map(best).sum())
            }
            _ => panic!("{query:?} {point:?}"),
        }
    }

    fn similarity(&self, query: &[f32], vector: &[f32]) -> f64 {
        let pairs = || query.iter().zip(vector).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        match self.metric {
            Metric::Dot => dot,
            Metric::Euclidean => -pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
            Metric::Cosine => {
                let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                let norms = norm(query) * norm(vector);
                if norms == 0.0 { 0.0 } else { dot / norms }
            }
        }
    }
}
