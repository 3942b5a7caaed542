//! Runs the simulation over a range of seeds. A seed that fails is printed; add it to `seeds.txt`, where it stays.
//!
//! ```text
//! simulate [SEEDS] [FIRST]                                         the single node
//! simulate cluster [--seeds N] [--first F] [--minutes M]           the cluster, M virtual minutes per seed
//! simulate museum                                                  every seeded bug: the seeds that find it
//! ```
#![allow(clippy::disallowed_methods, reason = "measures its own run")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use vectron_sim::cluster::{Scenario, run};
use vectron_sim::{museum, scenarios};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("cluster") => cluster(&words),
        Some("museum") => hunt(),
        _ => node(&words),
    }
}

/// Processor seconds of this process, where the system tells; else wall seconds mean nothing and zero is given.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(0.0, |ns| ns / 1e9)
}

fn node(words: &[String]) -> ExitCode {
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let (seeds, first) = (numbers.first().copied().unwrap_or(200), numbers.get(1).copied().unwrap_or(1));
    let begun = processor_seconds();
    let (mut crashes, mut answered) = (0, 0);
    for seed in first..first + seeds {
        let report = scenarios::crash_churn(seed);
        crashes += report.crashes;
        answered += report.answered;
        scenarios::failed_sync(seed);
        scenarios::full_disk(seed);
        scenarios::clock_steps(seed);
    }
    let took = processor_seconds() - begun;
    println!(
        "{seeds} seeds from {first}: {crashes} power losses, {answered} answered calls, {took:.1} CPU-s"
    );
    ExitCode::SUCCESS
}

fn option(words: &[String], name: &str, usual: u64) -> u64 {
    let at = words.iter().position(|word| word == name);
    at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(usual)
}

fn cluster(words: &[String]) -> ExitCode {
    let (seeds, first) = (option(words, "--seeds", 200), option(words, "--first", 1));
    let scenario = Scenario::everything(Duration::from_secs(60 * option(words, "--minutes", 1)));
    let begun = processor_seconds();
    let (mut operations, mut acknowledged, mut compared, mut refused) = (0, 0, 0, 0);
    let (mut shards, mut moved, mut asked) = (0, 0, BTreeMap::new());
    let (mut virtual_s, mut failed, mut mischief) = (0.0, Vec::new(), BTreeMap::new());
    for seed in first..first + seeds {
        let outcome = run(&scenario, seed);
        operations += outcome.operations;
        acknowledged += outcome.acknowledged;
        compared += outcome.compared;
        refused += outcome.refused;
        shards += outcome.shards;
        moved += outcome.moved;
        for (kind, (begun, refused)) in &outcome.asked {
            let (all, no) = asked.entry(*kind).or_insert((0, 0));
            *all += begun;
            *no += refused;
        }
        virtual_s += outcome.virtual_time.as_secs_f64();
        outcome.mischief.iter().for_each(|(kind, count)| *mischief.entry(*kind).or_insert(0) += count);
        if !outcome.violations.is_empty() {
            println!("seed {seed}: {:#?}", outcome.violations);
            failed.push(seed);
        }
    }
    let took = processor_seconds() - begun;
    println!(
        "{seeds} seeds from {first}: {:.1} virtual hours in {took:.1} CPU-s, {:.0} virtual s per CPU-s",
        virtual_s / 3_600.0,
        virtual_s / took
    );
    println!("{operations} operations, {acknowledged} acknowledged writes, {refused} refused reads");
    println!(
        "{compared} states compared between replicas, {shards} shards and {moved} moved replicas at the end"
    );
    println!("faults: {mischief:?}");
    println!("changes, (begun, refused): {asked:?}");
    println!("failed: {failed:?}");
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt() -> ExitCode {
    let mut missed = 0;
    println!("| bug | what it does | found by | seeds that find it | budget |");
    println!("|---|---|---|---|---|");
    for exhibit in museum::EXHIBITS {
        let (mut found, mut by) = (0, BTreeMap::new());
        for seed in 1..=exhibit.budget {
            let violations = run(&exhibit.scenario(true), seed).violations;
            found += u64::from(!violations.is_empty());
            violations.iter().for_each(|violation| *by.entry(violation.property).or_insert(0u64) += 1);
        }
        missed += u64::from(found == 0);
        let by: Vec<&str> = by.into_keys().collect();
        let (name, what, budget) = (exhibit.name, exhibit.what, exhibit.budget);
        println!("| {name} | {what} | {} | {found} of {budget} | {budget} |", by.join(", "));
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
