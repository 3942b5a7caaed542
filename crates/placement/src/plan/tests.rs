//! Each planner on tables, and on drawn layouts: followed to its end it asks for nothing more, and a dry run says what
//! a run does.

use super::*;
use std::collections::BTreeSet;
use vectron_base::ids::{Incarnation, ReplicaId};
use vectron_base::random::{Random, SeededRandom};
use vectron_wire::placement::Locality;

const BALANCE: Wants = Wants { balance_percent: Some(10) };
const REPAIR: Wants = Wants { balance_percent: None };

fn node(zone: &str, rack: &str) -> Node {
    Node {
        locality: Locality { region: String::new(), zone: zone.into(), rack: rack.into() },
        share: 100_000,
        alive: true,
        fresh: true,
        gone: false,
        draining: false,
        free_bytes: Some(1 << 40),
        disk_bytes: 1 << 40,
    }
}

/// Workers 1, 2, … in these zones.
fn zones(zones: &[&str]) -> Layout {
    let workers = zones.iter().enumerate().map(|(i, zone)| (WorkerId(i as u64 + 1), node(zone, "")));
    Layout { workers: workers.collect(), ..Layout::default() }
}

fn add(layout: &mut Layout, id: u64, voters_wanted: usize, workers: &[u64]) {
    let holder = |worker: &u64| Holder {
        worker: WorkerId(*worker),
        replica: Some(ReplicaId(id * 100 + worker)),
        learner: false,
        bad: None,
        spoiled: false,
    };
    let placed = Placed {
        incarnation: Incarnation(1),
        voters_wanted,
        holders: workers.iter().map(holder).collect(),
        bytes: 1 << 30,
        busy: false,
        splitting: false,
        led: true,
    };
    layout.shards.insert(ShardId(id), placed);
}

fn change(layout: &mut Layout, worker: u64, how: impl FnOnce(&mut Node)) {
    how(layout.workers.get_mut(&WorkerId(worker)).unwrap());
}

fn spoil(layout: &mut Layout, shard: u64, worker: u64) {
    let placed = layout.shards.get_mut(&ShardId(shard)).unwrap();
    let holder = placed.holders.iter_mut().find(|h| h.worker == WorkerId(worker)).unwrap();
    holder.bad = Some("bad".into());
}

fn ends(step: &Planned) -> (u64, Option<u64>, Option<u64>) {
    (step.shard.0, step.from.map(|w| w.0), step.to.map(|w| w.0))
}

fn all(layout: &Layout, wants: Wants) -> Vec<(u64, Option<u64>, Option<u64>)> {
    plan(layout, wants).map(|step| ends(&step)).collect()
}

/// Lesson 27: all shards of a collection landed on the same nodes.
#[test]
fn l27_shards_spread_over_workers() {
    let placements = place::place(&zones(&["", "", ""]), 6, 1).unwrap();
    for worker in 1..=3 {
        assert_eq!(placements.iter().filter(|p| p[0] == WorkerId(worker)).count(), 2);
    }
}

#[test]
fn replicas_go_to_distinct_zones_then_racks_then_workers() {
    let mut layout = zones(&["a", "a", "a", "b", "b", "c"]);
    for placement in place::place(&layout, 8, 3).unwrap() {
        let zones: BTreeSet<&str> =
            placement.iter().map(|w| layout.workers[w].locality.zone.as_str()).collect();
        assert_eq!(zones.len(), 3);
    }
    layout.workers.retain(|worker, _| worker.0 <= 3);
    change(&mut layout, 1, |node| node.locality.rack = "r1".into());
    change(&mut layout, 2, |node| node.locality.rack = "r1".into());
    change(&mut layout, 3, |node| node.locality.rack = "r2".into());
    // Two replicas would stand apart on workers 3 and 1 or 2; the third has to share a rack.
    let placement = place::place(&layout, 1, 3).unwrap().remove(0);
    assert_eq!(placement.iter().collect::<BTreeSet<_>>().len(), 3);
    add(&mut layout, 1, 1, &[1]);
    assert_eq!(place::target(&layout, ShardId(1), None), Some(WorkerId(3)));
}

