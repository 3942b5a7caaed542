//! The network between nodes: seeded delay, loss, duplication, reordering, slow links and partitions.
//!
//! Two faces. [`Network::send`] carries messages that may be lost, doubled and overtake each other: the Raft
//! links, treated worse than an ordered stream would. [`Network::call`] carries a question and its answer, as gRPC
//! over TCP does: a lost packet costs time; what cannot be delivered ends in the caller's patience, and the fault
//! says what the caller can know, no more.

mod call;
mod dial;
mod gateway;
mod placement;
mod worker;

pub use dial::{Connections, Residents, Tamper, Wires, address_of, node_at};
pub use gateway::RemoteGateway;
pub use placement::RemotePlacement;
pub use worker::RemoteWorker;

use crate::executor::{Executor, NodeId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::random::{Random, SeededRandom};

/// What a link does to what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Shortest way, in microseconds.
    pub delay_min_us: u64,
    /// Longest way, in microseconds. What is sent later may arrive earlier.
    pub delay_max_us: u64,
    /// Messages lost, in parts per million.
    pub loss_ppm: u64,
    /// Messages delivered twice, in parts per million.
    pub duplicate_ppm: u64,
}

impl Link {
    /// A data centre on a good day.
    pub const GOOD: Link = Link { delay_min_us: 80, delay_max_us: 600, loss_ppm: 0, duplicate_ppm: 0 };
    /// A bad day: a message in twenty is lost, one in fifty comes twice, and delays differ widely.
    pub const LOSSY: Link =
        Link { delay_min_us: 80, delay_max_us: 20_000, loss_ppm: 50_000, duplicate_ppm: 20_000 };
    /// A congested one.
    pub const SLOW: Link = Link { delay_min_us: 60_000, delay_max_us: 180_000, ..Link::GOOD };
}

/// How a retransmission delays what a stream carries.
const RETRANSMISSION: Duration = Duration::from_millis(200);

type Receiver = Arc<dyn Fn(NodeId, &[u8]) + Send + Sync>;

struct State {
    usual: Link,
    links: BTreeMap<(NodeId, NodeId), Link>,
    /// Directions in which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    receivers: BTreeMap<NodeId, Receiver>,
    /// Lives of each node: what was on its way to an earlier one is not delivered to a later one.
    lives: BTreeMap<NodeId, u64>,
    counts: Counts,
}

/// What the network did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed in.
    pub sent: u64,
    /// Messages lost by chance or because nothing passes.
    pub lost: u64,
    /// Messages that came twice.
    pub doubled: u64,
    /// Calls begun.
    pub calls: u64,
    /// Calls whose answer never came.
    pub unanswered: u64,
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub struct Network {
    state: Arc<Mutex<State>>,
    executor: Executor,
    random: Arc<SeededRandom>,
}

