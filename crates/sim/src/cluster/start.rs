//! Raising a node's process: production rooms on simulated seams.

use super::node::{Life, Logs, Role, Rooms};
use super::{Cluster, Flaws};
use crate::clock::NodeClock;
use crate::executor::{Executor, NodeId};
use crate::network::{Network, RemotePlacement, RemoteWorker};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron::settings::Settings;
use vectron_base::clock::{Clock, Tick};
use vectron_base::disk::Disk;
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::metric::Registry;
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::{ConsensusMetrics, Driver, GroupConfig, Handle, Message, Outbox};
use vectron_gateway::{AdminSources, Gateway, GatewayMetrics};
use vectron_placement::catalog::SharedCatalog;
use vectron_placement::{PlacementMetrics, serve};
use vectron_wire::placement::{Locality, Placement, Registration};
use vectron_wire::worker::{Worker, WorkerDirectory};
use vectron_worker::{Host, WorkerMetrics};

/// Where replicas are reached, and what runs where.
#[derive(Default)]
pub(super) struct Directory {
    /// The rooms of each node.
    pub(super) rooms: BTreeMap<NodeId, Arc<Mutex<Rooms>>>,
    /// The node of each replica.
    pub(super) replicas: BTreeMap<(GroupId, ReplicaId), NodeId>,
}

/// The node that a worker runs on: workers are numbered as their nodes are.
pub fn node_of(worker: WorkerId) -> NodeId {
    NodeId(worker.0 as u32)
}

/// The seams of one life of a node.
struct Outside {
    disk: Arc<dyn Disk>,
    clock: Arc<NodeClock>,
    random: Arc<SeededRandom>,
    pool: Arc<Executor>,
}

/// The rooms of other nodes.
struct Others {
    placement: Arc<dyn Placement>,
    workers: Arc<dyn WorkerDirectory>,
}

impl Cluster {
    /// Switches a node on. False when its disk has lost power meanwhile.
    pub fn start(&mut self, id: NodeId) -> bool {
        let (time, executor) = (self.time.clone(), self.executor.clone());
        let (network, settings) = (self.network.clone(), self.settings.clone());
        let (flaws, directory) = (self.flaws.clone(), self.directory.clone());
        let random = self.random.next_u64();
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life.is_none()) else { return false };
        node.lives += 1;
        // What a monotonic clock begins at tells nothing.
        let begins = Tick(random >> 20);
        let clock = Arc::new(NodeClock::new(time, begins, node.drift_ppm, node.wall_offset_ms));
        let outside = Outside {
            disk: flaws.disk(id, Arc::new(node.disk.clone())),
            pool: Arc::new(executor.on(id, Some(clock.clone()))),
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(random)),
        };
        let logs = match node.role {
            Role::Gateway => None,
            Role::Placement | Role::Worker => {
                let opened = Driver::open(
                    outside.disk.clone(),
                    outside.clock.clone(),
                    outside.random.clone(),
                    settings.consensus.clone(),
                    ConsensusMetrics::default(),
                );
                let Ok((driver, handle)) = opened else { return false };
                let outbox = Post {
                    from: id,
                    network: network.clone(),
                    directory: directory.clone(),
                    flaws: flaws.clone(),
                };
                let driver = driver.with_outbox(Box::new(outbox));
                Some(Logs { driver, handle, turn_at: executor.now() })
            }
        };
        let handle = logs.as_ref().map(|logs| logs.handle.clone());
        node.life = Some(Life { clock, logs });
        let rooms = node.rooms.clone();
        match (node.role, handle.clone()) {
            (Role::Placement, Some(handle)) => raise_placement(outside, handle, &settings, rooms),
            (Role::Worker, Some(handle)) => {
                let placement = placement(id, &network, &directory);
                let workers = Arc::new(Connections { from: id, network: network.clone(), directory });
                raise_worker(id, outside, handle, &settings, Others { placement, workers }, &flaws, &rooms);
            }
            _ => {
                let placement = placement(id, &network, &directory);
                let workers = Arc::new(Connections { from: id, network: network.clone(), directory });
                rooms.lock().gateway = Some(gateway(outside, placement, workers, &settings));
            }
        }
        network.listen(id, move |_, bytes| {
            if let (Some(handle), Some(message)) = (&handle, Message::decode(bytes)) {
                handle.deliver(message);
            }
        });
        true
    }

    /// Ends a node's process at once; its disk keeps everything that was written.
    pub fn kill(&mut self, id: NodeId) {
        self.network.leave(id);
        self.executor.crash(id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let (life, rooms) = (node.life.take(), std::mem::take(&mut *node.rooms.lock()));
        drop((life, rooms));
        // What the rooms' destructors started belongs to nobody.
        self.executor.crash(id);
    }

    /// Cuts a node's power: its disk forgets what was not synced.
    pub fn lose_power(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get(&id) {
            node.disk.lose_power();
        }
        self.kill(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.disk.restart();
            if let Some(other) = self.flaws.disk_after_power_loss(id, &node.disk) {
                node.disk = other;
            }
        }
    }
}