#[test]
fn larger_workers_get_more() {
    let mut layout = zones(&["", "", "", ""]);
    change(&mut layout, 1, |node| node.share = 300_000);
    let placements = place::place(&layout, 60, 1).unwrap();
    let on = |worker| placements.iter().filter(|p| p[0] == WorkerId(worker)).count();
    assert_eq!(on(1), 30);
    assert!((2..=4).all(|worker| on(worker) == 10));
}

#[test]
fn too_few_workers_is_no_placement_and_silent_ones_come_last() {
    assert_eq!(place::place(&zones(&[""]), 1, 3), None);
    assert_eq!(place::place(&zones(&[]), 1, 1), None);
    let mut layout = zones(&["", "", "", ""]);
    change(&mut layout, 1, |node| node.draining = true);
    change(&mut layout, 2, |node| node.fresh = false);
    assert_eq!(place::place(&layout, 1, 5), None);
    for placement in place::place(&layout, 4, 1).unwrap() {
        assert!(placement[0].0 >= 3, "there are workers that were heard lately");
    }
    assert!(place::place(&layout, 1, 3).unwrap()[0].contains(&WorkerId(2)), "it is needed");
    change(&mut layout, 2, |node| node.alive = false);
    assert_eq!(place::place(&layout, 1, 3), None);
}

#[test]
fn repairs() {
    let base = || {
        let mut layout = zones(&["a", "b", "c", "a", "b"]);
        add(&mut layout, 1, 3, &[1, 2, 3]);
        add(&mut layout, 2, 3, &[1, 2, 3]);
        layout
    };
    assert_eq!(all(&base(), REPAIR), []);
    let mut layout = base();
    spoil(&mut layout, 2, 2);
    assert_eq!(all(&layout, REPAIR), [(2, Some(2), Some(5))], "into the zone that became free");
    spoil(&mut layout, 1, 1);
    spoil(&mut layout, 1, 2);
    assert_eq!(
        all(&layout, REPAIR),
        [(1, Some(1), Some(4)), (2, Some(2), Some(5))],
        "the worse shard first, and one move of a shard at a time"
    );
    let mut layout = base();
    layout.shards.get_mut(&ShardId(1)).unwrap().holders.pop();
    assert_eq!(ends(&repair::next(&layout).unwrap()).1, None, "a voter is missing");
    let mut layout = base();
    add(&mut layout, 3, 3, &[1, 2, 3, 4]);
    assert_eq!(
        all(&layout, REPAIR),
        [(3, Some(1), None)],
        "one too many: of those that share a zone the one on the fuller worker goes"
    );
    spoil(&mut layout, 3, 2);
    assert_eq!(all(&layout, REPAIR), [(3, Some(2), None)], "the bad one goes");
    let mut layout = base();
    spoil(&mut layout, 1, 1);
    layout.shards.get_mut(&ShardId(1)).unwrap().led = false;
    assert_eq!(all(&layout, REPAIR), [], "nothing can change without a leader");
}

/// With three workers and three voters there is nowhere else: what is of no use is made anew where it is, and a worker
/// that is only silent is waited for.
#[test]
fn a_spoiled_replica_is_made_anew_in_place_when_nobody_else_takes_it() {
    let mut layout = zones(&["", "", ""]);
    add(&mut layout, 1, 3, &[1, 2, 3]);
    add(&mut layout, 2, 1, &[3]);
    spoil(&mut layout, 1, 3);
    assert_eq!(all(&layout, REPAIR), [], "it may come back");
    layout.shards.get_mut(&ShardId(1)).unwrap().holders[2].spoiled = true;
    assert_eq!(all(&layout, REPAIR), [(1, Some(3), None)]);
    spoil(&mut layout, 1, 2);
    assert_eq!(all(&layout, REPAIR), [], "no majority would be left");
    let mut layout = zones(&["", "", ""]);
    add(&mut layout, 1, 3, &[1, 2]);
    assert_eq!(all(&layout, REPAIR), [(1, None, Some(3))]);
    let mut layout = zones(&[""]);
    add(&mut layout, 1, 1, &[1]);
    spoil(&mut layout, 1, 1);
    layout.shards.get_mut(&ShardId(1)).unwrap().holders[0].spoiled = true;
    assert_eq!(all(&layout, REPAIR), [], "never the last copy");
}

