//! One internal port for two protocols: connections for frames are told from HTTP by their first byte.

use axum::serve::Listener;
use futures::future::{Either, select};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use vectron_base::pool::{Pool, within};
use vectron_wire::frames::{FrameServer, PREFACE};

/// How long a connection may be silent before anybody knows what it is for.
const FIRST_BYTE_PATIENCE: Duration = Duration::from_secs(10);
/// HTTP connections that wait to be taken.
const HTTP_QUEUE: usize = 64;

/// The HTTP connections of a port.
pub struct HttpConnections {
    address: io::Result<SocketAddr>,
    queue: mpsc::Receiver<(TcpStream, SocketAddr)>,
}

impl Listener for HttpConnections {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.queue.recv().await {
            Some(connection) => connection,
            // The port is closed; whoever waits here is told to stop by the same signal.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }
}

/// Sorts the connections of a port. The future accepts them, and serves those for frames, until `stopped` says so and
/// the last of them has ended; dropped, it cuts them off.
pub fn sorted(
    listener: TcpListener,
    frames: Option<FrameServer>,
    pool: Arc<dyn Pool>,
    mut stopped: watch::Receiver<bool>,
) -> (HttpConnections, impl Future<Output = ()> + Send) {
    let (http, queue) = mpsc::channel(HTTP_QUEUE);
    let connections = HttpConnections { address: listener.local_addr(), queue };
    let told = stopped.clone();
    let sorting = async move {
        let mut open = JoinSet::new();
        loop {
            // Forgets those that ended.
            while open.try_join_next().is_some() {}
            let stop = pin!(async {
                // Either told to stop, or the node was dropped: stop in both cases.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            let accepted = match select(pin!(accept(&listener, &pool)), stop).await {
                Either::Left((accepted, _)) => accepted,
                Either::Right(_) => break,
            };
            let (frames, http, pool, told) = (frames.clone(), http.clone(), pool.clone(), told.clone());
            open.spawn(sort(accepted, frames, http, pool, told));
        }
        drop((listener, http));
        while open.join_next().await.is_some() {}
    };
    (connections, sorting)
}

/// The next connection. Most failures are a caller's that left again; running out of descriptors passes with time.
async fn accept(listener: &TcpListener, pool: &Arc<dyn Pool>) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(event = "node.accept_failed", "a connection could not be accepted: {error}");
                pool.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Looks at the first byte and hands the connection on.
async fn sort(
    (stream, from): (TcpStream, SocketAddr),
    frames: Option<FrameServer>,
    http: mpsc::Sender<(TcpStream, SocketAddr)>,
    pool: Arc<dyn Pool>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut stop = pin!(async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    let mut first = [0];
    {
        let peek = pin!(within(&pool, FIRST_BYTE_PATIENCE, stream.peek(&mut first)));
        // Nothing was begun on a connection that ends, stays silent or comes too late.
        let Either::Left((Some(Ok(1)), _)) = select(peek, stop.as_mut()).await else { return };
    }
    if first != PREFACE[..1] {
        // Gone when the process stops.
        let _ = http.send((stream, from)).await;
    } else if let Some(frames) = frames {
        frames.serve(stream, stop).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::runtime::{RuntimePool, build};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn http_goes_on_whole_and_others_are_closed() {
        let runtime = build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let pool: Arc<dyn Pool> = Arc::new(RuntimePool::start(1, 1).unwrap());
            let (stop, stopped) = watch::channel(false);
            let (mut http, sorting) = sorted(listener, None, pool, stopped);
            let sorting = runtime.spawn(sorting);

            let _silent = TcpStream::connect(address).await.unwrap();
            // A process without a worker has nobody for frames.
            let mut framed = TcpStream::connect(address).await.unwrap();
            framed.write_all(&PREFACE).await.unwrap();
            let mut plain = TcpStream::connect(address).await.unwrap();
            plain.write_all(b"GET").await.unwrap();
            let (mut taken, from) = http.accept().await;
            assert_eq!(from, plain.local_addr().unwrap());
            let mut seen = [0; 3];
            taken.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, b"GET");
            assert!(!matches!(framed.read(&mut seen).await, Ok(1..)));

            stop.send(true).unwrap();
            sorting.await.unwrap();
            assert!(TcpStream::connect(address).await.is_err());
        });
    }
}
