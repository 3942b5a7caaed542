//! `vectron indexes`: create, list, delete payload indexes.

use super::args::Global;
use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Grid, Output, note};
use clap::Subcommand;
use vectron_client::PayloadIndex;

/// Verbs of `indexes`.
#[derive(Debug, Subcommand)]
pub enum IndexesCommand {
    /// Index a payload field, so that filters on it are fast. Built in the background; the same again is fine.
    #[command(after_help = "Examples:
  vectron indexes create docs section --type keyword
  vectron indexes create docs size.width --type integer
  vectron indexes create docs description --type text --language english")]
    Create {
        /// Collection.
        collection: String,
        /// Dotted path of the field, as in a filter.
        field: String,
        /// What its values are.
        #[arg(long = "type", value_parser = ["keyword", "integer", "float", "bool", "datetime", "geo", "text"], value_name = "TYPE")]
        kind: String,
        /// Of a text index: whose rules words are cut down to their stems by.
        #[arg(long)]
        language: Option<String>,
    },
    /// List payload indexes and how far they are.
    #[command(after_help = "Example:\n  vectron indexes list docs")]
    List {
        /// Collection.
        collection: String,
    },
    /// Take a payload index away. The field's values stay; filters on it become slower.
    #[command(after_help = "Example:\n  vectron indexes delete docs section")]
    Delete {
        /// Collection.
        collection: String,
        /// Dotted path of the field.
        field: String,
    },
}

/// Runs a verb.
pub async fn run(command: IndexesCommand, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    match command {
        IndexesCommand::Create { collection, field, kind, language } => {
            let answer = match language {
                Some(language) if kind == "text" => {
                    client.create_text_index(&collection, &field, &language).await?
                }
                Some(_) => return Err(Failure::usage("--language is for --type text")),
                None => client.create_index(&collection, &field, &kind).await?,
            };
            if !answer.created {
                note("it was there already");
            }
            let mut grid = Grid::new(["field", "type", "created"]);
            let created = Cell::text(answer.created.to_string());
            grid.row(vec![Cell::text(&answer.field), Cell::text(&answer.kind), created]);
            out.answer(&grid, &answer, &[&answer])?;
        }
        IndexesCommand::List { collection } => {
            let list = client.list_indexes(&collection).await?;
            let document = serde_json::json!({ "indexes": list });
            out.answer(&grid(&list), &document, &list)?;
        }
        IndexesCommand::Delete { collection, field } => {
            let deleted = client.delete_index(&collection, &field).await?;
            let mut grid = Grid::new(["field", "deleted"]);
            grid.row(vec![Cell::text(&field), Cell::text(deleted.to_string())]);
            let document = serde_json::json!({ "field": field, "deleted": deleted });
            out.answer(&grid, &document, &[&document])?;
        }
    }
    Ok(Exit::Ok)
}

fn grid(list: &[PayloadIndex]) -> Grid {
    let mut grid =
        Grid::new(["field", "type", "ready", "points_indexed", "points_total", "memory", "points_irregular"]);
    for index in list {
        grid.row(vec![
            Cell::text(&index.field),
            Cell::text(&index.kind),
            Cell::text(if index.ready { "yes" } else { "no" }),
            Cell::Number(index.points_indexed),
            Cell::Number(index.points_total),
            Cell::Bytes(index.bytes),
            Cell::Number(index.points_irregular),
        ]);
    }
    grid
}
