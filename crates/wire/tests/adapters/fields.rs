//! Every field of every request and answer gets through, converted alone and over a socket.
//!
//! Values are compared in debug form, which also tells 0 from -0 and integers from equal doubles.

use crate::stage::{Stage, WAYS, Way};
use crate::{given, given_cluster, given_examine, given_placement, given_snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;
use vectron_base::Fault;
use vectron_wire::placement::Placement;
use vectron_wire::proto::{placement as placement_pb, worker as worker_pb};
use vectron_wire::worker::{SearchTrace, ShardRead};

/// Domain type to message `M` to bytes to message to domain type is the identity.
fn round_trips<M, T>(given: impl Strategy<Value = T>)
where
    M: prost::Message + Default + From<T>,
    T: TryFrom<M, Error = Fault> + Clone + Debug,
{
    given::runner(256)
        .run(&given, |value| {
            let bytes = M::from(value.clone()).encode_to_vec();
            let again = T::try_from(M::decode(&bytes[..]).unwrap());
            prop_assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<T, Fault>(value)));
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_message_of_the_worker_round_trips() {
    round_trips::<worker_pb::WriteRequest, _>(given::write());
    round_trips::<worker_pb::GetRequest, _>(given::get());
    round_trips::<worker_pb::SearchRequest, _>(given::search());
    round_trips::<worker_pb::ScrollRequest, _>(given::scroll());
    round_trips::<worker_pb::CountRequest, _>(given::count());
    round_trips::<worker_pb::TextStatsRequest, _>(given::text_question());
    round_trips::<worker_pb::TextStatsResponse, _>(given::text_counted());
    round_trips::<worker_pb::ExamineRequest, _>(given_examine::request());
    round_trips::<worker_pb::ExamineResponse, _>(given_examine::answer());
    round_trips::<worker_pb::TuneRequest, _>(given_examine::tune());
    round_trips::<worker_pb::TuneResponse, _>(given_examine::tuned());
    round_trips::<worker_pb::BrowseRequest, _>(given::browse());
    round_trips::<worker_pb::StatusRequest, _>(given::target());
    round_trips::<worker_pb::WriteResponse, _>(given::written());
    round_trips::<worker_pb::GetResponse, _>(given::got());
    round_trips::<worker_pb::SearchResponse, _>(given::found());
    round_trips::<worker_pb::ScrollResponse, _>(given::page());
    round_trips::<worker_pb::CountResponse, _>(given::counted());
    round_trips::<worker_pb::BrowseResponse, _>(given::browsed());
    round_trips::<worker_pb::StatusResponse, _>(given::status());
    round_trips::<worker_pb::SnapshotRequest, _>(given_snapshot::request());
    round_trips::<worker_pb::SnapshotResponse, _>(given_snapshot::offer());
    round_trips::<worker_pb::SnapshotPartRequest, _>(given_snapshot::part_request());
    round_trips::<worker_pb::SnapshotPartResponse, _>(given_snapshot::part());
}

#[test]
fn every_message_of_the_placement_driver_round_trips() {
    round_trips::<placement_pb::CreateCollectionRequest, _>((given_placement::spec(), any::<u64>()));
    round_trips::<placement_pb::CreateCollectionResponse, _>((given_placement::collection(), any::<bool>()));
    round_trips::<placement_pb::DeleteCollectionRequest, _>(any::<(String, u64)>());
    round_trips::<placement_pb::DeleteCollectionResponse, _>(Just(()));
    round_trips::<placement_pb::CreateIndexRequest, _>((any::<String>(), given_placement::field_index()));
    round_trips::<placement_pb::CreateIndexResponse, _>(any::<bool>());
    round_trips::<placement_pb::DeleteIndexRequest, _>(any::<(String, String)>());
    round_trips::<placement_pb::DeleteIndexResponse, _>(Just(()));
    round_trips::<placement_pb::WatchRequest, u64>(any::<u64>());
    round_trips::<placement_pb::Catalog, _>(given_placement::view());
    round_trips::<placement_pb::RegisterRequest, _>(given_placement::registration());
    round_trips::<placement_pb::RegisterResponse, _>(Just(()));
    round_trips::<placement_pb::ReportRequest, _>(given_placement::report());
    round_trips::<placement_pb::ReportResponse, _>(Just(()));
    round_trips::<placement_pb::ClusterRequest, _>(Just(()));
    round_trips::<placement_pb::ClusterResponse, _>(given_cluster::view());
    round_trips::<placement_pb::ChangeRequest, _>(given_cluster::change());
    round_trips::<placement_pb::ChangeResponse, _>(vec(given_cluster::planned(), 0..4));
    round_trips::<placement_pb::CatalogSnapshotRequest, _>(Just(()));
    round_trips::<placement_pb::CatalogSnapshotResponse, _>(given_snapshot::catalog());
}

/// A call of one method over the socket: what is asked arrives, what is answered returns, fault or not.
fn carries<Q, A, F>(
    stage: &Stage,
    requests: impl Strategy<Value = Q>,
    answers: impl Strategy<Value = A>,
    call: impl Fn(Q) -> F,
) where
    Q: Clone + Debug,
    A: Clone + Debug + Send + 'static,
    F: Future<Output = Result<A, Fault>>,
{
    let answers = prop_oneof![3 => answers.prop_map(Ok), 1 => given::fault().prop_map(Err)];
    given::runner(48)
        .run(&(requests, answers), |(request, answer)| {
            stage.script.will(answer.clone());
            let got = stage.wait(call(request.clone()));
            prop_assert_eq!(stage.script.asked(), Some(format!("{request:?}")));
            prop_assert_eq!(format!("{got:?}"), format!("{answer:?}"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn every_method_of_the_worker_carries_everything() {
    for way in WAYS {
        let stage = Stage::new(way);
        let worker = &stage.worker;
        carries(&stage, given::write(), given::written(), |q| worker.write(q));
        carries(&stage, given::get(), given::got(), |q| worker.get(q));
        carries(&stage, given::search(), given::found(), |q| worker.search(q));
        let again = (given::search(), any::<u64>());
        let found = (given::found(), any::<bool>()).prop_map(|(read, unchanged)| match unchanged {
            true => ShardRead { value: None, delivered: read.delivered },
            false => read.some(),
        });
        carries(&stage, again, found, |(q, known)| worker.search_if_changed(q, known));
        carries(&stage, given::scroll(), given::page(), |q| worker.scroll(q));
        carries(&stage, given::count(), given::counted(), |q| worker.count(q));
        carries(&stage, given::text_question(), given::text_counted(), |q| worker.text_stats(q));
        carries(&stage, given_examine::request(), given_examine::answer(), |q| worker.examine(q));
        carries(&stage, given_examine::tune(), given_examine::tuned(), |q| worker.tune(q));
        carries(&stage, given::browse(), given::browsed(), |q| worker.browse(q));
        carries(&stage, given::target(), given::status(), |q| worker.status(q));
        carries(&stage, given_snapshot::request(), given_snapshot::offer(), |q| worker.snapshot(q));
        carries(&stage, given_snapshot::part_request(), given_snapshot::part(), |q| worker.snapshot_part(q));
    }
}

#[test]
fn every_method_of_the_placement_driver_carries_everything() {
    let stage = Stage::new(Way::Grpc);
    let driver: Arc<dyn Placement> = Arc::new(stage.placement.clone());
    let driver = &driver;
    let created = (given_placement::collection(), any::<bool>());
    carries(&stage, (given_placement::spec(), given::timeout()), created, |(spec, timeout_ms)| {
        driver.create_collection(spec, timeout_ms)
    });
    carries(
        &stage,
        (any::<String>(), given::timeout()),
        Just(()),
        async |(name, timeout_ms): (String, u64)| driver.delete_collection(&name, timeout_ms).await,
    );
    let index = (any::<String>(), given_placement::field_index());
    carries(&stage, index, any::<bool>(), async |(name, index): (String, _)| {
        driver.create_index(&name, index).await
    });
    carries(&stage, any::<(String, String)>(), Just(()), async |(name, field): (String, String)| {
        driver.delete_index(&name, &field).await
    });
    carries(&stage, any::<u64>(), given_placement::view(), |epoch| driver.watch(epoch));
    carries(&stage, given_placement::registration(), Just(()), |q| driver.register(q));
    carries(&stage, given_placement::report(), Just(()), |q| driver.report(q));
    carries(&stage, Just(()), given_cluster::view(), |()| driver.cluster());
    let moves = vec(given_cluster::planned(), 0..4);
    carries(&stage, given_cluster::change(), moves, |q| driver.change(q));
    carries(&stage, Just(()), given_snapshot::catalog(), |()| driver.catalog_snapshot());
}

#[test]
fn a_name_that_this_build_does_not_know_becomes_other() {
    let stages = vec![
        worker_pb::Stage { name: "fetch".into(), us: 4 },
        worker_pb::Stage { name: "prophecy".into(), us: 5 },
    ];
    let trace = SearchTrace::from(worker_pb::Trace { plan: "oracle".into(), stages, ..Default::default() });
    assert_eq!(trace.plan, "other");
    let told: Vec<_> = trace.stages.iter().map(|stage| (stage.name, stage.us)).collect();
    assert_eq!(told, [("fetch", 4), ("other", 5)]);
}
