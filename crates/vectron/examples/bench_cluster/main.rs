//! Measurements of a cluster: real processes of the given binary on loopback.
//!
//! `cargo xtask bench cluster` builds and runs it: `bench_cluster BINARY DATA OUT [--only A,B]` writes rows as JSON to
//! OUT. Sections: `writes` (what replication costs), `failover` (a leader is killed under writes), `drain`, `remote`
//! (search through a gateway and a worker in processes of their own), `replica` (a new one of the data set).
#![allow(clippy::disallowed_methods, reason = "a measuring program lives outside the seams")]

mod processes;

use processes::{Nodes, Process, call, cpu, create, eventually, free_port, signal, wait_for};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vectron_client::{Client, PointInput, SearchRequest};

pub type Failure = Box<dyn std::error::Error>;

const DIMENSION: usize = 64;
/// Divisible by the nodes, see [`written`].
const WRITERS: u64 = 9;
const BATCH: u64 = 64;
const KILLS: usize = 11;

fn row(what: &str, value: f64, unit: &str, more: Value) -> Value {
    let mut row = json!({"what": what, "value": (value * 1000.0).round() / 1000.0, "unit": unit,
        "consistency": "linearizable", "concurrency": WRITERS});
    if let (Some(row), Some(more)) = (row.as_object_mut(), more.as_object()) {
        row.extend(more.clone());
    }
    eprintln!("{row}");
    row
}

fn vector(seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..DIMENSION).map(|_| next()).collect()
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Rows per CPU-second of all processes until durable, writers in a closed loop for a while. Few ids, so that it is
/// writing that is measured and not indexing.
///
/// Every node is the gateway of as many writers: a write through the leader's own process costs far less than one that
/// is passed on, and nothing says that the leaders of two collections are in the same place.
async fn written(nodes: &Nodes, collection: &str, seconds: u64) -> Result<(f64, f64), Failure> {
    let urls = nodes.urls();
    let (pids, rows) = (nodes.pids(), Arc::new(AtomicU64::new(0)));
    let (before, begun) = (cpu(&pids), Instant::now());
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let url = urls[writer as usize % urls.len()].clone();
            let (collection, rows) = (collection.to_string(), rows.clone());
            tokio::spawn(async move {
                let client = Client::connect(&url, None).await.map_err(|e| e.to_string())?;
                let mut step = 0;
                while begun.elapsed() < Duration::from_secs(seconds) {
                    step += 1;
                    let points = (0..BATCH).map(|n| {
                        let id = format!("{writer}-{}", (step * BATCH + n) % 256);
                        PointInput::new(id, vector(step * 1000 + n))
                    });
                    client.upsert(&collection, points.collect()).await.map_err(|e| e.to_string())?;
                    rows.fetch_add(BATCH, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let rows = rows.load(Ordering::Relaxed) as f64;
    Ok((rows / (cpu(&pids) - before), rows / begun.elapsed().as_secs_f64()))
}

async fn writes(binary: &Path) -> Result<Vec<Value>, Failure> {
    let nodes = Nodes::start(binary, 3)?;
    let url = nodes.urls()[0].clone();
    create(&url, "one", DIMENSION, 1)?;
    create(&url, "three", DIMENSION, 3)?;
    let (mut one, mut three) = (Vec::new(), Vec::new());
    // Interleaved, so that what else the machine does hits both.
    for _ in 0..3 {
        one.push(written(&nodes, "one", 6).await?);
        three.push(written(&nodes, "three", 6).await?);
    }
    let middle = |runs: &mut Vec<(f64, f64)>| {
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        runs[runs.len() / 2]
    };
    let (one, three) = (middle(&mut one), middle(&mut three));
    Ok(vec![
        row(
            "writes, one replica",
            one.0,
            "rows/CPU-s",
            json!({"replication": 1, "rows_per_s": one.1.round()}),
        ),
        row(
            "writes, three replicas",
            three.0,
            "rows/CPU-s",
            json!({"replication": 3, "rows_per_s": three.1.round()}),
        ),
        row(
            "three replicas against one, per CPU-second of all processes",
            three.0 / one.0,
            "ratio",
            json!({}),
        ),
    ])
}

/// Writers that retry under one key until they succeed; every latency, and what failed for good.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<(Vec<f64>, u64)>>,
}

impl Load {
    fn start(urls: Vec<String>, collection: &'static str, writers: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..writers).map(|writer| {
            let (stop, urls) = (stop.clone(), urls.clone());
            tokio::task::spawn_blocking(move || {
                let (mut latencies, mut failed, mut step) = (Vec::new(), 0, 0u64);
                while !stop.load(Ordering::Relaxed) {
                    step += 1;
                    let id = format!("{writer}-{}", step % 500);
                    let body = json!({"points": [{"id": id, "vector": vector(step)}],
                        "idempotency_key": format!("{writer}-{step}"), "timeout_ms": 10_000});
                    let begun = Instant::now();
                    let mut done = false;
                    for attempt in 0..200 {
                        let url = &urls[(writer as usize + attempt) % urls.len()];
                        let url = format!("{url}/v1/collections/{collection}/points");
                        if call("POST", &url, &body, Duration::from_secs(11)).0 == 200 {
                            done = true;
                            break;
                        }
                        if begun.elapsed() > Duration::from_secs(10) {
                            break;
                        }
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    latencies.push(begun.elapsed().as_secs_f64() * 1e3);
                    failed += u64::from(!done);
                    std::thread::sleep(Duration::from_millis(5));
                }
                (latencies, failed)
            })
        });
        Load { stop: stop.clone(), tasks: tasks.collect() }
    }

    async fn end(self) -> Result<(Vec<f64>, u64), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut latencies, mut failed) = (Vec::new(), 0);
        for task in self.tasks {
            let (some, lost) = task.await?;
            latencies.extend(some);
            failed += lost;
        }
        latencies.sort_by(f64::total_cmp);
        Ok((latencies, failed))
    }
}

