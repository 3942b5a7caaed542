//! Bad input of every kind that the contract lists, over REST and gRPC against the real binary: each gets its
//! error, names its field, and loses nothing.

use crate::process::Server;
use serde_json::{Value, json};
use std::io::{Read, Write};
use vectron_base::Code;
use vectron_wire::fault_table::{from_status, row_of};
use vectron_wire::proto::public as proto;
use vectron_wire::proto::public::vectron_service_client::VectronServiceClient;

/// One wrong request: what it is, path below the collection, body, the code, and what its text must contain.
type Row = (&'static str, &'static str, String, Code, &'static str);

fn row(what: &'static str, path: &'static str, body: &str, code: Code, says: &'static str) -> Row {
    (what, path, body.to_string(), code, says)
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

fn deep_filter(depth: usize) -> String {
    format!("{}{{\"a\":1}}{}", "{\"$not\":".repeat(depth), "}".repeat(depth))
}

fn upsert_rows() -> Vec<Row> {
    use Code::{InvalidArgument as Bad, TooLarge};
    let point = |inside: &str| format!("{{\"points\":[{{{inside}}}]}}");
    let payload = |text: &str| point(&format!("\"id\":\"x\",\"vector\":[1,2,3],\"payload\":{text}"));
    let p = "/points";
    vec![
        row("unknown field", p, &point(r#""id":"x","vector":[1,2,3],"paylod":{}"#), Bad, "payload"),
        row("malformed JSON", p, "{\"points\":[", Bad, "line"),
        row("wrong type", p, r#"{"points":7}"#, Bad, "points"),
        row(
            "one bad point",
            p,
            r#"{"points":[{"id":"good","vector":[1,2,3]},{"id":"a42","vector":[1,2]}]}"#,
            Bad,
            "points[1]",
        ),
        row(
            "same id twice",
            p,
            r#"{"points":[{"id":"x","vector":[1,2,3]},{"id":"y","vector":[1,2,3]},{"id":"x","vector":[1,2,3]}]}"#,
            Bad,
            "points[0]",
        ),
        row("short vector", p, &point(r#""id":"x","vector":[1,2]"#), Bad, "3"),
        row("empty vector", p, &point(r#""id":"x","vector":[]"#), Bad, "vector"),
        row("no vector", p, &point(r#""id":"x""#), Bad, "vector"),
        row("NaN", p, &point(r#""id":"x","vector":[1,NaN,3]"#), Bad, "line"),
        row("1e39", p, &point(r#""id":"x","vector":[1,1e39,3]"#), Bad, "vector"),
        row("1e400", p, &point(r#""id":"x","vector":[1,1e400,3]"#), Bad, ""),
        row("text in a vector", p, &point(r#""id":"x","vector":[1,"2",3]"#), Bad, "vector"),
        row(
            "packed infinity",
            p,
            &point(r#""id":"x","vector_b64":"AACAfwAAgD8AAIA/""#),
            Bad,
            "points[0].vector",
        ),
        row("packed too short", p, &point(r#""id":"x","vector_b64":"AACAPwA=""#), Bad, "vector_b64"),
        row("zero vector", p, &point(r#""id":"x","vector":[0,0,0]"#), Bad, "vector"),
        row("empty id", p, &point(r#""id":"","vector":[1,2,3]"#), Bad, "id"),
        row(
            "513 byte id",
            p,
            &point(&format!("\"id\":\"{}\",\"vector\":[1,2,3]", "i".repeat(513))),
            Bad,
            "512",
        ),
        row("NUL in an id", p, &point("\"id\":\"a\\u0000b\",\"vector\":[1,2,3]"), Bad, "NUL"),
        row("float id", p, &point(r#""id":1.5,"vector":[1,2,3]"#), Bad, "id"),
        row("payload not an object", p, &payload("[1]"), Bad, "payload"),
        row("payload 200 deep", p, &payload(&nested(200)), Bad, "payload"),
        row("payload with a key twice", p, &payload(r#"{"a":1,"a":2}"#), Bad, "payload"),
        row(
            "payload of 10 MB",
            p,
            &payload(&format!("{{\"a\":\"{}\"}}", "x".repeat(10 << 20))),
            TooLarge,
            "payload",
        ),
        row("body over the limit", p, &format!("{{\"points\":[]}}{}", " ".repeat(65 << 20)), TooLarge, ""),
        row("empty key", p, r#"{"points":[],"idempotency_key":""}"#, Bad, "idempotency_key"),
    ]
}

fn read_rows() -> Vec<Row> {
    use Code::InvalidArgument as Bad;
    let s = "/points/search";
    let search = |rest: &str| format!("{{\"vector\":[1,2,3],{rest}}}");
    let many: Vec<String> = (0..1000).map(|i| format!("{{\"a\":{i}}}")).collect();
    vec![
        row("misspelt field", s, &search(r#""topk":3"#), Bad, "top_k"),
        row("top_k 0", s, &search(r#""top_k":0"#), Bad, "top_k"),
        row("top_k negative", s, &search(r#""top_k":-1"#), Bad, "top_k"),
        row("top_k huge", s, &search(r#""top_k":1000000000"#), Bad, "10000"),
        row("query too long", s, r#"{"vector":[1,2,3,4]}"#, Bad, "3"),
        row("zero query", s, r#"{"vector":[0,0,0]}"#, Bad, "vector"),
        row("unknown operator", s, &search(r#""filter":{"a":{"$gtr":1}}"#), Bad, "$gt"),
        row(
            "filter of 1,000 clauses",
            s,
            &search(&format!("\"filter\":{{\"$or\":[{}]}}", many.join(","))),
            Bad,
            "filter",
        ),
        row("filter 100 deep", s, &search(&format!("\"filter\":{}", deep_filter(100))), Bad, "filter"),
        row("filter type clash", s, &search(r#""filter":{"a":{"$in":5}}"#), Bad, "filter"),
        row("unknown level", s, &search(r#""consistency":"strong""#), Bad, "consistency"),
        row("session without token", s, &search(r#""consistency":"session""#), Bad, "token"),
        row("foreign token", s, &search(r#""consistency":{"level":"session","token":"AAAA"}"#), Bad, "token"),
        row("recall 2", s, &search(r#""params":{"recall_target":2}"#), Bad, "recall_target"),
        row("bad cursor", "/points/scroll", r#"{"cursor":"nonsense"}"#, Bad, "cursor"),
        row("page of none", "/points/scroll", r#"{"limit":0}"#, Bad, "limit"),
        row("ids and filter", "/points/delete", r#"{"ids":["a"],"filter":{"a":1}}"#, Bad, "filter"),
        row("neither", "/points/delete", "{}", Bad, "ids"),
        row("wrong type of ids", "/points/get", r#"{"ids":"a"}"#, Bad, "ids"),
    ]
}

fn seeded(server: &Server) {
    server.create("docs", 3, "cosine");
    let points = json!([{"id": "kept", "vector": [1, 2, 3], "payload": {"n": 1}},
                        {"id": "../x", "vector": [3, 2, 1]}, {"id": "🦀", "vector": [1, 1, 1]}]);
    server.upsert("docs", points);
}

#[test]
fn every_wrong_request_gets_its_error_and_loses_nothing_over_rest() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    for (what, path, body, code, says) in upsert_rows().into_iter().chain(read_rows()) {
        let (status, answer) = server.send("POST", &format!("/v1/collections/docs{path}"), body.as_bytes());
        assert_eq!(status, row_of(code).http, "{what}: {answer}");
        assert_eq!(answer["code"], code.as_str(), "{what}: {answer}");
        assert_eq!(answer["outcome"], "not_applied", "{what}: {answer}");
        assert!(answer.to_string().contains(says), "{what} does not say '{says}': {answer}");
        assert!(answer["request_id"].is_string(), "{what}: {answer}");
        assert_eq!(server.count("docs"), 3, "{what} changed something");
    }
    for id in ["kept", "..%2Fx", "%F0%9F%A6%80"] {
        assert_eq!(server.get(&format!("/v1/collections/docs/points/{id}")).0, 200, "{id}");
    }
}

#[test]
fn wrong_collections_and_routes_get_their_errors() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    let create = |name: &str, rest: &str| {
        let body = format!("{{\"name\":{},{rest}}}", json!(name));
        server.send("POST", "/v1/collections", body.as_bytes())
    };
    let good = r#""dimension":3,"distance":"cosine""#;
    for name in ["", "a/b", "..", ".", "-x", &"n".repeat(1 << 20)] {
        let (status, answer) = create(name, good);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")), "{answer}");
        assert_eq!(answer["errors"][0]["field"], "name", "{answer}");
    }
    for (rest, field) in [
        (r#""dimension":0,"distance":"cosine""#, "dimension"),
        (r#""dimension":20000,"distance":"cosine""#, "dimension"),
        (r#""dimension":3,"distance":"cosin""#, "distance"),
        (r#""dimension":3,"distance":"l2""#, "distance"),
        (r#""dimension":3,"distance":"cosine","shards":0"#, "shards"),
        (r#""dimension":3,"distance":"cosine","replication_factor":2"#, "replication_factor"),
    ] {
        let (status, answer) = create("other", rest);
        assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    assert_eq!(create("docs", good).0, 200, "the same again is fine");
    let (status, answer) = create("docs", r#""dimension":4,"distance":"cosine""#);
    assert_eq!((status, &answer["code"]), (409, &json!("already_exists")), "{answer}");
    assert_eq!(server.get("/v1/nowhere").0, 404);
    assert_eq!(server.send("PUT", "/v1/collections", b"{}").0, 405);
    assert_eq!(server.get("/v1/collections/none").1["code"], "not_found");
    assert_eq!(server.get("/v1/collections/docs/points/none").1["code"], "not_found");
    let (status, answer) = server.post("/v1/collections/docs/points", &json!({"points": []}));
    assert_eq!((status, &answer["upserted"]), (200, &json!(0)), "an empty batch is accepted");
}

#[test]
fn two_creates_at_once_make_one_collection() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let body = json!({"name": "once", "dimension": 3, "distance": "dot"});
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| server.post("/v1/collections", &body).0)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|s| matches!(s, 200 | 201)), "{statuses:?}");
}

#[test]
fn a_cursor_of_another_collection_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    server.create("other", 3, "cosine");
    let (_, page) = server.post("/v1/collections/docs/points/scroll", &json!({"limit": 1}));
    let cursor = page["next_cursor"].clone();
    assert!(cursor.is_string(), "{page}");
    let (status, answer) = server.post("/v1/collections/other/points/scroll", &json!({"cursor": cursor}));
    assert_eq!((status, &answer["errors"][0]["field"]), (400, &json!("cursor")), "{answer}");
}

#[test]
fn a_gzip_bomb_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..200 {
        packer.write_all(&spaces).unwrap();
    }
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let address = server.url.trim_start_matches("http://").to_string();
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /v1/collections/docs/points HTTP/1.1\r\nhost: {address}\r\ncontent-encoding: gzip\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    // The answer may come before everything is sent.
    let _ = socket.write_all(&bomb);
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{}", answer.lines().next().unwrap_or_default());
    assert_eq!(server.count("docs"), 3);
}

#[test]
fn many_idle_and_half_open_connections_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    let address = server.url.trim_start_matches("http://").to_string();
    let mut sockets = Vec::new();
    for number in 0..800 {
        let Ok(mut socket) = std::net::TcpStream::connect(&address) else { break };
        if number % 2 == 0 {
            let _ = socket.write_all(b"POST /v1/collections/docs/points HTTP/1.1\r\ncontent-length: 50\r\n");
        }
        sockets.push(socket);
    }
    assert_eq!(server.count("docs"), 3, "with {} idle connections", sockets.len());
}

fn grpc() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn grpc_point(id: &str, values: Vec<f32>, payload: Option<String>) -> proto::PointInput {
    proto::PointInput { id: id.into(), vector: Some(proto::Vector { values }), payload, ..Default::default() }
}

#[test]
fn every_wrong_request_gets_its_error_and_loses_nothing_over_grpc() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    grpc().block_on(async {
        let mut client = VectronServiceClient::connect(server.url.clone()).await.unwrap();
        let good = vec![1.0, 2.0, 3.0];
        let batches: Vec<(&str, Vec<proto::PointInput>, Code, &str)> = vec![
            (
                "short vector",
                vec![grpc_point("a", vec![1.0], None)],
                Code::InvalidArgument,
                "points[0].vector",
            ),
            ("NaN", vec![grpc_point("a", vec![1.0, f32::NAN, 1.0], None)], Code::InvalidArgument, "vector"),
            (
                "infinity",
                vec![grpc_point("a", vec![1.0, f32::INFINITY, 1.0], None)],
                Code::InvalidArgument,
                "vector",
            ),
            ("zero", vec![grpc_point("a", vec![0.0; 3], None)], Code::InvalidArgument, "vector"),
            ("empty id", vec![grpc_point("", good.clone(), None)], Code::InvalidArgument, "id"),
            ("long id", vec![grpc_point(&"i".repeat(513), good.clone(), None)], Code::InvalidArgument, "512"),
            ("twice", vec![grpc_point("a", good.clone(), None); 2], Code::InvalidArgument, "points[0]"),
            (
                "bad payload",
                vec![grpc_point("a", good.clone(), Some("{".into()))],
                Code::InvalidArgument,
                "payload",
            ),
            (
                "array payload",
                vec![grpc_point("a", good.clone(), Some("[]".into()))],
                Code::InvalidArgument,
                "payload",
            ),
            (
                "deep payload",
                vec![grpc_point("a", good.clone(), Some(nested(200)))],
                Code::InvalidArgument,
                "payload",
            ),
            (
                "large payload",
                vec![grpc_point("a", good.clone(), Some(format!("{{\"a\":\"{}\"}}", "x".repeat(10 << 20))))],
                Code::TooLarge,
                "payload",
            ),
        ];
        for (what, points, code, says) in batches {
            let request = proto::UpsertRequest { collection: "docs".into(), points, ..Default::default() };
            let fault = from_status(&client.upsert(request).await.expect_err(what));
            assert_eq!(fault.code, code, "{what}: {fault:?}");
            assert!(format!("{fault:?}").contains(says), "{what} does not say '{says}': {fault:?}");
        }
        for (what, top_k, filter, says) in [
            ("top_k 0", Some(0), None, "top_k"),
            ("top_k huge", Some(1_000_000_000), None, "10000"),
            ("operator", None, Some(r#"{"a":{"$gtr":1}}"#), "$gt"),
            ("filter text", None, Some("{"), "filter"),
        ] {
            let request = proto::SearchRequest {
                collection: "docs".into(),
                vector: Some(proto::Vector { values: good.clone() }),
                top_k,
                filter: filter.map(str::to_string),
                ..Default::default()
            };
            let fault = from_status(&client.search(request).await.expect_err(what));
            assert_eq!(fault.code, Code::InvalidArgument, "{what}: {fault:?}");
            assert!(format!("{fault:?}").contains(says), "{what}: {fault:?}");
        }
        let unknown = proto::GetCollectionRequest { collection: "none".into() };
        let fault = from_status(&client.get_collection(unknown).await.expect_err("unknown collection"));
        assert_eq!(fault.code, Code::NotFound);
    });
    assert_eq!(server.count("docs"), 3);
}

/// Undecodable protobuf is the caller's mistake; the connection and the server live on.
#[test]
fn a_broken_grpc_frame_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    grpc().block_on(async {
        let channel = tonic::transport::Endpoint::new(server.url.clone()).unwrap().connect().await.unwrap();
        let mut raw = tonic::client::Grpc::new(channel);
        raw.ready().await.unwrap();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/vectron.v1.VectronService/Search");
        // A Collection's bytes are no SearchRequest: field 1 as a varint where a string is expected.
        let broken = proto::ShardStatus { id: 7, ..Default::default() };
        let codec = vectron_wire::codec::StrictCodec::<proto::ShardStatus, proto::SearchResponse>::default();
        let status = raw.unary(tonic::Request::new(broken), path, codec).await.expect_err("refused");
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    });
    assert_eq!(server.count("docs"), 3);
}

/// Both protocols give the same answer to the same search.
#[test]
fn rest_and_grpc_agree() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    seeded(&server);
    let rest = server.search("docs", &json!({"vector": [1, 2, 3]}));
    grpc().block_on(async {
        let mut client = VectronServiceClient::connect(server.url.clone()).await.unwrap();
        let request = proto::SearchRequest {
            collection: "docs".into(),
            vector: Some(proto::Vector { values: vec![1.0, 2.0, 3.0] }),
            ..Default::default()
        };
        let answer = client.search(request).await.unwrap().into_inner();
        for (theirs, ours) in answer.results.iter().zip(rest["results"].as_array().unwrap()) {
            assert_eq!(ours["id"], theirs.id.as_str());
            assert_eq!(ours["version"], theirs.version);
            assert_eq!(ours["score"].as_f64().unwrap() as f32, theirs.score);
            let payload: Value = serde_json::from_str(theirs.payload.as_deref().unwrap()).unwrap();
            assert_eq!(ours["payload"], payload, "payloads come by default, over both");
            assert!(theirs.vector.is_none() && ours.get("vector").is_none_or(Value::is_null));
        }
        let meta = answer.meta.unwrap();
        assert_eq!(meta.consistency.unwrap().level, rest["meta"]["consistency"]["level"].as_str().unwrap());
    });
}
