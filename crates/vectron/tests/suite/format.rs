//! Data directories of every format version, openable for ever: `tests/format/<version>/` is one that an older
//! build left behind, part of it in checkpoints and part only in the journal. It is copied, opened, and held to
//! what was written. `cargo xtask codegen` adds the directory of the current version when there is none yet; it
//! never changes one.

use crate::process::Server;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Version of the newest directory.
const CURRENT: &str = "4";

fn directories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/format")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(std::fs::copy(entry.path(), target))
        }
    }
}

fn point(number: u64) -> Value {
    json!({"id": format!("p{number}"), "vector": [number, 1, -2.5, 0.125],
           "payload": {"number": number, "big": 18_446_744_073_709_551_615u64, "text": "größe \u{1f980}"}})
}

/// Of several fields: format 4 and later have a collection of such.
fn named_point(number: u64) -> Value {
    json!({"id": format!("p{number}"),
           "vector": {"title": [number, 1], "terms": {"indices": [number, 99], "values": [1, number + 1]},
                      "tokens": [[number, 0], [0, number]]}})
}

fn hold_fields(server: &Server) {
    assert_eq!(server.count("fields"), 12);
    for (vector, using) in [
        (json!([1, 0]), "title"),
        (json!({"indices": [99], "values": [2]}), "terms"),
        (json!([[1, 0], [0, 1]]), "tokens"),
    ] {
        let nearest = server.search("fields", &json!({"vector": vector, "using": using, "top_k": 2}));
        assert_eq!(crate::process::ids(&nearest), ["p11", "p10"], "{using}");
    }
}

/// Writes what [`hold`] expects: thirty points in a checkpoint, ten of them deleted or changed in the journal.
fn write(dir: &Path) {
    let server = Server::start(dir);
    server.create("golden", 4, "euclidean");
    let fields = json!({"name": "fields", "vectors": {"title": {"dimension": 2, "distance": "dot"}},
                        "sparse_vectors": {"terms": {}},
                        "multi_vectors": {"tokens": {"dimension": 2, "distance": "dot"}}});
    assert_eq!(server.post("/v1/collections", &fields).0, 201);
    server.upsert("fields", (0..9).map(named_point).collect());
    server.upsert("golden", (0..30).map(point).collect());
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir);
    assert_eq!(
        server.post("/v1/collections/golden/points/delete", &json!({"filter": {"number": {"$lt": 5}}})).1["deleted"],
        5
    );
    server.upsert("golden", (40..45).map(point).collect());
    server.upsert("fields", (9..12).map(named_point).collect());
    let keyed = json!({"points": [point(50)], "idempotency_key": "golden"});
    assert_eq!(server.post("/v1/collections/golden/points", &keyed).0, 200);
    server.kill();
}

fn hold(dir: &Path, version: &str) {
    let server = Server::start(dir);
    assert_eq!(server.count("golden"), 31, "format {version}");
    // Settings that came later have their defaults.
    let (_, described) = server.get("/v1/collections/golden");
    let settings = (&described["quantization"], &described["storage"], &described["index"]);
    // What is written down stays what it was, and what was not is what was built.
    let ef_construction = if matches!(version, "1" | "2") { 128 } else { 200 };
    let defaults = (json!("auto"), json!("ram"), json!({"degree": 32, "ef_construction": ef_construction}));
    assert_eq!(settings, (&defaults.0, &defaults.1, &defaults.2), "format {version}");
    let (_, listed) = server.get("/v1/collections/golden/indexes");
    assert_eq!(listed, json!({"indexes": []}), "format {version}");
    for number in [5, 29, 40, 44, 50] {
        let (status, answer) =
            server.get(&format!("/v1/collections/golden/points/p{number}?include_vector=true"));
        assert_eq!(status, 200, "format {version}: p{number}");
        assert_eq!(answer["point"]["payload"], point(number)["payload"], "format {version}");
        assert_eq!(answer["point"]["vector"], json!([number as f64, 1.0, -2.5, 0.125]), "format {version}");
    }
    assert_eq!(server.get("/v1/collections/golden/points/p4").0, 404, "format {version}");
    let nearest = server.search("golden", &json!({"vector": [44, 1, -2.5, 0.125], "top_k": 1}));
    assert_eq!(crate::process::ids(&nearest), ["p44"], "format {version}");
    if !matches!(version, "1" | "2" | "3") {
        hold_fields(&server);
    }
    let other = json!({"points": [point(51)], "idempotency_key": "golden"});
    let (status, answer) = server.post("/v1/collections/golden/points", &other);
    // The window is 24 hours of log time: an old directory's key may have left it.
    assert!(matches!(status, 200 | 422), "format {version}: {answer}");
    assert_eq!(server.terminate(), Some(0), "format {version}");
}

#[test]
fn data_of_every_version_opens() {
    let current = directories().join(CURRENT);
    if std::env::var_os("VECTRON_TEST_REWRITE").is_some() && !current.exists() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        copy(dir.path(), &current);
        std::fs::remove_file(current.join("LOCK")).unwrap();
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(directories()).unwrap() {
        let entry = entry.unwrap();
        let dir = tempfile::tempdir().unwrap();
        copy(&entry.path(), dir.path());
        hold(dir.path(), &entry.file_name().to_string_lossy());
        seen += 1;
    }
    assert!(seen > 0, "there is no directory to open");
}
