//! Measures what an import does to searches that go on meanwhile, over the wire: a real node, open-loop searches at
//! a fixed rate, first with nothing else to do, then while clients import without pause and the graph is built.
//! An open loop counts from the moment a search was due, so that a node that stalls is not asked less often.
//!
//! `cargo run --release -p vectron --example interference -- [--rounds N] [--seconds N] [--rate N] [--writers N]
//! [--shards N] [--pace ROWS_PER_SECOND] [--data DIRECTORY]`; the directory holds `vectors.f16.npy`,
//! `payload.jsonl.gz` and `queries.f32.npy` (default `../shared/data/debian`). The node is `target/release/vectron`,
//! or what `VECTRON_BINARY` names. Writers and searches share the machine's cores with the node.
#![allow(clippy::disallowed_methods, reason = "a measuring program lives outside the seams")]

use half::f16;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;
use vectron_client::{Client, CreateCollection, Payload, PointInput, SearchAnswer, SearchRequest};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const COLLECTION: &str = "interference";
const DIMENSION: usize = 384;
/// Rows that are there and indexed before anything is measured.
const FIRST_ROWS: usize = 40_000;
const BATCH_ROWS: usize = 256;
const CONNECTIONS: usize = 4;
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone)]
struct Options {
    rounds: usize,
    seconds: u64,
    rate: u64,
    writers: usize,
    shards: u32,
    /// Rows per second over all writers; 0 means as fast as they are taken.
    pace: u64,
    data: PathBuf,
}

impl Options {
    fn parse() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let data = root.join("../shared/data/debian");
        let mut options = Self { rounds: 3, seconds: 15, rate: 200, writers: 2, shards: 1, pace: 0, data };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--writers" => options.writers = value.parse()?,
                "--shards" => options.shards = value.parse()?,
                "--pace" => options.pace = value.parse()?,
                "--data" => options.data = value.into(),
                other => return Err(format!("no option {other}").into()),
            }
        }
        Ok(options)
    }
}

struct Node {
    child: Child,
    url: String,
}

impl Node {
    fn start(data: &Path) -> Result<Node, Failure> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/vectron");
        let binary = std::env::var_os("VECTRON_BINARY").map_or(target, PathBuf::from);
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
        Ok(Node { child, url })
    }

    /// Processor seconds so far, by the threads' names without their numbers.
    fn cpu(&self) -> Result<BTreeMap<String, f64>, Failure> {
        let mut by_name = BTreeMap::new();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let Ok(stat) = std::fs::read_to_string(thread?.path().join("stat")) else { continue };
            let (name, rest) = stat.split_once(") ").ok_or("no name")?;
            let name = name.split_once('(').map_or(name, |(_, name)| name);
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_string();
            let fields: Vec<&str> = rest.split(' ').collect();
            let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
            *by_name.entry(name).or_insert(0.0) += ticks / TICKS_PER_SECOND;
        }
        Ok(by_name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Rows {
    vectors: Vec<f16>,
    payloads: Vec<Payload>,
}

impl Rows {
    fn read(directory: &Path) -> Result<Self, Failure> {
        let bytes = std::fs::read(directory.join("vectors.f16.npy"))?;
        let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        let numbers = bytes[10 + header..].chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]));
        let file = std::fs::File::open(directory.join("payload.jsonl.gz"))?;
        let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
        let payloads = lines.map(|line| Ok(Payload::from_json(line?).map_err(|error| error.to_string())?));
        Ok(Self { vectors: numbers.collect(), payloads: payloads.collect::<Result<_, Failure>>()? })
    }

    fn len(&self) -> usize {
        self.payloads.len()
    }

    fn batch(&self, rows: std::ops::Range<usize>) -> Vec<PointInput> {
        let point = |row: usize| {
            let vector = self.vectors[row * DIMENSION..(row + 1) * DIMENSION].iter().map(|v| v.to_f32());
            PointInput::new(format!("p{row}"), vector.collect()).payload(self.payloads[row].clone())
        };
        rows.map(point).collect()
    }
}

