//! Planners that follow from reports: leaders, splits, digests; and the layout that reports give.

use super::scrub::{Difference, differences};
use super::*;
use crate::PlacementKnobs;
use crate::catalog::tests::{registration, spec};
use crate::catalog::{Catalog, Command, Reply};
use crate::observe::Reports;
use vectron_base::clock::Tick;
use vectron_base::ids::ReplicaId;
use vectron_wire::placement::{
    LeadReport, Mark, Members, Shard, ShardPhase, ShardReport, WorkerLoad, WorkerReport, WorkerState,
};

struct Scene {
    catalog: Catalog,
    reports: Reports,
    now: Tick,
    knobs: PlacementKnobs,
}

impl Scene {
    /// Workers 1 to 3 with all of `shards` shards; worker 1 leads all.
    fn new(shards: u32) -> Self {
        let mut catalog = Catalog::default();
        for worker in 1..=3 {
            catalog.apply(Command::RegisterWorker { registration: registration(worker) });
        }
        let mut spec = spec("a", shards);
        spec.replication_factor = 3;
        let placements = vec![(1..=3).map(WorkerId).collect(); shards as usize];
        catalog.apply(Command::CreateCollection { spec, created_at_ms: 1, placements, collections_max: 9 });
        let now = Tick(1_000_000_000);
        let mut scene = Self { catalog, reports: Reports::since(now), now, knobs: PlacementKnobs::default() };
        scene.report(|_, worker| worker == WorkerId(1), |_| {});
        scene
    }

    fn shards(&self) -> Vec<Shard> {
        self.catalog.collections().flat_map(|c| c.shards.clone()).collect()
    }

    fn report(&mut self, leads: impl Fn(&Shard, WorkerId) -> bool, touch: impl Fn(&mut ShardReport)) {
        for worker in (1..=3).map(WorkerId) {
            let mut shards = Vec::new();
            for shard in self.shards() {
                let Some(own) = shard.on(worker) else { continue };
                let voters: Vec<ReplicaId> = shard.replicas.iter().map(|r| r.replica).collect();
                let lead = LeadReport {
                    term: 2,
                    matched: voters.iter().map(|r| (*r, 100)).collect(),
                    members: Members { voters, ..Members::default() },
                    committed: 100,
                };
                let mut report = ShardReport {
                    shard: shard.shard,
                    replica: own.replica,
                    phase: ShardPhase::Ready,
                    epoch: shard.epoch,
                    points: 10,
                    disk_bytes: 1000,
                    memory_bytes: 10,
                    index_lag: 0,
                    applied_index: 100,
                    mark: None,
                    split_ready: false,
                    lead: leads(&shard, worker).then_some(lead),
                };
                touch(&mut report);
                shards.push(report);
            }
            let (disk_free_bytes, memory_used_bytes) = (1 << 39, 1);
            let load = WorkerLoad::default();
            self.reports
                .note(WorkerReport { worker, disk_free_bytes, memory_used_bytes, load, shards }, self.now);
        }
    }

    fn layout(&self) -> Layout {
        Layout::of(&self.catalog, &self.reports, self.now, &self.knobs)
    }

    fn wishes(&self) -> Vec<(ShardId, Option<ReplicaId>)> {
        let commands = leaders::plan(&self.catalog, &self.reports, &self.layout(), &self.knobs);
        let wish = |command: Command| match command {
            Command::SetLeader { shard, leader, .. } => (shard, leader),
            other => panic!("{other:?}"),
        };
        commands.into_iter().map(wish).collect()
    }

    fn marked(&mut self, marks: [Option<(u64, u128)>; 3]) -> Vec<Difference> {
        let replicas: Vec<ReplicaId> = self.shards()[0].replicas.iter().map(|r| r.replica).collect();
        self.report(
            |_, worker| worker == WorkerId(1),
            |report| {
                let at = replicas.iter().position(|replica| *replica == report.replica).unwrap();
                report.mark = marks[at].map(|(index, digest)| Mark { index, digest });
            },
        );
        differences(&self.catalog, &self.reports)
    }
}

#[test]
fn leaders_are_spread_and_wishes_end_when_they_come_true_or_cannot() {
    let mut scene = Scene::new(6);
    let wishes = scene.wishes();
    assert_eq!(wishes.len(), 4, "a third of six stays, and four transfers at most are under way");
    for (shard, leader) in &wishes {
        let config = scene.catalog.shard(*shard).unwrap().1.config;
        let set = Command::SetLeader { shard: *shard, config, leader: *leader };
        assert_eq!(scene.catalog.apply(set), Reply::Done);
    }
    assert_eq!(scene.wishes(), [], "they are under way");
    let wished = scene.shards();
    scene.report(
        |shard, worker| {
            let wish = wished.iter().find(|s| s.shard == shard.shard).and_then(|s| s.leader);
            wish.map_or(worker == WorkerId(1), |wish| shard.on(worker).unwrap().replica == wish)
        },
        |_| {},
    );
    let ended = scene.wishes();
    assert_eq!(ended.len(), 4);
    assert!(ended.iter().all(|(_, leader)| leader.is_none()), "they came true: {ended:?}");
    for (shard, _) in ended {
        let config = scene.catalog.shard(shard).unwrap().1.config;
        scene.catalog.apply(Command::SetLeader { shard, config, leader: None });
    }
    assert_eq!(scene.wishes(), [], "two lead on each worker");
    // A draining worker leads nothing, however even that is.
    let state = WorkerState::Draining;
    scene.catalog.apply(Command::SetWorkerState { worker: WorkerId(1), state });
    assert_eq!(scene.wishes().len(), 2);
}

