//! The step machine: from what the catalog wants, what workers report, and the time, to the next commands.
//!
//! All that a step depends on is in the catalog or in reports that come again, so that whoever leads next goes on
//! where the last leader stopped. Only timers are kept here; they begin anew with a new leader.

use crate::PlacementKnobs;
use crate::catalog::{Catalog, Command, Move, MoveLimits, Step};
use crate::observe::{Led, Life, Reports};
use crate::plan::{self, Layout, Planned, Wants};
use std::collections::BTreeMap;
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::{ShardId, WorkerId};
use vectron_wire::placement::{
    Collection, CollectionState, Replica, ReplicaRole, Shard, ShardPhase, ShardReport,
};

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Move(u64, Step),
    Split(ShardId, bool),
}

/// A step under way, as this leader has seen it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Since when.
    since: Tick,
    /// When its figure last changed.
    progress: Tick,
    figure: u64,
}

/// What to decide from.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What shall be.
    pub catalog: &'a Catalog,
    /// What is.
    pub reports: &'a Reports,
    /// This leader's monotonic time.
    pub now: Tick,
    /// Wall time, for people only.
    pub wall_ms: u64,
    /// Settings.
    pub knobs: &'a PlacementKnobs,
}

/// The next commands, and what they follow from.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// To be proposed in this order. Each is guarded, so that one that is overtaken does nothing.
    pub commands: Vec<Command>,
    /// Who holds what once all that is under way has ended.
    pub layout: Layout,
}

/// Drives moves, splits and repairs. One per leadership.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    seen: BTreeMap<Key, Seen>,
}

impl Planner {
    /// What to do now.
    pub fn decide(&mut self, scene: Scene<'_>) -> Decision {
        let Scene { catalog, reports, now, knobs, .. } = scene;
        let layout = Layout::of(catalog, reports, now, knobs);
        let mut commands = Vec::new();
        let mut seen = BTreeMap::new();
        for one in catalog.moves() {
            let Some((_, shard)) = catalog.shard(one.shard) else { continue };
            let timer = self.time(&mut seen, Key::Move(one.id, one.step), now, copied(scene, one, shard));
            commands.extend(advance(scene, one, shard, timer));
        }
        let live = catalog.collections().filter(|c| c.state == CollectionState::Live);
        for shard in live.flat_map(|collection| &collection.shards) {
            if let Some(split) = &shard.split {
                let key = Key::Split(shard.shard, split.cut);
                let timer = self.time(&mut seen, key, now, prepared(reports, shard));
                commands.extend(advance_split(scene, shard, split.cut, timer));
            }
        }
        self.seen = seen;
        let differences = plan::scrub::differences(catalog, reports);
        commands.extend(differences.iter().map(|found| Command::Condemn {
            shard: found.shard,
            replica: found.replica,
            why: format!("replica {} differs from the others at entry {}", found.replica, found.index),
        }));
        commands.extend(plan::leaders::plan(catalog, reports, &layout, knobs));
        commands.extend(begin(scene, &layout));
        if !catalog.paused() {
            commands.extend(plan::split::due(catalog, reports, knobs));
        }
        let dead_after = Duration::from_millis(knobs.dead_after_ms);
        let gone = |c: &&Collection| {
            c.state == CollectionState::Deleting
                && c.shards.iter().all(|shard| reports.removed(shard, now, dead_after))
        };
        let forgotten = catalog.collections().filter(gone);
        commands.extend(forgotten.map(|c| Command::ForgetCollection { incarnation: c.incarnation }));
        Decision { commands, layout }
    }

    /// The timer of a step, which starts when the step is first seen.
    fn time(&self, next: &mut BTreeMap<Key, Seen>, key: Key, now: Tick, figure: u64) -> Seen {
        let mut seen = self.seen.get(&key).copied().unwrap_or(Seen { since: now, progress: now, figure });
        if seen.figure != figure {
            seen = Seen { progress: now, figure, ..seen };
        }
        next.insert(key, seen);
        seen
    }
}

