//! No space: checkpoints fail, nothing else does, and space alone heals it.

use crate::support::*;
use vectron_base::disk::DiskFailure;
use vectron_base::disk::sim::SimDisk;
use vectron_store::{CheckpointError, Metric};

#[test]
fn a_full_disk_fails_the_checkpoint_and_nothing_else() {
    let (disk, config) = (SimDisk::new(1), config(8, Metric::Cosine));
    let shard = open(&disk, &config);
    let batch = |n: u64| {
        upsert((0..20).map(|i| point(&format!("p{i}"), &vector(n * 20 + i, 8), r#"{"a":1}"#)).collect())
    };
    apply(&shard, &batch(1));
    shard.checkpoint().unwrap();
    let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
    for room in [0, 1, 15, 600, 1500] {
        disk.set_capacity(Some(used + room));
        apply(&shard, &batch(2 + room));
        index_all(&shard);
        let Err(CheckpointError::Disk(error)) = shard.checkpoint() else { panic!("{room}") };
        assert_eq!(error.failure, DiskFailure::Full);
        assert_eq!(shard.durable_index(), 1);
        assert_eq!(shard.count(None).unwrap().value, 20);
        assert!(shard.get(&["p3"], ALL).unwrap().value[0].is_some());
        // The failed attempt gives its space back.
        let now: u64 = disk.files().iter().filter(|(n, _)| !n.ends_with(".tmp")).map(|(_, len)| len).sum();
        assert_eq!(now, used);
    }
    // What was durable before is durable still.
    let old = open(&disk, &config);
    assert_eq!((old.applied_index(), old.count(None).unwrap().value), (1, 20));
    drop(old);
    disk.set_capacity(None);
    assert_eq!(shard.checkpoint().unwrap(), shard.applied_index());
    assert_eq!(open(&disk, &config).digest(), shard.digest());
}
