//! What a shard must do, written down as plainly as possible.

use std::collections::BTreeMap;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_store::filter::naive;
use vectron_store::{
    Command, DeleteItem, ItemOutcome, Metric, Operation, Outcome, REMEMBERED_BYTES, UpsertPoint, WINDOW_MS,
};

#[derive(Clone, Debug, PartialEq)]
pub struct ModelPoint {
    pub version: u64,
    pub vector: Vec<f32>,
    pub payload: String,
}

#[derive(Clone)]
pub struct Model {
    pub points: BTreeMap<String, ModelPoint>,
    pub sealed: bool,
    log_time_ms: u64,
    keys: Vec<(String, u64, u64, Outcome)>,
    keys_bytes: u64,
    metric: Metric,
}

impl Model {
    pub fn new(metric: Metric, keys_bytes: u64) -> Self {
        Self { points: BTreeMap::new(), sealed: false, log_time_ms: 0, keys: vec![], keys_bytes, metric }
    }

    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        if self.sealed {
            return Outcome::Sealed;
        }
        self.log_time_ms = self.log_time_ms.max(command.log_time_ms);
        let now = self.log_time_ms;
        self.keys.retain(|(_, _, at, _)| at.saturating_add(WINDOW_MS) > now);
        if let Some(wanted) = &command.idempotency
            && let Some((_, hash, _, first)) = self.keys.iter().find(|known| known.0 == wanted.key)
        {
            if *hash != wanted.body_hash {
                return Outcome::KeyReused;
            }
            let Outcome::Written { version, items, deleted, .. } = first.clone() else { panic!() };
            return Outcome::Written { version, items, deleted, replayed: true };
        }
        if command.idempotency.is_some()
            && command.operation != Operation::Seal
            && self.remembered_bytes() >= self.keys_bytes
        {
            return Outcome::WindowFull;
        }
        let mut deleted = 0;
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
            Operation::Seal => {
                self.sealed = true;
                vec![]
            }
        };
        let outcome = Outcome::Written { version: index, items, deleted, replayed: false };
        if let Some(key) = &command.idempotency {
            self.keys.push((key.key.clone(), key.body_hash, now, outcome.clone()));
        }
        outcome
    }

    fn remembered_bytes(&self) -> u64 {
        let bytes = |key: &str, outcome: &Outcome| 2 * key.len() + outcome.encode().len();
        self.keys.iter().map(|(key, _, _, outcome)| REMEMBERED_BYTES + bytes(key, outcome) as u64).sum()
    }

    fn current(&self, id: &str) -> u64 {
        self.points.get(id).map_or(0, |p| p.version)
    }

    fn upsert(&mut self, version: u64, point: &UpsertPoint) -> ItemOutcome {
        let current = self.current(&point.id);
        if point.if_version.is_some_and(|v| v != current) {
            return ItemOutcome::VersionMismatch { current };
        }
        let new = ModelPoint { version, vector: point.vector.clone(), payload: point.payload.clone() };
        self.points.insert(point.id.clone(), new);
        ItemOutcome::Applied
    }

    fn delete(&mut self, item: &DeleteItem) -> ItemOutcome {
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

    pub fn score(&self, query: &[f32], vector: &[f32]) -> f64 {
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
