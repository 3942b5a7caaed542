//! Loading many points: cut into batches by count and bytes, several in flight, retried safely, with every
//! refused point reported by row.
//!
//! Points are pushed with their row numbers. A row that repeats an id which is still on its way waits for
//! it, so the last row wins as if the rows were sent one by one.

use crate::answers::UpsertAnswer;
use crate::connection::{Client, idempotency_key};
use crate::error::Error;
use crate::points::{PointInput, UpsertRequest};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vectron_base::Code;

/// How to cut and send.
#[derive(Clone, Debug)]
pub struct ImporterOptions {
    /// Points per batch at most.
    pub batch_rows: usize,
    /// Bytes per batch at most, about.
    pub batch_bytes: usize,
    /// Batches in flight at most.
    pub concurrency: usize,
    /// Names this run. Batches get keys `RUN.FIRST-LAST`, so that a run that is taken up again under the same
    /// name applies no batch twice. Made up when absent.
    pub run: Option<String>,
}

impl Default for ImporterOptions {
    fn default() -> Self {
        Self { batch_rows: 256, batch_bytes: 4 << 20, concurrency: 4, run: None }
    }
}

/// Some consecutive rows on their way.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Collection.
    pub collection: String,
    /// Points; no id twice.
    pub points: Vec<PointInput>,
    /// Idempotency key, the same for every attempt.
    pub key: String,
}

/// Where batches go: a [`Client`], or any other transport that retries on its own.
pub trait Sink: Send + Sync {
    /// Sends one batch until it succeeds or fails for good. Points that may be tried again when patience is
    /// at its end are left in the answer; they end the run.
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>>;
}

impl Sink for Client {
    fn send(&self, batch: Arc<Batch>) -> BoxFuture<'static, Result<UpsertAnswer, Error>> {
        let client = self.clone();
        async move {
            let request = UpsertRequest {
                collection: batch.collection.clone(),
                points: batch.points.clone(),
                idempotency_key: Some(batch.key.clone()),
                timeout_ms: None,
            };
            client.upsert_with(&request).await
        }
        .boxed()
    }
}

/// A row that was not written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RowFailure {
    /// Row number as pushed.
    pub row: u64,
    /// Id of the point.
    pub id: String,
    /// Code of the contract.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// How far a run is. Every number is about the rows up to the watermark, so that a run which is taken up again
/// after it counts no row twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that are decided: written or refused.
    pub decided: u64,
    /// Rows written.
    pub upserted: u64,
    /// Rows refused.
    pub failed: u64,
    /// Every row up to and including this one is decided. Always the last row of a batch: a run that goes on
    /// after it cuts the same batches and gives them the same keys.
    pub watermark: Option<u64>,
}

/// Rows with their numbers, under one key: a batch, or what is left of it.
struct Slice {
    /// First row of the batch as it was cut.
    origin: u64,
    rows: Vec<u64>,
    batch: Arc<Batch>,
}

/// A batch that was cut, until every batch before it is decided too.
struct Cut {
    /// Its last row.
    last: u64,
    /// Its parts that are on their way.
    parts: usize,
    upserted: u64,
    failures: Vec<RowFailure>,
}

type Sent = (Slice, Result<UpsertAnswer, Error>);

/// Pushes points into a collection.
pub struct Importer {
    sink: Arc<dyn Sink>,
    collection: String,
    options: ImporterOptions,
    run: String,
    rows: Vec<u64>,
    points: Vec<PointInput>,
    ids: BTreeSet<String>,
    bytes: usize,
    flying: FuturesUnordered<BoxFuture<'static, Sent>>,
    flying_ids: BTreeSet<String>,
    /// By first row: batches that are not decided, or follow one that is not.
    cuts: BTreeMap<u64, Cut>,
    progress: Progress,
    failures: Vec<RowFailure>,
}

impl Importer {
    /// An importer into `collection` through `sink`.
    pub fn new(sink: impl Sink + 'static, collection: impl Into<String>, options: ImporterOptions) -> Self {
        let run = options.run.clone().unwrap_or_else(idempotency_key);
        Self {
            sink: Arc::new(sink),
            collection: collection.into(),
            options,
            run,
            rows: Vec::new(),
            points: Vec::new(),
            ids: BTreeSet::new(),
            bytes: 0,
            flying: FuturesUnordered::new(),
            flying_ids: BTreeSet::new(),
            cuts: BTreeMap::new(),
            progress: Progress::default(),
            failures: Vec::new(),
        }
    }

