//! The contract, call by call.

use super::Service;
use super::faults::{overtaken, unexpected};
use crate::catalog::{Command, Reply};
use crate::plan::{Layout, place};
use async_trait::async_trait;
use futures::future::select;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::WorkerId;
use vectron_base::pool::within;
use vectron_base::{Code, Fault};
use vectron_wire::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, Placement,
    PlannedMove, Registration, WorkerReport,
};

impl Service {
    /// What plans are made on, as it is now.
    pub(super) fn layout(&self) -> Layout {
        let now = self.parts.clock.now();
        let knobs = &self.parts.knobs;
        self.parts
            .catalog
            .read(|catalog| self.observed.read(|reports| Layout::of(catalog, reports, now, knobs)))
    }

    /// Workers for the shards of a collection that may be made.
    fn placements(&self, spec: &CollectionSpec) -> Result<Vec<Vec<WorkerId>>, Fault> {
        if u64::from(spec.shards) > self.parts.knobs.shards_max || spec.shards == 0 {
            let reason = format!("is {}, expected 1 to {}", spec.shards, self.parts.knobs.shards_max);
            return Err(Fault::invalid("shards", reason));
        }
        if !matches!(spec.replication_factor, 1 | 3 | 5) {
            let reason = format!("is {}, expected 1, 3 or 5", spec.replication_factor);
            return Err(Fault::invalid("replication_factor", reason));
        }
        if self.parts.catalog.read(|catalog| catalog.live(&spec.name).is_some()) {
            // It is there, as asked for or otherwise: nothing will be placed.
            return Ok(Vec::new());
        }
        let layout = self.layout();
        place::place(&layout, spec.shards, spec.replication_factor).ok_or_else(|| {
            let registered = layout.workers.len();
            let have = layout.workers.values().filter(|node| node.takes(0)).count();
            let now = self.parts.clock.now();
            let unheard = layout.workers.iter().any(|(worker, node)| {
                let (silence, heard) = self.observed.read(|reports| reports.silence(*worker, now));
                !node.draining && !heard && silence < self.dead_after()
            });
            if registered == 0 {
                return Fault::new(Code::Unavailable, "no worker is registered yet; retry").retry_after(200);
            }
            if unheard {
                let detail = "the placement driver has not heard of every worker yet; retry";
                return Fault::new(Code::Unavailable, detail).retry_after(500);
            }
            let need = spec.replication_factor;
            let which = if have == registered {
                "registered".into()
            } else {
                format!("live and take replicas, of {registered} registered")
            };
            Fault::invalid(
                "replication_factor",
                format!("is {need}, but only {have} worker(s) are {which}; add workers or lower it"),
            )
        })
    }
}

#[async_trait]
impl Placement for Service {
    async fn create_collection(
        &self,
        spec: CollectionSpec,
        timeout_ms: u64,
    ) -> Result<(Collection, bool), Fault> {
        self.lead().await?;
        let placements = self.placements(&spec)?;
        let name = spec.name.clone();
        let command = Command::CreateCollection {
            spec,
            created_at_ms: self.parts.clock.wall_ms(),
            placements,
            collections_max: self.parts.knobs.collections_max,
        };
        match self.propose(&command).await? {
            Reply::Collection { incarnation, created } => {
                self.until_serving(incarnation, timeout_ms).await?;
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
            Reply::IsAlias { collection } => {
                let reason =
                    format!("'{name}' is an alias of collection '{collection}'; choose another name");
                Err(Fault::on_field(Code::AlreadyExists, "name", reason))
            }
            Reply::Stale => Err(overtaken()),
            _ => Err(unexpected()),
        }
    }

    async fn delete_collection(&self, name: &str, timeout_ms: u64) -> Result<(), Fault> {
        self.lead().await?;
        match self.propose(&Command::DeleteCollection { name: name.to_string() }).await? {
            Reply::Collection { incarnation, .. } => self.until_sealed(incarnation, timeout_ms).await,
            Reply::NotFound => Err(Fault::no_collection(name)),
            // An alias may be moved by somebody else at any time: what is deleted for good is named by its own name.
            Reply::IsAlias { collection } => {
                let reason = format!(
                    "is an alias of '{collection}'; delete the collection by that name, or the alias by itself"
                );
                Err(Fault::invalid("collection", reason))
            }
            _ => Err(unexpected()),
        }
    }

    async fn create_index(&self, collection: &str, index: FieldIndex) -> Result<bool, Fault> {
        self.lead().await?;
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
        self.lead().await?;
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
        let term = if known_epoch == 0 { self.lead_fresh().await? } else { self.lead().await? };
        let mut epochs = self.parts.catalog.epochs();
        let mut terms = self.term.subscribe();
        let newer = async {
            while known_epoch != 0
                && *epochs.borrow_and_update() <= known_epoch
                && *terms.borrow_and_update() == term
            {
                select(Box::pin(epochs.changed()), Box::pin(terms.changed())).await;
            }
        };
        within(&self.parts.pool, Duration::from_millis(self.parts.knobs.watch_timeout_ms), newer).await;
        self.still(term)?;
        Ok(Arc::new(self.parts.catalog.read(|catalog| catalog.view())))
    }

    async fn register(&self, registration: Registration) -> Result<(), Fault> {
        self.lead().await?;
        let worker = registration.worker;
        let known = self
            .parts
            .catalog
            .read(|c| c.workers().any(|w| w.worker == registration.worker && *w == registration));
        if !known {
            self.propose(&Command::RegisterWorker { registration }).await?;
        }
        let now = self.parts.clock.now();
        self.observed.change(|reports| reports.greet(worker, now));
        Ok(())
    }

    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.lead().await?;
        let worker = report.worker;
        if !self.parts.catalog.read(|catalog| catalog.workers().any(|w| w.worker == worker)) {
            // One that was removed, or whose registration never came through.
            let detail = format!("worker {worker} is not registered; register first");
            return Err(Fault::new(Code::NotFound, detail));
        }
        let now = self.parts.clock.now();
        self.observed.change(|reports| reports.note(report, now));
        Ok(())
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.lead_fresh().await?;
        Ok(self.show())
    }

    async fn change(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        self.lead_fresh().await?;
        let planned = self.carry_out(change).await?;
        // The loop looks at once.
        self.observed.change(|_| {});
        Ok(planned)
    }

    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        self.lead_fresh().await?;
        self.give_snapshot().await
    }
}
