//! Our contestant in `cargo xtask bench index`, and the maker of the data that all contestants read.
//!
//! `bench_index prepare SOURCE ROWS DIRECTORY` writes `rows.f32`, `queries.f32`, `shape` and the exact neighbours.
//! `bench_index run SETTING DIRECTORY` answers the lines `build` and `search K EFFORT` with one line of JSON each, as
//! `bench/peers/peer.py` does. Times are processor seconds of this thread, the only one that works.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the real clock and disk")]

#[path = "../../tests/suite/data.rs"]
#[allow(dead_code)]
mod data;
mod prepare;

use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, Write};
use std::path::Path;
use vectron_index::*;

type Failure = Box<dyn std::error::Error>;

/// Changes to the default parameters.
type Change = fn(&mut Params);

/// Build settings by name: one line each.
const SETTINGS: [(&str, Change); 2] =
    [("default", |_| {}), ("efc200", |params| params.ef_construction = 200)];

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

fn sweep(index: &mut VectorIndex, scratch: &mut Scratch) {
    while index.wants_sweep() {
        let mut cursor = SweepCursor::default();
        loop {
            let plan = index.plan_sweep(scratch, &mut cursor, 4096);
            if index.commit_sweep(plan).done {
                break;
            }
        }
    }
}

/// Puts and links every row; what a caller has to do, in one thread.
fn build(vectors: &[f32], params: Params, scratch: &mut Scratch) -> VectorIndex {
    let dimension = params.dimension;
    let mut index = VectorIndex::new(params);
    for (row, vector) in vectors.chunks_exact(dimension).enumerate() {
        assert!(index.put(row as Row, 1, vector, &()), "row {row} is refused");
    }
    while let Some(row) = index.next_pending() {
        if let Some(plan) = index.plan_insert(row, scratch) {
            index.commit_insert(plan);
        }
        sweep(&mut index, scratch);
    }
    index
}

/// All queries one after another: processor seconds, rows found, mean distances and hops per query.
fn search(index: &VectorIndex, queries: &[Vec<f32>], k: usize, ef: usize, scratch: &mut Scratch) -> String {
    let request = SearchRequest { k, ef, exact: false, allowed: None };
    let begun = cpu_seconds();
    let answers: Vec<SearchOutcome> =
        queries.iter().map(|query| index.search(query, &request, &(), scratch)).collect();
    let spent = cpu_seconds() - begun;
    let mean = |count: fn(&SearchStats) -> u64| {
        answers.iter().map(|answer| count(&answer.stats)).sum::<u64>() as f64 / answers.len().max(1) as f64
    };
    let ids = answers.iter().map(|answer| {
        let rows: Vec<String> = answer.hits.iter().map(|hit| hit.row.to_string()).collect();
        format!("[{}]", rows.join(","))
    });
    format!(
        r#"{{"cpu_s":{spent},"distances":{},"hops":{},"ids":[{}]}}"#,
        mean(|stats| stats.distances),
        mean(|stats| stats.hops),
        ids.collect::<Vec<_>>().join(",")
    )
}

fn run(setting: &str, directory: &Path) -> Result<(), Failure> {
    let change = SETTINGS.iter().find(|(name, _)| *name == setting).ok_or("no such setting")?.1;
    let shape = std::fs::read_to_string(directory.join("shape"))?;
    let dimension: usize = shape.split_whitespace().nth(2).ok_or("no dimension")?.parse()?;
    let mut params = Params::new(dimension, Metric::Cosine);
    change(&mut params);
    let queries = prepare::read_floats(&directory.join("queries.f32"))?;
    let queries: Vec<Vec<f32>> = queries.chunks_exact(dimension).map(<[f32]>::to_vec).collect();
    let mut scratch = Scratch::new();
    let mut index = VectorIndex::new(params.clone());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        r#"{{"version":"{}","isa":"{}"}}"#,
        env!("CARGO_PKG_VERSION"),
        distance::instruction_set()
    )?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["build"] => {
                let rows = prepare::read_floats(&directory.join("rows.f32"))?;
                let begun = cpu_seconds();
                index = build(&rows, params.clone(), &mut scratch);
                let spent = cpu_seconds() - begun;
                // Whoever measures this process's memory next must not count them.
                drop(rows);
                let (bytes, reach) = (index.bytes(), index.reachable());
                writeln!(
                    out,
                    r#"{{"cpu_s":{spent},"bytes":{},"graph_rows":{},"reachable":{}}}"#,
                    bytes.total(),
                    reach.graph_rows,
                    reach.reachable
                )?;
            }
            ["search", k, ef] => {
                writeln!(out, "{}", search(&index, &queries, k.parse()?, ef.parse()?, &mut scratch))?;
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
        out.flush()?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["prepare", source, rows, directory] => {
            prepare::prepare(Path::new(source), rows.parse()?, Path::new(directory))
        }
        ["run", setting, directory] => run(setting, Path::new(directory)),
        _ => {
            Err("usage: bench_index prepare SOURCE ROWS DIRECTORY | bench_index run SETTING DIRECTORY".into())
        }
    }
}
