//! The listener: connections within their limits, and a stop that lets requests finish.

use crate::gateway::Gateway;
use crate::http::router;
use crate::knobs::{millis, size};
use crate::metrics::Rejection;
use crate::stall::Unstalled;
use futures::future::{Either, select};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;
use vectron_base::pool::{Pool, within};

/// Starts hyper's tasks, such as the streams of an HTTP/2 connection, in the pool.
#[derive(Clone)]
struct InPool(Arc<dyn Pool>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for InPool {
    fn execute(&self, task: F) {
        self.0.spawn("gateway-stream", Box::pin(task));
    }
}

/// Serves REST and gRPC on `listener` until `shutdown`, then waits for the requests in work, for as long as the
/// shutdown grace allows, and returns.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), std::io::Error> {
    let pool = gateway.parts.pool.clone();
    let server = Server::new(gateway.clone());
    let graceful = GracefulShutdown::new();
    let (cut, _) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = match select(pin!(listener.accept()), shutdown.as_mut()).await {
            Either::Left((Ok((stream, _)), _)) => stream,
            Either::Left((Err(error), _)) => {
                rest_after(&error, &pool).await;
                continue;
            }
            Either::Right(_) => break,
        };
        let Ok(place) = server.places.clone().try_acquire_owned() else {
            gateway.metrics().rejected(Rejection::Connections);
            continue;
        };
        let work = server.connection(stream, graceful.watcher(), cut.subscribe());
        let open = gateway.metrics().connected();
        pool.spawn(
            "gateway-connection",
            Box::pin(async move {
                work.await;
                drop((place, open));
            }),
        );
    }
    drop(listener);
    let grace = millis(gateway.knobs().shutdown_grace_ms);
    if within(&pool, grace, graceful.shutdown()).await.is_none() {
        tracing::warn!(
            event = "gateway.requests_cut",
            "requests were still in work after {grace:?} and are cut off"
        );
    }
    // Ends whatever is left; connections hold the receivers.
    drop(cut);
    Ok(())
}

/// Waits after a failed accept. Most failures are a client's that left again; running out of descriptors is
/// not, and passes only with time.
async fn rest_after(error: &std::io::Error, pool: &Arc<dyn Pool>) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(event = "gateway.accept_failed", "a connection could not be accepted: {error}");
        pool.sleep(Duration::from_millis(100)).await;
    }
}

struct Server {
    gateway: Arc<Gateway>,
    router: axum::Router,
    builder: Builder<InPool>,
    places: Arc<Semaphore>,
}

impl Server {
    fn new(gateway: Arc<Gateway>) -> Self {
        let knobs = gateway.knobs();
        let mut builder = Builder::new(InPool(gateway.parts.pool.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(millis(knobs.header_timeout_ms))
            .half_close(false);
        let streams = u32::try_from(knobs.max_streams).unwrap_or(u32::MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(streams)
            .max_pending_accept_reset_streams(32)
            .max_local_error_reset_streams(128)
            .max_header_list_size(64 * 1_024)
            .initial_stream_window_size(1_048_576)
            .initial_connection_window_size(4 * 1_048_576)
            .keep_alive_interval(millis(knobs.ping_ms))
            .keep_alive_timeout(millis(knobs.ping_ms));
        let places = Arc::new(Semaphore::new(size(knobs.max_connections).min(Semaphore::MAX_PERMITS)));
        Self { router: router(gateway.clone()), builder, places, gateway }
    }

    /// Serves one connection to its end. It ends early when no request comes within the header timeout, which
    /// also bounds the time in which its protocol is found out, and when the server stops for good.
    fn connection(
        &self,
        stream: TcpStream,
        watcher: Watcher,
        mut cut: watch::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let used = Arc::new(AtomicBool::new(false));
        let seen = used.clone();
        let service =
            self.router.clone().map_request(move |request: http::Request<hyper::body::Incoming>| {
                seen.store(true, Ordering::Relaxed);
                request.map(axum::body::Body::new)
            });
        let builder = self.builder.clone();
        let pool = self.gateway.parts.pool.clone();
        let patience = millis(self.gateway.knobs().header_timeout_ms);
        let writes = millis(self.gateway.knobs().write_timeout_ms);
        async move {
            // Small answers go out at once; a failure here leaves the connection merely slower.
            let _ = stream.set_nodelay(true);
            let stream = Unstalled::new(stream, pool.clone(), writes);
            let connection =
                builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let served = watcher.watch(connection.into_owned());
            let idle = async {
                pool.sleep(patience).await;
                if used.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
            };
            let stopped = async {
                let _ = cut.changed().await;
            };
            let (served, idle, stopped) = (pin!(served), pin!(idle), pin!(stopped));
            // Errors of a connection are its client's: reset, timed out, malformed.
            let _ = select(served, select(idle, stopped)).await;
        }
    }
}
