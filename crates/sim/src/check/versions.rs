//! Version order: what a version names, over all operations.

use super::Checker;
use super::known::{Known, OfId, Placed};
use crate::history::{Ended, History, Write};

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "version order",
    source: "contract 3.2: versions grow with every change of a point, no version names two contents, \
             `if_version` is decided at apply, what was refused never happens",
    check,
};

fn check(history: &History, known: &Known) -> Vec<String> {
    let mut wrong: Vec<String> = Vec::new();
    for (id, seen) in &known.foreign {
        wrong.push(format!("p{id}: {seen:?} was never written there"));
    }
    for (id, of_id) in &known.ids {
        for pair in of_id.placed.windows(2) {
            if pair[0].index == pair[1].index && pair[0].number != pair[1].number {
                wrong.push(format!("p{id}: version {} names {:?} and {:?}", pair[0].index, pair[0], pair[1]));
            }
        }
    }
    for (number, whole) in &known.writes {
        let never = !whole.doubtful && whole.told.is_empty();
        if never && !whole.seen.is_empty() {
            let sent: Vec<&Write> = history.writes.iter().filter(|write| write.number == *number).collect();
            wrong.push(format!("p{}: refused, and seen at {:?}: {sent:?}", whole.id, whole.seen));
        }
        if whole.content.is_some()
            && let (Some(told), Some(seen)) = (whole.told.first(), whole.seen.first())
            && told != seen
        {
            wrong.push(format!("p{}: write {number} was told version {told} and seen as {seen}", whole.id));
        }
    }
    for write in &history.writes {
        if let Some(of_id) = known.ids.get(&write.id) {
            wrong.extend(conditional(write, of_id));
            wrong.extend(counted(write, of_id));
        }
    }
    wrong
}

/// The version that a point had before an index, 0 without a point.
fn version(placed: Option<&Placed>) -> u64 {
    placed.filter(|placed| placed.content.is_some()).map_or(0, |placed| placed.index)
}

/// A condition that held was true of the state before, one that did not was false.
fn conditional(write: &Write, of_id: &OfId) -> Option<String> {
    let demanded = write.if_version?;
    match write.ended {
        Ended::Applied(Some(index)) if !write.replayed && !of_id.doubtful(write.span.returned) => {
            let before = version(of_id.before(index));
            (before != demanded).then(|| {
                format!("p{}: written over version {before} at {index}, if it was {demanded}", write.id)
            })
        }
        Ended::Mismatch(found) if found == demanded => {
            Some(format!("p{}: refused at version {found}, as demanded", write.id))
        }
        _ => None,
    }
}

/// A delete counts what was there.
fn counted(write: &Write, of_id: &OfId) -> Option<String> {
    let (existed, Ended::Applied(Some(index))) = (write.existed?, write.ended) else { return None };
    if write.replayed || of_id.doubtful(write.span.returned) {
        return None;
    }
    let before = of_id.before(index);
    let was = before.is_some_and(|placed| placed.content.is_some());
    (existed != was)
        .then(|| format!("p{}: deleted at {index}: counted {existed}, before: {before:?}", write.id))
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    #[test]
    fn versions_that_grow_are_fine() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.delete(1, 2..3).applied(7).existed(true);
        made.upsert(1, 4..5).if_version(0).applied(8);
        made.upsert(1, 6..7).if_version(5).ended(Ended::Mismatch(8));
        made.get(1, 8..9).at(9).found(2);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_version_that_names_two_contents() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..3).applied(5);
        rejects(&CHECKER, &made, "names");
    }

    #[test]
    fn a_refused_write_that_is_seen() {
        let mut made = History::new();
        made.upsert(1, 0..1).ended(Ended::NotApplied);
        made.get(1, 2..3).at(9).found_as(0, 4);
        rejects(&CHECKER, &made, "refused");
    }

    #[test]
    fn a_write_that_is_seen_under_another_version() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.get(1, 2..3).at(9).found_as(0, 6);
        rejects(&CHECKER, &made, "told version 5");
    }

    #[test]
    fn a_condition_that_did_not_hold() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..3).if_version(4).applied(6);
        rejects(&CHECKER, &made, "over version 5");
        let mut made = History::new();
        made.upsert(1, 0..1).if_version(4).ended(Ended::Mismatch(4));
        rejects(&CHECKER, &made, "as demanded");
    }

    #[test]
    fn a_condition_over_a_write_in_doubt_is_nobodys_business() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 1..2).unknown();
        made.upsert(1, 2..3).if_version(6).applied(7);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_delete_that_counts_wrong() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.delete(1, 2..3).applied(7).existed(false);
        rejects(&CHECKER, &made, "counted false");
    }

    #[test]
    fn a_content_at_an_id_where_it_was_not_written() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.get(2, 2..3).at(9).found(0);
        rejects(&CHECKER, &made, "never written");
    }
}
