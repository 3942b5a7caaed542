//! `bench index`: everyone builds once, then the curves are measured in rounds, each contestant in turn.

use super::contestant::Contestant;
use super::curve::{Cost, TARGETS, cost_at, median};
use super::options::Options;
use super::peers::{self, ENTRIES, Entry, REFERENCE};
use super::recall::{Quality, Truth};
use super::{Failure, SCHEMA, build, keep, machine, target};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Neighbours asked for.
const K: usize = 10;
/// Past this recall more effort shows nothing.
const ENOUGH: f64 = 0.9995;

/// One effort of one contestant over all rounds.
struct Point {
    effort: usize,
    quality: Quality,
    distances: Option<f64>,
    hops: Option<f64>,
    /// Microseconds of processor time per query, by round.
    us: Vec<f64>,
}

struct Running<'a> {
    entry: &'a Entry,
    contestant: Contestant,
    build: Value,
    points: Vec<Point>,
}

impl Running<'_> {
    /// (recall, µs) of one round, in order of effort.
    fn round(&self, round: usize) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (point.quality.recall, point.us[round])).collect()
    }
}

/// Measures and keeps the result.
pub fn run(options: &Options) -> Result<(), Failure> {
    build(&["-p", "vectron-index", "--example", "bench_index"])?;
    let directory = prepare(options)?;
    let truth = Truth::open(&directory)?;
    let python = peers::python();
    if let Err(error) = &python {
        eprintln!("no peers: {error}");
    }
    let load_before = machine::load();
    let (mut running, mut skipped) = (Vec::new(), Vec::new());
    for entry in ENTRIES.iter().filter(|entry| wanted(entry, options)) {
        let python = python.as_deref().ok();
        match start(entry, python, &directory, &truth, options.reuse) {
            Ok(one) => running.push(one),
            Err(error) => {
                eprintln!("{}: skipped: {error}", entry.name);
                skipped.push(json!({"name": entry.name, "skipped": error.to_string()}));
            }
        }
    }
    for round in 0..options.rounds {
        // Whoever comes first differs by round: a warm or a throttled processor is no one's luck.
        let count = running.len().max(1);
        running.rotate_left(round.min(1) % count);
        for one in &mut running {
            measure(one, round, &truth, options.quick)?;
        }
        eprintln!("round {} of {} done, load {}", round + 1, options.rounds, machine::load());
    }
    running.sort_by_key(|one| ENTRIES.iter().position(|entry| entry.name == one.entry.name));
    let reference = running.iter().position(|one| one.entry.name == REFERENCE);
    let measured: Vec<Value> =
        running.iter().map(|one| summary(one, reference.map(|at| &running[at]), options.rounds)).collect();
    let result = json!({
        "schema": SCHEMA,
        "kind": "index",
        "dataset": {
            "name": "debian",
            "rows": truth.row_count,
            "made_rows": truth.made,
            "dimension": truth.dimension,
            "queries": truth.queries.len(),
            "distance": "cosine",
        },
        "k": K,
        "rounds": options.rounds,
        "threads": 1,
        "seed": "each library's default; ours is fixed",
        "reference": REFERENCE,
        "hardware": machine::hardware(),
        "load_before": load_before,
        "load_after": machine::load(),
        "commit": machine::commit(),
        "date": machine::date(),
        "command": options.command("index"),
        "contestants": measured.into_iter().chain(skipped).collect::<Vec<_>>(),
    });
    print!("{}", super::report::index_tables(&result));
    let name = if options.rows == 0 { "index".to_string() } else { format!("index-{}", options.rows) };
    keep(&name, options.quick || !options.contestants.is_empty(), &result)
}

fn wanted(entry: &Entry, options: &Options) -> bool {
    let named = |word: &String| entry.name.contains(word.as_str());
    options.contestants.is_empty() || options.contestants.iter().any(named)
}

/// The directory with the rows as all contestants read them and their truth, made once.
fn prepare(options: &Options) -> Result<PathBuf, Failure> {
    let name = if options.rows == 0 { "all".to_string() } else { options.rows.to_string() };
    let directory = target().join("bench").join(format!("data-{name}"));
    if !directory.join("shape").exists() {
        let status = Command::new(target().join("release/examples/bench_index"))
            .arg("prepare")
            .arg(&options.data)
            .arg(options.rows.to_string())
            .arg(&directory)
            .status()?;
        if !status.success() {
            return Err("the data could not be prepared; --data names its directory".into());
        }
    }
    Ok(directory)
}

