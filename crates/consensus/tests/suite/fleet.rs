//! Processes that host replicas of one group, over a network that loses, doubles, delays and cuts, on disks that
//! lose power. Whoever owns replicas in production is played here: checkpoints, snapshots that are pulled, and
//! removals. What must always hold is asserted as it happens.

use crate::world::{Log, Task, poll};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::ManualClock;
use vectron_base::disk::sim::SimDisk;
use vectron_base::disk::{Disk, DiskResult, replace_file};
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::*;

pub const GROUP: GroupId = GroupId(1);

/// What was applied at each index, by whoever did so first; no command where there was none.
#[derive(Clone, Default)]
pub struct Oracle(Arc<Mutex<BTreeMap<u64, Option<Vec<u8>>>>>);

impl Oracle {
    fn applied(&self, index: u64, command: Option<&[u8]>) {
        let command = command.map(<[u8]>::to_vec);
        let mut oracle = self.0.lock();
        let first = oracle.entry(index).or_insert_with(|| command.clone());
        assert_eq!(*first, command, "replicas differ at {index}");
    }

    pub fn commands(&self) -> Log {
        let oracle = self.0.lock();
        oracle.iter().filter_map(|(index, command)| Some((*index, command.clone()?))).collect()
    }
}

/// The state of a replica: all commands up to an index.
#[derive(Clone, Default, PartialEq)]
pub struct Kept {
    pub applied: u64,
    pub log: Log,
}

struct Keeper {
    durable: u64,
    kept: Arc<Mutex<Kept>>,
    oracle: Oracle,
}

impl Machine for Keeper {
    fn durable_index(&self) -> u64 {
        self.durable
    }
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        self.oracle.applied(index, Some(command));
        let mut kept = self.kept.lock();
        assert_eq!(kept.applied + 1, index);
        kept.applied = index;
        kept.log.push((index, command.to_vec()));
        command.to_vec()
    }
    fn skip(&mut self, index: u64) {
        self.oracle.applied(index, None);
        let mut kept = self.kept.lock();
        assert_eq!(kept.applied + 1, index);
        kept.applied = index;
    }
}

#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<Vec<u8>>>>);

impl Outbox for Out {
    fn send(&mut self, message: Message) {
        self.0.lock().push(message.encode());
    }
}

/// What an owner keeps on disk about a replica: its state and the point that it was given with.
#[derive(Clone, Default)]
struct Saved {
    kept: Kept,
    start: Option<Start>,
}

pub struct Node {
    pub disk: SimDisk,
    clock: Arc<ManualClock>,
    out: Out,
    pub running: Option<(Driver, Handle)>,
    /// The replica that this process owns, once it was told of one.
    pub replica: Option<ReplicaId>,
    /// Whether it began with all voters of the first day.
    first: bool,
    pub kept: Arc<Mutex<Kept>>,
    down: u64,
    lives: u64,
}

/// What the network does to messages, in chances of a hundred.
#[derive(Clone, Copy, Default)]
pub struct Trouble {
    pub lost: u64,
    pub doubled: u64,
    pub delayed: u64,
}

pub struct Fleet {
    pub nodes: Vec<Node>,
    pub random: SeededRandom,
    pub trouble: Trouble,
    /// From whom to whom nothing arrives.
    pub cut: BTreeSet<(usize, usize)>,
    pub knobs: ConsensusKnobs,
    flying: Vec<(u64, usize, usize, Vec<u8>)>,
    pub step: u64,
    pub oracle: Oracle,
    leaders: BTreeMap<u64, ReplicaId>,
    pub removed: BTreeSet<ReplicaId>,
    pub places: BTreeMap<ReplicaId, usize>,
    pub installs: u64,
    pub sent: u64,
    seed: u64,
}

const TICK: Duration = Duration::from_millis(50);

