//! `vectron demo`: the whole system in one process with a real sample, searched, explained and measured.

use super::exit::{Exit, Failure, Outcome};
use super::output::{Cell, Grid, Output, OutputFormat, note, shorten};
use super::sample::{self, COLLECTION, DIMENSION, Question};
use super::up::{self, Stop};
use super::{config, explain, logging};
use crate::node::{Node, NodeOptions, StartError};
use crate::settings::Settings;
use clap::Args;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::random::{Random, SystemRandom};
use vectron_client::{
    Client, CountRequest, CreateCollection, Importer, ImporterOptions, Payload, SearchAnswer, SearchRequest,
};

/// Arguments of `demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron demo
  vectron demo --exit        # look, measure, stop: exit code 8 if the answers are not good")]
pub struct DemoArgs {
    /// Stop after the tour in place of staying up.
    #[arg(long)]
    pub exit: bool,
    /// Keep the data here; a temporary directory when absent.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to serve; when the default is taken, a free port is used.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
}

/// Least recall at 10 that passes.
const RECALL_FLOOR: f64 = 0.9;
/// How often the index is asked how far it is.
const LAG_POLL: Duration = Duration::from_millis(50);
/// How long it may stand still before the demo goes on without waiting.
const LAG_PATIENCE: Duration = Duration::from_secs(5);
/// Questions that are shown, by position in the sample.
const SHOWN: [usize; 3] = [0, 1, 2];
/// The question that is asked with a filter.
const FILTERED: usize = 4;
const FILTER: &str = r#"{"section": {"$in": ["utils", "admin"]}, "installed_size": {"$lt": 1000}}"#;

/// Runs it.
pub async fn run(args: DemoArgs, out: Output) -> Outcome<Exit> {
    let mut settings = Settings::from_env().map_err(|errors| config::wrong(&errors))?;
    let quiet = settings.origins().get("node.log_level").is_none_or(|setting| setting.origin == "default");
    if quiet {
        settings.node.log_level = "warn".into();
    }
    logging::start(&settings);
    let mut stop = Stop::listen()?;
    let home = Home::new(args.data_dir.clone())?;
    let node = tokio::select! {
        node = start(&args, &home.path, settings) => node?,
        signal = stop.wait() => return Ok(signal.before_ready()),
    };
    let toured = if up::ready(&node, &mut stop).await.is_none() {
        tokio::select! {
            toured = tour(node.address(), out) => toured,
            _ = stop.wait() => Err(Failure::silent(Exit::Interrupted)),
        }
    } else {
        Err(Failure::silent(Exit::Interrupted))
    };
    if toured.is_ok() && !args.exit {
        if out.for_people() {
            note("It stays up to be tried; Ctrl-C stops it.");
        }
        stop.wait().await;
    }
    up::end(node).await?;
    toured
}

/// The data directory; removed at the end when it is temporary.
struct Home {
    path: PathBuf,
    temporary: bool,
}

