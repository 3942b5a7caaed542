//! Replicas that are missing, in excess, or past hope.

use super::layout::{Holder, Placed};
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
    let bad = || shard.holders.iter().filter_map(|holder| Some((holder, holder.bad.clone()?)));
    let elsewhere = bad().find_map(|(holder, reason)| {
        let to = place::target(layout, id, Some(holder.worker))?;
        Some(step(Some(holder.worker), Some(to), shard.bytes, reason))
    });
    elsewhere.or_else(|| {
        // Nobody else takes it. Data that is of no use is made anew where it is: it goes first, and then a voter is
        // missing. A worker that is only silent may come back with all it has.
        let good = shard.voters().filter(|holder| holder.bad.is_none()).count();
        let here = |holder: &Holder| {
            let takes = layout.workers.get(&holder.worker).is_some_and(|node| node.takes(0));
            holder.spoiled && takes && (holder.learner || good * 2 > shard.voters_wanted)
        };
        let (holder, reason) = bad().find(|(holder, _)| here(holder))?;
        Some(step(Some(holder.worker), None, 0, reason))
    })
}
