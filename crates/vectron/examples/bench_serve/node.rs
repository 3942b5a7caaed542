//! A release node as a child process, and what the system says about it.

use crate::Failure;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kernel clock ticks per second, as `/proc` counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running node; killed without warning when dropped.
pub struct Node {
    child: Child,
    pub url: String,
    /// When the process was started.
    pub begun: Instant,
    agent: ureq::Agent,
}

impl Node {
    /// Starts a node on `data` and waits until it says that it is ready.
    pub fn start(binary: &Path, data: &Path) -> Result<Node, Failure> {
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
        Ok(Node { child, url, begun, agent: agent() })
    }

    /// Processor seconds of all threads so far.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// A line of `/proc/<pid>/status`, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// A REST call: status and JSON body.
    pub fn rest(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), Failure> {
        call(&self.agent, method, &format!("{}{path}", self.url), body)
    }

    /// Waits until nothing is left to index and the node rests, so that no background work is counted as a query's.
    pub async fn settle(&self, client: &vectron_client::Client) -> Result<(), Failure> {
        while client.status(crate::COLLECTION).await?.index_lag > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for _ in 0..100 {
            let before = self.cpu();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if self.cpu() - before < 0.015 {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A REST client with one connection that is kept.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into()
}

/// A REST call: status and JSON body.
pub fn call(agent: &ureq::Agent, method: &str, url: &str, body: &Value) -> Result<(u16, Value), Failure> {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(if method == "GET" { Vec::new() } else { body.to_string().into_bytes() })?;
    let mut response = agent.run(request)?;
    let text = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}
