//! A whole cluster in one thread: production placement driver, workers and gateways on simulated machines.
//!
//! The cluster turns one event at a time: a task that can run, else whatever is due first of timers, messages and
//! turns of the nodes' logs. After each turn the invariants look at what changed.

mod clients;
mod nemesis;
mod node;
mod operator;
mod scenario;
mod start;
pub(crate) mod token;

pub use clients::Workload;
pub use nemesis::{Mischief, Nemesis};
pub use node::{Node, Role};
pub use scenario::{Outcome, Scenario, run};
pub use start::{node_of, worker_on};

use crate::check::Violation;
use crate::executor::{Executor, NodeId, WORLD};
use crate::invariants::{Invariants, ReplicaState};
use crate::network::{Connections, Network, RemoteGateway};
use parking_lot::Mutex;
use start::{Directory, drivers};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vectron::assembly::placement_waits;
use vectron::settings::Settings;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::{GroupId, ShardId};
use vectron_base::random::{Random, SeededRandom};
use vectron_gateway::api;
use vectron_wire::connections::{Dialer, PlacementConnections};
use vectron_wire::placement::{CatalogView, Placement};
use vectron_wire::worker::Worker;

/// The nodes of the placement driver.
pub const PLACEMENT: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// Wall time at the start of every cluster, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// The least time between work that arrives at a node's logs and the turn that does it.
const TURN_MIN_US: u64 = 50;

/// Where a deliberately broken variant can be put in: between rooms, disk and network. Every hook's default passes
/// on what it is given.
pub trait Flaws: Send + Sync {
    /// The disk of a node as its process sees it.
    fn disk(&self, _node: NodeId, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        disk
    }
    /// The disk that a node has after a power loss, if it is another one.
    fn disk_after_power_loss(&self, _node: NodeId, _disk: &SimDisk) -> Option<SimDisk> {
        None
    }
    /// What answers for a worker on the network.
    fn worker(&self, _node: NodeId, worker: Arc<vectron_worker::Host>) -> Arc<dyn Worker> {
        worker
    }
    /// How a node reaches the others.
    fn dialer(&self, _node: NodeId, dialer: Arc<dyn Dialer>) -> Arc<dyn Dialer> {
        dialer
    }
    /// A message between logs.
    fn message(&self, _from: NodeId, _to: NodeId, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
    /// A gateway's answer to a search.
    fn searched(&self, answer: api::SearchResponse) -> api::SearchResponse {
        answer
    }
}

/// Nothing is broken.
pub struct Sound;

impl Flaws for Sound {}

/// How many of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Workers.
    pub workers: u32,
    /// Gateways.
    pub gateways: u32,
}

/// A cluster.
pub struct Cluster {
    /// All machines.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Between them.
    pub network: Network,
    /// What runs everything.
    pub executor: Executor,
    /// What must hold at every step.
    pub invariants: Invariants,
    time: Arc<ManualClock>,
    random: Arc<SeededRandom>,
    settings: Settings,
    directory: Arc<Directory>,
    /// What operators ask, from outside.
    placement: Arc<dyn Placement>,
    flaws: Arc<dyn Flaws>,
    /// Nodes that lost power by themselves, at a chosen disk operation.
    dark: Vec<NodeId>,
}

impl Cluster {
    /// A cluster whose nodes are all on.
    pub fn new(seed: u64, shape: Shape, settings: Settings, flaws: Arc<dyn Flaws>) -> Self {
        let time = Arc::new(ManualClock::starting_at(EPOCH_MS));
        let executor = Executor::new(time.clone(), seed);
        let network = Network::new(executor.clone(), seed ^ 0x6e65_7477);
        let placement = PLACEMENT.into_iter().map(|id| (id, Role::Placement));
        let workers = (0..shape.workers).map(|n| (NodeId(10 + n), Role::Worker));
        let gateways = (0..shape.gateways).map(|n| (NodeId(50 + n), Role::Gateway));
        let nodes = placement.chain(workers).chain(gateways);
        let nodes: BTreeMap<NodeId, Node> = nodes.map(|(id, role)| (id, Node::new(id, role, seed))).collect();
        let rooms = nodes.iter().map(|(id, node)| (*id, node.rooms.clone())).collect();
        let directory = Arc::new(Directory { rooms });
        let dialer = Connections::new(network.clone(), WORLD, directory.clone());
        let placement = Arc::new(PlacementConnections::new(
            Arc::new(dialer),
            drivers().into_values().collect(),
            time.clone(),
            Arc::new(executor.clone()),
            placement_waits(&settings),
        ));
        let mut cluster = Self {
            nodes,
            network,
            executor,
            invariants: Invariants::default(),
            time,
            random: Arc::new(SeededRandom::new(seed ^ 0x636c_7573)),
            settings,
            directory,
            placement,
            flaws,
            dark: Vec::new(),
        };
        for id in cluster.ids() {
            cluster.start(id);
        }
        cluster
    }

    /// All nodes.
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// All nodes of a role.
    pub fn of_role(&self, role: Role) -> Vec<NodeId> {
        self.nodes.values().filter(|node| node.role == role).map(|node| node.id).collect()
    }

    /// Virtual time.
    pub fn now(&self) -> Tick {
        self.time.now()
    }

    /// Seeded choices of whoever drives the cluster.
    pub fn random(&self) -> &SeededRandom {
        &self.random
    }

