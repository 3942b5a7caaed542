//! Which shard is too large, and where it is cut.

use crate::PlacementKnobs;
use crate::catalog::{Catalog, Command};
use crate::observe::Reports;
use vectron_wire::placement::{CollectionState, Shard, ShardPhase};

/// The first hash of the upper half of a range; none when it has only one hash.
pub fn middle(shard: &Shard) -> Option<u64> {
    (shard.last > shard.first).then(|| shard.first + (shard.last - shard.first) / 2 + 1)
}

/// A split of the largest shard that is over a limit, if none is under way. Both halves must have room to go on.
pub fn due(catalog: &Catalog, reports: &Reports, knobs: &PlacementKnobs) -> Option<Command> {
    let live = || catalog.collections().filter(|c| c.state == CollectionState::Live);
    if live().flat_map(|c| &c.shards).any(|shard| shard.split.is_some()) {
        return None;
    }
    let over = |figure: u64, limit: u64| limit > 0 && figure >= limit;
    let shards = live()
        .filter(|collection| (collection.shards.len() as u64) < knobs.shards_max)
        .flat_map(|collection| &collection.shards)
        .filter(|shard| {
            over(reports.points(shard), knobs.split_points) || over(reports.bytes(shard), knobs.split_bytes)
        })
        .filter(|shard| catalog.move_of(shard.shard).is_none() && prepared(reports, shard));
    let largest = shards.max_by_key(|shard| (reports.bytes(shard), reports.points(shard), shard.shard))?;
    Some(Command::PlanSplit {
        shard: largest.shard,
        config: largest.config,
        first: middle(largest)?,
        shards_max: knobs.shards_max,
    })
}

/// Whether every replica of a shard is ready and the shard is led, so that a split can begin.
pub fn prepared(reports: &Reports, shard: &Shard) -> bool {
    let ready = |report: Option<&vectron_wire::placement::ShardReport>| {
        report.is_some_and(|report| report.phase == ShardPhase::Ready)
    };
    reports.lead(shard).is_some()
        && shard.replicas.iter().all(|replica| ready(reports.replica(shard.shard, replica)))
}
