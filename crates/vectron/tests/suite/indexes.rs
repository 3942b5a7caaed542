//! Payload indexes and the settings of a collection's index on a real node: added while it serves, kept over
//! restarts, refused by name; and shards that do not fit in memory.

use crate::process::Server;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use vectron_base::Code;
use vectron_wire::fault_table::from_status;
use vectron_wire::proto::public as proto;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

const INDEXES: &str = "/v1/collections/docs/indexes";

fn points(count: usize) -> Value {
    let point =
        |n| json!({"id": n, "vector": [n, 1, 2], "payload": {"n": n, "section": format!("s{}", n % 3)}});
    (1..=count).map(point).collect()
}

#[test]
fn settings_are_kept_and_another_setting_is_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let tuned = json!({"name": "docs", "dimension": 3, "distance": "dot", "quantization": "8bit",
                       "storage": "mmap", "index": {"degree": 16, "ef_construction": 64}});
    assert_eq!(server.post("/v1/collections", &tuned).0, 201);
    server.upsert("docs", points(10));
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    assert_eq!(server.post("/v1/collections", &tuned).0, 200, "the same again is fine");
    let (_, shown) = server.get("/v1/collections/docs");
    for name in ["quantization", "storage", "index"] {
        assert_eq!(shown[name], tuned[name], "{shown}");
        let mut other = tuned.clone();
        other.as_object_mut().unwrap().remove(name);
        let (status, answer) = server.post("/v1/collections", &other);
        assert_eq!((status, &answer["code"]), (409, &json!("already_exists")), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(name), "{answer}");
    }
    assert_eq!(server.count("docs"), 10);
}

#[test]
fn indexes_are_added_online_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("docs", 3, "dot");
    server.upsert("docs", points(50));
    let (_, before) = server.post("/v1/collections/docs/points/count", &json!({"filter": {"n": 1}}));
    assert_eq!(before["meta"]["degraded"], json!(["filter_without_index"]), "{before}");
    for (field, kind) in [("section", "keyword"), ("n", "integer")] {
        let (status, answer) = server.post(INDEXES, &json!({"field": field, "type": kind}));
        assert_eq!((status, &answer["created"]), (201, &json!(true)), "{answer}");
    }
    assert_eq!(server.post(INDEXES, &json!({"field": "n", "type": "integer"})).0, 200);
    let (status, answer) = server.post(INDEXES, &json!({"field": "n", "type": "keyword"}));
    assert_eq!((status, &answer["code"]), (409, &json!("already_exists")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("integer"), "{answer}");
    hold(&server);
    server.kill();
    let server = Server::start(dir.path());
    hold(&server);
    assert_eq!(server.delete(&format!("{INDEXES}/section")).0, 200);
    assert_eq!(server.delete(&format!("{INDEXES}/section")).1["code"], "not_found");
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    let (_, listed) = server.get(INDEXES);
    assert_eq!(listed["indexes"].as_array().map(Vec::len), Some(1), "{listed}");
    // A collection made anew under the name has none.
    assert_eq!(server.delete("/v1/collections/docs").0, 200);
    server.create("docs", 3, "dot");
    assert_eq!(server.get(INDEXES).1, json!({"indexes": []}));
}

/// Both indexes are there and become ready by themselves; then filters are answered from them, as without them.
fn hold(server: &Server) {
    let begun = Instant::now();
    let listed = loop {
        let (status, listed) = server.get(INDEXES);
        assert_eq!(status, 200, "{listed}");
        if listed["indexes"].as_array().unwrap().iter().all(|index| index["ready"] == true) {
            break listed;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still building: {listed}");
        std::thread::sleep(Duration::from_millis(20));
    };
    for (at, (field, kind)) in [("n", "integer"), ("section", "keyword")].into_iter().enumerate() {
        let index = &listed["indexes"][at];
        assert_eq!((&index["field"], &index["type"]), (&json!(field), &json!(kind)), "{listed}");
        assert_eq!((&index["points_indexed"], &index["points_total"]), (&json!(50), &json!(50)), "{listed}");
        assert_eq!(index["points_irregular"], 0, "{listed}");
        assert!(index["bytes"].as_u64().unwrap() > 0, "{listed}");
    }
    let (_, status) = server.get("/v1/collections/docs/status");
    assert_eq!(status["indexes"], listed["indexes"], "{status}");
    let filter = json!({"section": "s1", "n": {"$lte": 10}});
    let (_, counted) = server.post("/v1/collections/docs/points/count", &json!({"filter": filter}));
    assert_eq!((&counted["count"], &counted["meta"]["degraded"]), (&json!(4), &json!([])), "{counted}");
    let (_, page) = server.post("/v1/collections/docs/points/scroll", &json!({"filter": filter}));
    let ids: Vec<&str> =
        page["points"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert_eq!((ids, &page["meta"]["degraded"]), (vec!["1", "10", "4", "7"], &json!([])), "{page}");
    let search = |filter: Value| {
        server.search("docs", &json!({"vector": [1, 1, 1], "filter": filter, "explain": true}))
    };
    let found = search(filter);
    assert_eq!(crate::process::ids(&found), ["10", "7", "4", "1"]);
    assert_eq!(found["meta"]["degraded"], json!([]), "{found}");
    let shown = &found["explain"]["shards"][0]["filter"];
    assert_eq!(
        (&shown["matched"], &shown["checked"]),
        (&json!(4), &json!(0)),
        "no payload was looked at: {shown}"
    );
    // One field without an index is enough to be told so, by name.
    let found = search(json!({"section": "s1", "other": {"$exists": false}, "n": 1}));
    assert_eq!(found["meta"]["degraded"], json!(["filter_without_index"]), "{found}");
    assert_eq!(found["explain"]["shards"][0]["filter"]["unindexed"], json!(["other"]), "{found}");
}

#[test]
fn the_number_of_indexes_is_bounded_and_filters_without_one_may_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), |command| {
        command.env("VECTRON_PLACEMENT_INDEXES_MAX", "1");
        command.env("VECTRON_GATEWAY_FILTER_WITHOUT_INDEX", "refuse");
    });
    server.create("docs", 3, "dot");
    server.upsert("docs", points(9));
    let filter = json!({"filter": {"n": 4}});
    let (status, answer) = server.post("/v1/collections/docs/points/count", &filter);
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("filter.n")), "{answer}");
    assert_eq!(server.post(INDEXES, &json!({"field": "n", "type": "integer"})).0, 201);
    let (status, answer) = server.post("/v1/collections/docs/points/count", &filter);
    assert_eq!((status, &answer["count"]), (200, &json!(1)), "{answer}");
    let (status, answer) = server.post(INDEXES, &json!({"field": "m", "type": "integer"}));
    assert_eq!((status, &answer["code"]), (413, &json!("too_large")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("placement.indexes_max"), "{answer}");
}

