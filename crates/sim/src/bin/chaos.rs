//! Real processes under faults, checked; see `vectron_sim::chaos`. `cargo xtask chaos` builds and runs it.
//!
//! ```text
//! chaos --binary PATH [--minutes N] [--seed S] [--nodes 3|5] [--dir DIR] [--result PATH] [--quiet] [--loopback]
//! ```
//!
//! Where it may, it makes network namespaces for the nodes and runs itself again where it reaches them, with `--links
//! NAME`. Where it may not, and with `--loopback`, all processes are on loopback and no link is cut.
#![allow(clippy::disallowed_methods, reason = "a development tool has no seams")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use vectron_sim::chaos::{Ground, Options, run};

const USAGE: &str = "usage: chaos --binary PATH [--minutes N] [--seed S] [--nodes 3|5] [--dir DIR] \
                     [--result PATH] [--quiet] [--loopback]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1).cloned()
    };
    let Some(binary) = named("--binary").map(PathBuf::from) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let numbers: Option<(f64, u64, u64)> = (|| {
        let minutes = named("--minutes").map_or(Ok(3.0), |text| text.parse()).ok()?;
        let seed = named("--seed").map_or(Ok(1), |text| text.parse()).ok()?;
        Some((minutes, seed, named("--nodes").map_or(Ok(3), |text| text.parse()).ok()?))
    })();
    let Some((minutes, seed, nodes @ (3 | 5))) =
        numbers.filter(|(minutes, ..)| (0.0..=10_000.0).contains(minutes))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let links = match named("--links") {
        Some(name) => Ok(name),
        None if words.iter().any(|word| word == "--loopback") => Err("told to stay on loopback".to_string()),
        None => match Ground::lay(nodes) {
            Ok(ground) => return again(&ground, &words),
            Err(error) => Err(error.to_string()),
        },
    };
    let own = named("--dir").is_none();
    let dir = named("--dir").map_or_else(
        || std::env::temp_dir().join(format!("vectron-chaos-{}", std::process::id())),
        PathBuf::from,
    );
    let options = Options {
        length: Duration::from_secs_f64(minutes * 60.0),
        seed,
        nodes,
        binary,
        dir: dir.clone(),
        quiet: words.iter().any(|word| word == "--quiet"),
        links,
    };
    let outcome = match run(&options) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("failed: {error}; log lines are in {}", dir.display());
            return ExitCode::FAILURE;
        }
    };
    let text = serde_json::to_string_pretty(&outcome.summary).unwrap_or_default() + "\n";
    print!("{text}");
    let kept = named("--result").map(|path| std::fs::write(Path::new(&path), &text));
    if let Some(Err(error)) = kept {
        eprintln!("the result is not kept: {error}");
        return ExitCode::FAILURE;
    }
    if outcome.violations.is_empty() {
        if own {
            let _ = std::fs::remove_dir_all(&dir);
        }
        return ExitCode::SUCCESS;
    }
    eprintln!("{} violations; data and log lines are in {}", outcome.violations.len(), dir.display());
    ExitCode::FAILURE
}

/// Runs this program where the nodes can be reached, and ends as it does.
fn again(ground: &Ground, words: &[String]) -> ExitCode {
    let ended = std::env::current_exe().and_then(|program| ground.run(&program, words));
    match ended {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}
