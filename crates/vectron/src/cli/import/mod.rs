//! `vectron import`: files of vectors into a collection.

mod ledger;
mod load;
mod progress;
mod rest;
mod state;
mod target;

#[cfg(test)]
mod tests;

use super::args::Global;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Grid, Output, note};
use crate::formats::{Format, ReadOptions};
use clap::Args;
use load::Load;
use std::path::PathBuf;
use std::time::Duration;
use target::Target;
use vectron_client::Collection;

/// Arguments of `import`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron import docs vectors.f16.npy --payload payload.jsonl.gz --id-field name --create --distance cosine
  vectron import docs points.jsonl.gz --errors-to refused.jsonl
  vectron import docs a.parquet b.parquet --id-field key --vector-field embedding --resume

Formats: .jsonl (also .gz) with id, vector or vector_b64, payload, if_version, or flat objects; .npy and .fvecs with
--payload beside them (line i belongs to row i; without --id-field the row number is the id); .parquet.
Rows that are not points are reported and passed over; then the exit code is 7. A server that is busy with its
graph is waited for, up to half an hour.")]
pub struct ImportArgs {
    /// Collection.
    pub collection: String,
    /// Files, imported one after the other.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Format of the files.
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub format: Format,
    /// JSON lines with the payloads of a .npy or .fvecs file.
    #[arg(long, value_name = "FILE.jsonl")]
    pub payload: Option<PathBuf>,
    /// Create the collection with this --distance if it is not there; the first row tells the dimension.
    #[arg(long, requires = "distance")]
    pub create: bool,
    /// Distance of a created collection.
    #[arg(long, value_parser = ["cosine", "dot", "euclidean"])]
    pub distance: Option<String>,
    /// Field that holds the id.
    #[arg(long, value_name = "NAME")]
    pub id_field: Option<String>,
    /// Field that holds the vector.
    #[arg(long, default_value = "vector", value_name = "NAME")]
    pub vector_field: String,
    /// Rows per batch at most.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    pub batch_rows: u32,
    /// Batches in flight at most.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "N")]
    pub concurrency: u32,
    /// How to reach the server.
    #[arg(long, value_enum, default_value_t, value_name = "TRANSPORT")]
    pub transport: Transport,
    /// Keep notes beside the first file, and go on where an interrupted import with --resume stopped.
    #[arg(long)]
    pub resume: bool,
    /// Keep the notes of --resume in this file.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Append refused rows to this file as JSON lines: file, row, id, code, detail.
    #[arg(long, value_name = "FILE")]
    pub errors_to: Option<PathBuf>,
    /// Read and check every row; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Stop after this many rows.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// How to reach the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// gRPC.
    #[default]
    Grpc,
    /// JSON over HTTP, for networks that pass nothing else.
    Rest,
}

impl ImportArgs {
    fn read_options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format,
            payload: self.payload.clone(),
            id_field: self.id_field.clone(),
            vector_field: self.vector_field.clone(),
        }
    }
}

/// How long an interrupted import may take to book what is settled.
const INTERRUPT_PATIENCE: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// Rows read by this run.
    pub rows: u64,
    /// Rows written by this run.
    pub upserted: u64,
    /// Rows refused, those of the interrupted run included.
    pub failed: u64,
    /// Rows that an earlier run had settled.
    pub resumed: u64,
    /// Time.
    pub seconds: f64,
    /// Rows read per second.
    pub rows_per_second: f64,
}

/// Runs it.
pub async fn run(args: ImportArgs, global: &Global, out: Output) -> Outcome<Exit> {
    if args.payload.is_some() && args.files.len() > 1 {
        return Err(Failure::usage("--payload belongs to one file; import one file at a time with it"));
    }
    let target = match Target::connect(args.transport, global).await {
        Ok(target) => Some(target),
        Err(failure) if args.dry_run && failure.exit == Exit::Unavailable => {
            note("no server there; the rows are checked against each other only");
            None
        }
        Err(failure) => return Err(failure),
    };
    let collection = match &target {
        Some(target) => collection(target, &args).await?,
        None => None,
    };
    let mut load = Load::begin(&args, collection, target)?;
    leave_on_interrupt();
    let result = tokio::select! {
        result = load.run() => result,
        signal = tokio::signal::ctrl_c() => {
            let _ = signal;
            Err(Failure::new(Exit::Interrupted, "interrupted"))
        }
    };
    let summary = load.close(result.is_ok())?;
    print(&summary, &args, out)?;
    if let Err(failure) = result {
        let resumable = args.resume || args.state.is_some();
        return Err(match failure.fix {
            None if resumable => failure.fix("the same command goes on where this one stopped"),
            _ => failure,
        });
    }
    Ok(match (summary.upserted + summary.resumed, summary.failed) {
        (_, 0) => Exit::Ok,
        (0, _) if !args.dry_run => Exit::Error,
        _ => Exit::Partial,
    })
}

/// Ends the program some time after Ctrl-C even when a file that never answers, a pipe for instance, keeps it
/// reading. The notes of a resumable import are whole at any time.
#[allow(clippy::disallowed_methods, reason = "a task of the program itself")]
fn leave_on_interrupt() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            tokio::time::sleep(INTERRUPT_PATIENCE).await;
            std::process::exit(Exit::Interrupted as i32);
        }
    });
}

/// The collection, created if that was asked for. `None` in a dry run without one.
async fn collection(target: &Target, args: &ImportArgs) -> Outcome<Option<Collection>> {
    match target.collection(&args.collection).await {
        Ok(found) => return Ok(Some(found)),
        Err(failure) if failure.exit != Exit::NotFound => return Err(failure),
        Err(_) if args.dry_run => return Ok(None),
        Err(failure) if !args.create => {
            return Err(failure.fix("add --create and --distance"));
        }
        Err(_) => {}
    }
    let Some(distance) = &args.distance else {
        return Err(Failure::usage("--create needs --distance"));
    };
    let dimension = load::first_dimension(args)?;
    let created = target.create(&args.collection, dimension, distance).await?;
    note(format!("created collection '{}': {dimension} numbers, {}", created.name, created.distance));
    Ok(Some(created))
}

fn print(summary: &Summary, args: &ImportArgs, out: Output) -> Outcome<()> {
    let mut grid = Grid::new(["rows", "upserted", "failed", "resumed", "seconds", "rows_per_second"]);
    grid.row(vec![
        Cell::Number(summary.rows),
        Cell::Number(summary.upserted),
        Cell::Number(summary.failed),
        Cell::Number(summary.resumed),
        Cell::text(format!("{:.1}", summary.seconds)),
        Cell::Number(summary.rows_per_second as u64),
    ]);
    out.answer(&grid, summary, &[summary])?;
    if args.dry_run && out.for_people() {
        note("dry run: nothing was written");
    }
    Ok(())
}
