//! A server of both services on loopback sockets and connections to it.

use crate::scripted::Scripted;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use vectron_base::Fault;
use vectron_base::filter::{FieldIndex, FieldType};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId};
use vectron_base::pool::{Lane, Pool};
use vectron_wire::frames::{FrameOptions, FrameServer, FrameWorker};
use vectron_wire::grpc::MessageLimits;
use vectron_wire::grpc::dial::DialOptions;
use vectron_wire::grpc::key::ClusterKey;
use vectron_wire::grpc::placement::{PlacementConnection, PlacementServer};
use vectron_wire::grpc::worker::{WorkerConnection, WorkerServer};
use vectron_wire::placement::{
    CatalogSnapshot, CatalogView, ClusterChange, ClusterView, Collection, CollectionSpec, Distance,
    IndexSettings, Locality, Placement, PlannedMove, Quantization, ReadPolicy, Registration, Storage,
    WorkerLoad, WorkerReport,
};
use vectron_wire::worker::*;

pub const ROOMY: MessageLimits = MessageLimits { send: 1 << 20, receive: 1 << 20 };
const TIMEOUT: Duration = Duration::from_secs(20);

/// How calls of a worker's reads and writes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Grpc,
    Frames,
}

pub const WAYS: [Way; 2] = [Way::Grpc, Way::Frames];

pub const FRAMES: FrameOptions = FrameOptions { calls_max: 100, queued_bytes_max: 1 << 20 };

pub struct Stage {
    pub script: Arc<Scripted>,
    pub worker: Arc<dyn Worker>,
    /// Where frames are served.
    pub frames: SocketAddr,
    pub placement: PlacementConnection,
    pub channel: Channel,
    callers: Runtime,
    server: Runtime,
}

impl Stage {
    pub fn new(way: Way) -> Self {
        Self::with_limits(way, ROOMY, ROOMY)
    }

    pub fn with_limits(way: Way, server_limits: MessageLimits, client_limits: MessageLimits) -> Self {
        let (server, callers) = (runtime(), runtime());
        let script = Arc::new(Scripted::default());
        let address = {
            let _inside = server.enter();
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = incoming.local_addr().unwrap();
            let router = Server::builder()
                .add_service(WorkerServer::new(script.clone(), server_limits))
                .add_service(PlacementServer::new(script.clone(), server_limits));
            server.spawn(router.serve_with_incoming(incoming));
            address
        };
        let channel = callers.block_on(async { channel_to(address) });
        let frames = serve_frames(&server, script.clone(), server_limits, std::future::pending());
        let over_grpc = Arc::new(WorkerConnection::new(channel.clone(), client_limits, TIMEOUT));
        let worker: Arc<dyn Worker> = match way {
            Way::Grpc => over_grpc,
            Way::Frames => Arc::new(frame_worker(&callers, frames, client_limits, None, over_grpc)),
        };
        let placement = PlacementConnection::new(channel.clone(), client_limits, TIMEOUT, TIMEOUT);
        Self { script, worker, frames, placement, channel, callers, server }
    }

    /// Waits for a call.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.callers.block_on(call)
    }

    /// Starts a call that goes on by itself; ends the server, and with it all connections, as soon as the call
    /// has arrived; gives what became of it.
    pub fn cut_off<T: Send + 'static>(self, call: impl Future<Output = T> + Send + 'static) -> T {
        self.script.fall_silent();
        let call = self.callers.spawn(call);
        while self.script.asked().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.server.shutdown_background();
        self.callers.block_on(call).unwrap()
    }

    /// The fault of each method in turn, after `before` has run.
    pub fn fault_of_each(&self, before: impl Fn(&Scripted, &'static str)) -> Vec<(&'static str, Fault)> {
        METHODS
            .into_iter()
            .map(|method| {
                before(&self.script, method);
                (method, self.wait(fault_of(method, &*self.worker, &self.placement)))
            })
            .collect()
    }
}

