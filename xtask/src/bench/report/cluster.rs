//! A cluster of real processes.

use super::circumstances;
use super::table::{number, table};
use serde_json::Value;

const PARTS: [(&str, &str); 5] = [
    ("writes", "What replication costs"),
    ("failover", "A leader is killed"),
    ("drain", "A worker is drained"),
    ("remote", "Search across processes"),
    ("replica", "A new replica"),
];

/// The section of the page.
pub fn section(result: &Value) -> String {
    let mut page = "## A cluster on one machine\n\nReal processes on loopback, every write synced; all of them, and \
                    the load generator, share the machine. Processor time is that of all processes of the cluster.\n"
        .to_string();
    for (key, title) in PARTS {
        let part = &result["sections"][key];
        let rows = part["rows"].as_array().cloned().unwrap_or_default();
        if rows.is_empty() {
            continue;
        }
        let cells = rows.iter().map(|row| {
            let digits = if row["value"].as_f64().is_some_and(|value| value >= 100.0) { 0 } else { 2 };
            let value = number(&row["value"], digits);
            [
                number(&row["what"], 0),
                value,
                number(&row["unit"], 0),
                number(&row["replication"], 0),
                number(&row["concurrency"], 0),
            ]
            .to_vec()
        });
        let cells: Vec<Vec<String>> = cells.collect();
        let mut about = part.clone();
        about["hardware"] = result["hardware"].clone();
        page.push_str(&format!(
            "\n### {title}\n\n{}\n{}",
            table(&["figure", "value", "unit", "replicas", "concurrency"], &cells),
            circumstances(&about)
        ));
    }
    page
}
