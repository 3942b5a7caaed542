//! Sections that write: import, restart, churn, search during import.

use crate::load::{Shape, closed, open, row_of};
use crate::node::Node;
use crate::reads::{median, row};
use crate::{CLIENTS, COLLECTION, Failure, Plan, Section};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use vectron_client::{Client, DeleteRequest, Payload, PointInput};

/// Points per write.
const BATCH: usize = 256;
/// Points per write of the steady import: small, so that they come evenly.
const SMALL_BATCH: usize = 50;
/// Writes under way at once.
const WRITERS: usize = 4;
/// Parts of the data; a cycle of churn takes one.
const CYCLES: usize = 5;
/// Effort of the measurement between delete and insert.
const MIDWAY_EF: u32 = 64;

fn figure(section: &mut Section, what: &str, value: f64, unit: &str, concurrency: usize) {
    section.row(json!({"what": what, "value": value.round(), "unit": unit, "concurrency": concurrency}));
}

/// The data set through the command line's import, until everything is in the graph; then memory and disk.
pub async fn import(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let mut section = Section::default();
    let (cpu, begun) = (node.cpu(), Instant::now());
    let source = &plan.data.directory;
    let out = Command::new(&plan.binary)
        .args(["--url", &node.url, "import", COLLECTION, "--payload"])
        .args([source.join("payload.jsonl.gz"), source.join("vectors.f16.npy")])
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    let (searchable_s, searchable_cpu) = (begun.elapsed().as_secs_f64(), node.cpu() - cpu);
    while client.status(COLLECTION).await?.index_lag > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (indexed_s, indexed_cpu) = (begun.elapsed().as_secs_f64(), node.cpu() - cpu);
    node.settle(client).await?;
    let rows = plan.data.rows() as f64;
    let mut say = |what: &str, value: f64, unit: &str| figure(&mut section, what, value, unit, WRITERS);
    say("import to durable and searchable", rows / searchable_s, "rows/s");
    say("import to durable and searchable", rows / searchable_cpu, "rows/CPU-s");
    say("import to fully indexed", rows / indexed_s, "rows/s");
    say("import to fully indexed", rows / indexed_cpu, "rows/CPU-s");
    say("memory per row, as reported", memory_per_row(client).await?, "bytes");
    say("resident memory per row, whole process", node.memory("VmRSS") as f64 / rows, "bytes");
    say("of it anonymous (no file behind it)", node.memory("RssAnon") as f64 / rows, "bytes");
    say("peak resident memory per row", node.memory("VmHWM") as f64 / rows, "bytes");
    say("disk per row, without journal", client.status(COLLECTION).await?.bytes as f64 / rows, "bytes");
    section.note(format!("gRPC, batches of {BATCH}, {WRITERS} at once; memory at rest, fully indexed"));
    Ok(section)
}

async fn memory_per_row(client: &Client) -> Result<f64, Failure> {
    let status = client.status(COLLECTION).await?;
    Ok(status.memory_bytes as f64 / status.points.max(1) as f64)
}

/// How many of a query's true ten the default search finds.
async fn found(plan: &Plan, client: &Client, query: usize) -> Result<usize, Failure> {
    let answer = client.search(Shape::default().request(&plan.data.queries[query])).await?;
    let rows: Vec<u64> = answer.results.iter().map(|hit| row_of(&hit.id)).collect();
    Ok(plan.data.found(query, &rows, plan.data.truth("all")?))
}

