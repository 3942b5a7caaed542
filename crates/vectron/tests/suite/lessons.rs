//! Failures of earlier systems that show only from outside, as numbered tests. The others stand in the crates
//! that they belong to, under the same numbers.

use crate::process::{Server, ids};
use serde_json::{Value, json};
use std::time::Duration;

/// Lesson 5: a misspelt metric silently meant L2; `dot` computed L2.
#[test]
fn l05_each_metric_computes_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (a, q) = ([3.0f64, 4.0], [1.0f64, 2.0]);
    let dot = a[0] * q[0] + a[1] * q[1];
    let expected = [
        ("dot", dot),
        ("cosine", dot / (5.0 * 5.0f64.sqrt())),
        ("euclidean", -((2.0f64 * 2.0 + 2.0 * 2.0).sqrt())),
    ];
    for (distance, score) in expected {
        server.create(distance, 2, distance);
        server.upsert(distance, json!([{"id": "a", "vector": a}]));
        let answer = server.search(distance, &json!({"vector": q}));
        let found = answer["results"][0]["score"].as_f64().unwrap();
        assert!((found - score).abs() < 1e-5, "{distance}: {found}, expected {score}");
    }
}

/// Lesson 6: a fixed quantization scale without rescoring cost recall at 768 dimensions. Scores here are exact
/// whatever the index keeps.
#[test]
fn l06_scores_are_exact_at_768_dimensions() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("wide", 768, "cosine");
    let vector = |i: u64| -> Vec<f32> {
        (0..768u64).map(|j| (((i * 7919 + j * 104_729) % 2003) as f32 / 1001.0 - 1.0) * 0.01).collect()
    };
    let points: Vec<Value> = (0..300).map(|i| json!({"id": i, "vector": vector(i)})).collect();
    server.upsert("wide", json!(points));
    let answer =
        server.search("wide", &json!({"vector": vector(17), "top_k": 300, "params": {"exact": true}}));
    let cosine = |a: &[f32], b: &[f32]| {
        let dot =
            |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
    };
    for hit in answer["results"].as_array().unwrap() {
        let id: u64 = hit["id"].as_str().unwrap().parse().unwrap();
        let expected = cosine(&vector(17), &vector(id));
        assert!((hit["score"].as_f64().unwrap() - expected).abs() < 1e-5, "{hit}");
    }
    assert_eq!(answer["results"][0]["id"], "17");
}

/// Lesson 7: distance was passed where similarity was expected. Higher is better, for every metric.
#[test]
fn l07_higher_scores_come_first_for_every_metric() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for distance in ["cosine", "dot", "euclidean"] {
        server.create(distance, 3, distance);
        let points: Vec<Value> = (1..50)
            .map(|i| json!({"id": i, "vector": [f64::from(i % 7) + 0.5, f64::from(i % 5), f64::from(i)]}))
            .collect();
        server.upsert(distance, json!(points));
        let answer = server.search(distance, &json!({"vector": [1, 2, 3], "top_k": 49}));
        let scores: Vec<f64> =
            answer["results"].as_array().unwrap().iter().map(|r| r["score"].as_f64().unwrap()).collect();
        assert_eq!(scores.len(), 49);
        assert!(scores.windows(2).all(|w| w[0] >= w[1]), "{distance}: {scores:?}");
        // A threshold keeps the better side.
        let half = scores[20];
        let kept =
            server.search(distance, &json!({"vector": [1, 2, 3], "top_k": 49, "score_threshold": half}));
        assert!(kept["results"].as_array().unwrap().iter().all(|r| r["score"].as_f64().unwrap() >= half));
    }
}

/// Lesson 13: the order was unstable between equal calls and changed with k.
#[test]
fn l13_order_is_stable_and_a_shorter_list_is_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let create = json!({"name": "ties", "dimension": 2, "distance": "euclidean", "shards": 3});
    assert_eq!(server.post("/v1/collections", &create).0, 201);
    let points: Vec<Value> = (0..200).map(|i| json!({"id": format!("p{i}"), "vector": [i % 4, 0]})).collect();
    server.upsert("ties", json!(points));
    let full = ids(&server.search("ties", &json!({"vector": [0, 0], "top_k": 150})));
    for k in [1, 5, 10, 50, 149] {
        let short = ids(&server.search("ties", &json!({"vector": [0, 0], "top_k": k})));
        assert_eq!(short, full[..k], "top-{k} is no prefix");
    }
    assert_eq!(ids(&server.search("ties", &json!({"vector": [0, 0], "top_k": 150}))), full);
}

/// Lesson 20: a load spiked memory until the process was killed. Admission refuses by estimate, before work
/// starts; reads and deletes go on.
#[test]
fn l20_memory_admission_refuses_before_the_work_starts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), |command| {
        command.env("VECTRON_NODE_MEMORY_BYTES", "67108864");
    });
    server.create("big", 1024, "dot");
    let mut refused = None;
    for batch in 0..40 {
        let points: Vec<Value> =
            (0..500).map(|i| json!({"id": batch * 500 + i, "vector": vec![1.5; 1024]})).collect();
        let (status, answer) = server.post("/v1/collections/big/points", &json!({"points": points}));
        if status != 200 {
            refused = Some((status, answer));
            break;
        }
    }
    let (status, answer) = refused.expect("twenty thousand rows of 4 KiB do not fit into 64 MiB");
    assert_eq!(
        (status, &answer["code"], &answer["outcome"]),
        (503, &json!("overloaded"), &json!("not_applied"))
    );
    let count = server.count("big");
    assert!(count > 0);
    let delete = json!({"ids": ["0", "1"]});
    assert_eq!(server.post("/v1/collections/big/points/delete", &delete).1["deleted"], 2);
    assert_eq!(server.count("big"), count - 2);
}

