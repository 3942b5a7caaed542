//! Why a search returns a point or does not, against an exact search and a sorted list.

use crate::support::*;
use vectron_store::filter::{FailedClause, naive};
use vectron_store::{Metric, RemovalCause, Scored, SearchQuery, Shard, Standing};

fn standing(shard: &Shard, query: &SearchQuery, id: &str) -> Standing {
    shard.why_not(query, id).unwrap().value
}

/// Every point that passes, best first, as an exact search has them.
fn truth(shard: &Shard, query: &SearchQuery) -> Vec<(String, f32)> {
    let all = SearchQuery { exact: true, top_k: 100_000, score_threshold: None, ..query.clone() };
    shard.search(&all).unwrap().hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
}

fn assert_standings(shard: &Shard, query: &SearchQuery, ids: &[String]) -> usize {
    let truth = truth(shard, query);
    let found = search_ids(shard, query);
    let payloads = shard.get(ids, ALL).unwrap().value;
    let mut missed = 0;
    for (id, point) in ids.iter().zip(payloads) {
        let point = point.unwrap();
        let passes =
            query.filter.as_ref().is_none_or(|f| naive::matches(f, point.payload.as_deref().unwrap()));
        let standing = standing(shard, query, id);
        let Some(rank) = truth.iter().position(|(other, _)| other == id) else {
            assert!(!passes);
            let Standing::Filtered { version, failed } = standing else { panic!("{id}: {standing:?}") };
            assert!(version == point.version && !failed.is_empty());
            continue;
        };
        let Standing::Scored(Scored { version, score, ahead, position, ef, ef_needed }) = standing else {
            panic!("{id}: {standing:?}")
        };
        assert_eq!((version, score, ahead), (point.version, truth[rank].1, rank as u64), "{id}");
        assert_eq!(position, found.iter().position(|other| other == id).map(|at| at as u64), "{id}");
        // What comes before it as seen from elsewhere.
        let elsewhere = shard.ahead_of(query, score, id).unwrap().value;
        let before = truth[..rank].iter().filter(|(other, _)| found.contains(other)).count();
        assert_eq!((elsewhere.ahead, elsewhere.returned), (rank as u64, before as u64), "{id}");
        let above = query.score_threshold.is_none_or(|least| score >= least);
        if rank < query.top_k && above && position.is_none() {
            missed += 1;
            let needed = ef_needed.expect("every point of a connected graph can be reached");
            assert!(needed > ef, "{needed} {ef}");
            let wider = SearchQuery { ef: Some(needed), ..query.clone() };
            assert!(search_ids(shard, &wider).contains(id), "{id} with {needed}");
        } else {
            assert_eq!(ef_needed, None);
        }
    }
    missed
}

#[test]
fn ranks_are_those_of_an_exact_search_and_the_effort_that_is_named_finds_what_was_missed() {
    let (_disk, shard) = shard_of(3000, 24);
    let mut missed = 0;
    for seed in 0..12u64 {
        let mut query = SearchQuery::new(vector(90_000 + seed, 24), 10);
        query.ef = Some(32);
        let truth = truth(&shard, &query);
        let ids: Vec<String> =
            truth.iter().take(14).chain(&truth[2990..]).map(|(id, _)| id.clone()).collect();
        missed += assert_standings(&shard, &query, &ids);
    }
    assert!(missed > 0, "nothing was missed: the test shows nothing");
}

#[test]
fn filters_thresholds_and_ties() {
    let (_disk, shard) = shard_of(300, 4);
    // Twins tie, and order by id.
    let twins: Vec<_> = (0..9).map(|i| point(&format!("twin{i}"), &[1.0, 2.0, 3.0, 4.0], "{}")).collect();
    apply(&shard, &upsert(twins));
    index_all(&shard);
    let ids: Vec<String> =
        (0..300).step_by(7).map(|i| format!("p{i:04}")).chain((0..9).map(|i| format!("twin{i}"))).collect();
    for (filter_text, threshold, exact, k) in [
        ("{}", None, false, 5),
        ("{}", Some(0.9), false, 5),
        (r#"{"parity":1}"#, None, false, 20),
        (r#"{"parity":{"$exists":true},"$or":[{"rare":true},{"parity":0}]}"#, Some(0.1), true, 20),
    ] {
        let mut query = SearchQuery::new(vec![1.0, 2.0, 3.0, 4.0], k);
        (query.filter, query.score_threshold, query.exact) = (Some(filter(filter_text)), threshold, exact);
        assert_standings(&shard, &query, &ids);
    }
    let mut query = SearchQuery::new(vec![1.0, 0.0, 0.0, 0.0], 5);
    query.filter = Some(filter(r#"{"parity":1,"rare":true}"#));
    let clause = |clause: &str, field: &str, value: &str| FailedClause {
        clause: clause.into(),
        values: vec![(field.into(), Some(value.into()))],
    };
    let failed = vec![
        clause(r#"{"parity":{"$eq":1}}"#, "parity", "0"),
        clause(r#"{"rare":{"$eq":true}}"#, "rare", "false"),
    ];
    let version = shard.get(&["p0002"], ALL).unwrap().value[0].as_ref().unwrap().version;
    assert_eq!(standing(&shard, &query, "p0002"), Standing::Filtered { version, failed });
}

#[test]
fn a_point_that_went_is_told_from_one_that_never_was() {
    let (_disk, shard) = shard_of(20, 4);
    let query = SearchQuery::new(vector(1, 4), 5);
    assert_eq!(standing(&shard, &query, "nobody"), Standing::Absent);
    let mut gone = delete(&["p0003"]);
    gone.log_time_ms = 1234;
    apply(&shard, &gone);
    let Standing::Removed(removal) = standing(&shard, &query, "p0003") else { panic!("removed") };
    assert_eq!(
        (removal.cause, removal.log_time_ms, removal.version),
        (RemovalCause::Deleted, 1234, shard.applied_index())
    );
    apply(&shard, &upsert(vec![point("p0003", &vector(1, 4), "{}")]));
    let Standing::Scored(scored) = standing(&shard, &query, "p0003") else { panic!("back") };
    // It has the vector of p0001, which comes first.
    assert_eq!((scored.ahead, scored.position), (1, Some(1)));
}

#[test]
fn a_query_of_another_dimension_is_refused() {
    let shard = open(&vectron_base::disk::sim::SimDisk::new(1), &config(4, Metric::Dot));
    assert!(shard.why_not(&SearchQuery::new(vec![1.0; 3], 5), "a").is_err());
    assert!(shard.ahead_of(&SearchQuery::new(vec![1.0; 3], 5), 0.0, "a").is_err());
}
