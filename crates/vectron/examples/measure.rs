//! Measures one node over the wire on a data set and prints one row per figure: import, index, memory, search at
//! several efforts, filters, restart. Real binary, real files, gRPC from this process.
//!
//! `cargo xtask bench [DIRECTORY]`; the directory holds `vectors.f16.npy`, `payload.jsonl.gz` and
//! `queries.f32.npy` (default `../shared/data/debian`). Truth is the node's own exact search, which the tests hold
//! to independent truths.
#![allow(clippy::disallowed_methods, reason = "a measuring program lives outside the seams")]

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vectron_client::{Client, CountRequest, SearchRequest};

type Failure = Box<dyn std::error::Error>;

const DIMENSION: usize = 384;
const QUERIES: usize = 1000;
const CLIENTS: usize = 8;
/// Kernel clock ticks per second, as `/proc` counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;

struct Node {
    child: Child,
    url: String,
    ready_after: Duration,
}

impl Node {
    fn start(binary: &Path, data: &Path) -> Result<Node, Failure> {
        let begun = Instant::now();
        let mut child = Command::new(binary)
            .args(["up", "--listen", "127.0.0.1:0", "-o", "json", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let url = format!("http://{}", ready["address"].as_str().ok_or("no address")?);
        Ok(Node { child, url, ready_after: begun.elapsed() })
    }

    /// Processor seconds of all threads so far.
    fn cpu(&self) -> Result<f64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().ok_or("no fields")?.split(' ').collect();
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS_PER_SECOND)
    }

    /// A line of `/proc/<pid>/status`, in bytes.
    fn memory(&self, name: &str) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(figure: &str, value: String, settings: &str) {
    println!("| {figure} | {value} | {settings} |");
}

fn queries(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    let bytes = std::fs::read(path)?;
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let numbers: Vec<f32> =
        bytes[10 + header..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(numbers.chunks_exact(DIMENSION).take(QUERIES).map(<[f32]>::to_vec).collect())
}

/// How one search differs from the plain one.
#[derive(Clone, Default)]
struct Shape {
    ef: Option<u32>,
    exact: bool,
    filter: Option<String>,
    payload: bool,
}

struct Run {
    ids: Vec<Vec<String>>,
    cpu_us: f64,
    wall_us: f64,
    p50_us: u128,
    p99_us: u128,
}

/// Runs all queries from eight clients and measures the node's processor time per query.
async fn search(node: &Node, queries: &[Vec<f32>], shape: &Shape) -> Result<Run, Failure> {
    let (cpu, begun) = (node.cpu()?, Instant::now());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::connect(&node.url, None).await?;
        let mine: Vec<(usize, Vec<f32>)> =
            queries.iter().cloned().enumerate().filter(|(i, _)| i % CLIENTS == number).collect();
        let shape = shape.clone();
        clients.push(tokio::spawn(async move {
            let mut done = Vec::with_capacity(mine.len());
            for (index, query) in mine {
                let begun = Instant::now();
                let mut request = SearchRequest::new("bench", query)
                    .top_k(10)
                    .include_payload(shape.payload)
                    .exact(shape.exact);
                if let Some(ef) = shape.ef {
                    request = request.ef(ef);
                }
                if let Some(filter) = &shape.filter {
                    request = request.filter(filter);
                }
                let answer = client.search(request).await.map_err(|error| error.to_string())?;
                let ids: Vec<String> = answer.results.into_iter().map(|hit| hit.id).collect();
                done.push((index, ids, begun.elapsed()));
            }
            Ok::<_, String>(done)
        }));
    }
    let mut found = Vec::new();
    for client in clients {
        found.extend(client.await??);
    }
    let count = queries.len() as f64;
    let (cpu_us, wall_us) = ((node.cpu()? - cpu) * 1e6 / count, begun.elapsed().as_micros() as f64 / count);
    found.sort_by_key(|(index, ..)| *index);
    let mut times: Vec<u128> = found.iter().map(|(_, _, took)| took.as_micros()).collect();
    times.sort_unstable();
    let ids = found.into_iter().map(|(_, ids, _)| ids).collect();
    Ok(Run { ids, cpu_us, wall_us, p50_us: times[times.len() / 2], p99_us: times[times.len() * 99 / 100] })
}

fn recall(found: &[Vec<String>], truth: &[Vec<String>]) -> f64 {
    let hits = found.iter().zip(truth).map(|(f, t)| f.iter().filter(|id| t.contains(id)).count());
    hits.sum::<usize>() as f64 / truth.iter().map(Vec::len).sum::<usize>() as f64
}

fn import(binary: &Path, node: &Node, source: &Path) -> Result<(), Failure> {
    let out = Command::new(binary)
        .args(["--url", &node.url, "import", "bench", "--create", "--distance", "cosine", "--payload"])
        .args([source.join("payload.jsonl.gz"), source.join("vectors.f16.npy")])
        .output()?;
    if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).into()) }
}

