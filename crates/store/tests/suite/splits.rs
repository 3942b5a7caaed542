//! Splits of a shard that serves: a crash anywhere is recovered from, retries get their answers, and what belongs to
//! both halves is refused.

use crate::support::*;
use std::sync::Arc;
use vectron_base::disk::Disk;
use vectron_base::disk::sim::{Faults, SimDisk};
use vectron_base::ids::hash_of_id;
use vectron_base::random::mix64;
use vectron_store::{
    Command, ExportError, ForkError, HashRange, Import, ItemOutcome, Metric, OpenError, Operation, Outcome,
    Refusal, Shard, ShardConfig,
};

pub const CHILD: &str = "shards/8";
pub const MIDDLE: u64 = 1 << 63;

pub fn shape() -> ShardConfig {
    config(4, Metric::Dot)
}

pub fn split(first: u64) -> Command {
    command(Operation::Split { first, child: 8 })
}

pub fn fork(shard: &Shard, disk: &SimDisk, first: u64) -> Arc<Shard> {
    shard.fork(Arc::new(disk.clone()), CHILD, first).unwrap()
}

fn copy_all(shard: &Shard) {
    while shard.fork_step().unwrap() {}
}

/// The child of a split that was applied, whether or not it was forked before.
pub fn child_of(shard: &Shard, disk: &SimDisk) -> Arc<Shard> {
    let first = shard.forks()[0].first;
    fork(shard, disk, first);
    copy_all(shard);
    shard.take_child(first).unwrap().unwrap()
}

/// The child as another replica gets it: by a copy.
pub fn copied(child: &Shard) -> Shard {
    let export = child.export().unwrap();
    let disk = SimDisk::new(77);
    let mut import = Import::begin(Arc::new(disk.clone()), DIR, export.files()).unwrap();
    while let Some((name, have)) = import.next().map(|(file, have)| (file.name.clone(), have)) {
        import.put(&name, have, &export.read(&name, have, 5000).unwrap()).unwrap();
    }
    import.finish().unwrap();
    open(&disk, &shape())
}

/// An id whose hash is in the upper or the lower half, the n-th of those.
fn id_in(upper: bool, n: usize) -> String {
    (0..).map(|i| format!("id-{i}")).filter(|id| (hash_of_id(id) >= MIDDLE) == upper).nth(n).unwrap()
}

fn filled(disk: &SimDisk, points: usize) -> Shard {
    let shard = open(disk, &shape());
    for from in (0..points).step_by(20) {
        let one =
            |i: usize| point(&format!("id-{i}"), &vector(i as u64, 4), &format!(r#"{{"n":{}}}"#, i % 5));
        apply(&shard, &upsert((from..(from + 20).min(points)).map(one).collect()));
    }
    shard
}

#[test]
fn a_split_while_threads_write_copy_and_index() {
    let disk = SimDisk::new(1);
    let (shard, plain) = (filled(&disk, 3000), filled(&SimDisk::new(2), 3000));
    shard.checkpoint().unwrap();
    let child = fork(&shard, &disk, MIDDLE);
    let log: Vec<Vec<u8>> = (0..600u64)
        .map(|i| {
            let id = |n: u64| format!("id-{}", mix64(i * 7 + n) % 3500);
            match i % 3 {
                0 => delete(&[&id(0)]).encode(),
                _ => upsert(vec![point(&id(1), &vector(i, 4), "{}")]).encode(),
            }
        })
        .collect();
    let begun = shard.applied_index();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (at, bytes) in log.iter().enumerate() {
                shard.apply(begun + 1 + at as u64, bytes);
            }
        });
        scope.spawn(|| copy_all(&shard));
        scope.spawn(|| (0..200).for_each(|_| _ = child.index_step(&|| false)));
        scope.spawn(|| (0..5).for_each(|_| _ = (shard.checkpoint().unwrap(), child.checkpoint().unwrap())));
    });
    log.iter().enumerate().for_each(|(at, bytes)| drop(plain.apply(begun + 1 + at as u64, bytes)));
    copy_all(&shard);
    index_all(&child);
    let status = shard.forks()[0];
    assert!(status.ready && status.copied && status.cut.is_none(), "{status:?}");
    let points = shard.stats().points;
    for shard in [&shard, &plain] {
        assert!(
            matches!(apply(shard, &split(MIDDLE)), Outcome::Written { deleted, .. } if deleted == status.points)
        );
    }
    assert_eq!(shard.forks()[0].cut, Some((shard.applied_index(), 8)));
    let (of_fork, later) = (shard.take_child(MIDDLE).unwrap().unwrap(), child_of(&plain, &SimDisk::new(3)));
    assert!(Arc::ptr_eq(&of_fork, &child));
    assert_eq!((of_fork.digest(), shard.digest()), (later.digest(), plain.digest()));
    assert_eq!(of_fork.stats().points + shard.stats().points, points);
    // The child's graph was built while the parent served.
    assert_eq!(of_fork.pending(), 0);
    assert!(later.pending() > 0);
}

