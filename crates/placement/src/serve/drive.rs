//! The loop that drives what is under way: on the leader from plans and reports to commands, on the others only the
//! care of their own copy of the catalog.

use super::Service;
use crate::PlacementEvent;
use crate::catalog::{Command, Reply};
use crate::moves::{Decision, Scene};
use crate::observe::{Life, Reports};
use crate::plan::Layout;
use futures::future::{Either, select};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;
use vectron_base::clock::Tick;
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::pool::{Pool, within};
use vectron_wire::placement::ShardPhase;

/// How often a change of leadership is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Reports that come together are looked at together.
const GATHER: Duration = Duration::from_millis(20);
/// How long one command may take before the rest of the round is left for the next one.
const COMMAND: Duration = Duration::from_secs(5);

/// Runs until the service is dropped.
pub(super) async fn run(service: Weak<Service>, pool: Arc<dyn Pool>) {
    let Some(mut changes) = service.upgrade().map(|service| service.observed.changes()) else { return };
    let mut due = Tick::default();
    loop {
        let news = match select(Box::pin(changes.changed()), pool.sleep(LOOK)).await {
            Either::Left((Ok(()), _)) => true,
            Either::Left((Err(_), _)) => return,
            Either::Right(_) => false,
        };
        if news {
            pool.sleep(GATHER).await;
            changes.borrow_and_update();
        }
        let Some(service) = service.upgrade() else { return };
        service.step_down();
        let leads = service.lead().await.is_ok();
        let now = service.parts.clock.now();
        if news || now >= due {
            due = now.plus(Duration::from_millis(service.parts.knobs.plan_interval_ms));
            if leads {
                service.round().await;
            } else {
                service.catch_up().await;
            }
            service.keep_saved().await;
        }
    }
}

impl Service {
    /// One round of the leader: decides, and proposes what it decided.
    async fn round(&self) {
        self.tend_members().await;
        let now = self.parts.clock.now();
        let decision = self.decide(now);
        for command in &decision.commands {
            match within(&self.parts.pool, COMMAND, self.propose(command)).await {
                Some(Ok(reply)) => self.note_reply(command, &reply),
                // The next round decides anew.
                _ => return,
            }
        }
        self.show_figures(&decision.layout, now);
    }

    fn decide(&self, now: Tick) -> Decision {
        let (wall_ms, knobs) = (self.parts.clock.wall_ms(), &self.parts.knobs);
        let mut planner = self.planner.lock();
        self.parts.catalog.read(|catalog| {
            self.observed.read(|reports| planner.decide(Scene { catalog, reports, now, wall_ms, knobs }))
        })
    }

    /// Checkpoints the catalog when that is due.
    async fn keep_saved(&self) {
        let enough = self.parts.catalog.entries_since_checkpoint() >= self.parts.knobs.checkpoint_entries;
        if enough || self.parts.consensus.laggards().contains(&GroupId::CATALOG) {
            self.checkpoint().await;
        }
    }

    /// Counts and logs what a command came to.
    pub(super) fn note_reply(&self, command: &Command, reply: &Reply) {
        let metrics = &self.parts.metrics;
        match (command, reply) {
            (_, Reply::Stale) => {
                metrics.steps_stale.inc();
            }
            (Command::BeginMove { shard, reason, .. }, Reply::Begun { id }) => {
                metrics.moves_begun.inc();
                self.note(&PlacementEvent::MoveBegun(*id, *shard, reason.clone()));
            }
            (Command::CancelMove { id, .. }, Reply::Done) => {
                metrics.moves_rolled_back.inc();
                let why = "it was asked for, its target is lost, or it made no progress";
                self.note(&PlacementEvent::MoveRolledBack(*id, why.into()));
            }
            (
                Command::SwitchMove { id, .. } | Command::DropReplica { id, .. } | Command::FinishMove { id },
                Reply::Done,
            ) => {
                let over = self.parts.catalog.read(|catalog| !catalog.moves().any(|one| one.id == *id));
                if over {
                    self.note(&PlacementEvent::MoveDone(*id));
                }
            }
            (Command::SetLeader { leader: Some(_), .. }, Reply::Done) => {
                metrics.transfers.inc();
            }
            (Command::Condemn { shard, why, .. }, Reply::Done) => {
                metrics.replicas_condemned.inc();
                self.note(&PlacementEvent::ReplicaCondemned(*shard, why.clone()));
            }
            (Command::PlanSplit { shard, .. }, Reply::Done) => {
                self.note(&PlacementEvent::SplitBegun(*shard));
            }
            (Command::AbortSplit { shard, .. }, Reply::Done) => {
                self.note(&PlacementEvent::SplitAborted(*shard));
            }
            (Command::FinishSplit { shard, .. }, Reply::Done) => {
                metrics.splits.inc();
                self.note(&PlacementEvent::SplitDone(*shard));
            }
            _ => {}
        }
    }

    fn show_figures(&self, layout: &Layout, now: Tick) {
        let metrics = &self.parts.metrics;
        let good = |worker: &WorkerId| layout.workers.get(worker).is_some_and(|node| node.alive);
        let degraded = layout.shards.values().filter(|shard| {
            shard.voters().filter(|h| h.bad.is_none() && good(&h.worker)).count() < shard.voters_wanted
        });
        metrics.shards_degraded.set(degraded.count() as i64);
        metrics.shards_leaderless.set(layout.shards.values().filter(|shard| !shard.led).count() as i64);
        let dead_after = self.dead_after();
        let dead: BTreeSet<WorkerId> = self.observed.read(|reports| {
            let dead = |worker: &&WorkerId| reports.life(**worker, now, dead_after) == Life::Dead;
            layout.workers.keys().filter(dead).copied().collect()
        });
        metrics.workers_dead.set(dead.len() as i64);
        metrics.replicas_unlisted.set(self.observed.read(|reports| self.unlisted(reports)) as i64);
        let before = std::mem::replace(&mut *self.dead.lock(), dead.clone());
        dead.difference(&before).for_each(|worker| self.note(&PlacementEvent::WorkerDead(*worker)));
        for worker in before.difference(&dead).filter(|worker| layout.workers.contains_key(worker)) {
            self.note(&PlacementEvent::WorkerBack(*worker));
        }
    }

    /// Replicas that workers have and the catalog does not list any more: their workers remove them when they see
    /// the catalog.
    fn unlisted(&self, reports: &Reports) -> usize {
        self.parts.catalog.read(|catalog| {
            let mut listed: BTreeSet<ReplicaId> = BTreeSet::new();
            for shard in catalog.collections().flat_map(|collection| &collection.shards) {
                let child = shard.split.iter().flat_map(|split| &split.replicas);
                listed.extend(shard.replicas.iter().chain(child).map(|replica| replica.replica));
            }
            let reported = catalog.workers().filter_map(|worker| reports.of(worker.worker));
            let shards = reported.flat_map(|(report, _)| &report.shards);
            shards
                .filter(|shard| shard.phase != ShardPhase::Removed)
                .filter(|shard| !listed.contains(&shard.replica))
                .count()
        })
    }
}
