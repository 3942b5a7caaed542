//! `cargo xtask bench`: runs the measurements, keeps their results in `bench/results`, writes `docs/BENCHMARKS.md`.

pub mod cluster;
pub mod contestant;
pub mod curve;
pub mod index;
pub mod machine;
pub mod options;
pub mod peers;
pub mod recall;
pub mod report;
pub mod sections;
pub mod serve;
pub mod svg;

use std::path::{Path, PathBuf};

/// Why a command ended early, as a sentence.
pub type Failure = Box<dyn std::error::Error>;

/// Version of the shape of the files in `bench/results`.
pub const SCHEMA: u64 = 1;

/// The commands and their options.
pub const HELP: &str = "\
cargo xtask bench index      in-process: our index against hnswlib, faiss and usearch, interleaved in one run
    --rows N                 only N rows; more than the data set has: the rest are real rows with small noise
    --rounds N               times each curve is measured (default 5); medians are reported
    --quick                  8,000 rows, two rounds, few efforts; kept out of the results
    --reuse                  take peers' graphs from the last run with these rows; their build figures are old then
    --contestants A,B        only those whose name contains one of these words
cargo xtask bench serve      over the wire: a release node in its own process, under our load generator
    --only A,B               sections: import, search, open, filters, restart, churn, ingest (default all)
    --quick                  fewer queries and cycles; kept out of the results
    --set KEY=VALUE          a setting of the collection, such as quantization=4bit; may be repeated
    --name NAME              keeps the results as serve-NAME.json beside those of the default settings
cargo xtask bench cluster    real processes of the release binary on loopback
    --only A,B               sections: writes, failover, drain, remote, replica (default all)
    --quick                  as long as without, but kept out of the results
cargo xtask bench report     writes docs/BENCHMARKS.md and docs/img/*.svg from bench/results
all measurements: --data DIRECTORY of the data set (default $VECTRON_DATA, else ../shared/data/debian)
";

/// The project's directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where cargo builds; measurements keep what can be made again in its `bench` directory.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs the command of these words.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let Some((command, rest)) = words.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    let options = options::Options::parse(rest)?;
    match command.as_str() {
        "index" => index::run(&options)?,
        "serve" => serve::run(&options)?,
        "cluster" => cluster::run(&options)?,
        "report" => {}
        _ => {
            print!("{HELP}");
            return Err(format!("no such measurement: {command}").into());
        }
    }
    if options.quick { Ok(()) } else { report::write(&root()) }
}

/// Builds with cargo in the release profile.
fn build(arguments: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--release", "--locked"])
        .args(arguments)
        .current_dir(root())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo build {} failed", arguments.join(" ")).into()) }
}

/// Keeps a result under its name: among the results, or where quick runs go.
fn keep(name: &str, quick: bool, result: &serde_json::Value) -> Result<(), Failure> {
    let dir = if quick { target().join("bench/quick") } else { root().join("bench/results") };
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(result)? + "\n")?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
