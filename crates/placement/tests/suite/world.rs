//! Workers and groups, as little of them as planning depends on: workers follow a catalog that they see late, groups
//! change their members as Raft does, and data is there only where it was copied to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_base::random::{Random, SeededRandom};
use vectron_placement::PlacementKnobs;
use vectron_placement::catalog::{Catalog, Command, Reply};
use vectron_placement::moves::{Planner, Scene};
use vectron_placement::observe::Reports;
use vectron_placement::plan::Layout;
use vectron_wire::placement::{
    CatalogView, CollectionState, LeadReport, Locality, Members, Registration, Replica, ReplicaRole, Shard,
    ShardPhase, ShardReport, WorkerLoad, WorkerReport,
};

/// A replica on a worker's disk.
#[derive(Clone, Debug)]
pub struct Held {
    pub replica: ReplicaId,
    pub applied: u64,
    pub epoch: u64,
    pub removed: bool,
    pub sealed: bool,
    prepared: u64,
}

/// A shard's group: what its log says.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub members: Members,
    pub leader: Option<ReplicaId>,
    pub term: u64,
    pub committed: u64,
    pub epoch: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub alive: bool,
    pub seen: CatalogView,
    pub disk: BTreeMap<ShardId, Held>,
}

pub struct World {
    pub random: SeededRandom,
    pub knobs: PlacementKnobs,
    pub now: u64,
    pub catalog: Catalog,
    pub reports: Reports,
    pub planner: Planner,
    /// A leader that was deposed and does not know it: it plans on what it saw last.
    pub rival: Option<(Catalog, Reports, Planner)>,
    pub machines: BTreeMap<WorkerId, Machine>,
    pub groups: BTreeMap<ShardId, Group>,
    pub homes: BTreeMap<ReplicaId, WorkerId>,
    pub begun: u64,
    pub split: u64,
    pub rolled_back: u64,
}

fn tick(seconds: u64) -> Tick {
    Tick::default().plus(Duration::from_secs(seconds))
}

impl World {
    pub fn new(seed: u64, workers: u64) -> Self {
        let knobs = PlacementKnobs {
            dead_after_ms: 10_000,
            repair_grace_ms: 5_000,
            move_stall_ms: 60_000,
            caught_up_entries: 50,
            ..PlacementKnobs::default()
        };
        let mut world = Self {
            random: SeededRandom::new(seed),
            knobs,
            now: 1,
            catalog: Catalog::default(),
            reports: Reports::since(tick(1)),
            planner: Planner::default(),
            rival: None,
            machines: BTreeMap::new(),
            groups: BTreeMap::new(),
            homes: BTreeMap::new(),
            begun: 0,
            split: 0,
            rolled_back: 0,
        };
        for worker in 1..=workers {
            let registration = Registration {
                worker: WorkerId(worker),
                address: format!("w{worker}"),
                locality: Locality { zone: format!("z{}", worker % 3), ..Locality::default() },
                cores: 4,
                memory_bytes: 1 << 34,
                disk_bytes: 1 << 40,
            };
            world.apply(Command::RegisterWorker { registration });
            world.machines.insert(WorkerId(worker), Machine { alive: true, ..Machine::default() });
        }
        world
    }

