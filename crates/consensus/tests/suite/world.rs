//! A process on a simulated disk: a driver, machines with checkpoints of their own, and a way to pump both.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use vectron_base::clock::ManualClock;
use vectron_base::disk::sim::SimDisk;
use vectron_base::disk::{Disk, DiskResult, replace_file};
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::SeededRandom;
use vectron_consensus::*;

pub type Log = Vec<(u64, Vec<u8>)>;
pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Keeps every command with its index, and insists on being told of every index once and in order; panics on
/// the command `poison`.
pub struct Recorder {
    durable: u64,
    applied: Arc<AtomicU64>,
    log: Arc<Mutex<Log>>,
}

impl Machine for Recorder {
    fn durable_index(&self) -> u64 {
        self.durable
    }

    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        assert_ne!(command, b"poison");
        self.skip(index);
        self.log.lock().push((index, command.to_vec()));
        command.to_vec()
    }

    fn skip(&mut self, index: u64) {
        assert_eq!(self.applied.swap(index, Ordering::Relaxed) + 1, index);
    }
}

pub struct World {
    pub disk: SimDisk,
    pub clock: Arc<ManualClock>,
    pub driver: Driver,
    pub handle: Handle,
    pub knobs: ConsensusKnobs,
    pub logs: BTreeMap<u64, Arc<Mutex<Log>>>,
    pub applied: BTreeMap<u64, Arc<AtomicU64>>,
}

pub fn knobs() -> ConsensusKnobs {
    ConsensusKnobs { journal_segment_bytes: 4096, disk_reserve_bytes: 0, ..ConsensusKnobs::default() }
}

impl World {
    pub fn start(disk: &SimDisk, knobs: ConsensusKnobs) -> Result<World, OpenError> {
        World::start_over(Arc::new(disk.clone()), disk, knobs)
    }

    /// As [`World::start`], with something between the driver and its disk.
    pub fn start_over(
        seam: Arc<dyn Disk>,
        disk: &SimDisk,
        knobs: ConsensusKnobs,
    ) -> Result<World, OpenError> {
        let clock = Arc::new(ManualClock::default());
        let random = Arc::new(SeededRandom::new(disk.operations()));
        let metrics = ConsensusMetrics::default();
        let (driver, handle) = Driver::open(seam, clock.clone(), random, knobs.clone(), metrics)?;
        let (logs, applied) = Default::default();
        Ok(World { disk: disk.clone(), clock, driver, handle, knobs, logs, applied })
    }

    pub fn new(seed: u64) -> World {
        World::start(&SimDisk::new(seed), knobs()).unwrap()
    }

    /// Power off, power on.
    pub fn power_cycle(self) -> World {
        self.disk.lose_power();
        self.restart()
    }

    pub fn restart(self) -> World {
        drop(self.driver);
        if self.disk.power_lost() {
            self.disk.restart();
        }
        World::start(&self.disk, self.knobs).unwrap()
    }

    /// Turns until `task` is done.
    pub fn wait<T>(&mut self, task: impl Future<Output = T> + 'static) -> T {
        let mut tasks: Vec<Task<T>> = vec![Box::pin(task)];
        self.wait_all(&mut tasks).pop().unwrap()
    }

    /// Turns until all tasks are done; they are all begun before the first turn.
    pub fn wait_all<T>(&mut self, tasks: &mut [Task<T>]) -> Vec<T> {
        let mut done: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
        for _ in 0..2_000 {
            poll(tasks, &mut done);
            if done.iter().all(Option::is_some) {
                return done.into_iter().flatten().collect();
            }
            if !self.driver.turn().worked {
                self.clock.advance(Duration::from_millis(100));
            }
        }
        panic!("no answer");
    }

    /// Turns until there is nothing left to do.
    pub fn settle(&mut self) {
        while self.driver.turn().worked {}
    }

