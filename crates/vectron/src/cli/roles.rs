//! `vectron pd`, `vectron worker`, `vectron gateway`: processes with one role each.

use super::config;
use super::exit::{Exit, Failure, Outcome};
use super::logging;
use super::output::{Output, OutputFormat, note};
use super::up::{Stop, address, end, read_key, refusal};
use crate::node::{Node, NodeOptions};
use crate::settings::Settings;
use crate::topology::{Roles, Topology, check_address, parse_drivers};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;
use vectron_base::ids::ReplicaId;
use vectron_wire::placement::Locality;

/// What every role has.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where other processes of the cluster reach this one: HOST:PORT, resolvable from them.
    #[arg(long, env = "VECTRON_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// File with the key that processes of the cluster show to each other; needed off loopback.
    #[arg(long, env = "VECTRON_CLUSTER_KEY_FILE", value_name = "FILE")]
    pub cluster_key_file: Option<PathBuf>,
}

/// Arguments of `pd`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron pd --member 1 --members 1=pd1:7100,2=pd2:7100,3=pd3:7100 --listen 0.0.0.0:7100 --cluster-key-file key
  vectron pd --member 4 --join --members 1=pd1:7100,2=pd2:7100,4=pd4:7100 --listen 0.0.0.0:7100

A member that joins takes part once it was let in: `vectron admin pd add 4 pd4:7100`.")]
pub struct PdArgs {
    /// Where the catalog is kept.
    #[arg(long, env = "VECTRON_DATA_DIR", default_value = "./vectron-pd", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the other processes are served.
    #[arg(long, env = "VECTRON_LISTEN", default_value = "127.0.0.1:7100", value_name = "HOST:PORT")]
    pub listen: String,
    /// This member's number; never used again for another.
    #[arg(long, env = "VECTRON_MEMBER", value_name = "N")]
    pub member: u64,
    /// All members: N=HOST:PORT, separated by commas. One, three or five found a cluster.
    #[arg(long, env = "VECTRON_MEMBERS", value_name = "LIST")]
    pub members: String,
    /// Join a placement driver that exists, instead of founding one.
    #[arg(long)]
    pub join: bool,
    /// What every role has.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `worker`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  vectron worker --placement pd1:7100,pd2:7100 --listen 0.0.0.0:7200 --advertise w1:7200 --zone a --cluster-key-file key")]
pub struct WorkerArgs {
    /// Where shards are kept.
    #[arg(long, env = "VECTRON_DATA_DIR", default_value = "./vectron-worker", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where the other processes are served.
    #[arg(long, env = "VECTRON_LISTEN", default_value = "127.0.0.1:7200", value_name = "HOST:PORT")]
    pub listen: String,
    /// The placement driver's members: HOST:PORT, separated by commas.
    #[arg(long, env = "VECTRON_PLACEMENT", value_name = "LIST")]
    pub placement: String,
    /// Where it stands.
    #[command(flatten)]
    pub place: Place,
    /// What every role has.
    #[command(flatten)]
    pub common: Common,
}

/// Where a worker stands: replicas of a shard go to different zones, then racks, then workers.
#[derive(Clone, Debug, Default, Args)]
pub struct Place {
    /// The region.
    #[arg(long, env = "VECTRON_REGION", default_value = "", hide_default_value = true)]
    pub region: String,
    /// The zone in it.
    #[arg(long, env = "VECTRON_ZONE", default_value = "", hide_default_value = true)]
    pub zone: String,
    /// The rack in that.
    #[arg(long, env = "VECTRON_RACK", default_value = "", hide_default_value = true)]
    pub rack: String,
}

impl Place {
    /// As the placement driver sees it.
    pub fn locality(&self) -> Locality {
        Locality { region: self.region.clone(), zone: self.zone.clone(), rack: self.rack.clone() }
    }
}

/// Arguments of `gateway`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  vectron gateway --placement pd1:7100,pd2:7100 --listen 0.0.0.0:8080 --admin-key-file admin --cluster-key-file key

Gateways keep nothing: start as many as you like, and put any balancer in front.")]
pub struct GatewayArgs {
    /// Where REST, gRPC and the documentation are served.
    #[arg(long, env = "VECTRON_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: String,
    /// The placement driver's members: HOST:PORT, separated by commas.
    #[arg(long, env = "VECTRON_PLACEMENT", value_name = "LIST")]
    pub placement: String,
    /// No authentication. Allowed on loopback only, and the default there.
    #[arg(long, env = "VECTRON_OPEN", value_parser = clap::builder::BoolishValueParser::new())]
    pub open: bool,
    /// File with the key that every request must carry.
    #[arg(long, env = "VECTRON_ADMIN_KEY_FILE", value_name = "FILE")]
    pub admin_key_file: Option<PathBuf>,
    /// File with the key that processes of the cluster show to each other; needed off loopback.
    #[arg(long, env = "VECTRON_CLUSTER_KEY_FILE", value_name = "FILE")]
    pub cluster_key_file: Option<PathBuf>,
}

/// Runs a member of the placement driver.
pub async fn pd(args: PdArgs, out: Output) -> Outcome<Exit> {
    let drivers = parse_drivers(&args.members).map_err(|why| wrong("--members", &why))?;
    let own = ReplicaId(args.member);
    let Some(address) = drivers.get(&own).cloned() else {
        return Err(wrong("--member", &format!("member {} is not in --members", args.member)));
    };
    if !args.join && !matches!(drivers.len(), 1 | 3 | 5) {
        return Err(wrong("--members", &format!("has {}, expected 1, 3 or 5", drivers.len())));
    }
    let topology = Topology {
        roles: Roles::PLACEMENT,
        address: args.common.advertise.clone().unwrap_or(address),
        drivers,
        driver: Some(own),
        joins: args.join,
        locality: Locality::default(),
    };
    serve_internal("pd", args.data_dir, &args.listen, topology, args.common, out).await
}

/// Runs a worker.
pub async fn worker(args: WorkerArgs, out: Output) -> Outcome<Exit> {
    let topology = Topology {
        roles: Roles::WORKER,
        address: args.common.advertise.clone().unwrap_or_else(|| args.listen.clone()),
        drivers: placement_list(&args.placement)?,
        driver: None,
        joins: false,
        locality: args.place.locality(),
    };
    serve_internal("worker", args.data_dir, &args.listen, topology, args.common, out).await
}

/// Runs a gateway.
pub async fn gateway(args: GatewayArgs, out: Output) -> Outcome<Exit> {
    let settings = Settings::from_env().map_err(|errors| config::wrong(&errors))?;
    let options = NodeOptions {
        data_dir: None,
        public: Some(address(&args.listen).await?),
        internal: None,
        open: args.open,
        admin_key: args.admin_key_file.as_deref().map(read_key).transpose()?,
        cluster_key: args.cluster_key_file.as_deref().map(read_key).transpose()?,
        topology: Topology {
            roles: Roles::GATEWAY,
            address: "gateway".into(),
            drivers: placement_list(&args.placement)?,
            driver: None,
            joins: false,
            locality: Locality::default(),
        },
    };
    run("gateway", options, settings, out).await
}

async fn serve_internal(
    role: &'static str,
    data_dir: PathBuf,
    listen: &str,
    topology: Topology,
    common: Common,
    out: Output,
) -> Outcome<Exit> {
    let settings = Settings::from_env().map_err(|errors| config::wrong(&errors))?;
    check_address(&topology.address).map_err(|why| wrong("--advertise", &why))?;
    let options = NodeOptions {
        data_dir: Some(data_dir),
        public: None,
        internal: Some(address(listen).await?),
        open: false,
        admin_key: None,
        cluster_key: common.cluster_key_file.as_deref().map(read_key).transpose()?,
        topology,
    };
    run(role, options, settings, out).await
}

/// Starts a process, says that it is ready, and serves until it is told to stop.
async fn run(role: &'static str, options: NodeOptions, settings: Settings, out: Output) -> Outcome<Exit> {
    logging::start(&settings);
    let mut stop = Stop::listen()?;
    let node = tokio::select! {
        node = Node::start(options, settings) => node.map_err(|error| refusal(&error))?,
        signal = stop.wait() => return Ok(signal.before_ready()),
    };
    announce(role, &node, out)?;
    stop.wait().await;
    note("stopping: finishing what was accepted");
    end(node).await
}

fn announce(role: &str, node: &Node, out: Output) -> Outcome<()> {
    let address = node.address();
    if out.format != OutputFormat::Table {
        let line = serde_json::json!({
            "ready": node.ready(), "role": role, "address": address.to_string(), "pid": std::process::id(),
            "health": format!("http://{address}/healthz"),
        });
        return out.text(&format!("{line}\n"));
    }
    out.text(&format!(
        "Vectron {role} serves on {address}\n  health   http://{address}/healthz, /readyz, /metrics\n"
    ))
}

/// The placement driver's addresses. Their order gives them numbers that nobody looks at.
fn placement_list(text: &str) -> Outcome<BTreeMap<ReplicaId, String>> {
    let mut drivers = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address = part.split_once('=').map_or(part, |(_, address)| address);
        check_address(address).map_err(|why| wrong("--placement", &why))?;
        drivers.insert(ReplicaId(drivers.len() as u64 + 1), address.to_string());
    }
    if drivers.is_empty() { Err(wrong("--placement", "no address is given")) } else { Ok(drivers) }
}

fn wrong(flag: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_placement_driver_with_or_without_numbers() {
        let list = placement_list("a:1, 2=b:2").unwrap();
        assert_eq!(list.values().collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!(placement_list("").unwrap_err().exit, Exit::Usage);
        assert_eq!(placement_list("a").unwrap_err().exit, Exit::Usage);
    }
}
