//! What operators see of a cluster, and what they may change.

use super::report::{phase, phase_of};
use super::{choice, each, marked, required, within};
use crate::cluster::{
    ClusterChange, ClusterView, DriverMember, MoveStep, MoveView, PlannedMove, ReplicaView, ShardView,
    WorkerView,
};
use crate::placement::{Replica, WorkerEntry};
use crate::proto::placement as pb;
use crate::proto::placement::change_request::{Change, Move, NewMember, Rebalance};
use vectron_base::Fault;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};

impl From<()> for pb::ClusterRequest {
    fn from((): ()) -> Self {
        Self {}
    }
}

impl TryFrom<pb::ClusterRequest> for () {
    type Error = Fault;

    fn try_from(_: pb::ClusterRequest) -> Result<Self, Fault> {
        Ok(())
    }
}

impl From<DriverMember> for pb::DriverMember {
    fn from(member: DriverMember) -> Self {
        let DriverMember { replica, address, votes, leads } = member;
        Self { replica: replica.0, address, votes, leads }
    }
}

impl From<pb::DriverMember> for DriverMember {
    fn from(message: pb::DriverMember) -> Self {
        let pb::DriverMember { replica, address, votes, leads } = message;
        Self { replica: ReplicaId(replica), address, votes, leads }
    }
}

impl From<WorkerView> for pb::WorkerView {
    fn from(worker: WorkerView) -> Self {
        Self {
            entry: Some(worker.entry.into()),
            silent_ms: worker.silent_ms,
            alive: worker.alive,
            disk_free_bytes: worker.disk_free_bytes,
            memory_used_bytes: worker.memory_used_bytes,
            replicas: worker.replicas,
            leads: worker.leads,
            points: worker.points,
            load: Some(worker.load.into()),
            blocked_by: worker.blocked_by,
        }
    }
}

impl TryFrom<pb::WorkerView> for WorkerView {
    type Error = Fault;

    fn try_from(message: pb::WorkerView) -> Result<Self, Fault> {
        let entry = WorkerEntry::try_from(required("entry", message.entry)?);
        Ok(Self {
            entry: entry.map_err(|fault| within("entry", fault))?,
            silent_ms: message.silent_ms,
            alive: message.alive,
            disk_free_bytes: message.disk_free_bytes,
            memory_used_bytes: message.memory_used_bytes,
            replicas: message.replicas,
            leads: message.leads,
            points: message.points,
            load: required("load", message.load)?.into(),
            blocked_by: message.blocked_by,
        })
    }
}

impl From<ReplicaView> for pb::ReplicaView {
    fn from(view: ReplicaView) -> Self {
        let replica = Replica { replica: view.replica, worker: view.worker, role: view.role };
        Self {
            replica: Some(replica.into()),
            phase: view.phase.map(|phase| phase_of(phase).into()),
            leads: view.leads,
            applied_index: view.applied_index,
            index_lag: view.index_lag,
        }
    }
}

impl TryFrom<pb::ReplicaView> for ReplicaView {
    type Error = Fault;

    fn try_from(message: pb::ReplicaView) -> Result<Self, Fault> {
        let replica = Replica::try_from(required("replica", message.replica)?);
        let Replica { replica, worker, role } = replica.map_err(|fault| within("replica", fault))?;
        Ok(Self {
            replica,
            worker,
            role,
            phase: message.phase.map(phase).transpose()?,
            leads: message.leads,
            applied_index: message.applied_index,
            index_lag: message.index_lag,
        })
    }
}

impl From<ShardView> for pb::ShardView {
    fn from(shard: ShardView) -> Self {
        Self {
            collection: shard.collection,
            shard: shard.shard.0,
            first: shard.first,
            last: shard.last,
            epoch: shard.epoch,
            points: shard.points,
            disk_bytes: shard.disk_bytes,
            splits_off: shard.splits_off.map(|child| child.0),
            replicas: shard.replicas.into_iter().map(Into::into).collect(),
            problems: shard.problems,
        }
    }
}

impl TryFrom<pb::ShardView> for ShardView {
    type Error = Fault;

    fn try_from(message: pb::ShardView) -> Result<Self, Fault> {
        Ok(Self {
            collection: message.collection,
            shard: ShardId(message.shard),
            first: message.first,
            last: message.last,
            epoch: message.epoch,
            points: message.points,
            disk_bytes: message.disk_bytes,
            splits_off: message.splits_off.map(ShardId),
            replicas: each("replicas", message.replicas)?,
            problems: message.problems,
        })
    }
}

impl From<PlannedMove> for pb::PlannedMove {
    fn from(planned: PlannedMove) -> Self {
        Self {
            shard: planned.shard.0,
            from: planned.from.map(|worker| worker.0),
            to: planned.to.map(|worker| worker.0),
            bytes: planned.bytes,
            reason: planned.reason,
        }
    }
}

impl From<pb::PlannedMove> for PlannedMove {
    fn from(message: pb::PlannedMove) -> Self {
        Self {
            shard: ShardId(message.shard),
            from: message.from.map(WorkerId),
            to: message.to.map(WorkerId),
            bytes: message.bytes,
            reason: message.reason,
        }
    }
}

impl From<MoveView> for pb::MoveView {
    fn from(view: MoveView) -> Self {
        let step = match view.step {
            MoveStep::Copying => pb::MoveStep::Copying,
            MoveStep::Switching => pb::MoveStep::Switching,
            MoveStep::Removing => pb::MoveStep::Removing,
        };
        Self {
            id: view.id,
            planned: Some(view.planned.into()),
            step: step.into(),
            started_ms: view.started_ms,
        }
    }
}

impl TryFrom<pb::MoveView> for MoveView {
    type Error = Fault;

