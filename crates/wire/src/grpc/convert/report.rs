//! What workers report.

use super::{choice, each, required};
use crate::placement::{LeadReport, Mark, Members, ShardPhase, ShardReport, WorkerLoad, WorkerReport};
use crate::proto::placement as pb;
use vectron_base::Fault;
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};

fn numbers_of(replicas: Vec<ReplicaId>) -> Vec<u64> {
    replicas.into_iter().map(|replica| replica.0).collect()
}

fn replicas(numbers: Vec<u64>) -> Vec<ReplicaId> {
    numbers.into_iter().map(ReplicaId).collect()
}

/// Both contracts have members.
macro_rules! members {
    ($message:ty) => {
        impl From<Members> for $message {
            fn from(members: Members) -> Self {
                let Members { voters, learners, outgoing } = members;
                Self {
                    voters: numbers_of(voters),
                    learners: numbers_of(learners),
                    outgoing: numbers_of(outgoing),
                }
            }
        }

        impl From<$message> for Members {
            fn from(message: $message) -> Self {
                Self {
                    voters: replicas(message.voters),
                    learners: replicas(message.learners),
                    outgoing: replicas(message.outgoing),
                }
            }
        }
    };
}
members!(pb::Members);
members!(crate::proto::worker::Members);

pub(super) fn phase_of(phase: ShardPhase) -> pb::ShardPhase {
    match phase {
        ShardPhase::Ready => pb::ShardPhase::Ready,
        ShardPhase::Sealed => pb::ShardPhase::Sealed,
        ShardPhase::Removed => pb::ShardPhase::Removed,
        ShardPhase::Failed => pb::ShardPhase::Failed,
        ShardPhase::Opening => pb::ShardPhase::Opening,
    }
}

pub(super) fn phase(value: i32) -> Result<ShardPhase, Fault> {
    choice("phase", value, |phase| match phase {
        pb::ShardPhase::Unspecified => None,
        pb::ShardPhase::Ready => Some(ShardPhase::Ready),
        pb::ShardPhase::Sealed => Some(ShardPhase::Sealed),
        pb::ShardPhase::Removed => Some(ShardPhase::Removed),
        pb::ShardPhase::Failed => Some(ShardPhase::Failed),
        pb::ShardPhase::Opening => Some(ShardPhase::Opening),
    })
}

impl From<LeadReport> for pb::LeadReport {
    fn from(lead: LeadReport) -> Self {
        let matched = |(replica, index): (ReplicaId, u64)| pb::Matched { replica: replica.0, index };
        Self {
            term: lead.term,
            members: Some(lead.members.into()),
            committed: lead.committed,
            matched: lead.matched.into_iter().map(matched).collect(),
        }
    }
}

fn lead(message: pb::LeadReport) -> Result<LeadReport, Fault> {
    let matched = |matched: pb::Matched| (ReplicaId(matched.replica), matched.index);
    Ok(LeadReport {
        term: message.term,
        members: required("lead.members", message.members)?.into(),
        committed: message.committed,
        matched: message.matched.into_iter().map(matched).collect(),
    })
}

impl From<Mark> for pb::Mark {
    fn from(mark: Mark) -> Self {
        Self { index: mark.index, digest_high: (mark.digest >> 64) as u64, digest_low: mark.digest as u64 }
    }
}

impl From<pb::Mark> for Mark {
    fn from(message: pb::Mark) -> Self {
        let digest = u128::from(message.digest_high) << 64 | u128::from(message.digest_low);
        Self { index: message.index, digest }
    }
}

impl From<ShardReport> for pb::ShardReport {
    fn from(report: ShardReport) -> Self {
        Self {
            shard: report.shard.0,
            phase: phase_of(report.phase).into(),
            points: report.points,
            disk_bytes: report.disk_bytes,
            index_lag: report.index_lag,
            replica: report.replica.0,
            epoch: report.epoch,
            memory_bytes: report.memory_bytes,
            applied_index: report.applied_index,
            mark: report.mark.map(Into::into),
            split_ready: report.split_ready,
            lead: report.lead.map(Into::into),
        }
    }
}

impl TryFrom<pb::ShardReport> for ShardReport {
    type Error = Fault;

    fn try_from(message: pb::ShardReport) -> Result<Self, Fault> {
        Ok(Self {
            shard: ShardId(message.shard),
            replica: ReplicaId(message.replica),
            phase: phase(message.phase)?,
            epoch: message.epoch,
            points: message.points,
            disk_bytes: message.disk_bytes,
            memory_bytes: message.memory_bytes,
            index_lag: message.index_lag,
            applied_index: message.applied_index,
            mark: message.mark.map(Into::into),
            split_ready: message.split_ready,
            lead: message.lead.map(lead).transpose()?,
        })
    }
}

impl From<WorkerLoad> for pb::WorkerLoad {
    fn from(load: WorkerLoad) -> Self {
        let WorkerLoad { searches_per_s, writes_per_s, search_p99_us } = load;
        Self { searches_per_s, writes_per_s, search_p99_us }
    }
}

impl From<pb::WorkerLoad> for WorkerLoad {
    fn from(message: pb::WorkerLoad) -> Self {
        let pb::WorkerLoad { searches_per_s, writes_per_s, search_p99_us } = message;
        Self { searches_per_s, writes_per_s, search_p99_us }
    }
}

impl From<WorkerReport> for pb::ReportRequest {
    fn from(report: WorkerReport) -> Self {
        Self {
            worker: report.worker.0,
            disk_free_bytes: report.disk_free_bytes,
            shards: report.shards.into_iter().map(Into::into).collect(),
            memory_used_bytes: report.memory_used_bytes,
            load: Some(report.load.into()),
        }
    }
}

impl TryFrom<pb::ReportRequest> for WorkerReport {
    type Error = Fault;

    fn try_from(message: pb::ReportRequest) -> Result<Self, Fault> {
        Ok(Self {
            worker: WorkerId(message.worker),
            disk_free_bytes: message.disk_free_bytes,
            memory_used_bytes: message.memory_used_bytes,
            load: required("load", message.load)?.into(),
            shards: each("shards", message.shards)?,
        })
    }
}
