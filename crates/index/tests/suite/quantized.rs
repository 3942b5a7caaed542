//! What codes must not change: exact scores, the order of answers, what is found at all.

use crate::data::{self, Chance};
use crate::support::*;
use vectron_index::RowSet;
use vectron_index::*;

const CODED: [(Quantization, Vectors); 2] =
    [(Quantization::EightBit, Vectors::Ram), (Quantization::FourBit, Vectors::Elsewhere)];

fn of_data(rows: usize) -> (Subject, data::Data) {
    let data = data::load(rows);
    let mut index = Subject::new(Params { quantize_from: 1000, ..params(data.dimension, Metric::Cosine) });
    for row in 0..data.len() {
        assert!(index.put(row as Row, 1, data.row(row)));
    }
    drain(&mut index);
    (index, data)
}

fn queries(data: &data::Data, count: usize) -> Vec<Vec<f32>> {
    (0..count).map(|at| data.query(at).to_vec()).collect()
}

#[test]
fn recall_has_a_floor_at_every_selectivity_and_after_half_is_deleted() {
    main_kinds(|| {
        let (mut index, data) = of_data(8000);
        let queries = queries(&data, 100);
        for deleted in [false, true] {
            if deleted {
                (0..8000).step_by(2).for_each(|row| index.remove(row));
                sweep_if_due(&mut index);
            }
            for (percent, floor) in [(100, 0.97), (90, 0.97), (50, 0.96), (10, 0.99), (1, 1.0)] {
                let mut chance = Chance(5);
                let allowed: RowSet = (0..8000).filter(|_| chance.below(100) < percent).collect();
                let recall = recall_allowed(&index, &queries, 10, 128, Some(&allowed));
                assert!(recall >= floor, "{percent} %, deleted {deleted}: {recall}");
            }
        }
    });
}

#[test]
fn scores_are_those_of_full_vectors_and_few_are_read() {
    for kind in CODED {
        of_kind(kind, || {
            let (index, data) = of_data(3000);
            assert!(index.is_quantized());
            let mut rescored = 0;
            for query in queries(&data, 50) {
                let outcome = find(&index, &query, 10, 64);
                for hit in &outcome.hits {
                    let wanted = definition(Metric::Cosine, &query, data.row(hit.row as usize));
                    assert!((f64::from(hit.score) - wanted).abs() < 1e-5);
                    assert_eq!(index.score(&query, hit.row), Some(hit.score));
                }
                let stats = outcome.stats;
                // Copies come along with the row that stands for them.
                assert!(stats.rescored >= 10 && stats.bounded >= 64, "{stats:?}");
                rescored += stats.rescored;
                assert!(stats.bytes > stats.distances * data.dimension as u64 / 2);
            }
            assert!(rescored / 50 <= 25, "{rescored}");
        });
    }
}

#[test]
fn codes_are_as_close_as_their_bits_and_take_the_place_of_vectors() {
    for (quantization, vectors) in CODED {
        of_kind((quantization, vectors), || {
            let (index, data) = of_data(3000);
            let CodeErrors { coarse, fine } = index.code_errors().expect("has codes");
            assert!(fine > 0.0 && fine < 0.02, "{fine}");
            let wanted = if quantization == Quantization::FourBit { 0.05..0.2 } else { fine..fine + 1e-9 };
            assert!(wanted.contains(&coarse), "{coarse}");
            let bytes = index.bytes();
            let per_row = |bytes: usize| bytes / data.len();
            // Rows are held in chunks of 1,024.
            assert!(per_row(bytes.codes) <= (data.dimension + 40) * 3072 / 3000 + 8, "{bytes:?}");
            match vectors {
                Vectors::Elsewhere => assert_eq!(bytes.vectors, 0),
                Vectors::Ram => assert!(per_row(bytes.vectors) >= data.dimension * 4),
            }
            assert!(index.vector(5).is_some() == (vectors == Vectors::Ram));
        });
    }
}

#[test]
fn few_rows_are_compared_as_they_are_and_exactly() {
    for kind in CODED {
        of_kind(kind, || {
            let mut chance = Chance(1);
            let mut index =
                Subject::new(Params { flat_below: 500, quantize_from: 500, ..params(40, Metric::Dot) });
            for row in 0..499 {
                index.put(row, 1, &random(&mut chance, 40));
            }
            assert!(!index.is_quantized() && index.vector(0).is_some() && index.code_errors().is_none());
            let query = random(&mut chance, 40);
            let outcome = find(&index, &query, 20, 20);
            assert_eq!((outcome.plan, outcome.hits), (Plan::Flat, find_exact(&index, &query, 20)));
            index.put(499, 1, &random(&mut chance, 40));
            assert!(index.is_quantized());
            let outcome = find(&index, &query, 20, 20);
            assert_eq!((outcome.plan, outcome.hits), (Plan::Flat, find_exact(&index, &query, 20)));
        });
    }
}

