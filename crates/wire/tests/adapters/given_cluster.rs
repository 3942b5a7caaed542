//! Any view of a cluster and any change to one.

use crate::given_placement::{alias, load, phase, replica, worker_entry};
use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};
use vectron_base::ids::{ReplicaId, ShardId, WorkerId};
use vectron_wire::alias::AliasAction;
use vectron_wire::cluster::*;

fn driver_member() -> impl Strategy<Value = DriverMember> {
    any::<(u64, String, bool, bool)>().prop_map(|(replica, address, votes, leads)| DriverMember {
        replica: ReplicaId(replica),
        address,
        votes,
        leads,
    })
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec(any::<String>(), 0..3)
}

fn worker() -> impl Strategy<Value = WorkerView> {
    let figures = any::<(Option<u64>, bool, u64, u64, u64, u64, u64)>();
    (worker_entry(), figures, load(), words()).prop_map(|(entry, f, load, blocked_by)| WorkerView {
        entry,
        silent_ms: f.0,
        alive: f.1,
        disk_free_bytes: f.2,
        memory_used_bytes: f.3,
        replicas: f.4,
        leads: f.5,
        points: f.6,
        load,
        blocked_by,
    })
}

fn replica_view() -> impl Strategy<Value = ReplicaView> {
    (replica(), option::of(phase()), any::<(bool, u64, u64)>()).prop_map(|(replica, phase, f)| ReplicaView {
        replica: replica.replica,
        worker: replica.worker,
        role: replica.role,
        phase,
        leads: f.0,
        applied_index: f.1,
        index_lag: f.2,
    })
}

fn shard() -> impl Strategy<Value = ShardView> {
    let figures = any::<(String, u64, u64, u64, u64, u64, u64, Option<u64>)>();
    (figures, vec(replica_view(), 0..4), words()).prop_map(|(f, replicas, problems)| ShardView {
        collection: f.0,
        shard: ShardId(f.1),
        first: f.2,
        last: f.3,
        epoch: f.4,
        points: f.5,
        disk_bytes: f.6,
        splits_off: f.7.map(ShardId),
        replicas,
        problems,
    })
}

pub fn planned() -> impl Strategy<Value = PlannedMove> {
    any::<(u64, Option<u64>, Option<u64>, u64, String)>().prop_map(|(shard, from, to, bytes, reason)| {
        PlannedMove { shard: ShardId(shard), from: from.map(WorkerId), to: to.map(WorkerId), bytes, reason }
    })
}

fn a_move() -> impl Strategy<Value = MoveView> {
    (any::<(u64, u64)>(), planned(), select(&MoveStep::ALL[..]))
        .prop_map(|((id, started_ms), planned, step)| MoveView { id, planned, step, started_ms })
}

pub fn view() -> impl Strategy<Value = ClusterView> {
    let parts = (vec(driver_member(), 0..4), vec(worker(), 0..4), vec(shard(), 0..4), vec(a_move(), 0..4));
    (any::<(u64, bool)>(), parts).prop_map(|((epoch, paused), (members, workers, shards, moves))| {
        ClusterView { epoch, members, workers, shards, moves, paused }
    })
}

pub fn change() -> impl Strategy<Value = ClusterChange> {
    let worker = || any::<u64>().prop_map(WorkerId);
    let shard = || any::<u64>().prop_map(ShardId);
    let replica = || any::<u64>().prop_map(ReplicaId);
    let action = prop_oneof![
        alias().prop_map(AliasAction::Set),
        any::<String>().prop_map(|alias| AliasAction::Delete { alias }),
    ];
    prop_oneof![
        vec(action, 0..4).prop_map(ClusterChange::Aliases),
        worker().prop_map(ClusterChange::Drain),
        worker().prop_map(ClusterChange::Undrain),
        worker().prop_map(ClusterChange::Remove),
        shard().prop_map(ClusterChange::Split),
        any::<bool>().prop_map(|dry_run| ClusterChange::Rebalance { dry_run }),
        (shard(), worker(), worker(), any::<bool>())
            .prop_map(|(shard, from, to, dry_run)| ClusterChange::Move { shard, from, to, dry_run }),
        (shard(), worker()).prop_map(|(shard, to)| ClusterChange::Transfer { shard, to }),
        (shard(), worker()).prop_map(|(shard, to)| ClusterChange::AddLearner { shard, to }),
        (shard(), worker()).prop_map(|(shard, from)| ClusterChange::RemoveLearner { shard, from }),
        Just(ClusterChange::Pause),
        Just(ClusterChange::Resume),
        any::<u64>().prop_map(ClusterChange::Cancel),
        (replica(), any::<String>())
            .prop_map(|(replica, address)| ClusterChange::AddMember { replica, address }),
        replica().prop_map(ClusterChange::RemoveMember),
    ]
}
