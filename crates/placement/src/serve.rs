//! The service: proposes catalog commands and answers when the workers' reports say that they took effect.

use crate::catalog::{Command, Reply, SharedCatalog};
use crate::observe::Observed;
use crate::plan::{Candidate, place};
use crate::{PlacementEvent, PlacementKnobs, PlacementMetrics};
use async_trait::async_trait;
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::Clock;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{GroupId, Incarnation, WorkerId};
use vectron_base::pool::{Lane, Pool, compute, within};
use vectron_base::{Code, Fault, Outcome};
use vectron_consensus::{Handle, ProposeError};
use vectron_wire::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, CollectionState,
    Placement, PlannedMove, Registration, ShardPhase, WorkerReport,
};

/// What the service is made of.
pub struct Parts {
    /// The replicated truth; its machine is already open in `consensus`.
    pub catalog: SharedCatalog,
    /// Where commands are replicated.
    pub consensus: Handle,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Tasks.
    pub pool: Arc<dyn Pool>,
    /// Settings.
    pub knobs: PlacementKnobs,
    /// Counters.
    pub metrics: PlacementMetrics,
}

/// The placement driver of one process.
pub struct Service {
    parts: Parts,
    observed: Observed,
}

impl Service {
    /// A service with its background loop, which forgets collections whose data is gone and checkpoints.
    pub fn start(parts: Parts) -> Arc<Self> {
        let service = Arc::new(Self { parts, observed: Observed::default() });
        let weak = Arc::downgrade(&service);
        let pool = service.parts.pool.clone();
        let mut changes = service.observed.changes();
        service.parts.pool.spawn(
            "placement reconcile",
            Box::pin(async move {
                loop {
                    let pause = pool.sleep(Duration::from_secs(1));
                    let woken = select(Box::pin(changes.changed()), pause).await;
                    if let Either::Left((Err(_), _)) = woken {
                        return;
                    }
                    let Some(service) = weak.upgrade() else { return };
                    service.reconcile().await;
                }
            }),
        );
        service
    }

    async fn reconcile(&self) {
        let deleting: Vec<Collection> = self.parts.catalog.read(|catalog| {
            let mut all = catalog.view().collections;
            all.retain(|c| c.state == CollectionState::Deleting);
            all
        });
        for collection in deleting {
            if self.observed.all_in(&collection, &[ShardPhase::Removed]) {
                let forget = Command::ForgetCollection { incarnation: collection.incarnation };
                // A failure is tried again at the next report.
                let _ = self.propose(&forget).await;
            }
        }
        let enough = self.parts.catalog.entries_since_checkpoint() >= self.parts.knobs.checkpoint_entries;
        if enough || self.parts.consensus.laggards().contains(&GroupId::CATALOG) {
            self.checkpoint().await;
        }
    }

