//! The rooms of one process, wired to each other over whatever seams they are given: real ones in production,
//! seeded ones in simulation. Between rooms of one process every call is a function call.

use crate::peers::AddressBook;
use crate::settings::Settings;
use crate::topology::Topology;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::Clock;
use vectron_base::disk::{Disk, DiskError, DiskFailure, replace_file};
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::metric::{Registry, open_metrics_text, prometheus_text};
use vectron_base::pool::Pool;
use vectron_base::random::{Random, mix64};
use vectron_consensus::Handle;
use vectron_gateway::{AdminSources, Gateway, GatewayMetrics};
use vectron_placement::catalog::SharedCatalog;
use vectron_placement::{PlacementMetrics, serve as placement};
use vectron_wire::connections::{Dialer, PlacementConnections, PlacementWaits, WorkerConnections};
use vectron_wire::placement::{Placement, Registration};
use vectron_wire::worker::Worker;
use vectron_worker::{Host, WorkerMetrics};

/// The outside world, as the rooms see it.
#[derive(Clone)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Tasks and lanes.
    pub pool: Arc<dyn Pool>,
}

/// Why the rooms could not be raised.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The data directory cannot be used.
    #[error("the data directory cannot be used: {0}")]
    Disk(#[from] DiskError),
    /// The data directory's identity file is damaged.
    #[error("the data directory's identity file '{IDENTITY}' is damaged; restore it from a backup")]
    Identity,
    /// The catalog cannot be opened.
    #[error("the catalog cannot be opened: {0}")]
    Catalog(String),
    /// The worker cannot start.
    #[error("the worker cannot start: {0}")]
    Worker(String),
}

/// The rooms of one process; those that its roles do not name are absent.
pub struct Rooms {
    /// The edge.
    pub gateway: Option<Arc<Gateway>>,
    /// The placement driver.
    pub placement: Option<Arc<placement::Service>>,
    /// The worker.
    pub worker: Option<Arc<Host>>,
    /// The replicated logs.
    pub consensus: Option<Handle>,
    /// Every metric of the process.
    pub registry: Arc<Registry>,
}

/// What the machine has, for the worker's registration.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Processor cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// The replicated logs of a process, the disk below them, and how their messages find the way.
#[derive(Clone)]
pub struct Logs {
    /// Storage below the data directory.
    pub disk: Arc<dyn Disk>,
    /// The logs. Whoever owns their driver must keep it turning while rooms are raised.
    pub consensus: Handle,
    /// Where replicas are reached.
    pub book: Arc<AddressBook>,
}

/// What a process is raised from.
pub struct Plan {
    /// The outside world.
    pub seams: Seams,
    /// How other processes are reached.
    pub dialer: Arc<dyn Dialer>,
    /// Its logs, if its roles hold any.
    pub logs: Option<Logs>,
    /// Its place.
    pub topology: Topology,
    /// Every knob.
    pub settings: Settings,
    /// The metrics so far.
    pub registry: Registry,
    /// What the machine has.
    pub capacity: Capacity,
    /// The operator's key; without one, anybody may do anything.
    pub admin_key: Option<String>,
}

impl Plan {
    /// One process that is everything and knows no other.
    pub fn alone(
        seams: Seams,
        disk: Arc<dyn Disk>,
        consensus: Handle,
        settings: Settings,
        capacity: Capacity,
    ) -> Self {
        Self {
            seams,
            dialer: Arc::new(Nobody),
            logs: Some(Logs { disk, consensus, book: Arc::default() }),
            topology: Topology::alone(),
            settings,
            registry: Registry::default(),
            capacity,
            admin_key: None,
        }
    }
}

/// Reaches no other process.
struct Nobody;

impl Dialer for Nobody {
    fn worker(&self, _: &str) -> Option<Arc<dyn Worker>> {
        None
    }

    fn placement(&self, _: &str) -> Option<Arc<dyn Placement>> {
        None
    }
}

/// File that names this data directory: one line `vectron-node 1 <worker id> <checksum>`.
const IDENTITY: &str = "identity";