    /// Takes one point; row numbers grow. Waits while enough batches are in flight. An error ends the run:
    /// it concerns more than some rows (no such collection, no access, server gone for too long).
    pub async fn add(&mut self, row: u64, point: PointInput) -> Result<(), Error> {
        let size = point.size();
        let full = self.points.len() >= self.options.batch_rows.max(1)
            || (self.bytes + size > self.options.batch_bytes && !self.points.is_empty())
            || self.ids.contains(&point.id);
        if full {
            self.cut().await?;
        }
        self.bytes += size;
        self.ids.insert(point.id.clone());
        self.rows.push(row);
        self.points.push(point);
        Ok(())
    }

    /// Sends what is left and waits for everything.
    pub async fn finish(&mut self) -> Result<Progress, Error> {
        self.cut().await?;
        while let Some(sent) = self.flying.next().await {
            self.settle(sent)?;
        }
        Ok(self.progress())
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether every row that was pushed is decided.
    pub fn idle(&self) -> bool {
        self.points.is_empty() && self.cuts.is_empty()
    }

    /// The refused rows up to the watermark since the last time, in their order.
    pub fn take_failures(&mut self) -> Vec<RowFailure> {
        std::mem::take(&mut self.failures)
    }

    /// Sends the rows collected so far as one batch.
    async fn cut(&mut self) -> Result<(), Error> {
        // Answers that are there already, so that progress does not lag behind.
        while let Some(Some(sent)) = self.flying.next().now_or_never() {
            self.settle(sent)?;
        }
        if self.points.is_empty() {
            return Ok(());
        }
        let repeats = self.ids.iter().any(|id| self.flying_ids.contains(id));
        let room = if repeats { 1 } else { self.options.concurrency.max(1) };
        while self.flying.len() >= room {
            match self.flying.next().await {
                Some(sent) => self.settle(sent)?,
                None => break,
            }
        }
        let (rows, points) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.points));
        self.flying_ids.append(&mut self.ids);
        self.bytes = 0;
        let (first, last) = (rows[0], rows[rows.len() - 1]);
        self.cuts.insert(first, Cut { last, parts: 1, upserted: 0, failures: Vec::new() });
        let key = format!("{}.{first}-{last}", self.run);
        self.launch(Slice {
            origin: first,
            rows,
            batch: Arc::new(Batch { collection: self.collection.clone(), points, key }),
        });
        Ok(())
    }

    fn launch(&mut self, slice: Slice) {
        let sending = self.sink.send(slice.batch.clone());
        self.flying.push(async move { (slice, sending.await) }.boxed());
    }

    /// Books an answer. A batch that was refused because of some of its rows goes out again without them.
    /// What is not final is not booked: the run ends there, and goes on there when it is taken up again.
    fn settle(&mut self, (slice, result): Sent) -> Result<(), Error> {
        match result {
            Ok(answer) => {
                if let Some(error) = answer.unfinished() {
                    return Err(error);
                }
                let failed = answer.failed.into_iter().map(|f| (f.id, (f.code, f.detail))).collect();
                self.book(slice, failed);
            }
            Err(error) => match refused_rows(&error, slice.rows.len()) {
                Refused::Some(reasons) => self.without(slice, error.code(), reasons),
                Refused::Unnamed if slice.rows.len() > 1 => self.halve(slice),
                Refused::Unnamed => {
                    let code = error.fault.code.to_string();
                    let reasons = slice.batch.points.iter().map(|p| p.id.clone());
                    let failed = reasons.map(|id| (id, (code.clone(), error.fault.detail.clone()))).collect();
                    self.book(slice, failed);
                }
                Refused::Everything => return Err(error),
            },
        }
        Ok(())
    }

    /// Marks every row of a slice as decided, `failed` of them as refused.
    fn book(&mut self, slice: Slice, failed: BTreeMap<String, (String, String)>) {
        for (row, point) in slice.rows.iter().zip(&slice.batch.points) {
            self.flying_ids.remove(&point.id);
            match failed.get(&point.id) {
                Some((code, detail)) => self.refuse(slice.origin, *row, &point.id, code, detail),
                None => {
                    if let Some(cut) = self.cuts.get_mut(&slice.origin) {
                        cut.upserted += 1;
                    }
                }
            }
        }
        self.part_done(slice.origin);
    }

    fn refuse(&mut self, origin: u64, row: u64, id: &str, code: &str, detail: &str) {
        if let Some(cut) = self.cuts.get_mut(&origin) {
            cut.failures.push(RowFailure { row, id: id.into(), code: code.into(), detail: detail.into() });
        }
    }

    /// One part of a batch is decided. Batches that are decided whole count once all before them are.
    fn part_done(&mut self, origin: u64) {
        if let Some(cut) = self.cuts.get_mut(&origin) {
            cut.parts = cut.parts.saturating_sub(1);
        }
        while let Some(entry) = self.cuts.first_entry().filter(|entry| entry.get().parts == 0) {
            let mut cut = entry.remove();
            cut.failures.sort_by_key(|failure| failure.row);
            let failed = cut.failures.len() as u64;
            self.progress.upserted += cut.upserted;
            self.progress.failed += failed;
            self.progress.decided += cut.upserted + failed;
            self.progress.watermark = Some(cut.last);
            self.failures.append(&mut cut.failures);
        }
    }

    /// Refuses the rows at `reasons`' positions and sends the others again under a key of their own.
    fn without(&mut self, slice: Slice, code: Code, reasons: BTreeMap<usize, String>) {
        let (mut rows, mut points) = (Vec::new(), Vec::new());
        for (position, (row, point)) in slice.rows.iter().zip(&slice.batch.points).enumerate() {
            match reasons.get(&position) {
                Some(reason) => {
                    self.flying_ids.remove(&point.id);
                    self.refuse(slice.origin, *row, &point.id, code.as_str(), reason);
                }
                None => {
                    rows.push(*row);
                    points.push(point.clone());
                }
            }
        }
        self.relaunch(slice.origin, &slice.batch, rows, points);
        self.part_done(slice.origin);
    }

    /// Sends a batch that is too large as two.
    fn halve(&mut self, slice: Slice) {
        let middle = slice.rows.len() / 2;
        let (head, tail) = slice.batch.points.split_at(middle);
        self.relaunch(slice.origin, &slice.batch, slice.rows[..middle].to_vec(), head.to_vec());
        self.relaunch(slice.origin, &slice.batch, slice.rows[middle..].to_vec(), tail.to_vec());
        self.part_done(slice.origin);
    }

    /// Sends a part of a batch. Its key depends on the batch alone, so that a run which is taken up again and
    /// is refused the same rows repeats it.
    fn relaunch(&mut self, origin: u64, from: &Batch, rows: Vec<u64>, points: Vec<PointInput>) {
        let (Some(&first), Some(&end)) = (rows.first(), rows.last()) else { return };
        if let Some(cut) = self.cuts.get_mut(&origin) {
            cut.parts += 1;
        }
        let key = format!("{}.{first}-{end}x{}", self.run, rows.len());
        let batch = Batch { collection: from.collection.clone(), points, key };
        self.launch(Slice { origin, rows, batch: Arc::new(batch) });
    }
}

