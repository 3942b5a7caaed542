//! The same contract over gRPC.

use crate::cluster::Client;
use axum::body::Body;
use http::Request;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vectron_gateway::GatewayKnobs;
use vectron_wire::fault_table::from_status;
use vectron_wire::proto::public as pb;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

pub async fn served(knobs: GatewayKnobs) -> (Client, VectronServiceClient<Channel>, Channel) {
    let client = Client::with(knobs, None).with_docs("cosine", 2).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let gateway = client.gateway.clone();
    use vectron_base::pool::Pool;
    crate::cluster::TestPool.spawn(
        "server",
        Box::pin(async move {
            let _ = vectron_gateway::serve(listener, gateway, std::future::pending()).await;
        }),
    );
    let channel =
        Endpoint::from_shared(format!("http://{address}")).expect("uri").connect().await.expect("connected");
    (client, VectronServiceClient::new(channel.clone()), channel)
}

fn point(id: &str, values: &[f32], payload: Option<&str>) -> pb::PointInput {
    pb::PointInput {
        id: id.into(),
        vector: Some(pb::Vector { values: values.to_vec() }),
        payload: payload.map(Into::into),
        ..Default::default()
    }
}

fn upsert(points: Vec<pb::PointInput>) -> pb::UpsertRequest {
    pb::UpsertRequest { collection: "docs".into(), points, ..Default::default() }
}

#[tokio::test]
async fn every_call_answers_as_rest_does() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let create = pb::CreateCollectionRequest {
        name: "more".into(),
        dimension: 2,
        distance: "dot".into(),
        ..Default::default()
    };
    assert!(grpc.create_collection(create.clone()).await.expect("created").into_inner().created);
    assert!(!grpc.create_collection(create).await.expect("there").into_inner().created);
    let listed = grpc.list_collections(pb::ListCollectionsRequest {}).await.expect("listed").into_inner();
    assert_eq!(listed.collections.len(), 2);
    let named = || pb::GetCollectionRequest { collection: "docs".into() };
    assert_eq!(grpc.get_collection(named()).await.expect("there").into_inner().dimension, 2);
    let packed = pb::PointInput {
        id: "b".into(),
        vector_f32: Some([0f32, 1.0].map(f32::to_le_bytes).concat()),
        ..Default::default()
    };
    let payload = r#"{"s":"x","n":9007199254740993}"#;
    let written = grpc
        .upsert(upsert(vec![point("a", &[1.0, 0.0], Some(payload)), packed]))
        .await
        .expect("written")
        .into_inner();
    assert_eq!((written.upserted, written.failed.len()), (2, 0));
    let get = pb::GetRequest { collection: "docs".into(), id: "a".into(), ..Default::default() };
    let got = grpc.get(get).await.expect("there").into_inner().point.expect("point");
    assert_eq!((got.payload.as_deref(), got.vector), (Some(payload), None));
    let get = pb::BatchGetRequest {
        collection: "docs".into(),
        ids: vec!["z".into(), "b".into()],
        include_vector: Some(true),
        ..Default::default()
    };
    let got = grpc.batch_get(get).await.expect("there").into_inner();
    assert_eq!(
        (got.points[0].vector.as_ref().map(|v| v.values.clone()), got.missing),
        (Some(vec![0.0, 1.0]), vec!["z".to_string()])
    );
    let search = pb::SearchRequest {
        collection: "docs".into(),
        vector: Some(pb::Vector { values: vec![1.0, 0.0] }),
        filter: Some(r#"{"s":"x"}"#.into()),
        explain: Some(true),
        ..Default::default()
    };
    let found = grpc.search(search).await.expect("found").into_inner();
    assert_eq!((found.results.len(), found.results[0].score), (1, 1.0));
    let meta = found.meta.expect("meta");
    assert_eq!(meta.degraded, ["filter_without_index"]);
    assert_eq!(meta.shards.expect("shards").total, 2);
    assert_eq!(found.explain.expect("explain").shards.len(), 2);
    let page = pb::ScrollRequest { collection: "docs".into(), limit: Some(1), ..Default::default() };
    let page = grpc.scroll(page).await.expect("page").into_inner();
    assert_eq!((page.points[0].id.as_str(), page.next_cursor.is_some()), ("a", true));
    let consistency =
        Some(pb::Consistency { level: "session".into(), token: Some(written.session), ..Default::default() });
    let count = pb::CountRequest { collection: "docs".into(), consistency, ..Default::default() };
    assert_eq!(grpc.count(count).await.expect("counted").into_inner().count, 2);
    let status = pb::GetCollectionStatusRequest { collection: "docs".into() };
    assert_eq!(grpc.get_collection_status(status).await.expect("status").into_inner().points, 2);
    let delete = pb::DeleteRequest { collection: "docs".into(), ids: vec!["a".into()], ..Default::default() };
    assert_eq!(grpc.delete(delete).await.expect("deleted").into_inner().deleted, 1);
    let nothing = pb::DeleteRequest { collection: "docs".into(), ..Default::default() };
    assert_eq!(grpc.delete(nothing).await.expect("nothing").into_inner().deleted, 0);
    assert_eq!(client.cluster.points(), 1);
    grpc.delete_collection(pb::DeleteCollectionRequest { collection: "docs".into() }).await.expect("deleted");
    assert_eq!(grpc.get_collection(named()).await.expect_err("gone").code(), Code::NotFound);
}

