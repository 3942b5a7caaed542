//! How a search was done, for people.

use super::output::{Cell, Grid, human_bytes, human_us};
use super::search::footer;
use vectron_client::{Explain, FilterExplain, SearchAnswer, ShardExplain};

/// The whole explanation as text.
pub fn render(answer: &SearchAnswer, explain: &Explain, terminal: bool) -> String {
    let mut text = footer(answer) + "\n";
    for shard in &explain.shards {
        text += &format!("\nshard {}: {}\n", shard.shard, words(&shard.plan));
        for line in facts(shard) {
            text += &format!("  {line}\n");
        }
        let stages: Vec<String> =
            shard.stages.iter().map(|stage| format!("{} {}", stage.name, human_us(stage.us))).collect();
        if !stages.is_empty() {
            text += &format!("  time: {}\n", stages.join(", "));
        }
    }
    if !explain.stages.is_empty() {
        text += "\n";
        let mut grid = Grid::new(["stage", "time"]);
        for stage in &explain.stages {
            grid.row(vec![Cell::text(&stage.name), Cell::text(human_us(stage.us))]);
        }
        text += &grid.render(terminal);
    }
    text
}

/// A plan in a sentence.
pub fn words(plan: &str) -> String {
    let meaning = match plan {
        "flat" => "every row was scored, there is no graph yet",
        "graph" => "the graph was walked",
        "graph_filtered" => "the graph was walked past rows that the filter refuses",
        "scan_allowed" => "the filter leaves few rows, so exactly those were scored",
        "scan_after_budget" => "the walk met too few allowed rows, so the allowed rows were scored",
        "text_or" => "the best rows with any of the words",
        "text_and" => "the best rows with all of the words",
        _ => return plan.to_string(),
    };
    format!("{plan} ({meaning})")
}

fn facts(shard: &ShardExplain) -> Vec<String> {
    let mut lines = vec![format!("rows: {} live", shard.rows_live)];
    if let Some(matched) = shard.filter_matched {
        let share = 100.0 * matched as f64 / shard.rows_live.max(1) as f64;
        lines[0] += &format!(", {matched} match the filter ({share:.1} %)");
    }
    lines.push(format!(
        "work: {} distances, {} hops, ef {}, {} unindexed rows scanned",
        shard.distances, shard.hops, shard.ef, shard.tail_scanned
    ));
    lines.extend(codes(shard));
    lines.extend(shard.filter.as_ref().map(filter));
    lines.push(format!("at applied index {}", shard.applied_index));
    lines
}

/// What was read and scored anew, as far as the shard measures it.
fn codes(shard: &ShardExplain) -> Option<String> {
    let parts = [
        shard.quantization.as_ref().map(|kind| format!("{kind} codes")),
        shard.bytes_read.map(|bytes| format!("{} read", human_bytes(bytes))),
        shard.precise.map(|count| format!("{count} precise distances")),
        shard.rescored.map(|count| format!("{count} rescored")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("vectors: {}", parts.join(", ")))
}

fn filter(filter: &FilterExplain) -> String {
    let counts = [
        filter.estimated.map(|count| format!("{count} estimated")),
        filter.matched.map(|count| format!("{count} matched")),
        filter.checked.map(|count| format!("{count} payloads checked")),
        (!filter.unindexed.is_empty()).then(|| format!("without an index: {}", filter.unindexed.join(", "))),
    ];
    let parts: Vec<String> =
        std::iter::once(filter.plan.clone()).chain(counts.into_iter().flatten()).collect();
    format!("filter: {}", parts.join(", "))
}

/// One row per shard.
pub fn shards(explain: &Explain) -> Grid {
    let mut grid = Grid::new([
        "shard",
        "plan",
        "ef",
        "rows_live",
        "filter_matched",
        "distances",
        "hops",
        "tail_scanned",
        "us",
    ]);
    for s in &explain.shards {
        grid.row(vec![
            Cell::Number(s.shard),
            Cell::text(&s.plan),
            Cell::Number(s.ef.into()),
            Cell::Number(s.rows_live),
            s.filter_matched.map_or(Cell::None, Cell::Number),
            Cell::Number(s.distances),
            Cell::Number(s.hops),
            Cell::Number(s.tail_scanned),
            Cell::Number(s.stages.iter().map(|stage| stage.us).sum()),
        ]);
    }
    grid
}
