//! Any request to and any answer of a placement driver.

use proptest::prelude::*;
use proptest::{collection::vec, sample::select};
use std::sync::Arc;
use vectron_base::filter::{FieldIndex, FieldType};
use vectron_base::ids::{Incarnation, ReplicaId, ShardId, WorkerId};
use vectron_wire::placement::*;

pub fn spec() -> impl Strategy<Value = CollectionSpec> {
    let read_policy = prop_oneof![
        Just(ReadPolicy::Linearizable),
        Just(ReadPolicy::Eventual),
        any::<u64>().prop_map(|max_staleness_ms| ReadPolicy::Bounded { max_staleness_ms }),
    ];
    let index =
        any::<(u32, u32)>().prop_map(|(degree, ef_construction)| IndexSettings { degree, ef_construction });
    let tuned = (select(&Quantization::ALL[..]), select(&Storage::ALL[..]), index);
    (any::<(String, u32, u32, u32)>(), select(&Distance::ALL[..]), read_policy, tuned).prop_map(
        |((name, dimension, shards, replication_factor), distance, read_policy, tuned)| CollectionSpec {
            name,
            dimension,
            distance,
            shards,
            replication_factor,
            read_policy,
            quantization: tuned.0,
            storage: tuned.1,
            index: tuned.2,
        },
    )
}

pub fn field_index() -> impl Strategy<Value = FieldIndex> {
    (any::<String>(), select(&FieldType::ALL[..])).prop_map(|(field, kind)| FieldIndex { field, kind })
}

fn shard() -> impl Strategy<Value = Shard> {
    let replica = any::<(u64, u64)>()
        .prop_map(|(replica, worker)| Replica { replica: ReplicaId(replica), worker: WorkerId(worker) });
    (any::<(u64, u64, u64, u64)>(), vec(replica, 0..4)).prop_map(|((shard, first, last, epoch), replicas)| {
        Shard { shard: ShardId(shard), first, last, epoch, replicas }
    })
}

pub fn collection() -> impl Strategy<Value = Collection> {
    let state = select(vec![CollectionState::Live, CollectionState::Deleting]);
    (spec(), any::<(u64, u64)>(), state, vec(shard(), 0..4), vec(field_index(), 0..3)).prop_map(
        |(spec, (incarnation, created_at_ms), state, shards, field_indexes)| Collection {
            spec,
            incarnation: Incarnation(incarnation),
            created_at_ms,
            state,
            shards,
            field_indexes,
        },
    )
}

pub fn view() -> impl Strategy<Value = Arc<CatalogView>> {
    (any::<u64>(), vec(collection(), 0..4))
        .prop_map(|(epoch, collections)| Arc::new(CatalogView { epoch, collections }))
}

pub fn registration() -> impl Strategy<Value = Registration> {
    any::<(u64, String, u32, u64, u64)>().prop_map(|(worker, address, cores, memory_bytes, disk_bytes)| {
        Registration { worker: WorkerId(worker), address, cores, memory_bytes, disk_bytes }
    })
}

pub fn report() -> impl Strategy<Value = WorkerReport> {
    let phase = select(vec![ShardPhase::Ready, ShardPhase::Sealed, ShardPhase::Removed, ShardPhase::Failed]);
    let shard =
        (phase, any::<(u64, u64, u64, u64)>()).prop_map(|(phase, (shard, points, disk_bytes, index_lag))| {
            ShardReport { shard: ShardId(shard), phase, points, disk_bytes, index_lag }
        });
    (any::<(u64, u64)>(), vec(shard, 0..5)).prop_map(|((worker, disk_free_bytes), shards)| WorkerReport {
        worker: WorkerId(worker),
        disk_free_bytes,
        shards,
    })
}