#[test]
fn nothing_is_copied_to_who_is_silent_drains_or_is_full() {
    let mut layout = zones(&["", "", "", "", "", ""]);
    add(&mut layout, 1, 3, &[1, 2, 3]);
    spoil(&mut layout, 1, 3);
    change(&mut layout, 4, |node| node.alive = false);
    change(&mut layout, 5, |node| node.draining = true);
    change(&mut layout, 6, |node| node.free_bytes = Some(node.disk_bytes / 10));
    assert_eq!(all(&layout, REPAIR), []);
    change(&mut layout, 6, |node| node.free_bytes = Some(node.disk_bytes / 2));
    assert_eq!(all(&layout, REPAIR), [(1, Some(3), Some(6))]);
}

#[test]
fn a_drained_worker_gives_all_away_or_says_what_blocks_it() {
    let mut layout = zones(&["", "", "", ""]);
    for shard in 1..=4 {
        add(&mut layout, shard, 3, &[1, 2, 3]);
    }
    add(&mut layout, 5, 1, &[1]);
    change(&mut layout, 1, |node| node.draining = true);
    let steps = all(&layout, REPAIR);
    assert_eq!(steps.len(), 5);
    assert!(steps.iter().all(|(_, from, to)| *from == Some(1) && *to != Some(1)));
    assert!(drain::blocked(&layout, WorkerId(1), false).is_empty());
    assert_eq!(drain::blocked(&layout, WorkerId(1), true), ["moves are paused"]);
    change(&mut layout, 4, |node| node.alive = false);
    assert_eq!(all(&layout, REPAIR).len(), 1, "only the lone replica has somewhere to go");
    layout.shards.get_mut(&ShardId(1)).unwrap().led = false;
    layout.shards.get_mut(&ShardId(2)).unwrap().splitting = true;
    let blocked = drain::blocked(&layout, WorkerId(1), false);
    assert_eq!(blocked.len(), 4);
    assert_eq!(blocked[0], "shard 1 has no leader");
    assert_eq!(blocked[1], "shard 2 is being split");
    assert!(blocked[2].contains("shard 3"), "{blocked:?}");
}

#[test]
fn balance_begins_over_the_threshold_and_keeps_zones() {
    let mut layout = zones(&["a", "b", "b"]);
    for shard in 1..=4 {
        add(&mut layout, shard, 1, &[2]);
    }
    assert_eq!(all(&layout, Wants { balance_percent: Some(1000) }), []);
    let steps = all(&layout, BALANCE);
    assert!(steps.len() >= 2 && steps.iter().all(|(_, from, _)| *from == Some(2)), "{steps:?}");
    let mut layout = zones(&["a", "b", "b"]);
    for shard in 1..=4 {
        add(&mut layout, shard, 2, &[1, 2]);
    }
    let steps = all(&layout, BALANCE);
    assert_eq!(steps.len(), 2, "half of what worker 2 has goes to worker 3, and nothing into its zone twice");
    assert!(steps.iter().all(|step| (step.1, step.2) == (Some(2), Some(3))), "{steps:?}");
}

#[test]
fn replicas_that_share_a_zone_part_when_there_is_another() {
    let mut layout = zones(&["a", "a", "b"]);
    add(&mut layout, 1, 2, &[1, 2]);
    let steps = all(&layout, Wants { balance_percent: Some(1000) });
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].2, Some(3));
}

#[test]
fn a_learner_stays_one_when_it_moves() {
    let mut layout = zones(&["", "", ""]);
    add(&mut layout, 1, 1, &[1, 2]);
    layout.shards.get_mut(&ShardId(1)).unwrap().holders[1].learner = true;
    change(&mut layout, 2, |node| node.draining = true);
    let step = plan(&layout, REPAIR).next().unwrap();
    assert!(step.learner);
    layout.apply(&step);
    let shard = &layout.shards[&ShardId(1)];
    assert_eq!(shard.voters().count(), 1);
    assert!(shard.on(WorkerId(3)).unwrap().learner);
}

