//! Builds the whole real data set and prints what building and searching cost.
//!
//! `cargo run --release -p vectron-index --example measure [rows [what]]`, where what is `none`, `8bit`,
//! `4bit`, `filters`, `dot` or `euclidean`; all of them if it is left out.

#![allow(clippy::disallowed_methods)] // A measurement reads the real clock and disk.

#[path = "../tests/suite/data.rs"]
#[allow(dead_code)]
mod data;

use std::collections::BTreeSet;
use vectron_index::*;

/// CPU seconds of this thread where the system tells, else seconds on the clock.
fn cpu_seconds(start: std::time::Instant) -> f64 {
    let spent = std::fs::read_to_string("/proc/self/schedstat").ok();
    let spent = spent.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
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

fn build(
    data: &data::Data,
    metric: Metric,
    quantization: Quantization,
    scratch: &mut Scratch,
) -> VectorIndex {
    let mut index = VectorIndex::new(Params { quantization, ..Params::new(data.dimension, metric) });
    for row in 0..data.len() {
        index.put(row as Row, 1, data.row(row), &());
    }
    let start = std::time::Instant::now();
    let before = cpu_seconds(start);
    while let Some(row) = index.next_pending() {
        if let Some(plan) = index.plan_insert(row, scratch) {
            index.commit_insert(plan);
        }
        if index.wants_sweep() {
            sweep(&mut index, scratch);
        }
    }
    sweep(&mut index, scratch);
    let seconds = cpu_seconds(start) - before;
    let (bytes, reach) = (index.bytes(), index.reachable());
    println!(
        "{metric:?} {quantization:?}: {} rows in {seconds:.1} CPU-s, {:.0} rows/CPU-s, {} bytes/row ({} of codes, {} of links), reachable {}/{}",
        data.len(),
        data.len() as f64 / seconds,
        bytes.total() / data.len(),
        bytes.codes / data.len(),
        bytes.links / data.len(),
        reach.reachable,
        reach.graph_rows,
    );
    index
}

fn truth(
    index: &VectorIndex,
    data: &data::Data,
    scratch: &mut Scratch,
    allowed: Option<&vectron_index::RowSet>,
) -> Vec<Vec<Hit>> {
    let exact = SearchRequest { k: 10, ef: 10, exact: true, allowed };
    (0..data.query_count()).map(|at| index.search(data.query(at), &exact, &(), scratch).hits).collect()
}

fn curve(
    index: &VectorIndex,
    data: &data::Data,
    scratch: &mut Scratch,
    allowed: Option<&vectron_index::RowSet>,
    efs: &[usize],
) {
    let truth = truth(index, data, scratch, allowed);
    let queries = data.query_count();
    for ef in efs.iter().copied() {
        let request = SearchRequest { k: 10, ef, exact: false, allowed };
        let start = std::time::Instant::now();
        let before = cpu_seconds(start);
        let answers: Vec<SearchOutcome> =
            (0..queries).map(|at| index.search(data.query(at), &request, &(), scratch)).collect();
        let seconds = cpu_seconds(start) - before;
        let (mut same, mut near, mut wanted, mut distances, mut rescored) = (0, 0, 0, 0, 0);
        let mut plans = BTreeSet::new();
        for (answer, truth) in answers.iter().zip(&truth) {
            let rows: BTreeSet<Row> = truth.iter().map(|hit| hit.row).collect();
            let worst = truth.last().map_or(0.0, |hit| hit.score) - 1e-3;
            same += answer.hits.iter().filter(|hit| rows.contains(&hit.row)).count();
            near += answer.hits.iter().filter(|hit| hit.score >= worst).count();
            wanted += truth.len();
            distances += answer.stats.distances;
            rescored += answer.stats.rescored;
            plans.insert(answer.plan.as_str());
        }
        println!(
            "  ef {ef:4}: recall@10 {:.4} (by score {:.4}), {:.0} µs/query, {:.0} distances, {:.1} rescored, {plans:?}",
            same as f64 / wanted.max(1) as f64,
            near as f64 / wanted.max(1) as f64,
            seconds / queries as f64 * 1e6,
            distances as f64 / queries as f64,
            rescored as f64 / queries as f64,
        );
    }
}

/// Section and installed size per row, read from the payload by the system's gzip.
fn payload() -> Option<Vec<(String, u64)>> {
    let path = data::directory().join("payload.jsonl.gz");
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let field = |line: &str, name: &str| -> Option<String> {
        let rest = line.split(&format!("\"{name}\": ")).nth(1)?;
        Some(rest.split([',', '}']).next()?.trim_matches('"').to_string())
    };
    let row = |line: &str| {
        let size = field(line, "installed_size").and_then(|size| size.parse().ok());
        (field(line, "section").unwrap_or_default(), size.unwrap_or(0))
    };
    Some(text.lines().map(row).collect())
}

type Filter = (&'static str, fn(&str, u64) -> bool);

const FILTERS: [Filter; 8] = [
    ("sec20", |section, _| section == "libs" || section == "libdevel"),
    ("sec5", |section, _| section == "devel"),
    ("sec1", |section, _| section == "fonts"),
    ("sec01", |section, _| section == "xfce"),
    ("size20", |_, size| size >= 1960),
    ("size1", |_, size| size >= 95_138),
    ("size01", |_, size| size >= 700_694),
    ("size50", |_, size| (64..1229).contains(&size)),
];

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(usize::MAX);
    let what = std::env::args().nth(2);
    let wanted = |name: &str| what.as_ref().is_none_or(|what| what == name);
    let data = data::load(rows);
    let mut scratch = Scratch::new();
    println!("kernels: {}", distance::instruction_set());
    let efs = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512];
    for (name, quantization) in
        [("none", Quantization::None), ("8bit", Quantization::EightBit), ("4bit", Quantization::FourBit)]
    {
        if wanted(name) {
            let index = build(&data, Metric::Cosine, quantization, &mut scratch);
            curve(&index, &data, &mut scratch, None, &efs);
        }
    }
    let auto = Quantization::auto(data.dimension);
    if wanted("filters")
        && let Some(payload) = payload()
    {
        let index = build(&data, Metric::Cosine, auto, &mut scratch);
        for (name, passes) in FILTERS {
            let allowed = payload.iter().take(data.len()).enumerate();
            let allowed = allowed.filter(|(_, (section, size))| passes(section, *size));
            let allowed = allowed.map(|(row, _)| row as Row).collect();
            println!("filter {name}");
            curve(&index, &data, &mut scratch, Some(&allowed), &[24, 40, 64, 128]);
        }
    }
    for spread in [0.1, 0.3, 1.0].into_iter().filter(|_| wanted("dot")) {
        println!("inner product over log-normal norms, sigma {spread}");
        let mut chance = data::Chance(3);
        let mut varied = data::load(rows);
        let dimension = varied.dimension;
        for row in varied.rows.chunks_mut(dimension) {
            let norm = (spread * chance.normal()).exp();
            row.iter_mut().for_each(|value| *value *= norm);
        }
        let index = build(&varied, Metric::Dot, auto, &mut scratch);
        curve(&index, &varied, &mut scratch, None, &[32, 64, 128, 256, 512]);
    }
    if wanted("euclidean") {
        let index = build(&data, Metric::Euclidean, auto, &mut scratch);
        curve(&index, &data, &mut scratch, None, &[64, 128, 256]);
    }
}
