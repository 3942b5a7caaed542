//! Replicas whose state differs from the others' at the same index of their log.

use crate::catalog::Catalog;
use crate::observe::Reports;
use std::collections::BTreeMap;
use vectron_base::ids::{ReplicaId, ShardId};
use vectron_wire::placement::{CollectionState, Shard, ShardPhase};

/// A replica that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of which shard.
    pub shard: ShardId,
    /// The replica to be replaced.
    pub replica: ReplicaId,
    /// The index at which the states were compared.
    pub index: u64,
}

/// Replicas of live shards that differ from what most say at the newest index that several have passed. Where as many
/// say one thing as another, those that are on their way there are waited for, and then the leader is believed;
/// without a leader nobody is condemned.
pub fn differences(catalog: &Catalog, reports: &Reports) -> Vec<Difference> {
    let live = catalog.collections().filter(|c| c.state == CollectionState::Live);
    let shards = live.flat_map(|collection| &collection.shards);
    shards.flat_map(|shard| in_shard(catalog, reports, shard)).collect()
}

fn in_shard(catalog: &Catalog, reports: &Reports, shard: &Shard) -> Vec<Difference> {
    let mut marks: BTreeMap<u64, Vec<(ReplicaId, u128)>> = BTreeMap::new();
    let mut ready = 0;
    for replica in shard.replicas.iter().filter(|r| catalog.condemned(r.replica).is_none()) {
        let Some(report) = reports.replica(shard.shard, replica) else { continue };
        ready += usize::from(report.phase == ShardPhase::Ready);
        if let Some(mark) = report.mark {
            marks.entry(mark.index).or_default().push((replica.replica, mark.digest));
        }
    }
    let leader = reports.lead(shard).map(|led| led.replica.replica);
    let Some((index, said)) = marks.into_iter().rev().find(|(_, said)| said.len() > 1) else {
        return Vec::new();
    };
    let votes = |digest: u128| said.iter().filter(|(_, other)| *other == digest).count();
    let led = said.iter().find(|(replica, _)| Some(*replica) == leader).map(|(_, digest)| *digest);
    let most = said.iter().map(|(_, digest)| votes(*digest)).max().unwrap_or(0);
    let winners: Vec<u128> = {
        let mut all: Vec<u128> = said.iter().map(|(_, d)| *d).filter(|d| votes(*d) == most).collect();
        all.sort();
        all.dedup();
        all
    };
    let right = match winners.as_slice() {
        [one] => *one,
        _ if said.len() < ready => return Vec::new(),
        _ => match led.filter(|digest| winners.contains(digest)) {
            Some(digest) => digest,
            None => return Vec::new(),
        },
    };
    let wrong = said.iter().filter(|(_, digest)| *digest != right);
    wrong.map(|(replica, _)| Difference { shard: shard.shard, replica: *replica, index }).collect()
}
