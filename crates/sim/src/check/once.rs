//! At most once: however often a write is sent, it has one place.

use super::Checker;
use super::known::Known;
use crate::history::{Ended, History, Write, WriteNumber};
use std::collections::BTreeMap;

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "at most once",
    source: "contract 3.2 and 3.3: a retry under an idempotency key applies exactly once and returns the first \
             result; a request is atomic per shard",
    check,
};

fn check(history: &History, known: &Known) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for (number, whole) in &known.writes {
        if whole.told.len() > 1 {
            wrong.push(format!("p{}: write {number} was told versions {:?}", whole.id, whole.told));
        }
        if whole.seen.len() > 1 {
            wrong.push(format!("p{}: write {number} was seen under {:?}", whole.id, whole.seen));
        }
    }
    let mut sendings: BTreeMap<WriteNumber, Vec<&Write>> = BTreeMap::new();
    for write in history.writes.iter().filter(|write| write.keyed) {
        sendings.entry(write.number).or_default().push(write);
    }
    wrong.extend(sendings.values().filter_map(|sendings| twice(sendings)));
    wrong.extend(torn(history));
    wrong
}

/// A sending that began after another was acknowledged is answered with that one's result.
fn twice(sendings: &[&Write]) -> Option<String> {
    let first = sendings.iter().filter(|write| matches!(write.ended, Ended::Applied(_)));
    let first = first.min_by_key(|write| write.span.returned)?;
    let again = sendings.iter().find(|write| {
        let applied = matches!(write.ended, Ended::Applied(_) | Ended::Mismatch(_));
        write.span.invoked > first.span.returned && applied && !write.replayed
    })?;
    Some(format!("p{}: carried out again under its key: {first:?}, {again:?}", again.id))
}

/// What went to one shard in one request has one version.
fn torn(history: &History) -> Vec<String> {
    let mut versions: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    for write in &history.writes {
        let Ended::Applied(Some(index)) = write.ended else { continue };
        let part = (write.request, history.owners.owner(write.id));
        let other = *versions.entry(part).or_insert(index);
        if other != index {
            wrong
                .push(format!("p{}: request {} was applied at {other} and {index}", write.id, write.request));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    #[test]
    fn a_retry_with_the_first_result() {
        let mut made = History::new();
        made.upsert(1, 0..1).keyed(0).unknown();
        made.upsert(1, 2..3).keyed(0).applied(5).replayed();
        made.upsert(1, 4..5).keyed(0).applied(5).replayed();
        made.get(1, 6..7).at(9).found_as(0, 5);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_retry_that_writes_again() {
        let mut made = History::new();
        made.upsert(1, 0..1).keyed(0).applied(5);
        made.upsert(1, 2..3).keyed(0).applied(6);
        rejects(&CHECKER, &made, "told versions");
        rejects(&CHECKER, &made, "again under its key");
    }

    #[test]
    fn a_content_seen_under_two_versions() {
        let mut made = History::new();
        made.upsert(1, 0..9).unknown();
        made.get(1, 1..2).at(5).found_as(0, 5);
        made.get(1, 3..4).at(7).found_as(0, 7);
        rejects(&CHECKER, &made, "seen under");
    }

    #[test]
    fn a_torn_request() {
        let mut made = History::new();
        made.upsert(1, 0..1).together(9).applied(5);
        made.upsert(2, 0..1).together(9).applied(5);
        accepts(&CHECKER, &made);
        made.upsert(3, 0..1).together(9).applied(6);
        rejects(&CHECKER, &made, "request 9");
    }
}
