//! The rooms of one process, wired to each other over whatever seams they are given: real ones in production,
//! seeded ones in simulation. In one process every call between rooms is a function call.

use crate::settings::Settings;
use std::sync::Arc;
use vectron_base::clock::Clock;
use vectron_base::disk::{Disk, DiskError, DiskFailure, replace_file};
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::metric::{Registry, open_metrics_text, prometheus_text};
use vectron_base::pool::Pool;
use vectron_base::random::{Random, mix64};
use vectron_consensus::{GroupConfig, Handle};
use vectron_gateway::{AdminSources, Gateway, GatewayMetrics};
use vectron_placement::catalog::SharedCatalog;
use vectron_placement::{PlacementMetrics, serve as placement};
use vectron_wire::placement::Registration;
use vectron_wire::worker::{Worker, WorkerDirectory};
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
    /// The other processes.
    pub network: Arc<dyn Network>,
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

/// File that names this data directory: one line `vectron-node 1 <worker id> <checksum>`.
const IDENTITY: &str = "identity";

/// Raises the rooms that the topology names.
pub async fn assemble(plan: Plan) -> Result<Rooms, AssemblyError> {
    let Plan { seams, network, logs, topology, settings, mut registry, capacity, admin_key } = plan;
    let roles = topology.roles;
    let placement_metrics = roles.placement.then(|| PlacementMetrics::register(&mut registry));
    let worker_metrics = roles.worker.then(|| WorkerMetrics::register(&mut registry));
    let gateway_metrics = roles.gateway.then(|| GatewayMetrics::register(&mut registry));
    let registry = Arc::new(registry);

    let mut own = None;
    if let (Some(logs), Some(metrics)) = (&logs, placement_metrics) {
        own = Some(open_placement(&seams, logs, &network, &topology, &settings, metrics).await?);
    }
    let placement = placement_of(&seams, &network, &topology, own.clone());
    let workers = Directory::new(network.clone());
    let mut worker = None;
    if let (Some(logs), Some(metrics)) = (&logs, worker_metrics) {
        let registration = Registration {
            worker: identity(&*logs.disk, &*seams.random)?,
            address: topology.address.clone(),
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
            workers: workers.clone(),
            clock: seams.clock.clone(),
            pool: seams.pool.clone(),
            knobs: settings.worker.clone(),
            store_knobs: settings.store.clone(),
            metrics,
        })
        .map_err(|error| AssemblyError::Worker(error.to_string()))?;
        workers.set_own(host.worker(), host.clone());
        worker = Some(host);
    }
    if !topology.is_alone() {
        let book = logs.as_ref().map(|logs| (logs.book.clone(), logs.disk.clone()));
        let follower = follow(placement.clone(), workers.clone(), book, seams.pool.clone());
        seams.pool.spawn("addresses", Box::pin(follower));
    }
    let consensus = logs.map(|logs| logs.consensus);
    let gateway = gateway_metrics.map(|metrics| {
        Gateway::new(vectron_gateway::Parts {
            placement,
            workers,
            clock: seams.clock.clone(),
            random: seams.random.clone(),
            pool: seams.pool.clone(),
            knobs: settings.gateway.clone(),
            metrics,
            admin: admin_sources(&settings, registry.clone(), worker.clone(), consensus.clone()),
            admin_key,
        })
    });
    Ok(Rooms { gateway, placement: own, worker, consensus, registry })
}

/// The placement driver as this process asks it: a function call where it is the only member.
fn placement_of(
    seams: &Seams,
    network: &Arc<dyn Network>,
    topology: &Topology,
    own: Option<Arc<placement::Service>>,
) -> Arc<dyn Placement> {
    match own {
        Some(own) if topology.drivers.len() <= 1 => own,
        own => {
            let mut members = Members::new(seams.clock.clone(), seams.pool.clone());
            for (replica, address) in &topology.drivers {
                match &own {
                    Some(own) if topology.driver == Some(*replica) => members.add(address, own.clone()),
                    _ => members.add(address, network.placement(address)),
                }
            }
            Arc::new(members)
        }
    }
}

async fn open_placement(
    seams: &Seams,
    logs: &Logs,
    network: &Arc<dyn Network>,
    topology: &Topology,
    settings: &Settings,
    metrics: PlacementMetrics,
) -> Result<Arc<placement::Service>, AssemblyError> {
    todo!()
}

fn admin_sources(
    settings: &Settings,
    registry: Arc<Registry>,
    worker: &Arc<Host>,
    consensus: &Handle,
) -> AdminSources {
    let (ready_worker, stats_worker) = (worker.clone(), worker.clone());
    let (ready_log, stats_log) = (consensus.clone(), consensus.clone());
    AdminSources {
        metrics_text: Arc::new(
            move |open| {
                if open { open_metrics_text(&registry) } else { prometheus_text(&registry) }
            },
        ),
        knobs: settings.to_json(),
        ready: Arc::new(move || {
            if let Some(reason) = ready_log.journal().failed {
                return Err(format!("the journal has stopped: {reason}"));
            }
            if ready_worker.ready() { Ok(()) } else { Err("shards are being opened".into()) }
        }),
        stats: Arc::new(move || {
            let journal = stats_log.journal();
            let shards: Vec<_> = stats_worker.serving().iter().map(|h| (h.id(), h.shard.stats())).collect();
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

impl Rooms {
    /// Writes last checkpoints, so that the next start is short. Requests must have ended before.
    pub async fn stop(&self) {
        self.worker.stop().await;
        self.placement.checkpoint().await;
    }
}

/// The one worker of this process.
struct LocalWorker {
    id: WorkerId,
    worker: Arc<Host>,
}

impl WorkerDirectory for LocalWorker {
    fn worker(&self, id: WorkerId) -> Option<Arc<dyn Worker>> {
        (id == self.id).then(|| self.worker.clone() as Arc<dyn Worker>)
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
