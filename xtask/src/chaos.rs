//! `cargo xtask chaos`: builds what it needs in the dev profile, runs it, and keeps the result when told to.

use crate::bench::{Failure, machine, root, target};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file of the recorded runs.
const RESULTS: &str = "bench/results/chaos.json";

/// Runs the command of these words.
///
/// # Errors
/// When something cannot be built, the cluster does not start, or a property does not hold.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let record = words.iter().any(|word| word == "--record");
    let mut words: Vec<String> = words.iter().filter(|word| *word != "--record").cloned().collect();
    if !words.iter().any(|word| word == "--binary") {
        cargo(&["build", "--locked", "--package", "vectron"])?;
        words.extend(["--binary".into(), target().join("debug/vectron").display().to_string()]);
    }
    cargo(&["build", "--locked", "--package", "vectron-sim", "--bin", "chaos"])?;
    let result = target().join("chaos.json");
    let program = target().join("debug/chaos");
    let status = Command::new(&program).args(&words).arg("--result").arg(&result).status()?;
    if record && result.exists() {
        keep(&result, &words)?;
    }
    if status.success() { Ok(()) } else { Err("a property does not hold, or there was no cluster".into()) }
}

fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = Command::new(cargo).args(arguments).current_dir(root()).status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", arguments.join(" ")).into()) }
}

/// Puts a run among the recorded ones, in the place of one with the same command.
fn keep(result: &Path, words: &[String]) -> Result<(), Failure> {
    let path: PathBuf = root().join(RESULTS);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let old: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut shown = words.to_vec();
    if let Some(at) = shown.iter().position(|word| word == "--binary") {
        shown.drain(at..(at + 2).min(shown.len()));
    }
    let command = format!("cargo xtask chaos {}", shown.join(" "));
    let mut run: Value = serde_json::from_str(&std::fs::read_to_string(result)?)?;
    run["command"] = json!(command);
    run["commit"] = json!(machine::commit());
    run["date"] = json!(machine::date());
    run["load_after"] = json!(machine::load());
    let mut runs = old["runs"].as_array().cloned().unwrap_or_default();
    runs.retain(|old| old["command"] != run["command"]);
    runs.push(run);
    let all = json!({"schema": 1, "kind": "chaos", "hardware": machine::hardware(), "runs": runs});
    std::fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