    pub fn chance(&self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    pub fn apply(&mut self, command: Command) -> Reply {
        let reply = self.catalog.apply(command.clone());
        match (&command, &reply) {
            (Command::BeginMove { .. }, Reply::Begun { .. }) => self.begun += 1,
            (Command::CancelMove { .. }, Reply::Done) => self.rolled_back += 1,
            (Command::FinishSplit { .. }, Reply::Done) => self.split += 1,
            _ => {}
        }
        for collection in self.catalog.collections() {
            for shard in &collection.shards {
                let child = shard.split.iter().flat_map(|split| &split.replicas);
                for replica in shard.replicas.iter().chain(child) {
                    self.homes.insert(replica.replica, replica.worker);
                }
                if shard.config == 1 && shard.epoch == 1 && !self.groups.contains_key(&shard.shard) {
                    let voters = shard.replicas.iter().map(|r| r.replica).collect();
                    let members = Members { voters, ..Members::default() };
                    self.groups.insert(shard.shard, Group { members, epoch: 1, ..Group::default() });
                }
            }
        }
        reply
    }

    /// The placement driver's own leader fails over: all that it did not put into the catalog is forgotten. Sometimes
    /// the old one does not notice for a while.
    pub fn fail_over(&mut self) {
        let old = std::mem::replace(&mut self.reports, Reports::since(tick(self.now)));
        let planner = std::mem::take(&mut self.planner);
        self.rival = self.chance(2).then(|| (self.catalog.clone(), old, planner));
    }

    pub fn second(&mut self) {
        self.now += 1;
        self.machines_act();
        let shards: Vec<ShardId> = self.groups.keys().copied().collect();
        for shard in shards {
            self.group_acts(shard);
        }
        self.report();
        let decision = self.planner.decide(Scene {
            catalog: &self.catalog,
            reports: &self.reports,
            now: tick(self.now),
            wall_ms: self.now,
            knobs: &self.knobs,
        });
        let mut commands = decision.commands;
        if let Some((catalog, reports, planner)) = &mut self.rival {
            let (now, wall_ms, knobs) = (tick(self.now), self.now, &self.knobs);
            let stale = planner.decide(Scene { catalog, reports, now, wall_ms, knobs });
            commands.extend(stale.commands);
        }
        if self.rival.is_some() && self.chance(5) {
            self.rival = None;
        }
        for command in commands {
            self.apply(command);
        }
    }

    pub fn layout(&self) -> Layout {
        Layout::of(&self.catalog, &self.reports, tick(self.now), &self.knobs)
    }

    fn alive(&self, replica: ReplicaId) -> bool {
        let home = self.homes.get(&replica).and_then(|worker| self.machines.get(worker));
        home.is_some_and(|machine| machine.alive)
    }

    pub fn held(&self, shard: ShardId, replica: ReplicaId) -> Option<&Held> {
        let machine = self.machines.get(self.homes.get(&replica)?)?;
        machine.disk.get(&shard).filter(|held| held.replica == replica && !held.removed)
    }

    fn held_mut(&mut self, shard: ShardId, replica: ReplicaId) -> Option<&mut Held> {
        let machine = self.machines.get_mut(self.homes.get(&replica)?)?;
        machine.disk.get_mut(&shard).filter(|held| held.replica == replica && !held.removed)
    }

    fn machines_act(&mut self) {
        let view = self.catalog.view();
        let workers: Vec<WorkerId> = self.machines.keys().copied().collect();
        for worker in workers {
            let late = self.chance(3);
            let Some(machine) = self.machines.get_mut(&worker) else { continue };
            if !machine.alive {
                continue;
            }
            if !late {
                machine.seen = view.clone();
            }
            let seen = machine.seen.clone();
            let mut wanted: BTreeMap<ShardId, (ReplicaId, bool, bool)> = BTreeMap::new();
            for collection in &seen.collections {
                let over = collection.state == CollectionState::Deleting;
                for shard in &collection.shards {
                    if let Some(replica) = shard.on(worker) {
                        wanted.insert(shard.shard, (replica.replica, over, false));
                    }
                    if let Some(split) = &shard.split
                        && let Some(replica) = split.replicas.iter().find(|r| r.worker == worker)
                    {
                        wanted.insert(split.child, (replica.replica, over, true));
                    }
                }
            }
            let held: Vec<(ShardId, ReplicaId)> =
                machine.disk.iter().map(|(shard, held)| (*shard, held.replica)).collect();
            for (shard, replica) in held {
                match wanted.get(&shard) {
                    Some((same, over, _)) if *same == replica => {
                        if let Some(held) = machine.disk.get_mut(&shard).filter(|_| *over) {
                            held.removed = held.sealed;
                            held.sealed = true;
                        }
                    }
                    _ => {
                        machine.disk.remove(&shard);
                    }
                }
            }
            for (shard, (replica, over, child)) in wanted {
                // The copy of a part is made by the cut.
                machine.disk.entry(shard).or_insert(Held {
                    replica,
                    applied: 0,
                    epoch: u64::from(!child),
                    removed: over,
                    sealed: over,
                    prepared: 0,
                });
            }
        }
        self.never_removes_members();
    }

    /// A voter's data is removed only after the voter has left its group, while its shard lives.
    fn never_removes_members(&self) {
        let live = self.catalog.collections().filter(|c| c.state == CollectionState::Live);
        for shard in live.flat_map(|collection| &collection.shards) {
            let Some(group) = self.groups.get(&shard.shard) else { continue };
            for voter in &group.members.voters {
                let listed = shard.replicas.iter().any(|replica| replica.replica == *voter);
                assert!(listed, "voter {voter} of shard {} is not listed any more", shard.shard);
            }
        }
    }

    fn quorum(&self, shard: ShardId, members: &Members) -> bool {
        let has = |voters: &[ReplicaId]| {
            let there = voters.iter().filter(|v| self.alive(**v) && self.held(shard, **v).is_some()).count();
            voters.is_empty() || there * 2 > voters.len()
        };
        has(&members.voters) && has(&members.outgoing)
    }

    fn group_acts(&mut self, id: ShardId) {
        let Some(mut group) = self.groups.get(&id).cloned() else { return };
        let can = self.quorum(id, &group.members);
        let votes = |group: &Group, r: ReplicaId| {
            group.members.voters.contains(&r) || group.members.outgoing.contains(&r)
        };
        if group.leader.is_some_and(|leader| !can || !self.alive(leader) || !votes(&group, leader)) {
            group.leader = None;
        }
        if group.leader.is_none() && can && self.chance(2) {
            let voters = group.members.voters.iter().chain(&group.members.outgoing);
            let there: Vec<(u64, ReplicaId)> = voters
                .filter(|v| self.alive(**v))
                .filter_map(|v| Some((self.held(id, *v)?.applied, *v)))
                .collect();
            if let Some((applied, best)) = there.into_iter().max() {
                // With a majority present, somebody has everything: what was acknowledged is never lost.
                assert_eq!(applied, group.committed, "shard {id} lost what was acknowledged");
                group.leader = Some(best);
                group.term += 1;
            }
        }
        if let Some(leader) = group.leader {
            group.committed += self.random.below(40);
            let all: Vec<ReplicaId> =
                group.members.voters.iter().chain(&group.members.outgoing).copied().collect();
            for voter in &all {
                if self.alive(*voter)
                    && let Some(held) = self.held_mut(id, *voter)
                {
                    held.applied = group.committed;
                    held.epoch = group.epoch;
                }
            }
            for learner in group.members.learners.clone() {
                let step = self.random.below(1 + group.committed / 4);
                if self.alive(learner)
                    && let Some(held) = self.held_mut(id, learner)
                {
                    held.applied = (held.applied + step + 45).min(group.committed);
                    held.epoch = group.epoch;
                }
            }
            // Before it changes members a leader asks for the catalog as it is now, and does nothing without an answer:
            // following an old one it could bring back who has left.
            let seen = self.catalog.shard(id).map(|(_, shard)| shard.clone()).filter(|_| !self.chance(3));
            if let Some(shard) = seen {
                self.leader_follows(&mut group, leader, &shard);
            }
        }
        self.groups.insert(id, group);
    }

    /// What the worker of a group's leader does to make the group what the catalog says, as it saw it last.
    fn leader_follows(&mut self, group: &mut Group, leader: ReplicaId, shard: &Shard) {
        if !group.members.outgoing.is_empty() {
            group.members.outgoing.clear();
            return;
        }
        let of = |role: &dyn Fn(&Replica) -> bool| -> Vec<ReplicaId> {
            shard.replicas.iter().filter(|r| role(r)).map(|r| r.replica).collect()
        };
        let voters = of(&|r| r.role == ReplicaRole::Voter);
        let learners = of(&|r| matches!(r.role, ReplicaRole::Joining | ReplicaRole::Learner));
        let able = |r: &ReplicaId| {
            *r != leader
                && group.members.voters.contains(r)
                && voters.contains(r)
                && self.alive(*r)
                && self.held(shard.shard, *r).is_some_and(|held| held.applied == group.committed)
        };
        if !voters.contains(&leader) {
            if let Some(heir) = voters.iter().find(|r| able(r)).copied() {
                group.leader = Some(heir);
                group.term += 1;
            }
            return;
        }
        if let Some(wish) = shard.leader.filter(&able) {
            group.leader = Some(wish);
            group.term += 1;
            return;
        }
        let sorted = |mut ids: Vec<ReplicaId>| {
            ids.sort();
            ids
        };
        if sorted(group.members.voters.clone()) != sorted(voters.clone())
            || sorted(group.members.learners.clone()) != sorted(learners.clone())
        {
            let joint = sorted(group.members.voters.clone()) != sorted(voters.clone());
            let outgoing = if joint { group.members.voters.clone() } else { Vec::new() };
            let next = Members { voters, learners, outgoing };
            // Before the change can be committed both sets must be there.
            if self.quorum(shard.shard, &next) {
                group.members = next;
            }
        }
        self.cut(group, shard);
    }

    fn cut(&mut self, group: &mut Group, shard: &Shard) {
        let Some(split) = &shard.split else { return };
        for replica in &shard.replicas {
            if let Some(held) = self.held_mut(shard.shard, replica.replica) {
                held.prepared += 1;
            }
        }
        if !split.cut || group.epoch > shard.epoch {
            return;
        }
        group.epoch += 1;
        let role = |role| -> Vec<ReplicaId> {
            split.replicas.iter().filter(|r| r.role == role).map(|r| r.replica).collect()
        };
        let members = Members {
            voters: role(ReplicaRole::Voter),
            learners: role(ReplicaRole::Learner),
            outgoing: Vec::new(),
        };
        let (committed, epoch) = (group.committed, group.epoch);
        self.groups.insert(split.child, Group { members, committed, epoch, ..Group::default() });
        for replica in &split.replicas {
            self.homes.insert(replica.replica, replica.worker);
            let machine = self.machines.get_mut(&replica.worker).expect("a known worker");
            // The cut is in the parent's log: who is away applies it when it is back, before it serves.
            let (replica, applied) = (replica.replica, committed);
            let held = Held { replica, applied, epoch, removed: false, sealed: false, prepared: 0 };
            machine.disk.insert(split.child, held);
        }
    }

    fn report(&mut self) {
        for (worker, machine) in &self.machines {
            if !machine.alive || self.random.below(5) == 0 {
                continue;
            }
            let shards = machine.disk.iter().filter(|(_, held)| held.epoch > 0).map(|(shard, held)| {
                let group = self.groups.get(shard).cloned().unwrap_or_default();
                let leads = group.leader == Some(held.replica);
                let phase = match () {
                    () if held.removed => ShardPhase::Removed,
                    () if held.sealed => ShardPhase::Sealed,
                    () if group.leader.is_some() && held.applied + 50 >= group.committed => ShardPhase::Ready,
                    () => ShardPhase::Opening,
                };
                let all = group.members.voters.iter().chain(&group.members.learners);
                let matched = all.filter_map(|r| Some((*r, self.held(*shard, *r)?.applied))).collect();
                let lead = LeadReport {
                    term: group.term,
                    members: group.members.clone(),
                    committed: group.committed,
                    matched,
                };
                ShardReport {
                    shard: *shard,
                    replica: held.replica,
                    phase,
                    epoch: held.epoch,
                    points: held.applied,
                    disk_bytes: 1 << 20,
                    memory_bytes: 1 << 20,
                    index_lag: 0,
                    applied_index: held.applied,
                    mark: None,
                    split_ready: held.prepared > 3,
                    lead: leads.then_some(lead),
                }
            });
            let report = WorkerReport {
                worker: *worker,
                disk_free_bytes: 1 << 39,
                memory_used_bytes: 1 << 30,
                load: WorkerLoad::default(),
                shards: shards.collect(),
            };
            self.reports.note(report, tick(self.now));
        }
    }

    /// Shards that are not as they shall be: voters, their workers, the group's members, a leader.
    pub fn unsettled(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let live = self.catalog.collections().filter(|c| c.state == CollectionState::Live);
        for collection in live {
            for shard in &collection.shards {
                let voters: BTreeSet<ReplicaId> = shard
                    .replicas
                    .iter()
                    .filter(|r| r.role == ReplicaRole::Voter && self.alive(r.replica))
                    .map(|r| r.replica)
                    .collect();
                let group = self.groups.get(&shard.shard).cloned().unwrap_or_default();
                let members: BTreeSet<ReplicaId> = group.members.voters.iter().copied().collect();
                let wanted = collection.spec.replication_factor as usize;
                if voters.len() != wanted || members != voters || group.leader.is_none() {
                    problems.push(format!("{shard:?} {group:?}"));
                }
                if shard.split.is_some() {
                    problems.push(format!("shard {} is still being split", shard.shard));
                }
            }
        }
        problems.extend(self.catalog.moves().map(|one| format!("{one:?}")));
        problems
    }
}
