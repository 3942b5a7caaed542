//! Text search on a real node, over both protocols, before and after a restart.

use crate::process::{Server, ids};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use vectron_wire::proto::public as proto;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

const TEXTS: [&str; 5] = [
    "Fast library for searching text",
    "Libraries, shared and static",
    "A shared library of pictures",
    "Terminal emulator",
    "Search tools: fast, small",
];

fn points() -> Value {
    let point = |(at, text): (usize, &&str)| {
        json!({"id": at, "vector": [at, 1], "payload": {"about": {"text": text}, "even": at % 2 == 0,
               "place": {"lat": 50 + at, "lon": 13}}})
    };
    TEXTS.iter().enumerate().map(point).collect()
}

/// After a restart the index is built again: until then the search is refused, and told to come back.
fn found(server: &Server, body: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let (status, answer) = server.post("/v1/collections/docs/points/search", body);
        if status == 200 {
            return answer;
        }
        assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hold(server: &Server) {
    let search = |text: &str| ids(&found(server, &json!({"text": text})));
    let sorted = |text: &str| {
        let mut ids = search(text);
        ids.sort();
        ids
    };
    assert_eq!(sorted("library"), ["0", "1", "2"]);
    assert_eq!(search("\"shared library\""), ["2"]);
    assert_eq!(search("emul*"), ["3"]);
    assert_eq!(search("fast tools"), ["4", "0"]);
    let and = json!({"text": "fast library", "using": "about.text", "params": {"operator": "and"}, "explain": true});
    let answer = found(server, &and);
    assert_eq!(ids(&answer), ["0"]);
    assert_eq!(answer["explain"]["shards"][0]["plan"], "text_and", "{answer}");
    let even = found(server, &json!({"text": "library", "filter": {"even": true}, "top_k": 1}));
    assert_eq!(even["results"].as_array().map(Vec::len), Some(1), "{even}");
    let near = json!({"place": {"$geo_radius": {"lat": 51.2, "lon": 13, "radius_m": 50_000}}});
    assert_eq!(ids(&found(server, &json!({"text": "library", "filter": near}))), ["1"]);
}

#[test]
fn words_find_points_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let create = json!({"name": "docs", "dimension": 2, "distance": "dot", "shards": 3,
                        "text_fields": {"about.text": {"language": "english"}}});
    assert_eq!(server.post("/v1/collections", &create).0, 201);
    assert_eq!(server.post("/v1/collections/docs/indexes", &json!({"field": "place", "type": "geo"})).0, 201);
    server.upsert("docs", points());
    hold(&server);
    let scores = |server: &Server| {
        let answer = found(server, &json!({"text": "fast shared library"}));
        let results = answer["results"].as_array().unwrap().clone();
        results.iter().map(|hit| (hit["id"].clone(), hit["score"].clone())).collect::<Vec<_>>()
    };
    let before = scores(&server);
    // The same points in one shard score the same.
    let mut one = create.clone();
    one["name"] = json!("one");
    one["shards"] = json!(1);
    assert_eq!(server.post("/v1/collections", &one).0, 201);
    server.upsert("one", points());
    let (_, alone) =
        server.post("/v1/collections/one/points/search", &json!({"text": "fast shared library"}));
    let alone = alone["results"].as_array().unwrap().iter();
    assert_eq!(alone.map(|hit| (hit["id"].clone(), hit["score"].clone())).collect::<Vec<_>>(), before);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut client = VectronServiceClient::connect(server.url.clone()).await.unwrap();
        let search = proto::SearchRequest {
            collection: "docs".into(),
            text: Some("fast shared library".into()),
            ..Default::default()
        };
        let results = client.search(search).await.unwrap().into_inner().results;
        let same = results.iter().zip(&before).all(|(hit, (id, _))| json!(hit.id) == *id);
        assert!(same && results.len() == before.len(), "{results:?} {before:?}");
    });
    server.kill();
    let server = Server::start(dir.path());
    hold(&server);
    assert_eq!(scores(&server), before);
    let (status, answer) =
        server.post("/v1/collections/docs/points/search", &json!({"text": "?", "using": "about.text"}));
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("text")), "{answer}");
}
