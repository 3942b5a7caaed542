use super::*;
use crate::distance::{kernels, reference};
use crate::hash::mix;
use crate::params::{Metric, Row};
use proptest::prelude::*;

#[path = "../../tests/suite/data.rs"]
#[allow(dead_code)]
pub(super) mod data;

const DIMENSIONS: [usize; 9] = [1, 2, 3, 7, 65, 100, 384, 768, 1536];
const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

/// About normal components around `offset`.
fn vector(seed: u64, dimension: usize, offset: f32) -> Vec<f32> {
    let mut chance = data::Chance(mix(seed));
    (0..dimension).map(|_| chance.normal() + offset).collect()
}

fn length(vector: &[f32]) -> f64 {
    reference::dot(vector, vector).sqrt()
}

fn prepare(metric: Metric, mut vector: Vec<f32>) -> Vec<f32> {
    let length = length(&vector);
    if metric == Metric::Cosine && length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    vector
}

/// The key by its definition.
fn truth(metric: Metric, angular: bool, a: &[f32], b: &[f32]) -> f64 {
    match metric {
        Metric::Euclidean => reference::squared(a, b),
        Metric::Dot if angular => {
            let lengths = length(a) * length(b);
            if lengths > 0.0 { -reference::dot(a, b) / lengths } else { 0.0 }
        }
        _ => -reference::dot(a, b),
    }
}

/// What an error of an inner product of the centred vectors is measured by.
fn size(metric: Metric, angular: bool, a: &[f32], b: &[f32], mean: &[f32]) -> f64 {
    let centred = |vector: &[f32]| {
        let mean = mean.iter().copied().chain(std::iter::repeat(0.0));
        length(&vector.iter().zip(mean).map(|(value, mean)| value - mean).collect::<Vec<_>>())
    };
    let product = centred(a) * centred(b);
    match metric {
        Metric::Euclidean => 2.0 * product,
        Metric::Dot if angular => product / (length(a) * length(b)).max(1e-30),
        _ => product,
    }
}

struct Case {
    mean: Vec<f32>,
    vectors: Vec<Vec<f32>>,
    codes: Codes,
}

fn case(metric: Metric, dimension: usize, bits: Bits, count: u64, offset: f32, centred: bool) -> Case {
    let vectors: Vec<Vec<f32>> =
        (0..count).map(|seed| prepare(metric, vector(seed, dimension, offset))).collect();
    let mean: Option<Vec<f32>> = centred.then(|| {
        let sum = |at: usize| vectors.iter().map(|vector| vector[at]).sum::<f32>();
        (0..dimension).map(|at| sum(at) / count as f32).collect()
    });
    let mut codes = Codes::new(metric, dimension, bits, 3, mean.clone());
    for (row, vector) in vectors.iter().enumerate() {
        codes.store(row as Row, vector);
    }
    Case { mean: mean.unwrap_or_default(), vectors, codes }
}

