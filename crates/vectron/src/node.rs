//! A running process: real seams under the assembled rooms, and a socket in front.

use crate::assembly::{AssemblyError, Capacity, Rooms, Seams, assemble};
use crate::runtime::{RuntimePool, cores};
use crate::settings::Settings;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::disk::{Disk, RealDisk};
use vectron_base::metric::Registry;
use vectron_base::random::{Random, SystemRandom};
use vectron_consensus::{ConsensusMetrics, Driver};

/// How to start a node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where REST, gRPC and the pages are served.
    pub listen: SocketAddr,
    /// No authentication, said aloud. Only on loopback.
    pub open: bool,
    /// The key that every request must carry.
    pub admin_key: Option<String>,
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
    /// The operating system refused threads or sockets.
    #[error("the operating system refused: {0}")]
    System(#[from] std::io::Error),
}

/// A running node.
pub struct Node {
    address: SocketAddr,
    rooms: Arc<Rooms>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    driver: std::thread::JoinHandle<()>,
}

/// How long a start waits for its shards before it says so anyway; readiness tells what is missing.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Shortest admin key, in characters.
const KEY_MIN_CHARS: usize = 16;

fn check_access(options: &NodeOptions) -> Result<(), StartError> {
    let loopback = options.listen.ip().is_loopback();
    match &options.admin_key {
        None if options.open && !loopback => Err(StartError::OpenOffLoopback(options.listen)),
        None if !loopback => Err(StartError::NeedsKey(options.listen)),
        Some(_) if options.open => Err(StartError::OpenWithKey),
        Some(key) if key.chars().count() < KEY_MIN_CHARS => Err(StartError::WeakKey(key.chars().count())),
        _ => Ok(()),
    }
}

impl Node {
    /// Opens the data directory, raises the rooms and starts to serve. Must be called on the runtime.
    pub async fn start(options: NodeOptions, settings: Settings) -> Result<Node, StartError> {
        check_access(&options)?;
        raise_descriptor_limit();
        let listener =
            TcpListener::bind(options.listen).await.map_err(|e| StartError::Listen(options.listen, e))?;
        let address = listener.local_addr()?;
        let disk: Arc<dyn Disk> = Arc::new(
            RealDisk::open(&options.data_dir)
                .map_err(|e| StartError::DataDirectory(options.data_dir.clone(), e))?,
        );
        let seams = Seams {
            disk,
            clock: Arc::new(SystemClock::new()) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom) as Arc<dyn Random>,
            pool: Arc::new(start_pool(&settings)?),
        };
        let mut registry = Registry::default();
        let metrics = ConsensusMetrics::register(&mut registry);
        let (driver, handle) = Driver::open(
            seams.disk.clone(),
            seams.clock.clone(),
            seams.random.clone(),
            settings.consensus.clone(),
            metrics,
        )
        .map_err(|error| StartError::Journal(error.to_string()))?;
        let driver = std::thread::Builder::new().name("vectron-log".into()).spawn(move || driver.run())?;
        let capacity = Capacity { cores: cores() as u32, memory_bytes: plan_memory(&settings) };
        let assembled =
            assemble(&seams, handle.clone(), &settings, registry, capacity, options.admin_key).await;
        let rooms = match assembled {
            Ok(rooms) => Arc::new(rooms),
            Err(error) => {
                handle.stop();
                return Err(error.into());
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let gateway = rooms.gateway.clone();
        #[allow(clippy::disallowed_methods, reason = "the process's own serving task")]
        let serving = tokio::spawn(async move {
            vectron_gateway::serve(listener, gateway, async {
                // Either told to stop, or the node was dropped: stop in both cases.
                let _ = stopped.await;
            })
            .await
        });
        // Requests are answered meanwhile; the ready line waits for the shards.
        rooms.worker.wait_ready(READY_PATIENCE).await;
        Ok(Node { address, rooms, stop, serving, driver })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether every shard can serve.
    pub fn ready(&self) -> bool {
        self.rooms.worker.ready()
    }

    /// Stops accepting, finishes what was accepted, writes checkpoints, stops the logs.
    pub async fn stop(self) -> Result<(), StartError> {
        // The serving task may have ended on its own; then nobody listens.
        let _ = self.stop.send(());
        let served = self.serving.await;
        self.rooms.stop().await;
        self.rooms.consensus.stop();
        let driver = self.driver;
        #[allow(clippy::disallowed_methods, reason = "joins a thread at the end of the process")]
        let joined = tokio::task::spawn_blocking(move || driver.join()).await;
        match (served, joined) {
            (Ok(served), Ok(Ok(()))) => Ok(served?),
            _ => Err(StartError::System(std::io::Error::other("a part of the node had panicked"))),
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
        NodeOptions {
            data_dir: PathBuf::new(),
            listen: listen.parse().unwrap(),
            open,
            admin_key: key.map(str::to_string),
        }
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
