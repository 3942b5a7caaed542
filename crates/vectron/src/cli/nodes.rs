//! `vectron up --nodes N`: a cluster of real processes on this machine, each of them a `vectron up` with a place in
//! the cluster, watched and started again when one dies.
//!
//! `DIR/cluster.json` lists them, for people and for tests: `[{role, roles, id, pid, addresses: {rest, grpc,
//! internal}}]`.

use super::exit::{Exit, Failure, Outcome};
use super::http::Http;
use super::output::{Output, OutputFormat, note};
use super::up::{Stop, UpArgs, address, admin_key};
use http::Method;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Distance between a node's public port and its internal one.
const INTERNAL_PORT: u16 = 100;
/// How long the nodes may take to serve.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How long a node that was told to stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// One process of the cluster.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    role: &'static str,
    roles: [&'static str; 3],
    id: u64,
    pid: u32,
    addresses: Addresses,
}

#[derive(Clone, Debug, Serialize)]
struct Addresses {
    rest: String,
    grpc: String,
    internal: String,
}

struct NodeProcess {
    id: u64,
    public: SocketAddr,
    internal: SocketAddr,
    data_dir: PathBuf,
    child: Option<Child>,
}

/// Runs the cluster until it is told to stop.
pub async fn run(args: UpArgs, nodes: u64, out: Output) -> Outcome<Exit> {
    let listen = address(&args.listen).await?;
    if !listen.ip().is_loopback() {
        let fix = "on several machines, start `vectron up --member N --members LIST` on each";
        return Err(Failure::usage("--nodes starts processes on this machine, on loopback only").fix(fix));
    }
    // Refuses what a node would refuse, before any is started.
    let key = admin_key(&args)?;
    let mut stop = Stop::listen()?;
    let mut processes = plan(&args, listen, nodes)?;
    let members: Vec<String> = processes.iter().map(|p| format!("{}={}", p.id, p.internal)).collect();
    let members = members.join(",");
    for process in &mut processes {
        process.start(&args, &members)?;
    }
    record(&args.data_dir, &processes)?;
    let url = format!("http://{}", processes[0].public);
    let started = tokio::select! {
        ready = all_ready(&processes, key.as_deref()) => ready,
        signal = stop.wait() => {
            end(&mut processes).await;
            return Ok(signal.before_ready());
        }
    };
    if let Err(failure) = started {
        end(&mut processes).await;
        return Err(failure);
    }
    announce(&args.data_dir, &processes, &url, out)?;
    let restart = Duration::from_millis(args.restart_after_ms);
    loop {
        tokio::select! {
            _ = stop.wait() => break,
            () = watch(&mut processes, &args, &members, restart) => {}
        }
    }
    note("stopping the cluster");
    end(&mut processes).await;
    Ok(Exit::Ok)
}

fn plan(args: &UpArgs, listen: SocketAddr, nodes: u64) -> Outcome<Vec<NodeProcess>> {
    let mut processes = Vec::new();
    for id in 1..=nodes {
        let offset = u16::try_from(id - 1).unwrap_or(u16::MAX);
        let port =
            |base: u16| base.checked_add(offset).ok_or_else(|| Failure::usage("the ports end at 65535"));
        let at = |port: u16| SocketAddr::new(listen.ip(), port);
        let (public, internal) = if listen.port() == 0 {
            (at(free_port(listen)?), at(free_port(listen)?))
        } else {
            let internal = listen.port().checked_add(INTERNAL_PORT);
            let internal = internal.ok_or_else(|| Failure::usage("the ports end at 65535"))?;
            (at(port(listen.port())?), at(port(internal)?))
        };
        let data_dir = args.data_dir.join(format!("node-{id}"));
        processes.push(NodeProcess { id, public, internal, data_dir, child: None });
    }
    Ok(processes)
}

fn free_port(listen: SocketAddr) -> Outcome<u16> {
    crate::ports::free_port(listen.ip()).map_err(|error| Failure::error(format!("no port is free: {error}")))
}

impl NodeProcess {
    fn start(&mut self, args: &UpArgs, members: &str) -> Outcome<()> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::error(format!("cannot find this program's file: {error}")))?;
        let mut command = Command::new(program);
        command.args(["up", "--stop-with-parent", "--data-dir"]).arg(&self.data_dir);
        command.args(["--listen", &self.public.to_string()]);
        command.args(["--member", &self.id.to_string(), "--members", members]);
        if args.open {
            command.arg("--open");
        }
        if let Some(file) = &args.admin_key_file {
            command.arg("--admin-key-file").arg(file);
        }
        command.args(["-o", "json"]).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        // A signal to the terminal's group must reach the nodes through us alone, or they stop twice.
        command.process_group(0);
        for variable in ["VECTRON_NODES", "VECTRON_LISTEN", "VECTRON_DATA_DIR"] {
            command.env_remove(variable);
        }
        let child = command.spawn();
        let child =
            child.map_err(|error| Failure::error(format!("cannot start node {}: {error}", self.id)))?;
        self.child = Some(child);
        Ok(())
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap_or(0)
    }

    fn entry(&self) -> Entry {
        let url = format!("http://{}", self.public);
        Entry {
            role: "node",
            roles: ["pd", "worker", "gateway"],
            id: self.id,
            pid: self.pid(),
            addresses: Addresses { rest: url.clone(), grpc: url, internal: self.internal.to_string() },
        }
    }
}