/// What the worker does after a crash: replay, and then take the child if there is none, or forget the fork.
fn recover(disk: &SimDisk, log: &[Vec<u8>]) -> (Shard, Arc<Shard>) {
    let shard = open(disk, &shape());
    for index in shard.applied_index() + 1..=log.len() as u64 {
        shard.apply(index, &log[index as usize - 1]);
    }
    let child = match Shard::open(Arc::new(disk.clone()), CHILD, shape()) {
        Ok(child) if child.applied_index() > 0 => {
            shard.forget_fork(MIDDLE);
            Arc::new(child)
        }
        Ok(_) | Err(OpenError::Unfinished(_)) => child_of(&shard, disk),
        Err(other) => panic!("{other}"),
    };
    (shard, child)
}

#[test]
fn power_loss_at_every_operation_of_a_split_loses_nothing() {
    let log: Vec<Vec<u8>> = (0..24u64)
        .map(|i| match i {
            16 => split(MIDDLE).encode(),
            _ if i % 5 == 4 => command(Operation::DeleteByFilter(format!(r#"{{"i":{}}}"#, i - 4))).encode(),
            _ => {
                let one = |n: u64| {
                    let id = match i < 16 {
                        true => format!("id-{}", (i * 5 + n) % 40),
                        false => id_in(false, n as usize),
                    };
                    point(&id, &vector(i + n, 4), &format!(r#"{{"i":{i}}}"#))
                };
                keyed(upsert((0..4).map(one).collect()), i, &format!("k{i}"), i).encode()
            }
        })
        .collect();
    let (truth, child_truth) = {
        let disk = SimDisk::new(9);
        let shard = open(&disk, &shape());
        log.iter().enumerate().for_each(|(at, bytes)| drop(shard.apply(at as u64 + 1, bytes)));
        let child = child_of(&shard, &disk);
        (shard.digest(), child.digest())
    };
    // Everything as far as the disk lets it.
    let work = |disk: &SimDisk, fork_at: usize| -> Option<()> {
        let shard = Shard::open(Arc::new(disk.clone()), DIR, shape()).ok()?;
        let mut child = None;
        for (at, bytes) in log.iter().enumerate() {
            if at == fork_at {
                child = Some(shard.fork(Arc::new(disk.clone()), CHILD, MIDDLE).ok()?);
            }
            shard.apply(at as u64 + 1, bytes);
            shard.fork_step().ok()?;
            if at % 3 == 1 {
                shard.checkpoint().ok()?;
                if let Some(child) = &child {
                    child.index_step(&|| false);
                    child.checkpoint().ok()?;
                }
            }
            if at == 19 {
                if child.is_none() {
                    shard.fork(Arc::new(disk.clone()), CHILD, MIDDLE).ok()?;
                    shard.fork_step().ok()?;
                }
                shard.take_child(MIDDLE).ok()??;
            }
        }
        shard.checkpoint().ok()?;
        Some(())
    };
    let mut replayed = 0;
    for fork_at in [3, 15, 99] {
        let undisturbed = SimDisk::new(0);
        work(&undisturbed, fork_at).unwrap();
        for at in 1..=undisturbed.operations() {
            let disk = SimDisk::new(at * 100 + fork_at as u64);
            disk.set_faults(Faults { power_loss_at_operation: Some(at), ..Faults::default() });
            work(&disk, fork_at);
            disk.lose_power();
            disk.restart();
            let durable = open(&disk, &shape()).durable_index();
            replayed += u64::from(durable < 17);
            let (shard, child) = recover(&disk, &log);
            assert_eq!(
                (shard.digest(), child.digest()),
                (truth.clone(), child_truth.clone()),
                "operation {at}"
            );
            // From now on both are shards like any other.
            assert_eq!(shard.checkpoint().unwrap(), 24);
            disk.lose_power();
            disk.restart();
            assert_eq!(open(&disk, &shape()).digest(), truth);
            let child = Shard::open(Arc::new(disk.clone()), CHILD, shape()).unwrap();
            assert_eq!(child.digest(), child_truth);
        }
    }
    assert!(replayed > 50, "{replayed}");
}

#[test]
fn the_parent_makes_no_checkpoint_until_the_child_is_durable() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 100);
    shard.checkpoint().unwrap();
    let durable = shard.durable_index();
    apply(&shard, &split(MIDDLE));
    let lower = id_in(false, 0);
    apply(&shard, &upsert(vec![point(&lower, &vector(1, 4), "{}")]));
    assert_eq!(shard.checkpoint().unwrap(), durable);
    assert!(!shard.checkpoint_due());
    // A disk that refuses the child's checkpoint changes nothing of that.
    fork(&shard, &disk, MIDDLE);
    assert!(shard.take_child(MIDDLE).unwrap().is_none());
    copy_all(&shard);
    disk.set_capacity(Some(10));
    assert!(shard.take_child(MIDDLE).is_err());
    assert_eq!(shard.checkpoint().unwrap(), durable);
    disk.set_capacity(None);
    let child = shard.take_child(MIDDLE).unwrap().unwrap();
    assert_eq!(child.durable_index(), durable + 1);
    assert_eq!(shard.checkpoint().unwrap(), durable + 2);
    assert!(shard.forks().is_empty() && shard.take_child(MIDDLE).unwrap().is_none());
}

#[test]
fn a_child_under_way_is_no_shard_and_a_whole_one_is_not_overwritten() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 200);
    for first in [0, u64::MAX] {
        // Everything, and all but nothing: the first cannot be.
        let refused = shard.fork(Arc::new(disk.clone()), CHILD, first).err();
        assert_eq!(refused.is_some(), first == 0, "{refused:?}");
        shard.forget_fork(first);
    }
    let child = fork(&shard, &disk, MIDDLE);
    assert!(Arc::ptr_eq(&child, &fork(&shard, &disk, MIDDLE)));
    let other = shard.fork(Arc::new(disk.clone()), CHILD, MIDDLE + 1);
    assert!(matches!(other.err(), Some(ForkError::Busy)));
    copy_all(&shard);
    child.checkpoint().unwrap();
    let opened = Shard::open(Arc::new(disk.clone()), CHILD, shape());
    assert!(matches!(opened, Err(OpenError::Unfinished(_))));
    assert!(matches!(child.export(), Err(ExportError::NoCheckpoint)));
    shard.forget_fork(MIDDLE);
    // Another attempt empties the directory.
    fork(&shard, &disk, MIDDLE);
    assert_eq!(disk.list(CHILD).unwrap(), ["manifest"]);
    assert!(matches!(Shard::open(Arc::new(disk.clone()), CHILD, shape()), Err(OpenError::Unfinished(_))));
    copy_all(&shard);
    apply(&shard, &split(MIDDLE));
    let child = shard.take_child(MIDDLE).unwrap().unwrap();
    let whole = child.digest();
    drop(child);
    let again = shard.fork(Arc::new(disk.clone()), CHILD, MIDDLE / 2);
    assert!(matches!(again.err(), Some(ForkError::Occupied(_))));
    assert_eq!(Shard::open(Arc::new(disk.clone()), CHILD, shape()).unwrap().digest(), whole);
    // The same split once more, as a retry would have it, does nothing.
    assert_eq!(apply(&shard, &split(MIDDLE)), Outcome::OutOfRange);
    assert!(matches!(
        shard.fork(Arc::new(disk.clone()), "x", MIDDLE).err(),
        Some(ForkError::OutOfRange { .. })
    ));
    apply(&shard, &command(Operation::Seal));
    assert_eq!(apply(&shard, &split(MIDDLE / 2)), Outcome::Sealed);
    let refused = shard.fork(Arc::new(disk.clone()), "x", MIDDLE / 2).err();
    assert_eq!(refused, Some(ForkError::Refused(Refusal::Sealed)));
}

#[test]
fn what_belongs_to_both_halves_is_refused_whole() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 100);
    let (lower, upper) = (id_in(false, 3), id_in(true, 3));
    apply(&shard, &split(MIDDLE));
    let child = child_of(&shard, &disk);
    let new = |id: &str| point(id, &vector(999, 4), "{}");
    let all = HashRange::ALL;
    for (half, own, other) in [(&shard, &lower, &upper), (&*child, &upper, &lower)] {
        let digest = half.digest().value;
        let mut by_filter = command(Operation::DeleteByFilter(r#"{"n":1}"#.into()));
        by_filter.range = Some(all);
        for refused in [
            upsert(vec![new(own), new(other)]),
            upsert(vec![new(other)]),
            delete(&[own, other]),
            by_filter.clone(),
        ] {
            assert_eq!(apply(half, &refused), Outcome::OutOfRange);
            assert_eq!(half.digest().value, digest);
        }
        // Refused is not done: the key is free for the retry on the new route.
        assert_eq!(apply(half, &keyed(upsert(vec![new(own), new(other)]), 0, "k", 1)), Outcome::OutOfRange);
        let done = apply(half, &keyed(upsert(vec![new(own)]), 0, "k", 1));
        assert!(matches!(done, Outcome::Written { replayed: false, .. }), "{done:?}");
        by_filter.range = Some(half.range());
        assert!(matches!(apply(half, &by_filter), Outcome::Written { deleted: 1.., .. }));
    }
}

#[test]
fn a_retry_across_the_split_gets_its_part_of_the_first_answer() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 30);
    let (lower, upper) = (id_in(false, 1), id_in(true, 1));
    let gone = format!("{upper}-never-there");
    let gone_is_upper = hash_of_id(&gone) >= MIDDLE;
    let mixed = keyed(delete(&[&lower, &upper, &gone]), 5, "mixed", 1);
    let Outcome::Written { version, items, deleted: 2, .. } = apply(&shard, &mixed) else { panic!() };
    assert_eq!(items, [ItemOutcome::Applied, ItemOutcome::Applied, ItemOutcome::Missing]);
    let by_filter = keyed(command(Operation::DeleteByFilter(r#"{"n":2}"#.into())), 5, "filter", 1);
    let Outcome::Written { deleted: by_filter_deleted @ 1.., .. } = apply(&shard, &by_filter) else {
        panic!()
    };
    let same =
        keyed(upsert(vec![point(&lower, &[1.0; 4], "{}"), point(&upper, &[1.0; 4], "{}")]), 5, "same", 1);
    apply(&shard, &same);
    apply(&shard, &split(MIDDLE));
    let child = child_of(&shard, &disk);
    let halves: [(&Shard, Vec<&str>); 2] = if gone_is_upper {
        [(&shard, vec![&lower]), (&child, vec![&gone, &upper])]
    } else {
        [(&shard, vec![&gone, &lower]), (&child, vec![&upper])]
    };
    for (half, ids) in halves {
        let parts: Vec<ItemOutcome> = ids
            .iter()
            .map(|id| if *id == gone { ItemOutcome::Missing } else { ItemOutcome::Applied })
            .collect();
        let expected = Outcome::Written { version, items: parts, deleted: 1, replayed: true };
        assert_eq!(apply(half, &keyed(delete(&ids), 6, "mixed", 1)), expected);
        // As it was, it is answered as it was.
        assert!(matches!(apply(half, &mixed), Outcome::Written { deleted: 2, replayed: true, .. }));
        let id = ids.last().unwrap();
        let part = keyed(upsert(vec![point(id, &[1.0; 4], "{}")]), 6, "same", 1);
        let expected = Outcome::Written {
            version: version + 2,
            items: vec![ItemOutcome::Applied],
            deleted: 0,
            replayed: true,
        };
        assert_eq!(apply(half, &part), expected);
        assert_eq!(apply(half, &keyed(delete(&ids), 6, "mixed", 2)), Outcome::KeyReused);
    }
    // What both answer adds up to what was removed.
    let again: Vec<u64> = [&shard, &*child]
        .map(|half| match apply(half, &by_filter) {
            Outcome::Written { deleted, replayed: true, .. } => deleted,
            other => panic!("{other:?}"),
        })
        .into();
    assert_eq!(again.iter().sum::<u64>(), by_filter_deleted);
}

#[test]
fn a_child_can_be_split_again() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 400);
    apply(&shard, &split(MIDDLE));
    let child = child_of(&shard, &disk);
    let quarter = MIDDLE + MIDDLE / 2;
    let grandchild = child.fork(Arc::new(disk.clone()), "shards/9", quarter).unwrap();
    copy_all(&child);
    apply(&child, &split(quarter));
    assert!(Arc::ptr_eq(&child.take_child(quarter).unwrap().unwrap(), &grandchild));
    let ranges = [&shard, &*child, &*grandchild].map(|shard| (shard.range().first, shard.range().last));
    assert_eq!(ranges, [(0, MIDDLE - 1), (MIDDLE, quarter - 1), (quarter, u64::MAX)]);
    let points = [&shard, &*child, &*grandchild].map(|shard| shard.stats().points);
    assert_eq!(points.iter().sum::<u64>(), 400);
    assert!(points.iter().all(|n| *n > 50), "{points:?}");
}

