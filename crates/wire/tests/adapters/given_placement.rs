//! Any request to and any answer of a placement driver.

use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};
use std::sync::Arc;
use vectron_base::filter::{FieldIndex, FieldType, Language, TextAnalysis};
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
    let index = index.boxed();
    let dense =
        (any::<u32>(), select(&Distance::ALL[..]), select(&Quantization::ALL[..]), select(&Storage::ALL[..]));
    let dense = (dense, index.clone()).prop_map(|((dimension, distance, quantization, storage), index)| {
        VectorFieldKind::Dense { dimension, distance, quantization, storage, index }
    });
    let multi = (any::<u32>(), select(&Distance::ALL[..]))
        .prop_map(|(dimension, distance)| VectorFieldKind::Multi { dimension, distance });
    let kind = prop_oneof![dense, Just(VectorFieldKind::Sparse), multi];
    let field = (any::<u32>(), any::<String>(), kind);
    let fields = vec(field.prop_map(|(number, name, kind)| VectorField { number, name, kind }), 0..4);
    let later = (any::<Option<u64>>(), fields);
    let tuned = (select(&Quantization::ALL[..]), select(&Storage::ALL[..]), index, later);
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
            ttl_ms: tuned.3.0,
            vector_fields: tuned.3.1,
        },
    )
}

pub fn field_index() -> impl Strategy<Value = FieldIndex> {
    let analysis = (select(Language::ALL), any::<bool>())
        .prop_filter_map("stems of no language", |(l, stemming)| TextAnalysis::new(Some(l), Some(stemming)));
    (any::<String>(), select(&FieldType::ALL[..]), analysis).prop_map(|(field, kind, analysis)| {
        let kind = kind.analysis().map_or(kind, |_| FieldType::Text(analysis));
        FieldIndex { field, kind }
    })
}

pub fn replica() -> impl Strategy<Value = Replica> {
    (any::<(u64, u64)>(), select(&ReplicaRole::ALL[..])).prop_map(|((replica, worker), role)| Replica {
        replica: ReplicaId(replica),
        worker: WorkerId(worker),
        role,
    })
}

fn split() -> impl Strategy<Value = Split> {
    (any::<(u64, u64, bool)>(), vec(replica(), 0..4)).prop_map(|((child, first, cut), replicas)| Split {
        child: ShardId(child),
        first,
        replicas,
        cut,
    })
}

fn shard() -> impl Strategy<Value = Shard> {
    let figures = any::<(u64, u64, u64, u64, u64, Option<u64>)>();
    (figures, vec(replica(), 0..4), option::of(split())).prop_map(|(f, replicas, split)| Shard {
        shard: ShardId(f.0),
        first: f.1,
        last: f.2,
        epoch: f.3,
        config: f.4,
        replicas,
        leader: f.5.map(ReplicaId),
        split,
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

pub fn worker_entry() -> impl Strategy<Value = WorkerEntry> {
    (registration(), select(vec![WorkerState::Active, WorkerState::Draining]))
        .prop_map(|(registration, state)| WorkerEntry { registration, state })
}

pub fn alias() -> impl Strategy<Value = Alias> {
    any::<(String, String)>().prop_map(|(alias, collection)| Alias { alias, collection })
}

pub fn view() -> impl Strategy<Value = Arc<CatalogView>> {
    (any::<u64>(), vec(collection(), 0..4), vec(worker_entry(), 0..4), vec(alias(), 0..4)).prop_map(
        |(epoch, collections, workers, aliases)| {
            Arc::new(CatalogView { epoch, collections, workers, aliases })
        },
    )
}

pub fn registration() -> impl Strategy<Value = Registration> {
    let place = any::<(String, String, String)>();
    (any::<(u64, String, u32, u64, u64)>(), place).prop_map(|(f, (region, zone, rack))| Registration {
        worker: WorkerId(f.0),
        address: f.1,
        locality: Locality { region, zone, rack },
        cores: f.2,
        memory_bytes: f.3,
        disk_bytes: f.4,
    })
}

pub fn members() -> impl Strategy<Value = Members> {
    let replicas = || vec(any::<u64>().prop_map(ReplicaId), 0..4);
    (replicas(), replicas(), replicas()).prop_map(|(voters, learners, outgoing)| Members {
        voters,
        learners,
        outgoing,
    })
}

fn lead() -> impl Strategy<Value = LeadReport> {
    let matched = vec(any::<(u64, u64)>().prop_map(|(replica, index)| (ReplicaId(replica), index)), 0..4);
    (any::<(u64, u64)>(), members(), matched).prop_map(|((term, committed), members, matched)| LeadReport {
        term,
        members,
        committed,
        matched,
    })
}

pub fn phase() -> impl Strategy<Value = ShardPhase> {
    select(vec![
        ShardPhase::Ready,
        ShardPhase::Sealed,
        ShardPhase::Removed,
        ShardPhase::Failed,
        ShardPhase::Opening,
    ])
}

pub fn load() -> impl Strategy<Value = WorkerLoad> {
    any::<(u64, u64, u64)>().prop_map(|(searches_per_s, writes_per_s, search_p99_us)| WorkerLoad {
        searches_per_s,
        writes_per_s,
        search_p99_us,
    })
}

fn shard_report() -> impl Strategy<Value = ShardReport> {
    let mark = any::<Option<(u64, u128)>>();
    let mark = mark.prop_map(|mark| mark.map(|(index, digest)| Mark { index, digest }));
    let figures = any::<(u64, u64, u64, u64, u64, u64, u64, u64, bool)>();
    (phase(), figures, mark, option::of(lead())).prop_map(|(phase, f, mark, lead)| ShardReport {
        shard: ShardId(f.0),
        replica: ReplicaId(f.1),
        phase,
        epoch: f.2,
        points: f.3,
        disk_bytes: f.4,
        memory_bytes: f.5,
        index_lag: f.6,
        applied_index: f.7,
        mark,
        split_ready: f.8,
        lead,
    })
}

pub fn report() -> impl Strategy<Value = WorkerReport> {
    (any::<(u64, u64, u64)>(), load(), vec(shard_report(), 0..5)).prop_map(|(f, load, shards)| WorkerReport {
        worker: WorkerId(f.0),
        disk_free_bytes: f.1,
        memory_used_bytes: f.2,
        load,
        shards,
    })
}