impl Fleet {
    /// Some processes, of which the first `voters` host the first voters.
    pub fn new(seed: u64, nodes: usize, voters: u64) -> Self {
        let node = |n: usize| Node {
            disk: SimDisk::new(seed * 100 + n as u64),
            clock: Arc::default(),
            out: Out::default(),
            running: None,
            replica: (n < voters as usize).then_some(ReplicaId(n as u64 + 1)),
            first: n < voters as usize,
            kept: Arc::default(),
            down: 0,
            lives: 0,
        };
        let knobs = ConsensusKnobs {
            journal_segment_bytes: 8_192,
            disk_reserve_bytes: 0,
            log_kept_bytes: if seed.is_multiple_of(2) { 200 } else { 2_000 },
            rest_ticks: 10,
            ..Default::default()
        };
        let mut fleet = Self {
            nodes: (0..nodes).map(node).collect(),
            random: SeededRandom::new(seed),
            trouble: Trouble::default(),
            cut: BTreeSet::new(),
            knobs,
            flying: Vec::new(),
            step: 0,
            oracle: Oracle::default(),
            leaders: BTreeMap::new(),
            removed: BTreeSet::new(),
            places: (0..voters).map(|n| (ReplicaId(n + 1), n as usize)).collect(),
            installs: 0,
            sent: 0,
            seed,
        };
        for n in 0..nodes {
            assert!(fleet.start(n));
        }
        fleet
    }

    /// Starts a process; whether it came up. Power may go amid it.
    pub fn start(&mut self, n: usize) -> bool {
        let node = &mut self.nodes[n];
        node.lives += 1;
        let random = Arc::new(SeededRandom::new(self.seed * 1_000 + n as u64 * 100 + node.lives));
        let disk = Arc::new(node.disk.clone());
        let opened = Driver::open(disk, node.clock.clone(), random, self.knobs.clone(), Default::default());
        let Ok((driver, handle)) = opened else { return false };
        assert_eq!(handle.journal().damage, Vec::<String>::new(), "seed {}", self.seed);
        node.running = Some((driver.with_outbox(Box::new(node.out.clone())), handle));
        self.reopen(n)
    }

    fn reopen(&mut self, n: usize) -> bool {
        let Some(replica) = self.nodes[n].replica else { return true };
        let Ok(saved) = self.load(n) else { return false };
        if saved.start.is_none() && !self.nodes[n].first {
            return true;
        }
        match self.open(n, replica, saved.clone(), false) {
            Ok(()) => true,
            // The process stopped between the snapshot and the log.
            Err(GroupError::NeedsInstall) => self.open(n, replica, saved, true).is_ok(),
            Err(GroupError::Removed) => {
                self.gone(n, replica);
                true
            }
            Err(error) => {
                assert!(self.nodes[n].disk.power_lost(), "seed {}: {error:?}", self.seed);
                false
            }
        }
    }

    fn open(&mut self, n: usize, replica: ReplicaId, saved: Saved, install: bool) -> Result<(), GroupError> {
        let voters = self.places.keys().filter(|r| self.nodes[self.places[r]].first).copied().collect();
        let config = GroupConfig { group: GROUP, replica, voters, start: saved.start };
        let kept = Arc::new(Mutex::new(saved.kept));
        let durable = kept.lock().applied;
        let machine = Box::new(Keeper { durable, kept: kept.clone(), oracle: self.oracle.clone() });
        let handle = self.handle(n);
        let answer = self.turn_until(n, async move {
            if install {
                handle.install(config, machine).await
            } else {
                handle.open_group(config, machine).await
            }
        });
        if answer == Ok(()) {
            self.nodes[n].kept = kept;
        }
        answer
    }