/// From `kill -9` of the leader's process to the first write that succeeds, through a process that lives.
async fn failover(binary: &Path) -> Result<Vec<Value>, Failure> {
    let nodes = Nodes::start(binary, 3)?;
    let urls = nodes.urls();
    create(&urls[0], "docs", DIMENSION, 3)?;
    let mut outages = Vec::new();
    for kill in 0..KILLS {
        wait_for("a leader", || nodes.leader("docs").is_some())?;
        let leader = nodes.leader("docs").ok_or("no leader")?;
        let victim = nodes.pids()[leader];
        let load = Load::start(urls.clone(), "docs", 2);
        std::thread::sleep(Duration::from_millis(500));
        let url = format!("{}/v1/collections/docs/points", urls[(leader + 1) % 3]);
        signal("-9", victim);
        let begun = Instant::now();
        let body = json!({"points": [{"id": "probe", "vector": vector(kill as u64)}], "timeout_ms": 10_000,
            "idempotency_key": format!("probe-{kill}")});
        wait_for("a write", || call("POST", &url, &body, Duration::from_secs(11)).0 == 200)?;
        outages.push(begun.elapsed().as_secs_f64() * 1e3);
        load.end().await?;
        wait_for("the node's return", || {
            nodes.pids().get(leader).is_some_and(|pid| *pid != victim)
                && call("GET", &format!("{}/readyz", urls[leader]), &Value::Null, Duration::from_secs(2)).0
                    == 200
        })?;
        std::thread::sleep(Duration::from_secs(2));
    }
    outages.sort_by(f64::total_cmp);
    let more = json!({"replication": 3, "kills": KILLS, "concurrency": 3});
    Ok(vec![
        row("leader killed, first successful write, p50", percentile(&outages, 0.5), "ms", more.clone()),
        row("leader killed, first successful write, slowest", percentile(&outages, 1.0), "ms", more),
    ])
}

async fn drain(binary: &Path) -> Result<Vec<Value>, Failure> {
    let nodes = Nodes::start(binary, 5)?;
    let urls = nodes.urls();
    create(&urls[0], "docs", DIMENSION, 3)?;
    let load = Load::start(urls.clone(), "docs", 4);
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (idle, _) = load.end().await?;
    let shards = eventually("GET", &format!("{}/v1/admin/shards", urls[0]), &Value::Null)?;
    let leader = shards["shards"][0]["leader"].as_u64().ok_or("no leader")?;
    let load = Load::start(urls.clone(), "docs", 4);
    eventually("POST", &format!("{}/v1/admin/workers/{leader}/drain", urls[0]), &json!({}))?;
    let took = wait_for("the drain", || {
        let (_, answer) =
            call("GET", &format!("{}/v1/admin/workers", urls[0]), &Value::Null, Duration::from_secs(3));
        let workers = answer["workers"].as_array().cloned().unwrap_or_default();
        workers.iter().any(|w| w["worker"] == leader && w["replicas"] == 0)
    })?;
    let (busy, failed) = load.end().await?;
    let (before, during) = (percentile(&idle, 0.99), percentile(&busy, 0.99));
    let more = json!({"replication": 3, "concurrency": 4});
    Ok(vec![
        row("drain of the leader's worker under writes", took.as_secs_f64(), "s", more.clone()),
        row("writes that failed meanwhile, after retries", failed as f64, "in all", more.clone()),
        row("write p99 before", before, "ms", more.clone()),
        row("write p99 during the drain", during, "ms", more.clone()),
        row("write p99 during the drain against before", during / before, "ratio", more),
    ])
}

