//! The calls of one connection that wait for their answers, and the caller's half of a live connection.

use super::format::{Frame, Kind, Malformed, Parser};
use super::outgoing::Outgoing;
use futures::channel::oneshot;
use futures::future::{Either, select};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{Notify, Semaphore};
use vectron_base::pool::Pool;

/// What an answer frame comes to.
#[derive(Debug)]
pub(super) enum Answer {
    /// The method's response.
    Response(Bytes),
    /// An encoded status.
    Refusal(Bytes),
    /// An answer over the size limit, which was not kept.
    TooLarge,
    /// The connection ended first.
    Lost {
        /// Whether the server may have the request.
        sent: bool,
    },
}

struct Waiting {
    /// When so many bytes have been taken by the system, the server may have the request.
    end: u64,
    done: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Calls {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// No call begins here any more.
    closed: bool,
}

/// What the calls and the task of a connection share.
struct Shared {
    out: Outgoing,
    calls: Mutex<Calls>,
    /// How many calls the server takes at a time.
    places: Semaphore,
    /// Whether anything arrived since the last ping.
    heard: AtomicBool,
    end: Notify,
}

/// A connection that calls can be made on. Ends when it is dropped by everybody.
pub(super) struct Live(Arc<Shared>);

impl Live {
    /// A connection after its greeting, on which the server takes `calls_max` calls at a time. The future is the
    /// connection's task.
    pub(super) fn new(
        reader: OwnedReadHalf,
        parser: Parser,
        out: Outgoing,
        calls_max: usize,
        pulse: Pulse,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let shared = Arc::new(Shared {
            out,
            calls: Mutex::default(),
            places: Semaphore::new(calls_max.clamp(1, Semaphore::MAX_PERMITS)),
            heard: AtomicBool::new(false),
            end: Notify::new(),
        });
        (Self(shared.clone()), shared.run(reader, parser, pulse))
    }

    /// Whether calls can begin.
    pub(super) fn open(&self) -> bool {
        !self.0.calls.lock().closed
    }

    /// Makes a call; how it ended. Told `sent` just before the request may leave.
    pub(super) async fn call(&self, kind: Kind, request: &[u8], sent: &AtomicBool) -> Answer {
        let shared = &*self.0;
        let Ok(_place) = shared.places.acquire().await else { return Answer::Lost { sent: false } };
        shared.out.room().await;
        let (done, answer) = oneshot::channel();
        let begun = {
            let mut calls = shared.calls.lock();
            if calls.closed {
                return Answer::Lost { sent: false };
            }
            calls.next += 1;
            let call = calls.next;
            // Under the lock, so that calls go out in the order of their numbers.
            match shared.out.put(kind, call, request) {
                Ok((end, write)) => {
                    calls.waiting.insert(call, Waiting { end, done });
                    (call, write)
                }
                Err(_) => return Answer::Lost { sent: false },
            }
        };
        let (call, write) = begun;
        sent.store(true, Ordering::Relaxed);
        let _cancelled = Cancel { shared, call };
        if write {
            shared.out.write();
        }
        answer.await.unwrap_or(Answer::Lost { sent: true })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.end.notify_one();
    }
}

/// Tells the server that nobody waits any more, unless the answer has come.
struct Cancel<'a> {
    shared: &'a Shared,
    call: u64,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        let waited = self.shared.calls.lock().waiting.remove(&self.call).is_some();
        if waited {
            // A connection that broke has told everybody.
            let _ = self.shared.out.send(Kind::Cancel, self.call, &[]);
        }
    }
}

/// When a silent connection is asked whether it still is one, and when it is not.
pub(super) struct Pulse {
    pub(super) pool: Arc<dyn Pool>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl Shared {
    /// The connection's task: reads until the connection ends, and tells every call that waits then.
    async fn run(self: Arc<Self>, reader: OwnedReadHalf, parser: Parser, pulse: Pulse) {
        {
            let reading = pin!(self.read(reader, parser));
            let writing = pin!(self.out.go_on());
            let beating = pin!(self.beat(&pulse));
            let ended = pin!(self.end.notified());
            select(select(reading, writing), select(beating, ended)).await;
        }
        let taken = self.out.break_off();
        let waiting = {
            let mut calls = self.calls.lock();
            calls.closed = true;
            std::mem::take(&mut calls.waiting)
        };
        self.places.close();
        for waiting in waiting.into_values() {
            let _ = waiting.done.send(Answer::Lost { sent: waiting.end <= taken });
        }
    }

    async fn read(&self, mut reader: OwnedReadHalf, mut parser: Parser) {
        loop {
            loop {
                match parser.next() {
                    Ok(Some(frame)) => {
                        // Not a server of ours, or one that said goodbye to the last call.
                        if !self.took(frame) {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(Malformed) => return,
                }
            }
            parser.buffer.reserve(READ_BYTES);
            match reader.read_buf(&mut parser.buffer).await {
                Ok(some) if some > 0 => self.heard.store(true, Ordering::Relaxed),
                _ => return,
            }
        }
    }

    /// Gives a frame to whom it is for; false when the connection is of no more use.
    fn took(&self, frame: Frame) -> bool {
        let answer = match (frame.kind, frame.body) {
            (Kind::Answer, Some(body)) => Answer::Response(body),
            (Kind::Refusal, Some(body)) => Answer::Refusal(body),
            (Kind::Answer | Kind::Refusal, None) => Answer::TooLarge,
            (Kind::Pong, _) => return true,
            (Kind::Bye, _) => return self.farewell(frame.call),
            _ => return false,
        };
        let mut calls = self.calls.lock();
        let done = calls.waiting.remove(&frame.call);
        let over = calls.closed && calls.waiting.is_empty();
        drop(calls);
        // A call that is not known was cancelled.
        if let Some(waiting) = done {
            let _ = waiting.done.send(answer);
        }
        !over
    }

    /// The server begins nothing after this call: those are as if never sent.
    fn farewell(&self, last: u64) -> bool {
        let mut calls = self.calls.lock();
        calls.closed = true;
        let late: Vec<u64> = calls.waiting.keys().copied().filter(|call| *call > last).collect();
        let late: Vec<Waiting> = late.iter().filter_map(|call| calls.waiting.remove(call)).collect();
        let over = calls.waiting.is_empty();
        drop(calls);
        self.places.close();
        for waiting in late {
            let _ = waiting.done.send(Answer::Lost { sent: false });
        }
        !over
    }

    /// Returns when the connection has been silent for too long.
    async fn beat(&self, pulse: &Pulse) {
        loop {
            pulse.pool.sleep(pulse.interval).await;
            let taken = self.out.taken();
            self.heard.store(false, Ordering::Relaxed);
            // Whatever is heard meanwhile: the server wants to hear something too.
            if self.out.send(Kind::Ping, 0, &[]).is_err() {
                return;
            }
            pulse.pool.sleep(pulse.timeout).await;
            if !self.heard.load(Ordering::Relaxed) && !self.out.drained_since(taken) {
                return;
            }
        }
    }
}

/// Room for what is read at once.
pub(super) const READ_BYTES: usize = 16 << 10;

/// Either of two futures that come to the same.
pub(super) async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    match select(pin!(one), pin!(other)).await {
        Either::Left((value, _)) | Either::Right((value, _)) => value,
    }
}
