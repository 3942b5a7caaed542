//! Spreading replicas: first out of places that they share, then from workers that hold more than their share.
//!
//! Each step makes (shared places, sum over workers of load² / share) smaller, so that the steps end.

use super::layout::Placed;
use super::{Layout, Planned, place};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use vectron_base::ids::{ShardId, WorkerId};

/// The next replica to move, when a worker's fill exceeds the mean by more than `percent`, or replicas of a shard share
/// a place without need. Fill is load by share of the cluster.
pub fn next(layout: &Layout, percent: u64) -> Option<Planned> {
    apart(layout).or_else(|| even(layout, percent))
}

fn movable(layout: &Layout) -> impl Iterator<Item = (ShardId, &Placed)> {
    // A move under way does not change what is wanted next, only when it can begin.
    layout.shards.iter().filter(|(_, shard)| shard.led && !shard.splitting).map(|(id, shard)| (*id, shard))
}

fn step(shard: ShardId, placed: &Placed, from: WorkerId, to: WorkerId, reason: String) -> Planned {
    let learner = placed.on(from).is_some_and(|holder| holder.learner);
    Planned { shard, from: Some(from), to: Some(to), learner, bytes: placed.bytes, reason, urgent: false }
}

fn apart(layout: &Layout) -> Option<Planned> {
    movable(layout).find_map(|(id, shard)| {
        let workers: Vec<WorkerId> = shard.holders.iter().map(|holder| holder.worker).collect();
        let now = place::conflicts(layout, &workers);
        if now == 0 {
            return None;
        }
        let moves = workers.iter().filter_map(|from| {
            let to = place::target(layout, id, Some(*from))?;
            let after = place::conflicts_after(layout, shard, *from, to);
            (after < now).then_some((after, *from, to))
        });
        let (_, from, to) = moves.min()?;
        Some(step(id, shard, from, to, "replicas of a shard share a zone or rack".into()))
    })
}

fn even(layout: &Layout, percent: u64) -> Option<Planned> {
    let loads = layout.loads();
    let mut fills: Vec<(u128, WorkerId)> = layout
        .workers
        .iter()
        .filter(|(_, node)| node.alive && !node.draining)
        .map(|(worker, node)| {
            let load = u128::from(loads.get(worker).copied().unwrap_or(0));
            (load * 1_000_000 / u128::from(node.share), *worker)
        })
        .collect();
    fills.sort();
    let shares: u128 =
        fills.iter().filter_map(|(_, w)| layout.workers.get(w)).map(|n| u128::from(n.share)).sum();
    let total: u128 = fills.iter().map(|(_, w)| u128::from(loads.get(w).copied().unwrap_or(0))).sum();
    let mean = (total * 1_000_000).checked_div(shares)?;
    let limit = mean.saturating_mul(100 + u128::from(percent)) / 100;
    let full = fills.iter().rev().take_while(|(fill, _)| *fill > limit);
    full.into_iter().find_map(|(_, from)| {
        let emptier = fills.iter().map(|(_, to)| *to).filter(|to| to != from);
        emptier.into_iter().find_map(|to| between(layout, &loads, *from, to))
    })
}

/// The replica whose move from one worker to another evens the two out, the largest first, of collections that the
/// second has little of.
fn between(
    layout: &Layout,
    loads: &BTreeMap<WorkerId, u64>,
    from: WorkerId,
    to: WorkerId,
) -> Option<Planned> {
    let (source, target) = (layout.workers.get(&from)?, layout.workers.get(&to)?);
    let load = |worker| u128::from(loads.get(&worker).copied().unwrap_or(0));
    let (held, free) = (load(from), load(to));
    let evens = |weight: u128| {
        // Is (held - weight)² / source + (free + weight)² / target < held² / source + free² / target?
        let gain = (2 * held).saturating_sub(weight) * u128::from(target.share);
        let cost = (2 * free + weight) * u128::from(source.share);
        weight <= held && gain > cost
    };
    let candidates = movable(layout).filter(|(_, shard)| {
        shard.on(from).is_some_and(|holder| holder.bad.is_none())
            && shard.on(to).is_none()
            && target.takes(shard.bytes)
            && evens(u128::from(shard.weight()))
    });
    let allowed = candidates.filter(|(_, shard)| {
        let workers: Vec<WorkerId> = shard.holders.iter().map(|holder| holder.worker).collect();
        place::conflicts_after(layout, shard, from, to) <= place::conflicts(layout, &workers)
    });
    let (id, shard) = allowed.min_by_key(|(id, shard)| {
        let held = place::held(layout, shard.incarnation);
        let of = |worker| held.get(&worker).copied().unwrap_or(0) as i64;
        (Reverse(shard.weight()), of(to) - of(from), *id)
    })?;
    Some(step(id, shard, from, to, format!("worker {from} holds more than its share")))
}