/// Mean and root of the mean square of the relative errors of a key.
fn spread(errors: &[f64]) -> (f64, f64) {
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    (mean, (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt())
}

#[test]
fn estimates_are_unbiased_and_as_close_as_their_bits() {
    for metric in METRICS {
        for dimension in DIMENSIONS {
            for (offset, centred) in [(0.0, false), (1.0, false), (1.0, true)] {
                for bits in [Bits::Four, Bits::Eight] {
                    let case = case(metric, dimension, bits, 60, offset, centred);
                    let (mut coarse, mut fine, mut rows) = (Vec::new(), Vec::new(), Vec::new());
                    let mut of_row = CodeProbe::new();
                    for seed in 0..30u64 {
                        let query = prepare(metric, vector(seed + 1000, dimension, offset));
                        let probe = case.codes.probe(&query, false);
                        case.codes.probe_row(seed as Row, &mut of_row);
                        for (row, other) in case.vectors.iter().enumerate() {
                            let scale = size(metric, false, &query, other, &case.mean).max(1e-9);
                            let wanted = truth(metric, false, &query, other);
                            let row = row as Row;
                            let error = |key: f32| (f64::from(key) - wanted) / scale;
                            coarse.push(error(case.codes.coarse(&probe, row)));
                            fine.push(error(case.codes.fine(&probe, row)));
                            let own = &case.vectors[seed as usize];
                            let scale = size(metric, true, own, other, &case.mean).max(1e-9);
                            let key = f64::from(case.codes.fine(&of_row, row));
                            rows.push((key - truth(metric, true, own, other)) / scale);
                        }
                    }
                    let what = format!("{metric:?} {dimension} {bits:?} {offset} {centred}");
                    let root = (dimension as f64).sqrt();
                    // Low dimensions have few steps to average over.
                    let loose = if dimension < 64 { 3.0 } else { 1.0 };
                    let most = if bits == Bits::Four { 0.16 } else { 0.014 };
                    for (errors, most) in [(&coarse, most), (&fine, 0.014), (&rows, 0.014)] {
                        let (mean, deviation) = spread(errors);
                        assert!(deviation * root < most * loose, "{what}: {}", deviation * root);
                        assert!(mean.abs() < 0.2 * most * loose / root.min(8.0), "{what}: mean {mean}");
                    }
                }
            }
        }
    }
}

#[test]
fn many_keys_are_the_single_keys_in_order() {
    for bits in [Bits::Four, Bits::Eight] {
        for metric in METRICS {
            let case = case(metric, 100, bits, 50, 0.5, true);
            let probe = case.codes.probe(&vector(99, 100, 0.5), false);
            for count in 0..50 {
                let rows: Vec<Row> = (0..count).map(|at| (at * 7 + 3) % 50).collect();
                let (mut coarse, mut fine) = (Vec::new(), Vec::new());
                case.codes.coarse_many(&probe, &rows, |row, key| coarse.push((row, key)));
                case.codes.fine_many(&probe, &rows, |row, key| fine.push((row, key)));
                let wanted: Vec<_> = rows.iter().map(|row| (*row, case.codes.coarse(&probe, *row))).collect();
                assert_eq!(coarse, wanted);
                let wanted: Vec<_> = rows.iter().map(|row| (*row, case.codes.fine(&probe, *row))).collect();
                assert_eq!(fine, wanted);
            }
        }
    }
}

/// Exact and computed keys lie within the bound of the precise one.
fn check_bound(
    codes: &Codes,
    metric: Metric,
    probe: &CodeProbe,
    angular: bool,
    a: &[f32],
    b: &[f32],
    row: Row,
) {
    let (key, bound) = codes.precise(probe, row);
    let gap = (f64::from(key) - truth(metric, angular, a, b)).abs();
    assert!(gap <= f64::from(bound), "{metric:?} at {}: {gap} > {bound}", a.len());
    let computed = match metric {
        Metric::Euclidean => (kernels().squared)(a, b),
        _ => -(kernels().dot)(a, b),
    };
    if !angular || metric != Metric::Dot {
        assert!((key - computed).abs() <= bound, "{metric:?} at {}: {key} {computed} {bound}", a.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_bound_of_a_precise_key_holds(
        seed in any::<u64>(), dimension in 1usize..700, metric in 0usize..3, four in any::<bool>(),
        centred in any::<bool>(), scale in -9i32..9, spiky in any::<bool>(), near in any::<bool>(),
    ) {
        let metric = METRICS[metric];
        let bits = if four { Bits::Four } else { Bits::Eight };
        let make = |seed: u64| {
            let mut made = vector(seed, dimension, 0.7);
            made.iter_mut().for_each(|value| *value *= 10f32.powi(scale));
            if spiky {
                made[mix(seed) as usize % dimension] *= 1e4;
            }
            prepare(metric, made)
        };
        let mean = centred.then(|| make(seed ^ 1));
        let mut codes = Codes::new(metric, dimension, bits, seed, mean);
        let (row, query) = (make(seed ^ 2), make(seed ^ 3));
        let query = if near { row.iter().map(|value| value * 1.0001).collect() } else { query };
        codes.store(0, &row);
        codes.store(1, &query);
        check_bound(&codes, metric, &codes.probe(&query, false), false, &query, &row, 0);
        check_bound(&codes, metric, &codes.probe(&query, true), true, &query, &row, 0);
        let mut probe = CodeProbe::new();
        codes.probe_row(1, &mut probe);
        check_bound(&codes, metric, &probe, true, &query, &row, 0);
    }
}

#[test]
fn the_bound_holds_in_the_highest_dimension_and_is_of_use() {
    for dimension in [384, 16_384] {
        for metric in METRICS {
            let case = case(metric, dimension, Bits::Four, 8, 0.3, true);
            let query = prepare(metric, vector(77, dimension, 0.3));
            let probe = case.codes.probe(&query, false);
            for (row, other) in case.vectors.iter().enumerate() {
                check_bound(&case.codes, metric, &probe, false, &query, other, row as Row);
                let (_, bound) = case.codes.precise(&probe, row as Row);
                let relative = f64::from(bound) / size(metric, false, &query, other, &case.mean);
                assert!(relative < 0.015, "{metric:?} {dimension}: {relative}");
            }
        }
    }
}

#[test]
fn the_reported_error_is_that_of_the_code() {
    for bits in [Bits::Four, Bits::Eight] {
        let mut codes = Codes::new(Metric::Euclidean, 384, bits, 1, None);
        let error = codes.store(0, &vector(1, 384, 0.0));
        assert!(error.fine > 0.004 && error.fine < 0.012, "{error:?}");
        let coarse = if bits == Bits::Four { 0.08..0.16 } else { error.fine..error.fine + 1e-9 };
        assert!(coarse.contains(&error.coarse), "{error:?}");
        assert_eq!(codes.store(0, &[0.0; 384]), CodeError::default());
    }
}

#[test]
fn zeros_and_extremes_give_keys_that_are_numbers() {
    for metric in METRICS {
        for bits in [Bits::Four, Bits::Eight] {
            for dimension in [1, 3, 100] {
                for mean in [None, Some(vec![0.25; dimension])] {
                    let mut codes = Codes::new(metric, dimension, bits, 1, mean);
                    let scales = [0.0, 1.0, 1e-45, 1e-30, 1e15, 1e30, f32::MAX];
                    let of = |scale: f32| {
                        let value = |at: usize| if at.is_multiple_of(2) { scale } else { -scale / 2.0 };
                        prepare(metric, (0..dimension).map(value).collect())
                    };
                    for (row, scale) in scales.into_iter().enumerate() {
                        codes.store(row as Row, &of(scale));
                    }
                    let mut of_row = CodeProbe::new();
                    for (row, scale) in scales.into_iter().enumerate() {
                        codes.probe_row(row as Row, &mut of_row);
                        let probes = [codes.probe(&of(scale), false), codes.probe(&of(scale), true)];
                        for probe in probes.iter().chain([&of_row]) {
                            for other in 0..=scales.len() as Row {
                                let (precise, bound) = codes.precise(probe, other);
                                for key in
                                    [codes.coarse(probe, other), codes.fine(probe, other), precise, bound]
                                {
                                    assert!(key.is_finite(), "{metric:?} {dimension} {scale} {other}: {key}");
                                    assert!(key != 0.0 || key.is_sign_positive());
                                }
                            }
                        }
                    }
                    let zero = codes.probe(&vec![0.0; dimension], false);
                    let key = codes.fine(&zero, 0);
                    assert!(key.abs() < 0.001 * dimension as f32, "{metric:?} {dimension}: {key}");
                }
            }
        }
    }
}

#[test]
fn rows_come_and_go() {
    for bits in [Bits::Four, Bits::Eight] {
        let mut codes = Codes::new(Metric::Dot, 65, bits, 1, None);
        let empty = codes.bytes();
        assert!(!codes.has(7));
        for row in 0..3000 {
            codes.store(row, &vector(u64::from(row % 2), 65, 0.0));
        }
        // Once more over the same rows: nothing is claimed twice.
        for row in 0..3000 {
            codes.store(row, &vector(u64::from(row % 2), 65, 0.0));
        }
        assert!(codes.has(7) && codes.same_code(1, 3) && !codes.same_code(1, 2));
        codes.release(7);
        assert!(!codes.has(7) && !codes.same_code(7, 9) && !codes.same_code(9, 7));
        let probe = codes.probe(&vector(0, 65, 0.0), false);
        assert_eq!(codes.coarse(&probe, 7), f32::MAX);
        for row in 0..3000 {
            codes.release(row);
            codes.release(row);
        }
        assert!(codes.bytes() < empty + 4096, "{} {empty}", codes.bytes());
        codes.store(2, &vector(1, 65, 0.0));
        assert!(codes.has(2) && !codes.has(3));
    }
}

#[test]
fn a_reused_probe_is_a_new_one() {
    let codes = case(Metric::Dot, 100, Bits::Four, 10, 0.2, true).codes;
    let mut reused = codes.probe(&vector(50, 100, 3.0), true);
    codes.probe_row(4, &mut reused);
    codes.probe_into(&mut reused, &vector(51, 100, 0.0), false);
    let fresh = codes.probe(&vector(51, 100, 0.0), false);
    for row in 0..10 {
        assert_eq!(codes.coarse(&reused, row), codes.coarse(&fresh, row));
        assert_eq!(codes.precise(&reused, row), codes.precise(&fresh, row));
    }
}

/// The nearest `count` of ranked rows.
fn nearest(mut keys: Vec<(f32, Row)>, count: usize) -> Vec<Row> {
    keys.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keys.truncate(count);
    keys.into_iter().map(|(_, row)| row).collect()
}

/// Recall of the ten nearest by the coarse code alone, and with the forty nearest rescored.
fn recall(codes: &Codes, metric: Metric, rows: &[Vec<f32>], queries: &[Vec<f32>]) -> (f64, f64) {
    let all: Vec<Row> = (0..rows.len() as Row).collect();
    let (mut alone, mut rescored) = (0, 0);
    for query in queries {
        let probe = codes.probe(query, false);
        let exact = rows
            .iter()
            .enumerate()
            .map(|(row, vector)| (truth(metric, false, query, vector) as f32, row as Row));
        let exact = nearest(exact.collect(), 10);
        let mut keys = Vec::new();
        codes.coarse_many(&probe, &all, |row, key| keys.push((key, row)));
        let pool = nearest(keys, 40);
        let mut keys = Vec::new();
        codes.fine_many(&probe, &pool, |row, key| keys.push((key, row)));
        let best = nearest(keys, 10);
        alone += pool[..10].iter().filter(|row| exact.contains(row)).count();
        rescored += best.iter().filter(|row| exact.contains(row)).count();
    }
    let wanted = (queries.len() * 10) as f64;
    (alone as f64 / wanted, rescored as f64 / wanted)
}

#[test]
fn the_nearest_by_code_are_the_nearest() {
    let data = data::load(5000);
    for metric in METRICS {
        for (offset, centred) in [(0.0, false), (0.0, true), (0.3, false), (0.3, true)] {
            let moved = |vector: &[f32]| prepare(metric, vector.iter().map(|value| value + offset).collect());
            let rows: Vec<Vec<f32>> = (0..data.len().min(5000)).map(|at| moved(data.row(at))).collect();
            let queries: Vec<Vec<f32>> = (0..60).map(|at| moved(data.query(at))).collect();
            let mean = |at: usize| rows.iter().map(|row| row[at]).sum::<f32>() / rows.len() as f32;
            let mean = centred.then(|| (0..data.dimension).map(mean).collect());
            for bits in [Bits::Four, Bits::Eight] {
                let mut codes = Codes::new(metric, data.dimension, bits, 1, mean.clone());
                rows.iter().enumerate().for_each(|(row, vector)| _ = codes.store(row as Row, vector));
                let (alone, rescored) = recall(&codes, metric, &rows, &queries);
                println!("{metric:?} {bits:?} offset {offset} centred {centred}: {alone:.4} {rescored:.4}");
                if offset > 0.0 && !centred {
                    // A mean much longer than what differs takes the codes' precision away.
                    continue;
                }
                assert!(rescored >= 0.97, "{metric:?} {bits:?} {offset} {centred}: {rescored}");
                assert!(
                    alone >= if bits == Bits::Four { 0.85 } else { 0.97 },
                    "{metric:?} {bits:?}: {alone}"
                );
            }
        }
    }
}
