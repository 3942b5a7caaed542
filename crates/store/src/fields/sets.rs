//! Sets of rows under construction: nothing is copied before it must be changed, and all points and no points
//! cost nothing.

use std::borrow::Cow;
use vectron_index::RowSet;

/// Some live rows.
#[derive(Clone)]
pub(super) enum Set<'a> {
    None,
    /// All live rows.
    All,
    Rows(Cow<'a, RowSet>),
}

impl<'a> Set<'a> {
    pub fn borrowed(rows: &'a RowSet) -> Set<'a> {
        if rows.is_empty() { Set::None } else { Set::Rows(Cow::Borrowed(rows)) }
    }

    pub fn owned(rows: RowSet) -> Set<'a> {
        if rows.is_empty() { Set::None } else { Set::Rows(Cow::Owned(rows)) }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Set::None)
    }

    pub fn into_rows(self, live: &RowSet) -> RowSet {
        match self {
            Set::None => RowSet::new(),
            Set::All => live.clone(),
            Set::Rows(rows) => rows.into_owned(),
        }
    }

    pub fn or(self, other: Set<'a>) -> Set<'a> {
        match (self, other) {
            (Set::All, _) | (_, Set::All) => Set::All,
            (Set::None, set) | (set, Set::None) => set,
            (Set::Rows(a), Set::Rows(b)) => {
                let (mut into, from) = ordered(a, b);
                into.to_mut().union_with(&from);
                Set::Rows(into)
            }
        }
    }

    pub fn and(self, other: Set<'a>) -> Set<'a> {
        match (self, other) {
            (Set::None, _) | (_, Set::None) => Set::None,
            (Set::All, set) | (set, Set::All) => set,
            (Set::Rows(a), Set::Rows(b)) => {
                let (into, from) = ordered(a, b);
                let mut rows = into.into_owned();
                rows.intersect_with(&from);
                Set::owned(rows)
            }
        }
    }

    pub fn without(self, other: &Set<'_>, live: &RowSet) -> Set<'a> {
        match (self, other) {
            (Set::None, _) | (_, Set::All) => Set::None,
            (set, Set::None) => set,
            (set, Set::Rows(other)) => {
                let mut rows = set.into_rows(live);
                rows.subtract(other);
                Set::owned(rows)
            }
        }
    }
}

/// One that is owned first, if any is: it can be changed without a copy.
fn ordered<'a>(a: Cow<'a, RowSet>, b: Cow<'a, RowSet>) -> (Cow<'a, RowSet>, Cow<'a, RowSet>) {
    if matches!(a, Cow::Borrowed(_)) && matches!(b, Cow::Owned(_)) { (b, a) } else { (a, b) }
}
