//! One simulated node: the production assembly on a simulated disk, clock, executor and log driver.

use crate::executor::Executor;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vectron::assembly::{Capacity, Plan, Rooms, Seams, assemble};
use vectron::settings::Settings;
use vectron_base::clock::{Clock, ManualClock, Tick};
use vectron_base::disk::Disk;
use vectron_base::disk::sim::SimDisk;
use vectron_base::random::{Random, SeededRandom};
use vectron_consensus::{ConsensusMetrics, Driver};
use vectron_gateway::Gateway;
use vectron_worker::Host;

/// Why a run ended before its future did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The disk lost power.
    PowerLost,
    /// Nothing happened for longer than any deadline: something waits for ever.
    Hang,
    /// The node would not start.
    Refused(String),
}

/// Wall time at the start of every world, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// Longest virtual time that any single run may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A node that is on.
pub struct World {
    /// Its disk, which outlives it.
    pub disk: SimDisk,
    /// Its executor.
    pub executor: Executor,
    /// Its rooms.
    pub rooms: Arc<Rooms>,
    driver: Driver,
    clock: Arc<ManualClock>,
    random: Arc<SeededRandom>,
}

/// Settings under which small workloads reach everything: checkpoints, sweeps, segment changes.
pub fn small_settings() -> Settings {
    let mut settings = Settings::default();
    settings.store.checkpoint_bytes = 4096;
    settings.store.index_step_rows = 4;
    settings.store.sweep_step_rows = 64;
    settings.consensus.journal_segment_bytes = 16 << 10;
    settings.consensus.journal_limit_bytes = 64 << 10;
    settings.consensus.disk_reserve_bytes = 4096;
    settings
}

/// How long a start may take in virtual time; a node that is not ready by then serves what it can.
const READY_PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// Starts a node on `disk`, with everything decided by `seed`.
    pub fn power_on(disk: &SimDisk, seed: u64, settings: &Settings) -> Result<World, Halt> {
        let clock = Arc::new(ManualClock::starting_at(EPOCH_MS));
        let random = Arc::new(SeededRandom::new(seed ^ 0x5eed));
        let executor = Executor::new(clock.clone(), seed);
        let storage: Arc<dyn Disk> = Arc::new(disk.clone());
        let seams = Seams { clock: clock.clone(), random: random.clone(), pool: Arc::new(executor.clone()) };
        let opened = Driver::open(
            storage.clone(),
            seams.clock.clone(),
            seams.random.clone(),
            settings.consensus.clone(),
            ConsensusMetrics::default(),
        );
        let (mut driver, handle) = match opened {
            Ok(opened) => opened,
            Err(_) if disk.power_lost() => return Err(Halt::PowerLost),
            Err(error) => return Err(Halt::Refused(error.to_string())),
        };
        let capacity = Capacity { cores: 1, memory_bytes: 1 << 30 };
        let raising = assemble(Plan::alone(seams, storage, handle, settings.clone(), capacity));
        let random_for_run = random.clone();
        let raised = run(&executor, &clock, &random_for_run, disk, &mut driver, raising)?;
        let rooms = match raised {
            Ok(rooms) => Arc::new(rooms),
            Err(_) if disk.power_lost() => return Err(Halt::PowerLost),
            Err(error) => return Err(Halt::Refused(error.to_string())),
        };
        let mut world = World { disk: disk.clone(), executor, rooms, driver, clock, random };
        let worker = world.worker();
        world.run(async move { worker.wait_ready(READY_PATIENCE).await })?;
        Ok(world)
    }

    /// Runs the world until `future` is done.
    pub fn run<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Halt> {
        run(&self.executor, &self.clock, &self.random, &self.disk, &mut self.driver, future)
    }

    /// The node's gateway.
    pub fn gateway(&self) -> Arc<Gateway> {
        self.rooms.gateway.clone().expect("a node that is everything has a gateway")
    }

    /// The node's worker.
    pub fn worker(&self) -> Arc<Host> {
        self.rooms.worker.clone().expect("a node that is everything has a worker")
    }

    /// Steps the wall clock, as an operator or NTP would.
    pub fn step_wall_clock(&self, by_ms: i64) {
        self.clock.step_wall_ms(self.clock.wall_ms().saturating_add_signed(by_ms));
    }

    /// Everything in memory is gone; what the disk kept is decided by its seed.
    pub fn crash(self) -> SimDisk {
        self.disk.lose_power();
        self.executor.clear();
        drop(self.rooms);
        self.executor.clear();
        self.disk.restart();
        self.disk
    }

    /// Hash of everything that happened.
    pub fn trace(&self) -> u64 {
        self.executor.trace()
    }
}

fn run<T: Send + 'static>(
    executor: &Executor,
    clock: &ManualClock,
    random: &SeededRandom,
    disk: &SimDisk,
    driver: &mut Driver,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, Halt> {
    let (slot, done) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
    let (fill, set) = (slot.clone(), done.clone());
    executor.spawn_task(Box::pin(async move {
        let value = future.await;
        *fill.lock() = Some(value);
        set.store(true, Ordering::SeqCst);
    }));
    let give_up = clock.now().plus(PATIENCE);
    loop {
        if disk.power_lost() {
            return Err(Halt::PowerLost);
        }
        if done.load(Ordering::SeqCst)
            && let Some(value) = slot.lock().take()
        {
            return Ok(value);
        }
        // The log's thread and the executor's threads race in life; here the seed says who is first.
        let worked = if random.below(4) == 0 { driver.turn().worked } else { executor.step() };
        if worked || executor.step() {
            continue;
        }
        let turn = driver.turn();
        if turn.worked {
            continue;
        }
        let due = executor.next_timer().map_or(turn.next_tick, |timer: Tick| timer.min(turn.next_tick));
        if due > give_up {
            return Err(Halt::Hang);
        }
        executor.advance_to(due.max(Tick(clock.now().0 + 1)));
    }
}