impl Home {
    fn new(chosen: Option<PathBuf>) -> Outcome<Self> {
        if let Some(path) = chosen {
            return Ok(Self { path, temporary: false });
        }
        let path = std::env::temp_dir().join(format!("vectron-demo-{:016x}", SystemRandom.next_u64()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&path)
            .map_err(|error| Failure::error(format!("cannot create {}: {error}", path.display())))?;
        Ok(Self { path, temporary: true })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary && std::fs::remove_dir_all(&self.path).is_err() {
            note(format!("{} could not be removed", self.path.display()));
        }
    }
}

async fn start(args: &DemoArgs, data_dir: &Path, settings: Settings) -> Outcome<Node> {
    let wanted = args.listen.as_deref().unwrap_or("127.0.0.1:8080");
    let listen = up::address(wanted).await?;
    let options = |listen| NodeOptions::alone(data_dir.to_path_buf(), listen, true, None);
    match Node::start(options(listen), settings.clone()).await {
        Ok(node) => Ok(node),
        Err(StartError::Listen(..)) if args.listen.is_none() => {
            let free = SocketAddr::new(listen.ip(), 0);
            let node = Node::start(options(free), settings).await.map_err(|error| up::refusal(&error))?;
            note(format!("{wanted} is taken; serving on {}", node.address()));
            Ok(node)
        }
        Err(error) => Err(up::refusal(&error)),
    }
}

async fn tour(address: SocketAddr, out: Output) -> Outcome<Exit> {
    let say = |text: &str| if out.for_people() { out.text(text) } else { Ok(()) };
    let client = Client::connect(&format!("http://{address}"), None).await?;
    load(&client, out).await?;
    let questions = sample::questions()?;
    let mut empty = false;
    for position in SHOWN {
        let Some(question) = questions.get(position) else { continue };
        let answer = client.search(SearchRequest::new(COLLECTION, question.vector.clone()).top_k(5)).await?;
        empty |= answer.results.is_empty();
        say(&format!("\n“{}”\n{}", question.text, packages(&answer).render(out.terminal)))?;
    }
    let explained = match questions.get(FILTERED) {
        Some(question) => {
            let request =
                SearchRequest::new(COLLECTION, question.vector.clone()).top_k(5).filter(FILTER).explain(true);
            let answer = client.search(request).await?;
            empty |= answer.results.is_empty();
            say(&format!(
                "\n“{}” where {FILTER}\n{}",
                question.text,
                packages(&answer).render(out.terminal)
            ))?;
            if let Some(explained) = &answer.explain {
                say(&format!("EXPLAIN: {}", explain::render(&answer, explained, out.terminal)))?;
            }
            answer.explain
        }
        None => None,
    };
    let measured = measure(&client, &questions).await?;
    let (recall, took, exact_took) = (measured.recall, measured.median_ms, measured.exact_median_ms);
    let fault = fault(empty, recall, &measured.plans);
    say(&format!(
        "\nrecall@10 {recall:.3} over {} questions, default search against exact search; plan: {}\nmedian time in the \
         server {took:.2} ms, exact {exact_took:.2} ms\n\n{}\nTry it:\n  vectron search {COLLECTION} --like hedgewars \
         --url http://{address}\n  curl -s http://{address}/v1/collections/{COLLECTION}/status\n",
        questions.len(),
        measured.plans.iter().map(|plan| explain::words(plan)).collect::<Vec<_>>().join(", "),
        up::addresses(address)
    ))?;
    if out.format != OutputFormat::Table {
        out.json(&serde_json::json!({
            "address": address.to_string(), "collection": COLLECTION, "recall_at_10": recall,
            "questions": questions.len(), "plans": measured.plans, "median_ms": took,
            "exact_median_ms": exact_took, "explain": explained, "passed": fault.is_none(),
        }))?;
    }
    match fault {
        Some(fault) => Err(Failure::new(Exit::CheckFailed, fault)),
        None => Ok(Exit::Ok),
    }
}

/// What is not as it should be. Without a graph among the plans, exact search was compared with itself.
fn fault(empty: bool, recall: f64, plans: &[String]) -> Option<String> {
    if empty {
        Some("a search found nothing".into())
    } else if !plans.iter().any(|plan| plan == "graph") {
        let plans = plans.join(", ");
        Some(format!("no search walked the graph (plans: {plans}), so the recall measured nothing"))
    } else if recall < RECALL_FLOOR {
        Some(format!("recall@10 is {recall:.3}, below {RECALL_FLOOR}"))
    } else {
        None
    }
}

/// Creates the collection and loads the sample, unless it is there.
async fn load(client: &Client, out: Output) -> Outcome<()> {
    client.create_collection(CreateCollection::new(COLLECTION, DIMENSION, "cosine")).await?;
    let mut rows = sample::rows()?;
    if client.count(CountRequest::new(COLLECTION)).await?.count == rows.rows() {
        return Ok(());
    }
    let clock = SystemClock::new();
    let mut importer = Importer::new(client.clone(), COLLECTION, ImporterOptions::default());
    while let Some(row) = sample::next(&mut rows)? {
        importer.add(row.number, row.point).await?;
    }
    let progress = importer.finish().await?;
    if let Some(failure) = importer.take_failures().first() {
        return Err(Failure::error(format!("row {} '{}': {}", failure.row, failure.id, failure.detail)));
    }
    let seconds = clock.now().since(Default::default()).as_secs_f64();
    if out.for_people() {
        out.text(&format!(
            "Loaded {} Debian packages ({DIMENSION} numbers each) in {seconds:.1} s, durable on disk.\n",
            progress.upserted
        ))?;
    }
    indexed(client).await
}

/// Lets the index take the rows in, so that it is the index that gets measured. Stops when it stands still.
async fn indexed(client: &Client) -> Outcome<()> {
    let clock = SystemClock::new();
    let (mut lag, mut moved) = (u64::MAX, clock.now());
    let mut poll = tokio::time::interval(LAG_POLL);
    loop {
        poll.tick().await;
        let now = client.status(COLLECTION).await?.index_lag;
        if now < lag {
            (lag, moved) = (now, clock.now());
        }
        if lag == 0 || clock.now().since(moved) > LAG_PATIENCE {
            return Ok(());
        }
    }
}

fn packages(answer: &SearchAnswer) -> Grid {
    #[derive(Default, serde::Deserialize)]
    struct Package {
        section: String,
        installed_size: u64,
        short: String,
    }
    let mut grid = Grid::new(["package", "score", "section", "KiB", "description"]);
    for result in &answer.results {
        let package: Package =
            result.payload.as_ref().map(Payload::parse).and_then(Result::ok).unwrap_or_default();
        grid.row(vec![
            Cell::text(&result.id),
            Cell::Decimal(f64::from(result.score)),
            Cell::text(package.section),
            Cell::Number(package.installed_size),
            Cell::text(shorten(&package.short, 60)),
        ]);
    }
    grid
}

struct Measured {
    recall: f64,
    median_ms: f64,
    exact_median_ms: f64,
    plans: Vec<String>,
}

/// Share of the true ten nearest that the default search finds.
async fn measure(client: &Client, questions: &[Question]) -> Outcome<Measured> {
    let (mut found, mut wanted) = (0, 0);
    let (mut times, mut exact_times) = (Vec::new(), Vec::new());
    let mut plans = BTreeSet::new();
    for question in questions {
        let request = || SearchRequest::new(COLLECTION, question.vector.clone()).include_payload(false);
        let exact = client.search(request().exact(true)).await?;
        let default = client.search(request()).await?;
        let truth: BTreeSet<&str> = exact.results.iter().map(|r| r.id.as_str()).collect();
        found += default.results.iter().filter(|r| truth.contains(r.id.as_str())).count();
        wanted += truth.len();
        times.push(default.meta.took_ms);
        exact_times.push(exact.meta.took_ms);
        let explained = client.search(request().explain(true)).await?.explain;
        plans.extend(explained.into_iter().flat_map(|e| e.shards).map(|shard| shard.plan));
    }
    Ok(Measured {
        recall: if wanted == 0 { 0.0 } else { found as f64 / wanted as f64 },
        median_ms: median(times),
        exact_median_ms: median(exact_times),
        plans: plans.into_iter().collect(),
    })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let plans = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(fault(false, 1.0, &plans(&["graph"])), None);
        assert!(fault(false, 1.0, &plans(&["flat"])).unwrap().contains("plans: flat"));
        assert!(fault(false, 1.0, &[]).is_some());
        assert!(fault(true, 1.0, &plans(&["graph"])).is_some());
        assert!(fault(false, 0.89, &plans(&["flat", "graph"])).unwrap().contains("0.890"));
    }
}
