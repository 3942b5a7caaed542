//! What holds after any commands in any order, planned well or badly.

use super::tests::{registration, spec};
use super::*;
use vectron_base::random::{Random, SeededRandom};
use vectron_wire::placement::{Alias, AliasAction, ReplicaRole, WorkerState};

const WORKERS: u64 = 7;
const LIMITS: MoveLimits = MoveLimits { overall: 4, per_worker: 2 };

/// Draws a command that often fits the state, and often does not.
fn draw(random: &SeededRandom, catalog: &Catalog) -> Command {
    let shards: Vec<&Shard> = catalog.collections().flat_map(|c| &c.shards).collect();
    let shard = shards.get(random.below(shards.len().max(1) as u64) as usize);
    let id = shard.map_or(ShardId(1), |s| s.shard);
    let stale = u64::from(random.below(8) == 0);
    let config = shard.map_or(0, |s| s.config) - stale.min(shard.map_or(0, |s| s.config));
    let replica = |random: &SeededRandom| {
        let replicas = shard.map(|s| s.replicas.as_slice()).unwrap_or_default();
        replicas.get(random.below(replicas.len() as u64 + 1) as usize).map(|r| r.replica)
    };
    let moves: Vec<&Move> = catalog.moves().collect();
    let one = moves.get(random.below(moves.len().max(1) as u64) as usize);
    let (move_id, move_config) = one.map_or((1, 1), |m| {
        (m.id, catalog.shard(m.shard).map_or(0, |(_, s)| s.config.saturating_sub(stale)))
    });
    let worker = WorkerId(1 + random.below(WORKERS + 1));
    match random.below(25) {
        0 => Command::RegisterWorker { registration: registration(1 + random.below(WORKERS)) },
        1 => {
            let shards = 1 + random.below(3) as u32;
            let mut spec = spec(["a", "b", "c"][random.below(3) as usize], shards);
            spec.replication_factor = [1, 3, 5][random.below(3) as usize];
            let start = random.below(WORKERS);
            let row = |i: u64| {
                let width = u64::from(spec.replication_factor);
                (0..width).map(|j| WorkerId(1 + (start + i + j) % WORKERS)).collect()
            };
            let placements = (0..u64::from(shards)).map(row).collect();
            Command::CreateCollection { spec, created_at_ms: 1, placements, collections_max: 3 }
        }
        2 if random.below(4) == 0 => Command::DeleteCollection { name: "a".into() },
        23 => {
            let name =
                |random: &SeededRandom| ["a", "b", "c", "x", "y"][random.below(5) as usize].to_string();
            let action = |_| match random.below(3) {
                0 => AliasAction::Delete { alias: name(random) },
                _ => AliasAction::Set(Alias { alias: name(random), collection: name(random) }),
            };
            Command::ChangeAliases { actions: (0..=random.below(2)).map(action).collect(), aliases_max: 2 }
        }
        3 => Command::ForgetCollection { incarnation: Incarnation(1 + random.below(9)) },
        4 if random.below(3) == 0 => Command::SetWorkerState { worker, state: WorkerState::Draining },
        5 => Command::SetWorkerState { worker, state: WorkerState::Active },
        6 => Command::RemoveWorker { worker },
        7..=10 => Command::BeginMove {
            shard: id,
            config,
            from: replica(random),
            to: (random.below(6) > 0).then_some(worker),
            learner: random.below(3) == 0,
            bytes: 1,
            reason: "drawn".into(),
            started_ms: 1,
            limits: LIMITS,
        },
        11 | 12 => Command::SwitchMove { id: move_id, config: move_config },
        13 => Command::RetireSource { id: move_id, config: move_config },
        14 | 15 => Command::DropReplica { id: move_id, config: move_config },
        16 => Command::FinishMove { id: move_id },
        17 => Command::CancelMove { id: move_id, config: move_config },
        18 => Command::SetLeader { shard: id, config, leader: replica(random) },
        19 => Command::PlanSplit {
            shard: id,
            config,
            first: shard.map_or(1, |s| s.first + (s.last - s.first) / 2 + random.below(2)),
            shards_max: 6,
        },
        20 => Command::CutSplit { shard: id, config },
        21 if random.below(3) == 0 => Command::AbortSplit { shard: id, config },
        21 | 22 => Command::FinishSplit { shard: id, epoch: shard.map_or(1, |s| s.epoch) },
        _ => match random.below(4) {
            0 => Command::SetPaused { paused: random.below(3) == 0 },
            1 => Command::AddMember { replica: ReplicaId(random.below(5)), address: "x".into() },
            2 => Command::RemoveMember { replica: ReplicaId(random.below(5)) },
            _ => Command::Condemn {
                shard: id,
                replica: replica(random).unwrap_or(ReplicaId(0)),
                why: "drawn".into(),
            },
        },
    }
}