impl Network {
    /// A network on which everything passes.
    pub fn new(executor: Executor, seed: u64) -> Self {
        let state = State {
            usual: Link::GOOD,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            receivers: BTreeMap::new(),
            lives: BTreeMap::new(),
            counts: Counts::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), executor, random: Arc::new(SeededRandom::new(seed)) }
    }

    /// A node is on, and messages to it go to `receiver`.
    pub fn listen(&self, node: NodeId, receiver: impl Fn(NodeId, &[u8]) + Send + Sync + 'static) {
        let mut state = self.state.lock();
        state.receivers.insert(node, Arc::new(receiver));
        *state.lives.entry(node).or_default() += 1;
    }

    /// A node is off: nobody listens there.
    pub fn leave(&self, node: NodeId) {
        let receiver = self.state.lock().receivers.remove(&node);
        drop(receiver);
    }

    /// Whether a node is on.
    pub fn listens(&self, node: NodeId) -> bool {
        self.state.lock().receivers.contains_key(&node)
    }

    /// How links are that were not set one by one.
    pub fn set_usual(&self, link: Link) {
        self.state.lock().usual = link;
    }

    /// Sets one direction of a link.
    pub fn set_link(&self, from: NodeId, to: NodeId, link: Link) {
        self.state.lock().links.insert((from, to), link);
    }

    /// Nothing passes from `from` to `to`; the other way is not touched.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state.lock().cut.insert((from, to));
    }

    /// Nothing passes between two groups. Nodes in neither see both: with one such node it is a bridge.
    pub fn partition(&self, one: &[NodeId], other: &[NodeId]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    /// Everything passes again, and links are as usual, which is good.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.links.clear();
        state.usual = Link::GOOD;
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    /// Whether anything passes from one node to the other now.
    pub fn passes(&self, from: NodeId, to: NodeId) -> bool {
        !self.state.lock().cut.contains(&(from, to))
    }

    fn link(&self, from: NodeId, to: NodeId) -> Link {
        let state = self.state.lock();
        state.links.get(&(from, to)).copied().unwrap_or(state.usual)
    }

    fn chance(&self, ppm: u64) -> bool {
        ppm > 0 && self.random.below(1_000_000) < ppm
    }

    fn delay(&self, link: Link) -> Duration {
        let span = link.delay_max_us.saturating_sub(link.delay_min_us);
        Duration::from_nanos(link.delay_min_us * 1_000 + self.random.below(span * 1_000 + 1))
    }

    /// Sends one message; it may be lost, come twice, or be overtaken.
    pub fn send(&self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        let link = self.link(from, to);
        let lost = !self.passes(from, to) || self.chance(link.loss_ppm);
        let copies = if lost { 0 } else { 1 + u64::from(self.chance(link.duplicate_ppm)) };
        let life = {
            let mut state = self.state.lock();
            state.counts.sent += 1;
            state.counts.lost += u64::from(lost);
            state.counts.doubled += u64::from(copies == 2);
            state.lives.get(&to).copied().unwrap_or(0)
        };
        let bytes: Arc<[u8]> = bytes.into();
        for _ in 0..copies {
            let (network, bytes) = (self.clone(), bytes.clone());
            let arrives = self.delay(link);
            self.executor.on(to, None).after(arrives, move || network.arrive(from, to, life, &bytes));
        }
    }

    fn arrive(&self, from: NodeId, to: NodeId, life: u64, bytes: &[u8]) {
        let receiver = {
            let state = self.state.lock();
            let same_life = state.lives.get(&to) == Some(&life);
            state.receivers.get(&to).filter(|_| same_life && !state.cut.contains(&(from, to))).cloned()
        };
        if let Some(receiver) = receiver {
            receiver(from, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vectron_base::clock::ManualClock;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    /// What arrives at `C` of a hundred messages from each of `A` and `B`, in order.
    fn arrived(seed: u64, prepare: impl Fn(&Network)) -> Vec<(u32, u8)> {
        let executor = Executor::new(Arc::new(ManualClock::starting_at(0)), seed);
        let network = Network::new(executor.clone(), seed);
        let seen: Arc<Mutex<Vec<(u32, u8)>>> = Arc::default();
        let noted = seen.clone();
        network.listen(C, move |from, bytes| noted.lock().push((from.0, bytes[0])));
        prepare(&network);
        for number in 0..100 {
            network.send(A, C, vec![number]);
            network.send(B, C, vec![number]);
        }
        while let Some(at) = executor.next_timer() {
            executor.advance_to(at);
        }
        Arc::try_unwrap(seen).map(Mutex::into_inner).unwrap_or_else(|seen| seen.lock().clone())
    }

    #[test]
    fn good_links_lose_nothing_and_reorder() {
        let seen = arrived(1, |_| {});
        assert_eq!(seen.len(), 200);
        let mut sorted = seen.clone();
        sorted.sort_by_key(|(_, number)| *number);
        assert_ne!(seen, sorted);
        assert_eq!(seen, arrived(1, |_| {}), "equal seeds");
    }

    #[test]
    fn lossy_links_lose_and_double() {
        let seen = arrived(2, |network| network.set_usual(Link::LOSSY));
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() < 200 && distinct.len() > 150, "{}", distinct.len());
        assert!(distinct.len() < seen.len(), "nothing came twice");
    }

    #[test]
    fn partitions_are_of_pairs_and_directions() {
        let from_a = |seen: &[(u32, u8)]| seen.iter().filter(|(from, _)| *from == 1).count();
        let seen = arrived(3, |network| network.partition(&[A], &[C]));
        assert_eq!((from_a(&seen), seen.len()), (0, 100));
        let seen = arrived(3, |network| network.cut(C, A));
        assert_eq!((from_a(&seen), seen.len()), (100, 200));
        let seen = arrived(3, |network| {
            network.partition(&[A, B], &[C]);
            network.heal();
        });
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn a_node_that_was_restarted_gets_nothing_that_was_sent_before() {
        let seen = arrived(4, |network| {
            network.send(A, C, vec![200]);
            network.leave(C);
            assert!(!network.listens(C));
        });
        assert!(seen.is_empty());
    }
}
