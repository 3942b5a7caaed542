//! Counts are exact in the state that they state.

use super::Checker;
use super::known::Known;
use crate::history::{Count, History};

/// The checker.
pub(super) const CHECKER: Checker = Checker {
    name: "exact counts",
    source: "contract 2 and 3.5: a count is exact, at one applied index of each shard",
    check,
};

fn check(history: &History, known: &Known) -> Vec<String> {
    history.counts.iter().filter_map(|count| of_one(history, known, count)).collect()
}

fn of_one(history: &History, known: &Known, count: &Count) -> Option<String> {
    let (mut least, mut most) = (0, 0);
    for (id, of_id) in &known.ids {
        let place = history.position(*id, &count.delivered.positions);
        let Some(place) = place else { return Some(format!("no place for p{id}: {count:?}")) };
        if of_id.doubtful(count.span.returned) {
            most += 1;
            continue;
        }
        let content = of_id.at(place).and_then(|last| last.content);
        let passes = content.is_some_and(|content| count.color.is_none_or(|color| color == content.color));
        least += u64::from(passes);
        most += u64::from(passes);
    }
    (!(least..=most).contains(&count.count)).then(|| format!("must be {least} to {most}: {count:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::made::{History, accepts, rejects};
    use super::*;

    fn two_points_and_a_doubt() -> History {
        let mut made = History::new();
        made.upsert(1, 0..1).applied(5);
        made.upsert(2, 0..1).applied(6);
        made.upsert(3, 0..1).unknown();
        made
    }

    #[test]
    fn right_counts() {
        let mut made = two_points_and_a_doubt();
        made.count(2, 6, 2..3);
        made.count(3, 7, 2..3);
        made.count(1, 5, 2..3);
        accepts(&CHECKER, &made);
    }

    #[test]
    fn wrong_counts() {
        for wrong in [1, 4] {
            let mut made = two_points_and_a_doubt();
            made.count(wrong, 6, 2..3);
            rejects(&CHECKER, &made, "must be 2 to 3");
        }
    }
}