/// Raises the rooms that the topology names.
pub async fn assemble(plan: Plan) -> Result<Rooms, AssemblyError> {
    let Plan { seams, dialer, logs, topology, settings, mut registry, capacity, admin_key } = plan;
    let roles = topology.roles;
    let placement_metrics = roles.placement.then(|| PlacementMetrics::register(&mut registry));
    let worker_metrics = roles.worker.then(|| WorkerMetrics::register(&mut registry));
    let gateway_metrics = roles.gateway.then(|| GatewayMetrics::register(&mut registry));
    let registry = Arc::new(registry);

    let mut own = None;
    if let (Some(logs), Some(metrics)) = (&logs, placement_metrics) {
        own = Some(open_placement(&seams, logs, &dialer, &topology, &settings, metrics).await?);
    }
    let placement = placement_of(&seams, &dialer, &topology, &settings, own.as_ref());
    let mut worker = None;
    let mut directories = Vec::new();
    if let (Some(logs), Some(metrics)) = (&logs, worker_metrics) {
        let others = Arc::new(WorkerConnections::new(dialer.clone(), None));
        directories.push(others.clone());
        let registration = Registration {
            worker: identity(&*logs.disk, &*seams.random)?,
            address: if topology.is_alone() { "local".into() } else { topology.address.clone() },
            locality: topology.locality.clone(),
            cores: capacity.cores,
            memory_bytes: capacity.memory_bytes,
            disk_bytes: logs.disk.space()?.total,
        };
        let host = Host::start(vectron_worker::Parts {
            registration,
            disk: logs.disk.clone(),
            consensus: logs.consensus.clone(),
            placement: placement.clone(),
            workers: others,
            peers: logs.book.workers.clone(),
            clock: seams.clock.clone(),
            random: seams.random.clone(),
            pool: seams.pool.clone(),
            knobs: settings.worker.clone(),
            store_knobs: settings.store.clone(),
            metrics,
        });
        worker = Some(host.map_err(|error| AssemblyError::Worker(error.to_string()))?);
    }
    let consensus = logs.as_ref().map(|logs| logs.consensus.clone());
    let mut gateway = None;
    if let Some(metrics) = gateway_metrics {
        let local = worker.as_ref().map(|host| (host.worker(), host.clone() as Arc<dyn Worker>));
        let workers = Arc::new(WorkerConnections::new(dialer, local));
        directories.push(workers.clone());
        gateway = Some(Gateway::new(vectron_gateway::Parts {
            placement: placement.clone(),
            workers,
            clock: seams.clock.clone(),
            random: seams.random.clone(),
            pool: seams.pool.clone(),
            knobs: settings.gateway.clone(),
            metrics,
            admin: admin_sources(&settings, registry.clone(), worker.clone(), consensus.clone()),
            admin_key,
        }));
    }
    if !topology.is_alone() {
        // Only members of the placement driver send messages to each other's catalogs.
        let book = logs.filter(|_| roles.placement).map(|logs| logs.book);
        let follower = follow(placement, directories, book, seams.pool.clone());
        seams.pool.spawn("addresses", Box::pin(follower));
    }
    Ok(Rooms { gateway, placement: own, worker, consensus, registry })
}

/// Keeps the addresses of other processes as the catalog has them.
async fn follow(
    placement: Arc<dyn Placement>,
    directories: Vec<Arc<WorkerConnections>>,
    book: Option<Arc<AddressBook>>,
    pool: Arc<dyn Pool>,
) {
    const PAUSE: Duration = Duration::from_millis(500);
    let mut known = 0;
    loop {
        match placement.watch(known).await {
            Ok(view) => {
                // An older view than one that was seen comes from a member that has just begun to lead.
                if view.epoch >= known {
                    known = view.epoch;
                    directories.iter().for_each(|directory| directory.update(&view));
                    // Members that were added later are known to the catalog alone.
                    if let Some(book) = &book
                        && let Ok(cluster) = placement.cluster().await
                    {
                        book.note_drivers(cluster.members.into_iter().map(|m| (m.replica, m.address)));
                    }
                }
            }
            // Addresses that were seen before go on being used.
            Err(_) => pool.sleep(PAUSE).await,
        }
    }
}

