//! The measured recall of a search, against exact searches of the state that it was measured at.

use crate::support::*;
use vectron_store::{SearchQuery, Shard};

/// True neighbours among what a search with this effort finds, and how many there are.
fn truth(shard: &Shard, query: &SearchQuery, ef: Option<usize>) -> (u64, u64) {
    let plain = SearchQuery { score_threshold: None, ..query.clone() };
    let exact = shard.search(&SearchQuery { exact: true, ..plain.clone() }).unwrap().hits;
    let least = exact.last().map_or(f32::INFINITY, |hit| hit.score);
    let found = shard.search(&SearchQuery { ef: ef.or(plain.ef), ..plain }).unwrap().hits;
    (found.iter().filter(|hit| hit.score >= least).count() as u64, exact.len() as u64)
}

fn assert_measured(shard: &Shard, query: &SearchQuery, meanwhile: &dyn Fn()) -> u64 {
    let efforts = [None, Some(64), Some(3000)];
    let looked = std::cell::Cell::new(false);
    let stop = || {
        if !looked.replace(true) {
            meanwhile();
        }
        false
    };
    let sample = shard.measure_recall(query, &efforts, &stop).unwrap().expect("measured");
    assert_eq!(sample.applied_index, shard.applied_index());
    assert_eq!(sample.matching, shard.count(query.filter.as_ref()).unwrap().value);
    for (tried, ef) in sample.tries.iter().zip(efforts) {
        assert_eq!((tried.found, sample.of), truth(shard, query, ef), "{ef:?}");
    }
    sample.of - sample.tries[0].found
}

#[test]
fn what_is_measured_is_what_an_exact_search_says() {
    let (_disk, shard) = shard_of(3000, 24);
    let mut missed = 0;
    for seed in 0..30u64 {
        let mut query = SearchQuery::new(vector(70_000 + seed, 24), 10);
        query.ef = Some(32);
        query.score_threshold = Some(0.99);
        missed += assert_measured(&shard, &query, &|| {});
        query.filter = Some(filter(r#"{"parity":1}"#));
        assert_measured(&shard, &query, &|| {});
        query.filter = Some(filter(r#"{"rare":true}"#));
        query.top_k = 100;
        assert_measured(&shard, &query, &|| {});
    }
    assert!(missed > 0, "nothing was missed: the test shows nothing");
    let nothing =
        SearchQuery { filter: Some(filter(r#"{"parity":7}"#)), ..SearchQuery::new(vector(1, 24), 10) };
    assert_eq!(shard.measure_recall(&nothing, &[None], &|| false).unwrap(), None);
    let stopped = SearchQuery::new(vector(1, 24), 10);
    assert_eq!(shard.measure_recall(&stopped, &[None], &|| true).unwrap(), None);
}

#[test]
fn what_changes_while_it_is_measured_is_seen() {
    let (_disk, shard) = shard_of(1000, 12);
    for seed in 0..20u64 {
        let queried = vector(80_000 + seed, 12);
        let mut query = SearchQuery::new(queried.clone(), 10);
        query.ef = Some(32);
        if seed % 2 == 1 {
            query.filter = Some(filter(r#"{"parity":1}"#));
        }
        let best = search_ids(&shard, &query);
        assert_measured(&shard, &query, &|| {
            // The best goes, the second leaves the filter, and one comes that is nearer than all.
            apply(&shard, &delete(&[&best[0]]));
            let second = shard.get(&[&best[1]], ALL).unwrap().value.remove(0).unwrap();
            apply(
                &shard,
                &upsert(vec![point(&best[1], second.vector.unwrap().dense().unwrap(), r#"{"parity":5}"#)]),
            );
            let new = format!("new{seed}");
            apply(&shard, &upsert(vec![point(&new, &queried, r#"{"parity":1}"#)]));
        });
        index_all(&shard);
    }
}
