//! The peers: which libraries with which settings, and the Python environment that holds them.

use super::{Failure, root, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a contestant's effort is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Candidates kept by a graph search.
    Ef,
    /// Lists visited of an inverted file.
    Lists,
}

impl Effort {
    /// The values measured, rising.
    pub fn values(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Effort::Ef, false) => &[10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768],
            (Effort::Ef, true) => &[10, 24, 64, 128, 256],
            (Effort::Lists, false) => &[2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192],
            (Effort::Lists, true) => &[4, 16, 48],
        }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Ef => "ef",
            Effort::Lists => "nprobe",
        }
    }
}

/// One library with one build setting.
pub struct Entry {
    /// As in tables.
    pub name: &'static str,
    /// First word to `peer.py`; `ours` for our own index.
    pub library: &'static str,
    /// Further words.
    pub setting: &'static [&'static str],
    /// What is turned to find more.
    pub effort: Effort,
}

/// What every ratio is to.
pub const REFERENCE: &str = "hnswlib M16 efC200";

/// Everyone who runs, in the order of the first round.
pub const ENTRIES: [Entry; 10] = [
    Entry { name: "Vectron", library: "ours", setting: &["default"], effort: Effort::Ef },
    Entry { name: "Vectron efC200", library: "ours", setting: &["efc200"], effort: Effort::Ef },
    Entry { name: REFERENCE, library: "hnswlib", setting: &["16", "200"], effort: Effort::Ef },
    Entry { name: "hnswlib M32 efC400", library: "hnswlib", setting: &["32", "400"], effort: Effort::Ef },
    Entry { name: "faiss HNSW16 efC200", library: "faiss-hnsw", setting: &["16", "200"], effort: Effort::Ef },
    Entry { name: "faiss HNSW32 efC400", library: "faiss-hnsw", setting: &["32", "400"], effort: Effort::Ef },
    Entry {
        name: "faiss IVF1024,PQ192x4fs,RFlat",
        library: "faiss-ivf",
        setting: &["1024", "192"],
        effort: Effort::Lists,
    },
    Entry {
        name: "usearch f32 M16 efC200",
        library: "usearch",
        setting: &["16", "200", "f32"],
        effort: Effort::Ef,
    },
    Entry {
        name: "usearch f32 M32 efC400",
        library: "usearch",
        setting: &["32", "400", "f32"],
        effort: Effort::Ef,
    },
    Entry {
        name: "usearch i8 M16 efC200",
        library: "usearch",
        setting: &["16", "200", "i8"],
        effort: Effort::Ef,
    },
];

/// The environment's Python, made and filled as `requirements.txt` says if that is not done yet. A package that
/// cannot be had is left out; whoever needs it says so later.
pub fn python() -> Result<PathBuf, Failure> {
    let home = target().join("bench/venv");
    let wanted = root().join("bench/peers/requirements.txt");
    let done = home.join("requirements.txt");
    let python = home.join("bin/python");
    if std::fs::read(&done).ok() == Some(std::fs::read(&wanted)?) {
        return Ok(python);
    }
    eprintln!("making a Python environment in {}", home.display());
    if !Command::new("python3").args(["-m", "venv"]).arg(&home).status()?.success() {
        return Err("python3 -m venv failed".into());
    }
    let mut whole = true;
    for package in std::fs::read_to_string(&wanted)?.lines().filter(|line| !line.starts_with('#')) {
        // One by one: a missing compiler must cost only the package that needs one.
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
        if !Command::new(&python).args(install).env_remove("HNSWLIB_NO_NATIVE").status()?.success() {
            eprintln!("cannot have {package}");
            whole = false;
        }
    }
    if whole {
        std::fs::copy(&wanted, &done)?;
    }
    Ok(python)
}

/// The command that starts an entry on the data in `directory`.
pub fn command(entry: &Entry, python: Option<&Path>, directory: &Path) -> Result<Command, Failure> {
    if entry.library == "ours" {
        let mut command = Command::new(target().join("release/examples/bench_index"));
        command.arg("run").args(entry.setting).arg(directory);
        return Ok(command);
    }
    let mut command = Command::new(python.ok_or("there is no Python environment")?);
    command.arg(root().join("bench/peers/peer.py")).arg(entry.library).arg(directory).args(entry.setting);
    Ok(command)
}
