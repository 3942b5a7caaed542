//! Several workers in one process: real hosts and logs on simulated disks, one clock, and a catalog that the test
//! writes. Nothing runs but what the world steps, so that equal tests are equal runs.

use crate::catalog::Catalog;
use crate::executor::Executor;
use crate::network::{Directory, Messages, Network};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_base::random::SeededRandom;
use vectron_consensus::{ConsensusKnobs, ConsensusMetrics, Driver, Handle};
use vectron_store::{Shard as Store, StoreKnobs};
use vectron_wire::placement::*;
use vectron_wire::worker::*;
use vectron_worker::{Host, Parts, Peers, WorkerKnobs, WorkerMetrics};

pub const SHARD: ShardId = ShardId(1);
pub const LIFE: Incarnation = Incarnation(7);
pub const DIMENSION: usize = 8;
/// Longest virtual time of one wait.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Node {
    pub disk: SimDisk,
    pub host: Arc<Host>,
    pub metrics: WorkerMetrics,
    executor: Executor,
    driver: Driver,
    handle: Handle,
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub catalog: Arc<Catalog>,
    pub network: Arc<Network>,
    pub nodes: BTreeMap<u64, Node>,
    pub knobs: WorkerKnobs,
    pub store_knobs: StoreKnobs,
    pub consensus_knobs: ConsensusKnobs,
    clients: Executor,
}

pub fn spec(replicas: u32) -> CollectionSpec {
    CollectionSpec {
        name: "docs".into(),
        dimension: DIMENSION as u32,
        distance: Distance::Euclidean,
        shards: 1,
        replication_factor: replicas,
        read_policy: ReadPolicy::Linearizable,
        quantization: Quantization::default(),
        storage: Storage::default(),
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    }
}

pub fn vector(n: u64) -> Vec<f32> {
    (0..DIMENSION as u64).map(|i| ((n * 31 + i * 7) % 97) as f32).collect()
}

pub fn point(n: u64) -> UpsertPoint {
    UpsertPoint {
        id: format!("p{n}"),
        vector: vector(n).into(),
        payload: format!("{{\"n\":{n}}}"),
        if_version: None,
    }
}

impl World {
    /// Workers numbered from 1 on that hold nothing.
    pub fn of(workers: u64) -> World {
        let clock = Arc::new(ManualClock::starting_at(1_800_000_000_000));
        let store_knobs = StoreKnobs { checkpoint_bytes: 16 << 10, ..StoreKnobs::default() };
        let mut world = World {
            catalog: Catalog::new(),
            network: Arc::default(),
            nodes: BTreeMap::new(),
            knobs: WorkerKnobs { snapshot_part_bytes: 1500, ..WorkerKnobs::default() },
            store_knobs,
            consensus_knobs: ConsensusKnobs {
                journal_segment_bytes: 16 << 10,
                disk_reserve_bytes: 4096,
                ..ConsensusKnobs::default()
            },
            clients: Executor::new(clock.clone()),
            clock,
        };
        for id in 1..=workers {
            world.start(id, SimDisk::new(id));
        }
        world
    }

    /// Starts a worker on a disk, and registers it.
    pub fn start(&mut self, id: u64, disk: SimDisk) {
        let executor = Executor::new(self.clock.clone());
        let (worker, peers) = (WorkerId(id), Arc::new(Peers::default()));
        let random = Arc::new(SeededRandom::new(id * 1000 + disk.operations()));
        let seam: Arc<SimDisk> = Arc::new(disk.clone());
        let metrics = ConsensusMetrics::default();
        let knobs = self.consensus_knobs.clone();
        let (driver, handle) = Driver::open(seam.clone(), self.clock.clone(), random.clone(), knobs, metrics)
            .expect("a journal");
        let messages = Messages { network: self.network.clone(), from: worker, peers: peers.clone() };
        let driver = driver.with_outbox(Box::new(messages));
        let registration = Registration {
            worker,
            address: format!("worker-{id}"),
            locality: Locality::default(),
            cores: 1,
            memory_bytes: 1 << 32,
            disk_bytes: 1 << 40,
        };
        let entry = WorkerEntry { registration: registration.clone(), state: WorkerState::Active };
        self.catalog.change(|view| {
            view.workers.retain(|w| w.registration.worker != worker);
            view.workers.push(entry);
            view.workers.sort_by_key(|w| w.registration.worker);
        });
        let metrics = WorkerMetrics::unlisted();
        let host = Host::start(Parts {
            registration,
            disk: seam,
            consensus: handle.clone(),
            placement: self.catalog.clone(),
            workers: Arc::new(Directory { network: self.network.clone(), from: worker }),
            peers,
            clock: self.clock.clone(),
            random,
            pool: Arc::new(executor.clone()),
            knobs: self.knobs.clone(),
            store_knobs: self.store_knobs.clone(),
            metrics: metrics.clone(),
        })
        .expect("a host");
        self.network.logs.lock().insert(worker, handle.clone());
        self.network.hosts.lock().insert(worker, host.clone());
        self.nodes.insert(id, Node { disk, host, metrics, executor, driver, handle });
    }

