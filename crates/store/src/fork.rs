//! Splitting a shard while it serves: the upper part of its range becomes a shard of its own.
//!
//! ```text
//! fork ─→ child, empty ─ fork_step ─→ points in id order ─┐
//!                          apply ───→ what it changed ────┴→ child ─ index_step ─→ graph, segments
//! Operation::Split at index s ─→ parent without the upper part, child with what was left to copy, at s
//! take_child ─→ the child's checkpoint at s ─→ a shard like any other
//! ```
//! Points are copied in id order, a few at a time, each batch with no command under way; behind the place where the
//! copy is, every apply brings to the child what it did to the child's ids. So the child has no decisions to make and
//! no cut of the parent is ever copied at once, and it is never older than the parent behind that place.
//!
//! The split itself is a command: whatever the child's state on a replica, the parent gives up the same points at the
//! same index. What was not copied by then is kept aside (pointers to records), with what the child inherits besides:
//! log time and remembered writes. So the split does not depend on the fork: a replica that had none makes one
//! afterwards, of what was kept aside, or gets the child from a peer.
//!
//! Until the child is durable at `s`, or known to be with others, the parent makes no checkpoint: after a crash its
//! log leads over the split again, and nothing is lost although all replicas crash. A child that is not whole yet is
//! marked as such in its own manifest, and is no shard to who opens it.

use crate::apply::Touched;
use crate::checkpoint::CheckpointError;
use crate::damage::{Damage, Refusal};
use crate::idempotency::Window;
use crate::manifest::{MANIFEST, Manifest};
use crate::open::OpenError;
use crate::range::HashRange;
use crate::record::{Prepared, Record};
use crate::rows::{Place, Slot};
use crate::shard::Shard;
use crate::state::State;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use vectron_base::disk::{Disk, DiskError, DiskFailure};
use vectron_base::ids::hash_of_id;

/// Ids looked at per batch of a copy: no command is applied while one is handed over.
const BATCH: usize = 256;
/// Batches per step.
const BATCHES: usize = 8;
/// A child is ready when no more of its points wait for the graph: about what a busy shard has waiting.
const READY_PENDING: u64 = 1024;

/// Why there is no fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The range cannot be cut there: one part would have nothing, or it was cut already.
    #[error("{first:#x} does not cut the range {range:?}")]
    OutOfRange {
        /// The child's first hash.
        first: u64,
        /// The shard's range.
        range: HashRange,
    },
    /// Another fork is under way.
    #[error("another fork of the shard is under way")]
    Busy,
    /// The directory holds a whole shard: the child of an earlier life, it seems.
    #[error("{0} holds a shard already")]
    Occupied(String),
    /// The shard is sealed or damaged.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The child's empty directory does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How far a fork is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkStatus {
    /// The child's first hash.
    pub first: u64,
    /// Points in the child.
    pub points: u64,
    /// Points that the child must index yet.
    pub pending: u64,
    /// Whether the child has all of its points.
    pub copied: bool,
    /// Whether the split can be proposed: the child has its points, and few of them wait for the graph.
    pub ready: bool,
    /// The index of the split and the number that it has for the child, if it was applied.
    pub cut: Option<(u64, u64)>,
}

/// A fork under way, or what the split left of the upper part.
pub(crate) struct Fork {
    first: u64,
    child: Option<Arc<Shard>>,
    copied: Copied,
    cut: Option<Cut>,
    /// After the cut: points that the child has not got, in id order.
    aside: BTreeMap<Box<str>, Slot>,
}

/// Points to be copied.
struct Batch {
    points: Vec<(Box<str>, Slot)>,
    /// The id that they go up to; `None`: these are the last.
    upto: Option<Box<str>>,
}

/// The place of the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Copied {
    /// Ids up to this one.
    Upto(Option<Box<str>>),
    All,
}

/// What a child begins with besides its points.
struct Cut {
    index: u64,
    /// What the split calls the child.
    number: u64,
    log_time_ms: u64,
    range: HashRange,
    window: Window,
}

