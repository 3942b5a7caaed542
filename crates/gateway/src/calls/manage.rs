//! What operators see of the cluster and change in it: the placement driver's own words, in the public shape.

use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use vectron_base::{Fault, Outcome};
use vectron_wire::cluster::{ClusterChange, ClusterView, PlannedMove, ReplicaView, ShardView, WorkerView};
use vectron_wire::placement::{ReplicaRole, ShardPhase, WorkerState};

impl Gateway {
    /// The workers.
    pub async fn workers(&self) -> Result<api::WorkersResponse, Fault> {
        let view = self.cluster().await?;
        let workers = view.workers.into_iter().map(worker).collect();
        Ok(api::WorkersResponse { epoch: view.epoch, workers })
    }

    /// The shards with their replicas.
    pub async fn shards(&self) -> Result<api::ShardsResponse, Fault> {
        let view = self.cluster().await?;
        Ok(api::ShardsResponse { epoch: view.epoch, shards: view.shards.into_iter().map(shard).collect() })
    }

    /// The moves under way.
    pub async fn moves(&self) -> Result<api::MovesResponse, Fault> {
        let view = self.cluster().await?;
        let moves = view.moves.into_iter().map(|m| api::ClusterMove {
            id: m.id,
            step: m.step.as_str(),
            started_ms: m.started_ms,
            planned: planned(m.planned),
        });
        Ok(api::MovesResponse { paused: view.paused, moves: moves.collect() })
    }

    /// Members of the placement driver.
    pub async fn members(&self) -> Result<api::MembersResponse, Fault> {
        let member = |m: vectron_wire::cluster::DriverMember| api::ClusterMember {
            member: m.replica.0,
            address: m.address,
            votes: m.votes,
            leads: m.leads,
        };
        Ok(api::MembersResponse { members: self.cluster().await?.members.into_iter().map(member).collect() })
    }

    /// Changes the cluster, and says which moves follow.
    pub async fn change_cluster(&self, change: ClusterChange) -> Result<api::ChangeResponse, Fault> {
        self.measured(Call::ChangeCluster, async {
            let deadline = self.deadline(None)?;
            let work = self.parts.placement.change(change);
            let moves = deadline.bound(Outcome::Unknown, work).await?;
            Ok(api::ChangeResponse { planned: moves.into_iter().map(planned).collect() })
        })
        .await
    }

    async fn cluster(&self) -> Result<ClusterView, Fault> {
        self.measured(Call::GetCluster, async {
            let deadline = self.deadline(None)?;
            deadline.bound(Outcome::NotApplied, self.parts.placement.cluster()).await
        })
        .await
    }
}

fn worker(view: WorkerView) -> api::ClusterWorker {
    let registration = view.entry.registration;
    api::ClusterWorker {
        worker: registration.worker.0,
        address: registration.address,
        region: registration.locality.region,
        zone: registration.locality.zone,
        rack: registration.locality.rack,
        state: match view.entry.state {
            WorkerState::Active => "active",
            WorkerState::Draining => "draining",
        },
        alive: view.alive,
        silent_ms: view.silent_ms,
        cores: registration.cores,
        memory_bytes: registration.memory_bytes,
        memory_used_bytes: view.memory_used_bytes,
        disk_bytes: registration.disk_bytes,
        disk_free_bytes: view.disk_free_bytes,
        replicas: view.replicas,
        leads: view.leads,
        points: view.points,
        searches_per_s: view.load.searches_per_s,
        writes_per_s: view.load.writes_per_s,
        search_p99_us: view.load.search_p99_us,
        blocked_by: view.blocked_by,
    }
}

fn shard(view: ShardView) -> api::ClusterShard {
    api::ClusterShard {
        shard: view.shard.0,
        collection: view.collection,
        first: format!("{:016x}", view.first),
        last: format!("{:016x}", view.last),
        epoch: view.epoch,
        points: view.points,
        disk_bytes: view.disk_bytes,
        leader: view.replicas.iter().find(|replica| replica.leads).map(|replica| replica.worker.0),
        splits_off: view.splits_off.map(|child| child.0),
        replicas: view.replicas.into_iter().map(replica).collect(),
        problems: view.problems,
    }
}

fn replica(view: ReplicaView) -> api::ClusterReplica {
    api::ClusterReplica {
        replica: view.replica.0,
        worker: view.worker.0,
        role: match view.role {
            ReplicaRole::Voter => "voter",
            ReplicaRole::Joining => "joining",
            ReplicaRole::Learner => "learner",
            ReplicaRole::Leaving => "leaving",
        },
        phase: view.phase.map(|phase| match phase {
            ShardPhase::Ready => "ready",
            ShardPhase::Opening => "opening",
            ShardPhase::Sealed => "sealed",
            ShardPhase::Removed => "removed",
            ShardPhase::Failed => "failed",
        }),
        leads: view.leads,
        applied_index: view.applied_index,
        index_lag: view.index_lag,
    }
}

fn planned(planned: PlannedMove) -> api::PlannedMove {
    api::PlannedMove {
        shard: planned.shard.0,
        from: planned.from.map(|worker| worker.0),
        to: planned.to.map(|worker| worker.0),
        bytes: planned.bytes,
        reason: planned.reason,
    }
}