#[test]
fn nobody_is_asked_to_lead_who_is_not_ready_or_lags() {
    let mut scene = Scene::new(3);
    scene.report(
        |_, worker| worker == WorkerId(1),
        |report| {
            report.phase = if report.lead.is_some() { ShardPhase::Ready } else { ShardPhase::Opening };
        },
    );
    assert_eq!(scene.wishes(), []);
    scene.report(
        |_, worker| worker == WorkerId(1),
        |report| {
            if let Some(lead) = &mut report.lead {
                lead.committed = 100_000;
            }
        },
    );
    assert_eq!(scene.wishes(), []);
    scene.report(|_, worker| worker == WorkerId(1), |_| {});
    assert!(!scene.wishes().is_empty());
    scene.knobs.balance_leaders = false;
    assert_eq!(scene.wishes(), []);
}

#[test]
fn a_shard_is_split_over_a_limit_one_at_a_time_in_the_middle() {
    let mut scene = Scene::new(2);
    assert_eq!(split::due(&scene.catalog, &scene.reports, &scene.knobs), None, "off by default");
    scene.knobs.split_points = 11;
    assert_eq!(split::due(&scene.catalog, &scene.reports, &scene.knobs), None);
    scene.knobs.split_points = 10;
    let due = split::due(&scene.catalog, &scene.reports, &scene.knobs).unwrap();
    let Command::PlanSplit { shard, first, .. } = due else { panic!("{due:?}") };
    let whole = scene.catalog.shard(shard).unwrap().1.clone();
    assert_eq!(first - whole.first, whole.last - first + 1, "two equal halves");
    assert_eq!(scene.catalog.apply(due), Reply::Done);
    assert_eq!(split::due(&scene.catalog, &scene.reports, &scene.knobs), None, "one is under way");
    let one = Shard { first: 7, last: 7, ..whole.clone() };
    assert_eq!(split::middle(&one), None);
    assert_eq!(split::middle(&Shard { first: 7, last: 8, ..whole }), Some(8));
}

/// Lesson 31: replicas diverged in silence.
#[test]
fn l31_the_replica_that_differs_is_found() {
    let mut scene = Scene::new(1);
    let replicas: Vec<ReplicaId> = scene.shards()[0].replicas.iter().map(|r| r.replica).collect();
    let who = |found: Vec<Difference>| -> Vec<usize> {
        found.iter().map(|d| replicas.iter().position(|r| *r == d.replica).unwrap()).collect()
    };
    let mut found = |marks| who(scene.marked(marks));
    assert_eq!(found([Some((5, 1)), Some((5, 1)), Some((5, 1))]), [0usize; 0]);
    assert_eq!(found([Some((5, 1)), Some((5, 2)), Some((5, 1))]), [1]);
    assert_eq!(found([Some((5, 2)), Some((5, 1)), Some((5, 1))]), [0], "the leader is believed by nobody");
    assert_eq!(found([Some((5, 1)), Some((4, 2)), None]), [0usize; 0], "other indexes say nothing");
    assert_eq!(found([Some((5, 1)), Some((5, 2)), Some((4, 1))]), [0usize; 0], "the third is waited for");
    assert_eq!(
        found([Some((5, 1)), Some((5, 2)), Some((5, 3))]),
        [1, 2],
        "without a majority the leader is believed"
    );
    assert_eq!(found([Some((5, 1)), Some((5, 1)), Some((4, 9))]), [0usize; 0]);
}

#[test]
fn two_replicas_that_differ_follow_the_leader_and_one_that_is_condemned_is_replaced() {
    let mut scene = Scene::new(1);
    let shard = scene.shards()[0].clone();
    let third = shard.replicas[2].replica;
    scene.catalog.apply(Command::Condemn { shard: shard.shard, replica: third, why: "differs".into() });
    let found = scene.marked([Some((5, 1)), Some((5, 2)), Some((5, 2))]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].replica, shard.replicas[1].replica);
    let layout = scene.layout();
    assert_eq!(layout.shards[&shard.shard].holders[2].bad.as_deref(), Some("differs"));
    scene.catalog.apply(Command::RegisterWorker { registration: registration(4) });
    scene.reports.greet(WorkerId(4), scene.now);
    let step = plan(&scene.layout(), Wants { balance_percent: None }).next().unwrap();
    assert_eq!((step.from, step.to), (Some(WorkerId(3)), Some(WorkerId(4))));
}
