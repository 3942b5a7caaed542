//! The load generator of `cargo xtask bench serve`: starts a release node, loads the data set through the front door
//! and measures it over the wire, section by section.
//!
//! `bench_serve BINARY DATA OUT [--only A,B] [--set KEY=VALUE]… [--quick]` writes the sections' rows as JSON to OUT.
#![allow(clippy::disallowed_methods, reason = "a measuring program lives outside the seams")]

mod dataset;
mod load;
mod node;
mod reads;
mod writes;

use dataset::Dataset;
use node::Node;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vectron_client::Client;

pub type Failure = Box<dyn std::error::Error>;

/// The collection measured.
pub const COLLECTION: &str = "bench";

/// Clients of the figures that are compared.
pub const CLIENTS: usize = 8;

/// What to measure, and how long.
pub struct Plan {
    pub binary: PathBuf,
    pub directory: tempfile::TempDir,
    pub data: Arc<Dataset>,
    only: Vec<String>,
    /// Settings of the collection.
    set: Vec<(String, String)>,
    pub quick: bool,
}

impl Plan {
    /// Whether a section is wanted.
    fn has(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }

    /// Times a figure is measured; the middle one is reported.
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    /// Seconds of an open loop.
    pub fn seconds(&self) -> u64 {
        if self.quick { 3 } else { 15 }
    }
}

/// Rows and notes of a section. Every row is told what holds for all of them.
#[derive(Default)]
pub struct Section {
    rows: Vec<Value>,
    notes: Vec<String>,
}

impl Section {
    pub fn row(&mut self, mut row: Value) {
        for (key, value) in
            [("consistency", json!("linearizable")), ("replication", json!(1)), ("shards", json!(1))]
        {
            row[key] = value;
        }
        if row["concurrency"].is_null() {
            row["concurrency"] = CLIENTS.into();
        }
        eprintln!("{row}");
        self.rows.push(row);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// Sections in the order in which they run: those that change the data come last.
async fn measure(plan: &Plan) -> Result<Map<String, Value>, Failure> {
    let mut sections = Map::new();
    let mut keep = |name: &str, section: Section| {
        if plan.has(name) {
            sections.insert(name.into(), json!({"rows": section.rows, "notes": section.notes}));
        }
    };
    let mut node = Node::start(&plan.binary, plan.directory.path())?;
    let client = Client::connect(&node.url, None).await?;
    create(plan, &node)?;
    keep("import", writes::import(plan, &node, &client).await?);
    if plan.has("search") {
        keep("search", reads::search(plan, &node, &client).await?);
    }
    if plan.has("open") {
        keep("open", reads::open(plan, &node, &client).await?);
    }
    if plan.has("filters") {
        keep("filters", reads::filters(plan, &node, &client).await?);
    }
    if plan.has("restart") {
        let (section, started) = writes::restart(plan, node).await?;
        node = started;
        keep("restart", section);
    }
    let client = Client::connect(&node.url, None).await?;
    if plan.has("churn") {
        keep("churn", writes::churn(plan, &node, &client).await?);
    }
    if plan.has("ingest") {
        keep("ingest", writes::ingest(plan, &node, &client).await?);
    }
    Ok(sections)
}

/// Creates the collection with the settings asked for; a node that knows them not refuses by name.
fn create(plan: &Plan, node: &Node) -> Result<(), Failure> {
    let mut body = json!({"name": COLLECTION, "dimension": plan.data.dimension, "distance": "cosine"});
    for (key, value) in &plan.set {
        body[key] = serde_json::from_str(value).unwrap_or_else(|_| value.clone().into());
    }
    match node.rest("POST", "/v1/collections", &body)? {
        (200 | 201, _) => Ok(()),
        (status, answer) => Err(format!("creating the collection: {status} {answer}").into()),
    }
}

fn parse() -> Result<(Plan, PathBuf), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [binary, source, out, rest @ ..] = words.as_slice() else {
        return Err("usage: bench_serve BINARY DATA OUT [--only A,B] [--set KEY=VALUE] [--quick]".into());
    };
    let mut plan = Plan {
        binary: binary.into(),
        directory: tempfile::tempdir()?,
        data: Arc::new(Dataset::load(Path::new(source))?),
        only: Vec::new(),
        set: Vec::new(),
        quick: false,
    };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--quick" => plan.quick = true,
            "--only" => {
                let names = rest.next().ok_or("--only needs names")?;
                plan.only = names.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
            }
            "--set" => {
                let pair = rest.next().and_then(|pair| pair.split_once('='));
                let (key, value) = pair.ok_or("--set needs KEY=VALUE")?;
                plan.set.push((key.into(), value.into()));
            }
            _ => return Err(format!("no such option: {word}").into()),
        }
    }
    Ok((plan, out.into()))
}

fn main() -> Result<(), Failure> {
    let (plan, out) = parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sections = runtime.block_on(measure(&plan))?;
    let dataset = json!({
        "name": "debian",
        "rows": plan.data.rows(),
        "made_rows": 0,
        "dimension": plan.data.dimension,
        "queries": plan.data.queries.len(),
        "distance": "cosine",
    });
    std::fs::write(out, serde_json::to_string_pretty(&json!({"dataset": dataset, "sections": sections}))?)?;
    Ok(())
}
