//! Failures of earlier systems that must not come back.

use crate::data::Chance;
use crate::support::*;
use vectron_index::RowSet;
use vectron_index::*;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

fn delete_and_put_again(index: &mut Subject, vectors: &[Vec<f32>], entry_first: &[Row]) {
    for row in entry_first {
        index.remove(*row);
    }
    sweep(index);
    for row in index.take_released() {
        assert!(index.put(row, 2, &vectors[row as usize]));
    }
    drain(index);
}

#[test]
fn l03_an_update_hides_the_old_vector_at_once() {
    every_kind(|| {
        let (mut index, vectors) = built(800, 8, Metric::Euclidean, 1);
        for row in 0..50 {
            index.put(800 + row, 2, &[20.0 + row as f32; 8]);
            index.remove(row);
            let hits = find(&index, &vectors[row as usize], 10, 50).hits;
            assert!(hits.iter().all(|hit| hit.row != row));
            let moved = find(&index, &[20.0 + row as f32; 8], 1, 50).hits[0];
            assert_eq!((moved.row, moved.score), (800 + row, 0.0));
        }
    });
}

#[test]
fn l04_replacing_the_entry_point_keeps_every_row_findable() {
    main_kinds(|| {
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let (mut index, vectors) = built(2000, 8, metric, 2);
            let itself = |index: &Subject| {
                let found = vectors.iter().enumerate();
                found.filter(|(row, vector)| find(index, vector, 1, 48).hits[0].row == *row as Row).count()
            };
            let before = itself(&index);
            assert!(before >= 1990);
            // The entry is among the rows of the highest levels; all rows go through it in turn.
            for part in 0..4 {
                let rows: Vec<Row> = (0..2000).filter(|row| row % 4 == part).collect();
                delete_and_put_again(&mut index, &vectors, &rows);
                assert!(itself(&index) + 10 >= before);
                assert_eq!(index.reachable(), Reachability { graph_rows: 2000, reachable: 2000 });
            }
        }
    });
}

#[test]
fn l05_each_metric_is_the_one_asked_for() {
    every_kind(|| {
        for metric in METRICS {
            let (index, vectors) = built(600, 5, metric, 3);
            let mut chance = Chance(4);
            for _ in 0..30 {
                let query = random(&mut chance, 5);
                let hits = find_exact(&index, &query, 600);
                let mut truth: Vec<f64> =
                    vectors.iter().map(|vector| definition(metric, &query, vector)).collect();
                truth.sort_by(|a, b| b.total_cmp(a));
                for (hit, truth) in hits.iter().zip(truth) {
                    assert!((f64::from(hit.score) - truth).abs() < 1e-4);
                }
            }
        }
    });
}

#[test]
fn l07_higher_is_better_for_every_metric() {
    every_kind(|| {
        for metric in METRICS {
            let mut index = Subject::new(params(2, metric));
            index.put(0, 1, &[1.0, 0.1]);
            index.put(1, 1, &[-1.0, 0.1]);
            let hits = find(&index, &[1.0, 0.1], 2, 10).hits;
            assert_eq!(rows(&hits), [0, 1]);
            assert!(hits[0].score > hits[1].score);
        }
    });
}

#[test]
fn l11_a_filter_never_starves_an_answer() {
    every_kind(|| {
        let (mut index, _) = built(20_000, 3, Metric::Euclidean, 5);
        (0..20_000).step_by(7).for_each(|row| index.remove(row));
        let mut chance = Chance(6);
        for one_in in [2, 50, 1000, 19_999] {
            let allowed: RowSet = (0..20_000).filter(|row| row % one_in == 0).collect();
            let matching = allowed.iter().filter(|row| index.is_live(*row)).count();
            for _ in 0..10 {
                let query: Vec<f32> = random(&mut chance, 3).iter().map(|value| value * 3.0).collect();
                let outcome = find_allowed(&index, &query, 10, 10, &allowed);
                assert_eq!(outcome.hits.len(), matching.min(10), "{:?}", outcome.plan);
                assert!(outcome.hits.iter().all(|hit| allowed.contains(hit.row)));
            }
        }
    });
}

#[test]
fn l12_recall_survives_churn() {
    main_kinds(|| {
        let (mut index, mut vectors) = built(5000, 12, Metric::Cosine, 7);
        let mut chance = Chance(8);
        let queries: Vec<Vec<f32>> = (0..200).map(|_| random(&mut chance, 12)).collect();
        let before = recall(&index, &queries, 10, 64);
        for cycle in 0..5 {
            for row in (0..5000).filter(|row| row % 5 == cycle) {
                index.remove(row);
            }
            sweep_if_due(&mut index);
            for row in index.take_released() {
                vectors[row as usize] = random(&mut chance, 12);
                assert!(index.put(row, u64::from(cycle) + 2, &vectors[row as usize]));
            }
            drain(&mut index);
            assert_eq!(index.live(), 5000);
        }
        let after = recall(&index, &queries, 10, 64);
        assert!(after + 0.005 >= before, "{before} became {after}");
        let itself = vectors.iter().enumerate().step_by(3);
        assert!(itself.clone().all(|(row, vector)| find(&index, vector, 1, 64).hits[0].row == row as Row));
    });
}