fn listed(catalog: &Catalog) -> BTreeSet<ReplicaId> {
    let shards = catalog.collections().flat_map(|c| &c.shards);
    shards
        .flat_map(|s| s.replicas.iter().chain(s.split.iter().flat_map(|split| &split.replicas)))
        .map(|replica| replica.replica)
        .collect()
}

/// Holds the catalog to its rules. Shards in `short` gave up a voter that was past hope, and lack at most that one.
fn check(catalog: &Catalog, short: &BTreeSet<ShardId>) {
    for collection in catalog.collections() {
        let mut next = Some(0u64);
        for shard in &collection.shards {
            assert_eq!(next, Some(shard.first), "ranges lie side by side");
            assert!(shard.first <= shard.last);
            next = shard.last.checked_add(1);
            let workers: BTreeSet<WorkerId> = shard.replicas.iter().map(|r| r.worker).collect();
            assert_eq!(workers.len(), shard.replicas.len(), "replicas are on distinct workers");
            let role = |role| shard.replicas.iter().filter(|r| r.role == role).count();
            let wanted =
                collection.spec.replication_factor as usize - usize::from(short.contains(&shard.shard));
            assert!(role(ReplicaRole::Voter) >= wanted, "a step took a voter away: {shard:?}");
            assert!(role(ReplicaRole::Joining) + role(ReplicaRole::Leaving) <= 2);
            let under_way = catalog.moves().filter(|m| m.shard == shard.shard).count();
            assert!(under_way + usize::from(shard.split.is_some()) <= 1, "one thing at a time");
            if under_way == 0 && collection.state == CollectionState::Live {
                assert_eq!(role(ReplicaRole::Voter), wanted);
                assert_eq!(role(ReplicaRole::Joining) + role(ReplicaRole::Leaving), 0);
            }
            if let Some(leader) = shard.leader {
                let wish = shard.replicas.iter().find(|r| r.replica == leader);
                assert_eq!(wish.map(|r| r.role), Some(ReplicaRole::Voter));
            }
            if let Some(split) = &shard.split {
                assert!(shard.first < split.first && split.first <= shard.last);
                let of =
                    |replicas: &[Replica]| -> Vec<WorkerId> { replicas.iter().map(|r| r.worker).collect() };
                assert_eq!(of(&split.replicas), of(&shard.replicas));
            }
        }
        assert_eq!(next, None, "ranges reach to the end");
    }
    for Alias { alias, collection } in catalog.aliases() {
        assert!(catalog.live(&collection).is_some(), "{alias} means nothing");
        assert!(catalog.live(&alias).is_none(), "{alias} means two things");
    }
    assert!(catalog.moves().count() <= LIMITS.overall as usize);
    for one in catalog.moves() {
        let (collection, _) = catalog.shard(one.shard).expect("a move is of a shard that is there");
        assert_eq!(collection.state, CollectionState::Live);
    }
}

