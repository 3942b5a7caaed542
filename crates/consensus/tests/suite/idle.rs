//! What idle groups cost, measured; and that one group's long work does not silence the others.

use crate::fleet::{Fleet, GROUP};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, ManualClock, SystemClock};
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::{GroupId, ReplicaId};
use vectron_base::random::SeededRandom;
use vectron_consensus::*;

struct Nothing;

impl Machine for Nothing {
    fn durable_index(&self) -> u64 {
        0
    }
    fn apply(&mut self, _: u64, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn skip(&mut self, _: u64) {}
}

#[derive(Clone, Default)]
struct Router(Arc<Mutex<Vec<Handle>>>);

impl Outbox for Router {
    fn send(&mut self, message: Message) {
        // What travels is bytes.
        let message = Message::decode(&message.encode()).unwrap();
        let handle = self.0.lock().get(message.to().0 as usize - 1).cloned();
        handle.into_iter().for_each(|handle| handle.deliver(message.clone()));
    }
}

#[allow(clippy::disallowed_methods, reason = "a measurement of this process")]
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // User and system time in hundredths of a second.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Three processes, each with all replicas of their number, as three threads here. Gives the share of a core that
/// each costs once nothing is asked of them, in percent.
#[allow(clippy::disallowed_methods, reason = "threads and their time are what is measured")]
fn idle(groups: u64, rest_ticks: u64, seconds: u64) -> f64 {
    let router = Router::default();
    let mut threads = Vec::new();
    for n in 1..=3u64 {
        let knobs = ConsensusKnobs { rest_ticks, disk_reserve_bytes: 0, ..Default::default() };
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SeededRandom::new(n)));
        let disk = Arc::new(SimDisk::new(n));
        let (driver, handle) = Driver::open(disk, clock, random, knobs, Default::default()).unwrap();
        router.0.lock().push(handle);
        let driver = driver.with_outbox(Box::new(router.clone()));
        threads.push(std::thread::spawn(move || driver.run()));
    }
    let handles = router.0.lock().clone();
    let open = handles.iter().enumerate().flat_map(|(n, handle)| {
        (1..=groups).map(move |group| {
            let voters = (1..=3).map(ReplicaId).collect();
            let replica = ReplicaId(n as u64 + 1);
            let config = GroupConfig { group: GroupId(group), replica, voters, start: None };
            handle.open_group(config, Box::new(Nothing))
        })
    });
    let opened = futures::executor::block_on(futures::future::join_all(open));
    assert!(opened.iter().all(Result::is_ok));
    std::thread::sleep(Duration::from_secs(15));
    let resting = |handle: &Handle| {
        (1..=groups).filter(|group| handle.status(GroupId(*group)).is_some_and(|s| s.at_rest)).count()
    };
    println!("at rest: {:?}", handles.iter().map(resting).collect::<Vec<_>>());
    let before = cpu_seconds();
    std::thread::sleep(Duration::from_secs(seconds));
    let share = (cpu_seconds() - before) / seconds as f64 / 3.0 * 100.0;
    handles.iter().for_each(Handle::stop);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    share
}

#[test]
#[ignore = "a measurement: cargo test -p vectron-consensus --release --test suite idle -- --ignored --nocapture"]
fn idle_groups_cost_little() {
    let (resting, awake) = (idle(1_000, 30, 20), idle(1_000, 0, 20));
    println!("1,000 idle groups of three: {resting:.2} % of a core per process; without rest {awake:.2} %");
}

/// A machine whose every entry takes its time, which the clock shows.
struct Slow(Arc<ManualClock>);

impl Machine for Slow {
    fn durable_index(&self) -> u64 {
        0
    }
    fn apply(&mut self, _: u64, _: &[u8]) -> Vec<u8> {
        self.0.advance(Duration::from_millis(30));
        Vec::new()
    }
    fn skip(&mut self, _: u64) {}
}

#[test]
fn a_long_apply_ends_its_turn_and_others_get_theirs() {
    let clock = Arc::new(ManualClock::default());
    let random = Arc::new(SeededRandom::new(1));
    let disk = Arc::new(SimDisk::new(1));
    let knobs = ConsensusKnobs { disk_reserve_bytes: 0, ..Default::default() };
    let (mut driver, handle) = Driver::open(disk, clock.clone(), random, knobs, Default::default()).unwrap();
    let mut tasks: Vec<crate::world::Task<()>> = Vec::new();
    for group in 1..=3 {
        let config = GroupConfig { group: GroupId(group), ..crate::world::config(1) };
        let (handle, machine) = (handle.clone(), Box::new(Slow(clock.clone())));
        tasks.push(Box::pin(async move { handle.open_group(config, machine).await.unwrap() }));
    }
    let mut done = vec![None; 3];
    crate::world::poll(&mut tasks, &mut done);
    while driver.turn().worked {}
    let mut work: Vec<crate::world::Task<()>> = Vec::new();
    for (group, count) in [(1, 100), (2, 2), (3, 2)] {
        for _ in 0..count {
            let handle = handle.clone();
            work.push(Box::pin(async move {
                handle.propose(GroupId(group), vec![7]).await.unwrap();
            }));
        }
    }
    let mut done = vec![None; work.len()];
    crate::world::poll(&mut work, &mut done);
    let mut turns = 0;
    while done.iter().any(Option::is_none) {
        let before = clock.now();
        driver.turn();
        turns += 1;
        assert!(clock.now().since(before) <= Duration::from_millis(90), "turn {turns}");
        crate::world::poll(&mut work, &mut done);
        if turns == 6 {
            assert!(done[100..].iter().all(Option::is_some), "the others wait for the long one");
            assert!(done[..100].iter().any(Option::is_none));
        }
    }
}

/// Held log is there for a snapshot that takes its time, and only for so long.
#[test]
fn a_hold_keeps_the_log_for_a_while() {
    let mut fleet = Fleet::new(2, 3, 3);
    let leader = fleet.leader();
    let applied = fleet.status(leader).unwrap().applied;
    let (handle, other) = (fleet.handle(leader), fleet.handle(leader));
    handle.hold(GROUP, applied, Duration::from_secs(60));
    for number in 0..20u64 {
        fleet.propose(leader, &[number as u8; 300]).unwrap().unwrap();
    }
    assert!(fleet.checkpoint(leader));
    (0..40).for_each(|_| fleet.step());
    let point = move |fleet: &mut Fleet| {
        let other = other.clone();
        fleet.wait(async move { other.point(GROUP, applied).await }).unwrap()
    };
    let held = point(&mut fleet).unwrap();
    assert_eq!((held.index, held.members.voters.len()), (applied, 3));
    (0..1_400).for_each(|_| fleet.step());
    assert_eq!(point(&mut fleet), None);
}
