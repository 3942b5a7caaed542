//! The HTTP edge itself: problems for everything, request ids, compression, load, connections, stopping.

use crate::cluster::{Client, Trouble};
use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use serde_json::json;
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vectron_base::pool::Pool;
use vectron_gateway::GatewayKnobs;

#[tokio::test]
async fn the_routers_own_refusals_are_problems() {
    let client = Client::new();
    client.fetch("/nope").await.problem(404, "not_found");
    client.fetch("/v1/collections/").await.problem(404, "not_found");
    let wrong = client.call("PUT", "/v1/collections", "").await;
    let problem = wrong.problem(405, "invalid_argument");
    assert_eq!(wrong.headers["allow"], "POST,GET,HEAD");
    assert!(problem["detail"].as_str().is_some_and(|d| d.contains("does not take this method")));
    let typed = Request::post("/v1/collections").header("content-type", "text/plain");
    let reply = client.send(typed.body(Body::from("{}")).expect("request")).await;
    assert_eq!(reply.problem(400, "invalid_argument")["errors"][0]["field"], "content-type");
    let body = r#"{"name":"docs","dimension":2,"distance":"dot"}"#;
    let untyped = Request::post("/v1/collections").body(Body::from(body)).expect("request");
    assert_eq!(client.send(untyped).await.status, 201);
    let coded = Request::post("/v1/collections").header("content-encoding", "br");
    let reply = client.send(coded.body(Body::from(body)).expect("request")).await;
    assert_eq!(reply.problem(400, "invalid_argument")["errors"][0]["field"], "content-encoding");
}

