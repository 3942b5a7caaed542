//! `vectron search` and `vectron explain`.

use super::args::Global;
use super::exit::{Exit, Failure, Outcome};
use super::explain;
use super::output::{Cell, Grid, Output, note};
use super::points::{fields, payload_cells, vector_cell};
use super::vector;
use clap::Args;
use vectron_client::{Client, Consistency, GetRequest, Payload, SearchAnswer, SearchRequest};

/// What to search for and how.
#[derive(Clone, Debug, Args)]
pub struct Query {
    /// Collection.
    pub collection: String,
    /// The vector: '[0.1, 0.2]', @query.json or @query.npy.
    #[arg(long, conflicts_with = "like", required_unless_present = "like", allow_hyphen_values = true)]
    pub vector: Option<String>,
    /// Row of a .npy file.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub row: u64,
    /// Search for the neighbours of this point; it is left out itself, also when that leaves one less than the
    /// most results that the server gives.
    #[arg(long, value_name = "ID")]
    pub like: Option<String>,
    /// Number of results.
    #[arg(long, short, default_value_t = 10, value_name = "N")]
    pub k: u32,
    /// Only points that match.
    #[arg(long, value_parser = vector::filter, value_name = "JSON")]
    pub filter: Option<String>,
    /// Scan everything: the true nearest.
    #[arg(long, conflicts_with_all = ["ef", "recall_target"])]
    pub exact: bool,
    /// Candidates to keep: more find more and take longer.
    #[arg(long, value_name = "N", conflicts_with = "recall_target")]
    pub ef: Option<u32>,
    /// Share of the true neighbours to find.
    #[arg(long, value_name = "SHARE")]
    pub recall_target: Option<f32>,
    /// How fresh: linearizable, eventual, bounded:MS or session:TOKEN.
    #[arg(long, value_parser = vector::consistency, value_name = "LEVEL")]
    pub consistency: Option<Consistency>,
    /// Show vectors too.
    #[arg(long)]
    pub include_vector: bool,
    /// Leave payloads out.
    #[arg(long)]
    pub no_payload: bool,
    /// Only results with at least this score.
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub score_threshold: Option<f32>,
    /// The server's deadline in milliseconds.
    #[arg(long, value_name = "MS")]
    pub timeout_ms: Option<u64>,
    /// Accept an answer that lacks shards.
    #[arg(long)]
    pub allow_partial: bool,
}

/// Arguments of `search`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  vectron search docs --vector @query.npy --k 5
  vectron search docs --vector '[0.1, 0.2, 0.3]' --filter '{\"section\": \"libs\"}' -o json
  vectron search docs --like a42 --exact")]