/// A placement driver, workers and a gateway in processes of their own.
struct Roles {
    gateway: Process,
    workers: Vec<Process>,
    _driver: Process,
    members: String,
    url: String,
    directory: tempfile::TempDir,
}

impl Roles {
    fn start(binary: &Path) -> Result<Roles, Failure> {
        let directory = tempfile::tempdir()?;
        let at = |name: &str| directory.path().join(name).display().to_string();
        let (driver, public) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
        let members = format!("1={driver}");
        let words =
            ["pd", "--member", "1", "--members", &members, "--listen", &driver, "--data-dir", &at("pd")];
        let (driver, _) = Process::start(binary, &words, false)?;
        let words = ["gateway", "--placement", &members, "--listen", &public];
        let (gateway, _) = Process::start(binary, &words, false)?;
        let url = format!("http://{public}");
        let mut roles = Roles { gateway, workers: Vec::new(), _driver: driver, members, url, directory };
        roles.add_worker(binary)?;
        Ok(roles)
    }

    fn add_worker(&mut self, binary: &Path) -> Result<(), Failure> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let data = self.directory.path().join(format!("worker-{}", self.workers.len()));
        let data = data.display().to_string();
        let words = ["worker", "--placement", &self.members, "--listen", &address, "--data-dir", &data];
        self.workers.push(Process::start(binary, &words, false)?.0);
        let alive = self.workers.len();
        wait_for("the worker", || {
            let (_, answer) =
                call("GET", &format!("{}/v1/admin/workers", self.url), &Value::Null, Duration::from_secs(3));
            let workers = answer["workers"].as_array().cloned().unwrap_or_default();
            workers.iter().filter(|w| w["alive"] == true).count() == alive
        })?;
        Ok(())
    }
}

