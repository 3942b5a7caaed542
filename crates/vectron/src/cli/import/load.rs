//! The work of an import: rows from files, checked, pushed, counted, and remembered.

use super::progress::Meter;
use super::state::{FileMark, State};
use super::target::Target;
use super::{ImportArgs, Summary};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::output::json_text;
use crate::formats::{self, Problem, Row, Rows};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock, Tick};
use vectron_base::ids::point_id_problem;
use vectron_client::{Collection, Importer, ImporterOptions, PointInput, RowFailure};

/// Refused rows that are shown when no file takes them.
const SHOWN_FAILURES: u64 = 5;
/// How often the notes of a resumable import are written.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often the loop lets others run, in rows.
const YIELD_EVERY: u64 = 256;

/// What every row is held to.
#[derive(Clone, Debug)]
pub struct Rules {
    collection: String,
    dimension: Option<usize>,
    cosine: bool,
}

impl Rules {
    /// The rules of a collection; without one, the first row sets the dimension.
    pub fn new(name: &str, collection: Option<&Collection>, distance: &str) -> Self {
        Self {
            collection: name.into(),
            dimension: collection.map(|c| c.dimension as usize),
            cosine: collection.map_or(distance, |c| c.distance.as_str()) == "cosine",
        }
    }

    /// Why a point would be refused.
    pub fn problem(&mut self, point: &PointInput) -> Option<String> {
        if let Some(problem) = point_id_problem(&point.id) {
            return Some(format!("id {problem}"));
        }
        let (got, name) = (point.vector.len(), &self.collection);
        if got == 0 {
            return Some("vector is empty".into());
        }
        let expected = *self.dimension.get_or_insert(got);
        if got != expected {
            let numbers = if got == 1 { "number" } else { "numbers" };
            return Some(format!("vector has {got} {numbers}, collection '{name}' expects {expected}"));
        }
        if let Some(at) = point.vector.iter().position(|number| !number.is_finite()) {
            return Some(format!("vector[{at}] is {}, expected a finite 32-bit float", point.vector[at]));
        }
        let zero = self.cosine && point.vector.iter().all(|number| *number == 0.0);
        zero.then(|| "vector is zero, which has no direction under cosine".into())
    }
}

/// An import on its way.
pub struct Load<'a> {
    args: &'a ImportArgs,
    target: Option<Target>,
    rules: Rules,
    state: State,
    notes: Option<PathBuf>,
    saved: Tick,
    clock: SystemClock,
    importer: Option<Importer>,
    refused: Option<File>,
    meter: Meter,
    resumed: u64,
    rows: u64,
    upserted: u64,
    bad: u64,
}

impl<'a> Load<'a> {
    /// Prepares a run, or takes up an interrupted one.
    pub fn begin(
        args: &'a ImportArgs,
        collection: Option<Collection>,
        target: Option<Target>,
    ) -> Outcome<Self> {
        let marks = args.files.iter().map(|file| FileMark::of(file)).collect::<Outcome<Vec<_>>>()?;
        let incarnation = collection.as_ref().map_or(0, |c| c.incarnation);
        let fresh = State::new(&args.collection, incarnation, args.batch_rows, marks);
        let wanted = (args.resume || args.state.is_some()) && !args.dry_run;
        let notes = wanted.then(|| match &args.state {
            Some(path) => path.clone(),
            None => State::place(&args.files[0], &args.collection),
        });
        let state = match &notes {
            Some(path) => State::resume(path, fresh)?,
            None => fresh,
        };
        let refused = args.errors_to.as_deref().map(open_refused).transpose()?;
        Ok(Self {
            args,
            target: target.filter(|_| !args.dry_run),
            rules: Rules::new(&args.collection, collection.as_ref(), &args.distance),
            resumed: state.settled,
            state,
            notes,
            saved: Tick::default(),
            clock: SystemClock::new(),
            importer: None,
            refused,
            meter: Meter::start(),
            rows: 0,
            upserted: 0,
            bad: 0,
        })
    }

    /// Reads and sends every row. May be dropped in the middle; [`Self::close`] books what was settled.
    pub async fn run(&mut self) -> Outcome<()> {
        for index in self.state.file..self.args.files.len() {
            let path = self.args.files[index].clone();
            let in_file = |problem: Problem| Failure::error(format!("{}: {problem}", path.display()));
            let mut file = formats::open(&path, &self.args.read_options()).map_err(in_file)?;
            if let Some(through) = self.state.through {
                file.skip_through(through).map_err(in_file)?;
                self.meter.note(&format!("{}: going on after {} {through}", path.display(), file.unit()));
            }
            self.importer =
                self.target.as_ref().map(|target| target.importer(&self.args.collection, self.options()));
            let result = self.file(&path, &mut *file).await;
            // Even a file that breaks off is settled up to there.
            self.finish_importer(&path, file.unit()).await?;
            result?;
            // With --limit the file may go on; a later --resume does too.
            if self.reached_limit() {
                break;
            }
            self.state.file += 1;
            self.state.through = None;
        }
        Ok(())
    }

    fn options(&self) -> ImporterOptions {
        ImporterOptions {
            batch_rows: self.state.batch_rows as usize,
            concurrency: self.args.concurrency as usize,
            run: Some(format!("{}.{}", self.state.run, self.state.file)),
            ..ImporterOptions::default()
        }
    }