impl Fork {
    fn new(first: u64) -> Fork {
        Fork { first, child: None, copied: Copied::Upto(None), cut: None, aside: BTreeMap::new() }
    }

    fn status(&self) -> ForkStatus {
        let copied = self.copied == Copied::All;
        let (points, pending) = match &self.child {
            Some(child) => (child.state.read().ids.len() as u64, child.pending()),
            None => (0, 0),
        };
        ForkStatus {
            first: self.first,
            points,
            pending,
            copied,
            ready: copied && self.child.is_some() && pending <= READY_PENDING,
            cut: self.cut.as_ref().map(|cut| (cut.index, cut.number)),
        }
    }

    /// Whether the child has this id's point, or would have it.
    fn mirrors(&self, id: &str) -> bool {
        let behind = match &self.copied {
            Copied::All => true,
            Copied::Upto(last) => last.as_deref().is_some_and(|last| id <= last),
        };
        behind && self.cut.is_none() && hash_of_id(id) >= self.first
    }
}

/// A record for the child, of the parent's.
fn prepared(slot: &Slot, child: &Shard) -> Result<Prepared, Damage> {
    let record = match &slot.place {
        Place::Memory(record) => record.clone(),
        Place::Stored(..) => {
            let view = slot.view()?;
            let values = view.values(&child.schema).map_err(|e| slot.damage(e))?;
            let (id, payload, plain) = (view.id.into(), view.payload.into(), child.schema.plain().is_some());
            let expires_at_ms = view.expires_at_ms;
            Arc::new(Record { id, version: view.version, payload, expires_at_ms, values, plain })
        }
    };
    let extractor = child.state.read().fields.extractor();
    Ok(Prepared::of_slot(record, slot, extractor.as_deref()))
}

impl Shard {
    /// Begins to build the shard that takes the ids whose hash is `first` or more, in `dir`, which is emptied. Of the
    /// child that is returned only the steps in the background are to be called, [`Shard::index_step`],
    /// [`Shard::checkpoint`] when it is due, and [`Shard::set_field_indexes`]; it serves after
    /// [`Shard::take_child`]. The copy is made by [`Shard::fork_step`]. A fork that is under way with the same
    /// `first` is returned again; of those before their split there is one at a time. After the split was applied without a fork, this begins one of what was kept aside.
    pub fn fork(&self, disk: Arc<dyn Disk>, dir: &str, first: u64) -> Result<Arc<Shard>, ForkError> {
        // The disk is waited for with no command held up.
        let _alone = self.forking.lock();
        if let Some(child) = self.may_fork(first)? {
            return Ok(child);
        }
        match disk.read(&format!("{dir}/{MANIFEST}")) {
            Ok(bytes) if Manifest::decode(&bytes).is_ok_and(|manifest| !manifest.provisional) => {
                return Err(ForkError::Occupied(dir.into()));
            }
            Err(error) if error.failure != DiskFailure::NotFound => return Err(error.into()),
            _ => {}
        }
        disk.remove_dir(dir)?;
        let child = Arc::new(Shard::open(disk, dir, self.config.clone())?);
        child.state.write().provisional = true;
        // So that there is never a manifest here that says nothing of it: not even the one before the first files.
        child.checkpoint().map_err(|error| match error {
            CheckpointError::Disk(error) => ForkError::Disk(error),
            CheckpointError::Damaged(damage) => ForkError::Refused(damage.into()),
        })?;
        let _applying = self.applying.lock();
        _ = self.may_fork(first)?;
        let mut forks = self.forked.lock();
        let at = forks.iter().position(|fork| fork.first == first);
        let mut fork = at.map_or_else(|| Fork::new(first), |at| forks.remove(at));
        fork.child = Some(child.clone());
        forks.push(fork);
        Ok(child)
    }

    /// Refuses a fork that cannot be; the child if there is one.
    fn may_fork(&self, first: u64) -> Result<Option<Arc<Shard>>, ForkError> {
        {
            let forks = self.forked.lock();
            if let Some(fork) = forks.iter().find(|fork| fork.first == first) {
                return Ok(fork.child.clone());
            }
            if forks.iter().any(|fork| fork.cut.is_none()) {
                return Err(ForkError::Busy);
            }
        }
        let range = self.readable()?.range;
        if range.splits_at(first) { Ok(None) } else { Err(ForkError::OutOfRange { first, range }) }
    }

