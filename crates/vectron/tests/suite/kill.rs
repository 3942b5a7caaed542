//! `kill -9` in a loop under concurrent writers: every acknowledged write is there, no acknowledged delete comes
//! back, whatever moment the process died at.

use crate::process::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROUNDS: u64 = 50;
const WRITERS: u64 = 4;
const IDS: u64 = 40;
const DIMENSION: usize = 16;

/// What one id must hold: the generation acknowledged last (0: absent), and one in doubt.
#[derive(Clone, Copy, Default)]
struct Truth {
    acknowledged: u64,
    doubt: Option<u64>,
}

type Board = Arc<Mutex<BTreeMap<String, Truth>>>;

fn vector(generation: u64) -> Vec<f32> {
    (0..DIMENSION as u64).map(|i| ((generation * 31 + i * 7) % 97 + 1) as f32).collect()
}

/// Writes and deletes this writer's ids until the node is gone.
fn write(server: &Server, writer: u64, round: u64, board: &Board, stop: &AtomicBool, done: &AtomicU64) {
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        step += 1;
        let generation = round * 1_000_000 + step;
        let pick = |n: u64| format!("w{writer}-{}", (step * 7 + n * 13 + round) % IDS);
        let mut batch: Vec<String> = (0..1 + step % 5).map(pick).collect();
        batch.sort();
        batch.dedup();
        let deletes = step % 4 == 0;
        let target = if deletes { 0 } else { generation };
        for id in &batch {
            board.lock().unwrap().entry(id.clone()).or_default().doubt = Some(target);
        }
        let status = if deletes {
            server.post("/v1/collections/soak/points/delete", &json!({"ids": batch})).0
        } else {
            let points: Vec<Value> = batch
                .iter()
                .map(|id| json!({"id": id, "vector": vector(generation), "payload": {"generation": generation}}))
                .collect();
            server.post("/v1/collections/soak/points", &json!({"points": points})).0
        };
        if status != 200 {
            return;
        }
        for id in &batch {
            let mut board = board.lock().unwrap();
            let truth = board.entry(id.clone()).or_default();
            *truth = Truth { acknowledged: target, doubt: None };
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Holds every id to what was acknowledged, and settles what was in doubt.
fn verify(server: &Server, board: &Board, round: u64) {
    let mut board = board.lock().unwrap();
    let asked: Vec<&String> = board.keys().collect();
    let (status, answer) = server.post("/v1/collections/soak/points/get", &json!({"ids": asked}));
    assert_eq!(status, 200, "{answer}");
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for point in answer["points"].as_array().unwrap() {
        let generation = point["payload"]["generation"].as_u64().unwrap();
        found.insert(point["id"].as_str().unwrap().to_string(), generation);
    }
    let present = found.len() as u64;
    for (id, truth) in board.iter_mut() {
        let generation = found.get(id).copied().unwrap_or(0);
        assert!(
            generation == truth.acknowledged || Some(generation) == truth.doubt,
            "round {round}: {id} holds generation {generation}, acknowledged {}, in doubt {:?}",
            truth.acknowledged,
            truth.doubt
        );
        *truth = Truth { acknowledged: generation, doubt: None };
    }
    assert_eq!(server.count("soak"), present, "round {round}: count");
    // What is there is found by search, with its own vector.
    if let Some((id, generation)) = found.iter().next() {
        let body = json!({"vector": vector(*generation), "top_k": 3, "params": {"exact": true},
                          "filter": {"generation": generation}});
        let hits = crate::process::ids(&server.search("soak", &body));
        assert!(hits.contains(id), "round {round}: {id} not found by search: {hits:?}");
    }
}

#[test]
fn fifty_kills_lose_no_acknowledged_write() {
    let dir = tempfile::tempdir().unwrap();
    let board: Board = Arc::default();
    let done = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let server = Server::start_with(dir.path(), |command| {
            // Small, so that kills fall into checkpoints and segment changes as well.
            command.env("VECTRON_STORE_CHECKPOINT_BYTES", "65536");
            command.env("VECTRON_CONSENSUS_JOURNAL_SEGMENT_BYTES", "1048576");
        });
        server.create("soak", DIMENSION, "euclidean");
        verify(&server, &board, round);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (server, board, stop, done) = (&server, &board, &stop, &done);
                scope.spawn(move || write(server, writer, round, board, stop, done));
            }
            std::thread::sleep(Duration::from_millis(60 + round * 37 % 400));
            let pid = server.pid().to_string();
            assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
            std::thread::sleep(Duration::from_millis(20));
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = Server::start(dir.path());
    verify(&server, &board, ROUNDS);
    let writes = done.load(Ordering::Relaxed);
    eprintln!("{ROUNDS} kills, {writes} acknowledged writes, none lost");
    assert!(writes > ROUNDS * 5, "only {writes} writes were acknowledged: the test tests nothing");
    assert_eq!(server.terminate(), Some(0));
}
