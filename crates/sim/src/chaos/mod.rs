//! Real processes, killed, stopped, moved about, cut off from each other and left without disk space under clients,
//! held to the same checkers as the simulated cluster.
//!
//! Nothing here is decided by the seed alone: the operating system schedules. The seed fixes what clients draw and
//! the order of the faults, so that a run can be had again in kind.
#![allow(clippy::disallowed_methods, reason = "drives real processes in real time, outside any room")]

mod client;
mod disk;
mod faults;
mod http;
mod links;
mod nemesis;
mod notes;
mod process;
mod quiet;

use crate::check::{Violation, check};
use crate::history::{DIMENSION, Owners};
use client::{Board, COLLECTION, Client};
use http::Rest;
use links::Links;
use nemesis::Nemesis;
use notes::outage_ms;
use process::Processes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use links::Ground;

/// Replicas of every shard.
const REPLICATION_FACTOR: usize = 3;
/// Shards at the beginning.
const SHARDS: u64 = 2;
/// Clients.
const CLIENTS: u64 = 6;
/// How long the cluster may take to serve for the first time.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// One run.
#[derive(Clone, Debug)]
pub struct Options {
    /// For how long things go wrong.
    pub length: Duration,
    /// What is drawn.
    pub seed: u64,
    /// Processes.
    pub nodes: u64,
    /// The program.
    pub binary: PathBuf,
    /// Where data and log lines are kept, empty at the beginning.
    pub dir: PathBuf,
    /// Faults are not told as they come.
    pub quiet: bool,
    /// The links of the [`Ground`] that this runs on, or why there are none: then all processes are on loopback, and
    /// no link can be cut.
    pub links: Result<String, String>,
}

/// What a run gave.
pub struct Outcome {
    /// As it is kept.
    pub summary: Value,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

/// Runs it.
///
/// # Errors
/// When processes cannot be started or never serve.
pub fn run(options: &Options) -> io::Result<Outcome> {
    let links = options.links.as_ref().ok().map(|name| Links::new(name));
    let disk_of = (options.seed % options.nodes.max(1)) as usize;
    let (processes, no_disk) =
        Processes::start(&options.binary, &options.dir, options.nodes, links, disk_of)?;
    let mut left_out: BTreeMap<&str, String> = BTreeMap::new();
    let no_loss = match &options.links {
        Ok(_) => Links::no_loss(),
        Err(why) => {
            left_out.insert("network partitions", why.clone());
            Some(why.clone())
        }
    };
    left_out.extend(no_loss.map(|why| ("lossy links", why)));
    left_out.extend(no_disk.map(|why| ("full disk", why)));
    for (what, why) in &left_out {
        eprintln!("LEFT OUT: {what}: {why}");
    }
    let gateways: Vec<String> = processes.nodes.iter().map(|node| node.url.clone()).collect();
    let board = Board::new();
    let mut nemesis = Nemesis::new(processes, &board, options, !left_out.contains_key("lossy links"));
    create(&nemesis)?;
    nemesis.shards();
    let mut violations = Vec::new();
    let (mut accepted_ms, mut rested_ms) = (None, None);
    std::thread::scope(|scope| -> io::Result<()> {
        for number in 0..CLIENTS {
            let client =
                Client::new(&board, gateways.clone(), options.seed.wrapping_mul(1_000).wrapping_add(number));
            scope.spawn(move || client.run());
        }
        nemesis.run(Instant::now() + options.length);
        let healed = nemesis.heal();
        // Clients go on for a while with nothing wrong.
        nemesis.pause(Duration::from_secs(3));
        board.stop.store(true, Ordering::SeqCst);
        healed
    })?;
    for (result, ms) in
        [(quiet::accepts(&mut nemesis), &mut accepted_ms), (quiet::rests(&mut nemesis), &mut rested_ms)]
    {
        match result {
            Ok(took) => *ms = Some(took),
            Err(violation) => violations.push(violation),
        }
    }
    let (finals, behind) = quiet::finals(&mut nemesis, &board)?;
    violations.extend(behind);
    let surprise = |what: String| Violation { property: "processes end only when they are told to", what };
    violations.extend(std::mem::take(&mut nemesis.surprises).into_iter().map(surprise));
    let owners: Owners = nemesis.lineage.owners();
    let (replicas, shards) = (finals.len(), owners.shards.len());
    let notes = std::mem::take(&mut *board.notes.lock());
    let mut operations: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for ((kind, outcome), count) in &notes.figures {
        operations.entry(kind).or_default().insert(outcome, *count);
    }
    let history = notes.history(owners, finals);
    violations.extend(check(&history));
    let mut outages: Vec<u64> = Vec::new();
    for kill in &nemesis.leader_kills {
        let of_kill = kill.shards.iter().filter_map(|shard| outage_ms(&history, *shard, kill.at));
        outages.extend(of_kill);
    }
    outages.sort_unstable();
    let at = |share: f64| outages.get(((outages.len() as f64 * share).ceil() as usize).saturating_sub(1));
    let summary = json!({
        "seed": options.seed,
        "minutes": options.length.as_secs_f64() / 60.0,
        "nodes": options.nodes,
        "operations": operations,
        "checked": history.len(),
        "acknowledged_writes": history.acknowledged(),
        "faults": nemesis.faults,
        "left_out": left_out,
        "leader_kills": {"kills": nemesis.leader_kills.len(), "shards": outages.len(),
            "first_write_p50_ms": at(0.5), "first_write_p99_ms": at(0.99), "first_write_max_ms": outages.last()},
        "healed": {"writes_accepted_ms": accepted_ms, "at_rest_ms": rested_ms},
        "at_end": {"shards": shards, "replicas_read": replicas, "points": board.ids()},
        "violations": violations.iter().map(|of| json!({"property": of.property, "what": of.what}))
            .collect::<Vec<_>>(),
    });
    Ok(Outcome { summary, violations })
}

/// Creates the collection once everybody is there.
fn create(nemesis: &Nemesis<'_>) -> io::Result<()> {
    let rest = Rest::new(Duration::from_secs(10));
    let begun = Instant::now();
    let wanted = nemesis.processes.nodes.len();
    let body = json!({"name": COLLECTION, "dimension": DIMENSION, "distance": "euclidean", "shards": SHARDS,
        "replication_factor": REPLICATION_FACTOR});
    loop {
        let workers = nemesis.processes.any(&rest, "/v1/admin/workers").unwrap_or_default();
        let alive =
            workers["workers"].as_array().into_iter().flatten().filter(|of| of["alive"] == true).count();
        let all = alive == wanted && (0..wanted).all(|at| nemesis.processes.ready(&rest, at));
        if all && rest.post(&nemesis.processes.nodes[0].url, "/v1/collections", &body).is_ok() {
            return Ok(());
        }
        if begun.elapsed() > START_PATIENCE {
            return Err(io::Error::other(format!("no cluster within {START_PATIENCE:?}: {workers}")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
