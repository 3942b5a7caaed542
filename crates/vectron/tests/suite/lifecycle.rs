//! Starting, stopping, refusing to start, and what a person sees of it.

use crate::process::{Server, binary};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_clean_stop_finishes_what_was_accepted_and_exits_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("docs", 2, "dot");
    server.upsert("docs", json!([{"id": "a", "vector": [1, 2], "payload": {"big": 9007199254740993u64}}]));
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    let (status, answer) = server.send_text("GET", "/v1/collections/docs/points/a", b"");
    assert_eq!(status, 200);
    assert!(answer.contains("9007199254740993"), "numbers keep every digit: {answer}");
}

#[test]
fn health_readiness_and_pages_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs/",
        "/v1/system/health",
        "/v1/admin/knobs",
        "/v1/admin/stats",
        "/metrics",
    ] {
        assert_eq!(server.send_text("GET", path, b"").0, 200, "{path}");
    }
    let (_, openapi) = server.get("/openapi.json");
    assert!(openapi["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", openapi["openapi"]);
}

#[test]
fn a_bad_knob_stops_the_start_with_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let out = binary()
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .env("VECTRON_WORKER_DISK_FULL_PERCENT", "200")
        .env("VECTRON_NODE_LOG_FORMAT", "xml")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(
        text.contains("VECTRON_WORKER_DISK_FULL_PERCENT") && text.contains("VECTRON_NODE_LOG_FORMAT"),
        "{text}"
    );
}

#[test]
fn off_loopback_nothing_starts_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let out = binary().args(["up", "--listen", "0.0.0.0:0", "--data-dir"]).arg(dir.path()).output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("key"), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn with_a_key_nothing_is_served_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), |c| {
        c.env("VECTRON_ADMIN_KEY", "a-key-of-some-length");
    });
    assert_eq!(server.get("/v1/collections").0, 401);
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn two_processes_never_share_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Server::start(dir.path());
    let second =
        binary().args(["up", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("data directory"));
}

/// A collection deleted during ingest is gone for every reader, and its name starts empty.
#[test]
fn deleting_during_ingest_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for round in 0..5 {
        server.create("brief", 4, "cosine");
        assert_eq!(server.count("brief"), 0, "round {round}");
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 0..200 {
                    let point = json!({"points": [{"id": i, "vector": [1, 2, 3, i + 1]}]});
                    let (status, answer) = server.post("/v1/collections/brief/points", &point);
                    if status != 200 {
                        assert_eq!(answer["code"], "not_found", "{answer}");
                        return;
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(server.delete("/v1/collections/brief").0, 200);
            assert_eq!(server.get("/v1/collections/brief/points/1").0, 404);
            writer.join().unwrap();
        });
    }
}

/// Over the disk limit upserts are refused, reads and deletes pass. The limit is set under what is used already.
#[test]
fn a_full_disk_refuses_upserts_and_lets_deletes_pass() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("docs", 2, "dot");
    server.upsert("docs", json!([{"id": "a", "vector": [1, 2]}, {"id": "b", "vector": [2, 1]}]));
    assert_eq!(server.terminate(), Some(0));
    let stat = rustix::fs::statvfs(dir.path()).unwrap();
    let used = 100 - stat.f_bavail * 100 / stat.f_blocks.max(1);
    if used < 11 {
        eprintln!("the disk is nearly empty: the limit cannot be set under what is used");
        return;
    }
    let server = Server::start_with(dir.path(), |command| {
        command.env("VECTRON_WORKER_DISK_FULL_PERCENT", "10");
    });
    let point = json!({"points": [{"id": "c", "vector": [1, 1]}]});
    let (status, answer) = server.post("/v1/collections/docs/points", &point);
    assert_eq!(
        (status, &answer["code"], &answer["outcome"]),
        (507, &json!("disk_full"), &json!("not_applied"))
    );
    assert_eq!(server.count("docs"), 2);
    assert_eq!(server.post("/v1/collections/docs/points/delete", &json!({"ids": ["a"]})).1["deleted"], 1);
    assert_eq!(server.delete("/v1/collections/docs").0, 200);
}