/// A figure that changes while a copy makes progress.
fn copied(scene: Scene<'_>, one: &Move, shard: &Shard) -> u64 {
    let Some(to) = one.to else { return 0 };
    let report = scene.reports.replica(shard.shard, &to);
    let matched =
        scene.reports.lead(shard).and_then(|led| led.behind(to.replica)).map_or(0, |b| u64::MAX - b);
    let own = |r: &ShardReport| {
        r.applied_index.wrapping_add(r.disk_bytes).wrapping_add(r.memory_bytes).wrapping_add(1)
    };
    matched.wrapping_add(report.map_or(0, own))
}

/// A figure that changes while replicas prepare for a split.
fn prepared(reports: &Reports, shard: &Shard) -> u64 {
    let replicas = shard.replicas.iter().filter_map(|r| reports.replica(shard.shard, r));
    replicas.fold(0, |sum, r| sum.wrapping_add(r.memory_bytes).wrapping_add(u64::from(r.split_ready)))
}

fn stalled(scene: Scene<'_>, timer: Seen) -> bool {
    scene.now.since(timer.progress) >= Duration::from_millis(scene.knobs.move_stall_ms)
}

fn life(scene: Scene<'_>, worker: WorkerId) -> Life {
    if !scene.catalog.workers().any(|w| w.worker == worker) {
        return Life::Dead;
    }
    scene.reports.life(worker, scene.now, Duration::from_millis(scene.knobs.dead_after_ms))
}

/// The leader of a shard, if it is alive and spoke since the step began: what it said before may be older.
fn led_since<'a>(scene: Scene<'a>, shard: &Shard, since: Tick) -> Option<Led<'a>> {
    scene.reports.lead(shard).filter(|led| led.at > since && life(scene, led.worker) == Life::Alive)
}

fn advance(scene: Scene<'_>, one: &Move, shard: &Shard, timer: Seen) -> Option<Command> {
    let (id, config) = (one.id, shard.config);
    match one.step {
        Step::Copying => {
            let to = one.to?;
            let phase = scene.reports.replica(shard.shard, &to).map(|report| report.phase);
            let hopeless = life(scene, to.worker) == Life::Dead
                || phase == Some(ShardPhase::Failed)
                || scene.catalog.draining(to.worker);
            if hopeless || stalled(scene, timer) {
                return Some(Command::CancelMove { id, config });
            }
            let led = led_since(scene, shard, timer.since)?;
            let caught_up = led.behind(to.replica).is_some_and(|n| n <= scene.knobs.caught_up_entries)
                && phase == Some(ShardPhase::Ready)
                && life(scene, to.worker) == Life::Alive;
            (caught_up && !scene.catalog.paused()).then_some(Command::SwitchMove { id, config })
        }
        Step::Switching => {
            let led = led_since(scene, shard, timer.since)?;
            let votes = |replica: Replica| {
                shard.replicas.iter().any(|r| r.replica == replica.replica && r.role == ReplicaRole::Voter)
            };
            match (one.from, one.to) {
                (Some(from), Some(to)) if !one.undone && votes(from) && votes(to) => {
                    let leads = led.replica.replica == to.replica && led.as_wanted(shard);
                    leads.then_some(Command::RetireSource { id, config })
                }
                _ => led.as_wanted(shard).then_some(Command::DropReplica { id, config }),
            }
        }
        Step::Removing => {
            let gone = one.leaving()?;
            let held =
                scene.reports.of(gone.worker).filter(|(_, at)| *at > timer.since).map(|(report, _)| {
                    report.shards.iter().any(|s| {
                        s.shard == one.shard && s.replica == gone.replica && s.phase != ShardPhase::Removed
                    })
                });
            let over = held == Some(false) || life(scene, gone.worker) == Life::Dead;
            over.then_some(Command::FinishMove { id })
        }
    }
}