fn queries(path: &Path) -> Result<Vec<Vec<f32>>, Failure> {
    let bytes = std::fs::read(path)?;
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let numbers = bytes[10 + header..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok(numbers.collect::<Vec<f32>>().chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect())
}

/// Microseconds of each search from due to answered, and of each stage that the node reports.
#[derive(Default)]
struct Figures {
    by_stage: BTreeMap<String, Vec<u64>>,
    failed: usize,
}

impl Figures {
    fn take(&mut self, took: Duration, answer: &SearchAnswer) {
        let mut put = |name: &str, value: u64| self.by_stage.entry(name.into()).or_default().push(value);
        put("all", took.as_micros() as u64);
        put("server", (answer.meta.took_ms * 1e3) as u64);
        for shard in answer.explain.iter().flat_map(|explain| &explain.shards) {
            put("tail", shard.tail_scanned);
            shard.stages.iter().for_each(|stage| put(&stage.name, stage.us));
        }
    }

    fn percentile(&mut self, stage: &str, percent: usize) -> u64 {
        let Some(values) = self.by_stage.get_mut(stage) else { return 0 };
        values.sort_unstable();
        values[(values.len() * percent / 100).min(values.len() - 1)]
    }

    fn print(&mut self, what: &str) {
        println!(
            "  {what}: {} answered, {} failed",
            self.by_stage.get("all").map_or(0, Vec::len),
            self.failed
        );
        for stage in ["all", "server", "barrier", "queue", "filter", "search", "fetch", "tail"] {
            let [p50, p90, p99, most] = [50, 90, 99, 100].map(|p| self.percentile(stage, p));
            println!("    {stage:>8}  p50 {p50:>7}  p90 {p90:>7}  p99 {p99:>7}  most {most:>7}");
        }
    }
}

async fn searches(node: &Node, queries: &[Vec<f32>], options: &Options) -> Result<Figures, Failure> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(&node.url, None).await?);
    }
    let mut due = tokio::time::interval(Duration::from_micros(1_000_000 / options.rate));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = Vec::new();
    for number in 0..(options.seconds * options.rate) as usize {
        let due = due.tick().await;
        let client = clients[number % CONNECTIONS].clone();
        let query = queries[number % queries.len()].clone();
        under_way.push(tokio::spawn(async move {
            let request = SearchRequest::new(COLLECTION, query).top_k(10).explain(true);
            let answer = client.search(request).await;
            (due.elapsed(), answer)
        }));
    }
    let mut figures = Figures::default();
    for search in under_way {
        match search.await? {
            (took, Ok(answer)) => figures.take(took, &answer),
            (_, Err(_)) => figures.failed += 1,
        }
    }
    Ok(figures)
}

/// Rows taken in, and upserts refused.
#[derive(Default)]
struct Written {
    rows: AtomicUsize,
    failed: AtomicUsize,
}

/// Imports until told to stop: the rows that are not there yet, and then the same again with other payloads and
/// vectors of other rows, so that every upsert is work for the index.
async fn write(url: String, rows: Arc<Rows>, options: Options, stop: Arc<AtomicBool>, written: Arc<Written>) {
    let Ok(client) = Client::connect(&url, None).await else { return };
    let next = Arc::new(AtomicUsize::new(FIRST_ROWS));
    let mut writers = Vec::new();
    for _ in 0..options.writers {
        let (client, rows, next) = (client.clone(), rows.clone(), next.clone());
        let (stop, written, options) = (stop.clone(), written.clone(), options.clone());
        writers.push(tokio::spawn(async move {
            let pause = (BATCH_ROWS * options.writers) as u64 * 1_000_000;
            let mut due = tokio::time::interval(Duration::from_micros(pause / options.pace.max(1)));
            while !stop.load(Ordering::Relaxed) {
                if options.pace > 0 {
                    due.tick().await;
                }
                let from = next.fetch_add(BATCH_ROWS, Ordering::Relaxed);
                let turn = from / rows.len();
                let from = from % rows.len();
                let mut points = rows.batch(from..(from + BATCH_ROWS).min(rows.len()));
                for (at, point) in points.iter_mut().enumerate() {
                    let other = (from + at + turn * 7919) % rows.len();
                    let values = &rows.vectors[other * DIMENSION..(other + 1) * DIMENSION];
                    point.vector = values.iter().map(|value| value.to_f32()).collect();
                }
                let count = points.len();
                match client.upsert(COLLECTION, points).await {
                    Ok(_) => written.rows.fetch_add(count, Ordering::Relaxed),
                    Err(_) => written.failed.fetch_add(1, Ordering::Relaxed),
                };
            }
        }));
    }
    for writer in writers {
        let _ = writer.await;
    }
}

