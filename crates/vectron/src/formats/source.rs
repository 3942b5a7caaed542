//! Bytes of a user's file: buffered, unpacked when gzipped, counted for progress.

use super::Problem;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest line that is read; longer ones are a file of another kind.
const LINE_LIMIT: u64 = 64 << 20;

/// A file's bytes after unpacking.
pub struct Source {
    reader: Box<dyn BufRead + Send>,
    taken: Arc<AtomicU64>,
    size: Option<u64>,
    packed: bool,
}

/// Counts the bytes that pass.
struct Counting<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Opens a file.
#[allow(clippy::disallowed_methods, reason = "a user's file, outside the database's disk seam")]
pub fn open(path: &Path) -> Result<Source, Problem> {
    let file = File::open(path).map_err(|error| Problem::file(error.to_string()))?;
    let about = file.metadata().map_err(|error| Problem::file(error.to_string()))?;
    if about.is_dir() {
        return Err(Problem::file("is a directory; give the files in it"));
    }
    Source::new(file, about.is_file().then_some(about.len()))
}

impl Source {
    /// Bytes from any reader; `size` is their number before unpacking, if known.
    pub fn new(reader: impl Read + Send + 'static, size: Option<u64>) -> Result<Self, Problem> {
        let taken = Arc::new(AtomicU64::new(0));
        let mut reader = BufReader::with_capacity(1 << 18, Counting { inner: reader, taken: taken.clone() });
        let start = reader.fill_buf().map_err(|error| Problem::file(error.to_string()))?;
        let packed = start.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead + Send> = if packed {
            Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Ok(Self { reader, taken, size, packed })
    }

    /// Bytes in memory.
    pub fn of_bytes(bytes: &'static [u8]) -> Result<Self, Problem> {
        Self::new(Cursor::new(bytes), Some(bytes.len() as u64))
    }

    /// Number of bytes that `read` will give, if known.
    pub fn length(&self) -> Option<u64> {
        if self.packed { None } else { self.size }
    }

    /// Share of the file read so far.
    pub fn share(&self) -> Option<f64> {
        let size = self.size.filter(|size| *size > 0)?;
        Some((self.taken.load(Ordering::Relaxed) as f64 / size as f64).min(1.0))
    }

    /// Fills `buffer`. `Ok(false)` when the file ends before its first byte; ending inside is an error.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, Problem> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => {
                    let (wanted, got) = (buffer.len(), filled);
                    return Err(Problem::file(format!(
                        "ends inside a record: {wanted} bytes expected, {got} left; is the copy complete?"
                    )));
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
        Ok(true)
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: u64) -> Result<(), Problem> {
        let mut limited = (&mut self.reader).take(count);
        let passed = io::copy(&mut limited, &mut io::sink()).map_err(|error| unreadable(&error))?;
        if passed == count { Ok(()) } else { Err(Problem::file("is shorter than it was")) }
    }

    /// The next line without its end; `None` at the end of the file.
    pub fn line(&mut self, line: &mut Vec<u8>) -> Result<bool, Problem> {
        line.clear();
        let mut limited = (&mut self.reader).take(LINE_LIMIT);
        let read = limited.read_until(b'\n', line).map_err(|error| unreadable(&error))?;
        if read as u64 == LINE_LIMIT && line.last() != Some(&b'\n') {
            let limit = LINE_LIMIT >> 20;
            return Err(Problem::file(format!("has a line over {limit} MiB; is it really JSON lines?")));
        }
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        Ok(read > 0)
    }
}

fn unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::file("ends too early; is the copy complete?"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Problem::file(format!("the gzip data is damaged: {error}"))
        }
        _ => Problem::file(format!("cannot be read: {error}")),
    }
}
