//! The checkers: each holds a recorded history to one property of the contract.
//!
//! A checker is a pure function of the history. Each has its own file, a name, and the source of its property; its
//! tests are histories made by hand, good ones that it must accept and bad ones that it must reject. All are
//! O(n log n) in the number of operations, but those of searches and counts, which look at every id once for each
//! of them.

mod counts;
mod durable;
pub(crate) mod known;
mod linearizable;
mod once;
mod search;
mod sessions;
mod staleness;
mod versions;

#[cfg(test)]
mod made;

use crate::history::History;
use known::Known;

/// One property.
pub struct Checker {
    /// Its name.
    pub name: &'static str,
    /// Where it is promised or defined.
    pub source: &'static str,
    check: fn(&History, &Known) -> Vec<String>,
}

/// Every checker.
pub const CHECKERS: [Checker; 8] = [
    versions::CHECKER,
    linearizable::CHECKER,
    once::CHECKER,
    search::CHECKER,
    counts::CHECKER,
    staleness::CHECKER,
    sessions::CHECKER,
    durable::CHECKER,
];

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which checker or invariant says so.
    pub property: &'static str,
    /// What it saw.
    pub what: String,
}

/// Examples of each property that are kept: one is enough to fail, a few help to understand.
const EXAMPLES: usize = 5;

/// Holds a history to every property.
pub fn check(history: &History) -> Vec<Violation> {
    let known = Known::of(history);
    CHECKERS
        .iter()
        .flat_map(|checker| {
            let found = (checker.check)(history, &known).into_iter().take(EXAMPLES);
            found.map(|what| Violation { property: checker.name, what })
        })
        .collect()
}
