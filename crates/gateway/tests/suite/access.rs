//! Who may do what: the operator's key, on every route and every method.

use crate::cluster::{Client, TestPool};
use axum::body::Body;
use http::Request;
use prost::Message;
use vectron_base::pool::Pool;
use vectron_gateway::GatewayKnobs;

const KEY: &str = "s3cret-key";

fn guarded() -> Client {
    Client::with(GatewayKnobs::default(), Some(KEY))
}

/// Lesson 33: one call skipped authentication. So every route of the description is tried.
#[tokio::test]
async fn l33_every_described_route_asks_for_the_key() {
    let client = guarded();
    while client.fetch("/readyz").await.status != 200 {
        // Until the catalog has been seen once.
        TestPool.sleep(std::time::Duration::from_millis(5)).await;
    }
    let description = serde_json::to_value(vectron_gateway::openapi()).expect("json");
    let open = ["/healthz", "/readyz"];
    let mut tried = 0;
    for (path, item) in description["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let uri = path.replace("{collection}", "docs").replace("{id}", "a");
            let reply = client.call(&method.to_uppercase(), &uri, "{}").await;
            if open.contains(&path.as_str()) {
                assert_eq!(reply.status, 200, "{path}");
            } else {
                reply.problem(401, "unauthenticated");
                assert_eq!(reply.headers["www-authenticate"], "Bearer");
            }
            tried += 1;
        }
    }
    assert!(tried >= 20, "{tried}");
    assert!(client.cluster.log.lock().is_empty());
    client.fetch("/v1/nothing/here").await.problem(401, "unauthenticated");
    for path in ["/openapi.json", "/docs/"] {
        assert_eq!(client.fetch(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn l33_every_grpc_method_asks_for_the_key() {
    let client = guarded();
    let set = prost_types::FileDescriptorSet::decode(vectron_wire::proto::PUBLIC_DESCRIPTORS).expect("set");
    let mut paths = vec!["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_string()];
    for file in &set.file {
        for service in &file.service {
            let methods = service.method.iter();
            paths.extend(methods.map(|m| format!("/{}.{}/{}", file.package(), service.name(), m.name())));
        }
    }
    assert!(paths.len() >= 20, "{}", paths.len());
    for path in paths {
        let request = Request::post(&path).header("content-type", "application/grpc");
        let reply = client.send(request.body(Body::from(vec![0u8; 5])).expect("request")).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.headers["grpc-status"]),
            (200, &"16".parse().expect("value")),
            "{path}"
        );
    }
    let health = Request::post("/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
    let reply = client.send(health.body(Body::from(vec![0u8; 5])).expect("request")).await;
    assert_ne!(reply.headers.get("grpc-status").map(|s| s.as_bytes()), Some(&b"16"[..]));
}

#[tokio::test]
async fn only_the_right_key_opens() {
    let client = guarded();
    for (header, status) in [
        ("Bearer s3cret-key", 200),
        ("bearer s3cret-key", 200),
        ("Bearer s3cret-ke", 401),
        ("Bearer s3cret-key2", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Basic czNjcmV0LWtleQ==", 401),
        ("s3cret-key", 401),
    ] {
        let request = Request::get("/v1/collections").header("authorization", header);
        let reply = client.send(request.body(Body::empty()).expect("request")).await;
        assert_eq!(reply.status, status, "{header}");
        assert!(!reply.text.contains("s3cret"));
        if status == 401 {
            let detail = reply.problem(401, "unauthenticated")["detail"].to_string();
            for words in ["--admin-key-file", "VECTRON_ADMIN_KEY", "Authorization: Bearer <key>"] {
                assert!(detail.contains(words), "{detail}");
            }
        }
    }
    let twice = Request::get("/v1/collections")
        .header("authorization", "Bearer x")
        .header("authorization", "Bearer s3cret-key");
    assert_eq!(client.send(twice.body(Body::empty()).expect("request")).await.status, 401);
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_without_a_key() {
    let open = Client::new().with_docs("dot", 1).await;
    let ask = |client: &Client, method: &str, path: &str, origin: Option<&str>, key: bool| {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:8080");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        if key {
            request = request.header("authorization", format!("Bearer {KEY}"));
        }
        let router = client.router.clone();
        let request = request.body(Body::empty()).expect("request");
        async move { tower::ServiceExt::oneshot(router, request).await.expect("infallible").status().as_u16() }
    };
    let evil = Some("https://evil.example");
    let grpc = "/vectron.v1.VectronService/Count";
    for (method, path) in [
        ("GET", "/v1/collections"),
        ("POST", "/v1/collections"),
        ("DELETE", "/v1/collections/docs"),
        ("GET", "/metrics"),
        ("POST", grpc),
    ] {
        assert_eq!(ask(&open, method, path, evil, false).await, 403, "{method} {path}");
        assert_eq!(ask(&open, method, path, Some("null"), false).await, 403, "{method} {path}");
    }
    assert_eq!(open.fetch("/v1/collections/docs").await.status, 200);
    for origin in [None, Some("http://localhost:8080")] {
        assert_eq!(ask(&open, "GET", "/v1/collections", origin, false).await, 200);
    }
    assert_eq!(ask(&open, "GET", "/docs/", evil, false).await, 200);
    // A key is not sent by a browser on its own.
    assert_eq!(ask(&guarded(), "GET", "/v1/collections", evil, true).await, 200);
}

/// Lesson 36: a wildcard CORS header with credentials. There is no CORS header at all.
#[tokio::test]
async fn l36_no_cors_header_is_sent() {
    let client = Client::new();
    let request = Request::get("/v1/collections").header("origin", "https://example.org");
    let reply = client.send(request.body(Body::empty()).expect("request")).await;
    reply.problem(403, "forbidden");
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
}