/// What an error says about the rows of a batch.
enum Refused {
    /// These positions, each with its reason.
    Some(BTreeMap<usize, String>),
    /// Some, without saying which.
    Unnamed,
    /// The error is not about rows.
    Everything,
}

fn refused_rows(error: &Error, rows: usize) -> Refused {
    // A batch of one point is refused whole when its condition does not hold.
    if !matches!(error.code(), Code::InvalidArgument | Code::TooLarge | Code::VersionMismatch) {
        return Refused::Everything;
    }
    let named: BTreeMap<usize, String> = error
        .fault
        .errors
        .iter()
        .filter_map(|field| {
            let rest = field.field.strip_prefix("points[")?;
            let (position, path) = rest.split_once(']')?;
            let position: usize = position.parse().ok().filter(|position| *position < rows)?;
            Some((position, sentence(path.trim_start_matches('.'), &field.reason)))
        })
        .collect();
    if !named.is_empty() {
        Refused::Some(named)
    } else if error.code() != Code::InvalidArgument {
        Refused::Unnamed
    } else {
        Refused::Everything
    }
}

/// What is wrong with a field. Some reasons name their field themselves.
fn sentence(path: &str, reason: &str) -> String {
    let named = reason.strip_prefix(path).is_some_and(|rest| rest.starts_with(' '));
    if path.is_empty() || named { reason.to_string() } else { format!("{path} {reason}") }
}

#[cfg(test)]
#[path = "importer_tests.rs"]
mod tests;
