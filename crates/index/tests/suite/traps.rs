//! The known traps of approximate search, one test each.

use crate::data::Chance;
use crate::support::*;
use vectron_index::RowSet;
use vectron_index::*;

fn points(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut chance = Chance(seed);
    (0..count).map(|_| random(&mut chance, dimension)).collect()
}

fn over(vectors: &[Vec<f32>], metric: Metric) -> Subject {
    let mut index = Subject::new(params(vectors[0].len(), metric));
    for (row, vector) in vectors.iter().enumerate() {
        assert!(index.put(row as Row, 1, vector));
    }
    drain(&mut index);
    // A build ends with an audit when a hundredth is new; a sweep is one at any time.
    sweep(&mut index);
    let all = vectors.len();
    assert_eq!(index.reachable(), Reachability { graph_rows: all, reachable: all });
    index
}

/// Groups of near-duplicates: rows of one group differ in the noise only.
fn clumps(count: usize, size: usize, mixed: bool) -> Vec<Vec<f32>> {
    let mut chance = Chance(1);
    let groups = count / size;
    let texts = points(groups, 16, 2);
    let group = |at: usize| if mixed { at % groups } else { at / size };
    let noisy = |at: usize| texts[group(at)].iter().map(|value| value + 1e-4 * chance.normal()).collect();
    (0..count).map(noisy).collect()
}

#[test]
fn near_duplicates_leave_nothing_unreachable() {
    main_kinds(|| {
        // 200 is far more than the pool of an insertion holds, and more than a list.
        for (size, mixed) in [(100, false), (200, true), (400, true), (200, false)] {
            let vectors = clumps(4000, size, mixed);
            for metric in [Metric::Cosine, Metric::Euclidean, Metric::Dot] {
                let index = over(&vectors, metric);
                for (row, vector) in vectors.iter().enumerate().step_by(11) {
                    let hits = find(&index, vector, 10, 100).hits;
                    assert_eq!(hits.len(), 10);
                    let found = match metric {
                        // The noise is below what codes show: any of the group will do.
                        Metric::Euclidean if coded() => hits[0].score > -0.01,
                        Metric::Euclidean => hits[0].row == row as Row,
                        // The differences are below what an f32 near 1 can hold.
                        Metric::Cosine => hits[0].score > 1.0 - 1e-6,
                        Metric::Dot => true,
                    };
                    // Clumps larger than the pool that arrive one after another are reachable, but
                    // not all of them on the way a search takes.
                    assert!(found || (size, mixed) == (200, false), "{metric:?} {size} {mixed} {row}");
                }
            }
        }
    });
}

#[test]
fn a_thousand_copies_stay_findable_and_hide_nothing() {
    every_kind(|| {
        let mut vectors = points(3000, 12, 3);
        for at in 0..1000 {
            vectors[at * 3] = vec![0.5; 12];
        }
        let mut index = over(&vectors, Metric::Euclidean);
        let found = find(&index, &[0.5; 12], 200, 200);
        assert!(found.hits.iter().all(|hit| hit.score == 0.0), "{:?}", found.plan);
        let queries = points(100, 12, 4);
        assert!(recall(&index, &queries, 10, 100) > 0.98);
        // The one that stands for all goes, again and again.
        for row in 0..500 {
            index.remove(row * 3);
            assert_eq!(find(&index, &[0.5; 12], 10, 100).hits[0].score, 0.0);
        }
        sweep(&mut index);
        assert_eq!(index.reachable(), Reachability { graph_rows: 2500, reachable: 2500 });
        assert!(recall(&index, &queries, 10, 100) > 0.98);
    });
}

#[test]
fn inner_product_finds_its_best_under_strongly_varying_norms() {
    every_kind(|| {
        let queries = points(200, 24, 6);
        for spread in [0.0, 0.3, 1.0, 2.0] {
            let mut chance = Chance(5);
            let mut vectors = points(4000, 24, 7);
            for vector in &mut vectors {
                let norm = (spread * chance.normal()).exp();
                vector.iter_mut().for_each(|value| *value *= norm);
            }
            let index = over(&vectors, Metric::Dot);
            let recall = recall(&index, &queries, 10, 128);
            assert!(recall > 0.97, "spread {spread}: {recall}");
            assert_eq!(find(&index, &queries[0], 10, 128).plan, Plan::Graph);
        }
    });
}

