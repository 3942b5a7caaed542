//! Figures of a collection, asked of every replica.

use crate::admit::Deadline;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::target;
use futures::future::join_all;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::{Collection, Replica, Shard};
use vectron_wire::worker::ShardStatus;

impl Gateway {
    /// Figures of a collection as they are now. A shard whose leader does not answer is not ready.
    pub async fn collection_status(&self, name: &str) -> Result<api::CollectionStatus, Fault> {
        self.measured(Call::GetCollectionStatus, async {
            let deadline = self.deadline(None)?;
            let mut collection = self.collection(name, &deadline).await?;
            if let Ok(view) = self.refreshed(&deadline).await {
                collection = view.get(name).cloned().ok_or_else(|| Fault::no_collection(name))?;
            }
            let patience = deadline.no_later_than(self.knobs().status_timeout_ms);
            self.metrics().asked(Call::GetCollectionStatus, collection.shards.len());
            let asked =
                collection.shards.iter().map(|shard| self.shard_status(&collection, shard, &patience));
            Ok(summed(&collection, join_all(asked).await))
        })
        .await
    }

    async fn shard_status(
        &self,
        collection: &Collection,
        shard: &Shard,
        deadline: &Deadline,
    ) -> api::ShardStatus {
        let asked = shard.replicas.iter().map(|replica| async move {
            let worker = self.parts.workers.worker(replica.worker)?;
            let work = worker.status(target(collection, shard));
            let status = deadline.bound(Outcome::NotApplied, work).await.ok()?;
            Some((*replica, status))
        });
        let answers: Vec<(Replica, ShardStatus)> = join_all(asked).await.into_iter().flatten().collect();
        let leader = answers.iter().find(|(_, status)| status.leads);
        let best = leader.or_else(|| answers.iter().max_by_key(|(_, status)| status.applied_index));
        let shown = |r: &Replica| api::Replica { id: r.replica.0, worker: r.worker.0 };
        let mut answer = best.map_or_else(api::ShardStatus::default, |(_, status)| figures(status));
        answer.id = shard.shard.0;
        answer.leader = leader.map(|(replica, _)| replica.worker.0);
        answer.replicas = shard.replicas.iter().map(shown).collect();
        answer.ready = leader.is_some();
        answer
    }
}

fn figures(status: &ShardStatus) -> api::ShardStatus {
    api::ShardStatus {
        points: status.points,
        index_lag: status.index_lag,
        bytes: status.disk_bytes,
        memory_bytes: status.memory_bytes,
        applied_index: status.applied_index,
        durable_index: status.durable_index,
        tombstones: status.tombstones,
        damage: status.damage.clone(),
        ..api::ShardStatus::default()
    }
}

fn summed(collection: &Collection, shards: Vec<api::ShardStatus>) -> api::CollectionStatus {
    let sum = |figure: fn(&api::ShardStatus) -> u64| shards.iter().map(figure).sum();
    api::CollectionStatus {
        name: collection.spec.name.clone(),
        dimension: collection.spec.dimension,
        distance: collection.spec.distance.as_str().into(),
        points: sum(|s| s.points),
        index_lag: sum(|s| s.index_lag),
        bytes: sum(|s| s.bytes),
        memory_bytes: sum(|s| s.memory_bytes),
        shards,
    }
}