    /// Writes the catalog's checkpoint, so that its log can be dropped.
    pub async fn checkpoint(&self) {
        let catalog = self.parts.catalog.clone();
        let written = compute(&self.parts.pool, Lane::Background, move || catalog.checkpoint()).await;
        match written {
            Some(Ok(index)) => self.parts.consensus.checkpointed(GroupId::CATALOG, index),
            Some(Err(error)) => {
                self.parts.metrics.checkpoint_failures.inc();
                self.parts.metrics.events.note(&PlacementEvent::CheckpointFailed(error.to_string()));
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
        let frees = matches!(
            command,
            Command::DeleteCollection { .. } | Command::ForgetCollection { .. } | Command::DeleteIndex { .. }
        );
        let applied = if frees {
            consensus.propose_reserved(GroupId::CATALOG, bytes).await
        } else {
            consensus.propose(GroupId::CATALOG, bytes).await
        };
        let applied = applied.map_err(|error| propose_fault(&error))?;
        serde_json::from_slice(&applied.reply)
            .map_err(|_| Fault::internal("the catalog's reply cannot be read").with_outcome(Outcome::Unknown))
    }

    fn candidates(&self) -> Vec<Candidate> {
        self.parts.catalog.read(|catalog| {
            let mut load: BTreeMap<WorkerId, u64> = catalog.workers().map(|w| (w.worker, 0)).collect();
            for collection in catalog.view().collections {
                for replica in collection.shards.iter().flat_map(|s| &s.replicas) {
                    *load.entry(replica.worker).or_default() += 1;
                }
            }
            load.into_iter().map(|(worker, replicas)| Candidate { worker, replicas }).collect()
        })
    }

    fn check(&self, spec: &CollectionSpec) -> Result<Vec<Vec<WorkerId>>, Fault> {
        if u64::from(spec.shards) > self.parts.knobs.shards_max || spec.shards == 0 {
            let reason = format!("is {}, expected 1 to {}", spec.shards, self.parts.knobs.shards_max);
            return Err(Fault::invalid("shards", reason));
        }
        if !matches!(spec.replication_factor, 1 | 3 | 5) {
            let reason = format!("is {}, expected 1, 3 or 5", spec.replication_factor);
            return Err(Fault::invalid("replication_factor", reason));
        }
        let candidates = self.candidates();
        place(&candidates, spec.shards, spec.replication_factor).ok_or_else(|| {
            let (need, have) = (spec.replication_factor, candidates.len());
            if have == 0 {
                return Fault::new(Code::Unavailable, "no worker is registered yet; retry").retry_after(200);
            }
            Fault::invalid(
                "replication_factor",
                format!("is {need}, but only {have} worker(s) are registered; add workers or lower it"),
            )
        })
    }

    fn find(&self, incarnation: Incarnation) -> Option<Collection> {
        self.parts.catalog.read(|catalog| catalog.collection(incarnation).cloned())
    }

    /// Waits until every replica of the collection is in one of `phases`, or the collection is forgotten.
    async fn until(
        &self,
        incarnation: Incarnation,
        phases: &[ShardPhase],
        timeout_ms: u64,
    ) -> Result<(), Fault> {
        let mut changes = self.observed.changes();
        let done = async {
            while let Some(collection) = self.find(incarnation) {
                if self.observed.all_in(&collection, phases) {
                    return Ok(());
                }
                if let Some(shard) = self.observed.failed_shard(&collection) {
                    let detail = format!("shard {shard} is set aside by its worker; see its log and status");
                    return Err(Fault::new(Code::Unavailable, detail).with_outcome(Outcome::Unknown));
                }
                if changes.changed().await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let late = || {
            let detail = "the catalog has the change, but not every shard has followed yet; repeat the call to wait on";
            Err(Fault::new(Code::DeadlineExceeded, detail).with_outcome(Outcome::Unknown))
        };
        within(&self.parts.pool, Duration::from_millis(timeout_ms), done).await.unwrap_or_else(late)
    }
}

fn unexpected() -> Fault {
    Fault::internal("the catalog gave an unexpected reply").with_outcome(Outcome::Unknown)
}

fn propose_fault(error: &ProposeError) -> Fault {
    let (code, detail) = match error {
        ProposeError::Overloaded => (Code::Overloaded, "the placement driver has no room for more work now"),
        ProposeError::DiskFull => (Code::DiskFull, "the placement driver's disk is full"),
        ProposeError::TooLarge { .. } => (Code::TooLarge, "the change is too large for the catalog's log"),
        _ => (Code::Unavailable, "the placement driver cannot commit now"),
    };
    Fault::new(code, detail).with_outcome(error.outcome())
}

fn single() -> Fault {
    Fault::new(Code::InvalidArgument, "a placement driver of one node does not serve this yet")
}

#[async_trait]
impl Placement for Service {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        let placements = self.check(&spec)?;
        let name = spec.name.clone();
        let command = Command::CreateCollection {
            spec,
            created_at_ms: self.parts.clock.wall_ms(),
            placements,
            collections_max: self.parts.knobs.collections_max,
        };
        match self.propose(&command).await? {
            Reply::Collection { incarnation, created } => {
                self.until(incarnation, &[ShardPhase::Ready], timeout_ms).await?;
                let collection = self.find(incarnation).ok_or_else(|| Fault::no_collection(&name))?;
                Ok((collection, created))
            }
            Reply::Conflict { differs } => Err(Fault::new(
                Code::AlreadyExists,
                format!("collection '{name}' exists with another {}", differs.join(", ")),
            )),
            Reply::Full => Err(Fault::new(
                Code::TooLarge,
                format!(
                    "there are {} collections already; delete one or raise placement.collections_max",
                    self.parts.knobs.collections_max
                ),
            )),
            _ => Err(unexpected()),
        }
    }

    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        match self.propose(&Command::DeleteCollection { name: name.to_string() }).await? {
            Reply::Collection { incarnation, .. } => {
                self.until(incarnation, &[ShardPhase::Sealed, ShardPhase::Removed], timeout_ms).await
            }
            Reply::NotFound => Err(Fault::no_collection(name)),
            _ => Err(unexpected()),
        }
    }

    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        let (field, asked) = (index.field.clone(), index.kind.as_str());
        let indexes_max = self.parts.knobs.indexes_max;
        let command = Command::CreateIndex { collection: collection.to_string(), index, indexes_max };
        match self.propose(&command).await? {
            Reply::Index { created } => Ok(created),
            Reply::IndexConflict { have } => {
                let have = have.as_str();
                let reason =
                    format!("is {asked}, but the index on '{field}' is {have}; delete that one first");
                Err(Fault::on_field(Code::AlreadyExists, "type", reason))
            }
            Reply::Full => Err(Fault::new(
                Code::TooLarge,
                format!(
                    "collection '{collection}' has {indexes_max} payload indexes already; delete one or raise \
                     placement.indexes_max"
                ),
            )),
            Reply::NotFound => Err(Fault::no_collection(collection)),
            _ => Err(unexpected()),
        }
    }

    async fn delete_index(&self, collection: &str, field: &str) -> Result<(), Fault> {
        let command = Command::DeleteIndex { collection: collection.to_string(), field: field.to_string() };
        match self.propose(&command).await? {
            Reply::Done => Ok(()),
            Reply::NotFound => Err(Fault::no_collection(collection)),
            Reply::NoIndex => Err(Fault::new(
                Code::NotFound,
                format!("collection '{collection}' has no payload index on '{field}'"),
            )),
            _ => Err(unexpected()),
        }
    }

    async fn watch(&self, known_epoch: u64) -> Result<Arc<CatalogView>, Fault> {
        let mut epochs = self.parts.catalog.epochs();
        let newer = async {
            while known_epoch != 0 && *epochs.borrow_and_update() <= known_epoch {
                if epochs.changed().await.is_err() {
                    return;
                }
            }
        };
        within(&self.parts.pool, Duration::from_millis(self.parts.knobs.watch_timeout_ms), newer).await;
        Ok(Arc::new(self.parts.catalog.read(|catalog| catalog.view())))
    }

    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        let known = self
            .parts
            .catalog
            .read(|c| c.workers().any(|w| w.worker == registration.worker && *w == registration));
        if !known {
            self.propose(&Command::RegisterWorker { registration }).await?;
        }
        Ok(())
    }

    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.observed.note(report);
        Ok(())
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        Err(single())
    }

    async fn change(&self, _: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        Err(single())
    }

    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        Err(single())
    }
}
