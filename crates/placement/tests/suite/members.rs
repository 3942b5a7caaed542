//! Three members of a placement driver: who answers, what survives, and how they change.

use crate::stage::{FIRST, Stage};
use vectron_base::ids::{GroupId, ReplicaId, WorkerId};
use vectron_base::{Code, Outcome};
use vectron_wire::placement::{
    ClusterChange, CollectionSpec, Distance, IndexSettings, Placement, Quantization, ReadPolicy, Storage,
};

fn spec(name: &str, replication_factor: u32) -> CollectionSpec {
    CollectionSpec {
        name: name.into(),
        dimension: 2,
        distance: Distance::Dot,
        shards: 2,
        replication_factor,
        read_policy: ReadPolicy::Linearizable,
        quantization: Quantization::Auto,
        storage: Storage::Ram,
        index: IndexSettings::default(),
        vector_fields: Vec::new(),
        ttl_ms: None,
    }
}

fn create(stage: &mut Stage, name: &str, replication_factor: u32) {
    let spec = spec(name, replication_factor);
    let made = stage.ask_leader(move |service| {
        let spec = spec.clone();
        async move { service.create_collection(spec, 60_000).await }
    });
    assert!(made.is_ok(), "{made:?}");
}

fn names(stage: &Stage, member: u64) -> Vec<String> {
    let catalog = &stage.members[&member].catalog;
    catalog.read(|c| c.view().collections.iter().map(|c| c.spec.name.clone()).collect())
}

/// Lesson 29: followers do not answer, they say who does.
#[test]
fn l29_only_the_leader_answers_and_the_others_name_it() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    create(&mut stage, "a", 3);
    let leader = stage.leader().unwrap();
    for id in FIRST.into_iter().filter(|id| *id != leader) {
        let service = stage.members[&id].service.clone();
        let fault = stage.ask(async move { service.watch(0).await }).unwrap_err();
        assert_eq!((fault.code, fault.outcome), (Code::Unavailable, Outcome::NotApplied));
        assert_eq!(fault.leader, Some(format!("pd-{leader}")));
        let service = stage.members[&id].service.clone();
        let fault = stage.ask(async move { service.cluster().await }).unwrap_err();
        assert_eq!(fault.code, Code::Unavailable);
    }
    let view = stage.ask_leader(|service| async move { service.cluster().await }).unwrap();
    assert_eq!(view.members.len(), 3);
    assert_eq!(view.members.iter().filter(|member| member.leads && member.votes).count(), 1);
    assert_eq!((view.workers.len(), view.shards.len()), (3, 2));
    assert!(view.shards.iter().all(|shard| shard.problems.is_empty()), "{:?}", view.shards);
}

/// A dead worker blocks neither the creation nor the deletion of what is on it.
#[test]
fn a_dead_worker_does_not_block_create_or_delete() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    stage.seconds(2);
    stage.workers.remove(&3);
    // It died a moment ago: nobody knows yet.
    create(&mut stage, "a", 3);
    let deleted = stage.ask_leader(|service| async move { service.delete_collection("a", 60_000).await });
    assert_eq!(deleted, Ok(()));
    stage.until(|stage| names(stage, stage.leader().unwrap()).is_empty());
    stage.seconds(31);
    let late = spec("b", 3);
    let refused = stage.ask_leader(move |service| {
        let late = late.clone();
        async move { service.create_collection(late, 1_000).await }
    });
    let fault = refused.unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    assert!(fault.detail.contains("only 2 worker(s) are live"), "{}", fault.detail);
}

/// A watch wakes with a change, and ends when its member leads no more.
#[test]
fn watches_wake_and_end_with_leadership() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    create(&mut stage, "a", 3);
    let (leader, service) = (stage.leader().unwrap(), stage.lead());
    let epoch = stage.members[&leader].catalog.read(|catalog| catalog.epoch());
    let watching = service.clone();
    let drained = stage.ask(async move {
        let change = service.change(ClusterChange::Drain(WorkerId(1)));
        let (view, _) = futures::future::join(watching.watch(epoch), change).await;
        view
    });
    assert!(drained.unwrap().epoch > epoch);
    let service = stage.lead();
    let epoch = u64::MAX - 1;
    stage.cut_off.lock().insert(leader);
    let mut unchanged = 0;
    // Watches come back unchanged until the member notices that nobody follows it.
    let fault = loop {
        let service = service.clone();
        match stage.ask(async move { service.watch(epoch).await }) {
            Ok(_) => unchanged += 1,
            Err(fault) => break fault,
        }
        assert!(unchanged < 10, "a member that is cut off goes on answering");
    };
    assert_eq!(fault.code, Code::Unavailable);
}

