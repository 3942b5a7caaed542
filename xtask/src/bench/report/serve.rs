//! One node over the wire.

use super::table::{number, table};
use super::{Files, circumstances, dataset};
use crate::bench::svg::{Line, chart};
use serde_json::Value;

/// A column: key in a row, title, digits after the point.
type Column = (&'static str, &'static str, usize);

/// Section, its title, its columns.
type Part = (&'static str, &'static str, &'static [Column]);

const RECALL: [Column; 5] = [
    ("recall", "recall@10", 4),
    ("recall_by_id", "by id", 4),
    ("recall_by_score", "by score (ε 0.001)", 4),
    ("recall_p5", "p5", 1),
    ("short", "queries with under 10", 3),
];

const PARTS: [Part; 7] = [
    (
        "import",
        "Import, memory",
        &[
            ("what", "figure", 0),
            ("value", "value", 0),
            ("unit", "unit", 0),
            ("concurrency", "concurrency", 0),
        ],
    ),
    (
        "search",
        "Search, closed loop",
        &[
            ("what", "search", 0),
            ("concurrency", "clients", 0),
            RECALL[0],
            RECALL[1],
            RECALL[2],
            RECALL[3],
            RECALL[4],
            ("us", "µs CPU/query", 0),
            ("qps", "queries/s", 0),
            ("p50_us", "p50 µs", 0),
            ("p99_us", "p99 µs", 0),
        ],
    ),
    (
        "open",
        "Search, open loop (latency from the intended start)",
        &[
            ("what", "arrivals", 0),
            ("rate", "queries/s asked", 0),
            ("qps", "queries/s answered", 0),
            ("concurrency", "connections", 0),
            RECALL[0],
            ("us", "µs CPU/query", 0),
            ("p50_us", "p50 µs", 0),
            ("p99_us", "p99 µs", 0),
            ("p999_us", "p99.9 µs", 0),
        ],
    ),
    (
        "filters",
        "Filtered search at the default setting",
        &[
            ("what", "filter", 0),
            ("matching", "rows matching", 0),
            ("concurrency", "clients", 0),
            RECALL[0],
            RECALL[1],
            RECALL[2],
            RECALL[3],
            RECALL[4],
            ("us", "µs CPU/query", 0),
            ("ratio", "times the unfiltered", 2),
            ("p50_us", "p50 µs", 0),
            ("p99_us", "p99 µs", 0),
            ("plan", "plan", 0),
        ],
    ),
    (
        "restart",
        "Restart after kill -9",
        &[
            ("what", "figure", 0),
            ("value", "value", 0),
            ("unit", "unit", 0),
            ("concurrency", "concurrency", 0),
        ],
    ),
    (
        "churn",
        "Cycles of deleting and inserting 20 %",
        &[
            ("what", "moment", 0),
            ("concurrency", "clients", 0),
            ("points", "points", 0),
            ("recall_32", "recall@10, ef 32", 4),
            ("recall_64", "ef 64", 4),
            ("recall_128", "ef 128", 4),
            ("recall", "default", 4),
            ("recall_p5", "p5", 1),
            ("short", "queries with under 10", 3),
            ("us", "µs CPU/query", 0),
            ("bytes_per_row", "reported bytes/row", 0),
            ("cycle_cpu_s", "CPU-s of the cycle", 1),
        ],
    ),
    (
        "ingest",
        "Search during import, open loop",
        &[
            ("what", "meanwhile", 0),
            ("written", "rows/s written", 0),
            ("rate", "queries/s asked", 0),
            ("concurrency", "connections", 0),
            RECALL[0],
            ("p50_us", "p50 µs", 0),
            ("p99_us", "p99 µs", 0),
            ("p99_ratio", "p99 against idle", 2),
        ],
    ),
];

/// The part of the page about one file of results; its picture goes to `files`.
pub fn section(name: &str, result: &Value, files: &mut Files) -> String {
    let settings: Vec<&str> =
        result["settings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let settings = if settings.is_empty() { "default settings".into() } else { settings.join(", ") };
    let mut page = format!(
        "## Over the wire: one node, {settings}\n\nData: {}. One shard, replication factor 1, every write synced, \
         reads linearizable; gRPC unless a row says REST; top-10 with payload. Node and load generator share the \
         machine; processor time is the node's, of all its threads.\n",
        dataset(&result["dataset"])
    );
    let rows = result["sections"]["search"]["rows"].as_array().cloned().unwrap_or_default();
    let mut points: Vec<(f64, f64)> = rows
        .iter()
        .filter(|row| row["curve"] == true)
        .filter_map(|row| Some((row["recall"].as_f64()?, row["us"].as_f64()?)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if !points.is_empty() {
        let line = Line { name: "Vectron, gRPC, 8 clients".into(), points, ours: true };
        let title =
            format!("Over the wire, {} × {}", result["dataset"]["rows"], result["dataset"]["dimension"]);
        let picture = chart(&title, "µs of the node's processor time per query", &[line]);
        files.insert(format!("docs/img/{name}.svg"), picture);
        page.push_str(&format!("\n![The node's processor time per query over recall](img/{name}.svg)\n"));
    }
    for (key, title, columns) in &PARTS {
        let part = &result["sections"][key];
        if part.is_null() {
            continue;
        }
        let mut about = part.clone();
        about["hardware"] = result["hardware"].clone();
        page.push_str(&format!("\n### {title}\n\n{}\n{}", rendered(part, columns), circumstances(&about)));
    }
    page
}

fn rendered(part: &Value, columns: &[Column]) -> String {
    let rows: Vec<Vec<String>> = part["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| columns.iter().map(|(key, _, digits)| number(&row[key], *digits)).collect())
        .collect();
    let names: Vec<&str> = columns.iter().map(|(_, name, _)| *name).collect();
    let mut text = table(&names, &rows) + "\n";
    for note in part["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("Note: {note}\n\n"));
    }
    text
}

/// The tables alone, for the terminal.
pub fn tables(result: &Value) -> String {
    let parts = PARTS.iter().filter(|(key, ..)| !result["sections"][key].is_null());
    parts
        .map(|(key, title, columns)| format!("\n{title}\n\n{}", rendered(&result["sections"][key], columns)))
        .collect()
}
