//! `vectron points`: get, upsert, delete, scroll, count.

use super::args::Global;
use super::confirm::Confirm;
use super::exit::{Exit, Failure, Outcome, exit_of};
use super::output::{Cell, Grid, Output, json_text, note};
use super::vector;
use crate::formats::object::Fields;
use crate::formats::source::{self, Source};
use crate::formats::{Problem, Rows, jsonl};
use clap::{Args, Subcommand};
use std::collections::BTreeSet;
use std::path::PathBuf;
use vectron_client::{
    Client, Code, Consistency, CountRequest, DeleteRequest, GetManyRequest, Importer, ImporterOptions,
    Payload, Point, RowFailure, ScrollRequest,
};

/// Verbs of `points`.
#[derive(Debug, Subcommand)]
pub enum PointsCommand {
    /// Show points by id.
    #[command(after_help = "Example:\n  vectron points get docs a42 b17 --include-vector -o json")]
    Get {
        /// Collection.
        collection: String,
        /// Ids.
        #[arg(required = true)]
        ids: Vec<String>,
        /// What to show and how fresh.
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Insert or replace points from JSON lines; `-` is stdin. With "if_version" only over that version, 0 = only
    /// if the point does not exist.
    #[command(after_help = "Examples:
  vectron points upsert docs points.jsonl
  echo '{\"id\": \"a\", \"vector\": [1, 0], \"payload\": {\"n\": 1}}' | vectron points upsert docs -
  echo '{\"id\": \"a\", \"vector\": [1, 0], \"if_version\": 0}' | vectron points upsert docs -")]
    Upsert {
        /// Collection.
        collection: String,
        /// File of JSON lines: id, vector or vector_b64, payload, if_version.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Delete points by ids or by filter.
    #[command(after_help = "Examples:
  vectron points delete docs --ids a42,b17 --yes
  vectron points delete docs --filter '{\"section\": \"oldlibs\"}'")]
    Delete(DeleteArgs),
    /// Page through points in id order.
    #[command(
        after_help = "Example:\n  vectron points scroll docs --filter '{\"section\": \"games\"}' --limit 20"
    )]
    Scroll {
        /// Collection.
        collection: String,
        /// Only points that match.
        #[arg(long, value_parser = vector::filter, value_name = "JSON")]
        filter: Option<String>,
        /// Points per page; the server's default when absent.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
        /// What to show and how fresh.
        #[command(flatten)]
        read: ReadArgs,
    },
    /// Count points.
    #[command(
        after_help = "Example:\n  vectron points count docs --filter '{\"installed_size\": {\"$gte\": 1000}}'"
    )]
    Count {
        /// Collection.
        collection: String,
        /// Only points that match.
        #[arg(long, value_parser = vector::filter, value_name = "JSON")]
        filter: Option<String>,
        /// How fresh: linearizable, eventual, bounded:MS or session:TOKEN.
        #[arg(long, value_parser = vector::consistency, value_name = "LEVEL")]
        consistency: Option<Consistency>,
    },
}

/// What to show of points and how fresh.
#[derive(Clone, Debug, Args)]
pub struct ReadArgs {
    /// Show vectors too.
    #[arg(long)]
    pub include_vector: bool,
    /// Leave payloads out.
    #[arg(long)]
    pub no_payload: bool,
    /// How fresh: linearizable, eventual, bounded:MS or session:TOKEN.
    #[arg(long, value_parser = vector::consistency, value_name = "LEVEL")]
    pub consistency: Option<Consistency>,
}

/// Which points to delete.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Collection.
    pub collection: String,
    /// These ids.
    #[arg(long, value_delimiter = ',', conflicts_with = "filter", required_unless_present = "filter")]
    pub ids: Vec<String>,
    /// Everything that matches.
    #[arg(long, value_parser = vector::filter, value_name = "JSON")]
    pub filter: Option<String>,
    /// Confirmation.
    #[command(flatten)]
    pub confirm: Confirm,
}

/// Runs a verb.
pub async fn run(command: PointsCommand, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    match command {
        PointsCommand::Get { collection, ids, read } => get(&client, collection, ids, read, out).await,
        PointsCommand::Upsert { collection, file } => upsert(&client, collection, file, out).await,
        PointsCommand::Delete(args) => delete(&client, args, out).await,
        PointsCommand::Scroll { collection, filter, limit, cursor, read } => {
            let mut request = ScrollRequest::new(collection)
                .include_payload(!read.no_payload)
                .include_vector(read.include_vector);
            if let Some(points) = limit {
                request = request.limit(points);
            }
            if let Some(filter) = filter {
                request = request.filter(filter);
            }
            if let Some(cursor) = cursor {
                request = request.cursor(cursor);
            }
            if let Some(level) = read.consistency {
                request = request.consistency(level);
            }
            let answer = client.scroll(request).await?;
            out.answer(&grid(&answer.points), &answer, &answer.points)?;
            match &answer.next_cursor {
                Some(cursor) if out.for_people() => note(format!("more with --cursor {cursor}")),
                _ => {}
            }
            Ok(Exit::Ok)
        }
        PointsCommand::Count { collection, filter, consistency } => {
            let mut request = CountRequest::new(collection);
            if let Some(filter) = filter {
                request = request.filter(filter);
            }
            if let Some(level) = consistency {
                request = request.consistency(level);
            }
            let answer = client.count(request).await?;
            let mut grid = Grid::new(["count"]);
            grid.row(vec![Cell::Number(answer.count)]);
            out.answer(&grid, &answer, &[serde_json::json!({ "count": answer.count })])?;
            Ok(Exit::Ok)
        }
    }
}

