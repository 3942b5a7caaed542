//! The sending half of a connection, shared by everybody who sends on it.
//!
//! Who puts a frame in while nobody writes, writes it at once, without a task in between; who comes meanwhile leaves
//! theirs to them, so that frames of many calls go out in one system call. When the socket takes no more, the
//! connection's own task goes on as soon as it does.

use super::format::{HEADER_BYTES, Kind, header};
use parking_lot::Mutex;
use std::io::ErrorKind;
use std::pin::pin;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// Capacity that is kept for the next frames, in bytes.
const KEPT_BYTES: usize = 64 << 10;
/// Rounds that one sender writes, also for others, before it leaves them to the connection's task.
const ROUNDS: usize = 4;

/// Nothing more can be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

#[derive(Default)]
struct State {
    /// Being written, from there on. Empty and at 0 while a writer holds it.
    current: Vec<u8>,
    at: usize,
    /// To be written after it.
    waiting: Vec<u8>,
    /// Bytes that were ever put in.
    put: u64,
    /// Bytes that the system took, as far as is known.
    taken: u64,
    /// Bytes that it may have taken: more than those while somebody writes.
    offered: u64,
    /// Whether somebody writes, or the connection's task has been told to.
    writing: bool,
    broken: bool,
}

/// What has been put in and is to be written.
pub(super) struct Outgoing {
    half: OwnedWriteHalf,
    state: Mutex<State>,
    blocked: Notify,
    room: Notify,
    /// Bytes that may wait before senders do.
    most: u64,
}

/// How far writing came.
enum Wrote {
    Everything,
    /// The socket takes no more now, or it is another's turn.
    Some,
}

impl Outgoing {
    /// Senders wait for room while more than `most` bytes do.
    pub(super) fn new(half: OwnedWriteHalf, most: u64) -> Self {
        Self { half, state: Mutex::default(), blocked: Notify::new(), room: Notify::new(), most }
    }

    /// Whether more waits to be written than should.
    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        !state.broken && state.put - state.taken > self.most
    }

    /// Bytes that the system has taken.
    pub(super) fn taken(&self) -> u64 {
        self.state.lock().taken
    }

    /// Whether the other side takes what waits: the system has taken more than `before`, and still has to take some.
    pub(super) fn drained_since(&self, before: u64) -> bool {
        let state = self.state.lock();
        state.taken > before && state.put > state.taken
    }

    /// Waits until there is room for more.
    pub(super) async fn room(&self) {
        while self.is_full() {
            let mut room = pin!(self.room.notified());
            // What happens from here on is noticed.
            room.as_mut().enable();
            if self.is_full() {
                room.await;
            }
        }
    }

    /// Puts a frame in. The number of bytes that will have been taken when it has gone, and whether to call
    /// [`Outgoing::write`] now.
    pub(super) fn put(&self, kind: Kind, call: u64, body: &[u8]) -> Result<(u64, bool), Broken> {
        let body_bytes = u32::try_from(body.len()).map_err(|_| Broken)?;
        let mut state = self.state.lock();
        if state.broken {
            return Err(Broken);
        }
        state.waiting.reserve(HEADER_BYTES + body.len());
        state.waiting.extend_from_slice(&header(kind, call, body_bytes));
        state.waiting.extend_from_slice(body);
        state.put += (HEADER_BYTES + body.len()) as u64;
        let idle = !state.writing;
        state.writing = true;
        Ok((state.put, idle))
    }

    /// Puts a frame in and sees to it that it is written.
    pub(super) fn send(&self, kind: Kind, call: u64, body: &[u8]) -> Result<(), Broken> {
        let (_, write) = self.put(kind, call, body)?;
        if write {
            self.write();
        }
        Ok(())
    }

    /// Writes what waits, or leaves it to the connection's task. Only for who was told to.
    pub(super) fn write(&self) {
        if let Wrote::Some = self.write_rounds() {
            self.blocked.notify_one();
        }
    }

    fn write_rounds(&self) -> Wrote {
        for _ in 0..ROUNDS {
            let (mut bytes, mut at) = {
                let mut state = self.state.lock();
                if state.current.is_empty() {
                    let state = &mut *state;
                    std::mem::swap(&mut state.current, &mut state.waiting);
                }
                if state.current.is_empty() || state.broken {
                    state.writing = false;
                    return Wrote::Everything;
                }
                let (bytes, at) = (std::mem::take(&mut state.current), std::mem::take(&mut state.at));
                state.offered = state.taken + (bytes.len() - at) as u64;
                (bytes, at)
            };
            let begun = at;
            let result = loop {
                let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break Ok(()) };
                match self.half.try_write(rest) {
                    Ok(0) => break Err(ErrorKind::WriteZero),
                    Ok(some) => at += some,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => break Err(error.kind()),
                }
            };
            let mut state = self.state.lock();
            state.taken += (at - begun) as u64;
            state.offered = state.taken;
            match result {
                Ok(()) => {
                    bytes.clear();
                    bytes.shrink_to(KEPT_BYTES);
                    // An empty buffer, kept for the next round.
                    state.current = bytes;
                    if state.put - state.taken <= self.most {
                        self.room.notify_waiters();
                    }
                }
                Err(ErrorKind::WouldBlock) => {
                    (state.current, state.at) = (bytes, at);
                    return Wrote::Some;
                }
                Err(_) => {
                    drop(state);
                    self.break_off();
                    return Wrote::Everything;
                }
            }
        }
        Wrote::Some
    }

    /// Goes on writing whenever a sender could not, until the socket is broken.
    pub(super) async fn go_on(&self) {
        loop {
            self.blocked.notified().await;
            while let Wrote::Some = {
                if self.half.writable().await.is_err() {
                    return self.drop_all();
                }
                self.write_rounds()
            } {}
            if self.state.lock().broken {
                return;
            }
        }
    }

    fn drop_all(&self) {
        self.break_off();
    }

    /// Ends sending; how many bytes the system may have taken. What somebody is writing at this moment counts: the other
    /// side may have read it, and answered, before the writer comes to say so.
    pub(super) fn break_off(&self) -> u64 {
        let mut state = self.state.lock();
        state.broken = true;
        state.waiting = Vec::new();
        drop(std::mem::take(&mut state.current));
        self.room.notify_waiters();
        self.blocked.notify_one();
        state.offered.max(state.taken)
    }
}
