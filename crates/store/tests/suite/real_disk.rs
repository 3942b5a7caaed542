//! The same store on the machine's file system, and what it costs there.

use crate::support::*;
use std::io::{BufRead, Read};
use std::sync::Arc;
use vectron_base::clock::{Clock, SystemClock};
use vectron_base::disk::{Disk, RealDisk};
use vectron_store::filter::{Matcher, naive};
use vectron_store::{Metric, SearchQuery, Shard, ShardConfig};

fn on(root: &std::path::Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::open(root).unwrap())
}

#[test]
fn checkpoints_come_back_from_a_real_disk() {
    let root = tempfile::tempdir().unwrap();
    let digest = {
        let shard = Shard::open(on(root.path()), DIR, config(8, Metric::Cosine)).unwrap();
        for round in 0..5u64 {
            let points =
                (0..50).map(|i| point(&format!("p{}", i * 2 + round), &vector(i * round, 8), "{\"x\":1}"));
            apply(&shard, &upsert(points.collect()));
            index_all(&shard);
            shard.checkpoint().unwrap();
        }
        shard.digest()
    };
    let shard = Shard::open(on(root.path()), DIR, config(8, Metric::Cosine)).unwrap();
    assert_eq!((shard.digest(), shard.stats().pending), (digest, 0));
    assert_eq!(search_ids(&shard, &SearchQuery::new(vector(3, 8), 5)).len(), 5);
}

/// Figures over real documents: run with
/// `VECTRON_DATA=<directory with payload.jsonl and vectors.f16.npy> cargo test --release -p vectron-store
/// -- --ignored --nocapture measure`.
#[test]
#[ignore = "needs the data set"]
#[allow(clippy::disallowed_methods, reason = "the data set lies outside of any shard")]
fn measure_on_real_documents() {
    let Ok(data) = std::env::var("VECTRON_DATA") else { return };
    let clock = SystemClock::new();
    let timed = |name: &str, per: usize, work: &mut dyn FnMut()| {
        let start = clock.now();
        work();
        let took = clock.now().since(start);
        println!("{name}: {took:?}, {:.0} ns each", took.as_nanos() as f64 / per as f64);
    };
    let file = std::fs::File::open(format!("{data}/payload.jsonl")).unwrap();
    let payloads: Vec<String> = std::io::BufReader::new(file).lines().map(|l| l.unwrap()).collect();
    let mut raw = Vec::new();
    std::fs::File::open(format!("{data}/vectors.f16.npy")).unwrap().read_to_end(&mut raw).unwrap();
    let body = &raw[raw.len() - payloads.len() * 384 * 2..];
    let half = |b: &[u8]| half(u16::from_le_bytes([b[0], b[1]]));
    let vectors: Vec<f32> = body.chunks_exact(2).map(half).collect();
    let n = payloads.len();
    println!("{n} payloads of {} bytes", payloads.iter().map(String::len).sum::<usize>() / n);
    let filters = [
        r#"{"section":"libs"}"#,
        r#"{"section":{"$in":["libs","libdevel"]}}"#,
        r#"{"installed_size":{"$gte":64,"$lt":1229}}"#,
        r#"{"tags":"role::program"}"#,
        r#"{"long":{"$match":"compiler library"}}"#,
        r#"{"missing":1}"#,
    ];
    for text in filters {
        let (filter, mut hits) = (filter(text), 0);
        let matcher = Matcher::new(&filter);
        timed(text, n, &mut || hits = payloads.iter().filter(|p| matcher.matches(p)).count());
        timed("  naive", n / 20, &mut || {
            _ = payloads.iter().step_by(20).filter(|p| naive::matches(&filter, p)).count();
        });
        println!("  {hits} match");
    }
    timed("check payloads", n, &mut || {
        payloads.iter().for_each(|p| vectron_base::filter::json::check_object(p).unwrap());
    });
    let root = tempfile::tempdir().unwrap();
    let shape = ShardConfig::new(384, Metric::Cosine);
    let shard = Shard::open(on(root.path()), DIR, shape.clone()).unwrap();
    let commands: Vec<Vec<u8>> = (0..n)
        .collect::<Vec<_>>()
        .chunks(100)
        .map(|rows| {
            let one = |i: &usize| point(&format!("doc-{i}"), &vectors[i * 384..(i + 1) * 384], &payloads[*i]);
            upsert(rows.iter().map(one).collect()).encode()
        })
        .collect();
    timed("apply", n, &mut || commands.iter().for_each(|c| drop(apply_bytes(&shard, c))));
    timed("checkpoint", n, &mut || _ = shard.checkpoint().unwrap());
    let filtered = |shard: &Shard, text: &str| {
        let mut query = SearchQuery::new(vectors[..384].to_vec(), 10);
        query.filter = Some(filter(text));
        timed(&format!("filtered search {text}"), n, &mut || drop(shard.search(&query).unwrap()));
    };
    filters.iter().for_each(|text| filtered(&shard, text));
    timed("insert 2000 rows", 2000, &mut || {
        let mut left = 2000;
        while left > 0 {
            left -= shard.index_step(&|| false).inserted.clamp(1, left);
        }
    });
    if std::env::var("VECTRON_DATA_FULL").is_ok() {
        timed("index the rest", n, &mut || while shard.index_step(&|| false).more {});
    }
    timed("checkpoint with graph", n, &mut || _ = shard.checkpoint().unwrap());
    println!("{:?}", shard.stats());
    drop(shard);
    let disk = on(root.path());
    let mut again = None;
    timed("open", n, &mut || again = Some(Shard::open(disk.clone(), DIR, shape.clone()).unwrap()));
    println!("{:?}", again.unwrap().stats());
}

/// A half-precision float; the data set has no infinities.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, (bits >> 10) & 31, f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f32.powi(-24),
        e => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(e) - 15),
    };
    if sign == 1 { -size } else { size }
}