fn advance_split(scene: Scene<'_>, shard: &Shard, cut: bool, timer: Seen) -> Option<Command> {
    let report = |replica: &Replica| scene.reports.replica(shard.shard, replica);
    if cut {
        // Whoever holds the smaller range has applied the cut, which therefore is committed.
        let done = shard.replicas.iter().any(|r| report(r).is_some_and(|r| r.epoch > shard.epoch));
        return done.then_some(Command::FinishSplit { shard: shard.shard, epoch: shard.epoch });
    }
    if stalled(scene, timer) {
        return Some(Command::AbortSplit { shard: shard.shard, config: shard.config });
    }
    let led = led_since(scene, shard, timer.since)?;
    let ready = |replica: &Replica| report(replica).is_some_and(|report| report.split_ready);
    // One that is dead fetches its part when it is back.
    let all = shard.replicas.iter().all(|r| ready(r) || life(scene, r.worker) == Life::Dead);
    let most = shard.voters().filter(|r| ready(r)).count() * 2 > shard.voters().count();
    (all && most && led.replica.split_ready)
        .then_some(Command::CutSplit { shard: shard.shard, config: shard.config })
}

/// What the planners may want: balance by command goes on until nothing gets better.
pub fn wants(catalog: &Catalog, knobs: &PlacementKnobs) -> Wants {
    let by_itself = (knobs.rebalance_percent > 0).then_some(knobs.rebalance_percent);
    Wants { balance_percent: if catalog.rebalancing() { Some(0) } else { by_itself } }
}

/// Moves to begin now, as many as the limits leave room for.
fn begin(scene: Scene<'_>, layout: &Layout) -> Vec<Command> {
    let Scene { catalog, knobs, .. } = scene;
    if catalog.paused() {
        return Vec::new();
    }
    let limits = MoveLimits { overall: knobs.moves_max, per_worker: knobs.moves_per_worker_max };
    let mut room = limits.overall.saturating_sub(catalog.moves().count() as u64);
    let mut touched: BTreeMap<(WorkerId, bool), u64> = BTreeMap::new();
    for one in catalog.moves().filter(|one| one.step != Step::Removing) {
        for (replica, comes) in [(one.from, false), (one.to, true)] {
            if let Some(replica) = replica {
                *touched.entry((replica.worker, comes)).or_default() += 1;
            }
        }
    }
    let mut commands = Vec::new();
    let mut even = catalog.moves().next().is_none();
    for step in plan::plan(layout, wants(catalog, knobs)) {
        even = false;
        if room == 0 {
            break;
        }
        // A dead worker gives nothing: copies come from the shard's leader.
        let gives = step.from.filter(|from| layout.workers.get(from).is_some_and(|node| node.alive));
        let ends = [gives.map(|worker| (worker, false)), step.to.map(|worker| (worker, true))];
        let fits =
            ends.iter().flatten().all(|end| touched.get(end).copied().unwrap_or(0) < limits.per_worker);
        let command = fits.then(|| command(scene, layout, &step, limits)).flatten();
        match command {
            Some(command) => {
                room -= 1;
                ends.iter().flatten().for_each(|end| *touched.entry(*end).or_default() += 1);
                commands.push(command);
            }
            None if step.urgent => {}
            // Balance keeps to its order: what is done is what a dry run says.
            None => break,
        }
    }
    if even && catalog.rebalancing() {
        commands.push(Command::SetRebalancing { rebalancing: false });
    }
    commands
}

/// The command that begins a step, if its shard is free now.
pub fn command(scene: Scene<'_>, layout: &Layout, step: &Planned, limits: MoveLimits) -> Option<Command> {
    let (_, shard) = scene.catalog.shard(step.shard)?;
    let placed = layout.shards.get(&step.shard)?;
    let from = match step.from {
        // A replica that an earlier step of the same plan adds is not there yet.
        Some(worker) => Some(placed.on(worker)?.replica?),
        None => None,
    };
    if placed.busy || placed.splitting {
        return None;
    }
    if let (Some(replica), None) = (from, step.to)
        && let Some(holder) = step.from.and_then(|worker| placed.on(worker)).filter(|holder| holder.spoiled)
        && scene.catalog.condemned(replica).is_none()
    {
        // First it is known to be past hope, whoever leads; then it may go.
        let why = holder.bad.clone().unwrap_or_default();
        return Some(Command::Condemn { shard: step.shard, replica, why });
    }
    Some(Command::BeginMove {
        shard: step.shard,
        config: shard.config,
        from,
        to: step.to,
        learner: step.learner,
        bytes: step.bytes,
        reason: step.reason.clone(),
        started_ms: scene.wall_ms,
        limits,
    })
}
