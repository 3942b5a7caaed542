//! Durability: after everything every replica holds every acknowledged write, and nothing that was deleted.

use super::Checker;
use super::known::Known;
use crate::history::{Final, History, Id, NEVER};
use std::collections::BTreeMap;

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "durability",
    source: "contract 3.1, 3.9 and 3.10: acknowledged writes survive, replicas are equal, deletes do not come back",
    check,
};

fn check(history: &History, known: &Known) -> Vec<String> {
    let mut highest: BTreeMap<u64, (u64, Id)> = BTreeMap::new();
    for (id, of_id) in &known.ids {
        let highest = highest.entry(history.owners.owner(*id)).or_default();
        let acknowledged = of_id.placed.iter().filter(|placed| placed.acknowledged != NEVER);
        *highest = acknowledged.map(|placed| (placed.index, *id)).max().unwrap_or_default().max(*highest);
    }
    history.finals.iter().flat_map(|at_end| of_one(history, known, &highest, at_end)).collect()
}

fn of_one(
    history: &History,
    known: &Known,
    highest: &BTreeMap<u64, (u64, Id)>,
    at_end: &Final,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in &at_end.ids {
        let Some(of_id) = known.ids.get(id) else { continue };
        if let Some((highest, of)) =
            highest.get(&history.owners.owner(*id)).filter(|(highest, _)| *highest > at_end.applied)
        {
            let (replica, applied) = (&at_end.replica, at_end.applied);
            wrong
                .push(format!("{replica}: index {highest} was acknowledged of p{of}, at {applied} all ends"));
            break;
        }
        let last = of_id.placed.last();
        match (at_end.points.get(id), last.filter(|last| last.content.is_some())) {
            (None, Some(last)) if !of_id.maybe_deleted(NEVER) => {
                wrong.push(format!("{}: p{id} is gone: {last:?}", at_end.replica));
            }
            (Some(seen), _) => {
                if let Some(last) = last.filter(|last| last.index > seen.version) {
                    let what = if last.content.is_none() { "came back" } else { "is old" };
                    wrong.push(format!("{}: p{id} {what}: {seen:?} after {last:?}", at_end.replica));
                }
            }
            _ => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    fn one_point_one_deleted_one_in_doubt() -> History {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(2, 0..1).applied(6);
        made.delete(2, 2..3).applied(7);
        made.upsert(3, 2..3).unknown();
        made
    }

    #[test]
    fn all_there() {
        let mut made = one_point_one_deleted_one_in_doubt();
        made.at_end(7, &[(1, 5, 0)]);
        accepts(&CHECKER, &made);
        made.at_end(9, &[(1, 5, 0), (3, 9, 3)]);
        // Two replicas that differ in what is in doubt: the one without it has lost what the other saw.
        rejects(&CHECKER, &made, "p3 is gone");
    }

    #[test]
    fn an_acknowledged_write_lost() {
        let mut made = one_point_one_deleted_one_in_doubt();
        made.at_end(9, &[]);
        rejects(&CHECKER, &made, "p1 is gone");
    }

    #[test]
    fn the_end_of_the_log_lost() {
        let mut made = one_point_one_deleted_one_in_doubt();
        made.at_end(6, &[(1, 5, 0), (2, 6, 1)]);
        rejects(&CHECKER, &made, "index 7 was acknowledged");
    }

    #[test]
    fn a_delete_that_is_undone() {
        let mut made = one_point_one_deleted_one_in_doubt();
        made.at_end(9, &[(1, 5, 0), (2, 6, 1)]);
        rejects(&CHECKER, &made, "p2 came back");
    }
}
