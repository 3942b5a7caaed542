//! Visibility of searches: each hit is a point as it is in the state that the answer states, and an exact search
//! misses none.

use super::Checker;
use super::known::{Known, OfId};
use crate::history::{History, Hit, Id, Search, score};
use std::cmp::Ordering;

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "search visibility",
    source: "contract 3.5 to 3.7: each hit exists, passes the filter and is scored on its version there; a deleted \
             point never returns; exact searches give the true top-k; order is by score, then id",
    check,
};

/// Scores are computed in floats by other code than ours.
const TOLERANCE: f32 = 1e-3;

fn check(history: &History, known: &Known) -> Vec<String> {
    history.searches.iter().flat_map(|search| of_one(history, known, search)).collect()
}

fn of_one(history: &History, known: &Known, search: &Search) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut say = |what: String| wrong.push(format!("{what}: {search:?}"));
    if search.hits.len() > search.k {
        say("more hits than asked for".into());
    }
    if search.delivered.positions.0.len() < search.shards && !search.partial {
        say("fewer shards than needed, and not said so".into());
    }
    if search.hits.windows(2).any(|pair| order(&pair[0], &pair[1]) != Ordering::Less) {
        say("not in order".into());
    }
    for hit in &search.hits {
        if let Some(what) = bad_hit(history, known, search, hit) {
            say(what);
        }
    }
    if search.exact
        && let Some(id) = missed(history, known, search)
    {
        let place = history.position(id, &search.delivered.positions);
        let last = place.and_then(|place| known.ids.get(&id)?.at(place));
        say(format!("p{id} is missing at {place:?}, {last:?}"));
    }
    wrong
}

/// Best first, ties by id as text.
fn order(a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| format!("p{}", a.id).cmp(&format!("p{}", b.id)))
}

fn bad_hit(history: &History, known: &Known, search: &Search, hit: &Hit) -> Option<String> {
    let Hit { id, seen, .. } = *hit;
    let Some(place) = history.position(id, &search.delivered.positions) else {
        return Some(format!("p{id} comes from a shard that did not answer"));
    };
    // Foreign contents are a matter of the version order.
    let content = known.writes.get(&seen.number).and_then(|whole| whole.content)?;
    if (score(&search.query, &content) - hit.score).abs() > TOLERANCE {
        return Some(format!("p{id} is scored {} and has {}", hit.score, score(&search.query, &content)));
    }
    if search.color.is_some_and(|color| color != content.color) {
        return Some(format!("p{id} does not pass the filter"));
    }
    if seen.version > place {
        return Some(format!("p{id} has version {} in the state of {place}", seen.version));
    }
    let after = known.ids.get(&id).and_then(|of_id| of_id.at(place)).filter(|last| last.index > seen.version);
    after.map(|after| format!("p{id} is not so in the state of {place}: {after:?} came after"))
}

/// A point that must be among the hits and is not.
fn missed(history: &History, known: &Known, search: &Search) -> Option<Id> {
    // With fewer hits than asked for everything that passes is in; else what is clearly better than the worst.
    let worst = (search.hits.len() >= search.k).then(|| search.hits.last().map_or(f32::MIN, |hit| hit.score));
    let must = |id: Id, of_id: &OfId| -> bool {
        let Some(place) = history.position(id, &search.delivered.positions) else { return false };
        // The shard that failed may be the one that the point had split off into: the older one's index is no promise.
        if search.partial && search.delivered.positions.of(history.owners.owner(id)).is_none() {
            return false;
        }
        if of_id.doubtful(search.span.returned) {
            return false;
        }
        let Some(content) = of_id.at(place).and_then(|last| last.content) else { return false };
        search.color.is_none_or(|color| color == content.color)
            && worst.is_none_or(|worst| score(&search.query, &content) > worst + TOLERANCE)
    };
    let hit = |id: Id| search.hits.iter().any(|hit| hit.id == id);
    known.ids.iter().find(|(id, of_id)| must(**id, of_id) && !hit(**id)).map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, all_accept, rejects};
    use super::*;

    fn three_points() -> History {
        let mut made = History::new();
        for id in 0..3 {
            made.upsert(id, 0..1).applied(5 + u64::from(id));
        }
        made
    }

    #[test]
    fn the_true_answer() {
        let mut made = three_points();
        made.delete(1, 2..3).applied(9);
        made.search(4..5).at(9).hit(0, 0, 5).hit(2, 2, 7);
        made.search(4..5).at(9).k(1).hit(0, 0, 5);
        all_accept(&made);
    }

    #[test]
    fn a_deleted_point_that_returns() {
        let mut made = three_points();
        made.delete(1, 2..3).applied(9);
        made.search(4..5).at(9).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7);
        rejects(&CHECKER, &made, "p1 is not so");
    }

    #[test]
    fn an_old_version() {
        let mut made = three_points();
        made.upsert(1, 2..3).applied(9);
        made.search(4..5).at(9).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7);
        rejects(&CHECKER, &made, "p1 is not so");
    }

    #[test]
    fn a_point_missing() {
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(2, 2, 7);
        rejects(&CHECKER, &made, "p1 is missing");
        let mut made = three_points();
        made.search(4..5).at(9).k(2).hit(0, 0, 5).hit(2, 2, 7);
        rejects(&CHECKER, &made, "p1 is missing");
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(2, 2, 7).0.exact = false;
        accepts(&CHECKER, &made);
    }

    #[test]
    fn points_in_doubt_may_be_there_or_not() {
        let mut made = three_points();
        made.delete(1, 2..3).unknown();
        made.upsert(2, 2..3).unknown();
        made.search(4..5).at(9).hit(0, 0, 5);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_wrong_score_or_order() {
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7).0.hits[1].score = -1.5;
        rejects(&CHECKER, &made, "is scored");
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(2, 2, 7).hit(1, 1, 6);
        rejects(&CHECKER, &made, "not in order");
    }

    #[test]
    fn a_hit_that_does_not_pass() {
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7).0.color = Some(3);
        rejects(&CHECKER, &made, "does not pass");
    }

    #[test]
    fn a_partial_answer_without_a_flag() {
        let mut made = three_points();
        made.search(4..5).at(9).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7).0.shards = 2;
        rejects(&CHECKER, &made, "fewer shards");
    }

    #[test]
    fn too_many_hits() {
        let mut made = three_points();
        made.search(4..5).at(9).k(2).hit(0, 0, 5).hit(1, 1, 6).hit(2, 2, 7);
        rejects(&CHECKER, &made, "more hits");
    }
}
