//! `vectron up`: a node in this process, until it is told to stop.

use super::config;
use super::exit::{Exit, Failure, Outcome};
use super::logging;
use super::nodes;
use super::output::{Output, OutputFormat, note};
use super::roles::Place;
use crate::node::{Node, NodeOptions, StartError};
use crate::settings::Settings;
use crate::topology::{Roles, Topology, parse_drivers};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vectron_base::ids::ReplicaId;

/// Arguments of `up`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron up
  vectron up --data-dir /var/lib/vectron --listen 0.0.0.0:8080 --admin-key-file /etc/vectron/key
  vectron up --nodes 3                             # a cluster of three processes on this machine

The key can also come from VECTRON_ADMIN_KEY. Every knob is an environment variable: `vectron config show`.")]
pub struct UpArgs {
    /// Where everything is kept; created when it is not there.
    #[arg(long, env = "VECTRON_DATA_DIR", default_value = "./vectron-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where REST, gRPC and the documentation are served.
    #[arg(long, env = "VECTRON_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: String,
    /// No authentication. Allowed on loopback only, and the default there.
    #[arg(long, env = "VECTRON_OPEN", value_parser = clap::builder::BoolishValueParser::new())]
    pub open: bool,
    /// File with the key that every request must carry.
    #[arg(long, env = "VECTRON_ADMIN_KEY_FILE", value_name = "FILE")]
    pub admin_key_file: Option<PathBuf>,
    /// The key itself, from the environment only: command lines can be read by everybody on the machine.
    #[arg(long, env = "VECTRON_ADMIN_KEY", hide = true, hide_env_values = true)]
    pub admin_key: Option<String>,
    /// Start a cluster of so many processes on this machine.
    #[arg(long, env = "VECTRON_NODES", value_name = "N", conflicts_with_all = ["member", "members"])]
    pub nodes: Option<u64>,
    /// How long a node of `--nodes` that has died is left before it is started again, in milliseconds; 0 for ever.
    #[arg(long, env = "VECTRON_RESTART_AFTER_MS", default_value_t = 5000, value_name = "MS")]
    pub restart_after_ms: u64,
    /// This node's number in `--members`.
    #[arg(long, env = "VECTRON_MEMBER", value_name = "N", requires = "members")]
    pub member: Option<u64>,
    /// Every node of the cluster and its internal address: N=HOST:PORT, separated by commas; 1, 3 or 5 of them.
    #[arg(long, env = "VECTRON_MEMBERS", value_name = "LIST", requires = "member")]
    pub members: Option<String>,
    /// Stop when the process that started this one ends, however it does.
    #[arg(long, hide = true)]
    pub stop_with_parent: bool,
    /// Where this node stands.
    #[command(flatten)]
    pub place: Place,
    /// File with the key that processes of the cluster show to each other; needed off loopback.
    #[arg(long, env = "VECTRON_CLUSTER_KEY_FILE", value_name = "FILE")]
    pub cluster_key_file: Option<PathBuf>,
}

/// Runs it.
pub async fn run(args: UpArgs, out: Output) -> Outcome<Exit> {
    if let Some(nodes) = args.nodes.filter(|nodes| *nodes != 1) {
        return nodes::run(args, nodes, out).await;
    }
    if args.stop_with_parent {
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal)
            .map_err(|error| Failure::error(format!("the operating system refused: {error}")))?;
    }
    let settings = Settings::from_env().map_err(|errors| config::wrong(&errors))?;
    let listen = address(&args.listen).await?;
    let admin_key = admin_key(&args)?;
    if admin_key.is_none() && !listen.ip().is_loopback() {
        return Err(refusal(&if args.open {
            StartError::OpenOffLoopback(listen)
        } else {
            StartError::NeedsKey(listen)
        }));
    }
    logging::start(&settings);
    let mut stop = Stop::listen()?;
    let data_dir = args.data_dir.clone();
    let key = shown_key(&args);
    let (topology, internal) = place_in_cluster(&args).await?;
    let options = NodeOptions {
        internal,
        cluster_key: args.cluster_key_file.as_deref().map(read_key).transpose()?,
        topology,
        ..NodeOptions::alone(args.data_dir, listen, args.open, admin_key)
    };
    // A start that is given up is like a crash to the data directory, which survives one.
    let node = tokio::select! {
        node = Node::start(options, settings) => node.map_err(|error| refusal(&error))?,
        signal = stop.wait() => return Ok(signal.before_ready()),
    };
    if let Some(signal) = ready(&node, &mut stop).await {
        return end(node).await.map(|_| signal.before_ready());
    }
    announce(node.address(), &data_dir, key.as_deref(), out)?;
    stop.wait().await;
    note("stopping: finishing what was accepted");
    end(node).await
}

