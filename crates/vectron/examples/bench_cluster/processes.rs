//! Processes of a cluster on loopback, and what the system says about them.

use crate::Failure;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kernel clock ticks per second, as `/proc` counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process; stopped when dropped.
pub struct Process(Child);

impl Process {
    /// Starts the binary with these words; its ready line if `wait`.
    pub fn start(binary: &Path, words: &[&str], wait: bool) -> Result<(Process, Value), Failure> {
        let mut child = Command::new(binary)
            .args(words)
            .args(["-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if wait {
            BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        }
        let ready = if wait { serde_json::from_str(&line)? } else { Value::Null };
        Ok((Process(child), ready))
    }

    pub fn pid(&self) -> u64 {
        self.0.id().into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal("-TERM", self.pid());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(15) {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal.
pub fn signal(name: &str, pid: u64) {
    let _ = Command::new("kill").args([name, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Processor seconds of processes so far.
pub fn cpu(pids: &[u64]) -> f64 {
    let of = |pid: &u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    };
    pids.iter().map(of).sum()
}

/// A port for a process that is told its port.
pub fn free_port() -> Result<u16, Failure> {
    Ok(vectron::ports::free_port(std::net::Ipv4Addr::LOCALHOST.into())?)
}

/// A REST call within a time: status and body; status 0 when nobody answered.
pub fn call(method: &str, url: &str, body: &Value, within: Duration) -> (u16, Value) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(within)).build().into();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = ureq::http::Request::builder().method(method).uri(url);
    let Ok(request) = request.header("content-type", "application/json").body(body) else {
        return (0, Value::Null);
    };
    match agent.run(request) {
        Ok(mut response) => {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
        }
        Err(_) => (0, Value::Null),
    }
}

/// Calls until it succeeds, for at most a minute.
pub fn eventually(method: &str, url: &str, body: &Value) -> Result<Value, Failure> {
    let begun = Instant::now();
    loop {
        let (status, answer) = call(method, url, body, Duration::from_secs(20));
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(format!("{method} {url}: {status} {answer}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until something is so.
pub fn wait_for(what: &str, mut look: impl FnMut() -> bool) -> Result<Duration, Failure> {
    let begun = Instant::now();
    while !look() {
        if begun.elapsed() > Duration::from_secs(180) {
            return Err(format!("{what} did not happen").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begun.elapsed())
}

/// `up --nodes N`.
pub struct Nodes {
    _process: Process,
    directory: tempfile::TempDir,
}

impl Nodes {
    pub fn start(binary: &Path, nodes: u64) -> Result<Nodes, Failure> {
        let directory = tempfile::tempdir()?;
        let data = directory.path().display().to_string();
        let nodes = nodes.to_string();
        let words = [
            "up",
            "--nodes",
            &nodes,
            "--listen",
            "127.0.0.1:0",
            "--restart-after-ms",
            "1000",
            "--data-dir",
            &data,
        ];
        let (process, _) = Process::start(binary, &words, true)?;
        Ok(Nodes { _process: process, directory })
    }

    fn entries(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.path().join("cluster.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn pids(&self) -> Vec<u64> {
        self.entries().iter().filter_map(|entry| entry["pid"].as_u64()).collect()
    }

    pub fn urls(&self) -> Vec<String> {
        self.entries().iter().filter_map(|e| Some(e["addresses"]["rest"].as_str()?.to_string())).collect()
    }

    /// Position of the node that leads the first shard of a collection.
    pub fn leader(&self, collection: &str) -> Option<usize> {
        let entries = self.entries();
        for entry in &entries {
            let url = format!("{}/v1/admin", entry["addresses"]["rest"].as_str()?);
            let ask =
                |path: &str| call("GET", &format!("{url}/{path}"), &Value::Null, Duration::from_secs(3));
            let (200, shards) = ask("shards") else { continue };
            let shard = shards["shards"].as_array()?.iter().find(|s| s["collection"] == collection)?.clone();
            let (200, workers) = ask("workers") else { continue };
            let worker =
                workers["workers"].as_array()?.iter().find(|w| w["worker"] == shard["leader"])?.clone();
            return entries.iter().position(|e| e["addresses"]["internal"] == worker["address"]);
        }
        None
    }
}

/// A collection of `dimension` numbers.
pub fn create(url: &str, name: &str, dimension: usize, replication_factor: u64) -> Result<(), Failure> {
    let body = json!({"name": name, "dimension": dimension, "distance": "cosine", "shards": 1,
        "replication_factor": replication_factor});
    eventually("POST", &format!("{url}/v1/collections"), &body).map(|_| ())
}
