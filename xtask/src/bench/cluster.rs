//! `bench cluster`: processes of the release binary on loopback, measured by an example of the program.

use super::options::Options;
use super::{Failure, SCHEMA, build, keep, machine, root, sections, target};
use serde_json::{Value, json};
use std::process::Command;

/// Measures and keeps the result.
pub fn run(options: &Options) -> Result<(), Failure> {
    build(&["-p", "vectron"])?;
    build(&["-p", "vectron", "--example", "bench_cluster"])?;
    std::fs::create_dir_all(target().join("bench"))?;
    let measured = target().join("bench/cluster-measured.json");
    let load_before = machine::load();
    let mut command = Command::new(target().join("release/examples/bench_cluster"));
    command.arg(target().join("release/vectron")).arg(&options.data).arg(&measured);
    command.args(["--only", &options.only.join(",")]);
    if !command.status()?.success() {
        return Err("the measurement failed; what it said is above".into());
    }
    let measured: Value = serde_json::from_slice(&std::fs::read(&measured)?)?;
    let mut result = json!({
        "schema": SCHEMA,
        "kind": "cluster",
        "hardware": machine::hardware(),
        "sections": {},
    });
    let earlier = std::fs::read(root().join("bench/results/cluster.json")).ok();
    let words = options.command("cluster");
    sections::merge(&mut result, earlier.as_deref(), &measured["sections"], &load_before, &words);
    keep("cluster", options.quick, &result)
}
