//! Three voters that exchange messages in memory: elections, replication, a leader's death, read points.

use crate::world::{Log, Task, poll};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::ManualClock;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::*;

const GROUP: GroupId = GroupId(1);

type Proposed = Result<Applied, ProposeError>;
type Read = Result<u64, ProposeError>;

#[derive(Clone, Default)]
struct Wire(Arc<Mutex<VecDeque<Message>>>);

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
}

struct Node {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    running: Option<(Driver, Handle)>,
    log: Arc<Mutex<Log>>,
}

struct Cluster {
    nodes: Vec<Node>,
    wire: Wire,
    random: SeededRandom,
    losing: bool,
    /// The leader of each term, over all time.
    leaders: BTreeMap<u64, u64>,
}

impl Cluster {
    fn new(seed: u64, losing: bool) -> Self {
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
            leaders: BTreeMap::new(),
        };
        (0..3).for_each(|n| cluster.start(n));
        cluster
    }

    fn start(&mut self, n: usize) {
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

    fn kill(&mut self, n: usize) {
        self.nodes[n].disk.lose_power();
        self.nodes[n].running = None;
        self.nodes[n].disk.restart();
    }

    /// Lets 50 ms pass everywhere and carries the messages.
    fn step(&mut self) {
        for node in &mut self.nodes {
            node.clock.advance(Duration::from_millis(50));
            if let Some((driver, _)) = &mut node.running {
                while driver.turn().worked {}
            }
        }
        let messages: Vec<Message> = self.wire.0.lock().drain(..).collect();
        for message in messages {
            if self.losing && self.random.below(10) == 0 {
                continue;
            }
            // What travels is bytes.
            let message = Message::decode(&message.encode()).unwrap();
            if let Some((_, handle)) = &self.nodes[message.to().0 as usize - 1].running {
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

    fn leader(&mut self) -> usize {
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
    fn wait<T>(&mut self, task: Task<T>) -> Option<T> {
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

    fn handle(&self, n: usize) -> Handle {
        self.nodes[n].running.as_ref().unwrap().1.clone()
    }

    fn propose(&mut self, n: usize, command: Vec<u8>) -> Option<Result<Applied, ProposeError>> {
        let handle = self.handle(n);
        self.wait(Box::pin(async move { handle.propose(GROUP, command).await }))
    }

    /// All replicas end with one log that holds everything acknowledged, once.
    fn agree(&mut self, acknowledged: &Log, context: &str) {
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

    fn barrier(&mut self, n: usize) -> Option<Result<u64, ProposeError>> {
        let handle = self.handle(n);
        self.wait(Box::pin(async move { handle.barrier(GROUP).await }))
    }
}

fn kill_leaders(seed: u64, losing: bool) {
    let mut cluster = Cluster::new(seed, losing);
    let mut acknowledged: Log = Vec::new();
    for round in 0..4u64 {
        let leader = cluster.leader();
        for number in 0..5u64 {
            let command = format!("{round}-{number}").into_bytes();
            if let Some(Ok(applied)) = cluster.propose(leader, command.clone()) {
                assert_eq!(applied.reply, command);
                acknowledged.push((applied.index, command));
            }
        }
        // Proposals in flight when the leader dies: each happens once or not at all.
        let handle = cluster.handle(leader);
        let mut flying: Vec<Task<_>> =
            vec![Box::pin(
                async move { handle.propose(GROUP, format!("flying-{round}").into_bytes()).await },
            )];
        let mut done: Vec<Option<Result<Applied, ProposeError>>> = vec![None];
        poll(&mut flying, &mut done);
        if round % 2 == 0 {
            cluster.step();
        }
        cluster.kill(leader);
        let next = cluster.leader();
        assert_ne!(next, leader);
        let read = cluster.barrier(next).unwrap().unwrap();
        assert!(acknowledged.iter().all(|(index, _)| *index <= read));
        cluster.start(leader);
    }
    cluster.losing = false;
    cluster.agree(&acknowledged, &format!("seed {seed}"));
    assert!(acknowledged.len() > 10);
}

/// Power goes anywhere in the middle of a turn, on any node, on all of them if it so happens.
fn lose_power_everywhere(seed: u64) {
    let mut cluster = Cluster::new(seed, true);
    let mut acknowledged: Log = Vec::new();
    let mut tasks: Vec<(Vec<u8>, Task<Proposed>)> = Vec::new();
    let mut reads: Vec<(u64, Task<Read>)> = Vec::new();
    let mut down = [0u64; 3];
    let (mut losses, mut read) = (0, 0);
    for round in 0..3_000u64 {
        let n = cluster.random.below(3) as usize;
        if down[n] == 0 && cluster.random.below(100) == 0 {
            let at = cluster.nodes[n].disk.operations() + 1 + cluster.random.below(6);
            let faults = Faults { power_loss_at_operation: Some(at), ..Faults::default() };
            cluster.nodes[n].disk.set_faults(faults);
        }
        if let Some((_, handle)) = &cluster.nodes[n].running {
            let (handle, other) = (handle.clone(), handle.clone());
            let command = format!("{round}").into_bytes();
            let proposed = command.clone();
            tasks.push((command, Box::pin(async move { handle.propose(GROUP, proposed).await })));
            let known = acknowledged.iter().map(|(index, _)| *index).max().unwrap_or(0);
            reads.push((known, Box::pin(async move { other.barrier(GROUP).await })));
        }
        advance(&mut tasks, |command, answer| {
            if let Ok(applied) = answer {
                acknowledged.push((applied.index, command));
            }
        });
        advance(&mut reads, |known, answer| {
            if let Ok(index) = answer {
                read += 1;
                assert!(index >= known, "seed {seed}: a stale read point");
            }
        });
        cluster.step();
        for (n, down) in down.iter_mut().enumerate() {
            if cluster.nodes[n].disk.power_lost() {
                cluster.kill(n);
                losses += 1;
                *down = 1 + cluster.random.below(30);
            } else if *down > 0 {
                *down -= 1;
                if *down == 0 {
                    cluster.start(n);
                }
            }
        }
    }
    cluster.losing = false;
    for n in 0..3 {
        cluster.nodes[n].disk.set_faults(Faults::default());
        if cluster.nodes[n].running.is_none() {
            cluster.start(n);
        }
    }
    let context = format!("seed {seed}: {losses} losses, {} answers, {read} reads", acknowledged.len());
    assert!(losses > 10 && acknowledged.len() > 50 && read > 50, "{context}");
    cluster.agree(&acknowledged, &context);
}

/// Polls every task once; those that are done go to `finish`.
fn advance<K, T>(tasks: &mut Vec<(K, Task<T>)>, mut finish: impl FnMut(K, T)) {
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

#[test]
fn power_loss_amid_turns_of_any_replica_loses_nothing_acknowledged() {
    (31..=42).for_each(lose_power_everywhere);
}

#[test]
fn no_acknowledged_entry_dies_with_its_leader() {
    (1..=6).for_each(|seed| kill_leaders(seed, false));
}

#[test]
fn no_acknowledged_entry_dies_when_messages_are_lost() {
    (11..=16).for_each(|seed| kill_leaders(seed, true));
}

#[test]
fn a_follower_refuses_proposals_and_names_the_leader() {
    let mut cluster = Cluster::new(21, false);
    let leader = cluster.leader();
    (0..20).for_each(|_| cluster.step());
    let follower = (leader + 1) % 3;
    let refused = cluster.propose(follower, b"x".to_vec()).unwrap();
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(ReplicaId(leader as u64 + 1)) }));
}

#[test]
fn a_minority_gives_no_read_points() {
    let mut cluster = Cluster::new(22, false);
    let leader = cluster.leader();
    cluster.propose(leader, b"x".to_vec()).unwrap().unwrap();
    for n in (0..3).filter(|n| *n != leader) {
        cluster.kill(n);
    }
    let read = cluster.barrier(leader);
    assert!(matches!(read, None | Some(Err(ProposeError::NotLeader { .. }))), "{read:?}");
    let write = cluster.propose(leader, b"y".to_vec());
    assert!(!matches!(write, Some(Ok(_))), "{write:?}");
}
