//! The command tree.

use super::output::OutputFormat;
use super::{
    admin, collections, config, demo, doctor, export, import, indexes, points, roles, search, status, up,
};
use clap::{Args, Parser, Subcommand};

/// A distributed vector database: server, client and tools in one program.
#[derive(Debug, Parser)]
#[command(
    name = "vectron",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    propagate_version = true,
    after_help = "Examples:
  vectron demo                                     # the whole system with a sample, to look at
  vectron up --data-dir ./vectron-data             # a node that keeps its data
  vectron import docs vectors.npy --payload docs.jsonl.gz --create --distance cosine
  vectron search docs --like 42 --k 5

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 authentication, 5 conflict, 6 unavailable, 7 partial
success, 8 check failed, 130 interrupted."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Address of the server.
    #[arg(
        long,
        global = true,
        env = "VECTRON_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub url: String,
    /// Key or token to show to the server.
    #[arg(long, global = true, env = "VECTRON_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
    /// Output format.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: OutputFormat,
}

impl Global {
    /// The key, unless it is empty.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref().map(str::trim).filter(|key| !key.is_empty())
    }
}

/// Every verb.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a node with a sample, search it, measure it, and stay up to be tried.
    Demo(demo::DemoArgs),
    /// Start a node.
    Up(up::UpArgs),
    /// Start a member of the placement driver.
    Pd(roles::PdArgs),
    /// Start a worker.
    Worker(roles::WorkerArgs),
    /// Start a gateway.
    Gateway(roles::GatewayArgs),
    /// Show and change the cluster.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// List, create, describe and delete collections.
    #[command(subcommand)]
    Collections(collections::CollectionsCommand),
    /// Create, list and delete payload indexes.
    #[command(subcommand)]
    Indexes(indexes::IndexesCommand),
    /// Get, upsert, delete, scroll and count points.
    #[command(subcommand)]
    Points(points::PointsCommand),
    /// Load files of vectors into a collection.
    Import(import::ImportArgs),
    /// Write a collection's points as JSON lines.
    Export(export::ExportArgs),
    /// Find the nearest neighbours of a vector or of a point.
    Search(search::SearchArgs),
    /// Search and show how it was done: plan, counts, timings.
    Explain(search::ExplainArgs),
    /// Show what collections hold and whether their shards are ready.
    Status(status::StatusArgs),
    /// Check this machine and a data directory.
    Doctor(doctor::DoctorArgs),
    /// Show or check the settings in the environment.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the OpenAPI document of the REST API.
    #[command(after_help = "Example:\n  vectron openapi > openapi.json")]
    Openapi,
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  vectron completions bash > ~/.local/share/bash-completion/completions/vectron"
    )]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}