/// How long calls to the placement driver take.
pub fn placement_waits(settings: &Settings) -> PlacementWaits {
    PlacementWaits {
        call: Duration::from_millis(settings.node.call_timeout_ms),
        watch: Duration::from_millis(settings.placement.watch_timeout_ms + settings.node.call_timeout_ms),
        pause: Duration::from_millis(100),
    }
}

/// The placement driver as this process asks it: a function call where it is the only member.
fn placement_of(
    seams: &Seams,
    dialer: &Arc<dyn Dialer>,
    topology: &Topology,
    settings: &Settings,
    own: Option<&Arc<placement::Service>>,
) -> Arc<dyn Placement> {
    match own {
        Some(own) if topology.drivers.len() <= 1 && !topology.joins => own.clone(),
        _ => {
            let dialer: Arc<dyn Dialer> = match own {
                Some(own) => Arc::new(OwnMember {
                    address: topology.address.clone(),
                    own: own.clone(),
                    others: dialer.clone(),
                }),
                None => dialer.clone(),
            };
            let (clock, pool) = (seams.clock.clone(), seams.pool.clone());
            let addresses = topology.driver_addresses();
            Arc::new(PlacementConnections::new(dialer, addresses, clock, pool, placement_waits(settings)))
        }
    }
}

/// Reaches the member of the placement driver in this process by a function call.
struct OwnMember {
    address: String,
    own: Arc<placement::Service>,
    others: Arc<dyn Dialer>,
}

impl Dialer for OwnMember {
    fn worker(&self, address: &str) -> Option<Arc<dyn Worker>> {
        self.others.worker(address)
    }

    fn placement(&self, address: &str) -> Option<Arc<dyn Placement>> {
        if address == self.address { Some(self.own.clone()) } else { self.others.placement(address) }
    }
}

async fn open_placement(
    seams: &Seams,
    logs: &Logs,
    dialer: &Arc<dyn Dialer>,
    topology: &Topology,
    settings: &Settings,
    metrics: PlacementMetrics,
) -> Result<Arc<placement::Service>, AssemblyError> {
    let catalog_error = |error: String| AssemblyError::Catalog(error);
    let catalog = SharedCatalog::open(logs.disk.clone(), metrics.clone())
        .map_err(|error| catalog_error(error.to_string()))?;
    logs.book.follow_catalog(catalog.clone());
    let member = topology.driver.unwrap_or(ReplicaId(1));
    let mut first: Vec<(ReplicaId, String)> = topology.drivers.clone().into_iter().collect();
    first.retain(|(replica, _)| !topology.joins || *replica != member);
    let mut membership = placement::Membership::alone();
    if !first.is_empty() {
        let addresses = first.iter().filter(|(replica, _)| *replica != member);
        let others: Vec<String> = addresses.map(|(_, address)| address.clone()).collect();
        let leader = (!others.is_empty()).then(|| {
            let (clock, pool, waits) = (seams.clock.clone(), seams.pool.clone(), placement_waits(settings));
            Arc::new(PlacementConnections::new(dialer.clone(), others, clock, pool, waits))
                as Arc<dyn Placement>
        });
        membership = placement::Membership { member, first, leader };
    }
    let voters: Vec<ReplicaId> = membership.first.iter().map(|(replica, _)| *replica).collect();
    let leader = membership.leader.as_ref();
    placement::open(&logs.consensus, &catalog, &seams.pool, member, &voters, leader)
        .await
        .map_err(|error| catalog_error(error.to_string()))?;
    if topology.is_alone() {
        // The log behind the checkpoint must be applied before anybody reads the catalog. Where there are other
        // members, only the one that leads answers, and it waits for that itself.
        let applied = logs.consensus.barrier(GroupId::CATALOG).await;
        applied.map_err(|error| catalog_error(error.to_string()))?;
    }
    Ok(placement::Service::start(placement::Parts {
        catalog,
        consensus: logs.consensus.clone(),
        membership,
        clock: seams.clock.clone(),
        pool: seams.pool.clone(),
        knobs: settings.placement.clone(),
        metrics,
    }))
}

