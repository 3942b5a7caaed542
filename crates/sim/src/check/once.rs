//! At most once: however often a write is sent, it has one place.

use super::Checker;
use super::known::Known;
use crate::history::{Ended, History, Id, Write, WriteNumber};
use std::collections::{BTreeMap, BTreeSet};

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
    let mut points: BTreeMap<u64, BTreeSet<Id>> = BTreeMap::new();
    for write in &history.writes {
        points.entry(write.request).or_default().insert(write.id);
    }
    let alone = |write: &Write| points.get(&write.request).is_none_or(|ids| ids.len() == 1);
    wrong.extend(sendings.values().filter_map(|sendings| twice(sendings, alone)));
    wrong.extend(torn(history));
    wrong
}

/// A sending that began after another was acknowledged is answered with that one's result, and says so; when points
/// of other shards were sent with it, which may have failed the first time, it need not say so.
fn twice(sendings: &[&Write], alone: impl Fn(&Write) -> bool) -> Option<String> {
    let first = sendings.iter().filter(|write| matches!(write.ended, Ended::Applied(_)));
    let first = first.min_by_key(|write| write.span.returned)?;
    let again = sendings.iter().find(|write| {
        let again = match write.ended {
            Ended::Applied(_) => alone(write) && !write.replayed,
            Ended::Mismatch(_) => true,
            Ended::NotApplied | Ended::Unknown => false,
        };
        write.span.invoked > first.span.returned && again
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
