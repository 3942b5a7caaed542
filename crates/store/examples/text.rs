//! What ranked text search costs on real documents: run with
//! `cargo run --release -p vectron-store --example text -- <directory with payload.jsonl and queries.jsonl>`.
//! Every document's name and descriptions are one field. Vectors are made up. Building and writing are told in processor
//! time. A search's time is the least of some runs of one thread that waits for nothing, so it is processor time too, as
//! long as nobody else takes the core in the middle of all of them.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the data set lies outside of any shard")]

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::disk::{Disk, RealDisk};
use vectron_base::filter::{FieldIndex, FieldType, Filter, FilterLimits, Language, TextAnalysis};
use vectron_store::{
    Command, Metric, Operation, Shard, ShardConfig, TextOperator, TextQuery, TextSearch, UpsertPoint,
};

const RUNS: usize = 5;
const FILTERS: [&str; 6] = [
    r#"{"section":{"$in":["libs","libdevel"]}}"#,
    r#"{"section":{"$in":["fonts"]}}"#,
    r#"{"section":{"$in":["xfce"]}}"#,
    r#"{"installed_size":{"$gte":64,"$lt":1229}}"#,
    r#"{"installed_size":{"$gte":95138}}"#,
    r#"{"section":"libs","installed_size":{"$gte":64,"$lt":1229}}"#,
];

fn lines(path: String) -> Vec<serde_json::Value> {
    let file = std::fs::File::open(path).unwrap();
    let lines = std::io::BufReader::new(file).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn text(document: &serde_json::Value, field: &str) -> String {
    document[field].as_str().unwrap_or_default().to_string()
}

/// The least time of each search over some runs, sorted.
fn times(clock: &SystemClock, shard: &Shard, searches: &[TextSearch]) -> Vec<Duration> {
    let mut least = vec![Duration::MAX; searches.len()];
    for _ in 0..RUNS {
        for (least, search) in least.iter_mut().zip(searches) {
            let start = clock.now();
            shard.text_search(search).unwrap();
            *least = clock.now().since(start).min(*least);
        }
    }
    least.sort();
    least
}

/// Processor time of this process so far, in seconds: what writing and building took beside other processes.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn told(times: &[Duration]) -> String {
    let micros = |took: Duration| took.as_secs_f64() * 1e6;
    let mean = times.iter().map(|took| micros(*took)).sum::<f64>() / times.len() as f64;
    let at = |share: f64| micros(times[((times.len() - 1) as f64 * share) as usize]);
    format!(
        "mean {mean:.0} µs, median {:.0}, p95 {:.0}, p99 {:.0}, most {:.0}",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    )
}

fn main() {
    let data = std::env::args().nth(1).expect("the directory of the data set");
    let clock = SystemClock::new();
    let documents = lines(format!("{data}/payload.jsonl"));
    let queries = lines(format!("{data}/queries.jsonl"));
    let root = tempfile::tempdir().unwrap();
    let mut shape = ShardConfig::new(2, Metric::Dot);
    shape.flat_below = usize::MAX;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(root.path()).unwrap());
    let shard = Shard::open(disk, "shard", shape).unwrap();
    let points: Vec<UpsertPoint> = documents
        .iter()
        .enumerate()
        .map(|(row, document)| {
            let words = ["name", "short", "long"].map(|field| text(document, field)).join("\n");
            let payload = serde_json::json!({
                "text": words, "short": document["short"], "section": document["section"],
                "installed_size": document["installed_size"],
            });
            let vector = vec![1.0, row as f32 + 1.0].into();
            UpsertPoint { id: format!("doc-{row}"), vector, payload: payload.to_string(), if_version: None }
        })
        .collect();
    let commands: Vec<Vec<u8>> = points
        .chunks(100)
        .map(|points| {
            let operation = Operation::Upsert(points.to_vec());
            Command { log_time_ms: 0, idempotency: None, range: None, operation }.encode()
        })
        .collect();
    let apply = || {
        let start = processor_seconds();
        for command in &commands {
            shard.apply(shard.applied_index() + 1, command);
        }
        (processor_seconds() - start) * 1e6 / points.len() as f64
    };
    println!("{} documents; written without an index: {:.1} µs each", points.len(), apply());
    for language in [Language::None, Language::English] {
        let index = |field: &str, kind| FieldIndex { field: field.into(), kind };
        let kind = FieldType::Text(TextAnalysis::new(Some(language), None).unwrap());
        shard.set_field_indexes(&[]);
        let empty = shard.stats().field_index_bytes;
        shard.set_field_indexes(&[index("text", kind)]);
        let start = processor_seconds();
        while shard.index_step(&|| false).more {}
        let took = processor_seconds() - start;
        let bytes = (shard.stats().field_index_bytes - empty) as f64 / points.len() as f64;
        println!("{}: built in {took:.1} s, {bytes:.0} bytes a row", language.as_str());
        println!("  written again: {:.1} µs each", apply());
        shard.set_field_indexes(&[
            index("text", kind),
            index("section", FieldType::Keyword),
            index("installed_size", FieldType::Integer),
        ]);
        while shard.index_step(&|| false).more {}
        let searches = |change: &dyn Fn(&mut TextSearch, &str)| -> Vec<TextSearch> {
            let search = |query: &serde_json::Value| {
                let words = text(query, "text");
                let mut search = TextSearch::new(TextQuery::new("text", &words), 10);
                change(&mut search, &words);
                search
            };
            queries.iter().map(search).collect()
        };
        let plain = searches(&|_, _| {});
        let scored: u64 = plain.iter().map(|s| shard.text_search(s).unwrap().explain.bytes / 8).sum();
        println!(
            "  or, {} queries: {}; {} postings scored each",
            plain.len(),
            told(&times(&clock, &shard, &plain)),
            scored / plain.len() as u64
        );
        let top_100 = searches(&|search, _| search.top_k = 100);
        println!("  or, top 100: {}", told(&times(&clock, &shard, &top_100)));
        let and = searches(&|search, _| search.query.operator = TextOperator::And);
        println!("  and: {}", told(&times(&clock, &shard, &and)));
        let phrase = searches(&|search, words| {
            let two: Vec<&str> = words.split_whitespace().take(2).collect();
            search.query.text = format!("\"{}\"", two.join(" "));
        });
        println!("  phrase of the first two words: {}", told(&times(&clock, &shard, &phrase)));
        let prefix = searches(&|search, words| {
            let start: String = words.chars().filter(|c| c.is_alphanumeric()).take(3).collect();
            search.query.text = format!("{start}*");
        });
        println!("  prefix of three letters: {}", told(&times(&clock, &shard, &prefix)));
        for filter in FILTERS {
            let parsed = Filter::parse(filter, &FilterLimits::default()).unwrap();
            let filtered = searches(&|search, _| search.filter = Some(parsed.clone()));
            let matched = shard.count(Some(&parsed)).unwrap().value;
            println!("  {filter} ({matched} rows): {}", told(&times(&clock, &shard, &filtered)));
        }
    }
}