    /// Turns one process until it answers, without time passing.
    fn turn_until<T: 'static>(&mut self, n: usize, future: impl Future<Output = T> + 'static) -> T {
        let (mut task, mut done): (Vec<Task<T>>, _) = (vec![Box::pin(future)], vec![None]);
        for _ in 0..1_000 {
            poll(&mut task, &mut done);
            if done[0].is_some() {
                break;
            }
            self.nodes[n].running.as_mut().unwrap().0.turn();
        }
        done.pop().flatten().unwrap()
    }

    pub fn handle(&self, n: usize) -> Handle {
        self.nodes[n].running.as_ref().unwrap().1.clone()
    }

    pub fn status(&self, n: usize) -> Option<GroupStatus> {
        self.nodes[n].running.as_ref().and_then(|(_, handle)| handle.status(GROUP))
    }

    fn load(&self, n: usize) -> DiskResult<Saved> {
        let disk = &self.nodes[n].disk;
        if !disk.exists(&path(self.nodes[n].replica.unwrap()))? {
            return Ok(Saved::default());
        }
        Ok(decode(&disk.read(&path(self.nodes[n].replica.unwrap()))?))
    }

    fn save(&self, n: usize, replica: ReplicaId, saved: &Saved) -> DiskResult<()> {
        replace_file(&self.nodes[n].disk, &path(replica), &encode(saved))
    }

    pub fn checkpoint(&mut self, n: usize) -> bool {
        if self.status(n).is_none_or(|status| status.quarantined.is_some()) {
            return true;
        }
        let replica = self.nodes[n].replica.unwrap();
        let Ok(mut saved) = self.load(n) else { return false };
        saved.kept = self.nodes[n].kept.lock().clone();
        if self.save(n, replica, &saved).is_err() {
            return false;
        }
        self.handle(n).checkpointed(GROUP, saved.kept.applied);
        true
    }

    pub fn kill(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.disk.lose_power();
        node.running = None;
        node.disk.restart();
        node.out.0.lock().clear();
    }

    /// Lets 50 ms pass everywhere and carries the messages that are due.
    pub fn step(&mut self) {
        self.step += 1;
        for n in 0..self.nodes.len() {
            let node = &mut self.nodes[n];
            node.clock.advance(TICK);
            if let Some((driver, _)) = &mut node.running {
                for _ in 0..50 {
                    if !driver.turn().worked {
                        break;
                    }
                }
            }
            let sent = std::mem::take(&mut *self.nodes[n].out.0.lock());
            for bytes in sent {
                self.send(n, bytes);
            }
        }
        let step = self.step;
        let (due, later) = std::mem::take(&mut self.flying).into_iter().partition(|(at, ..)| *at <= step);
        self.flying = later;
        let due: Vec<(u64, usize, usize, Vec<u8>)> = due;
        for (_, from, to, bytes) in due {
            if !self.cut.contains(&(from, to))
                && let Some((_, handle)) = &self.nodes[to].running
            {
                handle.deliver(Message::decode(&bytes).unwrap());
            }
        }
        self.watch();
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.sent += 1;
        let message = Message::decode(&bytes).unwrap();
        assert!(!self.removed.contains(&message.from()), "seed {}: {message:?}", self.seed);
        let Some(&to) = self.places.get(&message.to()) else { return };
        let Trouble { lost, doubled, delayed } = self.trouble;
        if self.random.below(100) < lost {
            return;
        }
        let copies = 1 + u64::from(self.random.below(100) < doubled);
        for _ in 0..copies {
            let delay = if self.random.below(100) < delayed { self.random.below(20) } else { 0 };
            self.flying.push((self.step + delay, from, to, bytes.clone()));
        }
    }

    fn watch(&mut self) {
        for n in 0..self.nodes.len() {
            let Some(status) = self.status(n) else { continue };
            assert_eq!(status.quarantined, None, "seed {} node {n}", self.seed);
            if status.role == Role::Leader {
                let leader = *self.leaders.entry(status.term).or_insert(status.replica);
                assert_eq!(leader, status.replica, "seed {}: two leaders in term {}", self.seed, status.term);
            }
        }
    }

    /// The node whose replica leads in the highest term.
    pub fn leading(&self) -> Option<usize> {
        let leads = |n: &usize| self.status(*n).is_some_and(|s| s.role == Role::Leader);
        (0..self.nodes.len()).filter(leads).max_by_key(|n| self.status(*n).map(|s| s.term))
    }

    /// Steps until a leader has applied an entry of its own term.
    pub fn leader(&mut self) -> usize {
        for _ in 0..1_000 {
            self.step();
            if let Some(n) = self.leading()
                && self.status(n).is_some_and(|s| s.applied == s.committed && s.applied > 0)
            {
                return n;
            }
        }
        panic!("seed {}: no leader", self.seed);
    }

    /// Steps until the task ends, at most for a while.
    pub fn wait<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> Option<T> {
        let (mut tasks, mut done): (Vec<Task<T>>, _) = (vec![Box::pin(future)], vec![None]);
        for _ in 0..600 {
            poll(&mut tasks, &mut done);
            if done[0].is_some() {
                break;
            }
            self.step();
        }
        done.pop().flatten()
    }

    pub fn propose(&mut self, n: usize, command: &[u8]) -> Option<Result<Applied, ProposeError>> {
        let (handle, command) = (self.handle(n), command.to_vec());
        self.wait(async move { handle.propose(GROUP, command).await })
    }

    pub fn change(&mut self, n: usize, changes: &[MemberChange]) -> Option<Result<Applied, ProposeError>> {
        let (handle, changes) = (self.handle(n), changes.to_vec());
        self.wait(async move { handle.change_members(GROUP, changes).await })
    }

    pub fn barrier(&mut self, n: usize) -> Option<Result<u64, ProposeError>> {
        let handle = self.handle(n);
        self.wait(async move { handle.barrier(GROUP).await })
    }

    /// Tells a process that it owns a replica. It has no state yet.
    pub fn place(&mut self, n: usize, replica: ReplicaId) {
        self.places.insert(replica, n);
        self.nodes[n].replica = Some(replica);
        self.nodes[n].first = false;
    }

    /// A process does what its owner would: fetches a snapshot for a replica that is new or was left behind.
    /// Whether the disk took it.
    pub fn pull(&mut self, n: usize) -> bool {
        let Some(replica) = self.nodes[n].replica.filter(|_| self.nodes[n].running.is_some()) else {
            return true;
        };
        let status = self.status(n);
        if status.as_ref().is_some_and(|status| status.lagging.is_none()) {
            return true;
        }
        let Some(source) = self.leading().filter(|source| *source != n) else { return true };
        let kept = self.nodes[source].kept.lock().clone();
        let handle = self.handle(source);
        let index = kept.applied;
        handle.hold(GROUP, index, Duration::from_secs(30));
        let point = self.turn_until(source, async move { handle.point(GROUP, index).await });
        let Some(start) = point.filter(|point| point.members.contains(replica)) else { return true };
        let (install, before) = (status.is_some(), self.load(n));
        if self.save(n, replica, &Saved { kept: kept.clone(), start: Some(start.clone()) }).is_err() {
            return false;
        }
        match self.open(n, replica, Saved { kept, start: Some(start) }, install) {
            Ok(()) => self.installs += u64::from(install),
            // The log came by itself meanwhile: the machine goes on as it was.
            Err(GroupError::NotNeeded) => {
                return before.and_then(|before| self.save(n, replica, &before)).is_ok();
            }
            Err(GroupError::NeedsInstall | GroupError::Removed) => panic!("seed {}", self.seed),
            Err(_) => return !self.nodes[n].disk.power_lost(),
        }
        true
    }

    /// Removes a replica that the group does without; whether the disk took it.
    pub fn remove(&mut self, n: usize) -> bool {
        let Some(replica) = self.nodes[n].replica.filter(|_| self.nodes[n].running.is_some()) else {
            return true;
        };
        let handle = self.handle(n);
        let done = self.turn_until(n, async move { handle.remove_replica(GROUP, replica).await });
        if done == Ok(()) {
            self.gone(n, replica);
        }
        done.is_ok()
    }

    fn gone(&mut self, n: usize, replica: ReplicaId) {
        // What it had said before it was removed may still go out.
        let sent = std::mem::take(&mut *self.nodes[n].out.0.lock());
        sent.into_iter().for_each(|bytes| self.send(n, bytes));
        self.removed.insert(replica);
        self.nodes[n].replica = None;
    }

    /// After all trouble: everybody who takes part has the same log with everything acknowledged, once.
    pub fn agree(&mut self, acknowledged: &Log, context: &str) {
        self.trouble = Trouble::default();
        self.cut.clear();
        for n in 0..self.nodes.len() {
            self.nodes[n].disk.set_faults(Default::default());
            if self.nodes[n].running.is_none() {
                assert!(self.start(n), "{context}");
            }
        }
        let mut end = None;
        for _ in 0..20 {
            // A leader may need a voter that the log left behind.
            (0..self.nodes.len()).for_each(|n| assert!(self.pull(n), "{context}"));
            let leader = self.leader();
            if let Some(Ok(applied)) = self.propose(leader, b"end") {
                end = Some(applied.index);
                break;
            }
        }
        let end = end.unwrap_or_else(|| panic!("{context}: nothing can be written"));
        let leader = self.leader();
        let mut members = self.status(leader).unwrap().members;
        for _ in 0..2_000 {
            // A change that was under way may still come to be.
            if let Some(leader) = self.leading() {
                members = self.status(leader).unwrap().members;
            }
            let hosts = members.all().into_iter().map(|replica| self.places[&replica]).collect::<Vec<_>>();
            if hosts.iter().all(|n| self.status(*n).is_some_and(|status| status.applied >= end)) {
                break;
            }
            hosts.into_iter().for_each(|n| assert!(self.pull(n)));
            self.step();
        }
        let oracle = self.oracle.commands();
        for replica in members.all() {
            let n = self.places[&replica];
            let log = self.nodes[n].kept.lock().log.clone();
            let status = self.status(n);
            assert!(
                status.as_ref().is_some_and(|s| s.applied >= end),
                "{context}: {replica} {status:?} of {members:?}"
            );
            assert!(
                log == oracle[..log.len()] && self.status(n).is_some_and(|s| s.applied >= end),
                "{context}: {replica}"
            );
        }
        for entry in acknowledged {
            assert!(oracle.contains(entry), "{context}: lost {entry:?}");
        }
        let unique: BTreeSet<_> =
            oracle.iter().map(|(_, command)| command).filter(|c| *c != b"end").collect();
        let all = oracle.iter().filter(|(_, command)| command != b"end").count();
        assert_eq!(unique.len(), all, "{context}: twice");
    }

    /// Power that went is back after a while; whether a process fell now.
    pub fn mend(&mut self) -> bool {
        let mut fell = false;
        for n in 0..self.nodes.len() {
            if self.nodes[n].disk.power_lost() {
                self.kill(n);
                self.nodes[n].disk.set_faults(Default::default());
                self.nodes[n].down = 1 + self.random.below(60);
                fell = true;
            } else if self.nodes[n].running.is_none() {
                self.nodes[n].down = self.nodes[n].down.saturating_sub(1);
                if self.nodes[n].down == 0 {
                    assert!(self.start(n), "seed {}", self.seed);
                }
            }
        }
        fell
    }
}

