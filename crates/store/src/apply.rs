//! Applying commands: total, and the same on every replica.

use crate::command::{Command, DeleteItem, Idempotency, Operation, UpsertPoint};
use crate::filter::Matcher;
use crate::idempotency::Remembered;
use crate::matching;
use crate::outcome::{ItemOutcome, Outcome};
use crate::record::Record;
use crate::shard::Shard;
use crate::state::State;
use vectron_base::filter::{Filter, FilterLimits};

impl Shard {
    /// Applies the log entry at `index` and returns its encoded [`Outcome`]. Cannot fail: what makes no sense
    /// is answered `Malformed` and changes nothing but the applied index. An index that was applied already
    /// changes nothing at all.
    pub fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        self.carry_out(index, command).encode()
    }

    /// Counts log entries up to `index` as applied that carry no command for the shard.
    pub fn advance(&self, index: u64) {
        let _applying = self.applying.lock();
        let mut state = self.state.write();
        if state.failure.is_none() {
            state.applied_index = state.applied_index.max(index);
        }
    }

    fn carry_out(&self, index: u64, command: &[u8]) -> Outcome {
        // One command at a time. Only its last step holds the lock that readers wait for.
        let _applying = self.applying.lock();
        let decoded = Command::decode(command).map_err(|e| format!("command {e}"));
        let checked =
            decoded.and_then(|command| match command.problem(self.config.dimension, self.config.metric) {
                None => Ok(command),
                Some(problem) => Err(format!("{}: {}", problem.field, problem.reason)),
            });
        let doomed = match &checked {
            Ok(Command { operation: Operation::DeleteByFilter(text), .. }) => self.matching_ids(text),
            _ => Ok(Vec::new()),
        };
        let mut state = self.state.write();
        if let Err(damage) = &doomed {
            state.failure.get_or_insert_with(|| damage.clone());
        }
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        if index <= state.applied_index {
            return Outcome::Malformed(format!("index {index} was applied before"));
        }
        let outcome = match checked {
            Ok(command) => {
                decide(&mut state, self.config.idempotency_keys, index, command, &doomed.unwrap_or_default())
            }
            Err(reason) => Outcome::Malformed(reason),
        };
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        state.applied_index = index;
        outcome
    }

    /// The ids that a replicated filter matches now. Nothing but a command changes them, and this is the only
    /// command.
    fn matching_ids(&self, text: &str) -> Result<Vec<Box<str>>, crate::Damage> {
        let Ok(filter) = Filter::parse(text, &FilterLimits::REPLICATED) else { return Ok(Vec::new()) };
        let rows = self.state.read().rows.clone();
        let matched = matching::evaluate(&Matcher::new(&filter), &rows)?;
        matched.iter().filter_map(|row| rows.get(row)).map(|slot| Ok(slot.view()?.id.into())).collect()
    }
}

fn decide(state: &mut State, keys: usize, index: u64, command: Command, doomed: &[Box<str>]) -> Outcome {
    if state.sealed {
        return Outcome::Sealed;
    }
    state.log_time_ms = state.log_time_ms.max(command.log_time_ms);
    state.window.expire(state.log_time_ms, keys);
    if let Some(Idempotency { key, body_hash }) = &command.idempotency
        && let Some(first) = state.window.get(key)
    {
        return first_answer(first, *body_hash);
    }
    let outcome = operate(state, index, command.operation, doomed);
    if let Some(Idempotency { key, body_hash }) = command.idempotency {
        let outcome = outcome.encode().into();
        let log_time_ms = state.log_time_ms;
        state.window.insert(Remembered { key: key.into(), body_hash, log_time_ms, outcome });
    }
    outcome
}

fn first_answer(first: &Remembered, body_hash: u64) -> Outcome {
    if first.body_hash != body_hash {
        return Outcome::KeyReused;
    }
    match Outcome::decode(&first.outcome) {
        Ok(Outcome::Written { version, items, deleted, .. }) => {
            Outcome::Written { version, items, deleted, replayed: true }
        }
        Ok(other) => other,
        Err(error) => Outcome::Malformed(format!("the first answer {error}")),
    }
}

fn operate(state: &mut State, index: u64, operation: Operation, doomed: &[Box<str>]) -> Outcome {
    let mut deleted = 0;
    let items = match operation {
        Operation::Upsert(points) => points.into_iter().map(|p| upsert(state, index, p)).collect(),
        Operation::Delete(items) => {
            let items: Vec<_> = items.iter().map(|item| delete(state, item)).collect();
            deleted = items.iter().filter(|item| **item == ItemOutcome::Applied).count() as u64;
            items
        }
        Operation::DeleteByFilter(_) => {
            deleted = doomed.iter().filter(|id| state.remove(id)).count() as u64;
            Vec::new()
        }
        Operation::Seal => {
            state.sealed = true;
            Vec::new()
        }
    };
    Outcome::Written { version: index, items, deleted, replayed: false }
}

fn mismatch(state: &State, id: &str, if_version: Option<u64>) -> Option<ItemOutcome> {
    let current = state.version_of(id);
    (if_version? != current).then_some(ItemOutcome::VersionMismatch { current })
}

fn upsert(state: &mut State, index: u64, point: UpsertPoint) -> ItemOutcome {
    if let Some(refused) = mismatch(state, &point.id, point.if_version) {
        return refused;
    }
    state.upsert(Record {
        id: point.id.into(),
        version: index,
        payload: point.payload.into(),
        vector: point.vector.into(),
    });
    ItemOutcome::Applied
}

fn delete(state: &mut State, item: &DeleteItem) -> ItemOutcome {
    if let Some(refused) = mismatch(state, &item.id, item.if_version) {
        return refused;
    }
    if state.remove(&item.id) { ItemOutcome::Applied } else { ItemOutcome::Missing }
}
