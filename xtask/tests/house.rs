//! The rules of the house, as tests: who may import whom, how long a file may grow, what nothing is called,
//! which licences and sources the dependencies have, and that each says why it is here.
#![allow(clippy::disallowed_methods, reason = "reads the source tree")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON")
}

/// Who may import whom. `sim` may import everything; `vectron` everything but `sim`.
const WALLS: [(&str, &[&str]); 11] = [
    ("base", &[]),
    ("index", &[]),
    ("consensus", &["base"]),
    ("wire", &["base"]),
    ("client", &["base", "wire"]),
    ("store", &["base", "index"]),
    ("gateway", &["base", "wire"]),
    ("placement", &["base", "consensus", "wire"]),
    ("worker", &["base", "consensus", "store", "wire"]),
    ("vectron", &["base", "index", "consensus", "store", "wire", "gateway", "placement", "worker", "client"]),
    (
        "sim",
        &[
            "base",
            "index",
            "consensus",
            "store",
            "wire",
            "gateway",
            "placement",
            "worker",
            "client",
            "vectron",
        ],
    ),
];

#[test]
fn walls_stand() {
    let metadata = metadata();
    let walls: BTreeMap<&str, &[&str]> = WALLS.into_iter().collect();
    let short = |name: &str| match name {
        "vectron" => Some("vectron".to_string()),
        other => other.strip_prefix("vectron-").map(str::to_string),
    };
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let Some(room) = short(package["name"].as_str().expect("name")) else { continue };
        let allowed =
            walls.get(room.as_str()).unwrap_or_else(|| panic!("crate '{room}' has no row in the table"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if let Some(other) = short(dependency["name"].as_str().expect("name")) {
                assert!(allowed.contains(&other.as_str()), "{room} must not import {other}");
            }
        }
        seen.insert(room);
    }
    assert_eq!(seen.len(), WALLS.len(), "a row of the table has no crate");
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root().join("crates"), root().join("xtask")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Share of files that may be longer than 400 lines, in percent.
const LONG_FILES_MAX_PERCENT: usize = 10;

#[test]
fn files_stay_small() {
    let files = rust_files();
    let mut long = Vec::new();
    for file in &files {
        let lines = std::fs::read_to_string(file).expect("readable").lines().count();
        assert!(lines <= 1000, "{} has {lines} lines", file.display());
        if lines > 400 {
            long.push((lines, file));
        }
    }
    assert!(
        long.len() * 100 <= files.len() * LONG_FILES_MAX_PERCENT,
        "{} of {} files have over 400 lines: {long:?}",
        long.len(),
        files.len()
    );
}

#[test]
fn nothing_is_called_after_nothing() {
    for file in rust_files() {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let parent = file.parent().and_then(Path::file_name).and_then(|s| s.to_str()).unwrap_or_default();
        for name in [stem, parent] {
            let bad = ["util", "utils", "common", "helper", "helpers", "manager", "misc"].contains(&name);
            assert!(!bad, "{} has a name that says nothing", file.display());
        }
    }
}

#[test]
fn every_room_says_what_it_is() {
    for (room, _) in WALLS {
        let text = std::fs::read_to_string(root().join(format!("crates/{room}/src/lib.rs"))).expect("lib.rs");
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for part in ["What it is.", "How data flows through it.", "What it must never know."] {
            assert!(head.contains(part), "crates/{room}/src/lib.rs does not say: {part}");
        }
    }
}

#[test]
fn every_dependency_says_why() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let section = text.split("[workspace.dependencies]").nth(1).expect("section");
    let section = section.split("\n[").next().expect("section end");
    let mut explained = false;
    for line in section.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.is_empty() {
            explained = false;
        } else {
            assert!(explained, "no reason stands above: {line}");
        }
    }
}

/// Licences that an Apache-2.0 project may link.
const LICENCES: [&str; 14] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "Apache-2.0 WITH LLVM-exception",
    "NCSA",
];

/// The facts of `deny.toml` that can be had without its tool.
#[test]
fn licences_and_sources_are_known() {
    for package in metadata()["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        if package["source"].is_null() {
            continue;
        }
        let source = package["source"].as_str().expect("source");
        assert!(source.starts_with("registry+"), "{name} comes from {source}");
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(acceptable(licence), "{name} is under {licence}");
    }
}

/// Whether an SPDX expression can be satisfied with the licences above: every AND part must offer one.
fn acceptable(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    flat.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}