fn path(replica: ReplicaId) -> String {
    format!("machine-{replica}")
}

fn encode(saved: &Saved) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |numbers: &[u64]| numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    put(&[saved.kept.applied, u64::from(saved.start.is_some())]);
    if let Some(Start { index, term, members: m }) = &saved.start {
        put(&[*index, *term, u64::from(m.auto_leave)]);
        for list in [&m.voters, &m.learners, &m.voters_outgoing, &m.learners_next] {
            put(&[list.len() as u64]);
            list.iter().for_each(|replica| put(&[replica.0]));
        }
    }
    for (index, command) in &saved.kept.log {
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&(command.len() as u64).to_le_bytes());
        out.extend_from_slice(command);
    }
    out
}

fn decode(mut bytes: &[u8]) -> Saved {
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_first_chunk().unwrap();
        *bytes = rest;
        u64::from_le_bytes(*number)
    };
    let applied = number(&mut bytes);
    let start = (number(&mut bytes) == 1).then(|| {
        let (index, term, auto_leave) = (number(&mut bytes), number(&mut bytes), number(&mut bytes) == 1);
        let mut list = || (0..number(&mut bytes)).map(|_| ReplicaId(number(&mut bytes))).collect::<Vec<_>>();
        let (voters, learners, voters_outgoing, learners_next) = (list(), list(), list(), list());
        let members = Members { voters, learners, voters_outgoing, learners_next, auto_leave };
        Start { index, term, members }
    });
    let mut log = Log::new();
    while !bytes.is_empty() {
        let (index, len) = (number(&mut bytes), number(&mut bytes));
        let (command, rest) = bytes.split_at(len as usize);
        log.push((index, command.to_vec()));
        bytes = rest;
    }
    Saved { kept: Kept { applied, log }, start }
}
