//! The catalog as a consensus machine: applies commands, publishes epochs, checkpoints itself.

use super::file::{self, Origin, Saved};
use super::{Catalog, CatalogFileError, Command, Reply};
use crate::PlacementMetrics;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::watch;
use vectron_base::disk::Disk;
use vectron_consensus::Machine;
use vectron_wire::placement::CatalogSnapshot;

/// The catalog as the service reads it.
#[derive(Clone)]
pub struct SharedCatalog {
    state: Arc<RwLock<State>>,
    epochs: watch::Sender<u64>,
    /// Held while a checkpoint is written: two at once would write the same file.
    saving: Arc<Mutex<()>>,
    disk: Arc<dyn Disk>,
    metrics: PlacementMetrics,
}

struct State {
    catalog: Catalog,
    applied_index: u64,
    durable_index: u64,
    origin: Option<Origin>,
}

impl SharedCatalog {
    /// The catalog of the last checkpoint.
    pub fn open(disk: Arc<dyn Disk>, metrics: PlacementMetrics) -> Result<Self, CatalogFileError> {
        let Saved { applied_index, catalog, origin } = file::load(&*disk)?;
        let (epochs, _) = watch::channel(catalog.epoch());
        let state = State { catalog, applied_index, durable_index: applied_index, origin };
        let shared =
            Self { state: Arc::new(RwLock::new(state)), epochs, saving: Arc::default(), disk, metrics };
        shared.publish();
        Ok(shared)
    }

    /// The machine to hand to consensus.
    pub fn machine(&self) -> CatalogMachine {
        CatalogMachine { shared: self.clone() }
    }

    /// Reads the catalog as it is now.
    pub fn read<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        look(&self.state.read().catalog)
    }

    /// Notified with every new epoch.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    /// Entries applied since the last checkpoint.
    pub fn entries_since_checkpoint(&self) -> u64 {
        let state = self.state.read();
        state.applied_index - state.durable_index
    }

    /// The index of the last checkpoint, and where it came from, if from another member. The log here may not
    /// reach it then.
    pub fn origin(&self) -> Option<(u64, Origin)> {
        let state = self.state.read();
        Some((state.durable_index, state.origin.clone()?))
    }

    /// The whole state and the index of the last entry in it.
    pub fn snapshot(&self) -> Result<(u64, Vec<u8>), CatalogFileError> {
        let saved = {
            let state = self.state.read();
            Saved { applied_index: state.applied_index, catalog: state.catalog.clone(), origin: None }
        };
        Ok((saved.applied_index, saved.encode()?))
    }

    /// Writes the catalog; gives the log index that is durable now.
    pub fn checkpoint(&self) -> Result<u64, CatalogFileError> {
        let _saving = self.saving.lock();
        let saved = {
            let state = self.state.read();
            // Nothing came after a state from another member: the log may still have to begin with it.
            let origin = state.origin.clone().filter(|_| state.applied_index == state.durable_index);
            Saved { applied_index: state.applied_index, catalog: state.catalog.clone(), origin }
        };
        file::save(&*self.disk, &saved)?;
        let mut state = self.state.write();
        state.durable_index = saved.applied_index;
        state.origin = saved.origin;
        Ok(saved.applied_index)
    }

    /// Takes another member's state in place of this one, on disk first. `false` when this one is not behind it.
    pub fn restore(&self, snapshot: &CatalogSnapshot) -> Result<bool, CatalogFileError> {
        let saved = Saved::received(snapshot)?;
        let _saving = self.saving.lock();
        if self.state.read().applied_index >= saved.applied_index {
            return Ok(false);
        }
        file::save(&*self.disk, &saved)?;
        {
            let Saved { applied_index, catalog, origin } = saved;
            let mut state = self.state.write();
            // The log may have moved on meanwhile; what is on disk is of use after a restart all the same.
            if state.applied_index < applied_index {
                *state = State { catalog, applied_index, durable_index: applied_index, origin };
            }
        }
        self.publish();
        Ok(true)
    }

    fn publish(&self) {
        let state = self.state.read();
        let live = state.catalog.live_collections();
        let (collections, shards) = live.fold((0, 0), |(c, s), one| (c + 1, s + one.shards.len()));
        self.metrics.collections.set(collections);
        self.metrics.shards.set(shards as i64);
        self.metrics.workers.set(state.catalog.workers().count() as i64);
        self.metrics.epoch.set(state.catalog.epoch() as i64);
        self.epochs.send_replace(state.catalog.epoch());
    }
}

/// The write half of a [`SharedCatalog`], owned by consensus.
pub struct CatalogMachine {
    shared: SharedCatalog,
}

impl Machine for CatalogMachine {
    fn durable_index(&self) -> u64 {
        self.shared.state.read().durable_index
    }

    fn skip(&mut self, index: u64) {
        let mut state = self.shared.state.write();
        state.applied_index = state.applied_index.max(index);
    }

    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        let reply = {
            let mut state = self.shared.state.write();
            if index <= state.applied_index {
                // In a state that came from another member since this log was read. Nobody here waits for it.
                return Vec::new();
            }
            state.applied_index = index;
            match serde_json::from_slice::<Command>(command) {
                Ok(command) => state.catalog.apply(command),
                Err(_) => Reply::Malformed,
            }
        };
        self.shared.publish();
        // A reply is a small enum of plain fields; an empty one reads as malformed.
        serde_json::to_vec(&reply).unwrap_or_default()
    }
}