/// Writes `cluster.json` so that nobody ever reads half of it.
#[allow(clippy::disallowed_methods, reason = "a file for people and scripts, outside any node's data")]
fn record(data_dir: &Path, processes: &[NodeProcess]) -> Outcome<()> {
    let entries: Vec<Entry> = processes.iter().map(NodeProcess::entry).collect();
    let text = serde_json::to_string_pretty(&entries).map_err(|error| Failure::error(error.to_string()))?;
    let (path, fresh) = (data_dir.join("cluster.json"), data_dir.join("cluster.json.new"));
    let written = std::fs::create_dir_all(data_dir)
        .and_then(|()| std::fs::write(&fresh, text + "\n"))
        .and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(|error| Failure::error(format!("cannot write {}: {error}", path.display())))
}

#[allow(clippy::disallowed_methods, reason = "the command line's own waiting, outside any node")]
async fn all_ready(processes: &[NodeProcess], key: Option<&str>) -> Outcome<()> {
    let waited = tokio::time::timeout(READY_PATIENCE, async {
        for process in processes {
            while !is_ready(process.public, key).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    waited.await.map_err(|_| {
        Failure::error(format!(
            "not every node was ready within {} s; see their log lines",
            READY_PATIENCE.as_secs()
        ))
    })
}

async fn is_ready(address: SocketAddr, key: Option<&str>) -> bool {
    let Ok(http) = Http::new(&format!("http://{address}"), key) else { return false };
    http.send(Method::GET, "/readyz", None).await.is_ok()
}

/// Waits until a node ends, and starts it again after a pause.
#[allow(clippy::disallowed_methods, reason = "the command line's own waiting, outside any node")]
async fn watch(processes: &mut [NodeProcess], args: &UpArgs, members: &str, restart: Duration) {
    let waiting = processes.iter_mut().filter_map(|process| {
        let (id, child) = (process.id, process.child.as_mut()?);
        Some(Box::pin(async move { (id, child.wait().await) }))
    });
    let waiting: Vec<_> = waiting.collect();
    if waiting.is_empty() {
        return std::future::pending().await;
    }
    let ((id, status), ..) = futures::future::select_all(waiting).await;
    let ended = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let Some(process) = processes.iter_mut().find(|process| process.id == id) else { return };
    process.child = None;
    if restart.is_zero() {
        note(format!("node {id} has ended ({ended}) and is left so"));
    } else {
        note(format!("node {id} has ended ({ended}); it is started again in {} ms", restart.as_millis()));
        tokio::time::sleep(restart).await;
        if let Err(failure) = process.start(args, members) {
            note(failure.render(false).trim_end());
        }
    }
    if let Err(failure) = record(&args.data_dir, processes) {
        note(failure.render(false).trim_end());
    }
}

/// Stops every node cleanly, all at the same time; those that do not follow are killed when they are dropped.
async fn end(processes: &mut [NodeProcess]) {
    use rustix::process::{Pid, Signal, kill_process};
    let stopping = processes.iter_mut().filter_map(|process| {
        let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw)?;
        // A process that has ended already needs no signal.
        let _ = kill_process(pid, Signal::TERM);
        process.child.as_mut().map(Child::wait)
    });
    let _ = tokio::time::timeout(STOP_PATIENCE, futures::future::join_all(stopping)).await;
}

fn announce(data_dir: &Path, processes: &[NodeProcess], url: &str, out: Output) -> Outcome<()> {
    let entries: Vec<Entry> = processes.iter().map(NodeProcess::entry).collect();
    let list = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf()).join("cluster.json");
    if out.format != OutputFormat::Table {
        let line =
            serde_json::json!({ "ready": true, "nodes": entries, "cluster": list.display().to_string() });
        return out.text(&format!("{line}\n"));
    }
    let rows: String = entries
        .iter()
        .map(|e| format!("  node {}   pid {:<8} {}\n", e.id, e.pid, e.addresses.rest))
        .collect();
    out.text(&format!(
        "Vectron is ready: {} nodes, listed in {}\n\n{rows}\nTry it:\n  vectron --url {url} admin workers\n  \
         vectron --url {url} collections create docs --dimension 3 --distance cosine --replication-factor 3\n  \
         kill -9 {}   # nothing is lost; the node is started again\nCtrl-C stops them.\n",
        entries.len(),
        list.display(),
        entries.last().map_or(0, |entry| entry.pid),
    ))
}
