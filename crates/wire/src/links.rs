//! Messages of replicated logs on their way: one bounded queue and one task for each address, and everything that
//! waits goes as one batch.
//!
//! Nothing here waits on behalf of a sender, and nothing is sent twice: Raft repeats what mattered. A queue that is
//! full gives up its oldest messages, since a queue fills when nobody takes from it, and what was said last (the
//! term, the commit index, the heartbeat of now) supersedes what was said before. A batch whose connection broke is
//! lost as a whole, for nobody knows how much of it arrived.

use crate::peer::{Carrier, Carriers};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use vectron_base::pool::{Pool, within};

/// Bounds of every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Most messages that wait for one address.
    pub messages_max: usize,
    /// Most bytes that wait for one address.
    pub bytes_max: usize,
    /// Most bytes in one batch, and so in one message. Must be within what the carriers can send.
    pub batch_bytes_max: usize,
    /// Pause after a connection broke.
    pub pause_min: Duration,
    /// Longest pause: it doubles while connecting fails.
    pub pause_max: Duration,
    /// A link without messages for so long is taken down.
    pub idle: Duration,
}

/// What all links did since the start.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Messages that a carrier took.
    pub sent: AtomicU64,
    /// Messages given up: the queue was full, the message was too large, or the connection broke.
    pub dropped: AtomicU64,
    /// Batches that a carrier took.
    pub batches: AtomicU64,
    /// Bytes of messages that a carrier took.
    pub bytes: AtomicU64,
    /// Times that a carrier failed.
    pub broken: AtomicU64,
}

impl LinkCounters {
    fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Adds a message, and takes the oldest out until all is within the limits; how many those were.
    fn push(&mut self, message: Vec<u8>, limits: &LinkLimits) -> usize {
        self.bytes += message.len();
        self.messages.push_back(message);
        let mut dropped = 0;
        while self.messages.len() > limits.messages_max || self.bytes > limits.bytes_max {
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= oldest.len();
            dropped += 1;
        }
        dropped
    }

    /// The oldest messages, as many as go into a batch.
    fn take(&mut self, batch_bytes_max: usize) -> Vec<Vec<u8>> {
        let mut bytes = 0;
        let fits = |message: &&Vec<u8>| {
            bytes += message.len();
            bytes <= batch_bytes_max
        };
        let count = self.messages.iter().take_while(fits).count();
        let batch: Vec<Vec<u8>> = self.messages.drain(..count).collect();
        self.bytes -= batch.iter().map(Vec::len).sum::<usize>();
        batch
    }
}

#[derive(Default)]
struct Link {
    queue: Mutex<Queue>,
    wake: Notify,
}

struct Shared {
    links: Mutex<BTreeMap<String, Arc<Link>>>,
    carriers: Arc<dyn Carriers>,
    pool: Arc<dyn Pool>,
    limits: LinkLimits,
    counters: Arc<LinkCounters>,
}

/// Links to other processes. They end when this is dropped.
pub struct Links {
    shared: Arc<Shared>,
}

impl Links {
    /// No links yet: each begins with its first message.
    pub fn new(carriers: Arc<dyn Carriers>, pool: Arc<dyn Pool>, limits: LinkLimits) -> Self {
        let (links, counters) = (Mutex::default(), Arc::default());
        Self { shared: Arc::new(Shared { links, carriers, pool, limits, counters }) }
    }

    /// Queues a message for the process at an address. Never waits; what does not fit is dropped and counted.
    pub fn send(&self, address: &str, message: Vec<u8>) {
        let (limits, counters) = (&self.shared.limits, &self.shared.counters);
        if message.len() > limits.batch_bytes_max || message.len() > limits.bytes_max {
            LinkCounters::add(&counters.dropped, 1);
            return;
        }
        // The map stays locked while the message is queued, so that a link is never taken down with a message in it.
        let mut links = self.shared.links.lock();
        let link = match links.get(address) {
            Some(link) => link.clone(),
            None => {
                let link = Arc::new(Link::default());
                links.insert(address.to_string(), link.clone());
                let (shared, address) = (Arc::downgrade(&self.shared), address.to_string());
                let task = run(shared, address, link.clone());
                self.shared.pool.spawn("peer link", Box::pin(task));
                link
            }
        };
        let dropped = link.queue.lock().push(message, limits);
        drop(links);
        LinkCounters::add(&counters.dropped, dropped);
        link.wake.notify_one();
    }

    /// How many addresses have a link now.
    pub fn count(&self) -> usize {
        self.shared.links.lock().len()
    }

    /// What all links did; lives on after them.
    pub fn counters(&self) -> Arc<LinkCounters> {
        self.shared.counters.clone()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in self.shared.links.lock().values() {
            link.queue.lock().closed = true;
            link.wake.notify_one();
        }
    }
}

/// What a link does next.
enum Next {
    Carry(Vec<Vec<u8>>),
    Wait,
    End,
}

fn next(link: &Link, batch_bytes_max: usize) -> Next {
    let mut queue = link.queue.lock();
    if queue.closed {
        return Next::End;
    }
    let batch = queue.take(batch_bytes_max);
    if batch.is_empty() { Next::Wait } else { Next::Carry(batch) }
}

/// Carries what is queued for one address until the links are dropped or this one has been idle for long.
async fn run(shared: Weak<Shared>, address: String, link: Arc<Link>) {
    let Some((carriers, pool, limits, counters)) = shared
        .upgrade()
        .map(|shared| (shared.carriers.clone(), shared.pool.clone(), shared.limits, shared.counters.clone()))
    else {
        return;
    };
    let carrier: Arc<dyn Carrier> = carriers.to(&address);
    let mut pause = limits.pause_min;
    loop {
        match next(&link, limits.batch_bytes_max) {
            Next::Carry(batch) => {
                let (count, bytes) = (batch.len(), batch.iter().map(Vec::len).sum());
                if carrier.carry(batch).await.is_ok() {
                    LinkCounters::add(&counters.sent, count);
                    LinkCounters::add(&counters.batches, 1);
                    LinkCounters::add(&counters.bytes, bytes);
                    pause = limits.pause_min;
                } else {
                    LinkCounters::add(&counters.dropped, count);
                    LinkCounters::add(&counters.broken, 1);
                    pool.sleep(pause).await;
                    pause = (pause * 2).min(limits.pause_max);
                }
            }
            Next::Wait => {
                let woken = within(&pool, limits.idle, link.wake.notified()).await.is_some();
                let Some(shared) = shared.upgrade() else { return };
                let mut links = shared.links.lock();
                if !woken && link.queue.lock().messages.is_empty() {
                    links.remove(&address);
                    return;
                }
            }
            Next::End => return,
        }
    }
}
