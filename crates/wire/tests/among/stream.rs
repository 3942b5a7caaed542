//! The peer stream over real sockets: order, what becomes of old streams, reconnection, silence.

use crate::pool::TokioPool;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use vectron_base::{Code, Fault};
use vectron_wire::fault_table::from_status;
use vectron_wire::grpc::MessageLimits;
use vectron_wire::grpc::dial::{DialOptions, GrpcDialer};
use vectron_wire::grpc::key::{ClusterKey, RequireKey};
use vectron_wire::grpc::peer::{PeerCarriers, PeerServer};
use vectron_wire::links::{LinkLimits, Links};
use vectron_wire::peer::{Carrier, Carriers, Inbox};
use vectron_wire::proto::peer::Batch;
use vectron_wire::proto::peer::peer_service_client::PeerServiceClient;

pub const LIMITS: MessageLimits = MessageLimits { send: 1 << 16, receive: 1 << 16 };

/// Keeps every message as a number, and waits for them.
#[derive(Default)]
pub struct Kept {
    numbers: Mutex<Vec<u64>>,
    more: Condvar,
}

impl Inbox for Kept {
    fn receive(&self, message: &[u8]) {
        let number = u64::from_le_bytes(message[..8].try_into().unwrap());
        self.numbers.lock().unwrap().push(number);
        self.more.notify_all();
    }
}

impl Kept {
    /// Waits until a number arrives that `enough` accepts; all numbers then.
    fn until(&self, enough: impl Fn(u64) -> bool) -> Vec<u64> {
        let numbers = self.numbers.lock().unwrap();
        let waiting = |numbers: &mut Vec<u64>| !numbers.iter().any(|number| enough(*number));
        self.more.wait_while(numbers, waiting).unwrap().clone()
    }

