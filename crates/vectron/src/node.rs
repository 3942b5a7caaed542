//! A running process: real seams under the assembled rooms, and a socket in front.

use crate::assembly::{AssemblyError, Capacity, Logs, Plan, Rooms, Seams, assemble};
use crate::internal::Services;
use crate::network;
use crate::peers::{AddressBook, PeerInbox, PeerOutbox};
use crate::runtime::{RuntimePool, cores};
use crate::settings::Settings;
use crate::topology::Topology;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::disk::{Disk, RealDisk};
use vectron_base::metric::Registry;
use vectron_base::random::{Random, SystemRandom};
use vectron_consensus::{ConsensusMetrics, Driver, Handle};
use vectron_wire::frames::FrameDialer;
use vectron_wire::grpc::dial::GrpcDialer;
use vectron_wire::grpc::key::ClusterKey;

/// How to start a process.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Where everything is kept; none for a process that keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// Where REST, gRPC and the pages are served, if it is a gateway.
    pub public: Option<SocketAddr>,
    /// Where the other processes of the cluster are served, if there are any.
    pub internal: Option<SocketAddr>,
    /// No authentication, said aloud. Only on loopback.
    pub open: bool,
    /// The key that every request must carry.
    pub admin_key: Option<String>,
    /// The key that processes of the cluster show to each other.
    pub cluster_key: Option<String>,
    /// Its place in the cluster.
    pub topology: Topology,
}

impl NodeOptions {
    /// One process that is everything.
    pub fn alone(data_dir: PathBuf, listen: SocketAddr, open: bool, admin_key: Option<String>) -> Self {
        Self {
            data_dir: Some(data_dir),
            public: Some(listen),
            internal: None,
            open,
            admin_key,
            cluster_key: None,
            topology: Topology::alone(),
        }
    }
}

/// Why a node did not start or stop, as a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Reachable from other machines without a key.
    #[error(
        "{0} is reachable from other machines, and no key is configured: give --admin-key-file FILE or set \
         VECTRON_ADMIN_KEY, or listen on 127.0.0.1"
    )]
    NeedsKey(SocketAddr),
    /// `--open` off loopback.
    #[error("--open means no authentication and is allowed on loopback only, not on {0}")]
    OpenOffLoopback(SocketAddr),
    /// `--open` with a key.
    #[error("--open means no authentication, but a key is configured too; choose one")]
    OpenWithKey,
    /// A key that is too easy to guess.
    #[error("the admin key has {0} characters; use at least 16")]
    WeakKey(usize),
    /// Other processes could reach the internal port without a key.
    #[error(
        "the internal port {0} is reachable from other machines, and no cluster key is configured: give the same \
         --cluster-key-file to every process, or listen on 127.0.0.1"
    )]
    NeedsClusterKey(SocketAddr),
    /// A cluster key that cannot be used.
    #[error("the cluster key {0}")]
    BadClusterKey(String),
    /// The socket cannot be bound.
    #[error("cannot listen on {0}: {1}; stop the other process or choose another --listen")]
    Listen(SocketAddr, std::io::Error),
    /// The data directory cannot be opened.
    #[error("cannot use data directory {0}: {1}")]
    DataDirectory(PathBuf, std::io::Error),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened: {0}")]
    Journal(String),
    /// A room could not be raised.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// Neither a public nor an internal address.
    #[error("the process has no address to serve at")]
    Nowhere,
    /// The operating system refused threads or sockets.
    #[error("the operating system refused: {0}")]
    System(#[from] std::io::Error),
}

/// A running process.
pub struct Node {
    address: SocketAddr,
    rooms: Arc<Rooms>,
    public: Option<JoinHandle<std::io::Result<()>>>,
    close_public: watch::Sender<bool>,
    internal: Option<JoinHandle<std::io::Result<()>>>,
    close_internal: watch::Sender<bool>,
    driver: Option<std::thread::JoinHandle<()>>,
}

/// How long a start waits for its shards before it says so anyway; readiness tells what is missing.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How long calls of other processes may take to end when this one stops.
const INTERNAL_GRACE: Duration = Duration::from_millis(500);

/// Shortest admin key, in characters.
const KEY_MIN_CHARS: usize = 16;

