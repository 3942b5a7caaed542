//! `vectron collections`: list, create, describe, delete.

use super::args::Global;
use super::confirm::Confirm;
use super::exit::{Exit, Outcome};
use super::output::{Cell, Grid, Output, note};
use super::vector;
use clap::{Args, Subcommand};
use vectron_client::{Collection, Consistency, CreateCollection};

/// Verbs of `collections`.
#[derive(Debug, Subcommand)]
pub enum CollectionsCommand {
    /// List collections.
    #[command(after_help = "Example:\n  vectron collections list -o json")]
    List,
    /// Create a collection. The same one again is fine.
    #[command(after_help = "Examples:
  vectron collections create docs --dimension 384 --distance cosine
  vectron collections create docs --dimension 384 --distance cosine --quantization 4bit --storage mmap")]
    Create(CreateArgs),
    /// Show a collection's settings.
    #[command(after_help = "Example:\n  vectron collections describe docs")]
    Describe {
        /// Collection.
        name: String,
    },
    /// Delete a collection with all its points.
    #[command(after_help = "Example:\n  vectron collections delete docs --yes")]
    Delete {
        /// Collection.
        name: String,
        /// Confirmation.
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// Settings of a collection to create.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name: a letter or digit, then letters, digits, '_', '.' or '-'.
    pub name: String,
    /// Numbers per vector.
    #[arg(long, value_name = "N")]
    pub dimension: u32,
    /// How nearness is measured.
    #[arg(long, value_parser = ["cosine", "dot", "euclidean"])]
    pub distance: String,
    /// Number of shards; the server's default when absent.
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
    /// Voters per shard; the server's default when absent.
    #[arg(long, value_name = "N")]
    pub replication_factor: Option<u32>,
    /// Default consistency of reads: linearizable, eventual or bounded:MS.
    #[arg(long, value_parser = vector::consistency, value_name = "LEVEL")]
    pub read_policy: Option<Consistency>,
    /// How vectors are coded for the search; the server's default, auto, when absent.
    #[arg(long, value_parser = ["auto", "none", "8bit", "4bit"])]
    pub quantization: Option<String>,
    /// Where full vectors are kept: in memory, or mapped from the disk; the server's default, ram, when absent.
    #[arg(long, value_parser = ["ram", "mmap"])]
    pub storage: Option<String>,
    /// Most links per point of the graph, 8 to 128; the server's default when absent.
    #[arg(long, value_name = "N")]
    pub degree: Option<u32>,
    /// Candidates kept while a point is linked, 32 to 1024; the server's default when absent.
    #[arg(long, value_name = "N")]
    pub ef_construction: Option<u32>,
}

impl CreateArgs {
    fn settings(self) -> CreateCollection {
        let mut settings = CreateCollection::new(self.name, self.dimension, self.distance);
        if let Some(shards) = self.shards {
            settings = settings.shards(shards);
        }
        if let Some(voters) = self.replication_factor {
            settings = settings.replication_factor(voters);
        }
        if let Some(level) = self.read_policy {
            settings = settings.read_policy(level);
        }
        if let Some(codes) = self.quantization {
            settings = settings.quantization(codes);
        }
        if let Some(place) = self.storage {
            settings = settings.storage(place);
        }
        if let Some(links) = self.degree {
            settings = settings.degree(links);
        }
        if let Some(candidates) = self.ef_construction {
            settings = settings.ef_construction(candidates);
        }
        settings
    }
}

/// Runs a verb.
pub async fn run(command: CollectionsCommand, global: &Global, out: Output) -> Outcome<Exit> {
    match command {
        CollectionsCommand::List => {
            let list = super::connect(global).await?.list_collections().await?;
            let document = serde_json::json!({ "collections": list });
            out.answer(&grid(&list), &document, &list)?;
        }
        CollectionsCommand::Create(args) => {
            let answer = super::connect(global).await?.create_collection(args.settings()).await?;
            if !answer.created {
                note("it was there already, with the same settings");
            }
            out.answer(&grid(std::slice::from_ref(&answer.collection)), &answer, &[&answer.collection])?;
        }
        CollectionsCommand::Describe { name } => {
            let found = super::connect(global).await?.collection(&name).await?;
            out.answer(&description(&found), &found, &[&found])?;
        }
        CollectionsCommand::Delete { name, confirm } => {
            let client = super::connect(global).await?;
            let status = client.status(&name).await?;
            confirm.ask(&format!("delete collection '{name}' with {} points", status.points))?;
            let deleted = client.delete_collection(&name).await?;
            let mut grid = Grid::new(["collection", "deleted"]);
            grid.row(vec![Cell::text(&name), Cell::text(deleted.to_string())]);
            let document = serde_json::json!({ "collection": name, "deleted": deleted });
            out.answer(&grid, &document, &[&document])?;
        }
    }
    Ok(Exit::Ok)
}

fn level(policy: &Consistency) -> String {
    match policy {
        Consistency::Linearizable => "linearizable".into(),
        Consistency::Eventual => "eventual".into(),
        Consistency::Bounded(ms) => format!("bounded:{ms}"),
        Consistency::Session(_) => "session".into(),
    }
}

fn grid(list: &[Collection]) -> Grid {
    let mut grid =
        Grid::new(["name", "dimension", "distance", "shards", "replication_factor", "read_policy"]);
    for c in list {
        grid.row(vec![
            Cell::text(&c.name),
            Cell::Number(c.dimension.into()),
            Cell::text(&c.distance),
            Cell::Number(c.shards.into()),
            Cell::Number(c.replication_factor.into()),
            Cell::text(level(&c.read_policy)),
        ]);
    }
    grid
}

fn description(c: &Collection) -> Grid {
    let created =
        i64::try_from(c.created_at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let mut grid = Grid::new(["setting", "value"]);
    let rows = [
        ("name", c.name.clone()),
        ("dimension", c.dimension.to_string()),
        ("distance", c.distance.clone()),
        ("shards", c.shards.to_string()),
        ("replication_factor", c.replication_factor.to_string()),
        ("read_policy", level(&c.read_policy)),
        ("quantization", c.quantization.clone()),
        ("storage", c.storage.clone()),
        ("degree", c.index.degree.to_string()),
        ("ef_construction", c.index.ef_construction.to_string()),
        ("created_at", created.map_or_else(|| c.created_at_ms.to_string(), |time| time.to_string())),
        ("incarnation", c.incarnation.to_string()),
        ("changeable", if c.changeable.is_empty() { "nothing".into() } else { c.changeable.join(", ") }),
    ];
    for (name, value) in rows {
        grid.row(vec![Cell::text(name), Cell::text(value)]);
    }
    grid
}
