//! The command line: a client of the same public contract as everybody's, and the way to start a node.
//!
//! What it is. A tree of verbs ([`args`]); each turns flags into client calls and answers into rows
//! ([`output`]), and ends with an exit code that scripts can rely on ([`exit`]). Data goes to stdout, notes and
//! progress to stderr.
//!
//! What it must never know. How a room works: only `up` and `demo` touch the server, and only to start it.

pub mod admin;
pub mod args;
pub mod collections;
pub mod config;
pub mod confirm;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod export;
pub mod http;
pub mod import;
pub mod indexes;
pub mod logging;
pub mod nodes;
pub mod output;
pub mod points;
pub mod roles;
pub mod sample;
pub mod search;
pub mod status;
pub mod up;
pub mod vector;

#[cfg(test)]
mod help_tests;

use args::{Cli, Command, Global};
use clap::{CommandFactory, FromArgMatches};
use exit::{Exit, Failure, Outcome};
use output::Output;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use vectron_client::{Client, ClientOptions};

/// Runs the program's command line.
pub fn main() -> ExitCode {
    // Clap prints help and its own errors, and ends with 0 or 2.
    let matches = without_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let exit = match execute(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            let text = failure.render(output::color_on_stderr());
            if !text.is_empty() {
                output::note(text.trim_end());
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Variables that an empty value must not unset: whoever meant to demand a key and lost it on the way would
/// serve without one.
const NEVER_EMPTY: [&str; 2] = ["VECTRON_ADMIN_KEY", "VECTRON_ADMIN_KEY_FILE"];

/// The command tree with empty variables taken for unset, which is how compose files and unit files leave them.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| match arg.get_env() {
        Some(name)
            if !NEVER_EMPTY.iter().any(|never| name == *never)
                && std::env::var_os(name).is_some_and(|value| value.is_empty()) =>
        {
            arg.env(clap::builder::Resettable::Reset)
        }
        _ => arg,
    });
    command.mut_subcommands(without_empty_variables)
}

fn execute(cli: Cli) -> Outcome<Exit> {
    let Cli { global, command } = cli;
    let out = Output::new(global.output);
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vectron", &mut text);
            out.text(&String::from_utf8_lossy(&text)).map(|()| Exit::Ok)
        }
        Command::Openapi => openapi(out),
        Command::Config(command) => config::run(command, out),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Up(args) => block_on(up::run(args, out)),
        Command::Pd(args) => block_on(roles::pd(args, out)),
        Command::Worker(args) => block_on(roles::worker(args, out)),
        Command::Gateway(args) => block_on(roles::gateway(args, out)),
        Command::Admin(command) => block_on(admin::run(command, &global, out)),
        Command::Demo(args) => block_on(demo::run(args, out)),
        Command::Collections(command) => block_on(collections::run(command, &global, out)),
        Command::Indexes(command) => block_on(indexes::run(command, &global, out)),
        Command::Points(command) => block_on(points::run(command, &global, out)),
        Command::Import(args) => block_on(import::run(args, &global, out)),
        Command::Export(args) => block_on(export::run(args, &global, out)),
        Command::Search(args) => block_on(search::run(args, &global, out)),
        Command::Explain(args) => block_on(search::run_explain(args, &global, out)),
        Command::Status(args) => block_on(status::run(args, &global, out)),
    }
}

fn block_on(work: impl Future<Output = Outcome<Exit>>) -> Outcome<Exit> {
    let runtime = crate::runtime::build()
        .map_err(|error| Failure::error(format!("the operating system refused threads: {error}")))?;
    let result = runtime.block_on(work);
    // What is still blocked, in a read for instance, does not keep the program.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

fn openapi(out: Output) -> Outcome<Exit> {
    let text = serde_json::to_string_pretty(&vectron_gateway::openapi())
        .map_err(|error| Failure::error(error.to_string()))?;
    out.text(&(text + "\n")).map(|()| Exit::Ok)
}

/// A client as the global options say.
async fn connect(global: &Global) -> Outcome<Client> {
    Ok(Client::connect_with(&global.url, global.key(), ClientOptions::default()).await?)
}

/// Reads a small file of the user's, or stdin for `-`.
#[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
fn read_user_file(path: &std::path::Path) -> Outcome<Vec<u8>> {
    let read = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Failure::error(format!("cannot read {}: {error}", path.display())))
}
