//! What operators change.

use super::Service;
use super::faults::{overtaken, unexpected};
use crate::catalog::{Command, MoveLimits, Reply};
use crate::moves::{self, Scene};
use crate::plan::{self, Layout, Planned, Wants, leaders, split};
use vectron_base::ids::{ShardId, WorkerId};
use vectron_base::{Code, Fault};
use vectron_wire::placement::{
    ClusterChange, CollectionState, PlannedMove, Replica, ReplicaRole, Shard, WorkerState,
};

fn no_worker(worker: WorkerId) -> Fault {
    Fault::new(Code::NotFound, format!("worker {worker} is not registered"))
}

fn no_replica(shard: ShardId, worker: WorkerId) -> Fault {
    Fault::new(Code::NotFound, format!("worker {worker} has no replica of shard {shard}"))
}

fn later(detail: String) -> Fault {
    Fault::new(Code::Unavailable, detail).retry_after(1000)
}

fn unsafe_now(detail: impl Into<String>) -> Fault {
    Fault::new(Code::UnsafeOperation, detail)
}

impl Service {
    pub(super) async fn carry_out(&self, change: ClusterChange) -> Result<Vec<PlannedMove>, Fault> {
        match change {
            ClusterChange::Drain(worker) => {
                self.set_state(worker, WorkerState::Draining).await?;
                let steps = plan::plan(&self.layout(), Wants { balance_percent: None });
                Ok(steps.filter(|step| step.from == Some(worker)).map(|step| step.shown()).collect())
            }
            ClusterChange::Undrain(worker) => self.set_state(worker, WorkerState::Active).await,
            ClusterChange::Remove(worker) => match self.propose(&Command::RemoveWorker { worker }).await? {
                Reply::Done => Ok(Vec::new()),
                Reply::NotFound => Err(no_worker(worker)),
                Reply::Refused { why } => Err(unsafe_now(why)),
                _ => Err(unexpected()),
            },
            ClusterChange::Split(shard) => self.split(shard).await,
            ClusterChange::Rebalance { dry_run } => {
                let steps = plan::plan(&self.layout(), Wants { balance_percent: Some(0) });
                let shown = steps.map(|step| step.shown()).collect();
                if !dry_run {
                    self.settle(Command::SetRebalancing { rebalancing: true }).await?;
                }
                Ok(shown)
            }
            ClusterChange::Move { shard, from, to, dry_run } => {
                self.move_by_hand(shard, from, to, dry_run).await
            }
            ClusterChange::Transfer { shard, to } => self.transfer(shard, to).await,
            ClusterChange::AddLearner { shard, to } => {
                let (_, layout) = (self.shard(shard)?, self.layout());
                let bytes = self.takes(&layout, shard, None, to)?;
                self.begin(&layout, by_hand(shard, None, Some(to), bytes, "a search-only replica is added"))
                    .await
            }
            ClusterChange::RemoveLearner { shard, from } => {
                let replica = self.on(shard, from)?;
                if replica.role != ReplicaRole::Learner {
                    return Err(unsafe_now(format!("the replica of shard {shard} on worker {from} votes")));
                }
                let step = by_hand(shard, Some(from), None, 0, "a search-only replica is removed");
                self.begin(&self.layout(), step).await
            }
            ClusterChange::Pause => self.settle(Command::SetPaused { paused: true }).await,
            ClusterChange::Resume => self.settle(Command::SetPaused { paused: false }).await,
            ClusterChange::Cancel(id) => self.cancel(id).await,
            ClusterChange::AddMember { replica, address } => self.add_member(replica, address).await,
            ClusterChange::RemoveMember(replica) => self.remove_member(replica).await,
            ClusterChange::Aliases(actions) => self.change_aliases(actions).await,
        }
    }

    /// Proposes a command that is done or overtaken.
    pub(super) async fn settle(&self, command: Command) -> Result<Vec<PlannedMove>, Fault> {
        let reply = self.propose(&command).await?;
        self.note_reply(&command, &reply);
        match reply {
            Reply::Done | Reply::Begun { .. } => Ok(Vec::new()),
            Reply::Stale => Err(overtaken()),
            Reply::Refused { why } => Err(unsafe_now(why)),
            Reply::Full => Err(Fault::new(
                Code::TooLarge,
                "the collection has as many shards as it may; raise placement.shards_max",
            )),
            Reply::NotFound => Err(Fault::new(Code::NotFound, "there is no such thing in the catalog")),
            _ => Err(unexpected()),
        }
    }

    async fn set_state(&self, worker: WorkerId, state: WorkerState) -> Result<Vec<PlannedMove>, Fault> {
        match self.propose(&Command::SetWorkerState { worker, state }).await? {
            Reply::Done => Ok(Vec::new()),
            Reply::NotFound => Err(no_worker(worker)),
            _ => Err(unexpected()),
        }
    }

    /// A shard of a live collection.
    fn shard(&self, id: ShardId) -> Result<Shard, Fault> {
        let live = self.parts.catalog.read(|catalog| {
            let (collection, shard) = catalog.shard(id)?;
            (collection.state == CollectionState::Live).then(|| shard.clone())
        });
        live.ok_or_else(|| Fault::new(Code::NotFound, format!("there is no shard {id}")))
    }

