//! Several members of a placement driver in one thread: the production service and logs on simulated disks, with
//! messages that are carried or lost at will and time that moves by steps.

use async_trait::async_trait;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::disk::sim::SimDisk;
use vectron_base::filter::FieldIndex;
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::pool::{Lane, Pool};
use vectron_base::random::SeededRandom;
use vectron_base::{Code, Fault};
use vectron_consensus::{ConsensusKnobs, ConsensusMetrics, Driver, Handle, Message, Outbox};
use vectron_placement::catalog::SharedCatalog;
use vectron_placement::serve::{Membership, Parts, Service, open};
use vectron_placement::{PlacementKnobs, PlacementMetrics};
use vectron_wire::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, CollectionState,
    LeadReport, Locality, Members, Placement, PlannedMove, Registration, ShardPhase, ShardReport, WorkerLoad,
    WorkerReport,
};

/// Tasks and timers of all members, polled in turn.
#[derive(Clone)]
pub struct Turns {
    tasks: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    clock: Arc<ManualClock>,
}

impl Turns {
    fn poll(&self) {
        // Tasks may spawn others.
        let running = std::mem::take(&mut *self.tasks.lock());
        let waker = futures::task::noop_waker();
        let mut left = Vec::new();
        for mut task in running {
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                left.push(task);
            }
        }
        self.tasks.lock().extend(left);
    }
}

impl Pool for Turns {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.lock().push(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (clock, due) = (self.clock.clone(), self.clock.now().plus(duration));
        Box::pin(futures::future::poll_fn(
            move |_| {
                if clock.now() >= due { Poll::Ready(()) } else { Poll::Pending }
            },
        ))
    }
    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

type Mail = Arc<Mutex<Vec<Message>>>;

struct Post(Mail);

impl Outbox for Post {
    fn send(&mut self, message: Message) {
        self.0.lock().push(message);
    }
}

/// One member that is on.
pub struct Member {
    pub service: Arc<Service>,
    pub catalog: SharedCatalog,
    pub handle: Handle,
    driver: Driver,
    turns: Turns,
}

/// Asks the members in turn until one leads.
pub struct Anyone(Arc<Mutex<BTreeMap<u64, Arc<Service>>>>, Arc<Mutex<BTreeSet<u64>>>);

pub struct Stage {
    pub clock: Arc<ManualClock>,
    pub knobs: PlacementKnobs,
    pub members: BTreeMap<u64, Member>,
    disks: BTreeMap<u64, SimDisk>,
    services: Arc<Mutex<BTreeMap<u64, Arc<Service>>>>,
    /// Who hears nobody and is heard by nobody.
    pub cut_off: Arc<Mutex<BTreeSet<u64>>>,
    mail: Mail,
    /// Workers that follow the leader's catalog and report.
    pub workers: BTreeSet<u64>,
    reported: Tick,
}

pub const FIRST: [u64; 3] = [1, 2, 3];

impl Stage {
    pub fn new() -> Self {
        let knobs =
            PlacementKnobs { checkpoint_entries: 8, watch_timeout_ms: 2_000, ..PlacementKnobs::default() };
        Self {
            clock: Arc::new(ManualClock::starting_at(1_000)),
            knobs,
            members: BTreeMap::new(),
            disks: BTreeMap::new(),
            services: Arc::default(),
            cut_off: Arc::default(),
            mail: Arc::default(),
            workers: BTreeSet::new(),
            reported: Tick::default(),
        }
    }

    /// Three members that have elected a leader.
    pub fn three() -> Self {
        let mut stage = Self::new();
        let mut opening = Vec::new();
        for id in FIRST {
            opening.push(stage.begin(id));
        }
        stage.finish(opening);
        stage.until(|stage| stage.leader().is_some());
        stage
    }

    pub fn power_on(&mut self, id: u64) {
        let opening = self.begin(id);
        self.finish(vec![opening]);
    }

