//! The work of an import: rows from files, checked, pushed, counted, and remembered.

use super::ledger::Ledger;
use super::progress::Meter;
use super::state::{Reading, State};
use super::target::Target;
use super::{ImportArgs, Summary};
use crate::cli::exit::{Failure, Outcome};
use crate::formats::{self, Problem, Row, Rows};
use std::path::{Path, PathBuf};
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock, Tick};
use vectron_base::ids::point_id_problem;
use vectron_client::{Collection, Importer, ImporterOptions, PointInput};

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
    /// As it was when this run began, but for the file being read.
    state: State,
    notes: Option<PathBuf>,
    saved: Tick,
    clock: SystemClock,
    importer: Option<Importer>,
    /// The server refused more than rows: nothing more is sent.
    broken: bool,
    ledger: Ledger,
    meter: Meter,
    rows: u64,
}

impl<'a> Load<'a> {
    /// Prepares a run, or takes up an interrupted one.
    pub fn begin(
        args: &'a ImportArgs,
        collection: Option<Collection>,
        target: Option<Target>,
    ) -> Outcome<Self> {
        let incarnation = collection.as_ref().map_or(0, |c| c.incarnation);
        let fresh = State::new(&args.collection, incarnation, args.batch_rows, Reading::of(args)?);
        let wanted = (args.resume || args.state.is_some()) && !args.dry_run;
        let notes = wanted.then(|| match &args.state {
            Some(path) => path.clone(),
            None => State::place(&args.files[0], &args.collection),
        });
        let state = match &notes {
            Some(path) => State::resume(path, fresh)?,
            None => fresh,
        };
        let distance = args.distance.as_deref();
        Ok(Self {
            args,
            target: target.filter(|_| !args.dry_run),
            rules: Rules::new(&args.collection, collection.as_ref(), distance.unwrap_or_default()),
            state,
            notes,
            saved: Tick::default(),
            clock: SystemClock::new(),
            importer: None,
            broken: false,
            ledger: Ledger::open(args.errors_to.as_deref())?,
            meter: Meter::start(),
            rows: 0,
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
            self.ledger.turn_to(&path, file.unit(), self.state.through);
            self.importer = self.target.as_ref().map(|target| {
                target.importer(&self.args.collection, self.options(), self.meter.retry_watch())
            });
            let result = self.file(&path, &mut *file).await;
            // Even a file that breaks off is settled up to there.
            self.finish_importer().await?;
            result?;
            // With --limit the file may go on; a later --resume does too.
            if self.reached_limit() {
                break;
            }
            self.state.file += 1;
            self.state.through = None;
            self.ledger.turn_to(&path, file.unit(), None);
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
                Ok(row) => self.row(row).await?,
                Err(Problem::Row { number, id, reason }) => {
                    self.rows += 1;
                    self.ledger.refuse(number, id.as_deref().unwrap_or_default(), &reason);
                }
                Err(problem) => return Err(Failure::error(format!("{}: {problem}", path.display()))),
            }
            if self.rows.is_multiple_of(YIELD_EVERY) {
                tokio::task::yield_now().await;
                self.settle()?;
                self.save(false)?;
            }
            let share =
                file.share().map(|share| (self.state.file as f64 + share) / self.args.files.len() as f64);
            self.meter.show(self.rows, share, self.ledger.seen_failed());
        }
        Ok(())
    }

    async fn row(&mut self, row: Row) -> Outcome<()> {
        self.rows += 1;
        if let Some(reason) = self.rules.problem(&row.point) {
            self.ledger.refuse(row.number, &row.point.id, &reason);
            return Ok(());
        }
        // A dry run has no importer.
        if let Some(importer) = &mut self.importer {
            let added = importer.add(row.number, row.point).await;
            self.broken |= added.is_err();
            added?;
        }
        self.ledger.handed_on(row.number);
        Ok(())
    }

    /// Waits for the batches in flight and books them. After an error of the server nobody waits: what is in
    /// flight is in doubt, and goes out again under its key when the import is taken up again.
    async fn finish_importer(&mut self) -> Outcome<()> {
        if let Some(importer) = self.importer.as_mut().filter(|_| !self.broken) {
            let finished = importer.finish().await;
            self.broken |= finished.is_err();
            finished?;
        }
        if self.broken { Ok(()) } else { self.book() }
    }

    fn settle(&mut self) -> Outcome<()> {
        self.ledger.settle(self.importer.as_mut(), &self.meter)
    }

    /// Ends the current file's importer and moves its counts into the run's.
    fn book(&mut self) -> Outcome<()> {
        self.settle()?;
        if let Some(importer) = self.importer.take() {
            self.ledger.keep(importer.progress().upserted);
        }
        self.state.through = self.ledger.through().max(self.state.through);
        Ok(())
    }

    /// Writes refused rows and notes, at most every so often unless `now`.
    fn save(&mut self, now: bool) -> Outcome<()> {
        let time = self.clock.now();
        if !now && time.since(self.saved) < SAVE_EVERY {
            return Ok(());
        }
        self.saved = time;
        self.ledger.write()?;
        let Some(path) = &self.notes else { return Ok(()) };
        let flying = self.importer.as_ref().map_or(0, |importer| importer.progress().upserted);
        let mut state = self.state.clone();
        if self.importer.is_some() {
            state.through = self.ledger.through();
        }
        state.settled += self.ledger.upserted() + flying + self.ledger.failed();
        state.failed += self.ledger.failed();
        state.save(path)
    }

    /// Ends the run: counts, and notes that stay only if there is something to go on with.
    pub fn close(mut self, complete: bool) -> Outcome<Summary> {
        self.meter.end();
        self.book()?;
        if complete && self.state.file >= self.args.files.len() {
            self.ledger.write()?;
            if let Some(path) = &self.notes {
                State::remove(path)?;
            }
        } else {
            self.save(true)?;
        }
        let seconds = self.meter.seconds();
        Ok(Summary {
            rows: self.rows,
            upserted: self.ledger.upserted(),
            failed: self.state.failed + self.ledger.failed(),
            resumed: self.state.settled,
            seconds,
            rows_per_second: self.rows as f64 / seconds.max(0.001),
        })
    }
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
