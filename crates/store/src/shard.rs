//! The shard: its parts, and its locks.
//!
//! Lock order: `applying` or `saving` first, then `state`, then any other. `state` is held for writing only by
//! the last step of an apply, by the commit of one planned graph change, and by the steps of a checkpoint's
//! installation; everything long works on copies, or is a [long look](Gate::read_long). With `applying` held, `forked`
//! and `state` may be taken in either order; without it never together. A child's locks come last.

use crate::checkpoint::Saved;
use crate::config::ShardConfig;
use crate::damage::{Damage, Refusal};
use crate::fork::Fork;
use crate::gate::Gate;
use crate::indexing::Steps;
use crate::range::HashRange;
use crate::scrub::Scrub;
use crate::state::State;
use crate::stats::CountedBytes;
use crate::vectors::schema::Schema;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use vectron_base::disk::Disk;
use vectron_index::{Calibration, Calibrator, Scratch};

/// One replica's copy of a shard. Shared by `Arc`; every method takes `&self`.
pub struct Shard {
    pub(crate) disk: Arc<dyn Disk>,
    /// Directory below the data directory.
    pub(crate) dir: String,
    pub(crate) config: ShardConfig,
    /// The vector fields of `config`.
    pub(crate) schema: Arc<Schema>,
    pub(crate) state: Gate,
    /// Held by the one command being applied.
    pub(crate) applying: Mutex<()>,
    /// What the indexing steps under way have taken of each dense field. Held briefly.
    pub(crate) stepping: Vec<Arc<Mutex<Steps>>>,
    /// The dense field that the next step begins with.
    pub(crate) turn: AtomicUsize,
    /// Held by the one thread that measures which effort reaches which recall; the measurement under way, and of which
    /// dense field.
    pub(crate) calibrating: Mutex<Option<(usize, Calibrator)>>,
    /// The last one of each dense field.
    pub(crate) calibration: RwLock<Vec<Option<Calibration>>>,
    /// Held by the one thread that fills payload indexes.
    pub(crate) building: Mutex<()>,
    /// Held by the one checkpoint under way.
    pub(crate) saving: Mutex<Saved>,
    pub(crate) durable: AtomicU64,
    /// Length of the graph files, for figures.
    pub(crate) graph_bytes: AtomicU64,
    /// The state's count of graph changes that the graph files cover. Changed only with `saving` held.
    pub(crate) saved_graph_changes: AtomicU64,
    pub(crate) index_bytes: CountedBytes,
    pub(crate) scratches: Mutex<Vec<Scratch>>,
    pub(crate) damage: Mutex<Vec<Damage>>,
    /// Forks under way, and what splits left. Held briefly.
    pub(crate) forked: Mutex<Vec<Fork>>,
    /// Held by the one thread that copies points to the child.
    pub(crate) forking: Mutex<()>,
    /// The scrub under way; held by the one thread that scrubs.
    pub(crate) scrubbing: Mutex<Option<Scrub>>,
    /// How many exports are alive.
    pub(crate) exports: Arc<AtomicUsize>,
}

impl Shard {
    /// What was found damaged: derived data that was rebuilt, or records that are refused. Empty when well.
    pub fn damage(&self) -> Vec<String> {
        self.damage.lock().iter().map(Damage::to_string).collect()
    }

    /// The applied index that the last durable checkpoint covers: the log is needed from the next one on.
    pub fn durable_index(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The last index applied.
    pub fn applied_index(&self) -> u64 {
        self.state.read().applied_index
    }

    /// Whether the shard was sealed.
    pub fn sealed(&self) -> bool {
        self.state.read().sealed
    }

    /// The ids that it takes, by their hash. It only ever shrinks: who looks at it after a read knows that the read saw
    /// no smaller one.
    pub fn range(&self) -> HashRange {
        self.state.read().range
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &ShardConfig {
        &self.config
    }

    /// The state for reading, if it may be read.
    pub(crate) fn readable(&self) -> Result<RwLockReadGuard<'_, State>, Refusal> {
        let state = self.state.read();
        state.readable()?;
        Ok(state)
    }

    /// Notes damage for [`Shard::damage`] and makes it a refusal.
    pub(crate) fn report(&self, damage: Damage) -> Refusal {
        let mut known = self.damage.lock();
        if !known.contains(&damage) {
            known.push(damage.clone());
        }
        Refusal::Damaged(damage)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Runs `work` with buffers from the pool.
    pub(crate) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.scratches.lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        self.scratches.lock().push(scratch);
        result
    }
}
