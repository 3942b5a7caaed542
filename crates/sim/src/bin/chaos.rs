//! Real processes under faults, checked; see `vectron_sim::chaos`. `cargo xtask chaos` builds and runs it.
//!
//! ```text
//! chaos --binary PATH [--minutes N] [--seed S] [--nodes 3|5] [--dir DIR] [--result PATH] [--quiet]
//! ```
#![allow(clippy::disallowed_methods, reason = "a development tool has no seams")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use vectron_sim::chaos::{Options, run};

const USAGE: &str = "usage: chaos --binary PATH [--minutes N] [--seed S] [--nodes 3|5] [--dir DIR] \
                     [--result PATH] [--quiet]";

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
