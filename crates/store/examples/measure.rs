//! What payload indexes cost and save on real documents: run with
//! `cargo run --release -p vectron-store --example measure -- <directory with payload.jsonl>`.
//! Vectors are made up, since only filters are measured. Times are this process's, of one thread.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the data set lies outside of any shard")]

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::disk::{Disk, RealDisk};
use vectron_base::filter::{FieldIndex, FieldType, Filter, FilterLimits};
use vectron_base::random::mix64;
use vectron_store::{Command, Metric, Operation, Shard, ShardConfig, UpsertPoint};

const DIMENSION: usize = 4;
/// The filters of the data set, and one of both fields.
const FILTERS: [&str; 9] = [
    r#"{"section":{"$in":["libs","libdevel"]}}"#,
    r#"{"section":{"$in":["devel"]}}"#,
    r#"{"section":{"$in":["fonts"]}}"#,
    r#"{"section":{"$in":["xfce"]}}"#,
    r#"{"installed_size":{"$gte":1960}}"#,
    r#"{"installed_size":{"$gte":95138}}"#,
    r#"{"installed_size":{"$gte":700694}}"#,
    r#"{"installed_size":{"$gte":64,"$lt":1229}}"#,
    r#"{"section":"libs","installed_size":{"$gte":64,"$lt":1229}}"#,
];

/// The least of several runs of `work`, each.
fn least(clock: &SystemClock, runs: usize, mut work: impl FnMut()) -> Duration {
    let mut run = || {
        let start = clock.now();
        work();
        clock.now().since(start)
    };
    (0..runs).map(|_| run()).min().unwrap()
}

fn micros(took: Duration, per: usize) -> f64 {
    took.as_secs_f64() * 1e6 / per as f64
}

fn commands(payloads: &[String], rows: usize, payload_from: usize) -> Vec<Vec<u8>> {
    let point = |row: usize| {
        let number = |i| (mix64((row * 8 + i) as u64) % 1000) as f32 + 1.0;
        let vector = (0..DIMENSION).map(number).collect::<Vec<f32>>().into();
        let payload = payloads[(row + payload_from) % payloads.len()].clone();
        UpsertPoint { id: format!("doc-{row}"), vector, payload, if_version: None }
    };
    let batch = |from: usize| (from..rows.min(from + 100)).map(point).collect();
    let command = |from| Command {
        log_time_ms: 0,
        idempotency: None,
        range: None,
        operation: Operation::Upsert(batch(from)),
    };
    (0..rows).step_by(100).map(|from| command(from).encode()).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().expect("the directory of the data set");
    // More rows than documents repeat them.
    let wanted: Option<usize> = arguments.next().map(|rows| rows.parse().unwrap());
    let clock = SystemClock::new();
    let file = std::fs::File::open(format!("{data}/payload.jsonl")).unwrap();
    let payloads: Vec<String> = std::io::BufReader::new(file).lines().map(Result::unwrap).collect();
    let rows = wanted.unwrap_or(payloads.len());
    let root = tempfile::tempdir().unwrap();
    let mut shape = ShardConfig::new(DIMENSION, Metric::Dot);
    shape.flat_below = usize::MAX;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(root.path()).unwrap());
    let shard = Shard::open(disk.clone(), "shard", shape.clone()).unwrap();
    let apply = |shard: &Shard, commands: &[Vec<u8>]| {
        let start = clock.now();
        for command in commands {
            shard.apply(shard.applied_index() + 1, command);
        }
        micros(clock.now().since(start), rows)
    };
    let (first, again) = (commands(&payloads, rows, 0), commands(&payloads, rows, 1));
    println!("{rows} rows");
    println!("upsert, no index: {:.2} µs each", apply(&shard, &first));
    println!("payload replaced, no index: {:.2} µs each", apply(&shard, &again));
    apply(&shard, &first);
    shard.checkpoint().unwrap();
    let count = |shard: &Shard, text: &str| {
        let filter = Filter::parse(text, &FilterLimits::default()).unwrap();
        shard.count(Some(&filter)).unwrap().value
    };
    let skimmed = least(&clock, 3, || _ = count(&shard, FILTERS[0]));
    println!("unindexed count: {:.0} µs", micros(skimmed, 1));
    let index = |field: &str, kind| FieldIndex { field: field.into(), kind };
    let both = [index("section", FieldType::Keyword), index("installed_size", FieldType::Integer)];
    drop(shard);
    let start = clock.now();
    let shard = Shard::open(disk, "shard", shape).unwrap();
    println!("open: {:?}", clock.now().since(start));
    for indexes in [
        &both[..1],
        &both[1..],
        &[index("name", FieldType::Keyword)],
        &[index("tags", FieldType::Keyword)],
        &both[..],
    ] {
        shard.set_field_indexes(&[]);
        let empty = shard.stats().field_index_bytes;
        shard.set_field_indexes(indexes);
        let (mut longest, mut steps) = (Duration::ZERO, 0);
        let start = clock.now();
        loop {
            let begun = clock.now();
            let more = shard.index_step(&|| false).more;
            longest = longest.max(clock.now().since(begun));
            steps += 1;
            if !more {
                break;
            }
        }
        let took = clock.now().since(start);
        let bytes = (shard.stats().field_index_bytes - empty) as f64 / rows as f64;
        let fields: Vec<&str> = indexes.iter().map(|index| index.field.as_str()).collect();
        println!("build {fields:?}: {took:?} in {steps} steps, longest {longest:?}, {bytes:.1} bytes a row");
    }
    for text in FILTERS {
        let filter = Filter::parse(text, &FilterLimits::default()).unwrap();
        let mut matched = 0;
        let took = least(&clock, 9, || {
            for _ in 0..100 {
                matched = shard.count(Some(&filter)).unwrap().value;
            }
        });
        let estimate = shard.filter_estimate(&filter).unwrap();
        let share = matched as f64 * 100.0 / rows as f64;
        println!("{text}: {:.2} µs, {matched} rows ({share:.2} %), {estimate:?}", micros(took, 100));
    }
    println!("payload replaced, both indexes: {:.2} µs each", apply(&shard, &again));
    println!("unchanged again: {:.2} µs each", apply(&shard, &again));
}
