//! The notes of a resumable import: which rows are settled, and under which name the run sends its batches.

use crate::cli::exit::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use vectron_base::random::{Random, SystemRandom};

const VERSION: u32 = 1;

/// What a run remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// Collection.
    pub collection: String,
    /// The life of the collection that the rows went to.
    pub incarnation: u64,
    /// Name of the run, part of every idempotency key.
    pub run: String,
    /// Rows per batch: batches must be cut again as they were, so that they keep their keys.
    pub batch_rows: u32,
    /// The files, so that others are not taken for them.
    pub files: Vec<FileMark>,
    /// The file being read.
    pub file: usize,
    /// Every row of it up to and including this one is settled.
    pub through: Option<u64>,
    /// Rows settled so far.
    pub settled: u64,
    /// Rows refused so far.
    pub failed: u64,
}

/// How a file is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    path: PathBuf,
    bytes: u64,
    modified_ms: u64,
}

impl FileMark {
    /// The mark of a file as it is now.
    pub fn of(path: &Path) -> Outcome<Self> {
        let about = std::fs::metadata(path)
            .map_err(|error| Failure::error(format!("{}: {error}", path.display())))?;
        let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Ok(Self { path, bytes: about.len(), modified_ms })
    }
}

impl State {
    /// A new run.
    pub fn new(collection: &str, incarnation: u64, batch_rows: u32, files: Vec<FileMark>) -> Self {
        let run = format!("import-{incarnation}-{:016x}", SystemRandom.next_u64());
        Self {
            version: VERSION,
            collection: collection.into(),
            incarnation,
            run,
            batch_rows,
            files,
            file: 0,
            through: None,
            settled: 0,
            failed: 0,
        }
    }

    /// Where the notes are kept unless told otherwise.
    pub fn place(first_file: &Path, collection: &str) -> PathBuf {
        let mut name = first_file.as_os_str().to_owned();
        name.push(format!(".{collection}.vectron-resume"));
        PathBuf::from(name)
    }

    /// The notes at `path` if there are any and they fit `fresh`; otherwise `fresh`.
    #[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
    pub fn resume(path: &Path, fresh: State) -> Outcome<State> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(fresh),
            Err(error) => return Err(Failure::error(format!("{}: {error}", path.display()))),
        };
        let refuse = |reason: &str| {
            Err(Failure::error(format!("{}: {reason}", path.display()))
                .fix("remove that file to import from the start; rows with the same ids are replaced"))
        };
        let Ok(state) = serde_json::from_slice::<State>(&bytes) else {
            return refuse("is not a readable resume file");
        };
        if state.version != VERSION {
            return refuse("was written by another version");
        }
        if state.collection != fresh.collection {
            return refuse("belongs to another collection");
        }
        if state.incarnation != fresh.incarnation {
            return refuse("the collection was deleted and created again since");
        }
        if state.files != fresh.files {
            return refuse("belongs to other files, or they have changed since");
        }
        Ok(state)
    }

    /// Writes the notes so that either the old or the new ones are there.
    #[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
    pub fn save(&self, path: &Path) -> Outcome<()> {
        let failed = |error: io::Error| Failure::error(format!("cannot write {}: {error}", path.display()));
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        std::fs::write(&partial, text).map_err(failed)?;
        std::fs::rename(&partial, path).map_err(failed)
    }

    /// Removes the notes of a finished run.
    pub fn remove(path: &Path) -> Outcome<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::error(format!("cannot remove {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    fn notes_come_back_only_for_the_same_import() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a.npy");
        std::fs::write(&data, "x").unwrap();
        let place = State::place(&data, "docs");
        assert!(place.to_string_lossy().ends_with("a.npy.docs.vectron-resume"));
        let fresh = |incarnation| State::new("docs", incarnation, 256, vec![FileMark::of(&data).unwrap()]);
        let mut state = State::resume(&place, fresh(1)).unwrap();
        state.through = Some(511);
        state.save(&place).unwrap();
        assert_eq!(State::resume(&place, fresh(1)).unwrap(), state);
        let again = State::resume(&place, fresh(2)).unwrap_err();
        assert!(again.message.contains("deleted and created again"), "{again:?}");
        std::fs::write(&data, "xy").unwrap();
        assert!(State::resume(&place, fresh(1)).unwrap_err().message.contains("changed since"));
        std::fs::write(&place, "{}").unwrap();
        assert!(State::resume(&place, fresh(1)).unwrap_err().message.contains("not a readable"));
        State::remove(&place).unwrap();
        State::remove(&place).unwrap();
    }
}