#[tokio::test]
async fn sane_request_ids_are_kept() {
    let client = Client::new();
    let long = "x".repeat(129);
    for (given, kept) in
        [("abc-1.2:3_4", true), ("has space", false), ("<script>", false), (long.as_str(), false)]
    {
        let request =
            Request::get("/nope").header("x-request-id", given).body(Body::empty()).expect("request");
        let reply = client.send(request).await;
        let id = reply.headers["x-request-id"].to_str().expect("text");
        assert_eq!(id == given, kept, "{given}");
        reply.problem(404, "not_found");
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn gzip_is_accepted_and_bombs_are_not() {
    let knobs = GatewayKnobs { max_body_bytes: 1_000_000, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 1).await;
    let send = |body: Vec<u8>| {
        let request = Request::post("/v1/collections/docs/points").header("content-encoding", "gzip");
        client.send(request.body(Body::from(body)).expect("request"))
    };
    let good = send(gzipped(br#"{"points":[{"id":"a","vector":[1,1]}]}"#)).await.ok();
    assert_eq!(good["upserted"], 1);
    let bomb = gzipped(&vec![b' '; 50_000_000]);
    assert!(bomb.len() < 100_000);
    send(bomb).await.problem(413, "too_large");
    send(b"not gzip at all".to_vec()).await.problem(400, "invalid_argument");
    assert_eq!(client.cluster.points(), 1);
}

#[tokio::test]
async fn too_many_requests_are_turned_away_and_probes_are_not() {
    let knobs = GatewayKnobs { max_requests: 1, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 1).await;
    let shard = client.cluster.shard_ids()[0];
    client.cluster.trouble(shard, Some(Trouble::Slow(Duration::from_millis(300))));
    let slow = client.search(r#"{"vector":[1,1]}"#);
    let others = async {
        crate::cluster::TestPool.sleep(Duration::from_millis(100)).await;
        let reply = client.search(r#"{"vector":[1,1]}"#).await;
        reply.problem(503, "overloaded");
        assert_eq!(reply.headers["retry-after"], "1");
        client.fetch("/healthz").await.ok();
        assert!(client.fetch("/metrics").await.text.contains("rejected_total{reason=\"requests\"} 1"));
    };
    let (slow, ()) = futures::join!(slow, others);
    slow.ok();
    client.search(r#"{"vector":[1,1]}"#).await.ok();
}

async fn listening(knobs: GatewayKnobs) -> (Client, TcpListener, std::net::SocketAddr) {
    let client = Client::with(knobs, None).with_docs("dot", 1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (client, listener, address)
}

async fn talk(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn stopping_lets_requests_finish() {
    let (client, listener, address) = listening(GatewayKnobs::default()).await;
    let shard = client.cluster.shard_ids()[0];
    client.cluster.trouble(shard, Some(Trouble::Slow(Duration::from_millis(400))));
    let body = json!({"vector": [1, 1]}).to_string();
    let request = format!(
        "POST /v1/collections/docs/points/search HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let stop = crate::cluster::TestPool.sleep(Duration::from_millis(150));
    let server = vectron_gateway::serve(listener, client.gateway.clone(), stop);
    let (served, answer) = futures::join!(server, talk(address, &request));
    served.expect("stopped cleanly");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("search_id"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let knobs = GatewayKnobs { shutdown_grace_ms: 100, ..GatewayKnobs::default() };
    let (client, listener, address) = listening(knobs).await;
    let shard = client.cluster.shard_ids()[0];
    client.cluster.trouble(shard, Some(Trouble::Slow(Duration::from_secs(60))));
    let request = "POST /v1/collections/docs/points/count HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    let stop = crate::cluster::TestPool.sleep(Duration::from_millis(100));
    let (served, answer) = futures::join!(
        vectron_gateway::serve(listener, client.gateway.clone(), stop),
        talk(address, request)
    );
    served.expect("stopped");
    assert_eq!(answer, "");
}

#[tokio::test]
async fn slow_and_silent_clients_lose_their_connection() {
    let knobs = GatewayKnobs { header_timeout_ms: 150, body_timeout_ms: 150, ..GatewayKnobs::default() };
    let (client, listener, address) = listening(knobs).await;
    let stop = crate::cluster::TestPool.sleep(Duration::from_secs(3));
    let talks = async {
        for silent in ["", "PRI * HT", "GET /healthz HTTP/1.1\r\nhost:"] {
            let answer = talk(address, silent).await;
            assert!(!answer.contains("200"), "{answer}");
        }
        let half = "POST /v1/collections HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"name\":";
        let answer = talk(address, half).await;
        assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("deadline_exceeded"), "{answer}");
    };
    let server = vectron_gateway::serve(listener, client.gateway.clone(), stop);
    let (server, talks) = (std::pin::pin!(server), std::pin::pin!(talks));
    match futures::future::select(talks, server).await {
        futures::future::Either::Left(((), _)) => {}
        futures::future::Either::Right(_) => panic!("a silent client was kept for three seconds"),
    }
}

/// Points whose page is far larger than what sockets buffer.
async fn with_a_large_page(client: &Client) {
    let text = "x".repeat(60_000);
    for batch in 0..20 {
        let points: Vec<_> = (0..20)
            .map(|i| json!({"id": batch * 20 + i, "vector": [1, 1], "payload": {"t": text}}))
            .collect();
        client.upsert(&json!(points).to_string()).await.ok();
    }
}

fn gauge(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name) && line.as_bytes()[name.len()] == b' ');
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

async fn figures(client: &Client) -> (u64, u64) {
    let text = client.fetch("/metrics").await.text;
    (gauge(&text, "vectron_gateway_unsent_answers"), gauge(&text, "vectron_gateway_held_bytes"))
}

const SCROLL_ALL: &str = "POST /v1/collections/docs/points/scroll HTTP/1.1\r\nhost: x\r\ncontent-length: 14\r\n\r\n{\"limit\":1000}";

#[tokio::test]
async fn unread_answers_are_counted_and_given_up() {
    let knobs = GatewayKnobs { write_timeout_ms: 600, max_requests: 2, ..GatewayKnobs::default() };
    let (client, listener, address) = listening(knobs).await;
    with_a_large_page(&client).await;
    let sleep = |ms| crate::cluster::TestPool.sleep(Duration::from_millis(ms));
    let talks = async {
        let mut silent = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(SCROLL_ALL.as_bytes()).await.expect("sent");
            silent.push(stream);
        }
        for _ in 0..50 {
            if figures(&client).await.0 < 2 {
                sleep(10).await;
            }
        }
        let (_, held) = figures(&client).await;
        assert!(held > 2 * 20_000_000, "{held}");
        client.search(r#"{"vector":[1,1],"top_k":1}"#).await.problem(503, "overloaded");
        sleep(1_500).await;
        assert_eq!(figures(&client).await, (0, 0));
        client.search(r#"{"vector":[1,1],"top_k":1}"#).await.ok();
        for mut stream in silent {
            let mut answer = Vec::new();
            // The connection is over, before the whole answer.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.len() < 20_000_000, "{}", answer.len());
        }
        // Whoever reads gets all of it.
        let whole = SCROLL_ALL.replace("host: x", "host: x\r\nconnection: close");
        let answer = talk(address, &whole).await;
        assert!(answer.len() > 24_000_000 && answer.ends_with('}'), "{}", answer.len());
        assert_eq!(figures(&client).await, (0, 0));
    };
    let server = vectron_gateway::serve(listener, client.gateway.clone(), std::future::pending());
    futures::future::select(std::pin::pin!(talks), std::pin::pin!(server)).await;
}

#[tokio::test]
async fn reads_without_room_for_their_answer_are_refused() {
    let knobs = GatewayKnobs { max_held_bytes: 20_000_000, ..GatewayKnobs::default() };
    let client = Client::with(knobs, None).with_docs("dot", 1).await;
    with_a_large_page(&client).await;
    let scroll =
        |limit: u32| client.post("/v1/collections/docs/points/scroll", json!({"limit": limit}).to_string());
    scroll(400).await.problem(503, "overloaded");
    scroll(100).await.ok();
    assert_eq!(figures(&client).await, (0, 0));
}

#[tokio::test]
async fn connections_over_the_limit_are_closed() {
    let knobs = GatewayKnobs { max_connections: 1, ..GatewayKnobs::default() };
    let (client, listener, address) = listening(knobs).await;
    let talks = async {
        let first = TcpStream::connect(address).await.expect("connected");
        crate::cluster::TestPool.sleep(Duration::from_millis(50)).await;
        assert_eq!(talk(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
        drop(first);
        crate::cluster::TestPool.sleep(Duration::from_millis(50)).await;
        let answer = talk(address, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let server = vectron_gateway::serve(listener, client.gateway.clone(), std::future::pending());
    futures::future::select(std::pin::pin!(talks), std::pin::pin!(server)).await;
}

#[test]
fn the_description_is_whole() {
    let api = serde_json::to_value(vectron_gateway::openapi()).expect("json");
    assert!(api["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")));
    let text = api.to_string();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\"#/components/schemas/") {
        rest = &rest[at + 22..];
        let name = &rest[..rest.find('"').expect("closed")];
        assert!(api["components"]["schemas"].get(name).is_some(), "no schema {name}");
    }
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let about = format!("{method} {path}");
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{about}");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(path == "/healthz" || responses.keys().any(|code| code.as_str() >= "400"), "{about}");
        }
    }
    let answers = |method: &str, path: &str| {
        let responses = api["paths"][path][method]["responses"].as_object().expect("responses");
        responses.keys().filter(|code| code.as_str() >= "400").cloned().collect::<Vec<_>>().join(" ")
    };
    let points = "/v1/collections/{collection}/points";
    let one = &format!("{points}/{{id}}");
    for (method, path, codes) in [
        ("get", "/v1/collections", "401 403 500 503 504"),
        ("post", "/v1/collections", "400 401 403 409 413 500 503 504 507"),
        ("delete", "/v1/collections/{collection}", "400 401 403 404 500 503 504"),
        ("get", one, "400 401 403 404 500 503 504"),
        ("delete", one, "400 401 403 404 412 422 500 503 504 507"),
        ("post", points, "400 401 403 404 412 413 422 500 503 504 507"),
        ("post", &format!("{points}/search"), "400 401 403 404 413 500 503 504"),
        ("post", &format!("{points}/delete"), "400 401 403 404 412 413 422 500 503 504 507"),
    ] {
        assert_eq!(answers(method, path), codes, "{method} {path}");
    }
    let search = &api["components"]["schemas"]["SearchRequest"];
    assert!(search["properties"].get("collection").is_none(), "the path names the collection");
    assert_eq!(search["additionalProperties"], false);
    assert_eq!(
        api["paths"]["/v1/collections/{collection}/points"]["post"]["responses"]["413"]["content"]["application/problem+json"]
            ["example"]["code"],
        "too_large"
    );
}