#[test]
fn two_splits_before_a_child_is_taken_lose_neither() {
    let disk = SimDisk::new(1);
    let shard = filled(&disk, 400);
    shard.checkpoint().unwrap();
    let durable = shard.durable_index();
    apply(&shard, &split(MIDDLE));
    let early = fork(&shard, &disk, MIDDLE);
    // The first one is half copied when the next is forked and cut.
    assert!(shard.fork_step().is_ok());
    let quarter = MIDDLE / 2;
    let second = shard.fork(Arc::new(disk.clone()), "shards/9", quarter).unwrap();
    apply(&shard, &split(quarter));
    copy_all(&shard);
    assert_eq!(shard.forks().len(), 2);
    assert!(Arc::ptr_eq(&shard.take_child(quarter).unwrap().unwrap(), &second));
    assert_eq!(shard.checkpoint().unwrap(), durable);
    assert!(Arc::ptr_eq(&shard.take_child(MIDDLE).unwrap().unwrap(), &early));
    assert_eq!(shard.checkpoint().unwrap(), durable + 2);
    let points = [&shard, &*second, &*early].map(|shard| shard.stats().points);
    assert_eq!(points.iter().sum::<u64>(), 400);
    let ranges = [&shard, &*second, &*early].map(|shard| (shard.range().first, shard.range().last));
    assert_eq!(ranges, [(0, quarter - 1), (quarter, MIDDLE - 1), (MIDDLE, u64::MAX)]);
}

