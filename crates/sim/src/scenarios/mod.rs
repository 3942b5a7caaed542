//! Runs: a workload under some misfortune, and the checks afterwards.

pub mod churn;
pub mod client;
pub mod verify;

use crate::oracle::Content;
use crate::world::{Halt, World, small_settings};
use churn::{Board, run_clients};
use client::{Client, DIMENSION};
use std::sync::Arc;
use std::time::Duration;
use vectron_base::Fault;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::pool::Pool;
use vectron_base::random::{Random, SeededRandom};

/// What a scenario did, for comparing equal seeds and for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Hash of everything that happened in every life of the node.
    pub trace: u64,
    /// Power losses.
    pub crashes: u32,
    /// Calls that were answered.
    pub answered: u64,
}

/// Lives of a node under churn, each ended by a power loss at a random disk operation; after each start every
/// id is held to the oracle. Then one last clean stop and start.
pub fn crash_churn(seed: u64) -> Report {
    let random = SeededRandom::new(seed);
    let disk = SimDisk::new(seed);
    let board = Board::new(seed);
    let mut report = Report { trace: seed, crashes: 0, answered: 0 };
    for life in 0..4u64 {
        // Some power losses fall into the start itself.
        let until = disk.operations() + 1 + random.below(if life == 0 { 700 } else { 400 });
        disk.set_faults(Faults { power_loss_at_operation: Some(until), ..Faults::default() });
        match live(&disk, seed ^ (life << 32), &board, 60) {
            Ok(world) => {
                report.trace ^= world.trace();
                world.crash();
            }
            Err((Halt::PowerLost, trace)) => {
                report.trace ^= trace;
                disk.restart();
            }
            Err((halt, _)) => panic!("seed {seed} life {life}: {halt:?}"),
        }
        report.crashes += 1;
    }
    let world = match live(&disk, seed ^ 0xffff, &board, 20) {
        Ok(world) => world,
        Err((halt, _)) => panic!("seed {seed}, last life: {halt:?}"),
    };
    report.trace ^= world.trace();
    stop_and_compare(world, seed, &board);
    report.answered = board.answered();
    report
}

/// One life: start, verify, churn. The world if it is still on, else why not and its trace.
fn live(disk: &SimDisk, seed: u64, board: &Board, calls: u64) -> Result<World, (Halt, u64)> {
    let mut world = World::power_on(disk, seed, &small_settings()).map_err(|halt| (halt, seed))?;
    let lived = verify::settle(&mut world, board).and_then(|()| run_clients(&mut world, seed, board, calls));
    match lived {
        Ok(()) => Ok(world),
        Err(halt) => {
            let trace = world.trace();
            world.executor.clear();
            Err((halt, trace))
        }
    }
}

/// A clean stop, then a start on what it left: the logical state is the same, digest for digest.
fn stop_and_compare(mut world: World, seed: u64, board: &Board) {
    let before = verify::digests(&world);
    let rooms = world.rooms.clone();
    assert_eq!(world.run(async move { rooms.stop().await }), Ok(()), "seed {seed}: clean stop");
    let disk = world.crash();
    let mut world = match World::power_on(&disk, seed ^ 0xabcd, &small_settings()) {
        Ok(world) => world,
        Err(halt) => panic!("seed {seed}: start after a clean stop: {halt:?}"),
    };
    assert_eq!(verify::settle(&mut world, board), Ok(()), "seed {seed}");
    assert_eq!(verify::digests(&world), before, "seed {seed}: a clean restart changed the state");
}

/// Loses power at every single disk operation of one small workload, from first start to last write.
pub fn every_crash_point(seed: u64) -> u64 {
    let dry = SimDisk::new(seed);
    if let Err((halt, _)) = live(&dry, seed, &Board::new(seed), 12) {
        panic!("seed {seed}: dry run: {halt:?}");
    }
    let operations = dry.operations();
    for at in 1..=operations {
        let disk = SimDisk::new(seed ^ (at << 20));
        let board = Board::new(seed);
        disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
        // Nearly every run ends in the power loss; timers may shift one past the end.
        if let Ok(world) = live(&disk, seed, &board, 12) {
            world.crash();
        } else {
            disk.restart();
        }
        match live(&disk, seed ^ 0x77, &board, 3) {
            Ok(world) => stop_and_compare(world, seed, &board),
            Err((halt, _)) => panic!("seed {seed}, power lost at operation {at}: {halt:?}"),
        }
    }
    operations
}

