//! Payload changes, conditions, points that end by themselves, batches and streams: over REST and gRPC against the
//! real binary, on several shards.

use crate::process::Server;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use vectron_client::{Client, PayloadChange, PayloadRequest, PointCondition, PointInput, WriteBatch};
use vectron_wire::proto::public as proto;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

const POINTS: &str = "/v1/collections/docs/points";

fn start(dir: &tempfile::TempDir) -> Server {
    let server = Server::start(dir.path());
    let body = json!({"name": "docs", "dimension": 2, "distance": "dot", "shards": 3});
    assert_eq!(server.post("/v1/collections", &body).0, 201);
    server
}

fn payload_text(server: &Server, id: &str) -> String {
    let (status, text) = server.send_text("GET", &format!("{POINTS}/{id}"), b"");
    assert_eq!(status, 200, "{text}");
    let at = text.find("\"payload\":").expect("a payload") + "\"payload\":".len();
    text[at..]
        .split(",\"vector\"")
        .next()
        .and_then(|t| t.split("},\"meta\"").next())
        .expect("text")
        .to_string()
}

fn counted(server: &Server, filter: Value) -> u64 {
    let (status, answer) = server.post(&format!("{POINTS}/count"), &json!({"filter": filter}));
    assert_eq!(status, 200, "{answer}");
    answer["count"].as_u64().expect("count")
}