    fn try_from(message: pb::MoveView) -> Result<Self, Fault> {
        let step = choice("step", message.step, |step| match step {
            pb::MoveStep::Unspecified => None,
            pb::MoveStep::Copying => Some(MoveStep::Copying),
            pb::MoveStep::Switching => Some(MoveStep::Switching),
            pb::MoveStep::Removing => Some(MoveStep::Removing),
        })?;
        let planned = required("planned", message.planned)?.into();
        Ok(Self { id: message.id, planned, step, started_ms: message.started_ms })
    }
}

impl From<ClusterView> for pb::ClusterResponse {
    fn from(view: ClusterView) -> Self {
        Self {
            epoch: view.epoch,
            members: view.members.into_iter().map(Into::into).collect(),
            workers: view.workers.into_iter().map(Into::into).collect(),
            shards: view.shards.into_iter().map(Into::into).collect(),
            moves: view.moves.into_iter().map(Into::into).collect(),
            paused: view.paused,
        }
    }
}

impl TryFrom<pb::ClusterResponse> for ClusterView {
    type Error = Fault;

    fn try_from(message: pb::ClusterResponse) -> Result<Self, Fault> {
        Ok(Self {
            epoch: message.epoch,
            members: message.members.into_iter().map(Into::into).collect(),
            workers: each("workers", message.workers)?,
            shards: each("shards", message.shards)?,
            moves: each("moves", message.moves)?,
            paused: message.paused,
        })
    }
}

fn on_worker(shard: ShardId, worker: WorkerId) -> pb::ShardOnWorker {
    pb::ShardOnWorker { shard: shard.0, worker: worker.0 }
}

impl From<ClusterChange> for pb::ChangeRequest {
    fn from(change: ClusterChange) -> Self {
        let change = match change {
            ClusterChange::Drain(worker) => Change::DrainWorker(worker.0),
            ClusterChange::Undrain(worker) => Change::UndrainWorker(worker.0),
            ClusterChange::Remove(worker) => Change::RemoveWorker(worker.0),
            ClusterChange::Split(shard) => Change::SplitShard(shard.0),
            ClusterChange::Rebalance { dry_run } => Change::Rebalance(Rebalance { dry_run }),
            ClusterChange::Move { shard, from, to, dry_run } => {
                Change::Move(Move { shard: shard.0, from: from.0, to: to.0, dry_run })
            }
            ClusterChange::Transfer { shard, to } => Change::Transfer(on_worker(shard, to)),
            ClusterChange::AddLearner { shard, to } => Change::AddLearner(on_worker(shard, to)),
            ClusterChange::RemoveLearner { shard, from } => Change::RemoveLearner(on_worker(shard, from)),
            ClusterChange::Pause => Change::Pause(true),
            ClusterChange::Resume => Change::Resume(true),
            ClusterChange::Cancel(id) => Change::CancelMove(id),
            ClusterChange::AddMember { replica, address } => {
                Change::AddMember(NewMember { replica: replica.0, address })
            }
            ClusterChange::RemoveMember(replica) => Change::RemoveMember(replica.0),
            ClusterChange::Aliases(actions) => Change::Aliases(actions.into()),
        };
        Self { change: Some(change) }
    }
}

impl TryFrom<pb::ChangeRequest> for ClusterChange {
    type Error = Fault;

    fn try_from(message: pb::ChangeRequest) -> Result<Self, Fault> {
        let meant = |message: pb::ShardOnWorker| (ShardId(message.shard), WorkerId(message.worker));
        Ok(match required("change", message.change)? {
            Change::DrainWorker(worker) => ClusterChange::Drain(WorkerId(worker)),
            Change::UndrainWorker(worker) => ClusterChange::Undrain(WorkerId(worker)),
            Change::RemoveWorker(worker) => ClusterChange::Remove(WorkerId(worker)),
            Change::SplitShard(shard) => ClusterChange::Split(ShardId(shard)),
            Change::Rebalance(Rebalance { dry_run }) => ClusterChange::Rebalance { dry_run },
            Change::Move(Move { shard, from, to, dry_run }) => {
                let (from, to) = (WorkerId(from), WorkerId(to));
                ClusterChange::Move { shard: ShardId(shard), from, to, dry_run }
            }
            Change::Transfer(message) => {
                let (shard, to) = meant(message);
                ClusterChange::Transfer { shard, to }
            }
            Change::AddLearner(message) => {
                let (shard, to) = meant(message);
                ClusterChange::AddLearner { shard, to }
            }
            Change::RemoveLearner(message) => {
                let (shard, from) = meant(message);
                ClusterChange::RemoveLearner { shard, from }
            }
            Change::Pause(mark) => marked("pause", mark, ClusterChange::Pause)?,
            Change::Resume(mark) => marked("resume", mark, ClusterChange::Resume)?,
            Change::CancelMove(id) => ClusterChange::Cancel(id),
            Change::AddMember(NewMember { replica, address }) => {
                ClusterChange::AddMember { replica: ReplicaId(replica), address }
            }
            Change::RemoveMember(replica) => ClusterChange::RemoveMember(ReplicaId(replica)),
            Change::Aliases(message) => ClusterChange::Aliases(message.try_into()?),
        })
    }
}

/// The moves that follow from a change.
impl From<Vec<PlannedMove>> for pb::ChangeResponse {
    fn from(moves: Vec<PlannedMove>) -> Self {
        Self { moves: moves.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<pb::ChangeResponse> for Vec<PlannedMove> {
    type Error = Fault;

    fn try_from(message: pb::ChangeResponse) -> Result<Self, Fault> {
        Ok(message.moves.into_iter().map(Into::into).collect())
    }
}
