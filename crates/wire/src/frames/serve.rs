//! The serving side of a connection: lets the caller in, begins calls as they arrive, sends answers as they come.

use super::FrameOptions;
use super::calls::{READ_BYTES, either};
use super::connect::{GREETING_BYTES, next};
use super::fault::bytes_of;
use super::format::{Frame, Kind, Malformed, PREFACE, Parser, whole};
use super::outgoing::Outgoing;
use crate::grpc::MessageLimits;
use crate::grpc::key::{ClusterKey, not_shown};
use crate::grpc::method::Method;
use crate::grpc::serve::{answer, short};
use crate::grpc::worker::{COUNT, GET, SCROLL, SEARCH, WRITE, searched};
use crate::proto::worker as pb;
use crate::worker::Worker;
use futures::channel::oneshot;
use futures::future::{AbortHandle, Abortable, BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use vectron_base::pool::{Pool, within};
use vectron_base::{Code, Fault, Outcome};

/// How long a caller may take for its greeting.
const GREETING_PATIENCE: Duration = Duration::from_secs(5);
/// How often a caller's own bound on its silence may pass before its connection counts as broken.
const QUIET_TIMES: u32 = 3;
/// Bounds of that, however the caller sets its own.
const QUIET: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(60 * 60);

/// What is served over frames, and how.
#[derive(Clone)]
pub struct FrameServer {
    /// Whom calls go to.
    pub worker: Arc<dyn Worker>,
    /// What callers must show.
    pub key: Option<ClusterKey>,
    /// How large messages may be.
    pub limits: MessageLimits,
    /// Bounds of a connection.
    pub options: FrameOptions,
    /// Where large requests are worked on.
    pub pool: Arc<dyn Pool>,
}

/// A call that is being worked on; its number when it ended.
type Running = BoxFuture<'static, u64>;

impl FrameServer {
    /// Serves a connection to its end. When `stopped` completes, no further call is begun, and the connection ends
    /// once the caller has its last answer and closes it.
    pub async fn serve(self, stream: TcpStream, stopped: impl Future<Output = ()> + Send) {
        // Answers are small and waited for: they go out at once. A failure leaves the connection merely slower.
        let _ = stream.set_nodelay(true);
        let (mut reader, mut half) = stream.into_split();
        let let_in = within(&self.pool, GREETING_PATIENCE, self.let_in(&mut reader, &mut half)).await;
        let Some(Some((parser, hello))) = let_in else { return };
        let out = Arc::new(Outgoing::new(half, self.options.queued_bytes_max));
        let quiet = Duration::from_millis(hello.quiet_max_ms).saturating_mul(QUIET_TIMES);
        let mut connection = Connection {
            server: &self,
            out: out.clone(),
            parser,
            running: FuturesUnordered::new(),
            aborts: HashMap::new(),
            last: 0,
            stopping: false,
        };
        connection.parser.set_limit(self.limits.receive);
        let heard = AtomicBool::new(false);
        let serving = pin!(connection.run(reader, &heard, stopped));
        let others =
            either(out.go_on(), silence(&self.pool, quiet.clamp(*QUIET.start(), *QUIET.end()), &heard, &out));
        select(serving, pin!(others)).await;
        out.break_off();
    }

    /// Reads the greeting and answers it; none when the caller is not let in.
    async fn let_in(
        &self,
        reader: &mut OwnedReadHalf,
        half: &mut OwnedWriteHalf,
    ) -> Option<(Parser, pb::FramesHello)> {
        let (parser, hello) = greeted(reader).await?;
        let shown = |key: &ClusterKey| hello.key.as_deref().is_some_and(|shown| key.is(shown));
        if !self.key.as_ref().is_none_or(shown) {
            let refusal = whole(Kind::Refusal, 0, &bytes_of(&not_shown()))?;
            half.write_all(&refusal).await.ok()?;
            return None;
        }
        let welcome = pb::FramesWelcome { calls_max: self.options.calls_max as u64 };
        half.write_all(&whole(Kind::Welcome, 0, &welcome.encode_to_vec())?).await.ok()?;
        Some((parser, hello))
    }
}

/// Returns when nothing was heard for so long, and nothing of what waits was taken.
async fn silence(pool: &Arc<dyn Pool>, quiet: Duration, heard: &AtomicBool, out: &Outgoing) {
    loop {
        let taken = out.taken();
        pool.sleep(quiet).await;
        if !heard.swap(false, Ordering::Relaxed) && !out.drained_since(taken) {
            return;
        }
    }
}

/// Reads the preface and the hello.
async fn greeted(reader: &mut OwnedReadHalf) -> Option<(Parser, pb::FramesHello)> {
    let mut preface = [0; PREFACE.len()];
    reader.read_exact(&mut preface).await.ok()?;
    if preface != PREFACE {
        return None;
    }
    let mut parser = Parser::new(GREETING_BYTES);
    let hello = next(reader, &mut parser).await.filter(|frame| frame.kind == Kind::Hello)?;
    Some((parser, pb::FramesHello::decode(hello.body?).ok()?))
}

struct Connection<'a> {
    server: &'a FrameServer,
    out: Arc<Outgoing>,
    parser: Parser,
    running: FuturesUnordered<Running>,
    /// By call, what ends its work early.
    aborts: HashMap<u64, AbortHandle>,
    /// The last call that was begun.
    last: u64,
    stopping: bool,
}

