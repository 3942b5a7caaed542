//! Applying commands: total, and the same on every replica.

use crate::Damage;
use crate::command::{Command, DeleteItem, Idempotency, Operation, UpsertPoint};
use crate::fields::{Extractor, Plan};
use crate::idempotency::Remembered;
use crate::matching;
use crate::outcome::{ItemOutcome, Outcome};
use crate::planned::Planned;
use crate::range::HashRange;
use crate::record::{Prepared, Record};
use crate::removals::{Removal, RemovalCause};
use crate::scrub::Mark;
use crate::shard::Shard;
use crate::state::State;
use crate::vectors::schema::Schema;
use std::collections::BTreeMap;
use vectron_base::filter::{Filter, FilterLimits};
use vectron_base::ids::hash_of_id;

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
        let checked = decoded.and_then(|command| match command.problem_with(&self.schema) {
            None => Ok(command),
            Some(problem) => Err(format!("{}: {}", problem.field, problem.reason)),
        });
        let work = match checked.map(|command| self.foresee(index, command)) {
            Ok(Ok(work)) => Ok(work),
            Ok(Err(damage)) => {
                let mut state = self.state.write();
                return Outcome::Damaged(state.failure.get_or_insert(damage).to_string());
            }
            Err(reason) => Err(reason),
        };
        let forked = !self.forked.lock().is_empty();
        let touched = work.as_ref().ok().filter(|_| forked).map(|work| self.touched(work));
        let outcome = self.change(index, work);
        if let Some(touched) = touched {
            self.mirror(&touched);
        }
        outcome
    }

    /// The last step of an apply: the one that changes the state.
    fn change(&self, index: u64, work: Result<Work, String>) -> Outcome {
        let mut state = self.state.write();
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        if let Some(stale) = stale(&state, index) {
            return stale;
        }
        let limit = self.config.idempotency_bytes;
        let outcome = match work {
            Ok(work) => state.whole("a write", |state| self.decide(state, limit, index, work)),
            Err(reason) => Outcome::Malformed(reason),
        };
        if let Some(damage) = &state.failure {
            return Outcome::Damaged(damage.to_string());
        }
        state.applied_index = index;
        outcome
    }

    /// All that can be found out about a command before readers are held up.
    fn foresee(&self, index: u64, command: Command) -> Result<Work, Damage> {
        let (extractor, range, now, idle) = {
            let state = self.state.read();
            let now = state.log_time_ms.max(command.log_time_ms);
            let limit = self.config.idempotency_bytes;
            let answered = || known(&state, limit, now, command.idempotency.as_ref(), &[]);
            let idle = stale(&state, index).or_else(answered).is_some() || state.failure.is_some();
            (state.fields.extractor(), state.range, now, idle)
        };
        let doomed = self.doomed(index, &command)?;
        let hashes = hashes(&command, range);
        let extractor = extractor.as_deref();
        let change = match command.operation {
            // It will not be carried out: nothing is read for it.
            Operation::Batch(_) | Operation::EditByFilter(..) if idle => Change::Tick,
            Operation::Batch(batch) => Change::Batch(self.plan_batch(index, now, batch, extractor)?),
            Operation::EditByFilter(_, edit) => {
                let (planned, outcome) = self.plan_edit(index, now, doomed, &edit, extractor)?;
                Change::Edit(planned, outcome)
            }
            Operation::Upsert(points) => {
                let with = (&*self.schema, extractor);
                Change::Upsert(points.into_iter().map(|p| prepare(index, p, with)).collect())
            }
            Operation::Delete(items) => Change::Delete(items),
            Operation::DeleteByFilter(_) => Change::DeleteAll(doomed),
            Operation::Seal => Change::Seal,
            Operation::Mark => Change::Mark,
            Operation::Tick => Change::Tick,
            Operation::Split { first, child } => Change::Split { first, child, doomed },
        };
        let Command { log_time_ms, idempotency, range, .. } = command;
        Ok(Work { log_time_ms, idempotency, range, hashes, change })
    }

    /// The ids that a replicated filter matches now, or that a split gives up; none for other commands, and none if
    /// the command will not be carried out. Nothing but a command changes them, and this is the only command.
    fn doomed(&self, index: u64, command: &Command) -> Result<Vec<Box<str>>, Damage> {
        let text = match &command.operation {
            Operation::DeleteByFilter(text) | Operation::EditByFilter(text, _) => text,
            Operation::Split { first, .. } => return Ok(self.upper_part(index, *first)),
            _ => return Ok(Vec::new()),
        };
        let Ok(filter) = Filter::parse(text, &FilterLimits::REPLICATED) else { return Ok(Vec::new()) };
        let (rows, matched, open) = {
            let state = self.state.read();
            let answered = stale(&state, index).or_else(|| {
                let now = state.log_time_ms.max(command.log_time_ms);
                known(&state, self.config.idempotency_bytes, now, command.idempotency.as_ref(), &[])
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

    /// The ids that are given up if the shard is split at `first`.
    fn upper_part(&self, index: u64, first: u64) -> Vec<Box<str>> {
        let state = self.state.read_long();
        if stale(&state, index).is_some() || state.sealed || !state.range.splits_at(first) {
            return Vec::new();
        }
        state.ids.keys().filter(|id| hash_of_id(id) >= first).cloned().collect()
    }

    fn decide(&self, state: &mut State, limit: u64, index: u64, work: Work) -> Outcome {
        if state.sealed {
            return Outcome::Sealed;
        }
        if matches!(work.change, Change::Mark) {
            // Not even log time moves: a mark is no part of the state.
            state.marks.push(Mark { index, digest: state.digest() });
            return Outcome::Written { version: index, items: Vec::new(), deleted: 0, replayed: false };
        }
        state.log_time_ms = state.log_time_ms.max(work.log_time_ms);
        state.window.expire(state.log_time_ms);
        self.expire(state, index);
        match known(state, limit, state.log_time_ms, work.idempotency.as_ref(), &work.hashes) {
            // A shard can be sealed whatever it remembers: nobody will ask for the key again.
            Some(Outcome::WindowFull) if matches!(work.change, Change::Seal) => {}
            Some(outcome) => return outcome,
            None => {}
        }
        if work.range.is_some_and(|range| !state.range.covers(&range))
            || state.range != HashRange::ALL && !work.hashes.iter().all(|hash| state.range.contains(*hash))
        {
            return Outcome::OutOfRange;
        }
        let outcome = match work.change {
            Change::Split { first, .. } if !state.range.splits_at(first) => return Outcome::OutOfRange,
            Change::Split { first, child, doomed } => {
                self.keep_aside(state, (index, child), first, &doomed);
                split(state, index, first, &doomed)
            }
            change => self.operate(state, index, change),
        };
        // What was written with a time that has passed already.
        self.expire(state, index);
        if let Some(Idempotency { key, body_hash }) = work.idempotency {
            let mixed = matches!(&outcome, Outcome::Written { items, .. } if mixed(items));
            let items = if mixed { work.hashes.into() } else { Box::default() };
            let outcome = outcome.encode().into();
            let log_time_ms = state.log_time_ms;
            state.window.insert(Remembered { key: key.into(), body_hash, log_time_ms, outcome, items });
        }
        outcome
    }
}

/// A command with all that could be computed before the lock was taken.
struct Work {
    log_time_ms: u64,
    idempotency: Option<Idempotency>,
    range: Option<HashRange>,
    /// Hashes of the ids that the command names, if they may count.
    hashes: Vec<u64>,
    change: Change,
}

enum Change {
    /// Points with the versions they must have.
    Upsert(Vec<(Prepared, Option<u64>)>),
    Delete(Vec<DeleteItem>),
    /// What the filter matches.
    DeleteAll(Vec<Box<str>>),
    /// Decided item by item.
    Batch(Planned),
    /// The same, with the answer.
    Edit(Planned, Outcome),
    Seal,
    Mark,
    Tick,
    /// With the ids that are given up.
    Split {
        first: u64,
        child: u64,
        doomed: Vec<Box<str>>,
    },
}

/// The ids whose points a command may have changed.
pub(crate) struct Touched(Vec<Box<str>>);

impl Shard {
    fn touched(&self, work: &Work) -> Touched {
        let mut ids = {
            let state = self.state.read();
            state.expiries.due(state.log_time_ms.max(work.log_time_ms))
        };
        match &work.change {
            Change::Upsert(points) => ids.extend(points.iter().map(|(point, _)| point.record.id.clone())),
            Change::Delete(items) => ids.extend(items.iter().map(|item| item.id.as_str().into())),
            Change::DeleteAll(doomed) => ids.extend_from_slice(doomed),
            Change::Batch(planned) | Change::Edit(planned, _) => {
                ids.extend(planned.puts.iter().map(|point| point.record.id.clone()));
                ids.extend_from_slice(&planned.gone);
            }
            Change::Seal | Change::Mark | Change::Tick | Change::Split { .. } => {}
        }
        Touched(ids)
    }
}

impl Touched {
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|id| &**id)
    }
}

/// Hashes of the ids that a command names, if they may count.
fn hashes(command: &Command, range: HashRange) -> Vec<u64> {
    match &command.operation {
        _ if range == HashRange::ALL && command.idempotency.is_none() => Vec::new(),
        Operation::Upsert(points) => points.iter().map(|point| hash_of_id(&point.id)).collect(),
        Operation::Delete(items) => items.iter().map(|item| hash_of_id(&item.id)).collect(),
        Operation::Batch(batch) => batch.items.iter().map(|item| hash_of_id(item.id())).collect(),
        _ => Vec::new(),
    }
}

fn prepare(
    index: u64,
    point: UpsertPoint,
    (schema, extractor): (&Schema, Option<&Extractor>),
) -> (Prepared, Option<u64>) {
    let record = Record {
        id: point.id.into(),
        version: index,
        payload: point.payload.into(),
        expires_at_ms: None,
        values: schema.numbered(point.vector),
        plain: schema.plain().is_some(),
    };
    (Prepared::new(record, extractor), point.if_version)
}

fn stale(state: &State, index: u64) -> Option<Outcome> {
    (index <= state.applied_index).then(|| Outcome::Malformed(format!("index {index} was applied before")))
}

/// What a command is answered without being carried out, at log time `now`.
fn known(
    state: &State,
    limit: u64,
    now: u64,
    idempotency: Option<&Idempotency>,
    hashes: &[u64],
) -> Option<Outcome> {
    if state.sealed {
        return Some(Outcome::Sealed);
    }
    let Idempotency { key, body_hash } = idempotency?;
    match state.window.get(key, now) {
        Some(first) => Some(first_answer(first, *body_hash, hashes)),
        None => state.window.full(now, limit).then_some(Outcome::WindowFull),
    }
}

fn first_answer(first: &Remembered, body_hash: u64, hashes: &[u64]) -> Outcome {
    if first.body_hash != body_hash {
        return Outcome::KeyReused;
    }
    match Outcome::decode(&first.outcome) {
        Ok(Outcome::Written { version, items, deleted, .. }) => match part_of(&items, &first.items, hashes) {
            Some(part) => {
                let applied = part.iter().filter(|item| **item == ItemOutcome::Applied).count() as u64;
                let deleted = if deleted > 0 { applied } else { 0 };
                Outcome::Written { version, items: part, deleted, replayed: true }
            }
            None => Outcome::Written { version, items, deleted, replayed: true },
        },
        Ok(Outcome::Edited { version, updated, refused, refused_more, .. }) => {
            Outcome::Edited { version, updated, refused, refused_more, replayed: true }
        }
        Ok(other) => other,
        Err(error) => Outcome::Malformed(format!("the first answer {error}")),
    }
}

/// What became of those items that a retry names, if it names fewer than the first time: the shard was split in
/// between, and the rest of the batch goes to the other part.
fn part_of(items: &[ItemOutcome], known: &[u64], asked: &[u64]) -> Option<Vec<ItemOutcome>> {
    if asked.is_empty() || asked.len() >= items.len() {
        return None;
    }
    match items.first() {
        Some(item) if !mixed(items) => Some(vec![*item; asked.len()]),
        _ => {
            // A batch may name an id more than once: the second time asks for its second outcome.
            let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
            let mut nth = |hash: u64| {
                let from = seen.get(&hash).map_or(0, |at| at + 1);
                let at = from + known.get(from..)?.iter().position(|known| *known == hash)?;
                seen.insert(hash, at);
                items.get(at).copied()
            };
            asked.iter().map(|hash| nth(*hash)).collect()
        }
    }
}

/// Whether not all are the same.
fn mixed(items: &[ItemOutcome]) -> bool {
    items.windows(2).any(|pair| pair[0] != pair[1])
}

/// Gives up the upper part.
fn split(state: &mut State, index: u64, first: u64, doomed: &[Box<str>]) -> Outcome {
    state.range.last = first.saturating_sub(1);
    state.child_waits = true;
    let deleted = state.remove_all(doomed);
    Outcome::Written { version: index, items: Vec::new(), deleted, replayed: false }
}

/// Removes points and remembers how they went; how many were there.
fn remove(state: &mut State, ids: &[Box<str>], removal: Removal, limit: u64) -> u64 {
    let live: Vec<Box<str>> = ids.iter().filter(|id| state.ids.contains_key(*id)).cloned().collect();
    state.removals.note(live.iter(), removal, limit);
    state.remove_all(&live)
}

impl Shard {
    /// Removes every point whose time has come.
    fn expire(&self, state: &mut State, index: u64) {
        let due = state.expiries.due(state.log_time_ms);
        if !due.is_empty() {
            self.remove_noted(state, index, &due, RemovalCause::Expired);
        }
    }

    fn remove_noted(&self, state: &mut State, index: u64, ids: &[Box<str>], cause: RemovalCause) -> u64 {
        let removal = Removal { version: index, log_time_ms: state.log_time_ms, cause };
        remove(state, ids, removal, self.config.knobs.removals_bytes)
    }

    fn operate(&self, state: &mut State, index: u64, change: Change) -> Outcome {
        let mut deleted = 0;
        let items = match change {
            Change::Upsert(points) => {
                points.into_iter().map(|(p, wanted)| upsert(state, p, wanted)).collect()
            }
            Change::Delete(items) => {
                let items: Vec<_> = items.iter().map(|item| self.delete(state, index, item)).collect();
                deleted = items.iter().filter(|item| **item == ItemOutcome::Applied).count() as u64;
                items
            }
            Change::DeleteAll(doomed) => {
                deleted = self.remove_noted(state, index, &doomed, RemovalCause::Deleted);
                Vec::new()
            }
            Change::Batch(planned) => self.carry(state, index, planned),
            Change::Edit(planned, outcome) => {
                self.carry(state, index, planned);
                return outcome;
            }
            Change::Seal => {
                state.sealed = true;
                Vec::new()
            }
            // Decided before, or done: log time has moved.
            Change::Mark | Change::Split { .. } | Change::Tick => Vec::new(),
        };
        Outcome::Written { version: index, items, deleted, replayed: false }
    }

    /// Does what was decided.
    fn carry(&self, state: &mut State, index: u64, planned: Planned) -> Vec<ItemOutcome> {
        self.remove_noted(state, index, &planned.gone, RemovalCause::Deleted);
        planned.puts.into_iter().for_each(|point| state.upsert(point));
        planned.items
    }

    fn delete(&self, state: &mut State, index: u64, item: &DeleteItem) -> ItemOutcome {
        if let Some(refused) = mismatch(state, &item.id, item.if_version) {
            return refused;
        }
        match self.remove_noted(state, index, &[item.id.as_str().into()], RemovalCause::Deleted) {
            0 => ItemOutcome::Missing,
            _ => ItemOutcome::Applied,
        }
    }
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
