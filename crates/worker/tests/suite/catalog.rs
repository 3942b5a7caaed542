//! A placement driver that says what the test says, and keeps what the workers report.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_base::{Code, Fault};
use vectron_wire::placement::*;

pub struct Catalog {
    view: watch::Sender<Arc<CatalogView>>,
    reports: Mutex<BTreeMap<WorkerId, (u64, WorkerReport)>>,
    away: AtomicBool,
    pub asked: AtomicU64,
}

fn no() -> Fault {
    Fault::new(Code::Unavailable, "the placement driver is away")
}

impl Catalog {
    pub fn new() -> Arc<Self> {
        let view = CatalogView { epoch: 1, ..CatalogView::default() };
        Arc::new(Self {
            view: watch::channel(Arc::new(view)).0,
            reports: Mutex::default(),
            away: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        })
    }

    pub fn view(&self) -> Arc<CatalogView> {
        self.view.borrow().clone()
    }

    /// Changes the catalog.
    pub fn change(&self, change: impl FnOnce(&mut CatalogView)) {
        self.view.send_modify(|view| {
            let mut next = (**view).clone();
            next.epoch += 1;
            change(&mut next);
            *view = Arc::new(next);
        });
    }

    /// Changes a shard; its config grows.
    pub fn change_shard(&self, shard: ShardId, change: impl FnOnce(&mut Shard)) {
        self.change(|view| {
            let mut all = view.collections.iter_mut().flat_map(|c| &mut c.shards);
            let shard = all.find(|s| s.shard == shard).expect("a shard of the catalog");
            shard.config += 1;
            change(shard);
        });
    }

    pub fn set_roles(&self, shard: ShardId, roles: &[(u64, u64, ReplicaRole)]) {
        self.change_shard(shard, |shard| {
            shard.replicas = roles
                .iter()
                .map(|(replica, worker, role)| Replica {
                    replica: ReplicaId(*replica),
                    worker: WorkerId(*worker),
                    role: *role,
                })
                .collect();
        });
    }

    pub fn shard(&self, shard: ShardId) -> Shard {
        let view = self.view();
        let found = view.collections.iter().flat_map(|c| &c.shards).find(|s| s.shard == shard);
        found.expect("a shard of the catalog").clone()
    }

    /// Nobody answers.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    pub fn report_of(&self, worker: WorkerId, shard: ShardId) -> Option<ShardReport> {
        self.reports.lock().get(&worker)?.1.shards.iter().find(|s| s.shard == shard).cloned()
    }

    pub fn load_of(&self, worker: WorkerId) -> Option<WorkerLoad> {
        self.reports.lock().get(&worker).map(|(_, report)| report.load)
    }

    /// What the leader of the highest term has said since the catalog changed last.
    pub fn lead(&self, shard: ShardId) -> Option<(WorkerId, LeadReport)> {
        let epoch = self.view().epoch;
        let reports = self.reports.lock();
        let fresh = reports.values().filter(|(at, _)| *at == epoch).map(|(_, report)| report);
        let leads = fresh.filter_map(|report| {
            let lead = report.shards.iter().find(|s| s.shard == shard)?.lead.clone()?;
            Some((report.worker, lead))
        });
        leads.max_by_key(|(_, lead)| lead.term)
    }

    fn here(&self) -> Result<(), Fault> {
        if self.away.load(Ordering::SeqCst) { Err(no()) } else { Ok(()) }
    }
}

#[async_trait]
impl Placement for Catalog {
    async fn create_collection(&self, _: CollectionSpec, _: u64) -> Result<(Collection, bool), Fault> {
        Err(no())
    }
    async fn delete_collection(&self, _: &str, _: u64) -> Result<(), Fault> {
        Err(no())
    }
    async fn create_index(&self, _: &str, _: FieldIndex) -> Result<bool, Fault> {
        Err(no())
    }
    async fn delete_index(&self, _: &str, _: &str) -> Result<(), Fault> {
        Err(no())
    }

    async fn watch(&self, known: u64) -> Result<Arc<CatalogView>, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.here()?;
        let mut view = self.view.subscribe();
        let news = view.wait_for(|view| known == 0 || view.epoch > known).await.map_err(|_| no())?.clone();
        self.here()?;
        Ok(news)
    }

    async fn register(&self, _: Registration) -> Result<(), Fault> {
        self.here()
    }

    async fn report(&self, report: WorkerReport) -> Result<(), Fault> {
        self.here()?;
        // With the epoch that the worker may have seen: what it said before a change says nothing after it.
        let epoch = self.view().epoch;
        self.reports.lock().insert(report.worker, (epoch, report));
        Ok(())
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        Err(no())
    }
    async fn change(&self, _: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        Err(no())
    }
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        Err(no())
    }
}
