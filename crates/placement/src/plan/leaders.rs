//! Who shall lead: nobody on a worker that drains or on a replica past hope, and about as many on each worker as its
//! share.

use crate::PlacementKnobs;
use crate::catalog::{Catalog, Command};
use crate::observe::{Led, Reports};
use crate::plan::{Holder, Layout};
use std::collections::BTreeMap;
use vectron_base::ids::WorkerId;
use vectron_wire::placement::{CollectionState, Replica, ReplicaRole, Shard, ShardPhase};

/// Wishes for leaders that may be under way at once: each transfer holds the shard's writes for a moment.
const WISHES_MAX: usize = 4;

/// Changes of the wishes: those that came true or cannot come true are taken back, and new ones made.
pub fn plan(catalog: &Catalog, reports: &Reports, layout: &Layout, knobs: &PlacementKnobs) -> Vec<Command> {
    let live = catalog.collections().filter(|c| c.state == CollectionState::Live);
    let shards: Vec<&Shard> = live.flat_map(|collection| &collection.shards).collect();
    let mut commands = Vec::new();
    let mut leads: BTreeMap<WorkerId, u64> = BTreeMap::new();
    let mut free = Vec::new();
    let mut wishes = 0;
    for shard in shards {
        let Some(led) = reports.lead(shard).filter(|led| alive(layout, led.worker)) else { continue };
        let wished = shard.leader.and_then(|wish| shard.replicas.iter().find(|r| r.replica == wish));
        let set = |leader| Command::SetLeader { shard: shard.shard, config: shard.config, leader };
        let busy = catalog.move_of(shard.shard).is_some() || shard.split.is_some();
        match wished {
            // The move of a lone voter takes back its wish itself.
            Some(wish) if busy => *leads.entry(wish.worker).or_default() += 1,
            Some(wish)
                if wish.worker != led.worker && can_lead(reports, layout, &led, shard, wish, knobs) =>
            {
                *leads.entry(wish.worker).or_default() += 1;
                wishes += 1;
            }
            Some(_) => {
                *leads.entry(led.worker).or_default() += 1;
                commands.push(set(None));
            }
            None => {
                *leads.entry(led.worker).or_default() += 1;
                if !busy {
                    free.push((shard, led));
                }
            }
        }
    }
    for (shard, led) in free {
        if wishes >= WISHES_MAX || catalog.paused() {
            break;
        }
        let Some(replica) = better(&leads, reports, layout, shard, &led, knobs) else { continue };
        *leads.entry(led.worker).or_default() -= 1;
        *leads.entry(replica.worker).or_default() += 1;
        wishes += 1;
        let (shard, config, leader) = (shard.shard, shard.config, Some(replica.replica));
        commands.push(Command::SetLeader { shard, config, leader });
    }
    commands
}

fn alive(layout: &Layout, worker: WorkerId) -> bool {
    layout.workers.get(&worker).is_some_and(|node| node.alive)
}

/// Whether a replica could take over now: a voter that is there, ready, and has caught up.
pub fn can_lead(
    reports: &Reports,
    layout: &Layout,
    led: &Led<'_>,
    shard: &Shard,
    replica: &Replica,
    knobs: &PlacementKnobs,
) -> bool {
    let ready = reports.replica(shard.shard, replica).is_some_and(|r| r.phase == ShardPhase::Ready);
    replica.role == ReplicaRole::Voter
        && ready
        && layout.workers.get(&replica.worker).is_some_and(|node| node.fresh)
        && led.behind(replica.replica).is_some_and(|behind| behind <= knobs.caught_up_entries)
}

/// A replica that should lead instead: any good one if the leader must not, else one whose worker leads so few that
/// the sum over workers of leads² / share becomes smaller.
fn better<'a>(
    leads: &BTreeMap<WorkerId, u64>,
    reports: &Reports,
    layout: &Layout,
    shard: &'a Shard,
    led: &Led<'_>,
    knobs: &PlacementKnobs,
) -> Option<&'a Replica> {
    let source = layout.workers.get(&led.worker)?;
    let placed = layout.shards.get(&shard.shard)?;
    let good = |holder: &Holder| {
        holder.bad.is_none() && layout.workers.get(&holder.worker).is_some_and(|node| !node.draining)
    };
    let must_not = placed.on(led.worker).is_some_and(|holder| !good(holder));
    let of = |worker| u128::from(leads.get(&worker).copied().unwrap_or(0));
    let candidates = shard.replicas.iter().filter_map(|replica| {
        let node = layout.workers.get(&replica.worker)?;
        let fits = replica.worker != led.worker
            && placed.on(replica.worker).is_some_and(good)
            && can_lead(reports, layout, led, shard, replica, knobs);
        let (many, few) = (of(led.worker), of(replica.worker));
        let evens = knobs.balance_leaders
            && many >= 1
            && (2 * many - 1) * u128::from(node.share) > (2 * few + 1) * u128::from(source.share);
        (fits && (must_not || evens))
            .then(|| ((few + 1) * 1_000_000 / u128::from(node.share), replica.worker, replica))
    });
    candidates.min_by_key(|(fill, worker, _)| (*fill, *worker)).map(|(.., replica)| replica)
}
