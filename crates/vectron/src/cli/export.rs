//! `vectron export`: a collection's points as JSON lines that `import` takes back.

use super::args::Global;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Output, json_text, note, written};
use super::vector;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use vectron_client::{Client, FieldVector, Payload, Point, ScrollRequest};

/// Arguments of `export`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron export docs --to docs.jsonl.gz
  vectron export docs --filter '{\"section\": \"libs\"}' --vector-format list")]
pub struct ExportArgs {
    /// Collection.
    pub collection: String,
    /// File to write, gzipped when it ends in .gz; stdout when absent.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Only points that match.
    #[arg(long, value_parser = vector::filter, value_name = "JSON")]
    pub filter: Option<String>,
    /// Whether to write vectors.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub include_vector: bool,
    /// How to write vectors.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub vector_format: VectorFormat,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum VectorFormat {
    /// Little-endian f32 in base64: exact and short.
    #[default]
    B64,
    /// A list of numbers.
    List,
}

/// Points per page: few enough for large vectors to fit a message.
const PAGE: u32 = 500;

#[derive(serde::Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector_b64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    /// Values by field, of a point with named ones; in whichever format of vectors.
    #[serde(rename = "vector", skip_serializing_if = "Option::is_none")]
    named: Option<&'a BTreeMap<String, FieldVector>>,
    payload: Option<&'a Payload>,
    version: u64,
}

/// Runs it.
pub async fn run(args: ExportArgs, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    // Nothing is written before it is known that the collection is there.
    client.collection(&args.collection).await?;
    let mut sink = Sink::open(args.to.as_deref())?;
    let points = tokio::select! {
        points = pages(&client, &args, &mut sink) => points?,
        signal = tokio::signal::ctrl_c() => {
            let _ = signal;
            return Err(Failure::new(Exit::Interrupted, "interrupted; nothing was kept"));
        }
    };
    sink.close()?;
    if out.for_people() {
        note(format!("{points} points"));
    }
    Ok(Exit::Ok)
}

/// Writes every page; gives the number of points.
async fn pages(client: &Client, args: &ExportArgs, sink: &mut Sink) -> Outcome<u64> {
    let (mut cursor, mut points) = (None, 0_u64);
    loop {
        let mut request =
            ScrollRequest::new(&args.collection).limit(PAGE).include_vector(args.include_vector);
        if let Some(filter) = &args.filter {
            request = request.filter(filter);
        }
        if let Some(cursor) = cursor {
            request = request.cursor(cursor);
        }
        let page = client.scroll(request).await?;
        for point in &page.points {
            let line = line(point, args.vector_format)? + "\n";
            sink.write(line.as_bytes())?;
        }
        points += page.points.len() as u64;
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(points),
        }
    }
}

fn line(point: &Point, format: VectorFormat) -> Outcome<String> {
    let vector = point.vector.as_deref();
    let b64 = vector.filter(|_| format == VectorFormat::B64).map(|vector| {
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        BASE64_STANDARD.encode(bytes)
    });
    json_text(&Line {
        id: &point.id,
        vector_b64: b64,
        vector: vector.filter(|_| format == VectorFormat::List),
        named: Some(&point.vectors).filter(|fields| !fields.is_empty()),
        payload: point.payload.as_ref(),
        version: point.version,
    })
}

/// Where lines go. A file appears under its name only when it is whole.
struct Sink {
    writer: Writer,
    files: Option<Files>,
}

/// A file under its passing and its final name.
struct Files {
    partial: PathBuf,
    path: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = std::fs::remove_file(&self.partial);
    }
}

enum Writer {
    Plain(BufWriter<Box<dyn Write>>),
    Packed(Box<GzEncoder<BufWriter<Box<dyn Write>>>>),
}

impl Sink {
    #[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
    fn open(to: Option<&Path>) -> Outcome<Self> {
        let Some(path) = to else {
            let stdout: Box<dyn Write> = Box::new(io::stdout());
            return Ok(Self { writer: Writer::Plain(BufWriter::new(stdout)), files: None });
        };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let partial = PathBuf::from(partial);
        let file: Box<dyn Write> = Box::new(
            File::create(&partial)
                .map_err(|error| Failure::error(format!("cannot create {}: {error}", partial.display())))?,
        );
        let files = Files { partial, path: path.to_path_buf() };
        let file = BufWriter::new(file);
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let writer = if packed {
            Writer::Packed(Box::new(GzEncoder::new(file, Compression::default())))
        } else {
            Writer::Plain(file)
        };
        Ok(Self { writer, files: Some(files) })
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        match &mut self.writer {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Packed(writer) => writer.write_all(bytes),
        }
        .map_err(written)
    }

    #[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
    fn close(self) -> Outcome<()> {
        match self.writer {
            Writer::Plain(mut writer) => writer.flush(),
            Writer::Packed(writer) => writer.finish().and_then(|mut inner| inner.flush()),
        }
        .map_err(written)?;
        match self.files {
            Some(files) => std::fs::rename(&files.partial, &files.path).map_err(written),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::object::Fields;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's file")]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let names = || -> Vec<_> {
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        let path = folder.path().join("out.jsonl.gz");
        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write(b"{}\n").unwrap();
        assert_eq!(names(), ["out.jsonl.gz.part"]);
        drop(sink);
        assert!(names().is_empty(), "{:?}", names());
        Sink::open(Some(&path)).unwrap().close().unwrap();
        assert_eq!(names(), ["out.jsonl.gz"]);
    }

    #[test]
    fn exported_lines_are_imported_as_they_were() {
        let point = Point {
            id: "ä 1".into(),
            vector: Some(vec![0.1, -2.5, 1e-20]),
            vectors: Default::default(),
            payload: Some(Payload::from_json(r#"{"n":9007199254740993}"#.into()).unwrap()),
            version: 17,
        };
        for format in [VectorFormat::B64, VectorFormat::List] {
            let line = line(&point, format).unwrap();
            let back = Fields::new(None, "vector".into()).point(line.as_bytes()).ok().unwrap();
            assert_eq!(back.id, point.id);
            assert_eq!(Some(back.vector), point.vector, "{format:?}");
            assert_eq!(back.payload, point.payload);
        }
    }
}
