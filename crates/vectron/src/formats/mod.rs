//! Readers of the files that people import: JSON lines, NumPy arrays, fvecs and Parquet.
//!
//! What it is. Every reader turns a file into points, one at a time and in bounded memory. A row that is not a
//! point is reported with its number and the reading goes on; a file that cannot be read further ends it.
//!
//! What it must never know. Servers, batches and collections: rows out, nothing else.

pub mod fvecs;
pub mod jsonl;
pub mod npy;
pub mod object;
pub mod parquet;
pub mod source;

#[cfg(test)]
mod garbage_tests;

use std::fmt;
use std::path::{Path, PathBuf};
use vectron_client::PointInput;

/// A point and where it stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line number from 1 in line formats, row number from 0 in array formats.
    pub number: u64,
    /// The point.
    pub point: PointInput,
}

/// What stands in the way of a row, or of the rest of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// This row is not a point. Reading can go on.
    Row {
        /// As in [`Row::number`].
        number: u64,
        /// Its id, if that much could be read.
        id: Option<String>,
        /// What was expected and what was found.
        reason: String,
    },
    /// Nothing more can be read.
    File(String),
}

impl Problem {
    /// A problem of the whole file.
    pub fn file(reason: impl Into<String>) -> Self {
        Problem::File(reason.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Row { number, id: Some(id), reason } => write!(f, "row {number} '{id}': {reason}"),
            Problem::Row { number, id: None, reason } => write!(f, "row {number}: {reason}"),
            Problem::File(reason) => f.write_str(reason),
        }
    }
}

/// A file being read.
pub trait Rows {
    /// The next row; `None` at the end. After [`Problem::File`] there is nothing more.
    fn next_row(&mut self) -> Option<Result<Row, Problem>>;

    /// Passes over every row up to and including `number`.
    fn skip_through(&mut self, number: u64) -> Result<(), Problem>;

    /// The share of the file that has been read, 0 to 1, if it can be told.
    fn share(&self) -> Option<f64>;

    /// What a row number counts: `line` (from 1) or `row` (from 0).
    fn unit(&self) -> &'static str {
        "row"
    }
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// By the file's name.
    Auto,
    /// One JSON object per line, optionally gzipped.
    Jsonl,
    /// A two-dimensional NumPy array of f16, f32 or f64.
    Npy,
    /// Records of a length and as many f32.
    Fvecs,
    /// Parquet with a list column of floats.
    Parquet,
}

impl Format {
    /// The format that a file's name tells.
    pub fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "npy" => Some(Format::Npy),
            "fvecs" => Some(Format::Fvecs),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Format of the files.
    pub format: Format,
    /// JSON lines beside an array file: line i is the payload of row i.
    pub payload: Option<PathBuf>,
    /// Field that holds the id.
    pub id_field: Option<String>,
    /// Field that holds the vector.
    pub vector_field: String,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: Format::Auto, payload: None, id_field: None, vector_field: "vector".into() }
    }
}

/// Opens a file for reading rows.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Box<dyn Rows>, Problem> {
    let format = match options.format {
        Format::Auto => Format::of(path).ok_or_else(|| {
            let known = "expected .jsonl, .npy, .fvecs or .parquet (each may end in .gz except .parquet)";
            Problem::file(format!("the name does not tell the format: {known}; or give --format"))
        })?,
        named => named,
    };
    let fields = object::Fields::new(options.id_field.clone(), options.vector_field.clone());
    if matches!(format, Format::Jsonl | Format::Parquet) && options.payload.is_some() {
        return Err(Problem::file("--payload belongs to .npy and .fvecs files; this format carries its own"));
    }
    let beside = || match &options.payload {
        Some(payload) => object::Payloads::open(payload, options.id_field.clone()).map(Some),
        None if options.id_field.is_some() => {
            Err(Problem::file("--id-field needs --payload here: the array itself has no fields"))
        }
        None => Ok(None),
    };
    Ok(match format {
        Format::Jsonl | Format::Auto => Box::new(jsonl::Lines::new(source::open(path)?, fields)),
        Format::Npy => Box::new(npy::Array::new(source::open(path)?, beside()?)?),
        Format::Fvecs => Box::new(fvecs::Records::new(source::open(path)?, beside()?)),
        Format::Parquet => Box::new(parquet::Table::open(path, fields)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format) in [
            ("a.jsonl", Some(Format::Jsonl)),
            ("dir.x/A.JSONL.GZ", Some(Format::Jsonl)),
            ("v.f16.npy", Some(Format::Npy)),
            ("v.fvecs", Some(Format::Fvecs)),
            ("t.parquet", Some(Format::Parquet)),
            ("t.csv", None),
            ("noext", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_a_named_error() {
        let problem = open(Path::new("/nonexistent/x.npy"), &ReadOptions::default()).err().unwrap();
        assert!(matches!(&problem, Problem::File(reason) if reason.contains("No such file")), "{problem}");
    }
}