fn start<'a>(
    entry: &'a Entry,
    python: Option<&Path>,
    directory: &Path,
    truth: &Truth,
    reuse: bool,
) -> Result<Running<'a>, Failure> {
    let mut contestant = Contestant::start(&mut peers::command(entry, python, directory)?)?;
    let saved = directory.join(entry.name.replace([' ', ','], "-"));
    let record = saved.with_extension("built.json");
    let recorded = std::fs::read_to_string(&record).ok().and_then(|text| serde_json::from_str(&text).ok());
    let build = match recorded {
        Some(Value::Object(mut earlier)) if reuse && entry.library != "ours" => {
            contestant.ask(&format!("load {}", saved.display()))?;
            earlier.insert("earlier_run".into(), true.into());
            Value::Object(earlier)
        }
        _ => {
            let before = contestant.anonymous_bytes();
            let mut built = contestant.ask("build")?;
            let grown = contestant.anonymous_bytes().saturating_sub(before);
            if entry.library != "ours" {
                built["bytes"] = contestant.ask(&format!("save {}", saved.display()))?["bytes"].take();
            }
            let rows = truth.row_count as f64;
            let per_row = |bytes: f64| (bytes / rows).round();
            let mut build = json!({
                "cpu_s": built["cpu_s"],
                "rows_per_cpu_s": (rows / built["cpu_s"].as_f64().unwrap_or(f64::NAN)).round(),
                "bytes_per_row": per_row(built["bytes"].as_f64().unwrap_or(f64::NAN)),
                "memory_growth_per_row": per_row(grown as f64),
                "earlier_run": false,
            });
            if !built["reachable"].is_null() {
                build["unreachable"] = (built["graph_rows"].as_u64().unwrap_or(0)
                    - built["reachable"].as_u64().unwrap_or(0))
                .into();
            }
            std::fs::write(record, build.to_string())?;
            build
        }
    };
    eprintln!("{}: {} rows/CPU-s built, load {}", entry.name, build["rows_per_cpu_s"], machine::load());
    Ok(Running { entry, contestant, build, points: Vec::new() })
}

/// One round of one contestant: in the first, efforts rise until nothing more is found.
fn measure(one: &mut Running<'_>, round: usize, truth: &Truth, quick: bool) -> Result<(), Failure> {
    let efforts: Vec<usize> = match round {
        0 => one.entry.effort.values(quick).to_vec(),
        _ => one.points.iter().map(|point| point.effort).collect(),
    };
    for (at, effort) in efforts.into_iter().enumerate() {
        let answer = one.contestant.ask(&format!("search {K} {effort}"))?;
        let us = answer["cpu_s"].as_f64().ok_or("no cpu_s")? * 1e6 / truth.queries.len() as f64;
        if round > 0 {
            one.points[at].us.push(us);
            continue;
        }
        let lists = answer["ids"].as_array().ok_or("no ids")?;
        // A row that a library could not find is -1 or the largest number: no row either way.
        let ids = |list: &Value| {
            list.as_array().into_iter().flatten().map(|id| id.as_u64().unwrap_or(u64::MAX)).collect()
        };
        let quality = truth.judge(&lists.iter().map(ids).collect::<Vec<Vec<u64>>>(), K)?;
        let enough = quality.recall >= ENOUGH;
        let (distances, hops) = (answer["distances"].as_f64(), answer["hops"].as_f64());
        one.points.push(Point { effort, quality, distances, hops, us: vec![us] });
        if enough {
            break;
        }
    }
    Ok(())
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn summary(one: &Running<'_>, reference: Option<&Running<'_>>, rounds: usize) -> Value {
    let points = one.points.iter().map(|point| {
        let quality = &point.quality;
        json!({
            "effort": point.effort,
            "us": rounded(median(&point.us), 2),
            "us_rounds": point.us.iter().map(|us| rounded(*us, 2)).collect::<Vec<_>>(),
            "recall": rounded(quality.recall, 5),
            "recall_by_id": rounded(quality.recall_by_id, 5),
            "recall_by_score": rounded(quality.recall_by_score, 5),
            "recall_p5": quality.recall_p5,
            "short": quality.short,
            "distances": point.distances.map(|count| rounded(count, 1)),
            "hops": point.hops.map(|count| rounded(count, 1)),
        })
    });
    let mut at = Map::new();
    for target in TARGETS {
        let costs: Vec<Cost> = (0..rounds).map(|round| cost_at(&one.round(round), target)).collect();
        let values: Vec<f64> = costs.iter().filter_map(|cost| cost.value()).collect();
        if values.is_empty() {
            continue;
        }
        // Each round's ratio on its own: what disturbs a round disturbs both sides of it.
        let ratios: Vec<f64> = (0..rounds)
            .filter_map(|round| {
                let reference = cost_at(&reference?.round(round), target);
                Some(reference.value()? / costs[round].value()?)
            })
            .collect();
        let bound = costs.iter().any(|cost| matches!(cost, Cost::AtMost(_)));
        let mut figure = json!({"us": rounded(median(&values), 1), "at_most": bound});
        if !ratios.is_empty() {
            let extreme = |pick: fn(f64, f64) -> f64| ratios.iter().copied().reduce(pick).unwrap_or(0.0);
            figure["ratio"] = rounded(median(&ratios), 2).into();
            figure["ratio_range"] = json!([rounded(extreme(f64::min), 2), rounded(extreme(f64::max), 2)]);
        }
        at.insert(target.to_string(), figure);
    }
    json!({
        "name": one.entry.name,
        "library": one.entry.library,
        "setting": one.entry.setting,
        "effort": one.entry.effort.name(),
        "version": one.contestant.hello["version"],
        "isa": one.contestant.hello["isa"],
        "build": one.build,
        "at": at,
        "points": points.collect::<Vec<_>>(),
    })
}