    pub fn all(&self) -> Vec<u64> {
        self.numbers.lock().unwrap().clone()
    }
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A server of an inbox, until its runtime is dropped.
pub fn serve(at: SocketAddr, inbox: Arc<Kept>, key: Option<ClusterKey>) -> (Runtime, SocketAddr) {
    let runtime = runtime();
    let _inside = runtime.enter();
    // The port of a server that has just gone may need a moment.
    let incoming = loop {
        match TcpIncoming::bind(at) {
            Ok(incoming) => break incoming,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let address = incoming.local_addr().unwrap();
    let router = Server::builder().layer(RequireKey::new(key)).add_service(PeerServer::new(inbox, LIMITS));
    runtime.spawn(router.serve_with_incoming(incoming));
    drop(_inside);
    (runtime, address)
}

pub fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub fn dialer(runtime: &Runtime, key: Option<ClusterKey>) -> Arc<GrpcDialer> {
    let options = DialOptions {
        connect_timeout: Duration::from_secs(2),
        keep_alive_interval: Duration::from_millis(200),
        keep_alive_timeout: Duration::from_millis(500),
        limits: LIMITS,
        call_timeout: Duration::from_secs(10),
        watch_timeout: Duration::from_secs(10),
        key,
    };
    Arc::new(GrpcDialer::new(options, Arc::new(TokioPool(runtime.handle().clone()))))
}

/// A message that is a number, and this long.
pub fn message(number: u64, bytes: usize) -> Vec<u8> {
    let mut message = number.to_le_bytes().to_vec();
    message.resize(bytes.max(8), 0);
    message
}

#[test]
fn messages_keep_their_order_across_broken_connections() {
    let callers = runtime();
    let kept = Arc::new(Kept::default());
    let (mut server, address) = serve(anywhere(), kept.clone(), None);
    let limits = LinkLimits {
        messages_max: 500,
        bytes_max: 1 << 20,
        batch_bytes_max: 1 << 14,
        pause_min: Duration::from_millis(5),
        pause_max: Duration::from_millis(50),
        idle: Duration::from_secs(60),
    };
    let carriers = Arc::new(PeerCarriers::new(dialer(&callers, None), 7));
    let pool = Arc::new(TokioPool(callers.handle().clone()));
    let links = Links::new(carriers, pool, limits);
    let to = address.to_string();
    let mut next = 0;
    let mut send = |count: u64| {
        for _ in 0..count {
            next += 1;
            links.send(&to, message(next, (next % 300) as usize));
        }
        next
    };
    for _ in 0..4 {
        // As many as a queue holds at least get through while all is well; the end of them is seen.
        let last = send(400);
        kept.until(|number| number == last);
        // In the middle of a stream of messages, all connections go.
        send(2_000);
        server.shutdown_background();
        send(50);
        (server, _) = serve(address, kept.clone(), None);
        // Until the break is noticed, messages are still lost.
        let before = next_after(&mut send);
        while !kept.all().iter().any(|number| *number > before) {
            send(1);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let numbers = kept.all();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "neither reordered nor repeated");
    drop(links);
    drop(server);
}

/// The number of the message sent now.
fn next_after(send: &mut impl FnMut(u64) -> u64) -> u64 {
    send(1)
}

#[test]
fn what_an_older_stream_sends_is_dropped_once_a_newer_one_has_begun() {
    let callers = runtime();
    let kept = Arc::new(Kept::default());
    let (_server, address) = serve(anywhere(), kept.clone(), None);
    callers.block_on(async {
        let mut client = PeerServiceClient::connect(format!("http://{address}")).await.unwrap();
        let open = |mut client: PeerServiceClient<_>, sender, stream| {
            let (batches, queued) = futures::channel::mpsc::unbounded();
            let ended = tokio::spawn(async move { client.exchange(queued).await });
            let send = move |number: u64| {
                let messages = vec![message(number, 8).into()];
                let _ = batches.unbounded_send(Batch { sender, stream, messages });
            };
            (send, ended)
        };
        let until = |number| {
            let kept = kept.clone();
            tokio::task::spawn_blocking(move || kept.until(|other| other == number))
        };
        let (old, old_ended) = open(client.clone(), 7, 1);
        old(1);
        until(1).await.unwrap();
        let (new, new_ended) = open(client.clone(), 7, 2);
        new(2);
        until(2).await.unwrap();
        old(99);
        let fault = from_status(&old_ended.await.unwrap().unwrap_err());
        assert_eq!(fault.code, Code::Unavailable, "{fault}");
        let (other, other_ended) = open(client.clone(), 8, 1);
        other(3);
        until(3).await.unwrap();
        new(4);
        until(4).await.unwrap();
        assert_eq!(kept.all(), [1, 2, 3, 4], "another sender has streams of its own");

        // A sender is forgotten with its last stream: one that starts anew may count from one again.
        drop((new, other));
        new_ended.await.unwrap().unwrap();
        other_ended.await.unwrap().unwrap();
        let (fresh, fresh_ended) = open(client.clone(), 7, 1);
        fresh(5);
        until(5).await.unwrap();
        drop(fresh);
        fresh_ended.await.unwrap().unwrap();

        let forged = vec![
            Batch { sender: 7, stream: 1, messages: vec![] },
            Batch { sender: 8, stream: 1, messages: vec![message(6, 8).into()] },
        ];
        let fault = from_status(&client.exchange(futures::stream::iter(forged)).await.unwrap_err());
        assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
        client.exchange(futures::stream::empty()).await.unwrap();
        assert_eq!(kept.all(), [1, 2, 3, 4, 5]);
    });
}

/// Carries small batches until the carrier says that the connection is broken.
async fn carry_until_broken(carrier: &Arc<dyn Carrier>, batch: impl Fn() -> Vec<Vec<u8>>) -> Fault {
    loop {
        if let Err(fault) = carrier.carry(batch()).await {
            return fault;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_peer_that_went_silent_or_was_never_there_is_noticed() {
    let callers = runtime();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    // Takes connections and what comes on them, and never says a word.
    std::thread::spawn(move || {
        let held: Vec<_> = silent.incoming().collect();
        drop(held);
    });
    let carriers = PeerCarriers::new(dialer(&callers, None), 7);
    callers.block_on(async {
        let fault = carry_until_broken(&carriers.to(&address.to_string()), || vec![message(1, 8)]).await;
        assert_eq!(fault.code, Code::Unavailable, "{fault}");
        let fault = carriers.to("127.0.0.1:1").carry(vec![message(1, 8)]).await.unwrap_err();
        assert_eq!(fault.code, Code::Unavailable, "{fault}");
        let fault = carriers.to("not an address").carry(vec![message(1, 8)]).await.unwrap_err();
        assert_eq!(fault.code, Code::Unavailable, "{fault}");
    });
}

#[test]
fn a_batch_over_the_limit_is_refused_and_the_stream_goes_on() {
    let callers = runtime();
    let kept = Arc::new(Kept::default());
    let (_server, address) = serve(anywhere(), kept.clone(), None);
    let carrier = PeerCarriers::new(dialer(&callers, None), 7).to(&address.to_string());
    callers.block_on(async {
        carrier.carry(vec![message(1, 8)]).await.unwrap();
        let fault = carrier.carry(vec![message(2, LIMITS.send)]).await.unwrap_err();
        assert_eq!(fault.code, Code::TooLarge, "{fault}");
        carrier.carry(vec![message(3, LIMITS.send - 100)]).await.unwrap();
    });
    assert_eq!(kept.until(|number| number == 3), [1, 3]);
}
