//! The load generator: closed loops of so many clients, and arrivals at a fixed rate.

use crate::dataset::{Dataset, K};
use crate::node::{Node, agent, call};
use crate::{COLLECTION, Failure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vectron_client::{Client, SearchRequest};

/// How one search differs from the plain one.
#[derive(Clone, Default)]
pub struct Shape {
    pub ef: Option<u32>,
    pub filter: Option<String>,
}

impl Shape {
    /// With so many candidates kept.
    pub fn ef(ef: u32) -> Self {
        Self { ef: Some(ef), filter: None }
    }

    /// Top ten with payload.
    pub fn request(&self, query: &[f32]) -> SearchRequest {
        let mut request =
            SearchRequest::new(COLLECTION, query.to_vec()).top_k(K as u32).include_payload(true);
        if let Some(ef) = self.ef {
            request = request.ef(ef);
        }
        if let Some(filter) = &self.filter {
            request = request.filter(filter);
        }
        request
    }
}

/// What a run of searches gave.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Rows found, by query, of the first pass over the queries.
    pub answers: Vec<Vec<u64>>,
    /// Processor microseconds of the node per query.
    pub cpu_us: f64,
    /// Queries per second.
    pub qps: f64,
    /// Microseconds of each query, sorted.
    pub latencies: Vec<f64>,
}

impl Run {
    /// The latency below which this share of the queries is, in microseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(at.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }

    fn from(mut done: Vec<Done>, queries: usize, cpu_s: f64, wall_s: f64) -> Self {
        done.sort_by_key(|one| one.number);
        let mut latencies: Vec<f64> = done.iter().map(|one| one.took.as_secs_f64() * 1e6).collect();
        latencies.sort_by(f64::total_cmp);
        let count = done.len().max(1) as f64;
        let answers = done.into_iter().take(queries).map(|one| one.rows).collect();
        Self { answers, cpu_us: cpu_s * 1e6 / count, qps: count / wall_s, latencies }
    }
}

/// One answered search: its number in the run, what was found, how long it took.
struct Done {
    number: usize,
    rows: Vec<u64>,
    took: Duration,
}

/// The row that an id stands for: the number before a point. Ids of rows that are not of the data set give none.
pub fn row_of(id: &str) -> u64 {
    id.split('.').next().and_then(|row| row.parse().ok()).unwrap_or(u64::MAX)
}

/// `clients` connections, each sending its next query when the last one is answered; `count` queries in all.
pub async fn closed(
    node: &Node,
    data: &Arc<Dataset>,
    shape: &Shape,
    clients: usize,
    count: usize,
) -> Result<Run, Failure> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Client::connect(&node.url, None).await?);
    }
    let (cpu, begun) = (node.cpu(), Instant::now());
    let tasks: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(first, client)| {
            let (data, shape) = (data.clone(), shape.clone());
            tokio::spawn(async move {
                let mut done = Vec::new();
                for number in (first..count).step_by(clients) {
                    let query = &data.queries[number % data.queries.len()];
                    let begun = Instant::now();
                    let answer = client.search(shape.request(query)).await.map_err(|e| e.to_string())?;
                    let rows = answer.results.iter().map(|hit| row_of(&hit.id)).collect();
                    done.push(Done { number, rows, took: begun.elapsed() });
                }
                Ok::<_, String>(done)
            })
        })
        .collect();
    let mut done = Vec::with_capacity(count);
    for task in tasks {
        done.extend(task.await??);
    }
    Ok(Run::from(done, data.queries.len(), node.cpu() - cpu, begun.elapsed().as_secs_f64()))
}

/// The same over REST, from blocking clients.
pub async fn closed_rest(
    node: &Node,
    data: &Arc<Dataset>,
    clients: usize,
    count: usize,
) -> Result<Run, Failure> {
    let (cpu, begun) = (node.cpu(), Instant::now());
    let tasks: Vec<_> = (0..clients)
        .map(|first| {
            let (data, url) =
                (data.clone(), format!("{}/v1/collections/{COLLECTION}/points/search", node.url));
            tokio::task::spawn_blocking(move || {
                let (agent, mut done) = (agent(), Vec::new());
                for number in (first..count).step_by(clients) {
                    let body = json!({"vector": data.queries[number % data.queries.len()], "top_k": K});
                    let begun = Instant::now();
                    let (status, answer) =
                        call(&agent, "POST", &url, &body).map_err(|error| error.to_string())?;
                    if status != 200 {
                        return Err(format!("{status}: {answer}"));
                    }
                    let hits = answer["results"].as_array().into_iter().flatten();
                    let rows =
                        hits.map(|hit: &Value| row_of(hit["id"].as_str().unwrap_or_default())).collect();
                    done.push(Done { number, rows, took: begun.elapsed() });
                }
                Ok::<_, String>(done)
            })
        })
        .collect();
    let mut done = Vec::with_capacity(count);
    for task in tasks {
        done.extend(task.await??);
    }
    Ok(Run::from(done, data.queries.len(), node.cpu() - cpu, begun.elapsed().as_secs_f64()))
}

/// Arrivals at a fixed rate for a time, whatever becomes of earlier ones; latency counts from the intended start, so
/// a stall is felt by all who should have been served meanwhile.
pub async fn open(
    node: &Node,
    data: &Arc<Dataset>,
    connections: usize,
    per_second: f64,
    time: Duration,
) -> Result<Run, Failure> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(&node.url, None).await?);
    }
    let count = (per_second * time.as_secs_f64()).ceil() as usize;
    let runtime = tokio::runtime::Handle::current();
    let queries = data.clone();
    let (cpu, begun) = (node.cpu(), Instant::now());
    // A thread of its own keeps time: the runtime's timer is too coarse.
    let pacer = tokio::task::spawn_blocking(move || {
        let mut tasks = Vec::with_capacity(count);
        for number in 0..count {
            let intended = begun + Duration::from_secs_f64(number as f64 / per_second);
            if let Some(early) = intended.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            let (data, client) = (queries.clone(), clients[number % clients.len()].clone());
            tasks.push(runtime.spawn(async move {
                let query = &data.queries[number % data.queries.len()];
                let answer =
                    client.search(Shape::default().request(query)).await.map_err(|e| e.to_string())?;
                let rows = answer.results.iter().map(|hit| row_of(&hit.id)).collect();
                Ok::<_, String>(Done { number, rows, took: intended.elapsed() })
            }));
        }
        tasks
    });
    let mut done = Vec::with_capacity(count);
    for task in pacer.await? {
        done.push(task.await??);
    }
    Ok(Run::from(done, data.queries.len(), node.cpu() - cpu, begun.elapsed().as_secs_f64()))
}