#[test]
fn payloads_change_by_ids_by_condition_and_by_filter() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir);
    let points: Vec<Value> = (0..30)
        .map(|i| json!({"id": format!("p{i}"), "vector": [1, i], "payload": {"n": i, "keep": {"x": [1.0]}}}))
        .collect();
    server.upsert("docs", json!(points));
    let exact =
        br#"{"points":[{"id":"exact","vector":[1,2],"payload":{"big":9007199254740993,"e":1.50e+10}}]}"#;
    assert_eq!(server.send("POST", POINTS, exact).0, 200);

    let path = format!("{POINTS}/payload");
    let (status, answer) =
        server.post(&path, &json!({"ids": ["exact", "nobody"], "merge": {"new": {"a": 1, "b": null}}}));
    assert_eq!(
        (status, &answer["updated"], &answer["missing"]),
        (200, &json!(1), &json!(["nobody"])),
        "{answer}"
    );
    assert_eq!(payload_text(&server, "exact"), r#"{"big":9007199254740993,"e":1.50e+10,"new":{"a":1}}"#);

    // Under conditions, each point by its own; the one of a single point is the request's.
    let version = server.get(&format!("{POINTS}/p1")).1["point"]["version"].clone();
    let asked = json!({"unset": ["keep.x"], "points": [
        {"id": "p1", "if_version": version, "if_filter": {"n": 1}},
        {"id": "p2", "if_filter": {"n": 1}},
        {"id": "p3", "if_version": 1_000_000}]});
    let (status, answer) = server.post(&path, &asked);
    assert_eq!((status, &answer["updated"]), (200, &json!(1)), "{answer}");
    let failed = answer["failed"].as_array().expect("failed");
    assert!(
        failed.len() == 2
            && failed.iter().all(|f| f["code"] == "version_mismatch" && f["current_version"] != 0)
    );
    assert_eq!(server.get(&format!("{POINTS}/p1")).1["point"]["payload"], json!({"n": 1, "keep": {}}));
    let alone = json!({"replace": {}, "points": [{"id": "p2", "if_filter": {"n": {"$gt": 2}}}]});
    let (status, answer) = server.post(&path, &alone);
    assert_eq!((status, &answer["code"]), (412, &json!("version_mismatch")), "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("if_filter")));

    // By filter, once per key.
    let by_filter =
        json!({"merge": {"even": true}, "filter": {"n": {"$in": [0, 2, 4, 6]}}, "idempotency_key": "k"});
    for replayed in [false, true] {
        let (status, answer) = server.post(&path, &by_filter);
        assert_eq!(
            (status, &answer["updated"], &answer["replayed"]),
            (200, &json!(4), &json!(replayed)),
            "{answer}"
        );
    }
    assert_eq!(counted(&server, json!({"even": true})), 4);

    // The limit holds for the result too.
    let half = "x".repeat(40_000);
    for (field, status, failed) in [("a", 200, false), ("b", 413, true)] {
        let (got, answer) = server.post(&path, &json!({"ids": ["p9"], "merge": {field: half}}));
        assert_eq!((got, answer["code"] == "too_large"), (status, failed), "{answer}");
    }
    for (bad, says) in [
        (json!({"ids": ["p1"]}), "merge"),
        (json!({"merge": {}, "replace": {}, "ids": ["p1"]}), "merge"),
        (json!({"merge": {}}), "ids"),
        (json!({"merge": {}, "ids": ["p1"], "filter": {}}), "ids"),
        (json!({"unset": ["a..b"], "ids": ["p1"]}), "unset[0]"),
        (json!({"merge": [1], "ids": ["p1"]}), "merge"),
        (json!({"merg": {}, "ids": ["p1"]}), "merge"),
        (
            json!({"merge": {}, "points": [{"id": "p1", "if_filter": {"a": {"$gtt": 1}}}]}),
            "points[0].if_filter",
        ),
    ] {
        let (status, answer) = server.post(&path, &bad);
        assert!(
            status == 400 && answer["detail"].as_str().is_some_and(|d| d.contains(says)),
            "{bad} {answer}"
        );
    }

    let (status, answer) = server.delete(&format!("{POINTS}/p5?if_version=1000000"));
    assert_eq!((status, &answer["code"]), (412, &json!("version_mismatch")), "{answer}");
    let deletes = json!({"points": [{"id": "p5", "if_filter": {"n": 5}}, {"id": "p6", "if_filter": {"n": 5}}, {"id": "no"}]});
    let (status, answer) = server.post(&format!("{POINTS}/delete"), &deletes);
    assert_eq!(
        (status, &answer["deleted"], &answer["failed"][0]["id"]),
        (200, &json!(1), &json!("p6")),
        "{answer}"
    );
}

#[test]
fn a_batch_is_done_in_order_with_an_outcome_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir);
    let path = format!("{POINTS}/batch");
    let operations = json!([
        {"payload": {"id": "a", "merge": {"x": 1}}},
        {"upsert": {"id": "a", "vector": [1, 2], "payload": {"n": 1}, "if_version": 0}},
        {"payload": {"id": "a", "merge": {"x": 1}, "if_filter": {"n": 1}}},
        {"upsert": {"id": "b", "vector": [1, 2]}},
        {"delete": {"id": "b"}},
        {"upsert": {"id": "c", "vector": [1, 2], "if_filter": {"n": 1}}},
        {"delete": {"id": "d", "if_version": 9}}]);
    let body = json!({"operations": operations, "idempotency_key": "k"});
    let statuses = ["missing", "applied", "applied", "applied", "applied", "failed", "failed"];
    let mut first = Value::Null;
    for replayed in [false, true] {
        let (status, answer) = server.post(&path, &body);
        assert_eq!((status, &answer["replayed"]), (200, &json!(replayed)), "{answer}");
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.iter().map(|r| r["status"].as_str().unwrap_or("")).collect::<Vec<_>>(), statuses);
        assert_eq!(
            (&results[1]["version"], &results[5]["current_version"]),
            (&results[2]["version"], &json!(0))
        );
        if replayed {
            assert_eq!(answer["results"], first);
        }
        first = answer["results"].clone();
    }
    assert_eq!(payload_text(&server, "a"), r#"{"n":1,"x":1}"#);
    assert_eq!(server.count("docs"), 1);
    let (status, answer) =
        server.post(&path, &json!({"operations": [{"delete": {"id": "a"}}], "idempotency_key": "k"}));
    assert_eq!((status, &answer["code"]), (422, &json!("idempotency_key_reused")));
    for (bad, field) in [
        (json!([{}]), "operations[0]"),
        (
            json!([{"delete": {"id": "a"}}, {"delete": {"id": "a"}, "upsert": {"id": "a", "vector": [1, 2]}}]),
            "operations[1]",
        ),
        (json!([{"upsert": {"id": "a", "vector": [1]}}]), "operations[0].upsert.vector"),
        (json!([{"payload": {"id": "a"}}]), "operations[0].payload.merge"),
        (
            json!([{"upsert": {"id": "a", "vector": [1, 2], "ttl_ms": 1, "expires_at_ms": 2}}]),
            "operations[0].upsert.ttl_ms",
        ),
    ] {
        let (status, answer) = server.post(&path, &json!({"operations": bad}));
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    assert_eq!(server.post(&path, &json!({"operations": []})).1["results"], json!([]));
}

/// Waits until a count is what it shall be; how long that takes is not the point.
fn wait_for(server: &Server, level: &str, wanted: u64) {
    let begun = Instant::now();
    loop {
        let body = json!({"consistency": level});
        let (_, answer) = server.post(&format!("{POINTS}/count"), &body);
        if answer["count"] == wanted {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn points_end_by_themselves_also_where_nobody_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let body = json!({"name": "docs", "dimension": 2, "distance": "dot", "shards": 2, "ttl_ms": 500});
    let (status, answer) = server.post("/v1/collections", &body);
    assert_eq!((status, &answer["collection"]["ttl_ms"]), (201, &json!(500)), "{answer}");
    let points: Vec<Value> = (0..20).map(|i| json!({"id": format!("p{i}"), "vector": [1, i]})).collect();
    server.upsert("docs", json!(points));
    server.upsert(
        "docs",
        json!([
        {"id": "long", "vector": [1, 2], "ttl_ms": 86_400_000},
        {"id": "ever", "vector": [1, 2], "ttl_ms": 0},
        {"id": "over", "vector": [1, 2], "expires_at_ms": 1_000}]),
    );
    // Nothing is written and nothing strict is read: the leaders see to it.
    wait_for(&server, "eventual", 2);
    // What a strict read knows to be over it does not show.
    server.upsert("docs", json!([{"id": "soon", "vector": [1, 2], "ttl_ms": 300}]));
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.get(&format!("{POINTS}/soon")).0, 404);
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    assert_eq!(server.count("docs"), 2);
}

fn message(collection: &str, ids: &[&str], x: f32) -> proto::UpsertRequest {
    let point = |id: &&str| proto::PointInput {
        id: id.to_string(),
        vector: Some(proto::Vector { values: vec![x, 1.0] }),
        payload: Some(format!("{{\"x\":{x}}}")),
        ..Default::default()
    };
    proto::UpsertRequest {
        collection: collection.into(),
        points: ids.iter().map(point).collect(),
        ..Default::default()
    }
}

#[test]
fn grpc_has_the_same_and_streams_upserts() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = Client::connect(&server.url, None).await.expect("connected");
        let payload = |text: &str| vectron_client::Payload::from_json(text.into()).expect("JSON");
        let point = |id: &str| PointInput::new(id, vec![1.0, 2.0]);
        client
            .upsert("docs", vec![point("a").payload(payload(r#"{"n":1}"#)), point("b")])
            .await
            .expect("written");
        let refused =
            client.upsert("docs", vec![point("b").if_filter(r#"{"n":1}"#)]).await.expect_err("refused");
        assert_eq!(refused.code(), vectron_client::Code::VersionMismatch);
        let change = PayloadChange::Merge(payload(r#"{"m":2}"#));
        let changed =
            client.payload(PayloadRequest::filter("docs", change, r#"{"n":1}"#)).await.expect("changed");
        assert_eq!((changed.updated, changed.failed.len()), (1, 0));
        let batch = WriteBatch::new("docs")
            .payload(PointCondition::new("a"), PayloadChange::Unset(vec!["n".into()]))
            .delete(PointCondition::new("b").if_version(1_000_000))
            .upsert(&point("c").ttl_ms(86_400_000));
        let answer = client.write(batch).await.expect("carried out");
        let statuses: Vec<&str> = answer.results.iter().map(|result| result.status.as_str()).collect();
        assert_eq!(statuses, ["applied", "failed", "applied"]);
        assert_eq!(payload_text(&server, "a"), r#"{"m":2}"#);

        let mut stub = VectronServiceClient::connect(server.url.clone()).await.expect("connected");
        let mut messages: Vec<proto::UpsertRequest> =
            (0..40).map(|n| message("docs", &["s", "t"], n as f32)).collect();
        messages.push(message("nowhere", &["s"], 0.0));
        messages.push(message("docs", &["u", "u"], 0.0));
        messages.push(message("docs", &["u"], 7.0));
        let answers =
            stub.upsert_stream(futures::stream::iter(messages)).await.expect("a stream").into_inner();
        let answers: Vec<proto::UpsertStreamAnswer> = futures::StreamExt::collect::<Vec<_>>(answers)
            .await
            .into_iter()
            .map(|answer| answer.expect("the stream goes on"))
            .collect();
        use proto::upsert_stream_answer::Answer;
        for (at, answer) in answers.iter().enumerate() {
            assert_eq!(answer.index, at as u64);
            match (&answer.answer, at) {
                (Some(Answer::Response(response)), 0..40 | 42) => assert!(response.failed.is_empty()),
                (Some(Answer::Problem(problem)), 40) => assert_eq!(problem.code, "not_found"),
                (Some(Answer::Problem(problem)), 41) => assert_eq!(problem.code, "invalid_argument"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(answers.len(), 43);
        // Those that share an id came in their order.
        assert_eq!(
            (payload_text(&server, "s"), payload_text(&server, "t")),
            (r#"{"x":39}"#.into(), r#"{"x":39}"#.into())
        );
    });
}