    #[allow(clippy::type_complexity, reason = "tests")]
    fn begin(&mut self, id: u64) -> (u64, Arc<Mutex<Option<()>>>) {
        let disk = self.disks.entry(id).or_insert_with(|| SimDisk::new(id)).clone();
        let random = Arc::new(SeededRandom::new(id));
        let knobs = ConsensusKnobs {
            journal_segment_bytes: 4096,
            journal_limit_bytes: 16 << 10,
            disk_reserve_bytes: 0,
            log_kept_bytes: 256,
            ..ConsensusKnobs::default()
        };
        let (driver, handle) = Driver::open(
            Arc::new(disk.clone()),
            self.clock.clone(),
            random,
            knobs,
            ConsensusMetrics::default(),
        )
        .unwrap();
        let driver = driver.with_outbox(Box::new(Post(self.mail.clone())));
        let metrics = PlacementMetrics::default();
        let catalog = SharedCatalog::open(Arc::new(disk), metrics.clone()).unwrap();
        let turns = Turns { tasks: Arc::default(), clock: self.clock.clone() };
        let others: Arc<dyn Placement> = Arc::new(Anyone(self.services.clone(), self.cut_off.clone()));
        let first = FIRST.map(|id| (ReplicaId(id), format!("pd-{id}"))).to_vec();
        let membership = Membership { member: ReplicaId(id), first, leader: Some(others.clone()) };
        let opened = Arc::new(Mutex::new(None));
        let (done, pool) = (opened.clone(), Arc::new(turns.clone()) as Arc<dyn Pool>);
        let (log, shared) = (handle.clone(), catalog.clone());
        let task = async move {
            let voters = FIRST.map(ReplicaId);
            open(&log, &shared, &pool, ReplicaId(id), &voters, Some(&others)).await.unwrap();
            *done.lock() = Some(());
        };
        turns.spawn("open", Box::pin(task));
        let service = Service::start(Parts {
            catalog: catalog.clone(),
            consensus: handle.clone(),
            membership,
            clock: self.clock.clone(),
            pool: Arc::new(turns.clone()),
            knobs: self.knobs.clone(),
            metrics,
        });
        self.services.lock().insert(id, service.clone());
        self.members.insert(id, Member { service, catalog, handle, driver, turns });
        (id, opened)
    }

    fn finish(&mut self, opening: Vec<(u64, Arc<Mutex<Option<()>>>)>) {
        self.until(|_| opening.iter().all(|(_, opened)| opened.lock().is_some()));
    }

    pub fn power_off(&mut self, id: u64) {
        self.services.lock().remove(&id);
        let member = self.members.remove(&id).unwrap();
        let disk = self.disks[&id].clone();
        disk.lose_power();
        member.turns.tasks.lock().clear();
        drop(member);
        disk.restart();
    }

    pub fn leader(&self) -> Option<u64> {
        let terms = self.members.iter().filter_map(|(id, member)| {
            let status = member.handle.status(GroupId::CATALOG)?;
            (status.role == vectron_consensus::Role::Leader).then_some((status.term, *id))
        });
        terms.max().map(|(_, id)| id)
    }

    pub fn lead(&self) -> Arc<Service> {
        self.members[&self.leader().expect("somebody leads")].service.clone()
    }

    /// A hundredth of a second.
    pub fn step(&mut self) {
        for member in self.members.values_mut() {
            while member.driver.turn().worked {}
            member.turns.poll();
        }
        let mail = std::mem::take(&mut *self.mail.lock());
        let cut_off = self.cut_off.lock().clone();
        for message in mail {
            let lost = cut_off.contains(&message.from().0) || cut_off.contains(&message.to().0);
            if let Some(member) = self.members.get(&message.to().0).filter(|_| !lost) {
                member.handle.deliver(message);
            }
        }
        self.clock.advance(Duration::from_millis(10));
        if self.clock.now().since(self.reported) >= Duration::from_millis(500) {
            self.reported = self.clock.now();
            self.report();
        }
    }

    pub fn until(&mut self, how: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if how(self) {
                return;
            }
            self.step();
        }
        panic!("it never comes");
    }

    pub fn seconds(&mut self, seconds: u64) {
        (0..seconds * 100).for_each(|_| self.step());
    }

