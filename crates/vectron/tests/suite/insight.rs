//! How searches come to what they return: over REST and gRPC against the real binary, on several shards.

use crate::process::Server;
use serde_json::{Value, json};
use std::time::Duration;
use vectron_client::{Client, SearchRequest};

const POINTS: &str = "/v1/collections/docs/points";

fn start(dir: &tempfile::TempDir) -> Server {
    let server = Server::start(dir.path());
    let body = json!({"name": "docs", "dimension": 2, "distance": "dot", "shards": 3});
    assert_eq!(server.post("/v1/collections", &body).0, 201);
    let points: Vec<Value> = (0..60)
        .map(|i| json!({"id": format!("p{i:02}"), "vector": [i, 1], "payload": {"n": i, "tag": format!("t{}", i % 3)}}))
        .collect();
    server.upsert("docs", json!(points));
    server
}

fn why(server: &Server, id: &str, body: &Value) -> Value {
    let (status, answer) = server.post(&format!("{POINTS}/{id}/why-not"), body);
    assert_eq!(status, 200, "{answer}");
    answer
}

#[test]
fn why_a_search_returns_a_point_or_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = start(&dir);
    let body = json!({"vector": [1, 0], "top_k": 5, "filter": {"n": {"$lt": 50}}});
    let (_, searched) = server.post(&format!("{POINTS}/search"), &body);
    let ids: Vec<&str> = searched["results"]
        .as_array()
        .expect("results")
        .iter()
        .filter_map(|hit| hit["id"].as_str())
        .collect();
    assert_eq!(ids, ["p49", "p48", "p47", "p46", "p45"]);
    for (at, id) in ids.iter().enumerate() {
        let answer = why(&server, id, &body);
        assert_eq!(
            (&answer["verdict"], &answer["position"]),
            (&json!("present"), &json!(at + 1)),
            "{answer}"
        );
        assert_eq!(answer["score"], searched["results"][at]["score"]);
    }
    let next = why(&server, "p44", &body);
    assert_eq!((&next["verdict"], &next["rank"]), (&json!("outranked"), &json!(6)), "{next}");
    let filtered = why(&server, "p55", &body);
    assert_eq!(
        (&filtered["verdict"], &filtered["version"].is_u64()),
        (&json!("filtered"), &true),
        "{filtered}"
    );
    let clause = json!([{"clause": {"n": {"$lt": 50}}, "values": [{"field": "n", "value": 55}]}]);
    assert_eq!(filtered["filtered_by"], clause);
    let mut high = body.clone();
    high["score_threshold"] = json!(47.5);
    assert_eq!(why(&server, "p47", &high)["verdict"], "below_threshold");

    assert_eq!(why(&server, "nobody", &body)["verdict"], "absent");
    server.delete(&format!("{POINTS}/p49"));
    let deleted = why(&server, "p49", &body);
    assert_eq!(deleted["verdict"], "deleted", "{deleted}");
    assert!(deleted["removed_at_ms"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{deleted}");
    server.upsert("docs", json!([{"id": "brief", "vector": [49, 0], "ttl_ms": 1}]));
    std::thread::sleep(Duration::from_millis(20));
    // The next write's log time is past the end of it.
    server.upsert(
        "docs",
        json!((0..60).map(|i| json!({"id": format!("x{i}"), "vector": [-1, 0]})).collect::<Vec<_>>()),
    );
    assert_eq!(why(&server, "brief", &body)["verdict"], "expired");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = Client::connect(&server.url, None).await.expect("connected");
        let search = || SearchRequest::new("docs", vec![1.0, 0.0]).top_k(5).filter(json!({"tag": "t1"}));
        let present = client.why_not("p58", search()).await.expect("answered");
        assert_eq!((present.verdict.as_str(), present.rank, present.position), ("present", Some(1), Some(1)));
        let filtered = client.why_not("p57", search()).await.expect("answered");
        let values = &filtered.filtered_by[0].values[0];
        assert_eq!((filtered.verdict.as_str(), values.field.as_str()), ("filtered", "tag"));
        assert_eq!(values.value.as_ref().expect("a value").get(), "\"t0\"");
    });
}
