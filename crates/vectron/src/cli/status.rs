//! `vectron status`: what collections hold and whether their shards are ready.

use super::args::Global;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Grid, Output, note};
use clap::Args;
use vectron_client::CollectionStatus;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  vectron status
  vectron status docs -o json")]
pub struct StatusArgs {
    /// Show one collection's shards.
    pub collection: Option<String>,
}

/// Runs it. Exit code 6 when a shard is not ready.
pub async fn run(args: StatusArgs, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    let list = match &args.collection {
        Some(name) => vec![client.status(name).await?],
        None => {
            let mut list = Vec::new();
            for collection in client.list_collections().await? {
                list.push(client.status(&collection.name).await?);
            }
            list
        }
    };
    match &list[..] {
        [status] if args.collection.is_some() => {
            let note_line = format!(
                "{}: {} points of {} numbers, {}, {} not yet in the graph",
                status.name, status.points, status.dimension, status.distance, status.index_lag
            );
            out.answer(&shards(status), status, &status.shards)?;
            if out.for_people() {
                note(note_line);
            }
        }
        _ => out.answer(&collections(&list), &serde_json::json!({ "collections": list }), &list)?,
    }
    for status in &list {
        for shard in &status.shards {
            for damage in &shard.damage {
                note(format!("collection '{}' shard {}: {damage}", status.name, shard.id));
            }
        }
    }
    let waiting: Vec<&str> =
        list.iter().filter(|s| s.shards.iter().any(|shard| !shard.ready)).map(|s| s.name.as_str()).collect();
    if waiting.is_empty() {
        Ok(Exit::Ok)
    } else {
        Err(Failure::new(Exit::Unavailable, format!("not every shard is ready: {}", waiting.join(", "))))
    }
}

/// Memory per point, in whole bytes.
fn per_point(bytes: Option<f64>) -> Cell {
    bytes.map_or(Cell::None, |bytes| Cell::Bytes(bytes.round() as u64))
}

fn collections(list: &[CollectionStatus]) -> Grid {
    let mut grid = Grid::new([
        "collection",
        "points",
        "index_lag",
        "disk",
        "memory",
        "per_point",
        "dimension",
        "distance",
        "shards_ready",
    ]);
    for s in list {
        let ready = s.shards.iter().filter(|shard| shard.ready).count();
        grid.row(vec![
            Cell::text(&s.name),
            Cell::Number(s.points),
            Cell::Number(s.index_lag),
            Cell::Bytes(s.bytes),
            Cell::Bytes(s.memory_bytes),
            per_point(s.bytes_per_point),
            Cell::Number(s.dimension.into()),
            Cell::text(&s.distance),
            Cell::text(format!("{ready}/{}", s.shards.len())),
        ]);
    }
    grid
}

fn shards(status: &CollectionStatus) -> Grid {
    let mut grid = Grid::new([
        "shard",
        "ready",
        "leader",
        "replicas",
        "points",
        "index_lag",
        "disk",
        "memory",
        "per_point",
        "codes",
        "applied",
        "durable",
        "tombstones",
    ]);
    for s in &status.shards {
        grid.row(vec![
            Cell::Number(s.id),
            Cell::text(if s.ready { "yes" } else { "no" }),
            s.leader.map_or(Cell::None, Cell::Number),
            Cell::Number(s.replicas.len() as u64),
            Cell::Number(s.points),
            Cell::Number(s.index_lag),
            Cell::Bytes(s.bytes),
            Cell::Bytes(s.memory_bytes),
            per_point(s.bytes_per_point),
            s.quantization.as_ref().map_or(Cell::None, |codes| Cell::text(&codes.kind)),
            Cell::Number(s.applied_index),
            Cell::Number(s.durable_index),
            Cell::Number(s.tombstones),
        ]);
    }
    grid
}