/// What the node is in its cluster, and its internal address.
async fn place_in_cluster(args: &UpArgs) -> Outcome<(Topology, Option<SocketAddr>)> {
    let (Some(member), Some(members)) = (args.member, &args.members) else {
        return Ok((Topology { locality: args.place.locality(), ..Topology::alone() }, None));
    };
    let wrong = |why: String| Failure::usage(format!("--members: {why}"));
    let drivers = parse_drivers(members).map_err(wrong)?;
    if !matches!(drivers.len(), 1 | 3 | 5) {
        return Err(wrong(format!("has {}, expected 1, 3 or 5", drivers.len())));
    }
    let own = drivers.get(&ReplicaId(member)).cloned();
    let own = own.ok_or_else(|| wrong(format!("member {member} is not in the list")))?;
    let internal = address(&own).await?;
    let locality = args.place.locality();
    let driver = Some(ReplicaId(member));
    Ok((
        Topology { roles: Roles::ALL, address: own, drivers, driver, joins: false, locality },
        Some(internal),
    ))
}

/// Stops a node cleanly.
pub async fn end(node: Node) -> Outcome<Exit> {
    node.stop().await.map_err(|error| Failure::error(error.to_string()))?;
    Ok(Exit::Ok)
}

/// Waits until every shard can serve; gives the signal when told to stop before.
pub async fn ready(node: &Node, stop: &mut Stop) -> Option<StopSignal> {
    let mut poll = tokio::time::interval(Duration::from_millis(10));
    while !node.ready() {
        tokio::select! {
            _ = poll.tick() => {}
            signal = stop.wait() => return Some(signal),
        }
    }
    None
}

/// The address of `HOST:PORT`; host names are looked up.
pub async fn address(listen: &str) -> Outcome<SocketAddr> {
    let wrong = |reason: String| {
        Failure::usage(format!("--listen {listen}: {reason}")).fix("give HOST:PORT such as 127.0.0.1:8080")
    };
    let mut found = tokio::net::lookup_host(listen).await.map_err(|error| wrong(error.to_string()))?;
    found.next().ok_or_else(|| wrong("is no address".into()))
}

/// The operator's key: of the file, or of the environment.
pub fn admin_key(args: &UpArgs) -> Outcome<Option<String>> {
    let from_file = args.admin_key_file.as_deref().map(read_key).transpose()?;
    match (from_file, args.admin_key.as_deref().map(str::trim)) {
        (Some(file), Some(given)) if file != given => Err(Failure::usage(
            "the admin key file and VECTRON_ADMIN_KEY hold different keys; keep one of them",
        )),
        (Some(file), _) => Ok(Some(file)),
        (None, Some("")) => Err(Failure::usage("VECTRON_ADMIN_KEY is empty; unset it or give a key")),
        (None, given) => Ok(given.map(str::to_string)),
    }
}

/// The configured key as a shell writes it, without showing it: the variable or the file that it came from.
fn shown_key(args: &UpArgs) -> Option<String> {
    match &args.admin_key_file {
        // It was read from stdin and cannot be read again.
        Some(path) if path.as_os_str() == "-" => Some("$VECTRON_API_KEY".into()),
        Some(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Some(format!("$(cat '{}')", path.display().to_string().replace('\'', r"'\''")))
        }
        None => args.admin_key.as_ref().map(|_| "$VECTRON_ADMIN_KEY".into()),
    }
}

/// The key in a file, without the white space around it.
pub fn read_key(path: &Path) -> Outcome<String> {
    let bytes = super::read_user_file(path).map_err(|failure| Failure { exit: Exit::Usage, ..failure })?;
    let key = String::from_utf8_lossy(&bytes).trim().to_string();
    if key.is_empty() {
        return Err(Failure::usage(format!("the admin key file {} is empty", path.display())));
    }
    Ok(key)
}

/// What the command line could have said better is a usage error; the rest is an error.
pub fn refusal(error: &StartError) -> Failure {
    let exit = match error {
        StartError::NeedsKey(_)
        | StartError::OpenOffLoopback(_)
        | StartError::OpenWithKey
        | StartError::NeedsClusterKey(_)
        | StartError::BadClusterKey(_)
        | StartError::WeakKey(_) => Exit::Usage,
        _ => Exit::Error,
    };
    Failure::new(exit, error.to_string())
}

