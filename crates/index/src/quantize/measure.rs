//! What keys and codes cost and how close they are; prints, asserts nothing.
//!
//! `cargo test --release -p vectron-index --lib quantize::measure -- --ignored --nocapture`

#![allow(clippy::disallowed_methods)] // A measurement reads the real clock.

use super::encode::Encoded;
use super::tests::data;
use super::*;
use crate::chunks::Chunks;
use crate::distance::{available, kernels, prefetch};
use crate::hash::mix;
use crate::params::{Metric, Row};
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds per unit of work: the least of several runs, each of `units`.
fn least(units: usize, mut work: impl FnMut()) -> f64 {
    work();
    let run = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / units as f64
    };
    (0..15).map(run).fold(f64::MAX, f64::min)
}

#[test]
#[ignore = "a measurement"]
fn cost() {
    let data = data::load(62_666);
    let count = data.len() as Row;
    println!("{} rows of {} components, kernels {}", count, data.dimension, kernels().name);
    let order: Vec<Row> = {
        let mut order: Vec<Row> = (0..count).collect();
        order.sort_by_key(|row| mix(u64::from(*row)));
        order
    };
    // 64 rows stay in the first-level cache; the shuffled whole does not stay in any near one.
    let near: Vec<Row> = (0..64).cycle().take(4096).collect();
    let vectors = {
        let mut vectors = Chunks::new(data.dimension.next_multiple_of(16), 0.0f32);
        (0..count)
            .for_each(|row| vectors.claim(row)[..data.dimension].copy_from_slice(data.row(row as usize)));
        vectors
    };
    let query = data.query(0);
    for (place, rows) in [("near", &near), ("far", &order)] {
        let cost = least(rows.len(), || {
            let mut sum = 0.0;
            for (at, row) in rows.iter().enumerate() {
                rows.get(at + 4).iter().for_each(|row| prefetch(vectors.get(**row)));
                sum += (kernels().dot)(&vectors.get(*row)[..data.dimension], query);
            }
            black_box(sum);
        });
        println!("{place:>5} f32 {cost:.1} ns");
    }
    for bits in [Bits::Four, Bits::Eight] {
        let mut codes = Codes::new(Metric::Cosine, data.dimension, bits, 1, None);
        let mut encoded = Encoded::default();
        (0..count).for_each(|row| _ = codes.store(row, data.row(row as usize)));
        let probe = codes.probe(query, false);
        for (place, rows) in [("near", &near), ("far", &order)] {
            let report = |what: &str, cost: f64| println!("{place:>5} {bits:?} {what} {cost:.1} ns");
            let single = |key: &dyn Fn(Row) -> f32, fine: bool| {
                least(rows.len(), || {
                    let mut sum = 0.0;
                    for (at, row) in rows.iter().enumerate() {
                        if let Some(row) = rows.get(at + 8) {
                            if fine { codes.prefetch_fine(*row) } else { codes.prefetch(*row) }
                        }
                        sum += key(*row);
                    }
                    black_box(sum);
                })
            };
            report("coarse", single(&|row| codes.coarse(&probe, row), false));
            let many = least(rows.len() / 32 * 32, || {
                let mut sum = 0.0;
                rows.as_chunks::<32>()
                    .0
                    .iter()
                    .for_each(|rows| codes.coarse_many(&probe, rows, |_, key| sum += key));
                black_box(sum);
            });
            report("coarse_many (32 a call)", many);
            report("fine", single(&|row| codes.fine(&probe, row), true));
            let many = least(rows.len() / 32 * 32, || {
                let mut sum = 0.0;
                rows.as_chunks::<32>()
                    .0
                    .iter()
                    .for_each(|rows| codes.fine_many(&probe, rows, |_, key| sum += key));
                black_box(sum);
            });
            report("fine_many (32 a call)", many);
            report("precise", single(&|row| codes.precise(&probe, row).0, true));
        }
        let encode = least(1000, || {
            (0..1000).for_each(|row| _ = black_box(codes.encode(data.row(row), &mut encoded)));
        });
        let store = least(1000, || (0..1000).for_each(|row| _ = codes.store(row, data.row(row as usize))));
        let mut reused = CodeProbe::new();
        let made =
            least(1000, || (0..1000).for_each(|at| codes.probe_into(&mut reused, data.query(at), false)));
        let of_row = least(1000, || (0..1000).for_each(|row| codes.probe_row(row, &mut reused)));
        println!(
            "{bits:?} encode {encode:.0} ns, store {store:.0} ns, probe {made:.0} ns, probe_row {of_row:.0} ns"
        );
        println!("{bits:?} {} bytes/row", codes.bytes() / count as usize);
    }
}

#[test]
#[ignore = "a measurement"]
fn kernels_in_cache() {
    for dimension in [384, 768, 1536] {
        let codes: Vec<Vec<u8>> = (0..4).map(|row| vec![row as u8 * 31 + 7; dimension]).collect();
        let four: [&[u8]; 4] = std::array::from_fn(|row| &codes[row][..]);
        let halves: [&[u8]; 4] = std::array::from_fn(|row| &codes[row][..dimension / 2]);
        let (query, floats, bits) =
            (vec![3i8; dimension], vec![0.5f32; dimension], vec![0x3800u16; dimension]);
        for table in available() {
            let each = |work: &dyn Fn()| least(1000, || (0..1000).for_each(|_| work()));
            let round = 1 << dimension.ilog2();
            let mut values = floats.clone();
            let turn =
                least(1000, || (0..1000).for_each(|_| (table.rotate_round)(&mut values, &floats, 0..round)));
            println!(
                "{dimension} {:>10}: f32 {:.1} f16 {:.1} byte {:.1} four {:.1} nibble {:.1} four {:.1} split {:.1} \
                 four {:.1} byte-f32 {:.1} split-f32 {:.1} ns, round {turn:.0} ns",
                table.name,
                each(&|| _ = black_box((table.dot)(black_box(&floats), &floats))),
                each(&|| _ = black_box((table.dot_half)(black_box(&bits), &floats))),
                each(&|| _ = black_box((table.dot_bytes)(black_box(four[0]), &query))),
                each(&|| _ = black_box((table.dot_bytes_four)(black_box(&four), &query))),
                each(&|| _ = black_box((table.dot_nibbles)(black_box(halves[0]), &query))),
                each(&|| _ = black_box((table.dot_nibbles_four)(black_box(&halves), &query))),
                each(&|| _ = black_box((table.dot_split)(black_box(halves[0]), halves[1], &query))),
                each(&|| _ = black_box((table.dot_split_four)(black_box(&halves), &halves, &query))),
                each(&|| _ = black_box((table.dot_bytes_float)(black_box(four[0]), &floats))),
                each(&|| _ = black_box((table.dot_split_float)(black_box(halves[0]), halves[1], &floats))),
            );
        }
    }
}
