//! A node as a child process, and plain HTTP calls to it.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `vectron up`.
pub struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub url: String,
    /// From the start of the process to its ready line.
    pub start_time: Duration,
}

/// The binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vectron"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VECTRON_")) {
        command.env_remove(name);
    }
    command
}

/// A port for a process that is told its port, as the members of a cluster are.
pub fn free_port() -> u16 {
    vectron::ports::free_port(std::net::Ipv4Addr::LOCALHOST.into()).expect("a free port")
}

impl Server {
    /// Starts a node on `dir` and a free port, and waits until it is ready.
    pub fn start(dir: &Path) -> Server {
        Self::start_with(dir, |_| {})
    }

    /// The same, with more flags or variables.
    pub fn start_with(dir: &Path, adjust: impl FnOnce(&mut Command)) -> Server {
        let mut command = binary();
        command.args(["up", "--listen", "127.0.0.1:0", "-o", "json", "--data-dir"]).arg(dir);
        adjust(&mut command);
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout is readable");
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line, got '{line}'"));
        assert_eq!(ready["ready"], true, "{ready}");
        let url = format!("http://{}", ready["address"].as_str().expect("address"));
        Server { child, url, start_time: begun.elapsed() }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM; the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        self.child.wait().expect("the process ends").code()
    }

    /// POST with a JSON body: status and answer.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, body.to_string().as_bytes())
    }

    /// GET: status and answer.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, b"")
    }

    /// DELETE: status and answer.
    pub fn delete(&self, path: &str) -> (u16, Value) {
        self.send("DELETE", path, b"")
    }

    /// Any call; a transport failure is status 0.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, text) = self.send_text(method, path, body);
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Any call, with the answer as text.
    pub fn send_text(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_vec())
            .expect("a valid request");
        match agent.run(request) {
            Ok(mut response) => {
                let text = response.body_mut().read_to_string().unwrap_or_default();
                (response.status().as_u16(), text)
            }
            Err(_) => (0, String::new()),
        }
    }

    /// Creates a collection and asserts that it worked.
    pub fn create(&self, name: &str, dimension: usize, distance: &str) {
        let body = serde_json::json!({"name": name, "dimension": dimension, "distance": distance});
        let (status, answer) = self.post("/v1/collections", &body);
        assert!(matches!(status, 200 | 201), "{status} {answer}");
    }

    /// Upserts and asserts that everything was written.
    pub fn upsert(&self, collection: &str, points: Value) {
        let count = points.as_array().expect("points").len();
        let path = format!("/v1/collections/{collection}/points");
        let (status, answer) = self.post(&path, &serde_json::json!({"points": points}));
        assert_eq!((status, &answer["upserted"]), (200, &Value::from(count)), "{answer}");
    }

    /// Searches and gives the answer.
    pub fn search(&self, collection: &str, body: &Value) -> Value {
        let (status, answer) = self.post(&format!("/v1/collections/{collection}/points/search"), body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Points in a collection.
    pub fn count(&self, collection: &str) -> u64 {
        let (status, answer) =
            self.post(&format!("/v1/collections/{collection}/points/count"), &serde_json::json!({}));
        assert_eq!(status, 200, "{answer}");
        answer["count"].as_u64().expect("count")
    }

    /// Waits until the graph holds every point.
    pub fn wait_indexed(&self, collection: &str, patience: Duration) {
        let begun = Instant::now();
        loop {
            let (_, status) = self.get(&format!("/v1/collections/{collection}/status"));
            if status["index_lag"] == 0 {
                return;
            }
            assert!(begun.elapsed() < patience, "still indexing: {status}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone when the test killed it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ids of an answer's results.
pub fn ids(answer: &Value) -> Vec<String> {
    let results = answer["results"].as_array().expect("results");
    results.iter().map(|hit| hit["id"].as_str().expect("id").to_string()).collect()
}
