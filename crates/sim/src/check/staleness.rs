//! Staleness: a state is as fresh as its answer says, and as fresh as was asked for.

use super::Checker;
use super::known::Known;
use crate::clock::DRIFT_MAX_PPM;
use crate::history::{Delivered, History, Level, NEVER, Span};
use std::collections::BTreeMap;
use vectron_base::clock::Tick;

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "staleness",
    source: "contract 3.4: bounded(T) holds every write acknowledged more than T before; every answer states its age",
    check,
};

/// Ages are stated in whole milliseconds, rounded down.
const ROUNDING_MS: u64 = 1;

fn check(history: &History, known: &Known) -> Vec<String> {
    let acknowledged = Acknowledged::of(history, known);
    let reads = history.reads.iter().map(|read| (&read.span, &read.level, &read.delivered));
    let searches = history.searches.iter().map(|search| (&search.span, &search.level, &search.delivered));
    let counts = history.counts.iter().map(|count| (&count.span, &count.level, &count.delivered));
    let answers = reads.chain(searches).chain(counts);
    answers.filter_map(|(span, level, delivered)| stale(&acknowledged, span, level, delivered)).collect()
}

fn stale(acknowledged: &Acknowledged, span: &Span, level: &Level, delivered: &Delivered) -> Option<String> {
    let promised_ms = match level {
        Level::Bounded(most) => delivered.staleness_ms.min(*most),
        _ => delivered.staleness_ms,
    };
    for (shard, place) in &delivered.positions.0 {
        let by = before(span.invoked, promised_ms);
        if let Some((index, at)) = acknowledged.by(*shard, by)
            && index > *place
        {
            return Some(format!(
                "shard {shard} at {place} lacks index {index}, acknowledged at {at:?}; promised is an age of \
                 {promised_ms} ms at {span:?} ({level:?}, {delivered:?})"
            ));
        }
    }
    None
}

/// The moment that is surely more than `ms` of any node's clock before another.
fn before(moment: Tick, ms: u64) -> Tick {
    let ns = (ms + ROUNDING_MS) * 1_000_000;
    Tick(moment.0.saturating_sub(ns + ns / 1_000_000 * (2 * DRIFT_MAX_PPM.unsigned_abs())))
}

/// By shard: moments of acknowledgements with the highest index acknowledged by then.
struct Acknowledged(BTreeMap<u64, Vec<(Tick, u64)>>);

impl Acknowledged {
    fn of(history: &History, known: &Known) -> Self {
        let mut shards: BTreeMap<u64, Vec<(Tick, u64)>> = BTreeMap::new();
        for (id, of_id) in &known.ids {
            let of_shard = shards.entry(history.owners.owner(*id)).or_default();
            let acknowledged = of_id.placed.iter().filter(|placed| placed.acknowledged != NEVER);
            of_shard.extend(acknowledged.map(|placed| (placed.acknowledged, placed.index)));
        }
        for of_shard in shards.values_mut() {
            of_shard.sort_unstable();
            let mut highest = 0;
            for (_, index) in of_shard {
                highest = highest.max(*index);
                *index = highest;
            }
        }
        Self(shards)
    }

    fn by(&self, shard: u64, moment: Tick) -> Option<(u64, Tick)> {
        let of_shard = self.0.get(&shard)?;
        let end = of_shard.partition_point(|(at, _)| *at < moment);
        of_shard[..end].last().map(|(at, index)| (*index, *at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    fn written_at_second_one() -> History {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made
    }

    #[test]
    fn as_old_as_they_say() {
        let mut made = written_at_second_one();
        made.get(1, 5..6).level(Level::Eventual).at(4).stale(4_100);
        made.get(1, 5..6).level(Level::Bounded(5_000)).at(4).stale(4_100);
        made.get(1, 5..6).level(Level::Bounded(100)).at(5).stale(90);
        made.get(1, 5..6).at(5).stale(0);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn older_than_they_say() {
        let mut made = written_at_second_one();
        made.get(1, 5..6).level(Level::Eventual).at(4).stale(3_900);
        rejects(&CHECKER, &made, "lacks index 5");
    }

    #[test]
    fn older_than_asked_for() {
        let mut made = written_at_second_one();
        made.get(1, 5..6).level(Level::Bounded(3_000)).at(4).stale(10_000);
        rejects(&CHECKER, &made, "lacks index 5");
    }

    #[test]
    fn a_strict_read_that_is_old() {
        let mut made = written_at_second_one();
        made.search(5..6).at(4);
        rejects(&CHECKER, &made, "lacks index 5");
    }
}