    /// Steps until a call is answered.
    pub fn ask<T: Send + 'static>(&mut self, call: impl Future<Output = T> + Send + 'static) -> T {
        let slot = Arc::new(Mutex::new(None));
        let fill = slot.clone();
        let turns = Turns { tasks: Arc::default(), clock: self.clock.clone() };
        turns.spawn("call", Box::pin(async move { *fill.lock() = Some(call.await) }));
        for _ in 0..20_000 {
            turns.poll();
            if let Some(value) = slot.lock().take() {
                return value;
            }
            self.step();
        }
        panic!("no answer");
    }

    /// As [`Stage::ask`], of whoever leads, again while nobody does.
    pub fn ask_leader<T, F>(&mut self, call: impl Fn(Arc<Service>) -> F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        for _ in 0..20 {
            self.until(|stage| stage.leader().is_some());
            let service = self.lead();
            match self.ask(call(service)) {
                Err(fault) if fault.code == Code::Unavailable => self.seconds(1),
                answer => return answer,
            }
        }
        panic!("nobody answers");
    }

    /// Every worker registers with the leader, and says of each replica that it is as it shall be.
    fn report(&mut self) {
        let Some(leader) = self.leader().filter(|leader| !self.cut_off.lock().contains(leader)) else {
            return;
        };
        let (service, catalog) = (&self.members[&leader].service, &self.members[&leader].catalog);
        let view = catalog.read(|catalog| catalog.view());
        for worker in &self.workers {
            let id = WorkerId(*worker);
            let mut shards = Vec::new();
            for collection in &view.collections {
                let deleting = collection.state == CollectionState::Deleting;
                for shard in &collection.shards {
                    let Some(replica) = shard.on(id) else { continue };
                    let members = Members {
                        voters: shard.replicas.iter().map(|r| r.replica).collect(),
                        ..Members::default()
                    };
                    let first = shard.replicas.iter().find(|r| self.workers.contains(&r.worker.0));
                    let leads = first.map(|r| r.replica) == Some(replica.replica) && !deleting;
                    let matched = members.voters.iter().map(|r| (*r, 1)).collect();
                    shards.push(ShardReport {
                        shard: shard.shard,
                        replica: replica.replica,
                        phase: if deleting { ShardPhase::Removed } else { ShardPhase::Ready },
                        epoch: shard.epoch,
                        points: 1,
                        disk_bytes: 1,
                        memory_bytes: 1,
                        index_lag: 0,
                        applied_index: 1,
                        mark: None,
                        split_ready: false,
                        lead: leads.then_some(LeadReport { term: 1, members, committed: 1, matched }),
                    });
                }
            }
            let registration = Registration {
                worker: id,
                address: format!("w-{worker}"),
                locality: Locality::default(),
                cores: 2,
                memory_bytes: 1 << 30,
                disk_bytes: 1 << 30,
            };
            let report = WorkerReport {
                worker: id,
                disk_free_bytes: 1 << 30,
                memory_used_bytes: 1,
                load: WorkerLoad::default(),
                shards,
            };
            let service = service.clone();
            let call = async move {
                let _ = service.register(registration).await;
                let _ = service.report(report).await;
            };
            self.members[&leader].turns.spawn("report", Box::pin(call));
        }
    }
}

impl Anyone {
    async fn ask<T, F>(&self, call: impl Fn(Arc<Service>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let services: Vec<(u64, Arc<Service>)> =
            self.0.lock().iter().map(|(id, service)| (*id, service.clone())).collect();
        let mut last = Fault::new(Code::Unavailable, "nobody is there");
        for (id, service) in services {
            if self.1.lock().contains(&id) {
                continue;
            }
            match call(service).await {
                Err(fault) if fault.code == Code::Unavailable => last = fault,
                answer => return answer,
            }
        }
        Err(last)
    }
}

#[async_trait]
impl Placement for Anyone {
    async fn create_collection(&self, _: CollectionSpec, _: u64) -> Result<(Collection, bool), Fault> {
        unreachable!()
    }
    async fn delete_collection(&self, _: &str, _: u64) -> Result<(), Fault> {
        unreachable!()
    }
    async fn create_index(&self, _: &str, _: FieldIndex) -> Result<bool, Fault> {
        unreachable!()
    }
    async fn delete_index(&self, _: &str, _: &str) -> Result<(), Fault> {
        unreachable!()
    }
    async fn watch(&self, _: u64) -> Result<Arc<CatalogView>, Fault> {
        unreachable!()
    }
    async fn register(&self, _: Registration) -> Result<(), Fault> {
        unreachable!()
    }
    async fn report(&self, _: WorkerReport) -> Result<(), Fault> {
        unreachable!()
    }
    async fn cluster(&self) -> Result<ClusterView, Fault> {
        unreachable!()
    }
    async fn change(&self, _: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        unreachable!()
    }
    async fn catalog_snapshot(&self) -> Result<CatalogSnapshot, Fault> {
        self.ask(|service| async move { service.catalog_snapshot().await }).await
    }
}