fn admin_sources(
    settings: &Settings,
    registry: Arc<Registry>,
    worker: Option<Arc<Host>>,
    consensus: Option<Handle>,
) -> AdminSources {
    let (ready_worker, ready_log) = (worker.clone(), consensus.clone());
    AdminSources {
        metrics_text: Arc::new(
            move |open| {
                if open { open_metrics_text(&registry) } else { prometheus_text(&registry) }
            },
        ),
        knobs: settings.to_json(),
        ready: Arc::new(move || ready(ready_worker.as_deref(), ready_log.as_ref())),
        stats: Arc::new(move || {
            let journal = consensus.as_ref().map(Handle::journal).unwrap_or_default();
            let hosted = worker.as_ref().map(|worker| worker.serving()).unwrap_or_default();
            let shards: Vec<_> = hosted.iter().map(|h| (h.id(), h.shard.stats())).collect();
            serde_json::json!({
                "shards": shards.len(),
                "points": shards.iter().map(|(_, s)| s.points).sum::<u64>(),
                "index_lag": shards.iter().map(|(_, s)| s.pending).sum::<u64>(),
                "disk_bytes": shards.iter().map(|(_, s)| s.disk_bytes).sum::<u64>(),
                "memory_bytes": shards.iter().map(|(_, s)| s.memory_bytes).sum::<u64>(),
                "journal_bytes": journal.bytes,
                "journal_segments": journal.segments,
                // Groups that keep the journal over its limit; a set-aside shard may be one for long.
                "journal_holders": journal.holders.iter().map(|group| group.0).collect::<Vec<_>>(),
                "journal_damage": journal.damage,
            })
        }),
    }
}

/// Whether a process with these parts can serve, or why not.
fn ready(worker: Option<&Host>, consensus: Option<&Handle>) -> Result<(), String> {
    if let Some(reason) = consensus.and_then(|log| log.journal().failed) {
        return Err(format!("the journal has stopped: {reason}"));
    }
    if worker.is_none_or(Host::ready) { Ok(()) } else { Err("shards are being opened".into()) }
}

impl Rooms {
    /// Whether the process can serve, or why not.
    pub fn ready(&self) -> Result<(), String> {
        match &self.gateway {
            Some(gateway) => gateway.ready(),
            None => ready(self.worker.as_deref(), self.consensus.as_ref()),
        }
    }

    /// Hands leaderships over, and writes last checkpoints, so that the next start is short. Requests must have
    /// ended before; other processes must still reach this one.
    pub async fn stop(&self) {
        if let Some(worker) = &self.worker {
            worker.stop().await;
        }
        if let Some(placement) = &self.placement {
            placement.checkpoint().await;
        }
    }
}

/// The worker identity of a data directory, drawn at its first use.
fn identity(disk: &dyn Disk, random: &dyn Random) -> Result<WorkerId, AssemblyError> {
    match disk.read(IDENTITY) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let number = text.strip_prefix("vectron-node 1 ").and_then(|rest| rest.split(' ').next());
            let id = WorkerId(number.and_then(|n| n.parse().ok()).ok_or(AssemblyError::Identity)?);
            // A flipped digit would be another valid number, and every shard on this disk a stranger's.
            if text == identity_line(id) { Ok(id) } else { Err(AssemblyError::Identity) }
        }
        Err(error) if error.failure == DiskFailure::NotFound => {
            // Kept below 2^53, so that it survives JSON readers that know only doubles.
            let id = WorkerId((random.next_u64() >> 11).max(1));
            replace_file(disk, IDENTITY, identity_line(id).as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(error.into()),
    }
}

fn identity_line(id: WorkerId) -> String {
    format!("vectron-node 1 {id} {:016x}\n", mix64(id.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::disk::sim::SimDisk;
    use vectron_base::random::SeededRandom;

    #[test]
    fn an_identity_stays_and_no_flipped_bit_makes_another() {
        let (disk, random) = (SimDisk::new(1), SeededRandom::new(1));
        let id = identity(&disk, &random).unwrap();
        assert_eq!(identity(&disk, &random).unwrap(), id);
        for bit in 0..disk.read(IDENTITY).unwrap().len() as u64 * 8 {
            disk.flip_bit(IDENTITY, bit);
            assert!(identity(&disk, &random).is_err(), "bit {bit}");
            disk.flip_bit(IDENTITY, bit);
        }
    }
}