    /// The process ends at once and the machine loses power.
    pub fn kill(&mut self, id: u64) -> SimDisk {
        let node = self.nodes.remove(&id).expect("a worker that runs");
        self.network.logs.lock().remove(&WorkerId(id));
        self.network.hosts.lock().remove(&WorkerId(id));
        node.disk.lose_power();
        node.executor.clear();
        drop((node.host, node.driver, node.handle));
        node.executor.clear();
        node.disk.restart();
        node.disk
    }

    /// Stops a worker as an operator does.
    pub fn stop(&mut self, id: u64) -> SimDisk {
        let host = self.nodes[&id].host.clone();
        self.run(async move { host.stop().await });
        self.kill(id)
    }

    pub fn restart(&mut self, id: u64) {
        let disk = self.kill(id);
        self.start(id, disk);
    }

    fn step(&mut self) -> bool {
        let mut worked = self.clients.step();
        for node in self.nodes.values_mut() {
            worked |= node.executor.step();
            worked |= node.driver.turn().worked;
        }
        worked
    }

    /// Lets time pass to what is due next, but not beyond `until`.
    fn advance(&mut self, until: Tick) {
        let ticks = self.nodes.values_mut().map(|node| node.driver.turn().next_tick);
        let due = ticks.min().unwrap_or(until);
        let timers = self.nodes.values().filter_map(|node| node.executor.next_timer());
        let due = timers.chain(self.clients.next_timer()).fold(due, Tick::min).min(until);
        let now = self.clock.now();
        self.clock.advance(due.since(now).max(Duration::from_nanos(1)));
        self.clients.wake_due();
        self.nodes.values().for_each(|node| node.executor.wake_due());
    }

