//! Giving a worker's replicas away, and saying what keeps it from that.

use super::layout::Placed;
use super::{Layout, Planned, place};
use vectron_base::ids::{ShardId, WorkerId};

/// The next replica that leaves a draining worker.
pub fn next(layout: &Layout) -> Option<Planned> {
    let draining = |worker: &WorkerId| layout.workers.get(worker).is_some_and(|node| node.draining);
    let movable = layout.shards.iter().filter(|(_, shard)| shard.movable());
    movable.into_iter().find_map(|(id, shard)| {
        let holder = shard.holders.iter().find(|holder| draining(&holder.worker))?;
        let to = place::target(layout, *id, Some(holder.worker))?;
        Some(Planned {
            shard: *id,
            from: Some(holder.worker),
            to: Some(to),
            learner: holder.learner,
            bytes: shard.bytes,
            reason: format!("worker {} is drained", holder.worker),
            urgent: true,
        })
    })
}

/// What keeps a worker's replicas from leaving it, in words; nothing when it is empty or will be.
pub fn blocked(layout: &Layout, worker: WorkerId, paused: bool) -> Vec<String> {
    let held = |shard: &Placed| shard.on(worker).is_some();
    let shards: Vec<(&ShardId, &Placed)> = layout.shards.iter().filter(|(_, shard)| held(shard)).collect();
    let mut reasons = Vec::new();
    if paused && !shards.is_empty() {
        reasons.push("moves are paused".to_string());
    }
    for (id, shard) in shards {
        if !shard.led {
            reasons.push(format!("shard {id} has no leader"));
        } else if shard.splitting {
            reasons.push(format!("shard {id} is being split"));
        } else if !shard.busy && place::target(layout, *id, Some(worker)).is_none() {
            reasons.push(format!(
                "no other live worker that takes replicas has room for shard {id} and none of it yet"
            ));
        }
    }
    reasons
}
