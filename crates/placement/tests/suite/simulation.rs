//! Random deaths, returns, drains, splits, pauses and failovers of the placement driver, from seeds.

use crate::world::World;
use vectron_base::ids::WorkerId;
use vectron_base::random::Random;
use vectron_placement::catalog::Command;
use vectron_placement::plan::{place, split};
use vectron_wire::placement::{
    CollectionSpec, CollectionState, Distance, IndexSettings, Quantization, ReadPolicy, Storage, WorkerState,
};

const WORKERS: u64 = 8;

fn create(world: &mut World, name: &str, shards: u32, replication_factor: u32) {
    let spec = CollectionSpec {
        name: name.into(),
        dimension: 2,
        distance: Distance::Dot,
        shards,
        replication_factor,
        read_policy: ReadPolicy::Linearizable,
        quantization: Quantization::Auto,
        storage: Storage::Ram,
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    };
    let layout = world.layout();
    if let Some(placements) = place::place(&layout, shards, replication_factor) {
        world.apply(Command::CreateCollection { spec, created_at_ms: 1, placements, collections_max: 9 });
    }
}

/// One run; gives (moves begun, splits done, rolled back).
fn run(seed: u64) -> (u64, u64, u64) {
    let mut world = World::new(seed, WORKERS);
    (0..5).for_each(|_| world.second());
    create(&mut world, "lone", 2, 1);
    create(&mut world, "three", 4, 3);
    create(&mut world, "five", 2, 5);
    (0..30).for_each(|_| world.second());
    assert_eq!(world.unsettled(), Vec::<String>::new(), "seed {seed}: at the start");
    let mut lost = 0;
    for _ in 0..600 {
        trouble(&mut world, &mut lost);
        world.second();
        assert!(world.catalog.moves().count() as u64 <= world.knobs.moves_max);
    }
    calm(&mut world);
    let mut waited = 0;
    while !world.unsettled().is_empty() || world.catalog.rebalancing() {
        waited += 1;
        assert!(waited < 1500, "seed {seed}: not settled: {:#?}", world.unsettled());
        world.second();
    }
    // Leaders may settle a little later; then nothing moves any more.
    (0..120).for_each(|_| world.second());
    let (begun, epoch) = (world.begun, world.catalog.epoch());
    (0..120).for_each(|_| world.second());
    assert_eq!((world.begun, world.catalog.epoch()), (begun, epoch), "seed {seed}: it never comes to rest");
    let replicas: u64 = (1..=WORKERS).map(|worker| world.catalog.replicas_on(WorkerId(worker))).sum();
    assert!(world.begun < 40 * replicas, "seed {seed}: {} moves for {replicas} replicas", world.begun);
    for worker in 1..=WORKERS {
        let worker = WorkerId(worker);
        let drained = world.catalog.draining(worker) || !world.machines[&worker].alive;
        assert!(
            !drained || world.catalog.replicas_on(worker) == 0,
            "seed {seed}: {worker} still has replicas"
        );
    }
    (world.begun, world.split, world.rolled_back)
}