    /// Runs until `future` is done.
    pub fn run<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        let slot = Arc::new(Mutex::new(None));
        let fill = slot.clone();
        self.clients.start(Box::pin(async move {
            let value = future.await;
            *fill.lock() = Some(value);
        }));
        let give_up = self.clock.now().plus(PATIENCE);
        loop {
            if let Some(value) = slot.lock().take() {
                return value;
            }
            if !self.step() {
                assert!(self.clock.now() < give_up, "something waits for ever");
                self.advance(give_up);
            }
        }
    }

    /// Runs for so long.
    pub fn pass(&mut self, time: Duration) {
        let end = self.clock.now().plus(time);
        while self.clock.now() < end {
            if !self.step() {
                self.advance(end);
            }
        }
    }

    /// Runs until `so`.
    pub fn until(&mut self, what: &str, so: impl Fn(&World) -> bool) {
        let give_up = self.clock.now().plus(PATIENCE);
        loop {
            for _ in 0..20 {
                if !self.step() {
                    self.advance(give_up);
                }
            }
            if so(self) {
                return;
            }
            assert!(self.clock.now() < give_up, "in vain: {what}");
        }
    }

    /// A collection of one shard whose replicas 1.. are on workers 1.., and waits for it.
    pub fn create(&mut self, replicas: u64) {
        let shard = Shard {
            shard: SHARD,
            first: 0,
            last: u64::MAX,
            epoch: 1,
            config: 1,
            replicas: (1..=replicas).map(|n| Replica::voter(ReplicaId(n), WorkerId(n))).collect(),
            leader: None,
            split: None,
        };
        let collection = Collection {
            spec: spec(replicas as u32),
            incarnation: LIFE,
            created_at_ms: 0,
            state: CollectionState::Live,
            shards: vec![shard],
            field_indexes: Vec::new(),
        };
        self.catalog.change(|view| view.collections.push(collection));
        for worker in 1..=replicas {
            self.until_ready(worker, SHARD);
        }
    }

    pub fn until_ready(&mut self, worker: u64, shard: ShardId) {
        self.until(&format!("worker {worker} serves shard {shard}"), |w| {
            w.phase(worker, shard) == Some(ShardPhase::Ready)
        });
    }

    pub fn phase(&self, worker: u64, shard: ShardId) -> Option<ShardPhase> {
        self.catalog.report_of(WorkerId(worker), shard).map(|report| report.phase)
    }

    /// The worker that leads the shard now, asked of itself.
    pub fn leader(&self, shard: ShardId) -> Option<u64> {
        let led = |node: &Node| {
            let status = node.handle.status(shard.group())?;
            (status.role == vectron_consensus::Role::Leader).then_some(status.term)
        };
        let leads = self.nodes.iter().filter_map(|(id, node)| Some((led(node)?, *id)));
        leads.max().map(|(_, id)| id)
    }

    pub fn until_led(&mut self, shard: ShardId) -> u64 {
        self.until("somebody leads", |w| w.leader(shard).is_some());
        self.leader(shard).expect("a leader")
    }

    pub fn group(&self, worker: u64, shard: ShardId) -> Option<vectron_consensus::GroupStatus> {
        self.nodes[&worker].handle.status(shard.group())
    }

    pub fn store(&self, worker: u64, shard: ShardId) -> Option<Arc<Store>> {
        self.nodes[&worker].host.serving().into_iter().find(|h| h.id() == shard).map(|h| h.shard.clone())
    }

    pub fn target(&self, shard: ShardId) -> Target {
        Target { shard, incarnation: LIFE, epoch: self.catalog.shard(shard).epoch }
    }

    /// Asks one worker to write.
    pub fn try_write(
        &mut self,
        worker: u64,
        target: Target,
        operation: WriteOperation,
    ) -> Result<ShardWritten, Fault> {
        let host = self.nodes[&worker].host.clone();
        let request = ShardWrite { target, idempotency: None, operation, timeout_ms: 5000 };
        self.run(async move { host.write(request).await })
    }

    /// Writes points to whoever leads, again and again until that succeeds.
    pub fn write(&mut self, numbers: impl Iterator<Item = u64>) -> ShardWritten {
        let points: Vec<UpsertPoint> = numbers.map(point).collect();
        self.write_operation(SHARD, WriteOperation::Upsert(points))
    }

    pub fn write_operation(&mut self, shard: ShardId, operation: WriteOperation) -> ShardWritten {
        for _ in 0..200 {
            let leader = self.until_led(shard);
            let target = self.target(shard);
            if let Ok(written) = self.try_write(leader, target, operation.clone()) {
                return written;
            }
            self.pass(Duration::from_millis(50));
        }
        panic!("nobody takes a write");
    }

    /// Asks one worker for a point.
    pub fn get(
        &mut self,
        worker: u64,
        target: Target,
        read: ReadLevel,
        id: &str,
    ) -> Result<ShardRead<Vec<Option<PointRecord>>>, Fault> {
        let host = self.nodes[&worker].host.clone();
        let include = Include { payload: true, vector: false };
        let request = ShardGet { target, read, ids: vec![id.into()], include, timeout_ms: 5000 };
        self.run(async move { host.get(request).await })
    }

    pub fn count(&mut self, worker: u64, target: Target, read: ReadLevel) -> Result<u64, Fault> {
        let host = self.nodes[&worker].host.clone();
        let request = ShardCount { target, read, filter: None, timeout_ms: 5000 };
        self.run(async move { host.count(request).await }).map(|read| read.value.count)
    }

    /// Waits until the workers' replicas of the shard have applied the same, and holds them to the same digest.
    pub fn assert_equal(&mut self, shard: ShardId, workers: &[u64]) -> u128 {
        let states = |w: &World| -> Option<Vec<(u64, u128)>> {
            let state = |worker: &u64| {
                w.store(*worker, shard).map(|s| s.digest()).map(|read| (read.applied_index, read.value))
            };
            workers.iter().map(state).collect()
        };
        let level = |states: &[(u64, u128)]| states.windows(2).all(|pair| pair[0].0 == pair[1].0);
        self.until("replicas are level", |w| states(w).is_some_and(|states| level(&states)));
        let states = states(self).expect("stores");
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "{states:?}");
        states[0].1
    }
}