/// Kills the node and starts it again, several times: from the start of the process to the first right answer.
pub async fn restart(plan: &Plan, mut node: Node) -> Result<(Section, Node), Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    let truth = data.truth("all")?;
    let (mut ready, mut answered, mut indexed, mut wrong) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
    for round in 0..plan.rounds() {
        let query = round % data.queries.len();
        // An approximate search may rightly miss a neighbour: right is what finds as many as before the kill.
        let client = Client::connect(&node.url, None).await?;
        let before = found(plan, &client, query).await?;
        drop(node);
        node = Node::start(&plan.binary, plan.directory.path())?;
        ready.push(node.begun.elapsed().as_secs_f64() * 1e3);
        let client = Client::connect(&node.url, None).await?;
        loop {
            let after = found(plan, &client, query).await;
            if after.as_ref().is_ok_and(|after| *after >= before.max(1)) {
                break;
            }
            wrong += 1;
            if node.begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("{before} found before the restart, a minute after it: {after:?}").into());
            }
        }
        answered.push(node.begun.elapsed().as_secs_f64() * 1e3);
        while client.status(COLLECTION).await?.index_lag > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        indexed.push(node.begun.elapsed().as_secs_f64() * 1e3);
    }
    figure(&mut section, "start of the process to ready", median(ready), "ms", 1);
    figure(&mut section, "start of the process to first right answer", median(answered), "ms", 1);
    figure(&mut section, "start of the process to nothing left to index", median(indexed), "ms", 1);
    figure(&mut section, "answers before that were refused or wrong", wrong as f64, "in all", 1);
    let client = Client::connect(&node.url, None).await?;
    node.settle(&client).await?;
    let run = closed(&node, data, &Shape::default(), CLIENTS, data.queries.len()).await?;
    let recall = data.judge(&run.answers, truth, |_| true).recall;
    section
        .row(json!({"what": "recall@10 afterwards, default", "value": format!("{recall:.4}"), "unit": ""}));
    let rows = data.rows() as f64;
    figure(&mut section, "memory per row, as reported", memory_per_row(&client).await?, "bytes", 1);
    figure(
        &mut section,
        "anonymous memory per row, whole process",
        node.memory("RssAnon") as f64 / rows,
        "bytes",
        1,
    );
    section.note(format!("medians of {} restarts; the page cache is warm", plan.rounds()));
    Ok((section, node))
}

/// Writes points in batches, several at once.
async fn write(client: &Client, points: Vec<PointInput>) -> Result<(), Failure> {
    let batches: Vec<Vec<PointInput>> = points.chunks(BATCH).map(<[PointInput]>::to_vec).collect();
    let sent = stream::iter(batches).map(|batch| async move {
        let answer = client.upsert(COLLECTION, batch).await?;
        answer.unfinished().map_or(Ok(()), Err)
    });
    Ok(sent.buffer_unordered(WRITERS).try_collect::<()>().await?)
}

/// Cycles of deleting a fifth of the rows and inserting them again, every other time under new ids.
pub async fn churn(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    section.row(state(plan, node, client, "before", None).await?);
    let mut ids: Vec<String> = (0..data.rows()).map(|row| row.to_string()).collect();
    for cycle in 0..if plan.quick { 1 } else { CYCLES } {
        let cpu = node.cpu();
        let taken: Vec<usize> = (0..data.rows()).filter(|row| row % CYCLES == cycle).collect();
        for part in taken.chunks(1000) {
            let gone = part.iter().map(|row| ids[*row].clone()).collect();
            client.delete(DeleteRequest::ids(COLLECTION, gone)).await?;
        }
        let what = format!("cycle {}: deleted", cycle + 1);
        let deleting = node.cpu() - cpu;
        section.row(state(plan, node, client, &what, Some(cycle)).await?);
        let cpu = node.cpu();
        let mut points = Vec::with_capacity(taken.len());
        for row in taken {
            if cycle % 2 == 0 {
                ids[row] = format!("{row}.{}", cycle + 1);
            }
            let payload = Payload::from_json(data.payloads[row].clone())?;
            points.push(PointInput::new(ids[row].clone(), data.vector(row).to_vec()).payload(payload));
        }
        write(client, points).await?;
        node.settle(client).await?;
        let spent = deleting + node.cpu() - cpu;
        let mut row = state(plan, node, client, &format!("cycle {}: inserted", cycle + 1), None).await?;
        row["cycle_cpu_s"] = ((spent * 10.0).round() / 10.0).into();
        section.row(row);
    }
    section.note("truth over the live rows; after a delete only ef 64 and the default are measured");
    Ok(section)
}

/// Recall and cost at rest; `deleted` is the part of the rows that is not there.
async fn state(
    plan: &Plan,
    node: &Node,
    client: &Client,
    what: &str,
    deleted: Option<usize>,
) -> Result<Value, Failure> {
    let (data, count) = (&plan.data, plan.data.queries.len());
    let truth = data.truth("all")?;
    let live = |row: u64| deleted.is_none_or(|part| row as usize % CYCLES != part);
    node.settle(client).await?;
    let mut runs = Vec::new();
    for _ in 0..if plan.quick { 1 } else { 3 } {
        runs.push(closed(node, data, &Shape::default(), CLIENTS, count).await?);
    }
    let mut row = row(plan, what, &runs, truth);
    data.judge(&runs[0].answers, truth, live).into_row(&mut row);
    for ef in [32, 64, 128] {
        if deleted.is_some() && ef != MIDWAY_EF {
            continue;
        }
        let run = closed(node, data, &Shape::ef(ef), CLIENTS, count).await?;
        let recall = data.judge(&run.answers, truth, live).recall;
        row[format!("recall_{ef}")] = ((recall * 1e5).round() / 1e5).into();
    }
    let status = client.status(COLLECTION).await?;
    row["points"] = status.points.into();
    row["tombstones"] = status.shards.iter().map(|shard| shard.tombstones).sum::<u64>().into();
    row["bytes_per_row"] = (status.memory_bytes / status.points.max(1)).into();
    Ok(row)
}