fn trouble(world: &mut World, lost: &mut u64) {
    let worker = WorkerId(1 + world.random.below(WORKERS));
    let down = world.machines.values().filter(|machine| !machine.alive).count();
    let settled = world.unsettled().is_empty();
    match world.random.below(40) {
        // At most one is away at a time, besides those that everything has recovered from.
        0 if down as u64 <= *lost => {
            if let Some(machine) = world.machines.get_mut(&worker) {
                machine.alive = false;
            }
        }
        1..=4 if down as u64 > *lost => {
            let back = world.machines.values_mut().find(|machine| !machine.alive);
            if let Some(machine) = back {
                machine.alive = true;
            }
        }
        5 if settled && down > 0 && *lost == 0 => *lost = 1,
        6 => world.fail_over(),
        7 if world.random.below(4) == 0 => {
            world.apply(Command::SetWorkerState { worker, state: WorkerState::Draining });
        }
        8 | 9 => {
            world.apply(Command::SetWorkerState { worker, state: WorkerState::Active });
        }
        10 => {
            let paused = world.random.below(3) == 0;
            world.apply(Command::SetPaused { paused });
        }
        11 => {
            let shards: Vec<_> = world.catalog.collections().flat_map(|c| c.shards.clone()).collect();
            let shard = &shards[world.random.below(shards.len() as u64) as usize];
            if let Some(first) = split::middle(shard).filter(|_| split::prepared(&world.reports, shard)) {
                let (shard, config) = (shard.shard, shard.config);
                world.apply(Command::PlanSplit { shard, config, first, shards_max: 8 });
            }
        }
        12 => {
            let found = world.catalog.moves().next().map(|one| (one.id, one.shard));
            if let Some((id, shard)) = found {
                let config = world.catalog.shard(shard).map_or(0, |(_, shard)| shard.config);
                world.apply(Command::CancelMove { id, config });
            }
        }
        13 if world.random.below(8) == 0 => {
            world.apply(Command::DeleteCollection { name: "five".into() });
        }
        14 => create(world, "five", 2, 5),
        15 => {
            world.apply(Command::SetRebalancing { rebalancing: true });
        }
        16 => {
            // A replica is found to differ from the others.
            let live = world
                .catalog
                .collections()
                .filter(|c| c.state == CollectionState::Live && c.spec.replication_factor > 1);
            let replicas: Vec<_> = live
                .flat_map(|c| &c.shards)
                .flat_map(|s| s.replicas.iter().map(|r| (s.shard, r.replica)))
                .collect();
            if let Some((shard, replica)) = replicas.get(world.random.below(9) as usize).copied() {
                world.apply(Command::Condemn { shard, replica, why: "drawn".into() });
            }
        }
        _ => {}
    }
}

/// Faults end; one worker that was lost for good stays away.
fn calm(world: &mut World) {
    world.rival = None;
    world.apply(Command::SetPaused { paused: false });
    let away: Vec<WorkerId> =
        world.machines.iter().filter(|(_, machine)| !machine.alive).map(|(worker, _)| *worker).collect();
    // A shard with one replica needs the worker that has it; so does one that lost its majority.
    let needed = |world: &World, worker: WorkerId| {
        world.catalog.replicas_on(worker) > 0
            && world.catalog.collections().flat_map(|c| &c.shards).any(|shard| {
                shard.on(worker).is_some()
                    && (shard.voters().count() < 3
                        || world.groups.get(&shard.shard).is_some_and(|group| group.leader.is_none()))
            })
    };
    for worker in away.iter().copied() {
        let wake = away.len() > 1 || needed(world, worker);
        if let Some(machine) = world.machines.get_mut(&worker).filter(|_| wake) {
            machine.alive = true;
        }
    }
    // Enough workers must stay for five voters.
    for worker in 3..=WORKERS {
        let worker = WorkerId(worker);
        world.apply(Command::SetWorkerState { worker, state: WorkerState::Active });
    }
}

#[test]
fn every_shard_ends_with_the_voters_it_shall_have_and_no_last_copy_is_lost() {
    let (mut begun, mut split, mut rolled_back) = (0, 0, 0);
    for seed in 0..25 {
        let counts = run(seed);
        begun += counts.0;
        split += counts.1;
        rolled_back += counts.2;
    }
    assert!(begun > 300 && split > 10 && rolled_back > 10, "little happened: {begun} {split} {rolled_back}");
}

/// Three workers, three voters, and one replica that differs: it goes, and a new one comes to the same worker.
#[test]
fn a_replica_that_differs_is_made_anew_on_the_same_worker_when_there_is_no_other() {
    for seed in 0..10 {
        let mut world = World::new(seed, 3);
        (0..5).for_each(|_| world.second());
        create(&mut world, "three", 2, 3);
        (0..30).for_each(|_| world.second());
        let shards: Vec<_> = world.catalog.collections().flat_map(|c| c.shards.clone()).collect();
        let bad = shards[0].replicas[world.random.below(3) as usize];
        world.apply(Command::Condemn { shard: shards[0].shard, replica: bad.replica, why: "drawn".into() });
        (0..120).for_each(|_| world.second());
        assert_eq!(world.unsettled(), Vec::<String>::new(), "seed {seed}");
        let now = world.catalog.shard(shards[0].shard).unwrap().1.on(bad.worker).copied().unwrap();
        assert!(now.replica > bad.replica, "seed {seed}: {now:?}");
    }
}
