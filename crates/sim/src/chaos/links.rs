//! Links between the nodes that can be cut: each node in a network namespace of its own, all on one bridge.
//!
//! A node stops reaching another when its neighbour entry for it names an address that nobody has: what it sends is
//! lost without a word, and what the other sends arrives. That is a cut in one direction; two make a cut in both.
//! Nothing but `ip` is needed. Packets that are lost now and then need `nft`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// The nodes' network; it exists in their namespaces only.
const NETWORK: &str = "198.18.7";
/// Where the bridge, and with it the clients, are in it.
const OWN: u8 = 254;
/// Nobody's hardware address.
const NOBODY: &str = "02:00:00:00:00:00";
/// What the namespaces of all runs begin with; a process number follows.
const PREFIX: &str = "vectron-chaos-";

/// Runs a command; what it said when it failed.
pub(super) fn command(program: &str, words: &[&str]) -> io::Result<()> {
    let shown = || format!("{program} {}", words.join(" "));
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", shown())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", shown(), said.trim())))
}

fn ip(words: &str) -> io::Result<()> {
    command("ip", &words.split(' ').collect::<Vec<_>>())
}

/// The namespaces of a run, which are gone when this is.
pub struct Ground {
    prefix: String,
}

impl Ground {
    /// Makes a namespace for each of `nodes` nodes, and one for the clients.
    ///
    /// # Errors
    /// Where there are no namespaces, no right to make them, or no `ip`.
    pub fn lay(nodes: u64) -> io::Result<Self> {
        sweep();
        let ground = Self { prefix: format!("{PREFIX}{}", std::process::id()) };
        let prefix = &ground.prefix;
        ip(&format!("netns add {prefix}-0"))?;
        ip(&format!("-n {prefix}-0 link set lo up"))?;
        ip(&format!("-n {prefix}-0 link add br0 type bridge"))?;
        ip(&format!("-n {prefix}-0 addr add {NETWORK}.{OWN}/24 dev br0"))?;
        ip(&format!("-n {prefix}-0 link set br0 up"))?;
        for node in 1..=nodes {
            ip(&format!("netns add {prefix}-{node}"))?;
            ip(&format!("-n {prefix}-{node} link set lo up"))?;
            ip(&format!("link add p{node} netns {prefix}-0 type veth peer name eth0 netns {prefix}-{node}"))?;
            ip(&format!("-n {prefix}-0 link set p{node} master br0 up"))?;
            ip(&format!("-n {prefix}-{node} addr add {NETWORK}.{node}/24 dev eth0"))?;
            ip(&format!("-n {prefix}-{node} link set eth0 up"))?;
        }
        Ok(ground)
    }

    /// Runs a program where the clients are, with `--links NAME` after its words.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, program: &Path, words: &[String]) -> io::Result<ExitStatus> {
        let prefix = &self.prefix;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{prefix}-0")]).arg(program).args(words);
        command.args(["--links", prefix]).status()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        remove(&self.prefix);
    }
}

fn namespaces() -> Vec<String> {
    let output = Command::new("ip").args(["netns", "list"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_string).collect()
}

fn remove(prefix: &str) {
    for name in namespaces() {
        if name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-')) {
            // What cannot be removed is tried again by the next run.
            let _ = command("ip", &["netns", "del", &name]);
        }
    }
}

/// Removes what runs have left that were killed.
fn sweep() {
    for name in namespaces() {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(process) = process else { continue };
        if !Path::new("/proc").join(process).exists() {
            remove(&format!("{PREFIX}{process}"));
        }
    }
}

/// The links of a run.
#[derive(Debug)]
pub struct Links {
    prefix: String,
    /// Who does not reach whom.
    cut: BTreeSet<(usize, usize)>,
    lossy: BTreeSet<usize>,
}

impl Links {
    /// The links that [`Ground::run`] named.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), cut: BTreeSet::new(), lossy: BTreeSet::new() }
    }

    /// Where node `at` is, counted from 0.
    pub(super) fn host(at: usize) -> String {
        format!("{NETWORK}.{}", at + 1)
    }

    fn namespace(&self, at: usize) -> String {
        format!("{}-{}", self.prefix, at + 1)
    }

    /// The command that runs a program where node `at` is.
    pub(super) fn program(&self, at: usize, binary: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(at)]).arg(binary);
        command
    }

    /// Why packets cannot be lost now and then here, if so.
    pub(super) fn no_loss() -> Option<String> {
        command("nft", &["--version"]).err().map(|error| error.to_string())
    }

    /// What `from` sends does not reach `to`; the other direction is left as it is.
    pub(super) fn cut(&mut self, from: usize, to: usize) -> io::Result<()> {
        let (namespace, to_host) = (self.namespace(from), Self::host(to));
        self.cut.insert((from, to));
        ip(&format!("-n {namespace} neigh replace {to_host} lladdr {NOBODY} dev eth0 nud permanent"))
    }

    /// Of what `at` is sent by other nodes, `percent` is lost.
    pub(super) fn lose(&mut self, at: usize, percent: u64) -> io::Result<()> {
        self.lossy.insert(at);
        // Clients are spared: what they do not hear of says nothing of the cluster.
        let rules = format!(
            "add table inet chaos; add chain inet chaos lossy {{ type filter hook input priority 0; }}; \
             add rule inet chaos lossy ip saddr != {NETWORK}.{OWN} numgen random mod 100 < {percent} drop"
        );
        command("ip", &["netns", "exec", &self.namespace(at), "nft", &rules])
    }

    /// Everybody reaches everybody.
    pub(super) fn heal(&mut self) -> io::Result<()> {
        for (from, to) in std::mem::take(&mut self.cut) {
            ip(&format!("-n {} neigh del {} dev eth0", self.namespace(from), Self::host(to)))?;
        }
        for at in std::mem::take(&mut self.lossy) {
            command("ip", &["netns", "exec", &self.namespace(at), "nft", "delete table inet chaos"])?;
        }
        Ok(())
    }
}