fn import(binary: &Path, data: &Path, url: &str) -> Result<(), Failure> {
    let out = std::process::Command::new(binary)
        .args(["--url", url, "import", "docs", "--payload"])
        .args([data.join("payload.jsonl.gz"), data.join("vectors.f16.npy")])
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    let status = format!("{url}/v1/collections/docs/status");
    wait_for("the graph", || call("GET", &status, &Value::Null, Duration::from_secs(5)).1["index_lag"] == 0)?;
    std::thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// Processor microseconds per search of all these processes.
async fn searched(
    url: &str,
    pids: &[u64],
    queries: &Arc<Vec<Vec<f32>>>,
    count: usize,
) -> Result<f64, Failure> {
    const CLIENTS: usize = 8;
    let before = cpu(pids);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|first| {
            let (url, queries) = (url.to_string(), queries.clone());
            tokio::spawn(async move {
                let client = Client::connect(&url, None).await.map_err(|e| e.to_string())?;
                for number in (first..count).step_by(CLIENTS) {
                    let query = queries[number % queries.len()].clone();
                    let request = SearchRequest::new("docs", query).top_k(10).include_payload(true);
                    client.search(request).await.map_err(|e| e.to_string())?;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok((cpu(pids) - before) * 1e6 / count as f64)
}

/// The queries: rows of the data set, taken evenly.
fn queries(data: &Path) -> Result<Arc<Vec<Vec<f32>>>, Failure> {
    let bytes = std::fs::read(data.join("vectors.f16.npy"))?;
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let numbers: Vec<f32> = bytes[header..]
        .chunks_exact(2)
        .map(|two| half::f16::from_le_bytes([two[0], two[1]]).to_f32())
        .collect();
    Ok(Arc::new(numbers.chunks_exact(384).step_by(60).map(<[f32]>::to_vec).collect()))
}

async fn remote(binary: &Path, data: &Path) -> Result<Vec<Value>, Failure> {
    const QUERIES: usize = 4000;
    let queries = queries(data)?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().display().to_string();
    let (alone, ready) =
        Process::start(binary, &["up", "--listen", "127.0.0.1:0", "--data-dir", &path], true)?;
    let alone_url = format!("http://{}", ready["address"].as_str().ok_or("no address")?);
    let roles = Roles::start(binary)?;
    for url in [&alone_url, &roles.url] {
        create(url, "docs", 384, 1)?;
        import(binary, data, url)?;
    }
    let apart = [roles.gateway.pid(), roles.workers[0].pid()];
    let mut ratios = Vec::new();
    let mut pairs = Vec::new();
    for _ in 0..5 {
        let one = searched(&alone_url, &[alone.pid()], &queries, QUERIES).await?;
        let two = searched(&roles.url, &apart, &queries, QUERIES).await?;
        ratios.push(two / one);
        pairs.push((one, two));
    }
    ratios.sort_by(f64::total_cmp);
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (one, two) = pairs[pairs.len() / 2];
    let more = json!({"replication": 1, "concurrency": 8, "dataset": "debian"});
    Ok(vec![
        row("search in one process", one, "CPU us/query", more.clone()),
        row("search through a gateway and a remote worker", two, "CPU us/query", more.clone()),
        row("remote against one process", percentile(&ratios, 0.5), "ratio", more),
    ])
}

async fn replica(binary: &Path, data: &Path) -> Result<Vec<Value>, Failure> {
    let mut roles = Roles::start(binary)?;
    create(&roles.url, "docs", 384, 1)?;
    import(binary, data, &roles.url)?;
    let shards =
        || call("GET", &format!("{}/v1/admin/shards", roles.url), &Value::Null, Duration::from_secs(3)).1;
    let first = shards()["shards"][0].clone();
    let (shard, holder) = (first["shard"].clone(), first["replicas"][0]["worker"].clone());
    let url = roles.url.clone();
    roles.add_worker(binary)?;
    let workers = eventually("GET", &format!("{url}/v1/admin/workers"), &Value::Null)?;
    let other =
        workers["workers"].as_array().and_then(|all| all.iter().find(|w| w["worker"] != holder).cloned());
    let other = other.ok_or("no other worker")?["worker"].clone();
    let begun = Instant::now();
    eventually("POST", &format!("{url}/v1/admin/shards/{shard}/learners"), &json!({"worker": other}))?;
    let mut lag = Value::Null;
    wait_for("the replica", || {
        let (_, answer) =
            call("GET", &format!("{url}/v1/admin/shards"), &Value::Null, Duration::from_secs(3));
        let replicas = answer["shards"][0]["replicas"].as_array().cloned().unwrap_or_default();
        let found = replicas.into_iter().find(|r| r["worker"] == other && r["phase"] == "ready");
        lag = found.as_ref().map_or(Value::Null, |r| r["index_lag"].clone());
        found.is_some()
    })?;
    let more = json!({"replication": 1, "concurrency": 1, "dataset": "debian", "index_lag_when_ready": lag});
    Ok(vec![row(
        "new replica of 62,666 rows, from the wish to serving",
        begun.elapsed().as_secs_f64(),
        "s",
        more,
    )])
}

async fn measure(binary: &Path, data: &Path, only: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut sections = Map::new();
    for name in ["writes", "failover", "drain", "remote", "replica"] {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let rows = match name {
            "writes" => writes(binary).await,
            "failover" => failover(binary).await,
            "drain" => drain(binary).await,
            "remote" => remote(binary, data).await,
            _ => replica(binary, data).await,
        };
        let section = match rows {
            Ok(rows) => json!({"rows": rows, "notes": []}),
            Err(failure) => json!({"rows": [], "notes": [format!("not measured: {failure}")]}),
        };
        sections.insert(name.into(), section);
    }
    Ok(sections)
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [binary, data, out, rest @ ..] = words.as_slice() else {
        return Err("usage: bench_cluster BINARY DATA OUT [--only A,B]".into());
    };
    let only = match rest {
        [flag, names] if flag == "--only" => {
            names.split(',').filter(|n| !n.is_empty()).map(String::from).collect()
        }
        [] => Vec::new(),
        _ => return Err("the only option is --only A,B".into()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sections = runtime.block_on(measure(&PathBuf::from(binary), Path::new(data), &only))?;
    std::fs::write(out, serde_json::to_string_pretty(&json!({"sections": sections}))?)?;
    Ok(())
}
