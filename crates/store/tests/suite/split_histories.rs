//! Random histories with a split in them: nothing is lost or doubled, and replicas agree however they came by the
//! child.

use crate::model::Model;
use crate::splits::{CHILD, MIDDLE, child_of, copied, fork, shape, split};
use crate::support::*;
use proptest::prelude::*;
use std::sync::Arc;
use vectron_base::disk::sim::SimDisk;
use vectron_base::ids::hash_of_id;
use vectron_store::{
    Batch, BatchItem, Command, Expiry, HashRange, ItemWrite, Metric, Operation, Outcome, SearchQuery, Shard,
};

#[derive(Clone, Debug)]
enum Step {
    /// Ids with vectors; deletes if no vectors. With a key or without.
    Write {
        ids: Vec<(u8, u64)>,
        delete: bool,
        key: Option<(u8, u64)>,
        condition: u8,
    },
    DeleteByFilter(u64),
    /// On one of the replicas.
    Fork(usize),
    Copy(usize),
    Index(usize),
    Checkpoint(usize),
    ChildCheckpoint(usize),
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let replica = 0..3usize;
    let ids = prop::collection::vec((0u8..40, 0u64..9), 1..6);
    let key = prop::option::weighted(0.4, (0u8..6, 0u64..2));
    prop_oneof![
        12 => (ids, any::<bool>(), key, 0u8..8)
            .prop_map(|(ids, delete, key, condition)| Step::Write { ids, delete, key, condition }),
        1 => (0u64..4).prop_map(Step::DeleteByFilter),
        3 => replica.clone().prop_map(Step::Fork),
        4 => replica.clone().prop_map(Step::Copy),
        2 => replica.clone().prop_map(Step::Index),
        2 => replica.clone().prop_map(Step::Checkpoint),
        2 => replica.clone().prop_map(Step::ChildCheckpoint),
        1 => replica.prop_map(Step::Forget),
    ]
}

