//! Replicas that are missing, in excess, or past hope.

use super::layout::Placed;
use super::{Layout, Planned, place};
use vectron_base::ids::ShardId;

/// The most urgent repair, if anything can be repaired: the shard with the fewest good voters first.
pub fn next(layout: &Layout) -> Option<Planned> {
    let good = |shard: &Placed| shard.voters().filter(|holder| holder.bad.is_none()).count();
    let mut shards: Vec<(usize, ShardId)> = layout
        .shards
        .iter()
        .filter(|(_, shard)| shard.movable())
        .map(|(id, shard)| (good(shard).min(shard.voters_wanted), *id))
        .collect();
    shards.sort();
    shards.into_iter().find_map(|(_, id)| repair(layout, id, layout.shards.get(&id)?))
}

fn repair(layout: &Layout, id: ShardId, shard: &Placed) -> Option<Planned> {
    let step = |from, to, bytes, reason: String| Planned {
        shard: id,
        from,
        to,
        learner: false,
        bytes,
        reason,
        urgent: true,
    };
    let voters = shard.voters().count();
    if voters > shard.voters_wanted {
        // The worst goes: a bad one, else one that shares its place, else one on the fullest worker.
        let loads = layout.loads();
        let worst = shard.voters().max_by_key(|holder| {
            let others = shard.voters().map(|h| h.worker).filter(|worker| *worker != holder.worker);
            let without = place::conflicts(layout, &others.collect::<Vec<_>>());
            let load = loads.get(&holder.worker).copied().unwrap_or(0);
            (holder.bad.is_some(), std::cmp::Reverse(without), load, holder.worker)
        })?;
        return Some(step(Some(worst.worker), None, 0, "more voters than wanted".into()));
    }
    if voters < shard.voters_wanted
        && let Some(to) = place::target(layout, id, None)
    {
        return Some(step(None, Some(to), shard.bytes, "a voter is missing".into()));
    }
    shard.holders.iter().find_map(|holder| {
        let reason = holder.bad.clone()?;
        let to = place::target(layout, id, Some(holder.worker))?;
        Some(step(Some(holder.worker), Some(to), shard.bytes, reason))
    })
}