async fn get(
    client: &Client,
    collection: String,
    ids: Vec<String>,
    read: ReadArgs,
    out: Output,
) -> Outcome<Exit> {
    let mut request = GetManyRequest::new(&collection, ids)
        .include_payload(!read.no_payload)
        .include_vector(read.include_vector);
    if let Some(level) = read.consistency {
        request = request.consistency(level);
    }
    let answer = client.get_many(request).await?;
    out.answer(&grid(&answer.points), &answer, &answer.points)?;
    if answer.missing.is_empty() {
        return Ok(Exit::Ok);
    }
    let missing = answer.missing.join("', '");
    Err(Failure::new(Exit::NotFound, format!("collection '{collection}' has no point '{missing}'")))
}

async fn upsert(client: &Client, collection: String, file: PathBuf, out: Output) -> Outcome<Exit> {
    let source =
        if file.as_os_str() == "-" { Source::new(std::io::stdin(), None) } else { source::open(&file) };
    let in_file = |problem: Problem| Failure::error(format!("{}: {problem}", file.display()));
    let mut lines = jsonl::Lines::new(source.map_err(in_file)?, Fields::of_upsert());
    let mut importer = Importer::new(client.clone(), collection, ImporterOptions::default());
    let mut failures: Vec<RowFailure> = Vec::new();
    while let Some(row) = lines.next_row() {
        match row {
            Ok(row) => importer.add(row.number, row.point).await?,
            Err(Problem::Row { number, id, reason }) => failures.push(RowFailure {
                row: number,
                id: id.unwrap_or_default(),
                code: "invalid_argument".into(),
                detail: reason,
            }),
            Err(problem) => return Err(in_file(problem)),
        }
    }
    let progress = importer.finish().await?;
    failures.extend(importer.take_failures());
    failures.sort_by_key(|failure| failure.row);
    for failure in failures.iter().take(20) {
        note(format!("line {} '{}': {}", failure.row, failure.id, failure.detail));
    }
    let mut grid = Grid::new(["upserted", "failed"]);
    grid.row(vec![Cell::Number(progress.upserted), Cell::Number(failures.len() as u64)]);
    let document = serde_json::json!({ "upserted": progress.upserted, "failed": failures });
    out.answer(&grid, &document, &[&document])?;
    Ok(match (progress.upserted, failures.is_empty()) {
        (_, true) => Exit::Ok,
        (0, false) => exit_of_all(&failures),
        (_, false) => Exit::Partial,
    })
}

/// How it ends when nothing was written: a conflict if every point met one, and so on.
fn exit_of_all(failures: &[RowFailure]) -> Exit {
    let exit = |failure: &RowFailure| Code::parse(&failure.code).map_or(Exit::Error, exit_of);
    let first = failures.first().map_or(Exit::Error, exit);
    if failures.iter().all(|failure| exit(failure) == first) { first } else { Exit::Error }
}

async fn delete(client: &Client, args: DeleteArgs, out: Output) -> Outcome<Exit> {
    let DeleteArgs { collection, ids, filter, confirm } = args;
    let request = match filter {
        Some(filter) => {
            let matching = client.count(CountRequest::new(&collection).filter(&filter)).await?.count;
            confirm.ask(&format!("delete {matching} points of '{collection}' that match {filter}"))?;
            DeleteRequest::filter(collection, filter)
        }
        None => {
            confirm.ask(&format!("delete {} points of '{collection}'", ids.len()))?;
            DeleteRequest::ids(collection, ids)
        }
    };
    let answer = client.delete(request).await?;
    let mut grid = Grid::new(["deleted"]);
    grid.row(vec![Cell::Number(answer.deleted)]);
    out.answer(&grid, &answer, &[&answer])?;
    Ok(Exit::Ok)
}

fn grid(points: &[Point]) -> Grid {
    let payloads: Vec<Option<&Payload>> = points.iter().map(|point| point.payload.as_ref()).collect();
    let fields = fields(&payloads);
    let vectors = points.iter().any(|point| point.vector.is_some());
    let mut grid = Grid::new(["id", "version"]);
    grid.columns.extend(fields.iter().cloned());
    if vectors {
        grid.columns.push("vector".into());
    }
    for point in points {
        let mut row = vec![Cell::text(&point.id), Cell::Number(point.version)];
        row.extend(payload_cells(point.payload.as_ref(), &fields));
        if vectors {
            row.push(point.vector.as_ref().map_or(Cell::None, vector_cell));
        }
        grid.row(row);
    }
    grid
}

/// A vector as text.
pub fn vector_cell(vector: &Vec<f32>) -> Cell {
    json_text(vector).map_or(Cell::None, Cell::Text)
}

/// Names of the payloads' fields, sorted: the columns of a table.
pub fn fields(payloads: &[Option<&Payload>]) -> Vec<String> {
    let names: BTreeSet<String> =
        payloads.iter().flatten().flat_map(|p| object(p).into_iter().map(|(k, _)| k)).collect();
    names.into_iter().collect()
}

fn object(payload: &Payload) -> serde_json::Map<String, serde_json::Value> {
    payload.parse().unwrap_or_default()
}

/// A payload's values under the columns `fields`.
pub fn payload_cells(payload: Option<&Payload>, fields: &[String]) -> Vec<Cell> {
    let object = payload.map(object).unwrap_or_default();
    fields
        .iter()
        .map(|field| match object.get(field) {
            None | Some(serde_json::Value::Null) => Cell::None,
            Some(serde_json::Value::String(text)) => Cell::text(text),
            Some(value) => match value.as_u64() {
                Some(number) => Cell::Number(number),
                None => Cell::text(value.to_string()),
            },
        })
        .collect()
}
