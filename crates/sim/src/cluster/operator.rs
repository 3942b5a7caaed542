//! An operator who moves replicas, drains workers, splits shards and hands leaderships over, whatever else goes on.

use super::Cluster;
use super::clients::COLLECTION;
use super::nemesis::Mischief;
use super::node::Role;
use super::start::worker_on;
use crate::executor::WORLD;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use vectron_base::ids::WorkerId;
use vectron_base::random::{Random, SeededRandom};
use vectron_wire::placement::{CatalogView, ClusterChange, ReplicaRole, Shard};

/// Shards of a collection that are split by command, at most.
const SHARDS_MAX: usize = 8;
/// Workers that are drained at once, at most: the others must be able to hold everything.
const DRAINED_MAX: usize = 1;

/// What the operator asked for, and how often it was begun and refused.
pub type Asked = Arc<Mutex<BTreeMap<Mischief, (u64, u64)>>>;

/// Asks for a change of this kind, drawn among those that the catalog allows. The answer is waited for beside
/// everything else.
pub(super) fn ask(cluster: &Cluster, kind: Mischief, asked: &Asked) {
    let (placement, asked) = (cluster.placement(), asked.clone());
    let workers: Vec<WorkerId> = cluster.of_role(Role::Worker).into_iter().map(worker_on).collect();
    let random = SeededRandom::new(cluster.random().next_u64());
    cluster.executor.on(WORLD, None).spawn_task(Box::pin(async move {
        let view = placement.watch(0).await.ok();
        let change = view.and_then(|view| draw(&view, kind, &workers, &random));
        let begun = match change {
            Some(change) => placement.change(change).await.is_ok(),
            None => false,
        };
        let mut asked = asked.lock();
        let (done, refused) = asked.entry(kind).or_default();
        *(if begun { done } else { refused }) += 1;
    }));
}

fn one<T: Clone>(random: &SeededRandom, of: &[T]) -> Option<T> {
    of.get(random.below(of.len().max(1) as u64) as usize).cloned()
}

fn draw(
    view: &CatalogView,
    kind: Mischief,
    workers: &[WorkerId],
    random: &SeededRandom,
) -> Option<ClusterChange> {
    let shards = &view.live(COLLECTION)?.shards;
    let shard = one(random, shards)?;
    let with = |shard: &Shard, role: ReplicaRole| -> Vec<WorkerId> {
        shard.replicas.iter().filter(|replica| replica.role == role).map(|replica| replica.worker).collect()
    };
    let without: Vec<WorkerId> =
        workers.iter().copied().filter(|worker| shard.on(*worker).is_none()).collect();
    let drained = drained(view);
    match kind {
        Mischief::Move => {
            let from = one(random, &with(&shard, ReplicaRole::Voter))?;
            let to = one(random, &without)?;
            Some(ClusterChange::Move { shard: shard.shard, from, to, dry_run: false })
        }
        Mischief::Drain if drained.len() >= DRAINED_MAX => {
            Some(ClusterChange::Undrain(one(random, &drained)?))
        }
        Mischief::Drain => Some(ClusterChange::Drain(one(random, workers)?)),
        Mischief::Split if shards.len() >= SHARDS_MAX => None,
        Mischief::Split => Some(ClusterChange::Split(shard.shard)),
        Mischief::Transfer => {
            let to = one(random, &with(&shard, ReplicaRole::Voter))?;
            Some(ClusterChange::Transfer { shard: shard.shard, to })
        }
        Mischief::Learner => match one(random, &with(&shard, ReplicaRole::Learner)) {
            Some(from) => Some(ClusterChange::RemoveLearner { shard: shard.shard, from }),
            None => Some(ClusterChange::AddLearner { shard: shard.shard, to: one(random, &without)? }),
        },
        Mischief::Rebalance => Some(ClusterChange::Rebalance { dry_run: false }),
        _ => None,
    }
}

/// Workers that give their replicas away.
pub(super) fn drained(view: &CatalogView) -> Vec<WorkerId> {
    let draining =
        view.workers.iter().filter(|entry| entry.state == vectron_wire::placement::WorkerState::Draining);
    draining.map(|entry| entry.registration.worker).collect()
}
