//! What an import has settled: how many rows were written, which were refused, and up to which row of the
//! file that is known.
//!
//! A refused row counts, is said and goes to its file once every row before it is settled too. A run that goes on
//! after an interruption starts behind the settled rows, so it counts no row twice.

use super::progress::Meter;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::output::json_text;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use vectron_client::{Importer, RowFailure};

/// Refused rows that are shown when no file takes them.
const SHOWN_FAILURES: u64 = 5;

/// The books of a run.
pub struct Ledger {
    refused: Option<File>,
    /// Lines for the file of refused rows.
    lines: String,
    /// File and kind of row numbers, for people.
    place: String,
    unit: &'static str,
    /// Last row that was read and handed on, or refused here.
    last: Option<u64>,
    /// Every row of the file up to and including this one is settled.
    through: Option<u64>,
    /// Refused here, but after a row that is not settled.
    waiting: Vec<RowFailure>,
    upserted: u64,
    failed: u64,
}

impl Ledger {
    /// Empty books; refused rows are appended to `errors_to`.
    pub fn open(errors_to: Option<&Path>) -> Outcome<Self> {
        let open = |path: &Path| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|error| Failure::error(format!("--errors-to {}: {error}", path.display())))
        };
        Ok(Self {
            refused: errors_to.map(open).transpose()?,
            lines: String::new(),
            place: String::new(),
            unit: "row",
            last: None,
            through: None,
            waiting: Vec::new(),
            upserted: 0,
            failed: 0,
        })
    }

    /// Turns to the next file, of which the rows up to `through` are settled.
    pub fn turn_to(&mut self, file: &Path, unit: &'static str, through: Option<u64>) {
        (self.place, self.unit) = (file.display().to_string(), unit);
        (self.last, self.through) = (through, through);
    }

    /// A row was handed to the importer.
    pub fn handed_on(&mut self, row: u64) {
        self.last = Some(row);
    }

    /// A row was refused before it was sent.
    pub fn refuse(&mut self, row: u64, id: &str, reason: &str) {
        let code = vectron_client::Code::InvalidArgument.as_str().to_string();
        self.waiting.push(RowFailure { row, id: id.into(), code, detail: reason.into() });
        self.last = Some(row);
    }

    /// Books what is settled by now; without an importer every row is settled once it is read.
    pub fn settle(&mut self, importer: Option<&mut Importer>, meter: &Meter) -> Outcome<()> {
        let (through, mut failures) = match importer {
            Some(importer) if importer.idle() => (self.last, importer.take_failures()),
            Some(importer) => (importer.progress().watermark, importer.take_failures()),
            None => (self.last, Vec::new()),
        };
        self.through = self.through.max(through);
        let settled = self.waiting.partition_point(|failure| Some(failure.row) <= self.through);
        failures.extend(self.waiting.drain(..settled));
        failures.sort_by_key(|failure| failure.row);
        failures.iter().try_for_each(|failure| self.report(failure, meter))
    }

    /// The importer of a file is done: its written rows join those of the files before.
    pub fn keep(&mut self, upserted: u64) {
        self.upserted += upserted;
    }

    /// As said at [`Self::turn_to`], by now.
    pub fn through(&self) -> Option<u64> {
        self.through
    }

    /// Rows written, those of a running importer not included.
    pub fn upserted(&self) -> u64 {
        self.upserted
    }

    /// Refused rows that count.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Refused rows, those included that do not count yet.
    pub fn seen_failed(&self) -> u64 {
        self.failed + self.waiting.len() as u64
    }

    /// Counts a refused row. The first is always said aloud; more only when no file takes them.
    fn report(&mut self, failure: &RowFailure, meter: &Meter) -> Outcome<()> {
        let already = self.failed;
        self.failed += 1;
        if already == 0 || (self.refused.is_none() && already < SHOWN_FAILURES) {
            let id = if failure.id.is_empty() { String::new() } else { format!(" '{}'", failure.id) };
            let (place, unit, row) = (&self.place, self.unit, failure.row);
            meter.note(&format!("{place} {unit} {row}{id}: {}", failure.detail));
        } else if self.refused.is_none() && already == SHOWN_FAILURES {
            meter.note("more rows are refused; --errors-to FILE keeps all of them");
        }
        if self.refused.is_some() {
            self.lines += &json_text(&serde_json::json!({
                "file": self.place, "row": failure.row, "id": failure.id,
                "code": failure.code, "detail": failure.detail,
            }))?;
            self.lines.push('\n');
        }
        Ok(())
    }

    /// Writes the refused rows that count to their file. Done right before the notes are written, so that
    /// both tell of the same rows.
    pub fn write(&mut self) -> Outcome<()> {
        let lines = std::mem::take(&mut self.lines);
        match &mut self.refused {
            Some(file) if !lines.is_empty() => file
                .write_all(lines.as_bytes())
                .map_err(|error| Failure::error(format!("--errors-to: {error}"))),
            _ => Ok(()),
        }
    }
}