/// One sync fails under churn: nothing acknowledged is lost, nothing is acknowledged on that journal again,
/// and a restart heals.
pub fn failed_sync(seed: u64) {
    let disk = SimDisk::new(seed);
    let board = Board::new(seed);
    let at = 3 + SeededRandom::new(seed).below(40);
    disk.set_faults(Faults { fail_sync: Some(at), ..Faults::default() });
    match live(&disk, seed, &board, 40) {
        Ok(world) => drop(world.crash()),
        Err((Halt::PowerLost | Halt::Refused(_), _)) => disk.restart(),
        Err((Halt::Hang, _)) => panic!("seed {seed}: a failed sync made somebody wait for ever"),
    }
    match live(&disk, seed ^ 9, &board, 10) {
        Ok(world) => stop_and_compare(world, seed, &board),
        Err((halt, _)) => panic!("seed {seed}: after a failed sync at {at}: {halt:?}"),
    }
}

/// The disk fills under churn, then gets room again without a restart: upserts are refused meanwhile, reads
/// and acknowledged data are unharmed, and writes succeed again.
pub fn full_disk(seed: u64) {
    let disk = SimDisk::new(seed);
    let board = Board::new(seed);
    let mut world = match live(&disk, seed, &board, 10) {
        Ok(world) => world,
        Err((halt, _)) => panic!("seed {seed}: {halt:?}"),
    };
    let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
    disk.set_capacity(Some(used + SeededRandom::new(seed).below(20_000)));
    assert_eq!(run_clients(&mut world, seed ^ 1, &board, 30), Ok(()), "seed {seed}: full disk");
    disk.set_capacity(None);
    let refused = board.refused();
    assert_eq!(run_clients(&mut world, seed ^ 2, &board, 20), Ok(()), "seed {seed}: room again");
    assert_eq!(
        board.refused(),
        refused,
        "seed {seed}: refused although there is room again: {:?}",
        board.last_refusal()
    );
    stop_and_compare(world, seed, &board);
}

/// The wall clock is stepped by an hour either way under churn: versions, idempotency and acknowledged data are
/// unharmed, because log time never goes back and everything else is measured on the monotonic clock.
pub fn clock_steps(seed: u64) {
    let disk = SimDisk::new(seed);
    let board = Board::new(seed);
    let mut world = match live(&disk, seed, &board, 10) {
        Ok(world) => world,
        Err((halt, _)) => panic!("seed {seed}: {halt:?}"),
    };
    for (round, step) in (1u64..).zip([HOUR_MS, -2 * HOUR_MS, HOUR_MS]) {
        world.step_wall_clock(step);
        // Another seed each time: equal seeds would draw equal idempotency keys, and be replays.
        let fresh = seed ^ (round << 40);
        assert_eq!(run_clients(&mut world, fresh, &board, 20), Ok(()), "seed {seed}: {step} ms");
        assert_eq!(verify::settle(&mut world, &board), Ok(()), "seed {seed}: {step} ms");
    }
    assert_eq!(board.refused(), 0, "seed {seed}: {:?}", board.last_refusal());
    stop_and_compare(world, seed, &board);
}

const HOUR_MS: i64 = 3_600_000;

/// A shard without writes, and a catalog without changes, must not hold the journal of a busy shard: it stays
/// near its limit, over restarts too.
pub fn idle_shard(seed: u64) {
    let disk = SimDisk::new(seed);
    let settings = small_settings();
    let bound = settings.consensus.journal_limit_bytes + 6 * settings.consensus.journal_segment_bytes;
    for life in 0..3u64 {
        let mut world = match World::power_on(&disk, seed ^ life, &settings) {
            Ok(world) => world,
            Err(halt) => panic!("seed {seed}: {halt:?}"),
        };
        let gateway = world.gateway();
        let client = |name: &str| Client { gateway: gateway.clone(), collection: name.into() };
        let (idle, busy) = (client("idle"), client("busy"));
        let wrote = world.run(async move {
            idle.create(1).await?;
            busy.create(1).await?;
            for batch in 0..150u64 {
                let content = Content { vector: vec![1.0; DIMENSION], payload: format!("{{\"n\":{batch}}}") };
                let points: Vec<(String, Content)> =
                    (0..20).map(|i| (format!("p{i}-{}", "x".repeat(100)), content.clone())).collect();
                busy.upsert(&points, None).await?;
            }
            Ok::<_, Fault>(())
        });
        assert_eq!(wrote, Ok(Ok(())), "seed {seed}");
        let pool: Arc<dyn Pool> = Arc::new(world.executor.clone());
        assert_eq!(world.run(async move { pool.sleep(Duration::from_secs(10)).await }), Ok(()));
        let bytes = world.rooms.consensus.as_ref().expect("it has logs").journal().bytes;
        assert!(
            bytes <= bound,
            "seed {seed}, life {life}: the journal has {bytes} bytes, the bound is {bound}"
        );
        world.crash();
    }
}