/// A vector beyond the range of f32 sums ends the codes; what is elsewhere is read back.
#[test]
fn an_extreme_vector_among_coded_ones_loses_nothing() {
    for kind in KINDS {
        of_kind(kind, || {
            for metric in [Metric::Dot, Metric::Euclidean] {
                let (mut index, vectors) = built(400, 6, metric, 3);
                (0..50).for_each(|row| index.remove(row));
                assert_eq!(index.is_quantized(), coded());
                assert!(index.put(1000, 1, &[1e30; 6]));
                assert!(!index.is_quantized());
                drain(&mut index);
                sweep(&mut index);
                assert_eq!(index.reachable(), Reachability { graph_rows: 351, reachable: 351 });
                assert_eq!(index.tombstones(), 0);
                for row in [60, 200, 399] {
                    let wanted = definition(metric, &vectors[row], &vectors[row]);
                    let score = index.score(&vectors[row], row as Row).expect("live");
                    assert!((f64::from(score) - wanted).abs() < 1e-4);
                }
                assert_eq!(find(&index, &[1e30; 6], 1, 64).hits[0].row, 1000);
            }
        });
    }
}

/// Extreme queries of coded rows are answered by full vectors.
#[test]
fn an_extreme_query_of_coded_rows_is_answered_exactly() {
    for kind in CODED {
        of_kind(kind, || {
            let (index, _) = built(400, 6, Metric::Euclidean, 3);
            let query = [1e30, 0.0, 0.0, 0.0, 0.0, 0.0];
            let outcome = find(&index, &query, 10, 64);
            assert_eq!(rows(&outcome.hits), rows(&find_exact(&index, &query, 10)));
        });
    }
}

struct Gone;

impl FullVectors for Gone {
    fn read(&self, row: Row, into: &mut Vec<f32>) -> bool {
        into.extend([0.5; 8]);
        row.is_multiple_of(2)
    }
}

#[test]
fn rows_whose_vectors_cannot_be_read_are_left_out_and_counted() {
    of_kind((Quantization::FourBit, Vectors::Elsewhere), || {
        let mut chance = Chance(8);
        let mut index = VectorIndex::new(params(8, Metric::Euclidean));
        for row in 0..500 {
            index.put(row, 1, &random(&mut chance, 8), &());
        }
        let query = random(&mut chance, 8);
        for exact in [false, true] {
            let request = SearchRequest { k: 10, ef: 64, exact, allowed: None };
            let outcome = index.search(&query, &request, &Gone, &mut Scratch::new());
            assert_eq!(outcome.hits.len(), 10);
            assert!(outcome.hits.iter().all(|hit| hit.row.is_multiple_of(2)) && outcome.stats.unreadable > 0);
        }
        assert_eq!(index.score(&query, 3, &Gone), None);
    });
}

#[test]
fn ties_at_the_end_are_told() {
    every_kind(|| {
        let mut index = Subject::new(params(4, Metric::Euclidean));
        let mut chance = Chance(2);
        for row in 0..300 {
            index.put(row, 1, &random(&mut chance, 4));
        }
        (300..320).for_each(|row| _ = index.put(row, 1, &[9.0; 4]));
        drain(&mut index);
        for exact in [false, true] {
            let request = SearchRequest { k: 8, ef: 16, exact, allowed: None };
            let outcome = index.search(&[9.0; 4], &request, &mut Scratch::new());
            assert_eq!(rows(&outcome.hits), (300..308).collect::<Vec<_>>());
            assert_eq!(rows(&outcome.ties), (308..320).collect::<Vec<_>>());
            // Copies of one vector are chained, so all were come across, but nothing tells that.
            assert!(!exact || !outcome.ties_cut);
        }
        let outcome = find(&index, &[9.0; 4], 19, 64);
        assert_eq!((rows(&outcome.ties), outcome.ties_cut), (vec![319], false));
    });
}

#[test]
fn calibration_promises_what_is_found() {
    main_kinds(|| {
        let (index, data) = of_data(8000);
        let mut scratch = Scratch::new();
        let mut calibrator = index.begin_calibration(100).expect("has a graph");
        let mut steps = 0;
        let calibration = loop {
            steps += 1;
            if let Some(done) = calibrate(&index, &mut calibrator, &mut scratch) {
                break done;
            }
        };
        assert!(steps <= 101);
        let queries = queries(&data, 200);
        let mut before = 0;
        for target in [0.8, 0.9, 0.95, 0.98, 0.99] {
            let ef = calibration.ef(target).expect("enough rows were measured");
            assert!(ef >= before && ef <= 1024);
            before = ef;
            let recall = recall(&index, &queries, 10, ef);
            assert!(recall + 0.01 >= f64::from(target), "{target}: {recall} at {ef}");
        }
        assert!(!calibration.is_stale(&index));
        assert!(calibration.is_stale(&Subject::new(params(4, Metric::Dot))));
    });
}

fn calibrate(index: &Subject, calibrator: &mut Calibrator, scratch: &mut Scratch) -> Option<Calibration> {
    index.calibrate(calibrator, index.full(), scratch)
}

#[test]
fn an_index_without_a_graph_is_not_calibrated() {
    assert!(VectorIndex::new(Params::new(8, Metric::Dot)).begin_calibration(10).is_none());
}
