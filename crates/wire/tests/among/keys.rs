//! The cluster's key, over real sockets and on all three internal services.

use crate::drivers::Nobody;
use crate::stream::{Kept, LIMITS, anywhere, dialer, message, runtime, serve};
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use vectron_base::Code;
use vectron_base::ids::{Incarnation, ShardId};
use vectron_wire::connections::{Dialer, PlacementConnections, PlacementWaits};
use vectron_wire::grpc::key::{ClusterKey, RequireKey};
use vectron_wire::grpc::peer::PeerCarriers;
use vectron_wire::grpc::placement::PlacementServer;
use vectron_wire::grpc::worker::WorkerServer;
use vectron_wire::peer::Carriers;
use vectron_wire::worker::Target;

fn key(text: &str) -> Option<ClusterKey> {
    Some(ClusterKey::parse(text).unwrap())
}

/// What callers with each of the keys hear from a server with the first one.
fn shown() -> [(Option<ClusterKey>, bool); 3] {
    [(key("the-key-of-this-cluster"), true), (key("the-key-of-that-cluster"), false), (None, false)]
}

#[test]
fn calls_without_the_key_reach_neither_workers_nor_placement_drivers() {
    let (server, callers) = (runtime(), runtime());
    let pool = Arc::new(crate::pool::TokioPool(callers.handle().clone()));
    let waits = PlacementWaits {
        call: Duration::from_secs(5),
        watch: Duration::from_secs(5),
        pause: Duration::from_millis(10),
    };
    let address = {
        let _inside = server.enter();
        let incoming = TcpIncoming::bind(anywhere()).unwrap();
        let address = incoming.local_addr().unwrap().to_string();
        // A driver without members is one that refuses everything as unavailable.
        let none = PlacementConnections::new(
            dialer(&callers, None),
            Vec::new(),
            Arc::new(vectron_base::clock::SystemClock::new()),
            pool,
            waits,
        );
        let router = Server::builder()
            .layer(RequireKey::new(shown()[0].0.clone()))
            .add_service(WorkerServer::new(Arc::new(Nobody), LIMITS))
            .add_service(PlacementServer::new(Arc::new(none), LIMITS));
        server.spawn(router.serve_with_incoming(incoming));
        address
    };
    let target = Target { shard: ShardId(1), incarnation: Incarnation(1), epoch: 1 };
    for (key, admitted) in shown() {
        let dialer = dialer(&callers, key);
        let (worker, placement) = (dialer.worker(&address).unwrap(), dialer.placement(&address).unwrap());
        let (of_worker, of_placement) = callers.block_on(async {
            (worker.status(target).await.unwrap_err(), placement.cluster().await.unwrap_err())
        });
        let expected = if admitted {
            (Code::Internal, Code::Unavailable)
        } else {
            (Code::Unauthenticated, Code::Unauthenticated)
        };
        assert_eq!((of_worker.code, of_placement.code), expected, "{of_worker}; {of_placement}");
    }
}

#[test]
fn messages_without_the_key_do_not_arrive() {
    let callers = runtime();
    let kept = Arc::new(Kept::default());
    let (_server, address) = serve(anywhere(), kept.clone(), shown()[0].0.clone());
    for (key, admitted) in shown() {
        let carrier = PeerCarriers::new(dialer(&callers, key), 7).to(&address.to_string());
        let fault = callers.block_on(async {
            for number in 0..3 {
                // Taken into the stream before the refusal arrives.
                if let Err(fault) = carrier.carry(vec![message(number, 8)]).await {
                    return Some(fault);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            None
        });
        assert_eq!(fault.map(|fault| fault.code), (!admitted).then_some(Code::Unauthenticated));
    }
    assert_eq!(kept.all(), [0, 1, 2]);
}
