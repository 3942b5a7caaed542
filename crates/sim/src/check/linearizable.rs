//! Linearizability of writes and linearizable reads, id by id, by the order that versions give.
//!
//! In general deciding linearizability is a search (Gibbons and Korach, "Testing shared memories", 1997). Here every
//! operation states its place in the shard's log, so it is enough that (1) each read shows the last write before its
//! place, and (2) places agree with real time: an operation that began after another had ended has a later place.

use super::Checker;
use super::known::Known;
use crate::history::{History, Level, Read};
use std::collections::BTreeMap;
use vectron_base::clock::Tick;

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "per-id linearizability",
    source: "contract 3.2 and 3.4; Herlihy and Wing, \"Linearizability\", 1990",
    check,
};

fn check(history: &History, known: &Known) -> Vec<String> {
    let mut wrong: Vec<String> =
        history.reads.iter().filter_map(|read| shows(history, known, read)).collect();
    let mut shards: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    for (id, of_id) in &known.ids {
        let operations = shards.entry(history.owners.owner(*id)).or_default();
        operations.extend(of_id.placed.iter().map(|placed| Operation {
            invoked: placed.invoked,
            returned: placed.acknowledged,
            place: placed.index,
            least: Some(1),
            what: What::Write(*id),
        }));
    }
    for read in &history.reads {
        let Some(place) = history.position(read.id, &read.delivered.positions) else { continue };
        shards.entry(history.owners.owner(read.id)).or_default().push(Operation {
            invoked: read.span.invoked,
            returned: read.span.returned,
            place,
            least: (read.level == Level::Linearizable).then_some(0),
            what: What::Read(read.id),
        });
    }
    for search in &history.searches {
        for (shard, place) in &search.delivered.positions.0 {
            shards.entry(*shard).or_default().push(Operation {
                invoked: search.span.invoked,
                returned: search.span.returned,
                place: *place,
                least: (search.level == Level::Linearizable).then_some(0),
                what: What::Search,
            });
        }
    }
    for (shard, operations) in shards {
        wrong.extend(real_time(operations).into_iter().map(|what| format!("shard {shard}: {what}")));
    }
    wrong
}

/// A read shows the last write before its place.
fn shows(history: &History, known: &Known, read: &Read) -> Option<String> {
    let id = read.id;
    let place = history.position(id, &read.delivered.positions);
    let Some(place) = place else {
        return Some(format!("p{id}: a read that does not tell its place: {read:?}"));
    };
    let of_id = known.ids.get(&id);
    let last =
        of_id.and_then(|of_id| of_id.at(place)).filter(|last| last.content.is_some() || read.found.is_some());
    match (read.found, last) {
        (None, None) => None,
        (None, Some(last)) => {
            let deleted = of_id.is_some_and(|of_id| of_id.maybe_deleted(read.span.returned));
            (!deleted).then(|| format!("p{id}: nothing found at {place}, but {last:?} is there: {read:?}"))
        }
        (Some(seen), last) => {
            if seen.version > place {
                return Some(format!("p{id}: version {} found at {place}", seen.version));
            }
            let last = last.filter(|last| last.index > seen.version);
            last.map(|last| format!("p{id}: version {} found at {place}, after {last:?}", seen.version))
        }
    }
}

#[allow(dead_code, reason = "shown in what is found")]
#[derive(Clone, Copy, Debug)]
enum What {
    Write(u32),
    Read(u32),
    Search,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    invoked: Tick,
    returned: Tick,
    place: u64,
    /// How far its place must be past those of operations that had ended before; `None` when that is not promised.
    least: Option<u64>,
    /// For people.
    #[allow(dead_code, reason = "shown in what is found")]
    what: What,
}

/// Places agree with real time: a sweep over the beginnings, with the greatest place among those that had ended.
fn real_time(mut operations: Vec<Operation>) -> Vec<String> {
    let mut ended = operations.clone();
    operations.sort_by_key(|operation| operation.invoked);
    ended.sort_by_key(|operation| operation.returned);
    let mut ended = ended.into_iter().peekable();
    let mut latest: Option<Operation> = None;
    let mut wrong = Vec::new();
    for operation in operations {
        while let Some(before) = ended.next_if(|before| before.returned < operation.invoked) {
            if latest.is_none_or(|latest| before.place > latest.place) {
                latest = Some(before);
            }
        }
        if let (Some(latest), Some(least)) = (latest, operation.least)
            && operation.place < latest.place + least
        {
            wrong.push(format!("{operation:?} began after {latest:?} had ended"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    #[test]
    fn concurrent_operations_may_be_in_any_order() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..9).applied(8);
        made.upsert(1, 3..8).applied(7);
        made.get(1, 4..5).at(6).found(0);
        made.get(1, 5..6).at(7).found(2);
        made.get(1, 10..11).at(8).found(1);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_stale_read() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..3).applied(6);
        made.get(1, 4..5).at(5).found(0);
        rejects(&CHECKER, &made, "had ended");
    }

    #[test]
    fn a_stale_read_that_lies_about_its_place() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..3).applied(6);
        made.get(1, 4..5).at(6).found(0);
        rejects(&CHECKER, &made, "found at 6, after");
    }

    #[test]
    fn an_eventual_read_may_be_old_but_not_wrong() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(1, 2..3).applied(6);
        made.get(1, 4..5).level(Level::Eventual).at(5).found(0);
        made.get(1, 4..5).level(Level::Eventual).at(4);
        accepts(&CHECKER, &made);
        made.get(1, 6..7).level(Level::Eventual).at(5);
        rejects(&CHECKER, &made, "is there");
    }

    #[test]
    fn reads_never_go_back() {
        let mut made = History::new();
        made.upsert(1, 0..9).unknown();
        made.get(1, 1..2).at(5).found_as(0, 5);
        made.get(1, 3..4).at(4);
        rejects(&CHECKER, &made, "had ended");
    }

    #[test]
    fn a_write_in_doubt_may_have_been_a_delete() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.delete(1, 2..3).unknown();
        made.get(1, 4..5).at(6);
        made.get(1, 6..7).at(7);
        accepts(&CHECKER, &made);
        made.get(2, 8..9).at(6);
        rejects(&CHECKER, &made, "had ended");
    }

    #[test]
    fn writes_in_the_wrong_order() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(6);
        made.upsert(1, 2..3).applied(5);
        rejects(&CHECKER, &made, "had ended");
    }

    #[test]
    fn a_lost_write() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.get(1, 2..3).at(9);
        rejects(&CHECKER, &made, "nothing found");
    }

    #[test]
    fn a_stale_search() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.search(2..3).at(4);
        rejects(&CHECKER, &made, "had ended");
    }

    /// A long history is checked in the blink of an eye: quadratic time would be minutes.
    #[test]
    fn long_histories() {
        let mut made = History::new();
        for n in 0..100_000u64 {
            made.upsert((n % 50) as u32, 2 * n..2 * n + 1).applied(n + 1);
        }
        accepts(&CHECKER, &made);
    }
}