/// Lesson 21: a rolling restart of all members loses nothing.
#[test]
fn l21_a_rolling_restart_keeps_everything() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    create(&mut stage, "a", 3);
    for (round, id) in FIRST.into_iter().enumerate() {
        stage.power_off(id);
        stage.seconds(5);
        create(&mut stage, &format!("while-{round}"), 1);
        stage.power_on(id);
        stage.seconds(5);
    }
    for id in FIRST {
        stage.power_off(id);
    }
    for id in FIRST {
        // One alone is no majority: its log is opened, and nobody leads yet.
        stage.power_on(id);
    }
    stage.until(|stage| stage.leader().is_some());
    stage.seconds(3);
    for id in FIRST {
        assert_eq!(names(&stage, id), ["a", "while-0", "while-1", "while-2"], "member {id}");
    }
    let view = stage.ask_leader(|service| async move { service.watch(0).await }).unwrap();
    assert_eq!(view.workers.len(), 3);
}

/// A member that was away for so long that the others dropped their logs takes the whole catalog.
#[test]
fn a_member_that_lags_takes_the_catalog_from_the_leader() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    create(&mut stage, "a", 3);
    let away = FIRST.into_iter().find(|id| Some(*id) != stage.leader()).unwrap();
    stage.cut_off.lock().insert(away);
    for round in 0..60 {
        let state = if round % 2 == 0 {
            ClusterChange::Drain(WorkerId(1))
        } else {
            ClusterChange::Undrain(WorkerId(1))
        };
        let changed = stage.ask_leader(move |service| {
            let state = state.clone();
            async move { service.change(state).await }
        });
        assert!(changed.is_ok());
    }
    create(&mut stage, "b", 1);
    stage.seconds(3);
    assert_eq!(names(&stage, away), ["a"]);
    stage.cut_off.lock().clear();
    stage.until(|stage| stage.members[&away].catalog.origin().is_some());
    assert_eq!(names(&stage, away), ["a", "b"]);
    let same = |stage: &Stage| {
        let views: Vec<_> =
            FIRST.iter().map(|id| stage.members[id].catalog.read(|catalog| catalog.view())).collect();
        views.iter().all(|view| *view == views[0])
    };
    stage.until(same);
    // It goes on from there, and after a power loss too.
    stage.power_off(away);
    stage.power_on(away);
    create(&mut stage, "c", 1);
    stage.until(|stage| names(stage, away) == ["a", "b", "c"]);
}

/// A member is added as a learner and promoted; the leader is removed after it has handed over, and never comes back.
#[test]
fn members_come_and_go() {
    let mut stage = Stage::three();
    stage.workers.extend([1, 2, 3]);
    create(&mut stage, "a", 3);
    let change = |stage: &mut Stage, change: ClusterChange| {
        stage.ask_leader(move |service| {
            let change = change.clone();
            async move { service.change(change).await }
        })
    };
    change(&mut stage, ClusterChange::AddMember { replica: ReplicaId(4), address: "pd-4".into() }).unwrap();
    stage.power_on(4);
    let votes = |stage: &Stage, id: u64| {
        let leader = stage.leader().map(|leader| &stage.members[&leader]);
        let status = leader.and_then(|member| member.handle.status(GroupId::CATALOG));
        status.is_some_and(|status| status.members.votes(ReplicaId(id)))
    };
    stage.until(|stage| votes(stage, 4));
    assert_eq!(names(&stage, 4), ["a"]);
    let old = stage.leader().unwrap();
    change(&mut stage, ClusterChange::RemoveMember(ReplicaId(old))).unwrap();
    stage.until(|stage| stage.leader().is_some_and(|leader| leader != old) && !votes(stage, old));
    create(&mut stage, "b", 1);
    let back = ClusterChange::AddMember { replica: ReplicaId(old), address: "pd".into() };
    assert_eq!(change(&mut stage, back).unwrap_err().code, Code::UnsafeOperation);
    let view = stage.ask_leader(|service| async move { service.cluster().await }).unwrap();
    assert_eq!(view.members.len(), 3);
    assert!(view.members.iter().all(|member| member.replica != ReplicaId(old)));
}
