//! The service: proposes catalog commands and answers when the workers' reports say that they took effect.
//!
//! Of several members only the leader of the catalog's group answers, and only after it has applied everything from
//! before its term; the others say who leads. One loop drives what is under way, on the leader alone.

mod aliases;
mod calls;
mod change;
mod drive;
mod faults;
mod lead;
mod members;
mod show;
mod wait;

pub use members::{OpenError, open};

use crate::catalog::{Command, Reply, SharedCatalog};
use crate::moves::Planner;
use crate::observe::Observed;
use crate::{PlacementEvent, PlacementKnobs, PlacementMetrics};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use vectron_base::clock::Clock;
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::pool::{Lane, Pool, compute};
use vectron_base::{Fault, Outcome};
use vectron_consensus::Handle;
use vectron_wire::placement::Placement;

/// What the service is made of.
pub struct Parts {
    /// The replicated truth; its machine is already open in `consensus`.
    pub catalog: SharedCatalog,
    /// Where commands are replicated.
    pub consensus: Handle,
    /// Who the members are.
    pub membership: Membership,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tasks.
    pub pool: Arc<dyn Pool>,
    /// Settings.
    pub knobs: PlacementKnobs,
    /// Counters.
    pub metrics: PlacementMetrics,
}

/// The members of the placement driver, as one of them is told at its start.
#[derive(Clone)]
pub struct Membership {
    /// This member's replica of the catalog.
    pub member: ReplicaId,
    /// The first members and their addresses. Later ones are in the catalog.
    pub first: Vec<(ReplicaId, String)>,
    /// Finds the leader among the others: there the catalog is fetched from when the log does not reach it. None where
    /// there are no others.
    pub leader: Option<Arc<dyn Placement>>,
}

impl Membership {
    /// A placement driver of one member.
    pub fn alone() -> Self {
        let member = ReplicaId(1);
        Self { member, first: vec![(member, "local".into())], leader: None }
    }
}

/// The placement driver of one process.
pub struct Service {
    parts: Parts,
    observed: Observed,
    /// The term in which this member leads and has applied everything from before; 0 when it does not.
    term: watch::Sender<u64>,
    planner: Mutex<Planner>,
    /// Workers that counted as dead when they were last looked at.
    dead: Mutex<BTreeSet<WorkerId>>,
}

impl Service {
    /// A service with its background loop, which drives what is under way and checkpoints.
    pub fn start(parts: Parts) -> Arc<Self> {
        let service = Arc::new(Self {
            parts,
            observed: Observed::default(),
            term: watch::channel(0).0,
            planner: Mutex::default(),
            dead: Mutex::default(),
        });
        let looping = drive::run(Arc::downgrade(&service), service.parts.pool.clone());
        service.parts.pool.spawn("placement drive", Box::pin(looping));
        service
    }

    /// Writes the catalog's checkpoint, so that its log can be dropped.
    pub async fn checkpoint(&self) {
        let catalog = self.parts.catalog.clone();
        let written = compute(&self.parts.pool, Lane::Background, move || catalog.checkpoint()).await;
        match written {
            Some(Ok(index)) => self.parts.consensus.checkpointed(GroupId::CATALOG, index),
            Some(Err(error)) => {
                self.parts.metrics.checkpoint_failures.inc();
                self.note(&PlacementEvent::CheckpointFailed(error.to_string()));
            }
            // The process is stopping.
            None => {}
        }
    }

    async fn propose(&self, command: &Command) -> Result<Reply, Fault> {
        let bytes =
            serde_json::to_vec(command).map_err(|_| Fault::internal("the command has no encoding"))?;
        let consensus = &self.parts.consensus;
        // What frees space must pass on a full disk.
        let applied = if command.frees() {
            consensus.propose_reserved(GroupId::CATALOG, bytes).await
        } else {
            consensus.propose(GroupId::CATALOG, bytes).await
        };
        let applied = applied.map_err(|error| self.propose_fault(&error))?;
        serde_json::from_slice(&applied.reply)
            .map_err(|_| Fault::internal("the catalog's reply cannot be read").with_outcome(Outcome::Unknown))
    }

    fn note(&self, event: &PlacementEvent) {
        self.parts.metrics.events.note(event);
    }

    fn dead_after(&self) -> Duration {
        Duration::from_millis(self.parts.knobs.dead_after_ms)
    }
}