#[test]
fn l13_the_best_five_are_the_first_of_the_best_ten() {
    every_kind(|| {
        for metric in METRICS {
            // A coarse grid: most scores are tied.
            let mut index = Subject::new(params(3, metric));
            let mut chance = Chance(9);
            for row in 0..2000 {
                let vector: Vec<f32> = (0..3).map(|_| chance.below(6) as f32).collect();
                index.put(row, 1, &vector);
            }
            drain(&mut index);
            (2000..2100).for_each(|row| _ = index.put(row, 1, &[1.0, 2.0, 3.0]));
            let half: RowSet = (0..2100).step_by(2).collect();
            for _ in 0..100 {
                let query: Vec<f32> = (0..3).map(|_| chance.below(6) as f32).collect();
                for ef in [20, 40, 400] {
                    for allowed in [None, Some(&half)] {
                        let mut request = SearchRequest { k: 10, ef, exact: false, allowed };
                        let ten = index.search(&query, &request, &mut Scratch::new());
                        request.k = 5;
                        let five = index.search(&query, &request, &mut Scratch::new());
                        assert_eq!(five.hits, ten.hits[..5]);
                        assert_eq!(five, index.search(&query, &request, &mut Scratch::new()));
                    }
                }
            }
        }
    });
}

#[test]
fn l17_a_delete_never_breaks_the_next_search() {
    every_kind(|| {
        let (mut index, vectors) = built(300, 4, Metric::Dot, 10);
        let mut chance = Chance(11);
        let mut order: Vec<Row> = (0..300).collect();
        (0..300).rev().for_each(|at| order.swap(at, chance.below(at + 1)));
        for (gone, row) in order.iter().enumerate() {
            index.remove(*row);
            index.remove(*row);
            index.remove(10_000);
            let hits = find(&index, &vectors[*row as usize], 5, 8).hits;
            assert_eq!(hits.len(), 5.min(299 - gone));
            assert!(hits.iter().all(|hit| !order[..=gone].contains(&hit.row)));
            if gone % 60 == 59 {
                sweep_if_due(&mut index);
            }
        }
    });
}

#[test]
fn l39_links_and_vectors_take_what_they_need() {
    let (index, _) = built(4096, 32, Metric::Euclidean, 12);
    let bytes = index.bytes();
    assert!(bytes.vectors / 4096 <= 32 * 4 + 8, "{bytes:?}");
    assert!(bytes.links / 4096 <= 32 * 4 + 24, "{bytes:?}");
    assert!(bytes.other / 4096 <= 48, "{bytes:?}");
    assert_eq!(bytes.total(), bytes.codes + bytes.vectors + bytes.links + bytes.other);
}

#[test]
fn l41_progress_shows_and_ends() {
    every_kind(|| {
        let mut index = Subject::new(Params::new(2, Metric::Euclidean));
        for row in 0..4096 {
            assert_eq!(index.next_pending(), None, "too few rows for a graph");
            index.put(row, 1, &[row as f32, 0.5]);
        }
        assert_eq!(index.next_pending(), Some(0));
        let mut left = index.pending();
        let mut scratch = Scratch::new();
        while let Some(row) = index.next_pending() {
            let plan = index.plan_insert(row, &mut scratch).expect("pending");
            index.commit_insert(plan);
            assert_eq!(index.pending(), left - 1);
            left -= 1;
        }
        sweep_if_due(&mut index);
        assert!(!index.wants_sweep() && left == 0);
    });
}

#[test]
fn l42_deleting_frees_memory() {
    every_kind(|| {
        let (mut index, vectors) = built(6000, 16, Metric::Cosine, 13);
        let full = index.bytes();
        (0..5000).for_each(|row| index.remove(row));
        sweep_if_due(&mut index);
        let less = index.bytes();
        assert!((less.codes + less.vectors) * 2 < full.codes + full.vectors, "{less:?}");
        assert!(less.links * 2 < full.links, "{less:?}");
        assert_eq!(index.take_released().len(), 5000);
        (0..5000).for_each(|row| _ = index.put(row, 2, &vectors[row as usize]));
        drain(&mut index);
        let again = index.bytes();
        assert!(again.total() <= full.total() + full.total() / 10, "{again:?}");
    });
}