async fn indexed(client: &Client) -> Result<(), Failure> {
    while client.status(COLLECTION).await?.index_lag > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn fill(client: &Client, rows: &Rows, shards: u32) -> Result<(), Failure> {
    let settings = CreateCollection::new(COLLECTION, DIMENSION as u32, "cosine").shards(shards);
    client.create_collection(settings).await?;
    for from in (0..FIRST_ROWS).step_by(BATCH_ROWS) {
        client.upsert(COLLECTION, rows.batch(from..(from + BATCH_ROWS).min(FIRST_ROWS))).await?;
    }
    indexed(client).await
}

/// One round on a fresh node: idle and importing 99th percentiles.
async fn round(rows: &Arc<Rows>, queries: &[Vec<f32>], options: &Options) -> Result<[u64; 4], Failure> {
    let data = tempfile::tempdir()?;
    let node = Node::start(data.path())?;
    let client = Client::connect(&node.url, None).await?;
    let begun = Instant::now();
    fill(&client, rows, options.shards).await?;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), node.cpu()?.values().sum::<f64>());
    let rate = |seconds: f64| FIRST_ROWS as f64 / seconds;
    println!("  filled and indexed: {:.0} rows/s, {:.0} rows per CPU-s of the node", rate(wall), rate(cpu));
    // The checkpoint of the graph that is due now is no part of idleness.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut idle = searches(&node, queries, options).await?;
    idle.print("idle");

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(Written::default()));
    let before = node.cpu()?;
    let importing = {
        let work = write(node.url.clone(), rows.clone(), options.clone(), stop.clone(), written.clone());
        // A runtime of its own, as another process would be.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(work))
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut busy = searches(&node, queries, options).await?;
    stop.store(true, Ordering::Relaxed);
    let _ = tokio::task::spawn_blocking(move || importing.join()).await?;
    busy.print("importing");
    let seconds = (options.seconds + 1) as f64;
    let (rows, failed) = (written.rows.load(Ordering::Relaxed), written.failed.load(Ordering::Relaxed));
    let lag = client.status(COLLECTION).await?.index_lag;
    println!("    {:.0} rows/s written, {failed} batches refused, {lag} rows wait", rows as f64 / seconds);
    for (name, now) in node.cpu()? {
        let share = (now - before.get(&name).unwrap_or(&0.0)) / seconds;
        println!("    {name:>16}  {share:.2} cores");
    }
    Ok([
        idle.percentile("all", 50),
        idle.percentile("all", 99),
        busy.percentile("all", 50),
        busy.percentile("all", 99),
    ])
}

fn main() -> Result<(), Failure> {
    let options = Options::parse()?;
    let rows = Arc::new(Rows::read(&options.data)?);
    let queries = queries(&options.data.join("queries.f32.npy"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        println!("round {number}");
        let [p50, p99, busy_p50, busy_p99] = runtime.block_on(round(&rows, &queries, &options))?;
        rounds.push((busy_p99 as f64 / p99 as f64, p50, p99, busy_p50, busy_p99));
    }
    println!(
        "| round | idle p50 | idle p99 | importing p50 | importing p99 | p99 ratio |\n|---|---|---|---|---|---|"
    );
    for (number, (ratio, p50, p99, busy_p50, busy_p99)) in rounds.iter().enumerate() {
        println!("| {} | {p50} µs | {p99} µs | {busy_p50} µs | {busy_p99} µs | {ratio:.1} |", number + 1);
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("median ratio {:.1}", rounds[rounds.len() / 2].0);
    Ok(())
}