/// Lesson 39: fixed 1,536-float slots for 128-d vectors, ids stored three times.
#[test]
fn l39_a_small_vector_costs_little() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("small", 8, "dot");
    for batch in 0..10 {
        let points: Vec<Value> =
            (0..1000).map(|i| json!({"id": batch * 1000 + i, "vector": vec![1.0; 8]})).collect();
        server.upsert("small", json!(points));
    }
    let (_, status) = server.get("/v1/collections/small/status");
    let per_point = status["memory_bytes"].as_u64().unwrap() / 10_000;
    // 32 bytes of vector, 32 links of 4 bytes, id, row, and an unsaved record.
    assert!(per_point < 700, "{per_point} bytes of memory per 8-d point: {status}");
}

/// Lessons 40 and 41: an exclusive lock per insert, and stalls while indexing. Searches answer while a load is
/// being indexed, find what was just written, and the lag is shown.
#[test]
fn l41_searches_answer_while_indexing_and_the_lag_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("load", 32, "euclidean");
    let vector = |i: u64| -> Vec<f32> {
        (0..32u64).map(|j| (((i * (2 * j + 1) * 2_654_435_761) >> 16) & 1023) as f32).collect()
    };
    let mut seen_lag = false;
    for batch in 0..20u64 {
        let range = batch * 500..(batch + 1) * 500;
        let points: Vec<Value> = range.map(|i| json!({"id": i, "vector": vector(i)})).collect();
        server.upsert("load", json!(points));
        let newest = (batch + 1) * 500 - 1;
        let found = ids(&server.search("load", &json!({"vector": vector(newest), "top_k": 5})));
        assert!(found.contains(&newest.to_string()), "{newest} is invisible: {found:?}");
        let (_, status) = server.get("/v1/collections/load/status");
        seen_lag |= status["index_lag"].as_u64().unwrap() > 0;
    }
    assert!(seen_lag, "ten thousand points were never waiting: the lag shows nothing");
    server.wait_indexed("load", Duration::from_secs(120));
}

/// A shard too small for a graph is not behind with anything: who waits for the index must not wait for ever.
#[test]
fn l41_a_small_collection_is_fully_indexed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.create("few", 2, "dot");
    server.upsert("few", json!([{"id": 1, "vector": [1, 2]}, {"id": 2, "vector": [2, 1]}]));
    server.wait_indexed("few", Duration::from_millis(1));
}

/// Lesson 42: deleting freed neither disk nor memory.
#[test]
fn l42_deleting_frees_disk() {
    let dir = tempfile::tempdir().unwrap();
    let small = |command: &mut std::process::Command| {
        command.env("VECTRON_STORE_CHECKPOINT_BYTES", "262144");
    };
    let server = Server::start_with(dir.path(), small);
    server.create("shrink", 64, "dot");
    for batch in 0..10 {
        let points: Vec<Value> =
            (0..500).map(|i| json!({"id": batch * 500 + i, "vector": vec![1.0; 64]})).collect();
        server.upsert("shrink", json!(points));
    }
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start_with(dir.path(), small);
    let bytes = |server: &Server| server.get("/v1/collections/shrink/status").1["bytes"].as_u64().unwrap();
    let full = bytes(&server);
    let gone: Vec<String> = (0..4900).map(|i| i.to_string()).collect();
    assert_eq!(server.post("/v1/collections/shrink/points/delete", &json!({"ids": gone})).1["deleted"], 4900);
    // A checkpoint comes with the stop, and its rewrite with the next one.
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start_with(dir.path(), small);
    server.upsert("shrink", json!([{"id": "more", "vector": vec![1.0; 64]}]));
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start_with(dir.path(), small);
    assert_eq!(server.count("shrink"), 101);
    assert!(bytes(&server) < full / 4, "{full} bytes before, {} after deleting 98 %", bytes(&server));
}

/// Lesson 43: metrics that were always zero.
#[test]
fn l43_metrics_move_with_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let value = |name: &str| -> f64 {
        let (_, text) = server.send_text("GET", "/metrics", b"");
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let moving = [
        "vectron_gateway_requests_total",
        "vectron_consensus_proposals_total",
        "vectron_worker_search_seconds_count",
        "vectron_worker_write_seconds_count",
        "vectron_worker_barrier_seconds_count",
    ];
    server.create("docs", 2, "dot");
    let before: Vec<f64> = moving.iter().map(|name| value(name)).collect();
    server.upsert("docs", json!([{"id": 1, "vector": [1, 2]}]));
    server.search("docs", &json!({"vector": [1, 2]}));
    for (name, before) in moving.iter().zip(before) {
        assert!(value(name) > before, "{name} does not move");
    }
    std::thread::sleep(Duration::from_millis(1500));
    for (name, expected) in [("vectron_worker_points", 1.0), ("vectron_placement_collections", 1.0)] {
        assert!((value(name) - expected).abs() < f64::EPSILON, "{name} is {}", value(name));
    }
}
