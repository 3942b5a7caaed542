//! What a figure was measured on.

use super::root;
use serde_json::{Value, json};
use std::process::Command;

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).current_dir(root()).output();
    out.map_or_else(|_| String::new(), |out| String::from_utf8_lossy(&out.stdout).trim().to_string())
}

/// The three load averages now.
pub fn load() -> String {
    file("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The commit, with a mark when tracked files differ from it.
pub fn commit() -> String {
    let dirty = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    let mark = if dirty.is_empty() { "" } else { " (modified)" };
    format!("{}{mark}", said("git", &["rev-parse", "--short=12", "HEAD"]))
}

/// Today, in UTC.
pub fn date() -> String {
    said("date", &["-u", "+%Y-%m-%d"])
}

/// Processor, its widest vector instructions, cores, memory, system.
pub fn hardware() -> Value {
    let processor = file("/proc/cpuinfo");
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1)).unwrap_or_default().to_string()
    };
    let flags = field("flags");
    let widest = ["avx512f", "avx2", "avx"].into_iter().find(|name| flags.split(' ').any(|f| f == *name));
    let memory = file("/proc/meminfo");
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0);
    json!({
        "cpu": field("model name"),
        "cpu_model": field("model\t"),
        "isa": widest.unwrap_or(std::env::consts::ARCH),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "memory_gib": (kib / 1024.0 / 1024.0).round(),
        "system": format!("{} {}", said("uname", &["-sr"]), std::env::consts::ARCH),
    })
}