#[test]
fn cosine_does_not_see_length() {
    every_kind(|| {
        let mut vectors = points(2000, 16, 8);
        for (at, vector) in vectors.iter_mut().enumerate() {
            let norm = 10f32.powi(at as i32 % 40 - 20);
            vector.iter_mut().for_each(|value| *value *= norm);
        }
        let index = over(&vectors, Metric::Cosine);
        assert!(recall(&index, &points(100, 16, 9), 10, 128) > 0.97);
        for (row, vector) in vectors.iter().enumerate().step_by(50) {
            let scaled: Vec<f32> = vector.iter().map(|value| value * 3.0).collect();
            let hit = find(&index, &scaled, 1, 64).hits[0];
            assert!(hit.row == row as Row && (hit.score - 1.0).abs() < 1e-5);
            if let Some(vector) = index.vector(row as Row) {
                let norm: f32 = vector.iter().map(|v| v * v).sum();
                assert!((norm - 1.0).abs() < 1e-5);
            }
        }
    });
}

#[test]
fn a_zero_vector_is_a_vector() {
    every_kind(|| {
        for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
            let mut vectors = points(500, 4, 10);
            vectors[100] = vec![0.0; 4];
            vectors[200] = vec![0.0; 4];
            let index = over(&vectors, metric);
            let hits = find(&index, &[0.0; 4], 500, 500).hits;
            assert_eq!(hits.len(), 500);
            assert!(hits.iter().all(|hit| hit.score.is_finite()));
        }
    });
}

#[test]
fn huge_and_tiny_values_keep_their_order() {
    every_kind(|| {
        for scale in [1e38f32, 1e18, 1e-20, 1e-38] {
            for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
                let mut vectors = points(1200, 8, 11);
                vectors.iter_mut().flatten().for_each(|value| *value *= scale / 8.0);
                let index = over(&vectors, metric);
                for query in points(20, 8, 12) {
                    let query: Vec<f32> = query.iter().map(|value| value * (scale / 8.0)).collect();
                    let hits = find_exact(&index, &query, 10);
                    let mut truth: Vec<(f64, Row)> = vectors
                        .iter()
                        .enumerate()
                        .map(|(row, vector)| (-definition(metric, &query, vector), row as Row))
                        .collect();
                    truth.sort_by(|a, b| a.0.total_cmp(&b.0));
                    let wanted: Vec<Row> = truth.iter().take(10).map(|best| best.1).collect();
                    let same = rows(&hits).iter().filter(|row| wanted.contains(row)).count();
                    assert!(same >= 9, "{metric:?} at {scale}");
                    assert!(hits.iter().all(|hit| hit.score.is_finite()));
                    let near = find(&index, &query, 10, 100);
                    assert_eq!(near.plan, Plan::Graph);
                    let same = rows(&near.hits).iter().filter(|row| wanted.contains(row)).count();
                    assert!(same >= 7, "{metric:?} at {scale}");
                }
            }
        }
    });
}

#[test]
fn extremes_next_to_ordinary_vectors_break_nothing() {
    every_kind(|| {
        for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
            let mut index = Subject::new(params(3, metric));
            let extremes = [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, 0.0, -0.0, 1.0];
            let mut row = 0;
            for a in extremes {
                for b in extremes {
                    // Half of them arrive while the graph is there already.
                    index.put(row, 1, &[a, b, 1.0]);
                    row += 1;
                    if row % 25 == 0 {
                        drain(&mut index);
                    }
                }
            }
            drain(&mut index);
            for a in extremes {
                for ef in [1, 49] {
                    let outcome = find(&index, &[a, 1.0, a], 49, ef);
                    assert_eq!(outcome.hits.len(), 49);
                    assert!(outcome.hits.iter().all(|hit| hit.score.is_finite()));
                    assert!(outcome.hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
                }
            }
            assert_eq!(index.reachable().reachable, 49);
        }
    });
}

