//! Three voters that exchange messages in memory.

use crate::world::{Log, Task, poll};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::ManualClock;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::*;

pub const GROUP: GroupId = GroupId(1);

pub type Proposed = Result<Applied, ProposeError>;
pub type Read = Result<u64, ProposeError>;

#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<VecDeque<Message>>>);

impl Outbox for Wire {
    fn send(&mut self, message: Message) {
        self.0.lock().push_back(message);
    }
}

struct Keeper(Arc<Mutex<Log>>);

impl Machine for Keeper {
    fn durable_index(&self) -> u64 {
        0
    }
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        self.0.lock().push((index, command.to_vec()));
        command.to_vec()
    }
    fn skip(&mut self, _: u64) {}
}

pub struct Node {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub running: Option<(Driver, Handle)>,
    pub log: Arc<Mutex<Log>>,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    wire: Wire,
    pub random: SeededRandom,
    pub losing: bool,
    /// A node that no message reaches or leaves.
    pub isolated: Option<usize>,
    /// Messages that each node has sent.
    pub sent: [u64; 3],
    /// The leader of each term, over all time.
    leaders: BTreeMap<u64, u64>,
    /// Time that a step takes.
    pub pace: Duration,
}

impl Cluster {
    pub fn new(seed: u64, losing: bool) -> Self {
        let node = |n: u64| Node {
            disk: SimDisk::new(seed * 10 + n),
            clock: Arc::default(),
            running: None,
            log: Arc::default(),
        };
        let mut cluster = Self {
            nodes: (1..=3).map(node).collect(),
            wire: Wire::default(),
            random: SeededRandom::new(seed),
            losing,
            isolated: None,
            sent: [0; 3],
            leaders: BTreeMap::new(),
            pace: Duration::from_millis(50),
        };
        (0..3).for_each(|n| cluster.start(n));
        cluster
    }

    pub fn start(&mut self, n: usize) {
        let wire = self.wire.clone();
        let node = &mut self.nodes[n];
        let random = Arc::new(SeededRandom::new(n as u64 + 1));
        let knobs = ConsensusKnobs { journal_segment_bytes: 8_192, ..Default::default() };
        let disk = Arc::new(node.disk.clone());
        let (mut driver, handle) =
            Driver::open(disk, node.clock.clone(), random, knobs, Default::default()).unwrap();
        driver = driver.with_outbox(Box::new(wire));
        node.log = Arc::default();
        let config = GroupConfig {
            group: GROUP,
            replica: ReplicaId(n as u64 + 1),
            voters: (1..=3).map(ReplicaId).collect(),
            start: None,
        };
        let (opening, machine) = (handle.clone(), Box::new(Keeper(node.log.clone())));
        let mut task: Vec<Task<_>> = vec![Box::pin(async move { opening.open_group(config, machine).await })];
        let mut done = vec![None];
        while done[0].is_none() {
            poll(&mut task, &mut done);
            driver.turn();
        }
        assert_eq!(done[0], Some(Ok(())));
        node.running = Some((driver, handle));
    }

    pub fn kill(&mut self, n: usize) {
        self.nodes[n].disk.lose_power();
        self.nodes[n].running = None;
        self.nodes[n].disk.restart();
    }

    /// Lets some time pass everywhere and carries the messages.
    pub fn step(&mut self) {
        for node in &mut self.nodes {
            node.clock.advance(self.pace);
            if let Some((driver, _)) = &mut node.running {
                while driver.turn().worked {}
            }
        }
        let messages: Vec<Message> = self.wire.0.lock().drain(..).collect();
        for message in messages {
            let (from, to) = (message.from().0 as usize - 1, message.to().0 as usize - 1);
            self.sent[from] += 1;
            let cut = self.isolated.is_some_and(|n| n == from || n == to);
            if cut || (self.losing && self.random.below(10) == 0) {
                continue;
            }
            // What travels is bytes.
            let message = Message::decode(&message.encode()).unwrap();
            if let Some((_, handle)) = &self.nodes[to].running {
                handle.deliver(message);
            }
        }
        for node in &self.nodes {
            let status = node.running.as_ref().and_then(|(_, handle)| handle.status(GROUP));
            if let Some(status) = status.filter(|status| status.role == Role::Leader) {
                let leader = *self.leaders.entry(status.term).or_insert(status.replica.0);
                assert_eq!(leader, status.replica.0, "two leaders in term {}", status.term);
            }
        }
    }

    pub fn leader(&mut self) -> usize {
        for _ in 0..400 {
            self.step();
            let statuses: Vec<_> =
                self.nodes.iter().map(|n| n.running.as_ref().and_then(|(_, h)| h.status(GROUP))).collect();
            let leads = |s: &GroupStatus| s.role == Role::Leader && s.applied > 0;
            let found = (0..3).filter(|n| statuses[*n].as_ref().is_some_and(leads));
            if let Some(n) = found.max_by_key(|n| statuses[*n].as_ref().map(|s| s.term)) {
                return n;
            }
        }
        panic!("no leader");
    }

    /// Steps until the task ends, at most for a while.
    pub fn wait<T>(&mut self, task: Task<T>) -> Option<T> {
        let (mut tasks, mut done) = (vec![task], vec![None]);
        for _ in 0..300 {
            poll(&mut tasks, &mut done);
            if done[0].is_some() {
                break;
            }
            self.step();
        }
        done.pop().flatten()
    }

    pub fn handle(&self, n: usize) -> Handle {
        self.nodes[n].running.as_ref().unwrap().1.clone()
    }

    pub fn propose(&mut self, n: usize, command: Vec<u8>) -> Option<Result<Applied, ProposeError>> {
        let handle = self.handle(n);
        self.wait(Box::pin(async move { handle.propose(GROUP, command).await }))
    }

    /// All replicas end with one log that holds everything acknowledged, once.
    pub fn agree(&mut self, acknowledged: &Log, context: &str) {
        let leader = self.leader();
        let end = self.propose(leader, b"end".to_vec()).unwrap().unwrap().index;
        for n in 0..3 {
            let handle = self.handle(n);
            self.wait(Box::pin(async move { handle.applied(GROUP, end).await })).unwrap().unwrap();
            assert!(self.barrier(n).unwrap().unwrap() >= end, "followers give read points too");
        }
        let logs: Vec<Log> = self.nodes.iter().map(|node| node.log.lock().clone()).collect();
        assert!(logs[0] == logs[1] && logs[1] == logs[2], "{context}: logs differ");
        for entry in acknowledged {
            assert!(logs[0].contains(entry), "{context}: lost {entry:?}");
        }
        let mut commands: Vec<_> = logs[0].iter().map(|(_, command)| command.clone()).collect();
        commands.sort();
        commands.dedup();
        assert_eq!(commands.len(), logs[0].len(), "{context}: twice");
    }

    pub fn barrier(&mut self, n: usize) -> Option<Result<u64, ProposeError>> {
        let handle = self.handle(n);
        self.wait(Box::pin(async move { handle.barrier(GROUP).await }))
    }
}

/// Polls every task once; those that are done go to `finish`.
pub fn advance<K, T>(tasks: &mut Vec<(K, Task<T>)>, mut finish: impl FnMut(K, T)) {
    for (key, task) in std::mem::take(tasks) {
        let (mut one, mut done) = ([task], [None]);
        poll(&mut one, &mut done);
        let ([task], [answer]) = (one, done);
        match answer {
            Some(answer) => finish(key, answer),
            None => tasks.push((key, task)),
        }
    }
}