    pub fn machine(&mut self, group: u64) -> DiskResult<Box<dyn Machine>> {
        let path = checkpoint_path(group);
        let mut log = Log::new();
        let mut durable = 0;
        if self.disk.exists(&path)? {
            let bytes = self.disk.read(&path)?;
            (durable, log) = decode(&bytes);
        }
        let log = Arc::new(Mutex::new(log));
        let applied = Arc::new(AtomicU64::new(durable));
        self.logs.insert(group, log.clone());
        self.applied.insert(group, applied.clone());
        Ok(Box::new(Recorder { durable, applied, log }))
    }

    pub fn open(&mut self, group: u64) -> Result<(), GroupError> {
        let machine = self.machine(group).map_err(|_| GroupError::JournalFailed)?;
        let handle = self.handle.clone();
        self.wait(async move { handle.open_group(config(group), machine).await })
    }

    pub fn propose_task(&self, group: u64, command: &[u8]) -> Task<Result<Applied, ProposeError>> {
        let (handle, command) = (self.handle.clone(), command.to_vec());
        Box::pin(async move { handle.propose(GroupId(group), command).await })
    }

    pub fn propose(&mut self, group: u64, command: &[u8]) -> Result<Applied, ProposeError> {
        let task = self.propose_task(group, command);
        self.wait(task)
    }

    pub fn barrier(&mut self, group: u64) -> Result<u64, ProposeError> {
        let handle = self.handle.clone();
        self.wait(async move { handle.barrier(GroupId(group)).await })
    }

    pub fn remove(&mut self, group: u64) -> Result<(), GroupError> {
        let handle = self.handle.clone();
        self.wait(async move { handle.remove_group(GroupId(group)).await })
    }

    /// Writes the machine's state and reports it. It covers what the machine was told of and nothing else.
    pub fn checkpoint(&mut self, group: u64) -> DiskResult<()> {
        if self.handle.status(GroupId(group)).is_none() {
            return Ok(());
        }
        let applied = self.applied[&group].load(Ordering::Relaxed);
        let bytes = encode(applied, &self.log(group));
        replace_file(&self.disk, &checkpoint_path(group), &bytes)?;
        self.handle.checkpointed(GroupId(group), applied);
        self.settle();
        Ok(())
    }

    /// Does what an owner does: checkpoints the groups that the driver asks it to.
    pub fn tend(&mut self) {
        for group in self.handle.laggards() {
            self.checkpoint(group.0).unwrap();
        }
    }

    pub fn log(&self, group: u64) -> Log {
        self.logs[&group].lock().clone()
    }

    pub fn commands(&self, group: u64) -> Vec<Vec<u8>> {
        self.log(group).into_iter().map(|(_, command)| command).collect()
    }

    /// Names of the journal's files, with their lengths.
    pub fn segments(&self) -> Vec<(String, u64)> {
        self.disk.files().into_iter().filter(|(name, _)| name.starts_with("journal/")).collect()
    }
}

pub fn config(group: u64) -> GroupConfig {
    GroupConfig { group: GroupId(group), replica: ReplicaId(1), voters: vec![ReplicaId(1)], start: None }
}

pub fn poll<T>(tasks: &mut [Task<T>], done: &mut [Option<T>]) {
    let waker = futures::task::noop_waker();
    let mut context = Context::from_waker(&waker);
    for (task, done) in tasks.iter_mut().zip(done) {
        if done.is_none()
            && let Poll::Ready(value) = task.as_mut().poll(&mut context)
        {
            *done = Some(value);
        }
    }
}

fn checkpoint_path(group: u64) -> String {
    format!("machine-{group}")
}

fn encode(durable: u64, log: &Log) -> Vec<u8> {
    let mut out = durable.to_le_bytes().to_vec();
    for (index, command) in log {
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&(command.len() as u64).to_le_bytes());
        out.extend_from_slice(command);
    }
    out
}

fn decode(mut bytes: &[u8]) -> (u64, Log) {
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_first_chunk().unwrap();
        *bytes = rest;
        u64::from_le_bytes(*number)
    };
    let durable = number(&mut bytes);
    let mut log = Log::new();
    while !bytes.is_empty() {
        let (index, len) = (number(&mut bytes), number(&mut bytes));
        let (command, rest) = bytes.split_at(len as usize);
        log.push((index, command.to_vec()));
        bytes = rest;
    }
    (durable, log)
}
