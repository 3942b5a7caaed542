//! The notes of a resumable import: which rows are settled, and under which name the run sends its batches.

use super::ImportArgs;
use crate::cli::exit::{Failure, Outcome};
use crate::formats::Format;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use vectron_base::random::{Random, SystemRandom};

const VERSION: u32 = 2;

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
    /// The files and how they are read, so that other data are not taken for them.
    pub reading: Reading,
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
    /// Checksum of its first and last bytes: a copy may bring its time along.
    ends: u32,
}

/// Bytes at either end of a file that its mark covers.
const END_BYTES: u64 = 64 << 10;

/// What an import reads, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    files: Vec<FileMark>,
    format: Format,
    payload: Option<FileMark>,
    id_field: Option<String>,
    vector_field: String,
}

impl Reading {
    /// What these arguments read, as it is now.
    pub fn of(args: &ImportArgs) -> Outcome<Self> {
        Ok(Self {
            files: args.files.iter().map(|file| FileMark::of(file)).collect::<Outcome<_>>()?,
            format: args.format,
            payload: args.payload.as_deref().map(FileMark::of).transpose()?,
            id_field: args.id_field.clone(),
            vector_field: args.vector_field.clone(),
        })
    }

    /// The first thing that is not as it was, named.
    fn difference(&self, now: &Reading) -> Option<String> {
        let field = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
        if self.files.len() != now.files.len() {
            return Some(format!("it reads {} files, now there are {}", self.files.len(), now.files.len()));
        }
        for (then, now) in self.files.iter().zip(&now.files) {
            if then != now {
                return Some(then.difference(now));
            }
        }
        match (&self.payload, &now.payload) {
            (Some(then), Some(now)) if then != now => {
                return Some(format!("--payload: {}", then.difference(now)));
            }
            (None, Some(_)) => return Some("it had no --payload, now there is one".into()),
            (Some(_), None) => return Some("it had a --payload, now there is none".into()),
            _ => {}
        }
        if self.id_field != now.id_field {
            let (then, now) = (field(&self.id_field), field(&now.id_field));
            return Some(format!("--id-field was {then}, now it is {now}"));
        }
        if self.vector_field != now.vector_field {
            let (then, now) = (&self.vector_field, &now.vector_field);
            return Some(format!("--vector-field was {then}, now it is {now}"));
        }
        let (then, now) = (self.format, now.format);
        (then != now).then(|| format!("--format was {then:?}, now it is {now:?}").to_lowercase())
    }
}

impl FileMark {
    /// What is other about `now`.
    fn difference(&self, now: &FileMark) -> String {
        if self.path != now.path {
            return format!("it belongs to {}, not to {}", self.path.display(), now.path.display());
        }
        let path = self.path.display();
        if self.bytes != now.bytes {
            return format!("{path} had {} bytes and has {} now", self.bytes, now.bytes);
        }
        if self.modified_ms != now.modified_ms {
            return format!("{path} was changed since");
        }
        format!("{path} has other content now")
    }

    /// The mark of a file as it is now.
    pub fn of(path: &Path) -> Outcome<Self> {
        let about = std::fs::metadata(path)
            .map_err(|error| Failure::error(format!("{}: {error}", path.display())))?;
        let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified_ms = modified.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let ends = if about.is_file() {
            ends(&path).map_err(|error| Failure::error(format!("{}: {error}", path.display())))?
        } else {
            0
        };
        Ok(Self { path, bytes: about.len(), modified_ms, ends })
    }
}

/// Checksum of a file's first and last bytes.
#[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
fn ends(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut bytes = Vec::new();
    for start in [0, length.saturating_sub(END_BYTES)] {
        file.seek(SeekFrom::Start(start))?;
        (&mut file).take(END_BYTES).read_to_end(&mut bytes)?;
    }
    let mut sum = flate2::Crc::new();
    sum.update(&bytes);
    Ok(sum.sum())
}

impl State {
    /// A new run.
    pub fn new(collection: &str, incarnation: u64, batch_rows: u32, reading: Reading) -> Self {
        let run = format!("import-{incarnation}-{:016x}", SystemRandom.next_u64());
        Self {
            version: VERSION,
            collection: collection.into(),
            incarnation,
            run,
            batch_rows,
            reading,
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
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        match serde_json::from_slice(&bytes) {
            Ok(Version { version }) if version != VERSION => return refuse("was written by another version"),
            _ => {}
        }
        let Ok(state) = serde_json::from_slice::<State>(&bytes) else {
            return refuse("is not a readable resume file");
        };
        if state.collection != fresh.collection {
            return refuse("belongs to another collection");
        }
        if state.incarnation != fresh.incarnation {
            return refuse("the collection was deleted and created again since");
        }
        if let Some(difference) = state.reading.difference(&fresh.reading) {
            return refuse(&format!("belongs to an import of other data: {difference}"));
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
    use clap::Parser;

    fn args(words: &[&str]) -> ImportArgs {
        let words = ["vectron", "import", "docs"].iter().chain(words);
        match crate::cli::args::Cli::parse_from(words).command {
            crate::cli::args::Command::Import(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    fn notes_come_back_only_for_the_same_import() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let data = file("a.npy", "x");
        let (payload, other) = (file("p.jsonl", "{}"), file("q.jsonl", "{}"));
        let place = State::place(Path::new(&data), "docs");
        assert!(place.to_string_lossy().ends_with("a.npy.docs.vectron-resume"));
        let usual = [&data, "--payload", &payload, "--id-field", "name"];
        let resume = |incarnation, words: &[&str]| {
            State::resume(&place, State::new("docs", incarnation, 256, Reading::of(&args(words)).unwrap()))
        };
        let mut state = resume(1, &usual).unwrap();
        state.through = Some(511);
        state.save(&place).unwrap();
        assert_eq!(resume(1, &usual).unwrap(), state);
        let refused = |incarnation, words: &[&str], reason: &str| {
            let said = resume(incarnation, words).unwrap_err().message;
            assert!(said.contains(reason), "{reason}: {said}");
        };
        refused(2, &usual, "deleted and created again");
        refused(1, &[&data, "--payload", &payload], "--id-field was name, now it is none");
        refused(1, &[&data, "--id-field", "name"], "it had a --payload");
        refused(1, &[&data, "--payload", &other, "--id-field", "name"], "q.jsonl");
        refused(
            1,
            &[&usual[..], &["--vector-field", "v"]].concat(),
            "--vector-field was vector, now it is v",
        );
        refused(1, &[&usual[..], &["--format", "npy"]].concat(), "--format was auto, now it is npy");
        refused(1, &[&[&other[..]], &usual[..]].concat(), "reads 1 files, now there are 2");
        // Another file in the place of the payload, of the same size and time.
        let time = std::fs::metadata(&payload).unwrap().modified().unwrap();
        std::fs::write(&payload, "[]").unwrap();
        File::options().write(true).open(&payload).unwrap().set_modified(time).unwrap();
        refused(1, &usual, "--payload: ");
        refused(1, &usual, "has other content now");
        std::fs::write(&data, "xy").unwrap();
        refused(1, &usual, "had 1 bytes and has 2 now");
        std::fs::write(&place, "{}").unwrap();
        refused(1, &usual, "not a readable");
        std::fs::write(&place, r#"{"version":1,"files":[]}"#).unwrap();
        refused(1, &usual, "another version");
        State::remove(&place).unwrap();
        State::remove(&place).unwrap();
    }
}