#[test]
fn sorted_and_clustered_insertion_finds_as_much() {
    every_kind(|| {
        let mut vectors = points(4000, 8, 13);
        vectors.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let queries = points(200, 8, 14);
        assert!(recall(&over(&vectors, Metric::Euclidean), &queries, 10, 64) > 0.97);
        for (at, vector) in vectors.iter_mut().enumerate() {
            // Codes show a part in some hundred of the whole extent, and no more.
            vector[1] += (at / 500 * if coded() { 3 } else { 100 }) as f32;
        }
        let queries: Vec<Vec<f32>> = vectors.iter().step_by(37).cloned().collect();
        let index = over(&vectors, Metric::Euclidean);
        let recall = recall(&index, &queries, 10, 64);
        assert!(recall > 0.97, "{recall}");
    });
}

#[test]
fn hubs_do_not_swallow_the_rest() {
    every_kind(|| {
        let mut vectors = points(3000, 32, 15);
        // Everything is near the centre.
        for vector in vectors.iter_mut().take(30) {
            vector.iter_mut().for_each(|value| *value *= 0.01);
        }
        let index = over(&vectors, Metric::Euclidean);
        for (row, vector) in vectors.iter().enumerate().step_by(13) {
            assert_eq!(find(&index, vector, 1, 64).hits[0].row, row as Row);
        }
    });
}

#[test]
fn padding_is_not_part_of_a_vector() {
    every_kind(|| {
        for dimension in [1, 2, 15, 16, 17, 31, 33, 100] {
            for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
                let (index, vectors) = built(300, dimension, metric, 16);
                let query = &points(1, dimension, 17)[0];
                for hit in find(&index, query, 10, 30).hits {
                    let wanted = definition(metric, query, &vectors[hit.row as usize]);
                    assert!((f64::from(hit.score) - wanted).abs() < 1e-3);
                    assert!(index.vector(hit.row).is_none_or(|vector| vector.len() == dimension));
                }
            }
        }
    });
}

#[test]
fn small_ef_large_k_and_nothing_left() {
    every_kind(|| {
        let (mut index, vectors) = built(500, 6, Metric::Cosine, 18);
        assert_eq!(find(&index, &vectors[3], 20, 1).hits.len(), 20);
        assert_eq!(find(&index, &vectors[3], 5000, 1).hits.len(), 500);
        assert_eq!(find(&index, &vectors[3], usize::MAX, usize::MAX).hits.len(), 500);
        assert_eq!(find(&index, &vectors[3], 0, 10).hits.len(), 0);
        assert_eq!(find(&index, &vectors[3][..5], 10, 10).hits.len(), 0, "wrong dimension");
        assert!(!index.put(900, 1, &vectors[3][..5]));
        let deleted: RowSet = (0..250).collect();
        (0..250).for_each(|row| index.remove(row));
        assert_eq!(find_allowed(&index, &vectors[3], 10, 10, &deleted).hits.len(), 0);
        assert_eq!(find(&index, &vectors[3], 300, 10).hits.len(), 250);
        (250..500).for_each(|row| index.remove(row));
        assert_eq!(find(&index, &vectors[3], 10, 10).hits.len(), 0);
        assert_eq!(find_exact(&index, &vectors[3], 10).len(), 0);
        sweep(&mut index);
        assert_eq!((index.live(), index.tombstones(), index.take_released().len()), (0, 0, 500));
        assert_eq!(find(&index, &vectors[3], 10, 10).hits.len(), 0);
        assert_eq!(index.bytes().vectors / 1024, 0, "memory is given back");
        index.put(0, 2, &vectors[0]);
        drain(&mut index);
        assert_eq!(find(&index, &vectors[3], 10, 10).hits.len(), 1);
    });
}

