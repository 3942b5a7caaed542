//! The cluster's processes: each a `vectron up` with a place in the cluster, started, killed and stood still by us.

use super::http::Rest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// One process.
pub struct Node {
    /// Its member number.
    pub number: u64,
    /// `http://HOST:PORT` of its gateway.
    pub url: String,
    /// Where the other processes reach it.
    pub internal: String,
    public: String,
    dir: PathBuf,
    child: Option<Child>,
    still: bool,
}

/// All of them.
pub struct Processes {
    /// In the order of their numbers.
    pub nodes: Vec<Node>,
    binary: PathBuf,
    members: String,
}

fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

impl Processes {
    /// Starts `count` processes of `binary` whose data and log lines are below `dir`.
    pub fn start(binary: &Path, dir: &Path, count: u64) -> std::io::Result<Self> {
        let mut nodes = Vec::new();
        for number in 1..=count {
            let public = free_address()?;
            let url = format!("http://{public}");
            let dir = dir.join(format!("node-{number}"));
            std::fs::create_dir_all(&dir)?;
            nodes.push(Node {
                number,
                url,
                internal: free_address()?,
                public,
                dir,
                child: None,
                still: false,
            });
        }
        let members: Vec<String> = nodes.iter().map(|n| format!("{}={}", n.number, n.internal)).collect();
        let mut processes = Self { nodes, binary: binary.to_path_buf(), members: members.join(",") };
        (0..processes.nodes.len()).try_for_each(|at| processes.launch(at))?;
        Ok(processes)
    }

    /// Starts a process that does not run; nothing when it does.
    pub fn launch(&mut self, at: usize) -> std::io::Result<()> {
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        if node.child.is_some() {
            return Ok(());
        }
        let log: File = OpenOptions::new().create(true).append(true).open(node.dir.join("log"))?;
        let child = Command::new(&self.binary)
            .args(["up", "--stop-with-parent", "--listen", &node.public, "--member"])
            .args([&node.number.to_string(), "--members", &self.members, "-o", "json"])
            .arg("--data-dir")
            .arg(node.dir.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        node.child = Some(child);
        node.still = false;
        Ok(())
    }

    /// SIGSTOP, or SIGCONT.
    pub fn stand_still(&mut self, at: usize, still: bool) {
        self.signal(at, if still { Signal::STOP } else { Signal::CONT });
        self.nodes[at].still = still;
    }

    /// Starts whatever does not run, and lets go on what stands still.
    pub fn heal(&mut self) -> std::io::Result<()> {
        for at in 0..self.nodes.len() {
            self.stand_still(at, false);
            self.launch(at)?;
        }
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, at: usize, signal: Signal) {
        let pid = self.nodes.get(at).and_then(|node| node.child.as_ref()).map(Child::id);
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            // One that has ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self, at: usize) {
        self.signal(at, Signal::KILL);
        if let Some(mut child) = self.nodes.get_mut(at).and_then(|node| node.child.take()) {
            let _ = child.wait();
        }
    }

    /// SIGTERM; whether the process ended by itself and well.
    pub fn terminate(&mut self, at: usize) -> bool {
        self.signal(at, Signal::TERM);
        let Some(child) = self.nodes.get_mut(at).and_then(|node| node.child.as_mut()) else { return true };
        let begun = Instant::now();
        while begun.elapsed() < STOP_PATIENCE {
            if let Ok(Some(status)) = child.try_wait() {
                self.nodes[at].child = None;
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill(at);
        false
    }

    /// Processes that ended though nobody ended them, with how; they are started again.
    pub fn ended(&mut self) -> Vec<String> {
        let mut ended = Vec::new();
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            if let Some(Ok(Some(status))) = node.child.as_mut().map(Child::try_wait) {
                ended.push(format!("node {}: {status}", node.number));
                node.child = None;
                let _ = self.launch(at);
            }
        }
        ended
    }

    /// Whether it says that it is ready.
    pub fn ready(&self, rest: &Rest, at: usize) -> bool {
        self.nodes.get(at).is_some_and(|node| rest.get(&node.url, "/readyz").is_ok())
    }

    /// Those that run.
    pub fn serving(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.child.is_some() && !node.still)
    }

    /// The first good answer of any node.
    pub fn any(&self, rest: &Rest, path: &str) -> Option<Value> {
        self.serving().find_map(|node| rest.get(&node.url, path).ok())
    }

    /// The node whose worker, or member of the placement driver, is reached at this address.
    pub fn at_address(&self, address: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.internal == address)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|at| self.kill(at));
    }
}