    /// Copies some more points to the child; whether more wait. For one thread at a time; of several the others do
    /// nothing.
    ///
    /// # Errors
    /// A record cannot be read: this replica must be replaced.
    pub fn fork_step(&self) -> Result<bool, Refusal> {
        let Some(_alone) = self.forking.try_lock() else { return Ok(true) };
        for _ in 0..BATCHES {
            if !self.copy_batch().map_err(|damage| self.report(damage))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The forks under way, and what splits left without one. At most one is not cut.
    pub fn forks(&self) -> Vec<ForkStatus> {
        self.forked.lock().iter().map(Fork::status).collect()
    }

    /// Ends a fork, before the split, or after it when the child is durable elsewhere: from then on the parent makes
    /// checkpoints again. The child's directory is the caller's to remove.
    pub fn forget_fork(&self, first: u64) {
        let _applying = self.applying.lock();
        let (gone, child_waits) = {
            let mut forks = self.forked.lock();
            let gone = forks.iter().position(|fork| fork.first == first).map(|at| forks.remove(at));
            (gone, forks.iter().any(|fork| fork.cut.is_some()))
        };
        self.state.write().child_waits = child_waits;
        drop(gone);
    }

    /// After the split: the child, once it has all of its points, durable at the index of the split. `None` if there
    /// is no fork, or points are missing yet, or the split was not applied. The fork is over then.
    ///
    /// # Errors
    /// The child's checkpoint failed; nothing is lost, and a later attempt may succeed.
    pub fn take_child(&self, first: u64) -> Result<Option<Arc<Shard>>, CheckpointError> {
        let (child, cut) = {
            let forks = self.forked.lock();
            let mut forks = forks.iter().filter(|fork| fork.first == first && fork.copied == Copied::All);
            let Some(fork) = forks.next() else { return Ok(None) };
            let (Some(child), Some(cut)) = (fork.child.clone(), fork.cut.as_ref()) else { return Ok(None) };
            child.become_whole(cut);
            (child, cut.index)
        };
        if child.durable_index() < cut {
            child.checkpoint()?;
        }
        self.forget_fork(first);
        Ok(Some(child))
    }

    /// Brings to the child what a command has done to the child's ids. No other command is under way.
    pub(crate) fn mirror(&self, touched: &Touched) {
        let forks = self.forked.lock();
        let mut uncut = forks.iter().filter(|fork| fork.cut.is_none());
        let Some((fork, child)) = uncut.next().and_then(|fork| Some((fork, fork.child.as_ref()?))) else {
            return;
        };
        let ids = touched.ids().filter(|id| fork.mirrors(id));
        let changes: Vec<(&str, Option<Slot>)> = {
            let state = self.state.read();
            ids.map(|id| (id, state.ids.get(id).and_then(|row| state.rows.get(*row)).cloned())).collect()
        };
        for (id, slot) in changes {
            // What a command has just written is in memory: there is nothing to be found damaged.
            if child.state.read().version_of(id) == slot.as_ref().map_or(0, |slot| slot.version) {
                continue;
            }
            let change = slot.map(|slot| prepared(&slot, child)).transpose();
            match change {
                Ok(change) => child.receive(id, change),
                Err(damage) => child.state.write().failure = Some(damage),
            }
        }
    }

    /// Takes over a point of the parent, or loses it.
    fn receive(&self, id: &str, point: Option<Prepared>) {
        self.state.write().whole("a copy of a point", |state| match point {
            Some(point) => state.upsert(point),
            None => _ = state.remove(id),
        });
    }

    /// Ends the copy: from here on this is the shard as of the split.
    fn become_whole(&self, cut: &Cut) {
        let mut state = self.state.write();
        if state.provisional {
            state.applied_index = cut.index;
            state.log_time_ms = cut.log_time_ms;
            state.range = cut.range;
            state.window = cut.window.clone();
            state.provisional = false;
            // What the split itself found to be over is not brought along any more.
            let due = state.expiries.due(cut.log_time_ms);
            state.remove_all(&due);
        }
    }

    /// Hands the next points over; whether more wait.
    fn copy_batch(&self) -> Result<bool, Damage> {
        let next = self.forked.lock().iter().find_map(|fork| {
            let Copied::Upto(from) = &fork.copied else { return None };
            Some((fork.child.clone()?, fork.first, from.clone()))
        });
        let Some((child, first, from)) = next else { return Ok(false) };
        // Read before commands are held up; what changes meanwhile is read again then.
        let mut read = BTreeMap::new();
        for (id, slot) in self.next_batch(first, &from).points {
            let version = slot.version;
            read.insert(id, (version, prepared(&slot, &child)?));
        }
        let _applying = self.applying.lock();
        let Batch { points, upto } = self.next_batch(first, &from);
        for (id, slot) in points {
            // One version of an id is one content.
            let point = match read.remove(&id) {
                Some((version, point)) if version == slot.version => point,
                _ => prepared(&slot, &child)?,
            };
            child.receive(&id, Some(point));
        }
        // It may have been forgotten, or begun anew, before this batch had its turn.
        let mut forks = self.forked.lock();
        let same = |fork: &&mut Fork| fork.child.as_ref().is_some_and(|now| Arc::ptr_eq(now, &child));
        if let Some(fork) = forks.iter_mut().find(same) {
            fork.copied = upto.map_or(Copied::All, |upto| Copied::Upto(Some(upto)));
        }
        Ok(forks.iter().any(|fork| fork.child.is_some() && fork.copied != Copied::All))
    }

    /// The points that come next: of the parent, or after the cut of those that it kept aside.
    fn next_batch(&self, first: u64, from: &Option<Box<str>>) -> Batch {
        let after = (from.as_deref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        {
            let forks = self.forked.lock();
            if let Some(fork) = forks.iter().find(|fork| fork.first == first && fork.cut.is_some()) {
                let points = fork.aside.range::<str, _>(after).take(BATCH);
                let points: Vec<_> = points.map(|(id, slot)| (id.clone(), slot.clone())).collect();
                let last = points.last().map(|(id, _)| id.clone());
                return Batch { upto: last.filter(|_| points.len() == BATCH), points };
            }
        }
        let state = self.state.read();
        let ids: Vec<_> = state.ids.range::<str, _>(after).take(BATCH).collect();
        let upto = ids.last().filter(|_| ids.len() == BATCH).map(|(id, _)| (*id).clone());
        let points = ids.into_iter().filter(|(id, _)| hash_of_id(id) >= first);
        let points = points.filter_map(|(id, row)| Some((id.clone(), state.rows.get(*row)?.clone())));
        Batch { points: points.collect(), upto }
    }

    /// The split, on the parent's side, in the middle of its apply: the points that it gives up. `split` is its index
    /// and the number that it has for the child.
    pub(crate) fn keep_aside(&self, state: &State, split: (u64, u64), first: u64, doomed: &[Box<str>]) {
        let mut forks = self.forked.lock();
        // A fork for another cut is of no use any more.
        let uncut = forks.iter().position(|fork| fork.cut.is_none()).map(|at| forks.remove(at));
        let mut fork = uncut.filter(|fork| fork.first == first).unwrap_or_else(|| Fork::new(first));
        let waits = |id: &str| match &fork.copied {
            Copied::All => false,
            Copied::Upto(last) => last.as_deref().is_none_or(|last| id > last),
        };
        let aside = doomed.iter().filter(|id| waits(id));
        let aside = aside.filter_map(|id| Some((id.clone(), state.rows.get(*state.ids.get(id)?)?.clone())));
        fork.aside = aside.collect();
        fork.cut = Some(Cut {
            index: split.0,
            number: split.1,
            log_time_ms: state.log_time_ms,
            range: HashRange { first, last: state.range.last },
            window: state.window.inherited(),
        });
        forks.push(fork);
    }
}