#[test]
fn wrong_settings_and_indexes_are_refused_over_both_protocols() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("docs", 3, "dot");
    for (setting, field) in [
        (json!({"quantization": "int8"}), "quantization"),
        (json!({"storage": "disk"}), "storage"),
        (json!({"index": {"degree": 7}}), "index.degree"),
        (json!({"index": {"ef_construction": 5000}}), "index.ef_construction"),
        (json!({"quantisation": "8bit"}), "quantisation"),
    ] {
        let mut body = json!({"name": "other", "dimension": 3, "distance": "dot"});
        body.as_object_mut().unwrap().extend(setting.as_object().unwrap().clone());
        let (status, answer) = server.post("/v1/collections", &body);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    for (body, field) in [
        (json!({"field": "a", "type": "place"}), "type"),
        (json!({"field": "a", "type": "geo", "language": "english"}), "language"),
        (json!({"field": "", "type": "bool"}), "field"),
        (json!({"field": "$or", "type": "bool"}), "field"),
        (json!({"field": "a", "typ": "bool"}), "typ"),
    ] {
        let (status, answer) = server.post(INDEXES, &body);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    assert_eq!(server.post("/v1/collections/none/indexes", &json!({"field": "a", "type": "bool"})).0, 404);
    assert_eq!(server.send("PATCH", "/v1/collections/docs", b"{}").0, 405, "no setting can change");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut client = VectronServiceClient::connect(server.url.clone()).await.unwrap();
        let index = |field: &str, kind: &str| proto::CreateIndexRequest {
            collection: "docs".into(),
            field: field.into(),
            r#type: kind.into(),
            ..Default::default()
        };
        for (request, field) in [(index("a", "place"), "type"), (index("a..b", "bool"), "field")] {
            let fault = from_status(&client.create_index(request).await.expect_err(field));
            assert_eq!((fault.code, fault.errors[0].field.as_str()), (Code::InvalidArgument, field));
        }
        assert!(client.create_index(index("a", "bool")).await.unwrap().into_inner().created);
        let fault = from_status(&client.create_index(index("a", "float")).await.expect_err("conflict"));
        assert_eq!(fault.code, Code::AlreadyExists);
        let create = proto::CreateCollectionRequest {
            name: "other".into(),
            dimension: 3,
            distance: "dot".into(),
            storage: Some("tape".into()),
            ..Default::default()
        };
        let fault = from_status(&client.create_collection(create).await.expect_err("storage"));
        assert_eq!((fault.code, fault.errors[0].field.as_str()), (Code::InvalidArgument, "storage"));
    });
    let (_, listed) = server.get(INDEXES);
    assert_eq!(listed["indexes"][0]["field"], "a", "{listed}");
    assert_eq!(server.get("/v1/collections/other").0, 404, "nothing was made of what was refused");
}

/// What would not fit is set aside by name before it is loaded; the others serve; with room it is back.
#[test]
fn a_shard_that_would_not_fit_in_memory_is_refused_by_name_and_the_others_serve() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let server = Server::start_with(dir.path(), |command| {
        command.env("VECTRON_NODE_MEMORY_BYTES", "2000000");
    });
    assert_eq!(server.count("small"), 1);
    server.upsert("small", json!([{"id": "b", "vector": vec![1; 64]}]));
    let (status, answer) = server.post("/v1/collections/large/points/count", &json!({}));
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
    let (_, status) = server.get("/v1/collections/large/status");
    let damage = status["shards"][0]["damage"][0].as_str().unwrap();
    for words in ["'large'", "3000 points", "node.memory_bytes", "worker.memory_percent"] {
        assert!(damage.contains(words), "{damage}");
    }
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    assert_eq!((server.count("large"), server.count("small")), (3000, 2));
}

fn fill(dir: &Path) {
    let server = Server::start(dir);
    server.create("large", 64, "dot");
    server.upsert("large", (0..3000).map(|n| json!({"id": n, "vector": vec![n; 64]})).collect());
    server.create("small", 64, "dot");
    server.upsert("small", json!([{"id": "a", "vector": vec![1; 64]}]));
    assert_eq!(server.terminate(), Some(0));
}
