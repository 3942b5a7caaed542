//! One simulated machine: a disk that outlives its lives, a clock, and the process that runs on it now.

use crate::clock::NodeClock;
use crate::executor::NodeId;
use parking_lot::Mutex;
use std::sync::Arc;
use vectron_base::clock::Tick;
use vectron_base::disk::sim::SimDisk;
use vectron_consensus::{Driver, Handle};
use vectron_gateway::Gateway;
use vectron_placement::serve::Service;
use vectron_wire::worker::Worker;
use vectron_worker::Host;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A member of the placement driver.
    Placement,
    /// A worker.
    Worker,
    /// A gateway.
    Gateway,
}

/// The rooms of the process that runs on a node now: what others find when their calls arrive.
#[derive(Default)]
pub struct Rooms {
    /// Its placement driver.
    pub placement: Option<Arc<Service>>,
    /// Its worker,
    pub host: Option<Arc<Host>>,
    /// and what answers for it on the network.
    pub worker: Option<Arc<dyn Worker>>,
    /// Its gateway.
    pub gateway: Option<Arc<Gateway>>,
    /// Why it was not raised.
    pub refused: Option<String>,
}

/// One machine.
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// Its disk.
    pub disk: SimDisk,
    /// Its rooms, shared with those who find them.
    pub rooms: Arc<Mutex<Rooms>>,
    /// The process, while it is on.
    pub life: Option<Life>,
    /// Lives so far.
    pub lives: u64,
    /// Error of its clock's rate.
    pub drift_ppm: i64,
    /// Error of its wall clock.
    pub wall_offset_ms: i64,
    /// How long its disk takes at most for a turn of its logs, in microseconds.
    pub disk_us: u64,
}

/// One process.
pub struct Life {
    /// Its clock.
    pub clock: Arc<NodeClock>,
    /// Its logs, if it has any.
    pub logs: Option<Logs>,
}

/// The replicated logs of a process.
pub struct Logs {
    /// What turns.
    pub driver: Driver,
    /// What callers hold.
    pub handle: Handle,
    /// When it turns next, in virtual time.
    pub turn_at: Tick,
}

impl Node {
    /// A node that is off.
    pub fn new(id: NodeId, role: Role, seed: u64) -> Self {
        Self {
            id,
            role,
            disk: SimDisk::new(seed ^ u64::from(id.0) << 8),
            rooms: Arc::default(),
            life: None,
            lives: 0,
            drift_ppm: 0,
            wall_offset_ms: 0,
            disk_us: USUAL_DISK_US,
        }
    }

    /// The logs of the process that is on.
    pub fn handle(&self) -> Option<&Handle> {
        self.life.as_ref()?.logs.as_ref().map(|logs| &logs.handle)
    }

    /// The worker of the process that is on.
    pub fn host(&self) -> Option<Arc<Host>> {
        self.rooms.lock().host.clone()
    }
}

/// What a turn of the logs takes at most on a disk that is well.
pub const USUAL_DISK_US: u64 = 1_500;
