//! The cluster's processes: each a `vectron up` with a place in the cluster, started, killed and stood still by us.

use super::disk::SmallDisk;
use super::http::{ADMIN_KEY, Rest};
use super::links::Links;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What the processes show each other.
pub const CLUSTER_KEY: &str = "chaos-cluster-key";
/// Where they listen when each has a host of its own.
const PORTS: [u16; 2] = [8080, 9090];

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
    /// Between them, if they can be cut.
    pub links: Option<Links>,
    /// A disk that can be full, and whose it is.
    pub disk: Option<(usize, SmallDisk)>,
    key_file: PathBuf,
    binary: PathBuf,
    members: String,
}

fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

impl Processes {
    /// Starts `count` processes of `binary` whose data and log lines are below `dir`: on hosts of their own when there
    /// are links between such, else on loopback. Which of them shall have a disk that can be full, and why it has
    /// none if so.
    pub fn start(
        binary: &Path,
        dir: &Path,
        count: u64,
        links: Option<Links>,
        disk_of: usize,
    ) -> std::io::Result<(Self, Option<String>)> {
        let mut nodes = Vec::new();
        std::fs::create_dir_all(dir)?;
        let key_file = dir.join("cluster-key");
        std::fs::write(&key_file, CLUSTER_KEY)?;
        for number in 1..=count {
            let address = |at: usize| match &links {
                Some(_) => Ok(format!("{}:{}", Links::host(number as usize - 1), PORTS[at])),
                None => free_address(),
            };
            let (public, internal) = (address(0)?, address(1)?);
            let url = format!("http://{public}");
            let dir = dir.join(format!("node-{number}"));
            std::fs::create_dir_all(&dir)?;
            nodes.push(Node { number, url, internal, public, dir, child: None, still: false });
        }
        let members: Vec<String> = nodes.iter().map(|n| format!("{}={}", n.number, n.internal)).collect();
        let (disk, no_disk) = match nodes.get(disk_of).map(|node| SmallDisk::mount(&node.dir.join("data"))) {
            Some(Ok(disk)) => (Some((disk_of, disk)), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, Some("no such node".into())),
        };
        let (binary, members) = (binary.to_path_buf(), members.join(","));
        let mut processes = Self { nodes, links, disk, key_file, binary, members };
        (0..processes.nodes.len()).try_for_each(|at| processes.launch(at))?;
        Ok((processes, no_disk))
    }

    /// Starts a process that does not run; nothing when it does.
    pub fn launch(&mut self, at: usize) -> std::io::Result<()> {
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        if node.child.is_some() {
            return Ok(());
        }
        let log: File = OpenOptions::new().create(true).append(true).open(node.dir.join("log"))?;
        let mut command = match &self.links {
            Some(links) => links.program(at, &self.binary),
            None => Command::new(&self.binary),
        };
        let child = command
            .args(["up", "--stop-with-parent", "--listen", &node.public, "--member"])
            .args([&node.number.to_string(), "--members", &self.members, "-o", "json"])
            .arg("--data-dir")
            .arg(node.dir.join("data"))
            .arg("--cluster-key-file")
            .arg(&self.key_file)
            .env("VECTRON_ADMIN_KEY", ADMIN_KEY)
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

    /// Mends links and disk, starts whatever does not run, and lets go on what stands still.
    pub fn heal(&mut self) -> std::io::Result<()> {
        self.links.as_mut().map_or(Ok(()), Links::heal)?;
        self.disk.as_ref().map_or(Ok(()), |(_, disk)| disk.make_room())?;
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
