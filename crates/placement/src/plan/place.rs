//! Which worker gets a replica: far from the shard's other replicas first, then where the collection has little, then
//! where there is most room.

use super::Layout;
use super::layout::{Holder, Node, Placed};
use std::collections::BTreeMap;
use vectron_base::ids::{Incarnation, ShardId, WorkerId};

/// How close two workers stand: 2 in the same rack, 1 in the same zone, 0 apart. A place without a name is shared
/// with nobody.
fn closeness(a: &Node, b: &Node) -> u64 {
    let (a, b) = (&a.locality, &b.locality);
    let zone = !a.zone.is_empty() && (&a.region, &a.zone) == (&b.region, &b.zone);
    // Racks are named within their zone; where zones have no names, within their region.
    let rack = !a.rack.is_empty() && (&a.region, &a.zone, &a.rack) == (&b.region, &b.zone, &b.rack);
    if rack { 2 } else { u64::from(zone) }
}

/// How much the workers share their places: zones count for more than all racks can.
pub(super) fn conflicts(layout: &Layout, workers: &[WorkerId]) -> u64 {
    let nodes: Vec<&Node> = workers.iter().filter_map(|worker| layout.workers.get(worker)).collect();
    let pairs = nodes.iter().enumerate().flat_map(|(i, a)| nodes.iter().skip(i + 1).map(move |b| (a, b)));
    pairs.map(|(a, b)| if closeness(a, b) == 0 { 0 } else { 1000 + closeness(a, b) }).sum()
}

/// The best worker for one more replica beside those on `beside`, of those that take it and that `may`.
pub(super) fn choose(
    layout: &Layout,
    loads: &BTreeMap<WorkerId, u64>,
    collection: &BTreeMap<WorkerId, u64>,
    beside: &[WorkerId],
    bytes: u64,
    may: impl Fn(WorkerId, &Node) -> bool,
) -> Option<WorkerId> {
    let scored = layout
        .workers
        .iter()
        .filter(|(worker, node)| node.takes(bytes) && !beside.contains(worker) && may(**worker, node));
    let score = |worker: &WorkerId, node: &Node| {
        let mut all = beside.to_vec();
        all.push(*worker);
        let of = |counts: &BTreeMap<WorkerId, u64>| counts.get(worker).copied().unwrap_or(0);
        let share = u128::from(node.share);
        let held = u128::from(of(collection)) * 1_000_000 / share;
        let fill = u128::from(of(loads) + bytes + super::UNIT_BYTES) * 1_000_000 / share;
        (conflicts(layout, &all), held, fill, *worker)
    };
    scored.map(|(worker, node)| score(worker, node)).min().map(|(.., worker)| worker)
}

/// Replicas of a collection on each worker.
pub(super) fn held(layout: &Layout, incarnation: Incarnation) -> BTreeMap<WorkerId, u64> {
    let mut counts = BTreeMap::new();
    for shard in layout.shards.values().filter(|shard| shard.incarnation == incarnation) {
        for holder in &shard.holders {
            *counts.entry(holder.worker).or_default() += 1;
        }
    }
    counts
}

/// The best worker for a replica of a shard, in place of one of its holders or besides all.
pub(super) fn target(layout: &Layout, id: ShardId, instead_of: Option<WorkerId>) -> Option<WorkerId> {
    let shard = layout.shards.get(&id)?;
    let others: Vec<WorkerId> =
        shard.holders.iter().map(|h| h.worker).filter(|w| Some(*w) != instead_of).collect();
    let held = held(layout, shard.incarnation);
    choose(layout, &layout.loads(), &held, &others, shard.bytes, |worker, _| Some(worker) != instead_of)
}

/// Workers for each shard of a new collection, `replication_factor` distinct ones each; `None` when too few take
/// replicas. Workers that were not heard for a while are taken only when there are not enough others.
pub fn place(layout: &Layout, shards: u32, replication_factor: u32) -> Option<Vec<Vec<WorkerId>>> {
    let wanted = replication_factor as usize;
    let count = |how: &dyn Fn(&Node) -> bool| layout.workers.values().filter(|node| how(node)).count();
    if wanted == 0 || count(&|node| node.takes(0)) < wanted {
        return None;
    }
    let only_fresh = count(&|node| node.takes(0) && node.fresh) >= wanted;
    let mut loads = layout.loads();
    let mut held = BTreeMap::new();
    let mut placements = Vec::new();
    for _ in 0..shards {
        let mut chosen: Vec<WorkerId> = Vec::new();
        while chosen.len() < wanted {
            let may = |_, node: &Node| node.fresh || !only_fresh;
            let worker = choose(layout, &loads, &held, &chosen, 0, may)?;
            *loads.entry(worker).or_default() += super::UNIT_BYTES;
            *held.entry(worker).or_default() += 1;
            chosen.push(worker);
        }
        placements.push(chosen);
    }
    Some(placements)
}

/// How much a shard's replicas share their places when one of them is elsewhere.
pub(super) fn conflicts_after(layout: &Layout, shard: &Placed, from: WorkerId, to: WorkerId) -> u64 {
    let moved = |holder: &Holder| if holder.worker == from { to } else { holder.worker };
    conflicts(layout, &shard.holders.iter().map(moved).collect::<Vec<_>>())
}