    fn on(&self, shard: ShardId, worker: WorkerId) -> Result<Replica, Fault> {
        self.shard(shard)?.on(worker).copied().ok_or_else(|| no_replica(shard, worker))
    }

    /// Bytes that a copy of the shard to a worker takes, if the worker can have one besides the others or instead of
    /// one of them.
    fn takes(
        &self,
        layout: &Layout,
        shard: ShardId,
        from: Option<WorkerId>,
        to: WorkerId,
    ) -> Result<u64, Fault> {
        let node = layout.workers.get(&to).ok_or_else(|| no_worker(to))?;
        let placed = layout.shards.get(&shard).ok_or_else(overtaken)?;
        if placed.on(to).is_some() {
            return Err(Fault::new(
                Code::AlreadyExists,
                format!("worker {to} has a replica of shard {shard}"),
            ));
        }
        if !node.takes(placed.bytes) {
            return Err(unsafe_now(format!(
                "worker {to} is silent, drains, or has no room for shard {shard}"
            )));
        }
        if placed.busy || placed.splitting || from.is_some_and(|from| placed.on(from).is_none()) {
            return Err(later(format!("shard {shard} is being moved or split; wait for that to end")));
        }
        Ok(placed.bytes)
    }

    async fn begin(&self, layout: &Layout, step: Planned) -> Result<Vec<PlannedMove>, Fault> {
        if self.parts.catalog.read(|catalog| catalog.paused()) {
            return Err(later("moves are paused; resume them first".into()));
        }
        let knobs = &self.parts.knobs;
        let limits = MoveLimits { overall: knobs.moves_max, per_worker: knobs.moves_per_worker_max };
        let (now, wall_ms) = (self.parts.clock.now(), self.parts.clock.wall_ms());
        let command = self.parts.catalog.read(|catalog| {
            self.observed.read(|reports| {
                moves::command(Scene { catalog, reports, now, wall_ms, knobs }, layout, &step, limits)
            })
        });
        self.settle(command.ok_or_else(overtaken)?).await?;
        Ok(vec![step.shown()])
    }

    async fn move_by_hand(
        &self,
        shard: ShardId,
        from: WorkerId,
        to: WorkerId,
        dry_run: bool,
    ) -> Result<Vec<PlannedMove>, Fault> {
        self.on(shard, from)?;
        let layout = self.layout();
        let bytes = self.takes(&layout, shard, Some(from), to)?;
        let step = by_hand(shard, Some(from), Some(to), bytes, "asked for");
        if dry_run { Ok(vec![step.shown()]) } else { self.begin(&layout, step).await }
    }

    async fn transfer(&self, id: ShardId, to: WorkerId) -> Result<Vec<PlannedMove>, Fault> {
        let (shard, replica, layout) = (self.shard(id)?, self.on(id, to)?, self.layout());
        let knobs = &self.parts.knobs;
        let able = self.observed.read(|reports| {
            let led = reports.lead(&shard)?;
            Some(leaders::can_lead(reports, &layout, &led, &shard, &replica, knobs))
        });
        if able != Some(true) {
            return Err(unsafe_now(format!(
                "the replica of shard {id} on worker {to} does not vote, is not ready, or has not caught up"
            )));
        }
        let leader = Some(replica.replica);
        self.settle(Command::SetLeader { shard: id, config: shard.config, leader }).await
    }

    async fn split(&self, id: ShardId) -> Result<Vec<PlannedMove>, Fault> {
        let shard = self.shard(id)?;
        if !self.observed.read(|reports| split::prepared(reports, &shard)) {
            return Err(later(format!("not every replica of shard {id} is ready")));
        }
        let first = split::middle(&shard)
            .ok_or_else(|| unsafe_now(format!("the range of shard {id} cannot be split further")))?;
        let shards_max = self.parts.knobs.shards_max;
        self.settle(Command::PlanSplit { shard: id, config: shard.config, first, shards_max }).await
    }

    async fn cancel(&self, id: u64) -> Result<Vec<PlannedMove>, Fault> {
        let config = self.parts.catalog.read(|catalog| {
            let shard = catalog.moves().find(|one| one.id == id)?.shard;
            Some(catalog.shard(shard)?.1.config)
        });
        let config = config.ok_or_else(|| Fault::new(Code::NotFound, format!("there is no move {id}")))?;
        let command = Command::CancelMove { id, config };
        let reply = self.propose(&command).await?;
        self.note_reply(&command, &reply);
        match reply {
            Reply::Done => Ok(Vec::new()),
            Reply::Stale => Err(unsafe_now(format!("move {id} is too far to be rolled back"))),
            _ => Err(unexpected()),
        }
    }
}

fn by_hand(
    shard: ShardId,
    from: Option<WorkerId>,
    to: Option<WorkerId>,
    bytes: u64,
    reason: &str,
) -> Planned {
    Planned { shard, from, to, learner: from.is_none(), bytes, reason: reason.into(), urgent: true }
}
