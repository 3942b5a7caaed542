//! The order of results, and that a shorter answer is the beginning of a longer one.

use crate::support::*;
use vectron_base::disk::sim::SimDisk;
use vectron_base::random::mix64;
use vectron_store::{Metric, SearchQuery, UpsertPoint};

#[test]
fn l13_order_is_stable_and_a_shorter_answer_is_a_prefix() {
    let shard = open(&SimDisk::new(1), &config(2, Metric::Dot));
    // Sixty points in five groups of equal score, sent in a scrambled order, in two vector shapes.
    let mut order: Vec<u64> = (0..60).collect();
    order.sort_by_key(|i| mix64(*i));
    for i in order {
        let id = format!("p{i:02}");
        apply(&shard, &upsert(vec![point(&id, &[(i % 5) as f32, (i % 2) as f32], "{}")]));
    }
    let mut truth: Vec<u64> = (0..60).collect();
    truth.sort_by_key(|i| (4 - i % 5, *i));
    let truth: Vec<String> = truth.iter().map(|i| format!("p{i:02}")).collect();
    for indexed in [false, true] {
        for top_k in 0..=61 {
            for exact in [false, true] {
                let mut query = SearchQuery::new(vec![1.0, 0.0], top_k);
                query.exact = exact;
                assert_eq!(search_ids(&shard, &query), truth[..top_k.min(60)], "{indexed} {top_k}");
            }
        }
        index_all(&shard);
    }
    let (_, shard) = shard_of(3000, 16);
    // For each effort the results up to which it stays the same.
    for (ef, most) in
        [(None, 32), (Some(1), 16), (Some(10), 16), (Some(40), 16), (Some(128), 64), (Some(512), 256)]
    {
        for seed in 0..10 {
            let ask = |top_k| {
                let mut query = SearchQuery::new(vector(50_000 + seed, 16), top_k);
                query.ef = ef;
                search_ids(&shard, &query)
            };
            let longest = ask(most);
            for top_k in (1..=16).chain([most / 2 - 1, most / 2, most - 1, most]) {
                assert_eq!(ask(top_k), longest[..top_k], "ef {ef:?} top_k {top_k}");
            }
        }
    }
}

#[test]
fn l13_ties_beyond_the_effort_are_ordered_by_id_with_one_more_round() {
    let shard = open(&SimDisk::new(1), &config(2, Metric::Dot));
    // Far more points of one score than the effort, and a few better ones; ids in another order than rows.
    let points: Vec<UpsertPoint> = (0..2000u64)
        .map(|i| {
            let first = if i % 500 == 0 { 9.0 } else { 1.0 };
            point(&format!("{:016x}", mix64(i)), &[first, (i % 3) as f32], "{}")
        })
        .collect();
    let mut truth: Vec<(bool, String)> =
        points.iter().map(|p| (p.vector.dense().unwrap()[0] < 5.0, p.id.clone())).collect();
    truth.sort();
    points.chunks(500).for_each(|batch| drop(apply(&shard, &upsert(batch.to_vec()))));
    for indexed in [false, true] {
        for (top_k, exact) in
            [(1, false), (4, false), (5, false), (5, true), (10, false), (64, false), (200, true)]
        {
            let mut query = SearchQuery::new(vec![1.0, 0.0], top_k);
            query.exact = exact;
            let found = shard.search(&query).unwrap();
            let ids: Vec<&String> = found.hits.iter().map(|hit| &hit.id).collect();
            let expected: Vec<&String> = truth.iter().take(top_k).map(|(_, id)| id).collect();
            assert_eq!(ids, expected, "{indexed} {top_k} {exact}");
            // A scan comes across all that tie; a traversal cannot know.
            let rounds = if top_k > 4 && indexed && !exact { 2 } else { 1 };
            assert_eq!(found.explain.rounds, rounds, "{indexed} {top_k} {exact}");
        }
        index_all(&shard);
    }
}
