//! Temporary.
#![allow(clippy::disallowed_methods)]
#[path = "../tests/suite/data.rs"]
#[allow(dead_code)]
mod data;
use vectron_index::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
fn main() {
    let rows = std::env::args().nth(1).unwrap().parse().unwrap();
    let efs: Vec<usize> = std::env::args().skip(3).map(|e| e.parse().unwrap()).collect();
    let rounds: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let data = data::load(rows);
    let mut scratch = Scratch::new();
    let mut index = VectorIndex::new(Params {
        quantization: Quantization::FourBit,
        ..Params::new(data.dimension, Metric::Cosine)
    });
    for row in 0..data.len() {
        index.put(row as Row, 1, data.row(row), &());
    }
    let t = cpu();
    let file = format!("/tmp/graph-{}.bin", data.len());
    if let Ok(bytes) = std::fs::read(&file) {
        index.decode_graph(&bytes).unwrap();
    } else {
        while let Some(row) = index.next_pending() {
            if let Some(plan) = index.plan_insert(row, &mut scratch) {
                index.commit_insert(plan);
            }
        }
        eprintln!("build {:.0} rows/s", data.len() as f64 / (cpu() - t));
        std::fs::write(&file, index.encode_graph()).unwrap();
    }
    eprintln!("ready {:.1}", cpu());
    let t = cpu();
    let mut calibrator = index.begin_calibration(256).unwrap();
    let calibration = loop {
        if let Some(c) = index.calibrate(&mut calibrator, &(), &mut scratch) {
            break c;
        }
    };
    println!("calibrated in {:.2} {:?}", cpu() - t, calibration);
    let truth: Vec<Vec<f32>> = (0..if rounds > 19 { 0 } else { data.query_count() })
        .map(|q| {
            index
                .search(
                    data.query(q),
                    &SearchRequest { k: 10, ef: 10, exact: true, allowed: None },
                    &(),
                    &mut scratch,
                )
                .hits
                .iter()
                .map(|h| h.score)
                .collect()
        })
        .collect();
    for target in [0.8, 0.9, 0.95, 0.98, 0.99, 0.995] {
        if rounds > 19 {
            break;
        }
        let ef = calibration.ef(target);
        let mut found = 0;
        for q in 0..data.query_count() {
            let hits = index
                .search(
                    data.query(q),
                    &SearchRequest { k: 10, ef, exact: false, allowed: None },
                    &(),
                    &mut scratch,
                )
                .hits;
            found += hits.iter().filter(|h| h.score >= *truth[q].last().unwrap()).count();
        }
        println!("target {target}: ef {ef} delivers {:.4}", found as f64 / data.query_count() as f64 / 10.0);
    }
    for (ef, every) in [(40, 5), (40, 10), (40, 2)] {
        let allowed: RowSet = (0..data.len() as Row).filter(|r| r % every == 0).collect();
        let mut best = f64::MAX;
        for _ in 0..rounds {
            let t = cpu();
            for q in 0..data.query_count() {
                index.search(
                    data.query(q),
                    &SearchRequest { k: 10, ef, exact: false, allowed: Some(&allowed) },
                    &(),
                    &mut scratch,
                );
            }
            best = best.min((cpu() - t) / data.query_count() as f64);
        }
        println!("filter 1/{every}: ef {ef}: {:.1} µs", best * 1e6);
    }
    for ef in efs {
        let mut best = f64::MAX;
        let mut stats = SearchStats::default();
        for _ in 0..rounds {
            let t = cpu();
            for q in 0..data.query_count() {
                let o = index.search(
                    data.query(q),
                    &SearchRequest { k: 10, ef, exact: false, allowed: None },
                    &(),
                    &mut scratch,
                );
                stats = o.stats;
            }
            best = best.min((cpu() - t) / data.query_count() as f64);
        }
        println!("ef {ef}: {:.1} µs {:?}", best * 1e6, stats.distances);
    }
}