fn drawn(seed: u64) -> Layout {
    let random = SeededRandom::new(seed);
    let count = 5 + random.below(6);
    let mut layout = Layout::default();
    for worker in 1..=count {
        let zone = ["", "a", "b", "c"][random.below(4) as usize];
        let mut one = node(zone, ["", "r", "s"][random.below(3) as usize]);
        one.share = 50_000 * (1 + random.below(4));
        one.draining = random.below(8) == 0;
        one.alive = random.below(8) > 0;
        layout.workers.insert(WorkerId(worker), one);
    }
    for shard in 1..=1 + random.below(20) {
        let wanted = [1, 3, 5][random.below(3) as usize];
        let (start, have) =
            (random.below(count), (wanted as u64 + random.below(2)).saturating_sub(random.below(2)));
        let workers: Vec<u64> = (0..have.clamp(1, 5)).map(|i| 1 + (start + i) % count).collect();
        add(&mut layout, shard, wanted, &workers);
        let placed = layout.shards.get_mut(&ShardId(shard)).unwrap();
        placed.incarnation = Incarnation(1 + random.below(3));
        placed.bytes = random.below(1 << 32);
        placed.led = random.below(10) > 0;
        for holder in &mut placed.holders {
            holder.spoiled = random.below(15) == 0;
            let dead = !layout.workers[&holder.worker].alive;
            holder.bad = (dead || holder.spoiled).then(|| "bad".into());
        }
    }
    layout
}

/// Follows plans until there are none; each round's shards are free again at its end. Gives all steps.
fn settle(layout: &mut Layout, wants: Wants) -> Vec<Planned> {
    let mut steps = Vec::new();
    for _ in 0..100 {
        let round: Vec<Planned> = plan(layout, wants).collect();
        if round.is_empty() {
            return steps;
        }
        for step in round {
            layout.apply(&step);
            steps.push(step);
        }
        layout.shards.values_mut().for_each(|shard| shard.busy = false);
    }
    panic!("planning never ends");
}

#[test]
fn plans_that_are_followed_end_and_leave_nothing_to_plan() {
    for seed in 0..300 {
        let mut layout = drawn(seed);
        let steps = settle(&mut layout, BALANCE);
        assert_eq!(plan(&layout, BALANCE).next(), None, "seed {seed}");
        for step in &steps {
            assert!(step.to.is_none_or(|to| layout.workers[&to].takes(step.bytes)), "seed {seed}: {step:?}");
        }
        for (id, shard) in &layout.shards {
            let workers: BTreeSet<WorkerId> = shard.holders.iter().map(|h| h.worker).collect();
            assert_eq!(workers.len(), shard.holders.len(), "seed {seed}: shard {id}");
            // Those that take replicas and have none of it, or a good one.
            let able = layout.workers.iter().filter(|(worker, node)| {
                node.takes(shard.bytes) && shard.on(**worker).is_none_or(|holder| holder.bad.is_none())
            });
            if shard.led && able.count() >= shard.voters_wanted {
                let settled = shard.voters().count() == shard.voters_wanted
                    && shard.holders.iter().all(|h| h.bad.is_none() && !layout.workers[&h.worker].draining);
                assert!(settled, "seed {seed}: shard {id}: {shard:?}");
            }
        }
    }
}

/// What a dry run says is what a run does, step by step, however few moves may be under way.
#[test]
fn a_dry_run_says_what_a_run_does() {
    let wants = Wants { balance_percent: Some(0) };
    for seed in 0..200 {
        let mut layout = drawn(seed);
        settle(&mut layout, REPAIR);
        let said: Vec<Planned> = plan(&layout, wants).collect();
        let mut done = Vec::new();
        // One at a time: each ends before the next is planned.
        while let Some(step) = plan(&layout, wants).next() {
            layout.apply(&step);
            layout.shards.get_mut(&step.shard).unwrap().busy = false;
            done.push(step);
        }
        assert_eq!(said, done, "seed {seed}");
    }
}