    /// A client's connection to a gateway.
    pub fn gateway(&self, from: NodeId, to: NodeId) -> RemoteGateway {
        let rooms = self.nodes.get(&to).map(|node| node.rooms.clone()).unwrap_or_default();
        RemoteGateway::new(self.network.clone(), from, to, Arc::new(move || rooms.lock().gateway.clone()))
    }

    /// The placement driver as operators reach it.
    pub fn placement(&self) -> Arc<dyn Placement> {
        self.placement.clone()
    }

    /// The catalog as the placement driver has it, if it answers.
    pub fn catalog(&mut self) -> Option<Arc<CatalogView>> {
        let placement = self.placement();
        self.run_until_done(Duration::from_secs(20), async move { placement.watch(0).await.ok() }).flatten()
    }

    /// The member of the placement driver that leads, if one does.
    pub fn leading_driver(&self) -> Option<NodeId> {
        let leads = |node: &&Node| {
            let status = node.handle().and_then(|handle| handle.status(GroupId::CATALOG));
            status.is_some_and(|status| status.role == vectron_consensus::Role::Leader)
        };
        PLACEMENT.iter().filter_map(|id| self.nodes.get(id)).find(leads).map(|node| node.id)
    }

    /// Nodes that lost power amid a disk operation since the last call.
    pub fn take_dark(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.dark)
    }

    /// What went wrong so far.
    pub fn violations(&self) -> &[Violation] {
        self.invariants.violations()
    }

    /// Runs for so much virtual time.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now().plus(duration);
        while self.step(until) {}
    }

    /// Runs until `future` is done, at most so long.
    pub fn run_until_done<T: Send + 'static>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (slot, done) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (fill, set) = (slot.clone(), done.clone());
        self.executor.on(WORLD, None).spawn_task(Box::pin(async move {
            let value = future.await;
            *fill.lock() = Some(value);
            set.store(true, Ordering::SeqCst);
        }));
        let until = self.now().plus(limit);
        while !done.load(Ordering::SeqCst) && self.step(until) {}
        slot.lock().take()
    }

    /// One step, none of it after `until`; false when `until` has come.
    fn step(&mut self, until: Tick) -> bool {
        if let Some(node) = self.executor.step_task() {
            self.poke(node);
            return true;
        }
        let timer = self.executor.next_timer().unwrap_or(Tick(u64::MAX));
        let (turn, turning) = self.next_turn();
        let due = timer.min(turn);
        if due > until {
            self.executor.advance_to(until);
            return false;
        }
        for node in self.executor.advance_to(due) {
            self.poke(node);
        }
        if turn <= due
            && let Some(node) = turning
        {
            self.turn(node);
        }
        true
    }

    fn next_turn(&self) -> (Tick, Option<NodeId>) {
        let turns = self.nodes.values().filter_map(|node| {
            let logs = node.life.as_ref()?.logs.as_ref()?;
            (!self.executor.is_paused(node.id)).then_some((logs.turn_at, Some(node.id)))
        });
        turns.min_by_key(|(at, node)| (*at, *node)).unwrap_or((Tick(u64::MAX), None))
    }

    /// A node's logs may have work: they turn as soon as its disk has done what it takes.
    fn poke(&mut self, id: NodeId) {
        let now = self.time.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(logs) = node.life.as_mut().and_then(|life| life.logs.as_mut()) else { return };
        let soonest = now.plus(Duration::from_micros(TURN_MIN_US));
        if logs.turn_at > soonest.plus(Duration::from_micros(node.disk_us)) {
            let takes = Duration::from_micros(self.random.below(node.disk_us));
            logs.turn_at = soonest.plus(takes);
        }
        if node.disk.power_lost() {
            self.go_dark(id);
        }
    }

    fn go_dark(&mut self, id: NodeId) {
        self.lose_power(id);
        self.dark.push(id);
    }

    fn turn(&mut self, id: NodeId) {
        let now = self.time.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(life) = node.life.as_mut() else { return };
        let Some(logs) = life.logs.as_mut() else { return };
        let turn = logs.driver.turn();
        self.executor.note(u64::from(id.0) << 32 ^ now.0);
        let wait = if turn.worked {
            Duration::from_micros(TURN_MIN_US + self.random.below(node.disk_us))
        } else {
            life.clock.virtual_duration(turn.next_tick.since(life.clock.now()))
        };
        logs.turn_at = now.plus(wait.max(Duration::from_micros(1)));
        if node.disk.power_lost() {
            self.go_dark(id);
        } else if turn.worked {
            self.observe(id);
        }
    }

    /// Shows the invariants what a node holds.
    fn observe(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let (Some(handle), Some(host)) = (node.handle(), node.host()) else { return };
        for hosted in host.serving() {
            let Some(status) = handle.status(hosted.group()) else { continue };
            let digest = hosted.shard.digest();
            self.invariants.see(&ReplicaState {
                node: id,
                life: node.lives,
                shard: hosted.id(),
                status: &status,
                applied: digest.applied_index,
                digest: digest.value,
            });
        }
    }

    /// Every replica that is served now, by shard.
    pub fn replicas(&self) -> BTreeMap<ShardId, Vec<NodeId>> {
        let mut replicas: BTreeMap<ShardId, Vec<NodeId>> = BTreeMap::new();
        for node in self.nodes.values() {
            for hosted in node.host().iter().flat_map(|host| host.serving()) {
                replicas.entry(hosted.id()).or_default().push(node.id);
            }
        }
        replicas
    }
}
