//! Faults arrive as they were raised, and malformed messages are refused by the name of their field.

use crate::given::OUTCOMES;
use crate::stage::{Stage, WAYS, a_get, will_fail};
use vectron_base::{Code, Fault, FieldError};
use vectron_wire::placement::{
    CatalogSnapshot, ClusterChange, ClusterView, Collection, CollectionSpec, Locality, Registration, Shard,
    WorkerReport,
};
use vectron_wire::proto::{placement as driver, worker as pb};
use vectron_wire::worker::*;

#[test]
fn every_code_and_outcome_survives_every_method() {
    for (way, code) in WAYS.into_iter().flat_map(|way| Code::ALL.map(|code| (way, code))) {
        let stage = Stage::new(way);
        for outcome in OUTCOMES {
            let mut fault = Fault::on_field(code, "points[7].vector", "has 3 numbers, expected 4");
            fault.outcome = outcome;
            fault.retry_after_ms = Some(250);
            fault.current_version = Some(17);
            let faults = stage.fault_of_each(|script, method| will_fail(script, method, fault.clone()));
            for (method, got) in faults {
                assert_eq!(got, fault, "{method}");
            }
        }
    }
}

#[test]
fn a_fault_too_long_for_headers_keeps_its_code_outcome_and_first_fields() {
    for way in WAYS {
        let stage = Stage::new(way);
        let mut fault = Fault::new(Code::VersionMismatch, "é".repeat(100_000));
        fault.errors = (0..10_000)
            .map(|at| FieldError { field: format!("points[{at}].if_version"), reason: "did not hold".into() })
            .collect();
        stage.script.will::<ShardRead<Vec<Option<PointRecord>>>>(Err(fault.clone()));
        let got = stage.wait(stage.worker.get(a_get(20_000))).unwrap_err();
        assert_eq!((got.code, got.outcome), (fault.code, fault.outcome));
        assert!(got.detail.starts_with("éé") && got.detail.ends_with('…'), "{}", got.detail);
        assert!(got.errors.len() > 50 && got.errors == fault.errors[..got.errors.len()]);
    }
}

/// What is refused, as the field named.
fn refused<T: TryFrom<M, Error = Fault> + std::fmt::Debug, M>(message: M) -> String {
    let fault = T::try_from(message).unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument);
    assert_eq!(fault.errors.len(), 1);
    fault.errors[0].field.clone()
}

fn target() -> Option<pb::Target> {
    Some(pb::Target { shard: 1, incarnation: 1, epoch: 1 })
}

fn level(level: pb::read_level::Level) -> Option<pb::ReadLevel> {
    Some(pb::ReadLevel { level: Some(level) })
}

