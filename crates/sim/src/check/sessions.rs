//! Sessions: a read sees at least what its token has seen, so each session reads its own writes and never goes back.

use super::Checker;
use super::known::Known;
use crate::history::{Delivered, History, Level, Positions};

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "sessions",
    source: "contract 3.4: applied at least the token's indexes; Terry et al., \"Session guarantees for weakly \
             consistent replicated data\", 1994 (read your writes, monotonic reads)",
    check,
};

fn check(history: &History, _: &Known) -> Vec<String> {
    let reads = history.reads.iter().map(|read| (&read.level, &read.delivered));
    let searches = history.searches.iter().map(|search| (&search.level, &search.delivered));
    let counts = history.counts.iter().map(|count| (&count.level, &count.delivered));
    let mut wrong: Vec<String> = Vec::new();
    for (level, delivered) in reads.chain(searches).chain(counts) {
        if let Level::Session(token) = level {
            wrong.extend(behind(token, delivered));
        }
    }
    for write in &history.writes {
        if write.ended == crate::history::Ended::Applied(None) {
            wrong.push(format!("p{}: the answer's token does not cover the write: {write:?}", write.id));
        }
    }
    wrong
}

/// A shard that split off begins with all that was in the one before it, whose later indexes say nothing of it.
fn behind(token: &Positions, delivered: &Delivered) -> Option<String> {
    let seen = |shard: u64, place: u64| token.of(shard).is_some_and(|seen| seen > place);
    let (shard, place) = delivered.positions.0.iter().find(|(shard, place)| seen(*shard, *place))?;
    Some(format!("shard {shard} was read at {place} in a session that had seen {token:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, SHARD, accepts, rejects};
    use super::*;
    use crate::history::Ended;

    fn token(index: u64) -> Level {
        Level::Session(Positions(vec![(SHARD, index)]))
    }

    #[test]
    fn reads_at_or_after_the_token() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.get(1, 2..3).level(token(5)).at(5).found(0);
        made.get(1, 2..3).level(token(0)).at(4);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn a_read_that_misses_the_sessions_own_write() {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.get(1, 2..3).level(token(5)).at(4);
        rejects(&CHECKER, &made, "had seen");
    }

    #[test]
    fn a_token_that_forgets_the_write() {
        let mut made = History::new();
        made.upsert(1, 0..1).ended(Ended::Applied(None));
        rejects(&CHECKER, &made, "does not cover");
    }
}