/// Serves frames to whoever connects.
pub fn serve_frames(
    server: &Runtime,
    worker: Arc<dyn Worker>,
    limits: MessageLimits,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> SocketAddr {
    serve_frames_with_key(server, worker, limits, None, stopped)
}

/// The same, for those with the key.
pub fn serve_frames_with_key(
    server: &Runtime,
    worker: Arc<dyn Worker>,
    limits: MessageLimits,
    key: Option<ClusterKey>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> SocketAddr {
    use futures::FutureExt;
    let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let pool = Arc::new(TokioPool(server.handle().clone()));
    let frames = FrameServer { worker, key, limits, options: FRAMES, pool };
    let stopped = stopped.boxed().shared();
    server.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(frames.clone().serve(stream, stopped.clone()));
        }
    });
    address
}

/// A worker at an address for frames.
pub fn frame_worker(
    callers: &Runtime,
    address: SocketAddr,
    limits: MessageLimits,
    key: Option<ClusterKey>,
    rest: Arc<dyn Worker>,
) -> FrameWorker {
    let options = DialOptions {
        connect_timeout: Duration::from_secs(5),
        keep_alive_interval: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_secs(2),
        limits,
        call_timeout: TIMEOUT,
        watch_timeout: TIMEOUT,
        key,
    };
    let pool = Arc::new(TokioPool(callers.handle().clone()));
    FrameWorker::new(address.to_string(), options, FRAMES, pool, rest)
}

/// The pool of a runtime.
pub struct TokioPool(pub tokio::runtime::Handle);