/// Carries a process's Raft messages to the network.
struct Post {
    from: NodeId,
    network: Network,
    directory: Arc<Mutex<Directory>>,
    flaws: Arc<dyn Flaws>,
}

impl Outbox for Post {
    fn send(&mut self, message: Message) {
        let to = self.directory.lock().replicas.get(&(message.group(), message.to())).copied();
        if let Some(to) = to {
            let bytes = self.flaws.message(self.from, to, message.encode());
            self.network.send(self.from, to, bytes);
        }
    }
}

/// Connections from one node to all workers.
struct Connections {
    from: NodeId,
    network: Network,
    directory: Arc<Mutex<Directory>>,
}

impl WorkerDirectory for Connections {
    fn worker(&self, id: WorkerId) -> Option<Arc<dyn Worker>> {
        let rooms = self.directory.lock().rooms.get(&node_of(id))?.clone();
        let find = Arc::new(move || rooms.lock().worker.clone());
        Some(Arc::new(RemoteWorker::new(self.network.clone(), self.from, node_of(id), find)))
    }
}

fn placement(from: NodeId, network: &Network, directory: &Arc<Mutex<Directory>>) -> Arc<dyn Placement> {
    let to = super::PLACEMENT;
    let rooms = directory.lock().rooms.get(&to).cloned().unwrap_or_default();
    let find = Arc::new(move || rooms.lock().placement.clone().map(|found| found as Arc<dyn Placement>));
    Arc::new(RemotePlacement::new(network.clone(), from, to, find))
}

fn raise_placement(outside: Outside, consensus: Handle, settings: &Settings, rooms: Arc<Mutex<Rooms>>) {
    let Outside { disk, clock, pool, .. } = outside;
    let knobs = settings.placement.clone();
    let raising = {
        let pool = pool.clone();
        async move {
            let metrics = PlacementMetrics::default();
            let Ok(catalog) = SharedCatalog::open(disk, metrics.clone()) else { return };
            let (group, replica) = (GroupId::CATALOG, ReplicaId(1));
            let config = GroupConfig { group, replica, voters: vec![replica], start: None };
            if consensus.open_group(config, Box::new(catalog.machine())).await.is_err()
                || consensus.barrier(group).await.is_err()
            {
                return;
            }
            let membership = serve::Membership::alone();
            let parts = serve::Parts { catalog, consensus, membership, clock, pool, knobs, metrics };
            rooms.lock().placement = Some(serve::Service::start(parts));
        }
    };
    pool.spawn_task(Box::pin(raising));
}

fn raise_worker(
    id: NodeId,
    outside: Outside,
    consensus: Handle,
    settings: &Settings,
    others: Others,
    flaws: &Arc<dyn Flaws>,
    rooms: &Mutex<Rooms>,
) {
    let registration = Registration {
        worker: WorkerId(u64::from(id.0)),
        address: format!("node-{}", id.0),
        locality: Locality::default(),
        cores: 1,
        memory_bytes: 1 << 30,
        disk_bytes: 1 << 40,
    };
    let host = Host::start(vectron_worker::Parts {
        registration,
        disk: outside.disk,
        consensus,
        placement: others.placement,
        workers: others.workers,
        peers: Arc::default(),
        clock: outside.clock,
        random: outside.random,
        pool: outside.pool,
        knobs: settings.worker.clone(),
        store_knobs: settings.store.clone(),
        metrics: WorkerMetrics::register(&mut Registry::default()),
    });
    if let Ok(host) = host {
        let mut rooms = rooms.lock();
        rooms.worker = Some(flaws.worker(id, host.clone()));
        rooms.host = Some(host);
    }
}

fn gateway(
    outside: Outside,
    placement: Arc<dyn Placement>,
    workers: Arc<dyn WorkerDirectory>,
    settings: &Settings,
) -> Arc<Gateway> {
    let admin = AdminSources {
        metrics_text: Arc::new(|_| String::new()),
        knobs: serde_json::Value::Null,
        ready: Arc::new(|| Ok(())),
        stats: Arc::new(|| serde_json::Value::Null),
    };
    Gateway::new(vectron_gateway::Parts {
        placement,
        workers,
        clock: outside.clock as Arc<dyn Clock>,
        random: outside.random as Arc<dyn Random>,
        pool: outside.pool,
        knobs: settings.gateway.clone(),
        metrics: GatewayMetrics::default(),
        admin,
        admin_key: None,
    })
}