/// Figures of a split: run with
/// `cargo test --release -p vectron-store --test suite -- --ignored --nocapture measure_a_split`.
#[test]
#[ignore = "figures only"]
fn measure_a_split() {
    use vectron_base::clock::{Clock, SystemClock};
    const POINTS: usize = 100_000;
    let clock = SystemClock::new();
    let disk = SimDisk::new(1);
    let shard = Shard::open(Arc::new(disk.clone()), DIR, ShardConfig::new(64, Metric::Dot)).unwrap();
    for from in (0..POINTS).step_by(500) {
        let one = |i: usize| point(&format!("id-{i}"), &vector(i as u64, 64), r#"{"a":1}"#);
        apply(&shard, &upsert((from..from + 500).map(one).collect()));
    }
    shard.checkpoint().unwrap();
    shard.fork(Arc::new(disk.clone()), CHILD, MIDDLE).unwrap();
    let timed = |name: &str, work: &mut dyn FnMut()| {
        let start = clock.now();
        work();
        println!("{name}: {:?}", clock.now().since(start));
    };
    timed("copy", &mut || copy_all(&shard));
    timed("apply the split, forked", &mut || drop(apply(&shard, &split(MIDDLE))));
    timed("take the child", &mut || drop(shard.take_child(MIDDLE).unwrap().unwrap()));
    timed("apply a split, not forked", &mut || drop(apply(&shard, &split(MIDDLE / 2))));
    let stats = shard.stats();
    println!("{} of {POINTS} points are left", stats.points);
}