    fn reached_limit(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.rows >= limit)
    }

    async fn file(&mut self, path: &Path, file: &mut dyn Rows) -> Outcome<()> {
        while !self.reached_limit() {
            let Some(row) = file.next_row() else { break };
            match row {
                Ok(row) => self.row(path, file.unit(), row).await?,
                Err(Problem::Row { number, id, reason }) => {
                    self.rows += 1;
                    self.refuse(path, file.unit(), number, id.as_deref().unwrap_or_default(), &reason)?;
                }
                Err(problem) => return Err(Failure::error(format!("{}: {problem}", path.display()))),
            }
            if self.rows.is_multiple_of(YIELD_EVERY) {
                tokio::task::yield_now().await;
                self.collect_failures(path, file.unit())?;
                self.save(false)?;
            }
            let share =
                file.share().map(|share| (self.state.file as f64 + share) / self.args.files.len() as f64);
            self.meter.show(self.rows, share, self.failed());
        }
        Ok(())
    }

    async fn row(&mut self, path: &Path, unit: &str, row: Row) -> Outcome<()> {
        self.rows += 1;
        if let Some(reason) = self.rules.problem(&row.point) {
            return self.refuse(path, unit, row.number, &row.point.id, &reason);
        }
        // A dry run has no importer.
        match &mut self.importer {
            Some(importer) => Ok(importer.add(row.number, row.point).await?),
            None => Ok(()),
        }
    }

    /// Waits for the batches in flight and books them.
    async fn finish_importer(&mut self, path: &Path, unit: &str) -> Outcome<()> {
        if let Some(importer) = &mut self.importer {
            importer.finish().await?;
        }
        self.collect_failures(path, unit)?;
        self.book();
        self.importer = None;
        Ok(())
    }

    /// Moves the importer's counts into the run's.
    fn book(&mut self) {
        if let Some(importer) = &self.importer {
            let progress = importer.progress();
            self.upserted += progress.upserted;
            self.bad += progress.failed;
            self.state.through = progress.watermark.or(self.state.through);
        }
    }

    fn failed(&self) -> u64 {
        self.bad + self.importer.as_ref().map_or(0, |importer| importer.progress().failed)
    }

    fn collect_failures(&mut self, path: &Path, unit: &str) -> Outcome<()> {
        let failures = self.importer.as_mut().map(Importer::take_failures).unwrap_or_default();
        let already = self.failed() - failures.len() as u64;
        for (position, failure) in failures.into_iter().enumerate() {
            self.report(path, unit, failure, already + position as u64)?;
        }
        Ok(())
    }

    fn refuse(&mut self, path: &Path, unit: &str, row: u64, id: &str, reason: &str) -> Outcome<()> {
        let already = self.failed();
        self.bad += 1;
        let code = vectron_client::Code::InvalidArgument.as_str().to_string();
        self.report(path, unit, RowFailure { row, id: id.into(), code, detail: reason.into() }, already)
    }

    /// Writes a refused row to its file. The first is always said aloud; more only when no file takes them.
    fn report(&mut self, path: &Path, unit: &str, failure: RowFailure, already: u64) -> Outcome<()> {
        if already == 0 || (self.refused.is_none() && already < SHOWN_FAILURES) {
            let id = if failure.id.is_empty() { String::new() } else { format!(" '{}'", failure.id) };
            let (name, row) = (path.display(), failure.row);
            self.meter.note(&format!("{name} {unit} {row}{id}: {}", failure.detail));
        } else if self.refused.is_none() && already == SHOWN_FAILURES {
            self.meter.note("more rows are refused; --errors-to FILE keeps all of them");
        }
        let Some(file) = &mut self.refused else { return Ok(()) };
        let line = json_text(&serde_json::json!({
            "file": path.display().to_string(), "row": failure.row, "id": failure.id,
            "code": failure.code, "detail": failure.detail,
        }))?;
        writeln!(file, "{line}").map_err(|error| Failure::error(format!("--errors-to: {error}")))
    }

    /// Writes the notes, at most every so often unless `now`.
    fn save(&mut self, now: bool) -> Outcome<()> {
        let Some(path) = &self.notes else { return Ok(()) };
        let time = self.clock.now();
        if !now && time.since(self.saved) < SAVE_EVERY {
            return Ok(());
        }
        self.saved = time;
        let mut state = self.state.clone();
        let progress = self.importer.as_ref().map(Importer::progress).unwrap_or_default();
        state.through = progress.watermark.or(state.through);
        state.settled = self.resumed + self.upserted + progress.upserted + self.bad + progress.failed;
        state.failed += self.bad + progress.failed;
        state.save(path)
    }

    /// Ends the run: counts, and notes that stay only if there is something to go on with.
    pub fn close(mut self, complete: bool) -> Outcome<Summary> {
        self.meter.end();
        if complete && self.state.file >= self.args.files.len() {
            if let Some(path) = &self.notes {
                State::remove(path)?;
            }
        } else {
            self.save(true)?;
        }
        self.book();
        let seconds = self.meter.seconds();
        Ok(Summary {
            rows: self.rows,
            upserted: self.upserted,
            failed: self.state.failed + self.bad,
            resumed: self.resumed,
            seconds,
            rows_per_second: self.rows as f64 / seconds.max(0.001),
        })
    }
}

fn open_refused(path: &Path) -> Outcome<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| Failure::error(format!("--errors-to {}: {error}", path.display())))
}

/// The dimension that the first good row tells.
pub fn first_dimension(args: &ImportArgs) -> Outcome<u32> {
    for path in &args.files {
        let in_file = |problem: Problem| Failure::error(format!("{}: {problem}", path.display()));
        let mut rows = formats::open(path, &args.read_options()).map_err(in_file)?;
        while let Some(row) = rows.next_row() {
            match row {
                Ok(row) if !row.point.vector.is_empty() => {
                    return u32::try_from(row.point.vector.len())
                        .map_err(|_| Failure::error("a vector is too long"));
                }
                Ok(_) | Err(Problem::Row { .. }) => {}
                Err(problem) => return Err(in_file(problem)),
            }
        }
    }
    Err(Failure::error("no file has a row with a vector, so the collection's dimension is unknown"))
}