pub struct SearchArgs {
    /// What to search for.
    #[command(flatten)]
    pub query: Query,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  vectron explain docs --like a42 --filter '{\"section\": \"games\"}'")]
pub struct ExplainArgs {
    /// What to search for.
    #[command(flatten)]
    pub query: Query,
}

/// Runs `search`.
pub async fn run(args: SearchArgs, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    let answer = answer(&client, args.query, false).await?;
    out.answer(&grid(&answer), &answer, &answer.results)?;
    if out.for_people() {
        note(footer(&answer));
    }
    Ok(exit(&answer))
}

/// Runs `explain`.
pub async fn run_explain(args: ExplainArgs, global: &Global, out: Output) -> Outcome<Exit> {
    let client = super::connect(global).await?;
    let answer = answer(&client, args.query, true).await?;
    let Some(explained) = &answer.explain else {
        return Err(Failure::error("the server did not explain its answer; is it of an older version?"));
    };
    if out.for_people() {
        out.text(&explain::render(&answer, explained, out.terminal))?;
    } else {
        out.answer(&explain::shards(explained), &answer, &explained.shards)?;
    }
    Ok(exit(&answer))
}

fn exit(answer: &SearchAnswer) -> Exit {
    if answer.meta.partial { Exit::Partial } else { Exit::Ok }
}

async fn answer(client: &Client, query: Query, explain: bool) -> Outcome<SearchAnswer> {
    let vector = match (&query.vector, &query.like) {
        (Some(text), _) => vector::read(text, query.row)?,
        (None, Some(id)) => like(client, &query, id).await?,
        (None, None) => return Err(Failure::usage("give --vector or --like")),
    };
    let mut request = SearchRequest::new(query.collection, vector)
        .include_payload(!query.no_payload)
        .include_vector(query.include_vector)
        .allow_partial(query.allow_partial)
        .explain(explain);
    if query.exact {
        request = request.exact(true);
    }
    if let Some(filter) = query.filter {
        request = request.filter(filter);
    }
    if let Some(ef) = query.ef {
        request = request.ef(ef);
    }
    if let Some(share) = query.recall_target {
        request = request.recall_target(share);
    }
    if let Some(level) = query.consistency {
        request = request.consistency(level);
    }
    if let Some(score) = query.score_threshold {
        request = request.score_threshold(score);
    }
    if let Some(ms) = query.timeout_ms {
        request = request.timeout_ms(ms);
    }
    let Some(id) = query.like else {
        return Ok(client.search(request.top_k(query.k)).await?);
    };
    // One more, because the point itself is its own nearest neighbour; but not more than the server gives.
    let mut answer = match client.search(request.clone().top_k(query.k.saturating_add(1))).await {
        Err(error) if error.fault.errors.iter().any(|field| field.field == "top_k") => {
            client.search(request.top_k(query.k)).await?
        }
        answer => answer?,
    };
    answer.results.retain(|result| result.id != id);
    answer.results.truncate(query.k as usize);
    Ok(answer)
}

/// The vector of the point, read as fresh as the search is asked to be.
async fn like(client: &Client, query: &Query, id: &str) -> Outcome<Vec<f32>> {
    let mut request = GetRequest::new(&query.collection, id).include_payload(false).include_vector(true);
    if let Some(level) = &query.consistency {
        request = request.consistency(level.clone());
    }
    if let Some(ms) = query.timeout_ms {
        request = request.timeout_ms(ms);
    }
    let point = client.get(request).await?.point;
    point.vector.ok_or_else(|| Failure::error(format!("point '{id}' came without its vector")))
}

/// Results as rows.
pub fn grid(answer: &SearchAnswer) -> Grid {
    let payloads: Vec<Option<&Payload>> = answer.results.iter().map(|r| r.payload.as_ref()).collect();
    let fields = fields(&payloads);
    let vectors = answer.results.iter().any(|result| result.vector.is_some());
    let mut grid = Grid::new(["id", "score"]);
    grid.columns.extend(fields.iter().cloned());
    if vectors {
        grid.columns.push("vector".into());
    }
    for result in &answer.results {
        let mut row = vec![Cell::text(&result.id), Cell::Decimal(f64::from(result.score))];
        row.extend(payload_cells(result.payload.as_ref(), &fields));
        if vectors {
            row.push(result.vector.as_ref().map_or(Cell::None, vector_cell));
        }
        grid.row(row);
    }
    grid
}

/// One line about an answer: how many, how long, how fresh, what is missing.
pub fn footer(answer: &SearchAnswer) -> String {
    let meta = &answer.meta;
    let results = answer.results.len();
    let mut line = format!("{results} results in {:.1} ms, {}", meta.took_ms, meta.consistency.level);
    if meta.consistency.staleness_ms > 0 {
        line += &format!(" (at most {} ms old)", meta.consistency.staleness_ms);
    }
    if meta.partial {
        line += &format!("; PARTIAL: {} of {} shards answered", meta.shards.answered, meta.shards.total);
    }
    if !meta.degraded.is_empty() {
        line += &format!("; {}", meta.degraded.join(", "));
    }
    line
}
