//! Raising a node's process: the production assembly on simulated seams.

use super::node::{Life, Logs, Role, Rooms};
use super::{Cluster, PLACEMENT};
use crate::clock::NodeClock;
use crate::executor::NodeId;
use crate::network::{Connections, Residents, Tamper, Wires, address_of};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron::assembly::{self, Capacity, Plan, Seams, assemble};
use vectron::network::link_limits;
use vectron::peers::{AddressBook, PeerInbox, PeerOutbox};
use vectron::topology::{Roles, Topology};
use vectron_base::clock::Tick;
use vectron_base::disk::{Disk, replace_file};
use vectron_base::ids::{ReplicaId, WorkerId};
use vectron_base::metric::Registry;
use vectron_base::pool::Pool;
use vectron_base::random::{Random, SeededRandom, mix64};
use vectron_consensus::{ConsensusMetrics, Driver};
use vectron_wire::links::Links;
use vectron_wire::peer::Inbox;
use vectron_wire::placement::{Locality, Placement};
use vectron_wire::worker::Worker;

/// The rooms of every node.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) rooms: BTreeMap<NodeId, Arc<Mutex<Rooms>>>,
}

impl Residents for Directory {
    fn worker(&self, node: NodeId) -> Option<Arc<dyn Worker>> {
        self.rooms.get(&node)?.lock().worker.clone()
    }

    fn placement(&self, node: NodeId) -> Option<Arc<dyn Placement>> {
        self.rooms.get(&node)?.lock().placement.clone().map(|found| found as Arc<dyn Placement>)
    }
}

/// The node that a worker runs on: workers are numbered as their nodes are.
pub fn node_of(worker: WorkerId) -> NodeId {
    NodeId(worker.0 as u32)
}

/// The worker that runs on a node.
pub fn worker_on(node: NodeId) -> WorkerId {
    WorkerId(u64::from(node.0))
}

/// The members of the placement driver.
pub(super) fn drivers() -> BTreeMap<ReplicaId, String> {
    PLACEMENT.into_iter().map(|node| (ReplicaId(u64::from(node.0)), address_of(node))).collect()
}

fn topology(id: NodeId, role: Role) -> Topology {
    let roles = match role {
        Role::Placement => Roles::PLACEMENT,
        Role::Worker => Roles::WORKER,
        Role::Gateway => Roles::GATEWAY,
    };
    Topology {
        roles,
        address: address_of(id),
        drivers: drivers(),
        driver: (role == Role::Placement).then(|| ReplicaId(u64::from(id.0))),
        joins: false,
        locality: Locality::default(),
    }
}

/// Gives a worker's disk its node's number for an identity, where it has none, so that people find it again.
fn identify(disk: &dyn Disk, id: NodeId) -> bool {
    let worker = worker_on(id);
    let line = format!("vectron-node 1 {worker} {:016x}\n", mix64(worker.0));
    disk.exists("identity").unwrap_or(false) || replace_file(disk, "identity", line.as_bytes()).is_ok()
}

impl Cluster {
    /// Switches a node on. False when its disk has lost power meanwhile.
    pub fn start(&mut self, id: NodeId) -> bool {
        let (time, executor) = (self.time.clone(), self.executor.clone());
        let (network, settings) = (self.network.clone(), self.settings.clone());
        let (flaws, directory) = (self.flaws.clone(), self.directory.clone());
        let random = self.random.next_u64();
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.life.is_none()) else { return false };
        if node.role == Role::Worker && !identify(&node.disk, id) {
            return false;
        }
        node.lives += 1;
        // What a monotonic clock begins at tells nothing.
        let begins = Tick(random >> 20);
        let clock = Arc::new(NodeClock::new(time, begins, node.drift_ppm, node.wall_offset_ms));
        let pool = Arc::new(executor.on(id, Some(clock.clone())));
        let seams = Seams {
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(random)),
            pool: pool.clone() as Arc<dyn Pool>,
        };
        let mut registry = Registry::default();
        let (mut logs, mut held, mut inbox) = (None, None, None);
        if node.role != Role::Gateway {
            let disk = flaws.disk(id, Arc::new(node.disk.clone()));
            let opened = Driver::open(
                disk.clone(),
                seams.clock.clone(),
                seams.random.clone(),
                settings.consensus.clone(),
                ConsensusMetrics::register(&mut registry),
            );
            let Ok((driver, handle)) = opened else { return false };
            let book = Arc::new(AddressBook::new(drivers()));
            let tamper: Tamper = {
                let flaws = flaws.clone();
                Arc::new(move |from, to, bytes| flaws.message(from, to, bytes))
            };
            let wires = Arc::new(Wires::new(network.clone(), id, tamper));
            let links = Links::new(wires, seams.pool.clone(), link_limits(&settings));
            let outbox = PeerOutbox::new(book.clone(), links, &mut registry);
            let driver = driver.with_outbox(Box::new(outbox));
            inbox = Some(PeerInbox::new(handle.clone(), &mut registry));
            held = Some(assembly::Logs { disk, consensus: handle.clone(), book });
            logs = Some(Logs { driver, handle, turn_at: executor.now() });
        }
        node.life = Some(Life { clock, logs });
        let dialer = Arc::new(Connections::new(network.clone(), id, directory));
        let plan = Plan {
            seams,
            dialer: flaws.dialer(id, dialer),
            logs: held,
            topology: topology(id, node.role),
            settings,
            registry,
            capacity: Capacity { cores: 1, memory_bytes: 1 << 30 },
            admin_key: None,
        };
        let rooms = node.rooms.clone();
        pool.spawn_task(Box::pin(async move {
            let raised = assemble(plan).await;
            let mut rooms = rooms.lock();
            match raised {
                Ok(raised) => {
                    rooms.worker = raised.worker.clone().map(|host| flaws.worker(id, host));
                    rooms.host = raised.worker;
                    rooms.placement = raised.placement;
                    rooms.gateway = raised.gateway;
                }
                Err(error) => rooms.refused = Some(error.to_string()),
            }
        }));
        network.listen(id, move |_, bytes| {
            if let Some(inbox) = &inbox {
                inbox.receive(bytes);
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
