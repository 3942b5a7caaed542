//! How a connection for frames begins, on the caller's side, and the one that calls are made on at the moment.

use super::FrameOptions;
use super::calls::{Live, Pulse, READ_BYTES};
use super::fault::fault_of;
use super::format::{Frame, Kind, PREFACE, Parser, whole};
use super::outgoing::Outgoing;
use crate::grpc::dial::DialOptions;
use crate::proto::worker as pb;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use vectron_base::pool::{Pool, within};
use vectron_base::{Code, Fault};

/// Longest frame of a greeting, in bytes.
pub(super) const GREETING_BYTES: usize = 8 << 10;

type Connecting = Shared<BoxFuture<'static, Result<Arc<Live>, Fault>>>;

enum Line {
    Idle,
    /// Being made, by all who wait for it together.
    Connecting(Connecting),
    Up(Arc<Live>),
}

/// The connection to one address: made when it is first used, and made again after it broke.
pub(super) struct Connections {
    address: String,
    options: DialOptions,
    frames: FrameOptions,
    pool: Arc<dyn Pool>,
    line: Mutex<Line>,
}

impl Connections {
    pub(super) fn new(
        address: String,
        options: DialOptions,
        frames: FrameOptions,
        pool: Arc<dyn Pool>,
    ) -> Self {
        Self { address, options, frames, pool, line: Mutex::new(Line::Idle) }
    }

    pub(super) fn options(&self) -> &DialOptions {
        &self.options
    }

    pub(super) fn pool(&self) -> &Arc<dyn Pool> {
        &self.pool
    }

    /// A connection that takes calls, or why there is none. Nothing was sent then.
    pub(super) async fn live(&self) -> Result<Arc<Live>, Fault> {
        let connecting = {
            let mut line = self.line.lock();
            match &*line {
                Line::Up(live) if live.open() => return Ok(live.clone()),
                // One that failed while nobody waited says nothing of now.
                Line::Connecting(connecting) if !matches!(connecting.peek(), Some(Err(_))) => {
                    connecting.clone()
                }
                _ => {
                    let connecting = self.connect().boxed().shared();
                    // Goes on when the caller gives up: the next one needs it too.
                    self.pool.spawn("worker connecting", connecting.clone().map(drop).boxed());
                    *line = Line::Connecting(connecting.clone());
                    connecting
                }
            }
        };
        let made = connecting.clone().await;
        let mut line = self.line.lock();
        // The first of those who waited puts the result in place.
        if matches!(&*line, Line::Connecting(current) if current.ptr_eq(&connecting)) {
            *line = made.as_ref().map_or(Line::Idle, |live| Line::Up(live.clone()));
        }
        made
    }

    fn connect(&self) -> impl Future<Output = Result<Arc<Live>, Fault>> + Send + use<> {
        let (address, options) = (self.address.clone(), self.options.clone());
        let (frames, pool) = (self.frames, self.pool.clone());
        async move {
            let limit = options.connect_timeout;
            let made = within(&pool.clone(), limit, greet(&address, options, frames, pool)).await;
            made.unwrap_or_else(|| Err(unreachable()))
        }
    }
}

/// Nothing was sent, so nothing happened.
pub(super) fn unreachable() -> Fault {
    Fault::new(Code::Unavailable, "the worker cannot be reached")
}

/// Connects, shows the key, and waits to be let in.
async fn greet(
    address: &str,
    options: DialOptions,
    frames: FrameOptions,
    pool: Arc<dyn Pool>,
) -> Result<Arc<Live>, Fault> {
    let stream = TcpStream::connect(address).await.map_err(|_| unreachable())?;
    // Requests are small and waited for: they go out at once. A failure leaves the connection merely slower.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut half) = stream.into_split();
    let hello = pb::FramesHello {
        key: options.key.as_ref().map(|key| key.bytes().to_vec()),
        quiet_max_ms: u64::try_from((options.keep_alive_interval + options.keep_alive_timeout).as_millis())
            .unwrap_or(u64::MAX),
    };
    let mut greeting = PREFACE.to_vec();
    greeting.extend(whole(Kind::Hello, 0, &hello.encode_to_vec()).ok_or_else(unreachable)?);
    half.write_all(&greeting).await.map_err(|_| unreachable())?;

    let mut parser = Parser::new(GREETING_BYTES);
    let answer = next(&mut reader, &mut parser).await.ok_or_else(unreachable)?;
    let welcome = match (answer.kind, answer.body) {
        (Kind::Welcome, Some(body)) => pb::FramesWelcome::decode(body).map_err(|_| unreachable())?,
        (Kind::Refusal, Some(body)) => return Err(fault_of(&body).unwrap_or_else(unreachable)),
        _ => return Err(unreachable()),
    };
    parser.set_limit(options.limits.receive);
    let out = Outgoing::new(half, frames.queued_bytes_max);
    let pulse = Pulse {
        pool: pool.clone(),
        interval: options.keep_alive_interval,
        timeout: options.keep_alive_timeout,
    };
    let calls_max = usize::try_from(welcome.calls_max).unwrap_or(usize::MAX);
    let (live, task) = Live::new(reader, parser, out, calls_max, pulse);
    pool.spawn("worker connection", Box::pin(task));
    Ok(Arc::new(live))
}

/// The next frame; none when there will be none.
pub(super) async fn next(reader: &mut OwnedReadHalf, parser: &mut Parser) -> Option<Frame> {
    loop {
        if let Some(frame) = parser.next().ok()? {
            return Some(frame);
        }
        parser.buffer.reserve(READ_BYTES);
        if reader.read_buf(&mut parser.buffer).await.ok()? == 0 {
            return None;
        }
    }
}
