//! The internal door of a process: what other processes of the cluster ask of its rooms, and the messages of its
//! replicated logs. Probes and metrics are answered here as well, for a process that is no gateway has no other door.

use crate::assembly::Rooms;
use crate::doors::sorted;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use vectron_base::metric::prometheus_text;
use vectron_base::pool::Pool;
use vectron_wire::frames::{FrameOptions, FrameServer};
use vectron_wire::grpc::MessageLimits;
use vectron_wire::grpc::key::{ClusterKey, RequireKey};
use vectron_wire::grpc::peer::PeerServer;
use vectron_wire::grpc::placement::PlacementServer;
use vectron_wire::grpc::worker::WorkerServer;
use vectron_wire::peer::Inbox;

/// What is served to other processes.
pub struct Services {
    /// The rooms.
    pub rooms: Arc<Rooms>,
    /// Where messages of the logs go.
    pub inbox: Arc<dyn Inbox>,
    /// What callers must show.
    pub key: Option<ClusterKey>,
    /// How large messages may be.
    pub limits: MessageLimits,
    /// Bounds of connections for frames.
    pub frames: FrameOptions,
    /// Where work goes.
    pub pool: Arc<dyn Pool>,
}

impl Services {
    /// Serves until `stopped` says so.
    pub fn serve(
        self,
        listener: TcpListener,
        mut stopped: watch::Receiver<bool>,
    ) -> JoinHandle<std::io::Result<()>> {
        let frames = self.rooms.worker.clone().map(|worker| FrameServer {
            worker,
            key: self.key.clone(),
            limits: self.limits,
            options: self.frames,
            pool: self.pool.clone(),
        });
        let pool = self.pool.clone();
        let router = self.router();
        let told = stopped.clone();
        let stop = async move {
            // Either told to stop, or the node was dropped: stop in both cases.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let serving = async move {
            let (listener, sorting) = sorted(listener, frames, pool, told);
            // Answers are small and waited for: they go out at once. A failure leaves the connection merely slower.
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            let http = axum::serve(listener, router).with_graceful_shutdown(stop);
            let (served, ()) = futures::future::join(async move { http.await }, sorting).await;
            served
        };
        #[allow(clippy::disallowed_methods, reason = "the process's own serving task")]
        tokio::spawn(serving)
    }

    fn router(self) -> Router {
        let Self { rooms, inbox, key, limits, .. } = self;
        let mut routes = Routes::new(PeerServer::new(inbox, limits));
        if let Some(placement) = &rooms.placement {
            routes = routes.add_service(PlacementServer::new(placement.clone(), limits));
        }
        if let Some(worker) = &rooms.worker {
            routes = routes.add_service(WorkerServer::new(worker.clone(), limits));
        }
        let ready = rooms.clone();
        routes
            .into_axum_router()
            .layer(RequireKey::new(key))
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(async move || readiness(&ready)))
            .route("/metrics", get(async move || metrics(&rooms)))
    }
}

fn readiness(rooms: &Rooms) -> impl IntoResponse + use<> {
    match rooms.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_string()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn metrics(rooms: &Rooms) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], prometheus_text(&rooms.registry))
}