fn written(step: &Step, at: u64) -> Option<Command> {
    let wrote = match step {
        Step::Write { ids, delete: true, condition, .. } => {
            let mut items: Vec<vectron_store::DeleteItem> = vec![];
            for (id, _) in ids {
                let id = format!("id-{id}");
                if items.iter().all(|item| item.id != id) {
                    let if_version = (*condition == 0).then_some(at / 2);
                    items.push(vectron_store::DeleteItem { id, if_version });
                }
            }
            command(Operation::Delete(items))
        }
        Step::Write { ids, condition, .. } => {
            let mut points: Vec<vectron_store::UpsertPoint> = vec![];
            for (id, seed) in ids {
                let id = format!("id-{id}");
                if points.iter().all(|point| point.id != id) {
                    let mut point = point(&id, &vector(*seed, 4), &format!(r#"{{"n":{seed}}}"#));
                    point.if_version = (*condition == 1).then_some(0);
                    points.push(point);
                }
            }
            // Some end by themselves, a few commands later.
            let item = |point: vectron_store::UpsertPoint, seed: u64| BatchItem {
                if_filter: None,
                write: ItemWrite::Upsert(point, Expiry::AfterMs(seed * 900)),
            };
            match condition {
                2..=4 => {
                    let items = points.into_iter().zip(ids).map(|(point, (_, seed))| item(point, *seed));
                    command(Operation::Batch(Batch { items: items.collect(), ..Batch::default() }))
                }
                _ => upsert(points),
            }
        }
        Step::DeleteByFilter(n) => command(Operation::DeleteByFilter(format!(r#"{{"n":{n}}}"#))),
        _ => return None,
    };
    Some(match step {
        Step::Write { key: Some((key, body)), .. } => keyed(wrote, at * 1000, &format!("k{key}"), *body),
        _ => Command { log_time_ms: at * 1000, ..wrote },
    })
}

/// One shard on three replicas, and what it must be.
struct World {
    disks: Vec<SimDisk>,
    shards: Vec<Shard>,
    children: Vec<Option<Arc<Shard>>>,
    model: Model,
    index: u64,
    first: u64,
}

impl World {
    fn new(first: u64) -> World {
        let disks: Vec<SimDisk> = (0..3).map(SimDisk::new).collect();
        let shards = disks.iter().map(|disk| open(disk, &shape())).collect();
        let model = Model::new(Metric::Dot, WINDOW_BYTES);
        World { disks, shards, children: vec![None; 3], model, index: 0, first }
    }

    fn apply(&mut self, command: &Command) {
        self.index += 1;
        let truth = self.model.apply(self.index, command);
        for shard in &self.shards {
            let outcome = Outcome::decode(&shard.apply(self.index, &command.encode())).unwrap();
            assert_eq!(outcome, truth, "{command:?}");
        }
        assert!(self.shards.windows(2).all(|pair| pair[0].digest() == pair[1].digest()));
    }

    fn step(&mut self, step: &Step) {
        if let Some(command) = written(step, self.index) {
            return self.apply(&command);
        }
        match step {
            Step::Fork(at) => {
                self.children[*at] = Some(fork(&self.shards[*at], &self.disks[*at], self.first))
            }
            Step::Copy(at) => _ = self.shards[*at].fork_step().unwrap(),
            Step::Index(at) => {
                self.shards[*at].index_step(&|| false);
                self.children[*at].iter().for_each(|child| _ = child.index_step(&|| false));
            }
            Step::Checkpoint(at) => _ = self.shards[*at].checkpoint().unwrap(),
            Step::ChildCheckpoint(at) => {
                self.children[*at].iter().for_each(|child| _ = child.checkpoint().unwrap());
            }
            Step::Forget(at) => {
                self.shards[*at].forget_fork(self.first);
                self.children[*at] = None;
            }
            Step::Write { .. } | Step::DeleteByFilter(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three replicas that fork at moments of their own, or never; writes before, while and after.
    #[test]
    fn parent_and_child_are_what_the_shard_was(
        before in prop::collection::vec(step(), 1..60),
        after in prop::collection::vec(step(), 0..30),
        first in prop_oneof![(0u8..40).prop_map(|id| hash_of_id(&format!("id-{id}"))), Just(MIDDLE), Just(1)],
    ) {
        let mut world = World::new(first);
        before.iter().for_each(|step| world.step(step));
        let mut child_model = world.model.child(first);
        let at = (world.index + 1) * 1000;
        world.apply(&Command { log_time_ms: at, ..split(first) });
        child_model.pass(at);
        let cut = world.index;
        for shard in &world.shards {
            assert_like(shard, &world.model);
            prop_assert_eq!(shard.range(), HashRange { first: 0, last: first - 1 });
        }
        // Writes to the parent go on before the children are taken.
        let (soon, late) = after.split_at(after.len() / 2);
        let parents_own = |step: &&Step| written(step, 0).is_some();
        soon.iter().filter(parents_own).for_each(|step| world.step(step));
        let mut children: Vec<Arc<Shard>> =
            world.shards.iter().zip(&world.disks).map(|(shard, disk)| child_of(shard, disk)).collect();
        children.push(Arc::new(copied(&children[1])));
        for child in &children {
            prop_assert_eq!((child.applied_index(), child.durable_index()), (cut, cut));
            prop_assert_eq!(child.digest(), children[0].digest());
            assert_like(child, &child_model);
        }
        // Both halves go on, each on its own, and refuse what is the other's.
        let mut index = cut;
        for step in late {
            let Some(command) = written(step, world.index) else { continue };
            world.apply(&command);
            index += 1;
            let truth = child_model.apply(index, &command);
            for child in &children {
                let outcome = Outcome::decode(&child.apply(index, &command.encode())).unwrap();
                prop_assert_eq!(&outcome, &truth);
            }
        }
        for (shard, disk) in world.shards.iter().zip(&world.disks) {
            assert_like(shard, &world.model);
            index_all(shard);
            prop_assert_eq!(shard.checkpoint().unwrap(), world.index);
            let again = open(disk, &shape());
            prop_assert_eq!((again.digest(), again.range()), (shard.digest(), shard.range()));
        }
        for child in &children {
            assert_like(child, &child_model);
            index_all(child);
            let mut query = SearchQuery::new(vector(3, 4), 9);
            query.exact = true;
            assert_search(child, &child_model, &query);
            prop_assert_eq!(child.digest(), children[0].digest());
        }
        let again = Shard::open(Arc::new(world.disks[0].clone()), CHILD, shape()).unwrap();
        (cut + 1..=index).for_each(|at| again.advance(at));
        prop_assert_eq!(again.range(), HashRange { first, last: u64::MAX });
    }
}