async fn indexed(client: &Client) -> Result<(), Failure> {
    while client.status("bench").await?.index_lag > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn measure(binary: &Path, source: &Path) -> Result<(), Failure> {
    let queries = queries(&source.join("queries.f32.npy"))?;
    let data = tempfile::tempdir()?;
    let node = Node::start(binary, data.path())?;
    println!("| figure | value | settings |\n|---|---|---|");

    let (cpu, begun) = (node.cpu()?, Instant::now());
    import(binary, &node, source)?;
    let (import_wall, import_cpu) = (begun.elapsed().as_secs_f64(), node.cpu()? - cpu);
    let client = Client::connect(&node.url, None).await?;
    let points = client.count(CountRequest::new("bench")).await?.count;
    indexed(&client).await?;
    let (full_wall, full_cpu) = (begun.elapsed().as_secs_f64(), node.cpu()? - cpu);
    let rate = |seconds: f64| format!("{:.0} rows/s", points as f64 / seconds);
    row("import to durable and searchable, wall", rate(import_wall), "gRPC, batches of 256, 4 at once");
    row("import to durable and searchable, per CPU-s of the node", rate(import_cpu), "same run");
    row("import to fully indexed, wall", rate(full_wall), "same run, until index_lag is 0");
    row("import to fully indexed, per CPU-s of the node", rate(full_cpu), "same run");
    let status = client.status("bench").await?;
    row(
        "memory per point, shard's estimate",
        format!("{} bytes", status.memory_bytes / points),
        "fully indexed",
    );
    row("resident memory per point", format!("{} bytes", node.memory("VmRSS")? / points), "whole process");
    row("disk per point", format!("{} bytes", status.bytes / points), "segments and graph, without journal");

    let exact = Shape { exact: true, ..Shape::default() };
    let truth = search(&node, &queries, &exact).await?;
    row("search, exact", format!("{:.0} µs CPU", truth.cpu_us), "top-10, 8 clients, linearizable");
    for ef in [None, Some(32), Some(64), Some(128), Some(256), Some(512)] {
        let run = search(&node, &queries, &Shape { ef, payload: true, ..Shape::default() }).await?;
        let what = ef.map_or_else(|| "default".to_string(), |ef| format!("ef {ef}"));
        let value = format!(
            "recall@10 {:.4}, {:.0} µs CPU, {:.0} queries/s, p50 {} µs, p99 {} µs",
            recall(&run.ids, &truth.ids),
            run.cpu_us,
            1e6 / run.wall_us,
            run.p50_us,
            run.p99_us
        );
        row(&format!("search, {what}"), value, "top-10 with payload, 8 clients, linearizable");
    }
    for filter in [r#"{"section":{"$in":["libs","libdevel"]}}"#, r#"{"section":"fonts"}"#] {
        let shape = Shape { filter: Some(filter.into()), ..Shape::default() };
        let some = &queries[..200];
        let truth = search(&node, some, &Shape { exact: true, ..shape.clone() }).await?;
        let run = search(&node, some, &shape).await?;
        let value = format!("recall@10 {:.4}, {:.0} µs CPU", recall(&run.ids, &truth.ids), run.cpu_us);
        row(&format!("search, filter `{filter}`"), value, "top-10, 8 clients, field without index");
    }
    drop(node);
    let node = Node::start(binary, data.path())?;
    let client = Client::connect(&node.url, None).await?;
    let first = client.search(SearchRequest::new("bench", queries[0].clone()).top_k(10).exact(true)).await?;
    let right = first.results.first().map(|hit| hit.id.clone()) == truth.ids[0].first().cloned();
    let value = format!(
        "{:.0} ms, first answer {}",
        node.ready_after.as_secs_f64() * 1e3,
        if right { "right" } else { "WRONG" }
    );
    row("restart after kill -9 to ready", value, "exact search; page cache warm");
    Ok(())
}

fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let given = std::env::args().nth(1).map(PathBuf::from);
    let source = given.unwrap_or_else(|| root.join("../shared/data/debian"));
    let binary = root.join("target/release/vectron");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&binary, &source))
}