/// What happened next on a connection.
enum Event {
    Read(std::io::Result<usize>),
    Ended(u64),
    Stop,
}

impl Connection<'_> {
    async fn run(
        &mut self,
        mut reader: OwnedReadHalf,
        heard: &AtomicBool,
        stopped: impl Future<Output = ()> + Send,
    ) {
        let mut stopped = pin!(stopped.fuse());
        loop {
            loop {
                match self.parser.next() {
                    Ok(Some(frame)) => {
                        if !self.took(frame) {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(Malformed) => return,
                }
            }
            let event = {
                let (out, buffer) = (&self.out, &mut self.parser.buffer);
                let read = pin!(async {
                    // Who does not take answers is not given more.
                    out.room().await;
                    buffer.reserve(READ_BYTES);
                    Event::Read(reader.read_buf(buffer).await)
                });
                let running = &mut self.running;
                let ended = pin!(async {
                    match running.next().await {
                        Some(call) => Event::Ended(call),
                        None => std::future::pending().await,
                    }
                });
                let stop = pin!(async {
                    stopped.as_mut().await;
                    Event::Stop
                });
                // First of all, so that nothing is begun after the stop that arrived with it.
                either(stop, either(ended, read)).await
            };
            match event {
                Event::Read(Ok(some)) if some > 0 => heard.store(true, Ordering::Relaxed),
                Event::Read(_) => return,
                Event::Ended(call) => drop(self.aborts.remove(&call)),
                Event::Stop if self.stopping => {}
                Event::Stop => {
                    self.stopping = true;
                    if self.out.send(Kind::Bye, self.last, &[]).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Does what a frame says; false when the connection is of no more use.
    fn took(&mut self, frame: Frame) -> bool {
        let (kind, call) = (frame.kind, frame.call);
        match kind {
            Kind::Ping => self.out.send(Kind::Pong, 0, &[]).is_ok(),
            Kind::Cancel => {
                if let Some(abort) = self.aborts.remove(&call) {
                    abort.abort();
                }
                true
            }
            Kind::Write | Kind::Get | Kind::Search | Kind::Scroll | Kind::Count => {
                // The caller knows that it is not begun.
                if self.stopping {
                    return true;
                }
                if call <= self.last {
                    return false;
                }
                self.last = call;
                match self.refused(frame.body.as_ref()) {
                    Some(fault) => self.out.send(Kind::Refusal, call, &bytes_of(&fault)).is_ok(),
                    None => {
                        self.begin(kind, call, frame.body.unwrap_or_default());
                        true
                    }
                }
            }
            _ => false,
        }
    }

    fn refused(&self, body: Option<&Bytes>) -> Option<Fault> {
        let options = &self.server.options;
        if body.is_none() {
            let most = self.server.limits.receive;
            let detail = format!(
                "the request is over the limit of {most} bytes between processes; split the request, or raise the \
                 limit on message size on both sides"
            );
            return Some(Fault::new(Code::TooLarge, detail));
        }
        // A caller of ours knows the limit and waits.
        (self.aborts.len() >= options.calls_max).then(|| {
            let detail = format!("the connection has {} calls in work already", options.calls_max);
            Fault::new(Code::Overloaded, detail).retry_after(100)
        })
    }

    fn begin(&mut self, kind: Kind, call: u64, body: Bytes) {
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(call, abort);
        let large = body.len() > super::LARGE_BYTES;
        let work = AssertUnwindSafe(work(self.server.worker.clone(), kind, body, self.server.limits.send));
        let lost = if kind == Kind::Write { WRITE.lost() } else { Outcome::NotApplied };
        let work = async move {
            let panicked = || Fault::internal("a part of the worker had panicked").with_outcome(lost);
            work.catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
        };
        let work: BoxFuture<'static, _> =
            if large { elsewhere(self.server.pool.clone(), work).boxed() } else { work.boxed() };
        let out = self.out.clone();
        self.running.push(Box::pin(async move {
            if let Ok(result) = Abortable::new(work, registration).await {
                // A connection that broke ends by itself.
                let _ = match result {
                    Ok(body) => out.send(Kind::Answer, call, &body),
                    Err(fault) => out.send(Kind::Refusal, call, &bytes_of(&short(fault))),
                };
            }
            call
        }));
    }
}

/// Runs the work as a task of its own, so that taking a large request apart does not hold up the others of its
/// connection. The task ends with the future.
async fn elsewhere(
    pool: Arc<dyn Pool>,
    work: impl Future<Output = Result<Vec<u8>, Fault>> + Send + 'static,
) -> Result<Vec<u8>, Fault> {
    let (mut done, result) = oneshot::channel();
    let task = async move {
        let finished = match select(pin!(work), done.cancellation()).await {
            Either::Left((finished, _)) => finished,
            Either::Right(_) => return,
        };
        let _ = done.send(finished);
    };
    pool.spawn("worker call", Box::pin(task));
    // The task ends without a result only with the process.
    let stopped = || Fault::internal("the worker is stopping").with_outcome(Outcome::Unknown);
    result.await.unwrap_or_else(|_| Err(stopped()))
}

/// One call from the bytes of its request to the bytes of its answer.
async fn work(worker: Arc<dyn Worker>, kind: Kind, body: Bytes, limit: usize) -> Result<Vec<u8>, Fault> {
    match kind {
        Kind::Write => one(WRITE, body, limit, |request| worker.write(request)).await,
        Kind::Get => one(GET, body, limit, |request| worker.get(request)).await,
        Kind::Search => one(SEARCH, body, limit, |request| searched(&*worker, request)).await,
        Kind::Scroll => one(SCROLL, body, limit, |request| worker.scroll(request)).await,
        Kind::Count => one(COUNT, body, limit, |request| worker.count(request)).await,
        _ => Err(Fault::internal("no such call")),
    }
}

async fn one<M, R, Q, A, F>(
    method: Method<M, R>,
    body: Bytes,
    limit: usize,
    act: impl FnOnce(Q) -> F,
) -> Result<Vec<u8>, Fault>
where
    M: Message + Default,
    R: Message + From<A>,
    Q: TryFrom<M, Error = Fault>,
    F: Future<Output = Result<A, Fault>>,
{
    let message = M::decode(body).map_err(|error| {
        Fault::new(
            Code::InvalidArgument,
            format!("the message is not valid protobuf for this method: {error}"),
        )
    })?;
    Ok(answer(method, limit, message, act).await?.encode_to_vec())
}