/// The status has our code, its fields, and a request id.
pub fn assert_refused(status: &Status, grpc: Code, code: &str, field: &str, words: &str) {
    let fault = from_status(status);
    assert_eq!((status.code(), fault.code.as_str()), (grpc, code), "{status}");
    assert!(status.message().contains(words), "{}", status.message());
    assert_eq!(fault.errors.first().map_or("", |e| e.field.as_str()), field, "{status}");
    let id = status.get_details_error_info().and_then(|info| info.metadata.get("request_id").cloned());
    assert!(id.is_some(), "no request id in {status}");
}

#[tokio::test]
async fn bad_input_is_refused_as_over_rest() {
    let (client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let nested = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    for (points, field, words) in [
        (
            vec![point("a42", &[1.0], None)],
            "points[0].vector",
            "'a42': vector has 1 number, collection 'docs' expects 2",
        ),
        (vec![point("a", &[f32::NAN, 1.0], None)], "points[0].vector", "finite"),
        (vec![point("a", &[f32::INFINITY, 1.0], None)], "points[0].vector", "finite"),
        (vec![point("a", &[0.0, 0.0], None)], "points[0].vector", "all zeros"),
        (vec![point("a", &[], None)], "points[0].vector", "empty"),
        (vec![pb::PointInput { id: "a".into(), ..Default::default() }], "points[0].vector", "missing"),
        (
            vec![pb::PointInput { vector_f32: Some(vec![0; 7]), vector: None, ..point("a", &[], None) }],
            "points[0].vector_f32",
            "7 bytes",
        ),
        (
            vec![pb::PointInput { vector_f32: Some(vec![0; 4]), vector: None, ..point("a", &[], None) }],
            "points[0].vector",
            "'a': vector has 1 number",
        ),
        (vec![point("", &[1.0, 1.0], None)], "points[0].id", "empty"),
        (vec![point("a\0", &[1.0, 1.0], None)], "points[0].id", "NUL"),
        (
            vec![point("a", &[1.0, 1.0], None), point("a", &[1.0, 1.0], None)],
            "points[1].id",
            "points[0] and points[1]",
        ),
        (vec![point("a", &[1.0, 1.0], Some("{"))], "points[0].payload", "not valid JSON"),
        (vec![point("a", &[1.0, 1.0], Some("[]"))], "points[0].payload", "a list"),
        (vec![point("a", &[1.0, 1.0], Some(""))], "points[0].payload", "not valid JSON"),
        (vec![point("a", &[1.0, 1.0], Some(r#"{"k":1,"k":2}"#))], "points[0].payload.k", "twice"),
        (vec![point("a", &[1.0, 1.0], Some(&nested))], "points[0].payload", "64 deep"),
    ] {
        let status = grpc.upsert(upsert(points)).await.expect_err(words);
        assert_refused(&status, Code::InvalidArgument, "invalid_argument", field, words);
    }
    let big = format!(r#"{{"t":"{}"}}"#, "x".repeat(70_000));
    let status = grpc.upsert(upsert(vec![point("a", &[1.0, 1.0], Some(&big))])).await.expect_err("big");
    assert_refused(&status, Code::ResourceExhausted, "too_large", "points[0].payload", "65536");
    let search = |change: fn(&mut pb::SearchRequest)| {
        let vector = Some(pb::Vector { values: vec![1.0, 0.0] });
        let mut request = pb::SearchRequest { collection: "docs".into(), vector, ..Default::default() };
        change(&mut request);
        request
    };
    for (request, field, words) in [
        (search(|r| r.top_k = Some(0)), "top_k", "1 to 10000"),
        (search(|r| r.top_k = Some(1_000_000_000)), "top_k", "1 to 10000"),
        (search(|r| r.filter = Some("{".into())), "filter", ""),
        (search(|r| r.score_threshold = Some(f32::NAN)), "score_threshold", "finite"),
        (search(|r| r.vector = None), "vector", "missing"),
        (search(|r| r.collection = "a/b".into()), "collection", "not a valid name"),
        (
            search(|r| {
                r.params = Some(pb::SearchParams { recall_target: Some(f32::NAN), ..Default::default() })
            }),
            "params.recall_target",
            "0.5",
        ),
    ] {
        let status = grpc.search(request).await.expect_err(words);
        assert_refused(&status, Code::InvalidArgument, "invalid_argument", field, words);
    }
    assert!(client.cluster.log.lock().is_empty(), "a refused request reached a shard");
}

#[tokio::test]
async fn broken_and_oversized_messages_get_our_words() {
    let knobs = GatewayKnobs { max_body_bytes: 10_000, ..GatewayKnobs::default() };
    let (client, mut grpc, _) = served(knobs).await;
    let many = (0..2_000).map(|i| point(&i.to_string(), &[1.0, 1.0], None)).collect();
    let status = grpc.upsert(upsert(many)).await.expect_err("too large");
    assert_refused(&status, Code::ResourceExhausted, "too_large", "", "too large");
    let frame = |flag: u8, length: u32, body: &[u8]| [&[flag][..], &length.to_be_bytes(), body].concat();
    for (bytes, why) in [
        (frame(0, 100, b"short"), "truncated"),
        (frame(7, 2, b"ab"), "bad flag"),
        (frame(1, 2, b"ab"), "compressed without saying how"),
        (frame(0, 3, &[0xff, 0xff, 0xff]), "not protobuf"),
        (Vec::new(), "no message"),
    ] {
        let request =
            Request::post("/vectron.v1.VectronService/Count").header("content-type", "application/grpc");
        let reply = client.send(request.body(Body::from(bytes)).expect("request")).await;
        let status = Status::from_header_map(&reply.headers).expect("a status");
        assert_eq!(
            (status.code(), from_status(&status).code.as_str()),
            (Code::InvalidArgument, "invalid_argument"),
            "{why}: {status}"
        );
        assert!(reply.headers.contains_key("x-request-id"));
    }
    let request = Request::post("/vectron.v1.VectronService/Nope").header("content-type", "application/grpc");
    let reply = client.send(request.body(Body::empty()).expect("request")).await;
    assert_eq!(reply.headers["grpc-status"], "12");
    let request = Request::post("/other.Service/Nope").header("content-type", "application/grpc");
    let reply = client.send(request.body(Body::empty()).expect("request")).await;
    assert_eq!(reply.headers["grpc-status"], "12");
    assert_eq!(client.cluster.written(), 0);
}

#[tokio::test]
async fn the_transports_deadline_counts() {
    use crate::cluster::Trouble;
    let client = Client::new().with_docs("dot", 2).await;
    for shard in client.cluster.shard_ids() {
        client.cluster.trouble(shard, Some(Trouble::Slow(std::time::Duration::from_secs(60))));
    }
    // Without the client library, which would give up by itself first.
    let message =
        prost::Message::encode_to_vec(&pb::CountRequest { collection: "docs".into(), ..Default::default() });
    let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let request =
        Request::post("/vectron.v1.VectronService/Count").header("content-type", "application/grpc");
    let request = request.header("grpc-timeout", "50m").body(Body::from(frame)).expect("request");
    let status = Status::from_header_map(&client.send(request).await.headers).expect("a status");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_servers_own_error_comes_before_the_clients_deadline() {
    use crate::cluster::Trouble;
    let knobs = GatewayKnobs { default_timeout_ms: 100, ..GatewayKnobs::default() };
    let (client, mut grpc, _) = served(knobs).await;
    for shard in client.cluster.shard_ids() {
        client.cluster.trouble(shard, Some(Trouble::Slow(std::time::Duration::from_secs(60))));
    }
    // The client library cancels at its deadline, with a status that has no details of ours.
    for deadline_ms in [1_000, 60_000] {
        let mut request = tonic::Request::new(upsert(vec![point("a", &[1.0, 1.0], None)]));
        request.set_timeout(std::time::Duration::from_millis(deadline_ms));
        request.get_mut().timeout_ms = (deadline_ms == 1_000).then_some(5_000);
        let status = grpc.upsert(request).await.expect_err("late");
        assert_refused(&status, Code::DeadlineExceeded, "deadline_exceeded", "", "no answer within");
        assert_eq!(from_status(&status).outcome.as_str(), "unknown");
    }
}

#[tokio::test]
async fn a_failed_condition_of_one_point_aborts() {
    let (_client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let conditional = || pb::PointInput { if_version: Some(7), ..point("a", &[1.0, 0.0], None) };
    let status = grpc.upsert(upsert(vec![conditional()])).await.expect_err("refused");
    assert_refused(&status, Code::Aborted, "version_mismatch", "points[0].if_version", "does not exist");
    assert_eq!(from_status(&status).current_version, Some(0));
    let batch = upsert(vec![conditional(), point("b", &[1.0, 0.0], None)]);
    let written = grpc.upsert(batch).await.expect("written").into_inner();
    assert_eq!((written.upserted, written.failed[0].code.as_str()), (1, "version_mismatch"));
}

#[tokio::test]
async fn health_and_reflection_are_there() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    let (_client, _, channel) = served(GatewayKnobs::default()).await;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "vectron.v1.VectronService"] {
        let status = health.check(HealthCheckRequest { service: service.into() }).await.expect("answers");
        assert_eq!(status.into_inner().status, ServingStatus::Serving as i32);
    }
    let unknown = health.check(HealthCheckRequest { service: "x".into() }).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .expect("answers")
        .into_inner();
    let answer = answers.message().await.expect("a message").expect("one");
    let known = format!("{answer:?}");
    assert!(
        known.contains("vectron.v1.VectronService") && known.contains("grpc.health.v1.Health"),
        "{known}"
    );
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as Older;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest as OlderRequest;
    let ask = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(OlderRequest::FileContainingSymbol("grpc.health.v1.Health".into())),
    };
    let answers = Older::new(channel).server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers.expect("answers").into_inner().message().await.expect("a message").expect("one");
    assert!(format!("{answer:?}").contains("FileDescriptorResponse"), "{answer:?}");
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let (_client, mut grpc, _) = served(GatewayKnobs::default()).await;
    let payload = format!(r#"{{"t":"{}"}}"#, "x".repeat(60_000));
    let points = (0..40).map(|i| point(&i.to_string(), &[1.0, 1.0], Some(&payload))).collect();
    grpc.upsert(upsert(points)).await.expect("written");
    let page = pb::ScrollRequest { collection: "docs".into(), ..Default::default() };
    let page = grpc.scroll(page).await.expect("page").into_inner();
    assert_eq!(page.points.len(), 40);
    assert!(page.points.iter().all(|point| point.payload.as_deref() == Some(&payload)));
}
