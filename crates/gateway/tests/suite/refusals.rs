//! Bad input: each is refused by name, and nothing of it is written.

use crate::cluster::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vectron_gateway::GatewayKnobs;

const POINTS: &str = "/v1/collections/docs/points";
const SEARCH: &str = "/v1/collections/docs/points/search";
const SCROLL: &str = "/v1/collections/docs/points/scroll";
const COUNT: &str = "/v1/collections/docs/points/count";
const DELETE: &str = "/v1/collections/docs/points/delete";
const GET: &str = "/v1/collections/docs/points/get";
const CREATE: &str = "/v1/collections";
const INDEXES: &str = "/v1/collections/docs/indexes";

/// Path, body, field at fault, words of the detail.
type Row = (&'static str, String, &'static str, &'static str);

fn row(path: &'static str, body: impl ToString, field: &'static str, words: &'static str) -> Row {
    (path, body.to_string(), field, words)
}

fn one(point: Value) -> String {
    json!({ "points": [point] }).to_string()
}

fn bad_points() -> Vec<Row> {
    let nested = format!(
        r#"{{"points":[{{"id":"a","vector":[1,1],"payload":{}1{}}}]}}"#,
        r#"{"a":"#.repeat(200),
        "}".repeat(200)
    );
    let b64 =
        |numbers: &[f32]| STANDARD.encode(numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>());
    vec![
        row(POINTS, r#"{"points":[{"id":"a","vector":[1,1]}"#, "", "not valid JSON"),
        row(POINTS, r#"{"points":[{"id":"a","vector":[1,,1]}]}"#, "", "line 1 column 34"),
        row(POINTS, r#"{"points":[],"pionts":[]}"#, "pionts", "did you mean 'points'?"),
        row(POINTS, r#"{"points":[],"points":[]}"#, "points", "given twice"),
        row(POINTS, r#"{"points":{}}"#, "points", "expected a list"),
        row(POINTS, "", "", "empty"),
        row(POINTS, r#"[[], null, null]"#, "body", "expected an object"),
        row(POINTS, r#"{"points":[["a",[1,1],null,null,null]]}"#, "points[0]", "expected an object"),
        row(
            POINTS,
            r#"{"points":[{"id":"a","vector":["x",1]}]}"#,
            "points[0].vector[0]",
            "expected a number",
        ),
        row(
            POINTS,
            one(json!({"id": "a42", "vector": [1]})),
            "points[0].vector",
            "points[0] 'a42': vector has 1 number, collection 'docs' expects 2",
        ),
        row(POINTS, one(json!({"id": "a", "vector": []})), "points[0].vector", "is empty"),
        row(POINTS, one(json!({"id": "a"})), "points[0].vector", "is missing"),
        row(
            POINTS,
            r#"{"points":[{"id":"a","vector":[1e39,1]}]}"#,
            "points[0].vector",
            "number 0 is not a finite",
        ),
        row(POINTS, r#"{"points":[{"id":"a","vector":[1e999,1]}]}"#, "", "not valid JSON"),
        row(POINTS, r#"{"points":[{"id":"a","vector":[NaN,1]}]}"#, "", "not valid JSON"),
        row(POINTS, one(json!({"id": "a", "vector": [0, 0]})), "points[0].vector", "all zeros"),
        row(
            POINTS,
            one(json!({"id": "a", "vector_b64": b64(&[f32::NAN, 1.0])})),
            "points[0].vector",
            "finite",
        ),
        row(
            POINTS,
            one(json!({"id": "a", "vector_b64": b64(&[1.0])})),
            "points[0].vector",
            "'a': vector has 1 number",
        ),
        row(POINTS, one(json!({"id": "a", "vector_b64": "AAA="})), "points[0].vector_b64", "2 bytes"),
        row(POINTS, one(json!({"id": "a", "vector_b64": "*"})), "points[0].vector_b64", "base64"),
        row(
            POINTS,
            one(json!({"id": "a", "vector": [1, 1], "vector_b64": b64(&[1.0, 1.0])})),
            "points[0].vector",
            "together",
        ),
        row(POINTS, one(json!({"id": "", "vector": [1, 1]})), "points[0].id", "must not be empty"),
        row(POINTS, one(json!({"id": "x".repeat(513), "vector": [1, 1]})), "points[0].id", "513 bytes"),
        row(POINTS, one(json!({"id": "a\0b", "vector": [1, 1]})), "points[0].id", "NUL"),
        row(
            POINTS,
            json!({"points": [{"id": "a", "vector": [1, 1]}, {"id": "b", "vector": [1, 1]}, {"id": "a", "vector": [2, 1]}]}),
            "points[2].id",
            "points[0] and points[2]",
        ),
        row(
            POINTS,
            json!({"points": [{"id": 1, "vector": [1, 1]}, {"id": "1", "vector": [1, 1]}]}),
            "points[1].id",
            "twice",
        ),
        row(
            POINTS,
            one(json!({"id": "a", "vector": [1, 1], "payload": [1]})),
            "points[0].payload",
            "must be a JSON object, got a list",
        ),
        row(POINTS, nested, "points[0].payload", "more than 64 deep"),
        row(
            POINTS,
            r#"{"points":[{"id":"a","vector":[1,1],"payload":{"x":{"k":1,"k":2}}}]}"#,
            "points[0].payload.x.k",
            "twice",
        ),
        row(POINTS, json!({"points": [], "idempotency_key": ""}), "idempotency_key", "1 to 256 bytes"),
        row(POINTS, json!({"points": [], "idempotency_key": "k".repeat(257)}), "idempotency_key", "got 257"),
        row(POINTS, json!({"points": [], "timeout_ms": 0}), "timeout_ms", "from 1 to 300000"),
        row(
            POINTS,
            json!({"points": [{"id": "ok", "vector": [1, 1]}, {"id": "bad", "vector": [1, 1, 1]}]}),
            "points[1].vector",
            "'bad'",
        ),
    ]
}

fn bad_reads() -> Vec<Row> {
    let deep = format!("{}{}{}", r#"{"$not":"#.repeat(100), r#"{"a":1}"#, "}".repeat(100));
    let many: Vec<Value> = (0..1_000).map(|i| json!({"a": i})).collect();
    let search = |more: Value| {
        let mut body = json!({"vector": [1, 1]});
        body.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        body.to_string()
    };
    vec![
        row(SEARCH, search(json!({"top_k": 0})), "top_k", "from 1 to 10000, got 0"),
        row(SEARCH, search(json!({"top_k": 1_000_000_000})), "top_k", "from 1 to 10000"),
        row(SEARCH, search(json!({"top_k": -1})), "top_k", "0 or more"),
        row(SEARCH, search(json!({"topk": 1})), "topk", "did you mean 'top_k'?"),
        row(SEARCH, json!({"vector": [0, 0]}), "vector", "the query: vector is all zeros"),
        row(SEARCH, json!({"vector": [1]}), "vector", "has 1 number"),
        row(SEARCH, json!({}), "vector", "is missing"),
        row(SEARCH, r#"{"vector":[1,1],"score_threshold":1e39}"#, "score_threshold", "finite"),
        row(
            SEARCH,
            search(json!({"params": {"recall_target": 0.4}})),
            "params.recall_target",
            "0.5 to 0.999",
        ),
        row(SEARCH, search(json!({"params": {"recall_target": 1}})), "params.recall_target", "0.5 to 0.999"),
        row(SEARCH, search(json!({"params": {"ef": 0}})), "params.ef", "from 1 to 16384"),
        row(SEARCH, search(json!({"params": {"eff": 1}})), "params.eff", "did you mean 'ef'?"),
        row(SEARCH, search(json!({"consistency": "strong"})), "consistency.level", "got 'strong'"),
        row(
            SEARCH,
            search(json!({"consistency": {"level": "bounded"}})),
            "consistency.max_staleness_ms",
            "is missing",
        ),
        row(
            SEARCH,
            search(json!({"consistency": {"level": "bounded", "max_staleness_ms": 0}})),
            "consistency.max_staleness_ms",
            "at least 1",
        ),
        row(SEARCH, search(json!({"consistency": {"level": "session"}})), "consistency.token", "is missing"),
        row(
            SEARCH,
            search(json!({"consistency": {"level": "session", "token": "x"}})),
            "consistency.token",
            "not a session token",
        ),
        row(
            SEARCH,
            search(json!({"consistency": {"level": "eventual", "token": "x"}})),
            "consistency.token",
            "session only",
        ),
        row(SEARCH, search(json!({"timeout_ms": 300_001})), "timeout_ms", "300000"),
        row(SEARCH, search(json!({"filter": {"a": {"$near": 1}}})), "filter.a.$near", ""),
        row(COUNT, format!(r#"{{"filter":{deep}}}"#), "filter", ""),
        row(COUNT, json!({"filter": {"$or": many}}), "filter", ""),
        row(COUNT, json!({"filter": [1]}), "filter", ""),
        row(SCROLL, json!({"limit": 0}), "limit", "from 1 to 10000"),
        row(SCROLL, json!({"limit": 10_001}), "limit", "from 1 to 10000"),
        row(SCROLL, json!({"cursor": "?"}), "cursor", "not a cursor"),
        row(GET, json!({"ids": ["a", ""]}), "ids[1]", "empty"),
        row(DELETE, json!({}), "ids", "give ids or filter"),
        row(DELETE, json!({"ids": ["a"], "filter": {"a": 1}}), "ids", "together"),
        row(DELETE, json!({"ids": ["a", "b", "a"]}), "ids[2]", "ids[0] and ids[2]"),
    ]
}

fn bad_collections() -> Vec<Row> {
    let by_position = r#"["x",3,"cosine",null,null,null]"#;
    let create = |name: &str, dimension: i64, distance: &str| {
        json!({"name": name, "dimension": dimension, "distance": distance}).to_string()
    };
    let tuned = |more: Value| {
        let mut body = json!({"name": "x", "dimension": 2, "distance": "dot"});
        body.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        body.to_string()
    };
    vec![
        row(CREATE, by_position, "body", "expected an object"),
        row(DELETE, "[null,{},null,null]", "body", "expected an object"),
        row(SEARCH, r#"{"vector":[1,1],"params":[0.9,64,true]}"#, "params", "expected an object"),
        row(COUNT, "[null,null,null]", "body", "expected an object"),
        row(CREATE, create("a/b", 2, "dot"), "name", "not a valid name"),
        row(CREATE, create("..", 2, "dot"), "name", "not a valid name"),
        row(CREATE, create("", 2, "dot"), "name", "empty"),
        row(CREATE, create(&"n".repeat(1 << 20), 2, "dot"), "name", "1048576 bytes"),
        row(CREATE, create("x", 0, "dot"), "dimension", "from 1 to 16384"),
        row(CREATE, create("x", 16_385, "dot"), "dimension", "from 1 to 16384"),
        row(CREATE, create("x", -1, "dot"), "dimension", "0 or more"),
        row(CREATE, create("x", 2, "l2"), "distance", "cosine, dot or euclidean"),
        row(
            CREATE,
            r#"{"name":"x","dimension":2,"distance":"dot","replication_factor":2}"#,
            "replication_factor",
            "1, 3 or 5",
        ),
        row(CREATE, tuned(json!({"quantization": "int8"})), "quantization", "auto, none, 8bit or 4bit"),
        row(CREATE, tuned(json!({"quantization": 8})), "quantization", "wrong type"),
        row(CREATE, tuned(json!({"storage": "disk"})), "storage", "ram or mmap"),
        row(CREATE, tuned(json!({"index": {"degree": 7}})), "index.degree", "from 8 to 128, got 7"),
        row(CREATE, tuned(json!({"index": {"degree": 129}})), "index.degree", "from 8 to 128, got 129"),
        row(
            CREATE,
            tuned(json!({"index": {"ef_construction": 31}})),
            "index.ef_construction",
            "from 32 to 1024, got 31",
        ),
        row(
            CREATE,
            tuned(json!({"index": {"degree": 100, "ef_construction": 99}})),
            "index.ef_construction",
            "at least index.degree (100)",
        ),
        row(CREATE, tuned(json!({"index": {"m": 16}})), "index.m", "not a known field"),
        row(CREATE, tuned(json!({"index": [32, 128]})), "index", "expected an object"),
        row(INDEXES, json!({"field": "a"}), "type", "is missing"),
        row(INDEXES, json!({"field": "", "type": "bool"}), "field", "empty"),
        row(INDEXES, json!({"field": "a..b", "type": "bool"}), "field", ""),
        row(INDEXES, json!({"field": "$and", "type": "bool"}), "field", ""),
        row(INDEXES, json!({"field": "a", "type": "int"}), "type", "keyword, integer, float, bool, datetime"),
        row(INDEXES, json!({"field": "a", "kind": "bool"}), "kind", "not a known field"),
        row(
            CREATE,
            r#"{"name":"x","dimension":2,"distance":"dot","vector":{}}"#,
            "vector",
            "not a known field",
        ),
    ]
}

#[tokio::test]
async fn bad_input_is_refused_by_name_and_writes_nothing() {
    let client = Client::new().with_docs("cosine", 2).await;
    let rows = bad_points().into_iter().chain(bad_reads()).chain(bad_collections());
    for (path, body, field, words) in rows {
        let shown: String = body.chars().take(200).collect();
        let reply = client.post(path, body).await;
        let problem = reply.problem(400, "invalid_argument");
        let detail = problem["detail"].as_str().expect("text");
        assert!(detail.contains(words), "{shown}: {detail}");
        assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("not_applied"), &json!(false)));
        match field {
            "" => assert_eq!(problem["errors"], json!([]), "{shown}"),
            "filter" => {
                assert!(problem["errors"][0]["field"].as_str().is_some_and(|f| f.starts_with("filter")))
            }
            field => assert_eq!(problem["errors"][0]["field"], field, "{shown}: {detail}"),
        }
    }
    assert!(client.cluster.log.lock().is_empty(), "a refused request reached a shard");
    assert_eq!((client.cluster.written(), client.cluster.points()), (0, 0));
}

#[tokio::test]
async fn what_is_too_large_says_so() {
    let knobs = GatewayKnobs { max_body_bytes: 100_000, max_batch: 100, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 1).await;
    let batch: Vec<Value> = (0..101).map(|i| json!({"id": i, "vector": [1, 1]})).collect();
    let payload = json!({"text": "x".repeat(65_536)});
    for (body, words) in [
        (json!({"points": batch}).to_string(), "points has 101 items, the limit is 100"),
        (
            one(json!({"id": "a", "vector": [1, 1], "payload": payload})),
            "points[0] 'a': payload has 65547 bytes",
        ),
        (" ".repeat(100_001), "more than 100000 bytes"),
    ] {
        let problem = client.post(POINTS, body).await.problem(413, "too_large");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains(words)), "{problem}");
    }
    assert_eq!(client.cluster.written(), 0);
}

#[tokio::test]
async fn odd_but_good_input_is_accepted() {
    let client = Client::new().with_docs("dot", 2).await;
    let written = client.upsert("[]").await.ok();
    assert_eq!((&written["upserted"], &written["replayed"]), (&json!(0), &json!(false)));
    assert_eq!(client.post(DELETE, r#"{"ids":[]}"#).await.ok()["deleted"], 0);
    assert_eq!(client.post(GET, r#"{"ids":[]}"#).await.ok()["points"], json!([]));
    client.upsert(r#"[{"id":"z","vector":[0,0]},{"id":"n","vector":[1,1],"payload":null}]"#).await.ok();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(64), "}".repeat(64));
    client.upsert(&format!(r#"[{{"id":"deep","vector":[1,1],"payload":{deep}}}]"#)).await.ok();
    assert_eq!(client.cluster.points(), 3);
}

#[tokio::test]
async fn paths_and_queries_are_checked_too() {
    let client = Client::new().with_docs("dot", 1).await;
    for (method, path, field) in [
        ("GET", "/v1/collections/docs/points/a?include_vectors=true", "include_vectors"),
        ("GET", "/v1/collections/docs/points/a?include_vector=7", "include_vector"),
        ("GET", "/v1/collections/docs/points/a?max_staleness_ms=7", "consistency"),
        ("GET", "/v1/collections/docs/points/%ff", "id"),
        ("GET", "/v1/collections/docs/points/a%00b", "id"),
        ("DELETE", "/v1/collections/docs/points/a?timeout_ms=0", "timeout_ms"),
        ("DELETE", "/v1/collections/docs/indexes/%ff", "field"),
        ("DELETE", "/v1/collections/docs/indexes/a..b", "field"),
        ("GET", "/v1/collections/a%2Fb", "collection"),
        ("DELETE", "/v1/collections/..", "collection"),
    ] {
        let problem = client.call(method, path, "").await.problem(400, "invalid_argument");
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
    client.fetch("/v1/collections/nope/points/a").await.problem(404, "not_found");
    client.post("/v1/collections/nope/points/search", r#"{"vector":[1,1]}"#).await.problem(404, "not_found");
}

#[tokio::test]
async fn long_names_are_not_echoed_whole() {
    let client = Client::new().with_docs("dot", 1).await;
    let name = "k".repeat(100_000);
    for (path, body) in [
        (SEARCH, format!(r#"{{"{name}":1}}"#)),
        (COUNT, format!(r#"{{"filter":{{"a":{{"${name}":1}}}}}}"#)),
        (
            POINTS,
            format!(r#"{{"points":[{{"id":"a","vector":[1,1],"payload":{{"{name}":1,"{name}":2}}}}]}}"#),
        ),
        (CREATE, json!({"name": "x", "dimension": 2, "distance": name}).to_string()),
    ] {
        let reply = client.post(path, body).await;
        reply.problem(400, "invalid_argument");
        assert!(reply.text.len() < 4_000, "{}", reply.text.len());
    }
}
