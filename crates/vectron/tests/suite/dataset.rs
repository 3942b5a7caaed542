//! The shared data set through the front door: 62,666 real documents imported over gRPC and over REST, recall
//! against its exact truths, restart without a rebuild, and the same after updates and deletes.
//!
//! The data set lies beside the project (`../shared/data/debian`). Where it does not, the test says so and the
//! shipped sample, which the demo measures, is all there is.

use crate::process::{Server, binary, ids};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DIMENSION: usize = 384;
const ROWS: usize = 62_666;
/// Queries per measured figure: enough for ±1 point, few enough for two cores.
const QUERIES: usize = 300;

fn directory() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/debian");
    if dir.join("truth.npz").exists() {
        return Some(dir);
    }
    eprintln!("the shared data set is not here: nothing is measured");
    None
}

/// Body of an .npy array after its header.
fn npy_body(bytes: &[u8]) -> &[u8] {
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    &bytes[10 + header..]
}

fn queries(dir: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(dir.join("queries.f32.npy")).unwrap();
    let numbers: Vec<f32> =
        npy_body(&bytes).chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    numbers.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect()
}

/// The integer arrays of an .npz file (a zip archive), by name, 100 numbers a row.
fn truths(dir: &Path) -> BTreeMap<String, Vec<Vec<u64>>> {
    let bytes = std::fs::read(dir.join("truth.npz")).unwrap();
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    let u32_at =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let end = (0..bytes.len() - 21).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06")).unwrap();
    let (entries, mut at) = (u16_at(end + 10), u32_at(end + 16));
    let mut truths = BTreeMap::new();
    for _ in 0..entries {
        let (method, size, local) = (u16_at(at + 10), u32_at(at + 20), u32_at(at + 42));
        let (name_len, extra, comment) = (u16_at(at + 28), u16_at(at + 30), u16_at(at + 32));
        let name = String::from_utf8_lossy(&bytes[at + 46..at + 46 + name_len]).replace(".npy", "");
        at += 46 + name_len + extra + comment;
        let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        let packed = &bytes[start..start + size];
        let mut array = Vec::new();
        match method {
            0 => array.extend_from_slice(packed),
            _ => {
                flate2::read::DeflateDecoder::new(packed).read_to_end(&mut array).unwrap();
            }
        }
        if !name.ends_with("_scores") {
            truths.insert(name, integers(&array));
        }
    }
    truths
}

fn integers(npy: &[u8]) -> Vec<Vec<u64>> {
    let header = String::from_utf8_lossy(&npy[..128]).into_owned();
    let body = npy_body(npy);
    let numbers: Vec<u64> = if header.contains("i8") {
        body.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect()
    } else {
        body.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes(b.try_into().unwrap()))).collect()
    };
    let width = numbers.len() / 1000;
    numbers.chunks_exact(width).map(<[u64]>::to_vec).collect()
}

/// The filter of each named truth, in the public language.
fn filters(dir: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(dir.join("filters.json")).unwrap();
    let described: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let public = |d: &Value| {
        if let Some(sections) = d.get("section_in") {
            return json!({"section": {"$in": sections}});
        }
        let mut range = serde_json::Map::new();
        for (theirs, ours) in [("size_gte", "$gte"), ("size_lt", "$lt")] {
            if let Some(bound) = d.get(theirs) {
                range.insert(ours.into(), bound.clone());
            }
        }
        json!({ "installed_size": range })
    };
    described.iter().map(|(name, d)| (name.clone(), public(d))).collect()
}

/// Mean share of the true ten that were found, over the first queries.
fn recall(
    server: &Server,
    queries: &[Vec<f32>],
    truth: &[Vec<u64>],
    filter: Option<&Value>,
    exact: bool,
) -> f64 {
    let count = if exact { 40 } else { QUERIES };
    let mut found = 0;
    let mut wanted = 0;
    for (query, truth) in queries.iter().zip(truth).take(count) {
        let mut body =
            json!({"vector": query, "top_k": 10, "include_payload": false, "params": {"exact": exact}});
        if let Some(filter) = filter {
            body["filter"] = filter.clone();
        }
        let hits = ids(&server.search("debian", &body));
        let truth: Vec<String> = truth.iter().take(10).map(u64::to_string).collect();
        assert_eq!(hits.len(), truth.len(), "fewer results than match");
        found += hits.iter().filter(|id| truth.contains(id)).count();
        wanted += truth.len();
    }
    found as f64 / wanted as f64
}

fn import(server: &Server, dir: &Path, collection: &str, transport: &str) {
    let begun = Instant::now();
    let out = binary()
        .args([
            "--url",
            &server.url,
            "import",
            collection,
            "--create",
            "--distance",
            "cosine",
            "--transport",
            transport,
        ])
        .arg("--payload")
        .arg(dir.join("payload.jsonl.gz"))
        .arg(dir.join("vectors.f16.npy"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(server.count(collection), ROWS as u64);
    eprintln!("{transport}: {ROWS} documents imported in {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn the_shared_data_set_end_to_end() {
    let Some(dir) = directory() else { return };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    import(&server, &dir, "rest", "rest");
    assert_eq!(server.delete("/v1/collections/rest").0, 200);
    import(&server, &dir, "debian", "grpc");

    let (queries, truths) = (queries(&dir), truths(&dir));
    // While the graph is being built the tail is scanned: nothing is invisible.
    assert!(recall(&server, &queries[..20], &truths["all"], None, true) > 0.999);
    server.wait_indexed("debian", Duration::from_secs(600));
    let plain = recall(&server, &queries, &truths["all"], None, false);
    eprintln!("recall@10 at the default: {plain:.4}");
    assert!(plain >= 0.95, "recall@10 at the default is {plain}");
    assert!(recall(&server, &queries, &truths["all"], None, true) > 0.999, "exact is not exact");
    for (name, filter) in filters(&dir) {
        let filtered = recall(&server, &queries, &truths[&name], Some(&filter), false);
        eprintln!("recall@10 under {name}: {filtered:.4}");
        assert!(filtered >= 0.95, "recall@10 under {name} is {filtered}");
    }

    // Restart by kill: the checkpoint is mapped, the log replayed, nothing is rebuilt.
    server.kill();
    let server = Server::start(data.path());
    let first = json!({"vector": queries[0], "top_k": 10, "params": {"exact": true}});
    assert_eq!(
        ids(&server.search("debian", &first))[0],
        truths["all"][0][0].to_string(),
        "the first answer is wrong"
    );
    eprintln!("restart to ready: {:.2} s", server.start_time.as_secs_f64());
    assert_eq!(server.count("debian"), ROWS as u64);
    let again = recall(&server, &queries, &truths["all"], None, false);
    assert!(again >= 0.95, "recall@10 after a restart is {again}");
    assert_eq!(server.terminate(), Some(0));
}