/// Says on stdout that the node is ready.
fn announce(address: SocketAddr, data_dir: &Path, key: Option<&str>, out: Output) -> Outcome<()> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    if out.format != OutputFormat::Table {
        let base = format!("http://{address}");
        let line = serde_json::json!({
            "ready": true, "address": address.to_string(), "rest": format!("{base}/v1"), "grpc": base,
            "docs": format!("{base}/docs"), "health": format!("{base}/healthz"),
            "data_dir": data_dir.display().to_string(), "pid": std::process::id(),
        });
        return out.text(&format!("{line}\n"));
    }
    out.text(&format!(
        "Vectron is ready, data in {}\n\n{}\n{}\nCtrl-C stops it.\n",
        data_dir.display(),
        addresses(address),
        first_request(address, key)
    ))
}

/// Where everything is.
pub fn addresses(address: SocketAddr) -> String {
    format!(
        "  REST     http://{address}/v1\n  gRPC     http://{address} (vectron.v1.VectronService)\n  docs     \
         http://{address}/docs\n  health   http://{address}/healthz, /readyz, /metrics\n"
    )
}

/// Requests to copy, one per line: create, write, search.
fn first_request(address: SocketAddr, key: Option<&str>) -> String {
    let key = key.map_or_else(String::new, |key| format!("-H \"Authorization: Bearer {key}\" "));
    let base = format!("http://{address}/v1/collections");
    let requests = [
        (r#"{"name":"first","dimension":3,"distance":"cosine"}"#, ""),
        (r#"{"points":[{"id":"a","vector":[1,0,0],"payload":{"color":"red"}}]}"#, "/first/points"),
        (r#"{"vector":[1,0.1,0],"top_k":1}"#, "/first/points/search"),
    ];
    let lines = requests.map(|(body, path)| format!("  curl -s {key}--json '{body}' {base}{path}\n"));
    format!("First requests:\n{}", lines.concat())
}

/// A signal that ends a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// A supervisor's request.
    Terminate,
}

impl StopSignal {
    /// How a program ends that gets it before it is ready: stopped as asked, or broken off.
    pub fn before_ready(self) -> Exit {
        match self {
            StopSignal::Interrupt => Exit::Interrupted,
            StopSignal::Terminate => Exit::Ok,
        }
    }
}

/// The signals that end a node.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Takes SIGINT and SIGTERM from now on.
    pub fn listen() -> Outcome<Self> {
        let open = |kind| {
            signal(kind).map_err(|error| Failure::error(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { interrupt: open(SignalKind::interrupt())?, terminate: open(SignalKind::terminate())? })
    }

    /// Completes at the first of them.
    pub async fn wait(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(file: Option<PathBuf>, key: Option<&str>) -> UpArgs {
        UpArgs {
            data_dir: PathBuf::new(),
            listen: String::new(),
            open: false,
            admin_key_file: file,
            admin_key: key.map(str::to_string),
            nodes: None,
            restart_after_ms: 0,
            stop_with_parent: false,
            member: None,
            members: None,
            place: Place::default(),
            cluster_key_file: None,
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    fn keys_come_from_file_or_environment_and_must_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        assert_eq!(admin_key(&args(None, None)).unwrap(), None);
        assert_eq!(admin_key(&args(Some(file.clone()), None)).unwrap().unwrap(), "0123456789abcdef");
        assert!(admin_key(&args(Some(file.clone()), Some("0123456789abcdef "))).is_ok());
        assert_eq!(admin_key(&args(Some(file), Some("other"))).unwrap_err().exit, Exit::Usage);
        assert_eq!(admin_key(&args(None, Some(" "))).unwrap_err().exit, Exit::Usage);
        let gone = folder.path().join("gone");
        assert_eq!(admin_key(&args(Some(gone), None)).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn the_banner_sends_the_key_that_is_configured() {
        let address = "127.0.0.1:8080".parse().unwrap();
        let shown = |file: Option<&str>, key| {
            let key = shown_key(&args(file.map(PathBuf::from), key));
            first_request(address, key.as_deref())
        };
        let open = shown(None, None);
        assert!(!open.contains("Authorization") && !open.contains('\\'), "{open}");
        assert!(open.contains("\n  curl -s --json '{\"vector\":"), "{open}");
        assert!(
            shown(None, Some("k")).contains("-s -H \"Authorization: Bearer $VECTRON_ADMIN_KEY\" --json '")
        );
        let file = shown(Some("/etc/it's"), None);
        assert!(file.contains(r"Bearer $(cat '/etc/it'\''s')"), "{file}");
    }
}