#[test]
fn everything_deleted_without_a_sweep_then_inserted_anew() {
    every_kind(|| {
        let (mut index, vectors) = built(400, 6, Metric::Euclidean, 19);
        (0..400).for_each(|row| index.remove(row));
        let mut scratch = Scratch::new();
        for row in 400..800 {
            index.put(row, 1, &vectors[row as usize - 400]);
            let plan = index.plan_insert(row, &mut scratch).expect("pending");
            index.commit_insert(plan);
        }
        assert_eq!(index.pending(), 0);
        for (at, vector) in vectors.iter().enumerate() {
            assert_eq!(find(&index, vector, 1, 32).hits[0].row as usize, at + 400);
        }
        sweep(&mut index);
        assert_eq!(index.reachable(), Reachability { graph_rows: 400, reachable: 400 });
        assert_eq!(index.take_released(), (0..400).collect::<Vec<_>>());
    });
}

#[test]
fn a_reused_row_is_never_its_former_occupant() {
    every_kind(|| {
        let (mut index, vectors) = built(600, 6, Metric::Euclidean, 20);
        let mut scratch = Scratch::new();
        index.put(600, 1, &vectors[0]);
        let stale = index.plan_insert(600, &mut scratch).expect("pending");
        index.remove(600);
        assert_eq!(index.take_released(), [600]);
        index.put(600, 2, &[9.0; 6]);
        index.commit_insert(stale);
        assert_eq!(index.pending(), 1, "a plan for the former occupant does nothing");
        (0..300).for_each(|row| index.remove(row));
        index.put(601, 1, &vectors[1]);
        let stale = index.plan_insert(601, &mut scratch).expect("pending");
        sweep(&mut index);
        let freed = index.take_released();
        assert_eq!(freed.len(), 300);
        for row in freed {
            assert!(index.put(row, 2, &[-9.0, row as f32, 0.0, 0.0, 0.0, 0.0]));
        }
        index.commit_insert(stale);
        drain(&mut index);
        assert_eq!(index.reachable(), Reachability { graph_rows: 602, reachable: 602 });
        assert_eq!(find(&index, &[9.0; 6], 1, 50).hits[0].row, 600);
    });
}

#[test]
fn a_filter_is_answered_in_full_by_each_plan() {
    every_kind(|| {
        let (index, _) = built(30_000, 4, Metric::Euclidean, 21);
        let queries = points(30, 4, 22);
        let mut plans = Vec::new();
        for (every, of) in [(1, 100), (1, 7), (1, 2), (9, 10), (1, 1)] {
            let allowed: RowSet = (0..30_000).filter(|row| row % of < every).collect();
            let recall = recall_allowed(&index, &queries, 10, 64, Some(&allowed));
            assert!(recall > 0.97, "{every}/{of}: {recall}");
            plans.push(find_allowed(&index, &queries[0], 10, 64, &allowed).plan);
        }
        use Plan::*;
        let second = if coded() { Graph } else { GraphFiltered };
        assert_eq!(plans, [ScanAllowed, second, Graph, Graph, Graph]);
    });
}

#[test]
fn rows_that_codes_do_not_tell_apart_are_reachable_all_the_same() {
    main_kinds(|| {
        let mut vectors = points(6_000, 4, 23);
        for vector in vectors.iter_mut().take(2_000) {
            vector[0] += 10_000.0;
        }
        over(&vectors, Metric::Euclidean);
    });
}

#[test]
fn a_filter_far_from_the_query_is_answered_within_twice_the_scan() {
    every_kind(|| {
        // Few components do not suit codes.
        let dimension = if coded() { 16 } else { 4 };
        let mut vectors = points(30_000, dimension, 23);
        for vector in vectors.iter_mut().take(10_000) {
            vector[0] += if coded() { 10.0 } else { 1000.0 };
        }
        let index = over(&vectors, Metric::Euclidean);
        for end in [10_000, 14_000] {
            let allowed: RowSet = (0..end).collect();
            for query in points(20, dimension, 24) {
                let outcome = find_allowed(&index, &query, 10, 64, &allowed);
                assert_eq!(outcome.hits.len(), 10);
                assert!(outcome.stats.distances <= 2 * end as u64 + 2000, "{:?}", outcome.stats);
            }
            let queries = points(20, dimension, 25);
            let recall = recall_allowed(&index, &queries, 10, 64, Some(&allowed));
            assert!(recall > 0.9, "{recall}");
        }
    });
}