/// Lessons 23 and 28: whatever two planners do to each other's plans, each step leaves a sound catalog.
#[test]
fn l23_any_commands_leave_a_sound_catalog() {
    let (mut begun, mut split, mut finished, mut aliased) = (0, 0, 0, 0);
    for seed in 0..60 {
        let random = SeededRandom::new(seed);
        let mut catalog = Catalog::default();
        for worker in 1..=WORKERS {
            catalog.apply(Command::RegisterWorker { registration: registration(worker) });
        }
        let mut short = BTreeSet::new();
        let (mut gone, mut ever_gone_shards) = (BTreeSet::new(), BTreeSet::new());
        let (mut before, mut shards_before) = (listed(&catalog), BTreeSet::new());
        for _ in 0..400 {
            let (view, paused, moves) = (catalog.view(), catalog.paused(), catalog.moves().count());
            let command = draw(&random, &catalog);
            let copy = catalog.clone();
            let reply = catalog.apply(command.clone());
            let text = format!("{command:?} gave {reply:?}");
            if matches!(reply, Reply::Stale | Reply::Refused { .. } | Reply::Full | Reply::NotFound) {
                assert_eq!(catalog, copy, "a command that is not carried out changes nothing: {text}");
            }
            assert!(!paused || catalog.moves().count() <= moves, "a move began in a pause: {text}");
            let now = catalog.view();
            let same = CatalogView { epoch: view.epoch, ..now.clone() } == view;
            assert_eq!(same, now.epoch == view.epoch, "the epoch grows with the view: {text}");
            if let (Command::BeginMove { shard, from: Some(from), to: None, .. }, Reply::Begun { .. }) =
                (&command, &reply)
            {
                let (collection, there) = copy.shard(*shard).expect("it was there");
                let votes = there.replicas.iter().any(|r| r.replica == *from && r.role == ReplicaRole::Voter);
                if votes {
                    assert!(
                        copy.condemned(*from).is_some() && collection.spec.replication_factor > 1,
                        "{text}"
                    );
                    short.insert(*shard);
                }
            }
            short.retain(|id| {
                catalog.shard(*id).is_some_and(|(collection, shard)| {
                    let voters = shard.replicas.iter().filter(|r| r.role == ReplicaRole::Voter).count();
                    voters < collection.spec.replication_factor as usize
                })
            });
            check(&catalog, &short);
            let after = listed(&catalog);
            gone.extend(before.difference(&after).copied());
            assert!(gone.is_disjoint(&after), "a replica came back: {text}");
            assert!(gone.iter().all(|replica| catalog.retired(*replica)));
            let shards: BTreeSet<ShardId> =
                catalog.collections().flat_map(|c| &c.shards).map(|s| s.shard).collect();
            ever_gone_shards.extend(shards_before.difference(&shards).copied());
            assert!(ever_gone_shards.is_disjoint(&shards), "a shard came back: {text}");
            (before, shards_before) = (after, shards);
            match (&command, &reply) {
                (Command::BeginMove { .. }, Reply::Begun { .. }) => begun += 1,
                (Command::FinishMove { .. }, Reply::Done) => finished += 1,
                (Command::FinishSplit { .. }, Reply::Done) => split += 1,
                (Command::ChangeAliases { .. }, Reply::Done) if copy != catalog => aliased += 1,
                _ => {}
            }
        }
    }
    assert!(
        begun > 150 && finished > 60 && split > 40 && aliased > 60,
        "the draw reaches little: {begun} {finished} {split} {aliased}"
    );
}

/// Lesson 22: equal logs give equal states, on every member and after a restart amid the log.
#[test]
fn l22_the_same_log_twice_gives_the_same_state() {
    for seed in 0..20 {
        let random = SeededRandom::new(seed);
        let (mut first, mut log) = (Catalog::default(), Vec::new());
        for step in 0..300 {
            let command = if step < WORKERS {
                Command::RegisterWorker { registration: registration(step + 1) }
            } else {
                draw(&random, &first)
            };
            log.push(serde_json::to_vec(&command).unwrap());
            first.apply(command);
        }
        let mut second = Catalog::default();
        let restart = random.below(log.len() as u64);
        for (index, entry) in log.iter().enumerate() {
            if index as u64 == restart {
                second = serde_json::from_slice(&serde_json::to_vec(&second).unwrap()).unwrap();
            }
            second.apply(serde_json::from_slice(entry).unwrap());
        }
        assert_eq!(first, second, "seed {seed}");
    }
}
