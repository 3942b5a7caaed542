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
use vectron_wire::placement::{Locality, Registration};
use vectron_wire::worker::{Worker, WorkerDirectory};
use vectron_worker::{Host, WorkerMetrics};

/// The outside world, as the rooms see it.
#[derive(Clone)]
pub struct Seams {
    /// Storage below the data directory.
    pub disk: Arc<dyn Disk>,
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

/// The rooms of one process.
pub struct Rooms {
    /// The edge.
    pub gateway: Arc<Gateway>,
    /// The placement driver.
    pub placement: Arc<placement::Service>,
    /// The worker.
    pub worker: Arc<Host>,
    /// The replicated logs.
    pub consensus: Handle,
}

/// What the machine has, for the worker's registration.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Processor cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// File that names this data directory: one line `vectron-node 1 <worker id> <checksum>`.
const IDENTITY: &str = "identity";

/// Raises placement driver, worker and gateway. `registry` comes with the consensus metrics in it, and
/// whoever owns the consensus driver must keep it turning meanwhile.
pub async fn assemble(
    seams: &Seams,
    consensus: Handle,
    settings: &Settings,
    mut registry: Registry,
    capacity: Capacity,
    admin_key: Option<String>,
) -> Result<Rooms, AssemblyError> {
    let worker_id = identity(&*seams.disk, &*seams.random)?;
    let placement_metrics = PlacementMetrics::register(&mut registry);
    let worker_metrics = WorkerMetrics::register(&mut registry);
    let gateway_metrics = GatewayMetrics::register(&mut registry);

    let placement = open_placement(seams, &consensus, settings, placement_metrics).await?;
    let worker = Host::start(vectron_worker::Parts {
        registration: Registration {
            worker: worker_id,
            address: "local".into(),
            locality: Locality::default(),
            cores: capacity.cores,
            memory_bytes: capacity.memory_bytes,
            disk_bytes: seams.disk.space()?.total,
        },
        disk: seams.disk.clone(),
        consensus: consensus.clone(),
        placement: placement.clone(),
        clock: seams.clock.clone(),
        pool: seams.pool.clone(),
        knobs: settings.worker.clone(),
        store_knobs: settings.store.clone(),
        metrics: worker_metrics,
    })
    .map_err(|error| AssemblyError::Worker(error.to_string()))?;
    let gateway = Gateway::new(vectron_gateway::Parts {
        placement: placement.clone(),
        workers: Arc::new(LocalWorker { id: worker_id, worker: worker.clone() }),
        clock: seams.clock.clone(),
        random: seams.random.clone(),
        pool: seams.pool.clone(),
        knobs: settings.gateway.clone(),
        metrics: gateway_metrics,
        admin: admin_sources(settings, Arc::new(registry), &worker, &consensus),
        admin_key,
    });
    Ok(Rooms { gateway, placement, worker, consensus })
}

async fn open_placement(
    seams: &Seams,
    consensus: &Handle,
    settings: &Settings,
    metrics: PlacementMetrics,
) -> Result<Arc<placement::Service>, AssemblyError> {
    let catalog_error = |error: String| AssemblyError::Catalog(error);
    let catalog = SharedCatalog::open(seams.disk.clone(), metrics.clone())
        .map_err(|error| catalog_error(error.to_string()))?;
    // One process is a placement driver of one voter.
    let config = GroupConfig { group: GroupId::CATALOG, replica: ReplicaId(1), voters: vec![ReplicaId(1)] };
    consensus
        .open_group(config, Box::new(catalog.machine()))
        .await
        .map_err(|error| catalog_error(error.to_string()))?;
    // The log behind the checkpoint must be applied before anybody reads the catalog.
    consensus.barrier(GroupId::CATALOG).await.map_err(|error| catalog_error(error.to_string()))?;
    Ok(placement::Service::start(placement::Parts {
        catalog,
        consensus: consensus.clone(),
        clock: seams.clock.clone(),
        pool: seams.pool.clone(),
        knobs: settings.placement.clone(),
        metrics,
    }))
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
