//! Applying commands: total, and the same on every replica.

use crate::Damage;
use crate::command::{Command, DeleteItem, Idempotency, Operation, UpsertPoint};
use crate::fields::{Extractor, Plan};
use crate::idempotency::Remembered;
use crate::matching;
use crate::outcome::{ItemOutcome, Outcome};
use crate::record::{Prepared, Record};
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
        // One command at a time, so that what is found out before the last step still holds in it. Only that step
        // holds the lock that readers wait for.
        let _applying = self.applying.lock();
        let decoded = Command::decode(command).map_err(|e| format!("command {e}"));
        let checked =
            decoded.and_then(|command| match command.problem(self.config.dimension, self.config.metric) {
                None => Ok(command),
                Some(problem) => Err(format!("{}: {}", problem.field, problem.reason)),
            });
        let work = match checked.as_ref().map(|command| self.doomed(index, command)) {
            Ok(Ok(doomed)) => {
                let extractor = self.state.read().fields.extractor();
                checked.map(|command| Work::new(index, command, doomed, extractor.as_deref()))
            }
            Ok(Err(damage)) => {
                let mut state = self.state.write();
                return Outcome::Damaged(state.failure.get_or_insert(damage).to_string());
            }
            Err(reason) => Err(reason.clone()),
        };
        let mut state = self.state.write();
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        if let Some(stale) = stale(&state, index) {
            return stale;
        }
        let limit = self.config.idempotency_bytes;
        let outcome = match work {
            Ok(work) => state.whole("a write", |state| decide(state, limit, index, work)),
            Err(reason) => Outcome::Malformed(reason),
        };
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        state.applied_index = index;
        outcome
    }

    /// The ids that a replicated filter matches now; none for other commands, and none if the command will not
    /// be carried out. Nothing but a command changes them, and this is the only command.
    fn doomed(&self, index: u64, command: &Command) -> Result<Vec<Box<str>>, Damage> {
        let Operation::DeleteByFilter(text) = &command.operation else { return Ok(Vec::new()) };
        let Ok(filter) = Filter::parse(text, &FilterLimits::REPLICATED) else { return Ok(Vec::new()) };
        let (rows, matched, open) = {
            let state = self.state.read();
            let answered = stale(&state, index).or_else(|| {
                let now = state.log_time_ms.max(command.log_time_ms);
                known(&state, self.config.idempotency_bytes, now, command.idempotency.as_ref())
            });
            if answered.is_some() || state.failure.is_some() {
                return Ok(Vec::new());
            }
            let (sure, open) = Plan::new(&state.fields, &filter).answer();
            (state.rows.clone(), sure, open)
        };
        let matched = matching::look(&filter, &rows, matched, &open)?;
        matched.iter().filter_map(|row| rows.get(row)).map(|slot| Ok(slot.view()?.id.into())).collect()
    }
}

/// A command with all that could be computed before the lock was taken.
struct Work {
    log_time_ms: u64,
    idempotency: Option<Idempotency>,
    change: Change,
}

enum Change {
    /// Points with the versions they must have.
    Upsert(Vec<(Prepared, Option<u64>)>),
    Delete(Vec<DeleteItem>),
    /// What the filter matches.
    DeleteAll(Vec<Box<str>>),
    Seal,
}

impl Work {
    fn new(index: u64, command: Command, doomed: Vec<Box<str>>, extractor: Option<&Extractor>) -> Self {
        let change = match command.operation {
            Operation::Upsert(points) => {
                Change::Upsert(points.into_iter().map(|p| prepare(index, p, extractor)).collect())
            }
            Operation::Delete(items) => Change::Delete(items),
            Operation::DeleteByFilter(_) => Change::DeleteAll(doomed),
            Operation::Seal => Change::Seal,
        };
        Self { log_time_ms: command.log_time_ms, idempotency: command.idempotency, change }
    }
}

fn prepare(index: u64, point: UpsertPoint, extractor: Option<&Extractor>) -> (Prepared, Option<u64>) {
    let record = Record {
        id: point.id.into(),
        version: index,
        payload: point.payload.into(),
        vector: point.vector.into(),
    };
    (Prepared::new(record, extractor), point.if_version)
}

fn stale(state: &State, index: u64) -> Option<Outcome> {
    (index <= state.applied_index).then(|| Outcome::Malformed(format!("index {index} was applied before")))
}

/// What a command is answered without being carried out, at log time `now`.
fn known(state: &State, limit: u64, now: u64, idempotency: Option<&Idempotency>) -> Option<Outcome> {
    if state.sealed {
        return Some(Outcome::Sealed);
    }
    let Idempotency { key, body_hash } = idempotency?;
    match state.window.get(key, now) {
        Some(first) => Some(first_answer(first, *body_hash)),
        None => state.window.full(now, limit).then_some(Outcome::WindowFull),
    }
}

fn decide(state: &mut State, limit: u64, index: u64, work: Work) -> Outcome {
    if state.sealed {
        return Outcome::Sealed;
    }
    state.log_time_ms = state.log_time_ms.max(work.log_time_ms);
    state.window.expire(state.log_time_ms);
    match known(state, limit, state.log_time_ms, work.idempotency.as_ref()) {
        // A shard can be sealed whatever it remembers: nobody will ask for the key again.
        Some(Outcome::WindowFull) if matches!(work.change, Change::Seal) => {}
        Some(outcome) => return outcome,
        None => {}
    }
    let outcome = operate(state, index, work.change);
    if let Some(Idempotency { key, body_hash }) = work.idempotency {
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

fn operate(state: &mut State, index: u64, change: Change) -> Outcome {
    let mut deleted = 0;
    let items = match change {
        Change::Upsert(points) => points.into_iter().map(|(p, wanted)| upsert(state, p, wanted)).collect(),
        Change::Delete(items) => {
            let items: Vec<_> = items.iter().map(|item| delete(state, item)).collect();
            deleted = items.iter().filter(|item| **item == ItemOutcome::Applied).count() as u64;
            items
        }
        Change::DeleteAll(doomed) => {
            deleted = doomed.iter().filter(|id| state.remove(id)).count() as u64;
            Vec::new()
        }
        Change::Seal => {
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

fn upsert(state: &mut State, point: Prepared, if_version: Option<u64>) -> ItemOutcome {
    if let Some(refused) = mismatch(state, &point.record.id, if_version) {
        return refused;
    }
    state.upsert(point);
    ItemOutcome::Applied
}

fn delete(state: &mut State, item: &DeleteItem) -> ItemOutcome {
    if let Some(refused) = mismatch(state, &item.id, item.if_version) {
        return refused;
    }
    if state.remove(&item.id) { ItemOutcome::Applied } else { ItemOutcome::Missing }
}