fn check_access(options: &NodeOptions) -> Result<(), StartError> {
    let check_key = |key: &String| match key.chars().count() {
        short if short < KEY_MIN_CHARS => Err(StartError::WeakKey(short)),
        _ => Ok(()),
    };
    match (options.internal, &options.cluster_key) {
        (Some(internal), None) if !internal.ip().is_loopback() => {
            return Err(StartError::NeedsClusterKey(internal));
        }
        _ => {}
    }
    let Some(public) = options.public else { return Ok(()) };
    let loopback = public.ip().is_loopback();
    match &options.admin_key {
        None if options.open && !loopback => Err(StartError::OpenOffLoopback(public)),
        None if !loopback => Err(StartError::NeedsKey(public)),
        Some(_) if options.open => Err(StartError::OpenWithKey),
        Some(key) => check_key(key),
        None => Ok(()),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

/// The replicated logs below the data directory, their driver's thread, and the way of their messages.
fn open_logs(
    data_dir: &Path,
    seams: &Seams,
    topology: &Topology,
    settings: &Settings,
    dialer: &Arc<GrpcDialer>,
    registry: &mut Registry,
) -> Result<(Logs, std::thread::JoinHandle<()>), StartError> {
    let opened = RealDisk::open(data_dir);
    let disk = opened.map_err(|error| StartError::DataDirectory(data_dir.to_path_buf(), error))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let metrics = ConsensusMetrics::register(registry);
    let (driver, consensus) = Driver::open(
        disk.clone(),
        seams.clock.clone(),
        seams.random.clone(),
        settings.consensus.clone(),
        metrics,
    )
    .map_err(|error| StartError::Journal(error.to_string()))?;
    let book = Arc::new(AddressBook::new(topology.drivers.clone()));
    let sender = seams.random.next_u64();
    let links = network::links(settings, &seams.pool, dialer.clone(), sender, registry);
    let outbox = PeerOutbox::new(book.clone(), links, registry);
    let driver = driver.with_outbox(Box::new(outbox));
    let thread = std::thread::Builder::new().name("vectron-log".into()).spawn(move || driver.run())?;
    Ok((Logs { disk, consensus, book }, thread))
}

impl Node {
    /// Opens the data directory, raises the rooms and starts to serve. Must be called on the runtime.
    pub async fn start(options: NodeOptions, settings: Settings) -> Result<Node, StartError> {
        check_access(&options)?;
        raise_descriptor_limit();
        let public = match options.public {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let internal = match options.internal {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let listener = public.as_ref().or(internal.as_ref());
        let address = listener.ok_or(StartError::Nowhere)?.local_addr()?;
        let seams = Seams {
            clock: Arc::new(SystemClock::new()) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom) as Arc<dyn Random>,
            pool: Arc::new(start_pool(&settings)?),
        };
        let key = options.cluster_key.as_deref().map(ClusterKey::parse).transpose();
        let key = key.map_err(StartError::BadClusterKey)?;
        let dialer = network::dialer(&settings, &seams.pool, key.clone());
        let mut registry = Registry::default();
        let mut driver = None;
        let mut logs = None;
        if let Some(data_dir) = &options.data_dir {
            let topology = &options.topology;
            let (opened, thread) = open_logs(data_dir, &seams, topology, &settings, &dialer, &mut registry)?;
            (logs, driver) = (Some(opened), Some(thread));
        }
        let inbox = logs.as_ref().map(|logs| PeerInbox::new(logs.consensus.clone(), &mut registry));
        let capacity = Capacity { cores: cores() as u32, memory_bytes: plan_memory(&settings) };
        let stopping = logs.as_ref().map(|logs| logs.consensus.clone());
        let limits = network::message_limits(&settings);
        let frames = network::frame_options(&settings);
        let pool = seams.pool.clone();
        let plan = Plan {
            seams,
            dialer: Arc::new(FrameDialer::new(dialer, frames)),
            logs,
            topology: options.topology,
            settings,
            registry,
            capacity,
            admin_key: options.admin_key,
        };
        let rooms = match assemble(plan).await {
            Ok(rooms) => Arc::new(rooms),
            Err(error) => {
                stopping.iter().for_each(Handle::stop);
                return Err(error.into());
            }
        };
        let (close_internal, closed) = watch::channel(false);
        let mut internal_door = None;
        if let (Some(listener), Some(inbox)) = (internal, inbox) {
            let services =
                Services { rooms: rooms.clone(), inbox: Arc::new(inbox), key, limits, frames, pool };
            internal_door = Some(services.serve(listener, closed));
        }
        let (close_public, mut closed) = watch::channel(false);
        let mut public_door = None;
        if let (Some(listener), Some(gateway)) = (public, rooms.gateway.clone()) {
            #[allow(clippy::disallowed_methods, reason = "the process's own serving task")]
            let serving = tokio::spawn(async move {
                vectron_gateway::serve(listener, gateway, async move {
                    // Either told to stop, or the node was dropped: stop in both cases.
                    let _ = closed.wait_for(|stop| *stop).await;
                })
                .await
            });
            public_door = Some(serving);
        }
        // Requests are answered meanwhile; the ready line waits for the shards.
        if let Some(worker) = &rooms.worker {
            worker.wait_ready(READY_PATIENCE).await;
        }
        Ok(Node {
            address,
            rooms,
            public: public_door,
            close_public,
            internal: internal_door,
            close_internal,
            driver,
        })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether every shard can serve.
    pub fn ready(&self) -> bool {
        self.rooms.worker.as_ref().is_none_or(|worker| worker.ready())
    }

    /// Stops accepting, finishes what was accepted, writes checkpoints, stops the logs.
    pub async fn stop(self) -> Result<(), StartError> {
        // The serving tasks may have ended on their own; then nobody listens.
        let _ = self.close_public.send(true);
        let mut served = futures::future::join_all(self.public).await;
        // A worker hands the groups over that it leads: other processes must still reach it meanwhile.
        self.rooms.stop().await;
        let _ = self.close_internal.send(true);
        if let Some(mut internal) = self.internal {
            // Streams of messages between processes have no end of their own.
            #[allow(clippy::disallowed_methods, reason = "the process's own serving task")]
            match tokio::time::timeout(INTERNAL_GRACE, &mut internal).await {
                Ok(ended) => served.push(ended),
                Err(_) => internal.abort(),
            }
        }
        if let Some(consensus) = &self.rooms.consensus {
            consensus.stop();
        }
        let driver = self.driver;
        #[allow(clippy::disallowed_methods, reason = "joins a thread at the end of the process")]
        let joined =
            tokio::task::spawn_blocking(move || driver.map_or(Ok(()), std::thread::JoinHandle::join)).await;
        let panicked = || StartError::System(std::io::Error::other("a part of the node had panicked"));
        for served in served {
            served.map_err(|_| panicked())??;
        }
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(panicked()),
        }
    }
}

fn start_pool(settings: &Settings) -> std::io::Result<RuntimePool> {
    let or = |threads: u64, default: usize| if threads == 0 { default } else { threads as usize };
    let read = or(settings.node.read_threads, cores());
    let background = or(settings.node.background_threads, cores());
    RuntimePool::start(read, background)
}

/// Connections and files share the process's descriptors: take as many as the system allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without the right it stays as it was; `doctor` says so when it is low.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn plan_memory(settings: &Settings) -> u64 {
    if settings.node.memory_bytes > 0 { settings.node.memory_bytes } else { memory_bytes() }
}

/// Bytes of memory that the system has; 0 if it does not say.
fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit.max(1));
    #[allow(clippy::useless_conversion, reason = "the field's width differs between platforms")]
    u64::from(info.totalram).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(listen: &str, open: bool, key: Option<&str>) -> NodeOptions {
        NodeOptions::alone(PathBuf::new(), listen.parse().unwrap(), open, key.map(str::to_string))
    }

    #[test]
    fn off_loopback_no_internal_port_opens_without_a_key() {
        let with = |internal: &str, key: Option<&str>| NodeOptions {
            internal: Some(internal.parse().unwrap()),
            cluster_key: key.map(str::to_string),
            ..options("127.0.0.1:1", false, None)
        };
        assert!(check_access(&with("127.0.0.1:2", None)).is_ok());
        assert!(check_access(&with("0.0.0.0:2", Some("0123456789abcdef"))).is_ok());
        assert!(matches!(check_access(&with("0.0.0.0:2", None)), Err(StartError::NeedsClusterKey(_))));
    }

    #[test]
    fn off_loopback_nothing_starts_without_a_key() {
        let key = Some("0123456789abcdef");
        assert!(check_access(&options("127.0.0.1:1", false, None)).is_ok());
        assert!(check_access(&options("[::1]:1", true, None)).is_ok());
        assert!(check_access(&options("0.0.0.0:1", false, key)).is_ok());
        assert!(matches!(check_access(&options("0.0.0.0:1", false, None)), Err(StartError::NeedsKey(_))));
        assert!(matches!(
            check_access(&options("0.0.0.0:1", true, None)),
            Err(StartError::OpenOffLoopback(_))
        ));
        assert!(matches!(check_access(&options("127.0.0.1:1", true, key)), Err(StartError::OpenWithKey)));
        assert!(matches!(
            check_access(&options("0.0.0.0:1", false, Some("short"))),
            Err(StartError::WeakKey(5))
        ));
    }
}
