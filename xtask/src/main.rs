//! The project's own commands: `cargo xtask <command>`. Thin on purpose: each is a few calls of cargo, so that
//! nobody needs to know more than its name.
#![allow(clippy::disallowed_methods, reason = "a development tool has no seams")]

use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask test             every test of the workspace: units, properties, simulation, end to end
cargo xtask check            every gate, writing nothing: format, lints, dependencies
cargo xtask fix              what can be repaired: format and machine-applicable lints
cargo xtask codegen          rewrites the files that are generated from declarations in the code
cargo xtask sim [SEEDS] [FIRST]   the simulation of one node over more seeds than the tests take (default 200, from 1)
cargo xtask sim cluster [--seeds N] [--first F] [--minutes M]   the cluster, M virtual minutes per seed
cargo xtask sim museum       every seeded bug, and the seeds that find it
cargo xtask chaos [--minutes N] [--seed S] [--nodes 3|5] [--binary PATH] [--loopback] [--record]   real processes, killed,
                             stopped, cut off from each other (with namespaces: as root on Linux) and out of disk space
                             under clients, checked; built here unless --binary names a program; --record keeps the
                             result in bench/results/chaos.json
cargo xtask bench            what is measured, how, and the commands: index, serve, cluster, report
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let steps: Vec<Vec<String>> = match arguments.first().map(String::as_str) {
        Some("test") => vec![cargo(&["test", "--workspace", "--locked"], rest)],
        Some("check") => vec![
            cargo(&["fmt", "--all", "--check"], &[]),
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[]),
            cargo(&["test", "--package", "xtask", "--locked"], &[]),
        ],
        Some("fix") => vec![
            cargo(&["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty"], &[]),
            cargo(&["fmt", "--all"], &[]),
        ],
        Some("codegen") => {
            // The same test that holds the files rewrites them when asked to.
            with_variable(
                "VECTRON_TEST_REWRITE",
                "1",
                &["test", "--package", "vectron", "--test", "suite", "--", "generated", "format"],
            )
        }
        Some("sim") => vec![cargo(
            &["run", "--release", "--locked", "--package", "vectron-sim", "--bin", "simulate", "--"],
            rest,
        )],
        Some("chaos") => return ended(xtask::chaos::run(rest)),
        Some("bench") => return ended(xtask::bench::run(rest)),
        _ => {
            print!("{HELP}");
            return if arguments.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    for step in steps {
        if !run(&step) {
            eprintln!("failed: {}", step.join(" "));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn ended(result: Result<(), xtask::bench::Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn cargo(words: &[&str], rest: &[String]) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    std::iter::once(cargo).chain(words.iter().map(ToString::to_string)).chain(rest.iter().cloned()).collect()
}

/// A cargo call with one more variable in its environment, through `env`.
fn with_variable(name: &str, value: &str, words: &[&str]) -> Vec<Vec<String>> {
    let mut step = vec!["env".to_string(), format!("{name}={value}")];
    step.extend(cargo(words, &[]));
    vec![step]
}

fn run(step: &[String]) -> bool {
    Command::new(&step[0]).args(&step[1..]).status().is_ok_and(|status| status.success())
}