#[test]
fn malformed_requests_to_a_worker_are_refused_by_field() {
    use pb::read_level::Level;
    use pb::search_request::Query;
    use pb::write_request::Operation;
    let count = |target, read, filter: Option<&str>| {
        let filter = filter.map(Into::into);
        refused::<ShardCount, _>(pb::CountRequest { target, read, filter, timeout_ms: 1 })
    };
    let eventual = || level(Level::Eventual(true));
    assert_eq!(count(None, eventual(), None), "target");
    assert_eq!(count(target(), None, None), "read.level");
    assert_eq!(count(target(), Some(pb::ReadLevel { level: None }), None), "read.level");
    assert_eq!(count(target(), level(Level::Eventual(false)), None), "read.eventual");
    assert_eq!(count(target(), level(Level::Linearizable(false)), None), "read.linearizable");
    assert_eq!(count(target(), eventual(), Some("")), "filter");
    assert_eq!(
        count(target(), eventual(), Some(r#"{"$and":[{},{"a":{"$gt":true}}]}"#)),
        "filter.$and[1].a.$gt"
    );
    assert_eq!(refused::<Target, _>(pb::StatusRequest { target: None }), "target");
    assert_eq!(refused::<SnapshotRequest, _>(pb::SnapshotRequest::default()), "target");
    assert_eq!(refused::<SnapshotPart, _>(pb::SnapshotPartRequest::default()), "target");

    let dense = |vector_f32| Query::Dense(pb::DenseQuery { field: String::new(), vector_f32 });
    let search = |vector_f32: Vec<u8>| pb::SearchRequest {
        target: target(),
        read: level(Level::Linearizable(true)),
        query: Some(dense(vector_f32)),
        recall_target: Some(0.9),
        ..Default::default()
    };
    assert_eq!(refused::<ShardSearch, _>(search(vec![0; 7])), "dense.vector_f32");
    let blind = pb::SearchRequest { query: None, ..search(vec![]) };
    assert_eq!(refused::<ShardSearch, _>(blind), "query");
    assert!(ShardSearch::try_from(search(vec![0; 8])).is_ok());
    let aimless = pb::SearchRequest { recall_target: None, ..search(vec![0; 8]) };
    assert_eq!(refused::<ShardSearch, _>(aimless), "recall_target");

    let write = |operation| pb::WriteRequest { target: target(), operation, ..Default::default() };
    assert_eq!(refused::<ShardWrite, _>(write(None)), "operation");
    let good = pb::UpsertItem { vector_f32: Some(vec![0; 4]), ..Default::default() };
    let bad = pb::UpsertItem { vector_f32: Some(vec![0; 5]), ..Default::default() };
    let upsert = Operation::Upsert(pb::Upsert { points: vec![good, bad] });
    assert_eq!(refused::<ShardWrite, _>(write(Some(upsert))), "upsert.points[1].vector_f32");
    let delete = Operation::DeleteFilter(r#"{"a":{}}"#.into());
    assert_eq!(refused::<ShardWrite, _>(write(Some(delete))), "delete_filter.a");
    let mut keyless = write(Some(Operation::DeleteIds(pb::Ids::default())));
    keyless.body_hash = 1;
    assert_eq!(refused::<ShardWrite, _>(keyless), "idempotency_key");
}

#[test]
fn malformed_answers_of_a_worker_are_refused_by_field() {
    let outcome = pb::ItemOutcome { kind: 9, ..Default::default() };
    let written = pb::WriteResponse { items: vec![outcome], ..Default::default() };
    assert_eq!(refused::<ShardWritten, _>(written), "items[0].kind");
    assert_eq!(refused::<ShardRead<ShardCounted>, _>(pb::CountResponse::default()), "delivered");
    let delivered = Some(pb::Delivered::default());
    let trace = Some(pb::Trace::default());
    let missing = pb::SearchResponse { delivered, hits: vec![pb::Hit::default()], trace, unchanged: false };
    assert_eq!(refused::<ShardRead<ShardHits>, _>(missing), "hits[0].point");
    let unscored = pb::Hit { point: Some(pb::Point::default()), score: None };
    let unscored = pb::SearchResponse {
        delivered,
        hits: vec![unscored],
        trace: Some(pb::Trace::default()),
        unchanged: false,
    };
    assert_eq!(refused::<ShardRead<ShardHits>, _>(unscored), "hits[0].score");
    let index = pb::FieldIndexStatus { r#type: 9, ..Default::default() };
    let told = pb::StatusResponse { field_indexes: vec![index], ..Default::default() };
    assert_eq!(refused::<ShardStatus, _>(told), "field_indexes[0].type");
    assert_eq!(refused::<SnapshotOffer, _>(pb::SnapshotResponse::default()), "members");
    let untold = pb::SearchResponse { delivered, ..Default::default() };
    assert_eq!(refused::<ShardRead<ShardHits>, _>(untold), "trace");
    let point = Some(pb::Point { vector_f32: Some(vec![1]), ..Default::default() });
    let torn = pb::GetResponse { delivered, points: vec![pb::FoundPoint { point }] };
    assert_eq!(refused::<ShardRead<Vec<Option<PointRecord>>>, _>(torn), "points[0].point.vector_f32");
}

#[test]
fn malformed_messages_of_the_placement_driver_are_refused_by_field() {
    let create = |spec| driver::CreateCollectionRequest { spec, timeout_ms: 1 };
    assert_eq!(refused::<(CollectionSpec, u64), _>(create(None)), "spec");
    let mut spec = driver::CollectionSpec::default();
    assert_eq!(refused::<(CollectionSpec, u64), _>(create(Some(spec.clone()))), "spec.distance");
    spec.distance = 4;
    assert_eq!(refused::<(CollectionSpec, u64), _>(create(Some(spec.clone()))), "spec.distance");
    spec.distance = 1;
    assert_eq!(refused::<(CollectionSpec, u64), _>(create(Some(spec.clone()))), "spec.read_policy.level");

    let shard = driver::ShardReport::default();
    let load = Some(driver::WorkerLoad::default());
    let report = driver::ReportRequest { shards: vec![shard], load, ..Default::default() };
    assert_eq!(refused::<WorkerReport, _>(report), "shards[0].phase");

    let collection = driver::Collection { spec: Some(spec), ..Default::default() };
    let answer = driver::CreateCollectionResponse { collection: Some(collection), created: true };
    assert_eq!(refused::<(Collection, bool), _>(answer), "collection.state");
    let answer = driver::CreateCollectionResponse::default();
    assert_eq!(refused::<(Collection, bool), _>(answer), "collection");
    assert_eq!(refused::<Registration, _>(driver::RegisterRequest::default()), "registration");
    let homeless = driver::RegisterRequest { registration: Some(driver::Registration::default()) };
    assert_eq!(Registration::try_from(homeless).unwrap().locality, Locality::default());
    assert_eq!(refused::<WorkerReport, _>(driver::ReportRequest::default()), "load");
    let lead = Some(driver::LeadReport::default());
    let shard = driver::ShardReport { phase: 1, lead, ..Default::default() };
    let report = driver::ReportRequest { shards: vec![shard], load, ..Default::default() };
    assert_eq!(refused::<WorkerReport, _>(report), "shards[0].lead.members");

    let replica = driver::Replica { role: 7, ..Default::default() };
    let split = Some(driver::Split { replicas: vec![replica], ..Default::default() });
    let shard = driver::Shard { split, ..Default::default() };
    assert_eq!(refused::<Shard, _>(shard), "split.replicas[0].role");
    let entry = Some(driver::WorkerEntry { registration: Some(driver::Registration::default()), state: 0 });
    let workers = vec![driver::WorkerView { entry, ..Default::default() }];
    let view = driver::ClusterResponse { workers, ..Default::default() };
    assert_eq!(refused::<ClusterView, _>(view), "workers[0].entry.state");
    let moves = vec![driver::MoveView { step: 1, ..Default::default() }];
    let view = driver::ClusterResponse { moves, ..Default::default() };
    assert_eq!(refused::<ClusterView, _>(view), "moves[0].planned");

    assert_eq!(refused::<ClusterChange, _>(driver::ChangeRequest { change: None }), "change");
    let contradiction = driver::ChangeRequest { change: Some(driver::change_request::Change::Pause(false)) };
    assert_eq!(refused::<ClusterChange, _>(contradiction), "pause");
    let snapshot = driver::CatalogSnapshotResponse::default();
    assert_eq!(refused::<CatalogSnapshot, _>(snapshot), "members");
}