/// Latency of the same arrivals while nothing else happens, while rows come at a steady rate, and while they come as
/// fast as the node takes them.
pub async fn ingest(plan: &Plan, node: &Node, client: &Client) -> Result<Section, Failure> {
    let (data, mut section) = (&plan.data, Section::default());
    node.settle(client).await?;
    let mut capacity = Vec::new();
    for _ in 0..3 {
        capacity.push(closed(node, data, &Shape::default(), CLIENTS, data.queries.len()).await?.qps);
    }
    let rate = (median(capacity) * 0.2).round();
    let time = Duration::from_secs(plan.seconds());
    let next = Arc::new(AtomicUsize::new(0));
    let mut idle = f64::NAN;
    for (what, rows_per_second) in
        [("nothing", Some(0)), ("1,000 rows/s", Some(1000)), ("import at full speed", None)]
    {
        node.settle(client).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let (first, begun) = (next.load(Ordering::Relaxed), Instant::now());
        let writers: Vec<_> = match rows_per_second {
            Some(0) => Vec::new(),
            pace => (0..WRITERS)
                .map(|_| {
                    tokio::spawn(writer(client.clone(), plan.data.clone(), next.clone(), stop.clone(), pace))
                })
                .collect(),
        };
        let run = open(node, data, CLIENTS, rate, time).await?;
        let written = (next.load(Ordering::Relaxed) - first) as f64 / begun.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await??;
        }
        let mut row = row(plan, what, std::slice::from_ref(&run), data.truth("all")?);
        if idle.is_nan() {
            idle = run.percentile(0.99);
        }
        row["rate"] = rate.into();
        row["written"] = written.round().into();
        row["p99_ratio"] = ((run.percentile(0.99) / idle * 100.0).round() / 100.0).into();
        // New rows are near real ones and take their places among the best: only ids of the data set are judged.
        if rows_per_second != Some(0) {
            for key in ["recall", "recall_by_id", "recall_by_score", "recall_p5", "short"] {
                row[key] = Value::Null;
            }
        }
        section.row(row);
    }
    section.note(format!(
        "arrivals at 20 % of what {CLIENTS} clients in a closed loop get; imported rows are real ones with small noise, \
         batches of {BATCH} ({SMALL_BATCH} at the steady rate), {WRITERS} at once; recall only where the truth is known"
    ));
    Ok(section)
}

/// Writes made rows under new ids until told to stop; with a pace, `pace` rows a second by all writers together.
async fn writer(
    client: Client,
    data: Arc<crate::dataset::Dataset>,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    pace: Option<usize>,
) -> Result<(), String> {
    let size = if pace.is_some() { SMALL_BATCH } else { BATCH };
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let first = next.fetch_add(size, Ordering::Relaxed);
        let points: Result<Vec<PointInput>, _> = (first..first + size)
            .map(|number| {
                let row = number % data.rows();
                let payload = Payload::from_json(data.payloads[row].clone())?;
                Ok::<_, vectron_client::Error>(
                    PointInput::new(format!("new.{number}"), near(data.vector(row), number)).payload(payload),
                )
            })
            .collect();
        let points = points.map_err(|error| error.to_string())?;
        client.upsert(COLLECTION, points).await.map_err(|error| error.to_string())?;
        if let Some(pace) = pace {
            due += Duration::from_secs_f64((size * WRITERS) as f64 / pace as f64);
            tokio::time::sleep_until(due.into()).await;
        }
    }
    Ok(())
}

/// A row near a real one, the same for the same number.
fn near(vector: &[f32], number: usize) -> Vec<f32> {
    let mut state = number as u64 + 1;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.05
    };
    vector.iter().map(|x| x + noise()).collect()
}