impl Pool for TokioPool {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _inside = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }
    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(job);
    }
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Connects when it is first used.
pub fn channel_to(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

pub const METHODS: [&str; 22] = [
    "write",
    "get",
    "search",
    "scroll",
    "count",
    "text_stats",
    "examine",
    "tune",
    "browse",
    "status",
    "create",
    "delete",
    "create_index",
    "delete_index",
    "watch",
    "register",
    "report",
    "snapshot",
    "snapshot_part",
    "cluster",
    "change",
    "catalog_snapshot",
];

/// Methods whose lost answer means that nobody knows.
pub fn changes(method: &str) -> bool {
    matches!(
        method,
        "write" | "create" | "delete" | "create_index" | "delete_index" | "register" | "report" | "change"
    )
}

pub const TARGET: Target = Target { shard: ShardId(7), incarnation: Incarnation(3), epoch: 2 };

/// A write of one point with a payload of so many bytes.
pub fn a_write(payload_bytes: usize, timeout_ms: u64) -> ShardWrite {
    let payload = "x".repeat(payload_bytes);
    let point = UpsertPoint { id: "a".into(), vector: vec![1.0].into(), payload, if_version: None };
    ShardWrite {
        target: TARGET,
        idempotency: None,
        operation: WriteOperation::Upsert(vec![point]),
        timeout_ms,
    }
}

pub fn a_get(timeout_ms: u64) -> ShardGet {
    let include = Include { payload: true, vector: false };
    ShardGet { target: TARGET, read: ReadLevel::Eventual, ids: vec!["a".into()], include, timeout_ms }
}

/// Makes a call that must fail.
pub async fn fault_of(method: &str, worker: &dyn Worker, placement: &dyn Placement) -> Fault {
    let (read, timeout_ms) = (ReadLevel::Linearizable, 20_000);
    let include = Include { payload: true, vector: true };
    let spec = CollectionSpec {
        name: "docs".into(),
        dimension: 3,
        distance: Distance::Dot,
        shards: 1,
        replication_factor: 1,
        read_policy: ReadPolicy::Eventual,
        quantization: Quantization::Auto,
        storage: Storage::Ram,
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    };
    let search = ShardSearch {
        target: TARGET,
        read,
        query: ShardQuery::unnamed([1.0]),
        top_k: 1,
        filter: None,
        score_threshold: None,
        exact: false,
        ef: None,
        recall_target: 0.9,
        include,
        timeout_ms,
    };
    let scroll =
        ShardScroll { target: TARGET, read, filter: None, after: None, limit: 1, include, timeout_ms };
    let registration = Registration {
        worker: vectron_base::ids::WorkerId(1),
        address: "here".into(),
        locality: Locality::default(),
        cores: 1,
        memory_bytes: 1,
        disk_bytes: 1,
    };
    let report = WorkerReport {
        worker: registration.worker,
        disk_free_bytes: 1,
        memory_used_bytes: 1,
        load: WorkerLoad::default(),
        shards: Vec::new(),
    };
    match method {
        "write" => worker.write(a_write(1, timeout_ms)).await.err(),
        "get" => worker.get(a_get(timeout_ms)).await.err(),
        "search" => worker.search(search).await.err(),
        "scroll" => worker.scroll(scroll).await.err(),
        "count" => worker.count(ShardCount { target: TARGET, read, filter: None, timeout_ms }).await.err(),
        "text_stats" => {
            let operator = TextOperator::Or;
            let query = TextQuery { field: "t".into(), text: "a".into(), operator, k1: 1.2, b: 0.75 };
            let request = ShardTextStats { target: TARGET, read, query: query.into(), timeout_ms };
            worker.text_stats(request).await.err()
        }
        "examine" => {
            let subject = Subject::Id("a".into());
            worker.examine(ShardExamine { search, subject }).await.err()
        }
        "tune" => worker.tune(ShardTune { target: TARGET, read, recall_target: 0.9, timeout_ms }).await.err(),
        "browse" => {
            let what = vectron_wire::browse::Browse::Estimate;
            worker.browse(ShardBrowse { target: TARGET, read, filter: None, what, timeout_ms }).await.err()
        }
        "status" => worker.status(TARGET).await.err(),
        "create" => placement.create_collection(spec, timeout_ms).await.err(),
        "delete" => placement.delete_collection("docs", timeout_ms).await.err(),
        "create_index" => {
            let index = FieldIndex { field: "n".into(), kind: FieldType::Integer };
            placement.create_index("docs", index).await.err()
        }
        "delete_index" => placement.delete_index("docs", "n").await.err(),
        "watch" => placement.watch(1).await.err(),
        "register" => placement.register(registration).await.err(),
        "report" => placement.report(report).await.err(),
        "snapshot" => {
            let request = SnapshotRequest { target: TARGET, replica: ReplicaId(1), timeout_ms };
            worker.snapshot(request).await.err()
        }
        "snapshot_part" => {
            let (file, offset, limit) = ("rows".into(), 0, 1);
            let part = SnapshotPart { target: TARGET, token: 1, file, offset, limit, timeout_ms };
            worker.snapshot_part(part).await.err()
        }
        "cluster" => placement.cluster().await.err(),
        "change" => placement.change(ClusterChange::Pause).await.err(),
        "catalog_snapshot" => placement.catalog_snapshot().await.err(),
        _ => unreachable!("{method}"),
    }
    .unwrap()
}

/// Tells the script to fail the next call of this method so.
pub fn will_fail(script: &Scripted, method: &str, fault: Fault) {
    match method {
        "write" => script.will::<ShardWritten>(Err(fault)),
        "get" => script.will::<ShardRead<Vec<Option<PointRecord>>>>(Err(fault)),
        "search" => script.will::<ShardRead<ShardHits>>(Err(fault)),
        "scroll" => script.will::<ShardRead<ShardPage>>(Err(fault)),
        "count" => script.will::<ShardRead<ShardCounted>>(Err(fault)),
        "text_stats" => script.will::<ShardRead<TextStats>>(Err(fault)),
        "examine" => script.will::<ShardRead<Examined>>(Err(fault)),
        "tune" => script.will::<ShardRead<ShardTuned>>(Err(fault)),
        "browse" => script.will::<ShardRead<ShardBrowsed>>(Err(fault)),
        "status" => script.will::<ShardStatus>(Err(fault)),
        "create" => script.will::<(Collection, bool)>(Err(fault)),
        "create_index" => script.will::<bool>(Err(fault)),
        "watch" => script.will::<Arc<CatalogView>>(Err(fault)),
        "snapshot" => script.will::<SnapshotOffer>(Err(fault)),
        "snapshot_part" => script.will::<Vec<u8>>(Err(fault)),
        "cluster" => script.will::<ClusterView>(Err(fault)),
        "change" => script.will::<Vec<PlannedMove>>(Err(fault)),
        "catalog_snapshot" => script.will::<CatalogSnapshot>(Err(fault)),
        _ => script.will::<()>(Err(fault)),
    }
}
