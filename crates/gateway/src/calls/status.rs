//! Figures of a collection, asked of every replica.

use crate::admit::Deadline;
use crate::api;
use crate::gateway::Gateway;
use crate::metrics::Call;
use crate::route::target;
use crate::translate::shown_analysis;
use futures::future::join_all;
use std::sync::Arc;
use vectron_base::filter::FieldIndex;
use vectron_base::{Fault, Outcome};
use vectron_wire::placement::{Collection, Replica, Shard};
use vectron_wire::worker::{FieldIndexStatus, RecallFigure, ShardStatus};

impl Gateway {
    /// Figures of a collection as they are now. A shard whose leader does not answer is not ready.
    pub async fn collection_status(&self, name: &str) -> Result<api::CollectionStatus, Fault> {
        self.measured(Call::GetCollectionStatus, async {
            let (collection, shards) = self.asked_for_status(Call::GetCollectionStatus, name).await?;
            Ok(summed(&collection, shards))
        })
        .await
    }

    /// The collection as the catalog has it now, and the figures of each of its shards.
    pub(super) async fn asked_for_status(
        &self,
        call: Call,
        name: &str,
    ) -> Result<(Arc<Collection>, Vec<api::ShardStatus>), Fault> {
        let deadline = self.deadline(None)?;
        let mut collection = self.collection(name, &deadline).await?;
        if let Ok(view) = self.refreshed(&deadline).await {
            collection = view.get(name).cloned().ok_or_else(|| Fault::no_collection(name))?;
        }
        let patience = deadline.no_later_than(self.knobs().status_timeout_ms);
        self.metrics().asked(call, collection.shards.len());
        let asked = collection.shards.iter().map(|shard| self.shard_status(&collection, shard, &patience));
        let shards = join_all(asked).await;
        Ok((collection, shards))
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
        bytes_per_point: per_point(status.memory_bytes, status.points),
        memory: status.memory.map(|memory| api::MemorySplit {
            codes: memory.codes,
            vectors: memory.vectors,
            links: memory.links,
            payload_indexes: memory.payload_indexes,
            other: memory.other,
        }),
        quantization: status.quantization.as_ref().map(|codes| api::QuantizationStatus {
            kind: codes.kind.to_string(),
            error_mean: codes.error_mean,
            error_fine_mean: codes.error_fine_mean,
        }),
        calibration: status.calibration.map(|calibration| api::Calibration {
            measured_at_points: calibration.measured_at_points,
            ef_90: calibration.ef_90,
            ef_95: calibration.ef_95,
            ef_99: calibration.ef_99,
        }),
        indexes: status.field_indexes.iter().map(index).collect(),
        recall: status.recall.iter().map(recall).collect(),
        ..api::ShardStatus::default()
    }
}

fn index(status: &FieldIndexStatus) -> api::PayloadIndex {
    let (language, stemming) = shown_analysis(status.index.kind);
    api::PayloadIndex {
        field: status.index.field.clone(),
        kind: status.index.kind.as_str().into(),
        language,
        stemming,
        ready: status.ready,
        points_indexed: status.points_indexed,
        points_total: status.points_total,
        bytes: status.bytes,
        points_irregular: status.irregular,
    }
}

fn recall(figure: &RecallFigure) -> api::RecallFigure {
    api::RecallFigure {
        selectivity: figure.selectivity.as_str().into(),
        target: figure.target,
        samples: figure.samples,
        recall: figure.recall,
        missed: figure.missed,
    }
}

/// Over all shards, each as much as it measured.
fn recall_of(shards: &[api::ShardStatus]) -> Vec<api::RecallFigure> {
    let mut all: Vec<api::RecallFigure> = Vec::new();
    for figure in shards.iter().flat_map(|shard| &shard.recall) {
        let same = |known: &&mut api::RecallFigure| {
            known.selectivity == figure.selectivity && known.target == figure.target
        };
        let Some(known) = all.iter_mut().find(same) else {
            all.push(figure.clone());
            continue;
        };
        let samples = known.samples + figure.samples;
        let found = known.recall * known.samples as f64 + figure.recall * figure.samples as f64;
        (known.samples, known.recall) = (samples, found / samples.max(1) as f64);
        known.missed |= figure.missed;
    }
    all
}

fn per_point(bytes: u64, points: u64) -> Option<f64> {
    (points > 0).then(|| bytes as f64 / points as f64)
}

/// The payload indexes that the catalog has for a collection, over all its shards. A shard that did not answer,
/// or has not heard of an index yet, has indexed nothing.
pub(super) fn indexes_of(collection: &Collection, shards: &[api::ShardStatus]) -> Vec<api::PayloadIndex> {
    let over_all = |wanted: &FieldIndex| {
        let kind = wanted.kind.as_str();
        let (language, stemming) = shown_analysis(wanted.kind);
        let mut all = api::PayloadIndex {
            field: wanted.field.clone(),
            kind: kind.into(),
            language,
            stemming,
            ready: !shards.is_empty(),
            points_indexed: 0,
            points_total: 0,
            bytes: 0,
            points_irregular: 0,
        };
        for shard in shards {
            let found = shard.indexes.iter().find(|index| index.field == wanted.field && index.kind == kind);
            all.ready &= shard.ready && found.is_some_and(|index| index.ready);
            all.points_total += found.map_or(shard.points, |index| index.points_total);
            all.points_indexed += found.map_or(0, |index| index.points_indexed);
            all.bytes += found.map_or(0, |index| index.bytes);
            all.points_irregular += found.map_or(0, |index| index.points_irregular);
        }
        all
    };
    collection.field_indexes.iter().map(over_all).collect()
}

/// The sum, if every shard gave its own.
fn memory(shards: &[api::ShardStatus]) -> Option<api::MemorySplit> {
    shards.iter().try_fold(api::MemorySplit::default(), |sum, shard| {
        let memory = shard.memory?;
        Some(api::MemorySplit {
            codes: sum.codes + memory.codes,
            vectors: sum.vectors + memory.vectors,
            links: sum.links + memory.links,
            payload_indexes: sum.payload_indexes + memory.payload_indexes,
            other: sum.other + memory.other,
        })
    })
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
        bytes_per_point: per_point(sum(|s| s.memory_bytes), sum(|s| s.points)),
        memory: memory(&shards),
        indexes: indexes_of(collection, &shards),
        recall: recall_of(&shards),
        shards,
    }
}
