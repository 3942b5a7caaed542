//! The in-process comparison.

use super::table::{number, table};
use super::{Files, circumstances, dataset};
use crate::bench::curve::TARGETS;
use crate::bench::svg::{Line, chart};
use serde_json::Value;

fn contestants(result: &Value) -> impl Iterator<Item = &Value> {
    result["contestants"].as_array().into_iter().flatten()
}

/// The part of the page about one run; its picture goes to `files`.
pub fn section(name: &str, result: &Value, files: &mut Files) -> String {
    let lines = contestants(result).filter(|one| one["skipped"].is_null()).map(|one| Line {
        name: text(&one["name"]),
        ours: one["library"] == "ours",
        points: one["points"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|point| Some((point["recall"].as_f64()?, point["us"].as_f64()?)))
            .collect(),
    });
    let title = format!("In-process, one thread, {}", dataset(&result["dataset"]));
    let picture = chart(
        &title.split(", debian").next().unwrap_or_default().replace(" (", ", "),
        "µs of processor time per query",
        &lines.collect::<Vec<_>>(),
    );
    files.insert(format!("docs/img/{name}.svg"), picture);
    format!(
        "## In-process: {} rows\n\nData: {}. One thread, top-{}, no server: consistency, replication and concurrency do \
         not apply. Medians of {} rounds, contestants in turn; ratios by round, against {}. {}\n\
         ![Processor time per query over recall](img/{name}.svg)\n\n{}",
        result["dataset"]["rows"],
        dataset(&result["dataset"]),
        result["k"],
        result["rounds"],
        text(&result["reference"]),
        circumstances(result),
        tables(result)
    )
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_string()
}

/// Cost at equal recall, build and memory, and the points behind the curves.
pub fn tables(result: &Value) -> String {
    let mut columns = vec!["µs CPU/query (times less than the reference) at recall".to_string()];
    columns.extend(TARGETS.iter().map(ToString::to_string));
    columns.extend(
        ["rows/CPU-s built", "bytes/row", "anonymous memory/row", "unreachable", "version", "instructions"]
            .map(String::from),
    );
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = contestants(result).map(|one| figures(one, columns.len())).collect();
    let mut points = Vec::new();
    for one in contestants(result) {
        for point in one["points"].as_array().into_iter().flatten() {
            points.push(vec![
                text(&one["name"]),
                format!("{} {}", text(&one["effort"]), point["effort"]),
                number(&point["recall"], 4),
                number(&point["recall_by_id"], 4),
                number(&point["recall_by_score"], 4),
                number(&point["recall_p5"], 1),
                number(&point["short"], 3),
                number(&point["us"], 0),
                number(&point["distances"], 0),
                number(&point["hops"], 0),
            ]);
        }
    }
    let names = [
        "",
        "effort",
        "recall@10",
        "by id",
        "by score (ε 0.001)",
        "p5",
        "queries with under 10",
        "µs CPU",
        "distances",
        "hops",
    ];
    format!(
        "{}\n<details><summary>The measured points</summary>\n\n{}\n</details>\n",
        table(&columns, &rows),
        table(&names, &points)
    )
}

fn figures(one: &Value, columns: usize) -> Vec<String> {
    let mut row = vec![text(&one["name"])];
    if let Some(why) = one["skipped"].as_str() {
        row.push(format!("skipped: {}", why.replace('|', "/")));
        row.resize(columns, String::new());
        return row;
    }
    for target in TARGETS {
        let figure = &one["at"][target.to_string()];
        let most = if figure["at_most"] == true { "≤ " } else { "" };
        row.push(match (figure["us"].as_f64(), figure["ratio"].as_f64()) {
            (Some(us), Some(ratio)) => format!("{most}{us:.0} ({ratio:.2} ×)"),
            (Some(us), None) => format!("{most}{us:.0}"),
            _ => "–".into(),
        });
    }
    let build = &one["build"];
    let old = if build["earlier_run"] == true { " (earlier run)" } else { "" };
    row.push(number(&build["rows_per_cpu_s"], 0) + old);
    row.push(number(&build["bytes_per_row"], 0));
    row.push(number(&build["memory_growth_per_row"], 0));
    row.push(number(&build["unreachable"], 0));
    row.push(text(&one["version"]));
    row.push(text(&one["isa"]));
    row
}
